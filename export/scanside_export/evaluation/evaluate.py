"""How good are the networks on expert labels of whole volumes, through the deployed runtime and beside a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from scanside_export.data.volumes import Labelled
from scanside_runtime.metrics import (
    dice,
    poi_error_points,
    poi_percent,
    precision,
    sensitivity,
    volume_error_percent,
)
from scanside_runtime.model.components import drop_small
from scanside_runtime.model.networks import Networks
from scanside_runtime.model.segment import segment
from scanside_runtime.volume import Bools, Masks, Volume

BASELINE_HU = (-700, 150)
"""Denser than aerated lung, thinner than bone or contrast: what a threshold would call infection."""


@dataclass(frozen=True, slots=True)
class VolumeScore:
    """One series. Tuples hold a value for each reader. Lungs and POI count where the lungs are known, else None.

    lung_elsewhere_ml: called lung far from the lungs, in slices whose lungs nobody drew, a stomach say. None: there is
    no such place.
    """

    name: str
    patient: str
    source: str
    slab_mm: float
    found_ml: float
    reference_ml: tuple[float, ...]
    dice: tuple[float, ...]
    sensitivity: tuple[float, ...]
    precision: tuple[float, ...]
    volume_error_percent: tuple[float | None, ...]
    baseline_dice: tuple[float, ...]
    lungs_dice: float | None
    lung_volume_error_percent: float | None
    poi_percent: float | None
    poi_percent_readers: tuple[float | None, ...]
    poi_error_points: tuple[float | None, ...]
    readers_dice: float | None = None
    lung_elsewhere_ml: float | None = None

    @property
    def mean_dice(self) -> float:
        """The mean over readers."""
        return float(np.mean(self.dice))


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """The slab of a series with most infection: what was drawn by the first reader and what was found.

    hu: (y, x) int16. reference, found: (y, x) bool.
    """

    hu: np.ndarray[tuple[int, ...], np.dtype[np.int16]]
    reference: Bools
    found: Bools


def evaluate(cases: Iterable[Labelled], networks: Networks) -> Iterator[tuple[VolumeScore, Plane]]:
    """Score each series as it comes: infection over the whole series, lungs and POI where the lungs are known."""
    for case in cases:
        masks = segment(case.volume, networks)
        yield score(case, masks), _plane(case, masks)


def score(case: Labelled, masks: Masks) -> VolumeScore:
    """What was segmented against every reader, on the slices that were drawn on."""
    known = case.lungs_known
    found, lungs = case.on_slices(masks.infection.array), case.on_slices(masks.lungs)
    baseline = case.on_slices(threshold_baseline(case.volume, masks.lungs))
    here = (found[known], lungs[known])
    return VolumeScore(
        name=case.name,
        patient=case.patient,
        source=case.source,
        slab_mm=case.volume.slice_thickness_mm or case.volume.spacing_mm[0],
        found_ml=masks.infection.volume_ml,
        reference_ml=tuple(int(np.count_nonzero(reader)) * case.slice_voxel_ml for reader in case.infection),
        dice=tuple(dice(found, reader) for reader in case.infection),
        sensitivity=tuple(sensitivity(found, reader) for reader in case.infection),
        precision=tuple(precision(found, reader) for reader in case.infection),
        volume_error_percent=tuple(volume_error_percent(found, reader) for reader in case.infection),
        baseline_dice=tuple(dice(baseline, reader) for reader in case.infection),
        lungs_dice=dice(here[1], case.lungs[known]) if known.any() else None,
        lung_volume_error_percent=volume_error_percent(here[1], case.lungs[known]) if known.any() else None,
        poi_percent=poi_percent(*here),
        poi_percent_readers=tuple(poi_percent(reader[known], case.lungs[known]) for reader in case.infection),
        poi_error_points=tuple(poi_error_points(*here, reader[known], case.lungs[known]) for reader in case.infection),
        readers_dice=dice(*case.infection) if len(case.infection) == 2 else None,
        lung_elsewhere_ml=_elsewhere_ml(case, lungs),
    )


def _elsewhere_ml(case: Labelled, lungs: Bools) -> float | None:
    if not case.elsewhere.any():
        return None
    return int(np.count_nonzero(lungs & case.elsewhere)) * case.slice_voxel_ml


def _plane(case: Labelled, masks: Masks) -> Plane:
    found = masks.infection.array
    reference = case.in_slabs(case.infection[0]) if case.infection else np.zeros_like(found)
    z = int(np.argmax((reference | found).sum(axis=(1, 2))))
    return Plane(case.volume.hu[z], reference[z], found[z])


def threshold_baseline(volume: Volume, lungs: Bools) -> Bools:
    """Infection by HU alone, inside the product's own lungs, vessels thinned out by size."""
    low, high = BASELINE_HU
    dense = lungs & (volume.hu > low) & (volume.hu < high)
    drop_small(dense, max(1, round(0.5 / volume.voxel_ml)))
    return dense
