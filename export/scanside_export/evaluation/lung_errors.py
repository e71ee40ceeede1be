"""What is wrong with outlined lungs, in millilitres by kind, against lungs that someone drew and looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN, Case, known_lungs
from scanside_export.data.drawn_lungs import AIRWAY, EFFUSION, Labels, LungReference
from scanside_export.data.volumes import volume_of
from scanside_runtime.metrics import dice
from scanside_runtime.model.body import find_body
from scanside_runtime.model.networks import Networks
from scanside_runtime.model.segment import segment
from scanside_runtime.volume import Bools

EDGE_MM = 3.0
"""Errors this near, in the slice, to the reference's outline are a matter of the edge: a pixel or two of it."""
AIR_HU = -400
DOME_MM = 60.0
"""Under lung that stands this high above, tissue belongs to the abdomen."""
KINDS = (
    "outside_body",
    "gas_elsewhere",
    "airways",
    "effusion",
    "abdomen",
    "heart_and_vessels",
    "chest_wall",
    "missed_air",
    "missed_dense",
    "edge",
)
"""What a millilitre that is wrong is, the first that fits; see `errors_by_kind`."""


@dataclass(frozen=True, slots=True)
class LungErrors:
    """One series: ml of each of `KINDS`, and Dice of both lungs where the reference knows."""

    name: str
    right_dice: float
    left_dice: float
    ml: dict[str, float]


def case_reference(case: Case) -> LungReference:
    """A case with lungs of its own, as the adapters give it."""
    return LungReference(case.name, volume_of(case.hu, case.spacing_mm, case.slice_thickness_mm), case.lungs)


def score_lungs(reference: LungReference, networks: Networks) -> LungErrors:
    """The whole product's lungs held against a reference."""
    masks = segment(reference.volume, networks)
    known = reference.labels != UNKNOWN
    right, left = (
        dice(mask.array[known], reference.labels[known] == side)
        for mask, side in ((masks.right_lung, RIGHT), (masks.left_lung, LEFT))
    )
    return LungErrors(reference.name, right, left, errors_by_kind(reference, masks.lungs))


def errors_by_kind(reference: LungReference, lungs: Bools) -> dict[str, float]:
    """How many ml of each of `KINDS`: lungs (z, y, x) bool against the reference; what it does not know is not counted.

    Of what is called lung: outside of the body; within `EDGE_MM` of the reference's outline; airways; effusion; gas
    elsewhere, that of the gut mostly; and tissue below a dome, between both lungs, or in the chest wall. Of what is
    missed: air, and dense lung.
    """
    labels, volume = reference.labels, reference.volume
    truth, known = known_lungs(labels), labels != UNKNOWN
    air = volume.hu < AIR_HU
    edge = _near_outline(truth, volume.spacing_mm[1:])
    wrong, missed = lungs & ~truth & known, truth & ~lungs
    body = find_body(volume, truth)
    inside = np.stack([body.slice(z) for z in range(len(labels))])
    places = {
        "outside_body": wrong & ~inside,
        "edge": (wrong | missed) & edge,
        "airways": wrong & (labels == AIRWAY),
        "effusion": wrong & (labels == EFFUSION),
        "gas_elsewhere": wrong & air,
        "abdomen": wrong & _below_dome(truth, volume.spacing_mm[0]),
        "heart_and_vessels": wrong & _between(labels),
        "chest_wall": wrong,
        "missed_air": missed & air,
        "missed_dense": missed,
    }
    return _first_that_fits(places, volume.voxel_ml)


def _first_that_fits(places: dict[str, Bools], voxel_ml: float) -> dict[str, float]:
    taken = np.zeros(next(iter(places.values())).shape, dtype=np.bool_)
    ml = dict.fromkeys(KINDS, 0.0)
    for kind, where in places.items():
        ml[kind] = float(np.count_nonzero(where & ~taken)) * voxel_ml
        taken |= where
    return ml


def _near_outline(truth: Bools, pixel_mm: tuple[float, float]) -> Bools:
    near = np.zeros_like(truth)
    for z in np.flatnonzero(truth.any(axis=(1, 2))):
        away = ndimage.distance_transform_edt(truth[z], sampling=pixel_mm)
        beyond = ndimage.distance_transform_edt(~truth[z], sampling=pixel_mm)
        near[z] = np.maximum(away, beyond) <= EDGE_MM
    return near


def _below_dome(truth: Bools, increment_mm: float) -> Bools:
    """Where lung stands above, up to `DOME_MM`, from the slice with the most lung down."""
    high = max(1, round(DOME_MM / increment_mm))
    below = np.zeros_like(truth)
    for z in range(int(np.argmax(np.count_nonzero(truth, axis=(1, 2))))):
        below[z] = truth[z + 1 : z + 1 + high].any(axis=0) & ~truth[z]
    lowest = int(np.argmax(truth.any(axis=(1, 2))))
    below[:lowest] = True
    return below


def _between(labels: Labels) -> Bools:
    """Between the middles of both lungs, in slices that show both."""
    between = np.zeros(labels.shape, dtype=np.bool_)
    for z, plane in enumerate(labels):
        right, left = (np.flatnonzero((plane == side).any(axis=0)) for side in (RIGHT, LEFT))
        rows = np.flatnonzero((plane == RIGHT).any(axis=1) | (plane == LEFT).any(axis=1))
        if len(right) and len(left):
            columns = sorted((int(right.mean()), int(left.mean())))
            between[z, rows[0] : rows[-1] + 1, columns[0] : columns[1]] = True
    return between


def lung_table(scores: Sequence[LungErrors]) -> str:
    """A row for each series: Dice of the right and left lung, then ml by kind."""
    short = [kind.replace("_", " ") for kind in KINDS]
    head = f"{'series':<20}{'right':>7}{'left':>7}" + "".join(f"{name:>{len(name) + 2}}" for name in short) + "  (ml)"
    rows = [
        f"{one.name:<20}{one.right_dice:7.3f}{one.left_dice:7.3f}"
        + "".join(f"{one.ml[kind]:{len(name) + 2}.1f}" for kind, name in zip(KINDS, short, strict=True))
        for one in scores
    ]
    return "\n".join([head, *rows])
