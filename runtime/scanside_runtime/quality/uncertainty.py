"""How sure is the network: how far would POI go if it were asked to be surer, and what did it not see itself?"""

from __future__ import annotations

import numpy as np

from scanside_runtime.findings import Finding, figures
from scanside_runtime.settings.tables import QualitySettings
from scanside_runtime.volume import Masks


def check_uncertainty(masks: Masks, settings: QualitySettings) -> tuple[Finding, ...]:
    """`caution` where POI at three times higher and lower odds differs by more than `settings.uncertain_points`."""
    if masks.infection_bounds_ml is None:
        return ()
    lungs_ml = masks.right_lung.volume_ml + masks.left_lung.volume_ml
    low, high = (100.0 * bound_ml / lungs_ml for bound_ml in masks.infection_bounds_ml)
    if high - low <= settings.uncertain_points:
        return ()
    message = (
        "The network is not sure how far the infection reaches: by itself it gives a POI of "
        f"{low:.1f} % when it is asked to be surer, and {high:.1f} % when less sure."
    )
    return (Finding("QUALITY_UNCERTAIN", "caution", message, figures(low_percent=low, high_percent=high)),)


def check_partly_seen(masks: Masks, settings: QualitySettings) -> tuple[Finding, ...]:
    """`caution` where `settings.partly_seen_ml` and more count as infected that the network did not see itself.

    What was set apart as fluid since then is left out: at most the infection of its slice is told.
    """
    if masks.unseen_areas is None:
        return ()
    areas = np.minimum(masks.unseen_areas, masks.infection.areas)
    unseen_ml = float(areas.sum()) * masks.infection.voxel_ml
    if unseen_ml < settings.partly_seen_ml:
        return ()
    numbers = np.flatnonzero(areas[::-1]) + 1
    message = (
        f"{unseen_ml:.0f} ml of dense infection were not seen by the network itself: they count because it saw a "
        f"part of the same piece, between the slices {numbers[0]} and {numbers[-1]} from the head. Vessels at a "
        "hilum, the aorta and liver can look like that."
    )
    values = figures(unseen_ml=unseen_ml, first_slice=numbers[0], last_slice=numbers[-1])
    return (Finding("QUALITY_PARTLY_SEEN", "caution", message, values),)
