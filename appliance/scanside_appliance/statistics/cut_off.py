"""The cut-off of a score by Youden's index, and what a cut-off finds and spares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_curve

from scanside_appliance.statistics.auc import Bools, Floats
from scanside_appliance.statistics.proportions import Proportion, proportion


@dataclass(frozen=True, slots=True)
class CutOff:
    """A score from which an exam is called positive, and how well that does on the exams that it was chosen on."""

    value: float
    sensitivity: Proportion
    specificity: Proportion


def youden(positive: Bools, score: Floats) -> CutOff:
    """The observed score with the largest sensitivity + specificity - 1; of equals the highest.

    positive, score: (n,), both groups present. Source: Youden WJ, Cancer 1950; 3: 32-35.
    """
    false_positive, true_positive, thresholds = roc_curve(positive, score, drop_intermediate=False)
    return at_cut_off(positive, score, float(thresholds[best_point(false_positive, true_positive)]))


def best_point(false_positive: Floats, true_positive: Floats) -> int:
    """Which point of a ROC curve has the largest Youden index; of equals, to all but rounding, the first.

    Not the curve's beginning, where nobody is called positive and the threshold is infinite.
    """
    return 1 + int(np.argmax(np.round(true_positive - false_positive, 12)[1:]))


def at_cut_off(positive: Bools, score: Floats, value: float) -> CutOff:
    """What a given cut-off finds among the positive and spares among the others, with exact intervals."""
    called = score >= value
    found, spared = np.count_nonzero(called & positive), np.count_nonzero(~called & ~positive)
    sick, well = np.count_nonzero(positive), np.count_nonzero(~positive)
    return CutOff(value, proportion(int(found), int(sick)), proportion(int(spared), int(well)))
