"""The infection network alone on single windowed slices, by the deployed runtime, scored on each picture's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scanside_export.data.windowed_slices import WindowedSlice, slice_volume
from scanside_export.evaluation.score_summary import slice_figures
from scanside_runtime.metrics import dice, precision, sensitivity
from scanside_runtime.model.networks import Network
from scanside_runtime.model.segment import ask_for_infection
from scanside_runtime.volume import Bools, whole_of


@dataclass(frozen=True, slots=True, eq=False)
class SliceScore:
    """One picture and what was found on it, (y, x) bool."""

    picture: WindowedSlice
    found: Bools

    @property
    def dice(self) -> float:
        """An empty reference and an empty answer agree: 1."""
        return dice(self.found, self.picture.infection)

    @property
    def sensitivity(self) -> float:
        """Share of the reference that was found."""
        return sensitivity(self.found, self.picture.infection)

    @property
    def precision(self) -> float:
        """Share of what was found that is in the reference."""
        return precision(self.found, self.picture.infection)

    def row(self) -> dict[str, Any]:
        """The scores as plain values."""
        own = {"dice": self.dice, "sensitivity": self.sensitivity, "precision": self.precision}
        return {"name": self.picture.name, **own}


def evaluate_slices(slices: Sequence[WindowedSlice], network: Network) -> list[SliceScore]:
    """Score each picture: no lung mask, the slice as its own neighbours, the contract's threshold."""
    return [SliceScore(one, _find(one, network)) for one in slices]


def _find(one: WindowedSlice, network: Network) -> Bools:
    volume = slice_volume(one)
    everywhere = np.ones(volume.hu.shape, dtype=np.bool_)
    return np.asarray(ask_for_infection(volume, everywhere, whole_of(volume.hu.shape), network).suspected[0])


def slices_document(scores: Sequence[SliceScore], network: Network, bundle: str) -> dict[str, Any]:
    """The figures as JSON has them."""
    figures = slice_figures([one.row() for one in scores])
    return {**figures, "precision": network.engine.computed_in, "bundle": bundle}
