"""Missing lung and fluid in real chests, by lungs that were drawn: said of the sick one, and of no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scanside_export.data.cases import LEFT, RIGHT
from scanside_export.data.drawn_lungs import EFFUSION, LungReference, drawn_references
from scanside_runtime.quality.effusion import check_fluid, set_fluid_apart
from scanside_runtime.quality.missing_lung import check_air_outside, check_parts
from scanside_runtime.quality.overview import make_overview
from scanside_runtime.settings.tables import Settings
from scanside_runtime.volume import Masks

REFERENCES = Path(__file__).parents[1] / "data" / "lungs"
LOOKED_AT = ("4dlung-113", "lidc-idri-0002", "lidc-idri-0314", "lung-dx-a0001")
LIMITS = Settings().missing_lung
SOFT_HU = -200


def said(one: LungReference, right: np.ndarray, left: np.ndarray) -> set[str]:
    """Codes of what the guards say of these lungs, (z, y, x) bool."""
    masks = Masks(*(one.volume.with_mask(array) for array in (right, left, np.zeros_like(right))))
    overview = make_overview(one.volume, masks)
    findings = check_parts(one.volume, masks, LIMITS)
    findings += check_air_outside(overview, LIMITS) + check_fluid(overview, masks, LIMITS)
    return {finding.code for finding in findings}


def test_a_collapsed_lobe_that_nobody_outlined_is_said_and_so_is_the_fluid(shared_data: Path) -> None:
    for one in drawn_references(REFERENCES, shared_data, LOOKED_AT):
        aired = one.volume.hu < SOFT_HU
        found = said(one, (one.labels == RIGHT) & aired, (one.labels == LEFT) & aired)
        sick = one.name == "lidc-idri-0314"
        assert found == ({"QUALITY_PART_MISSING", "QUALITY_POSSIBLE_EFFUSION"} if sick else set())


def test_an_upper_lobe_that_was_left_out_is_missed_with_the_air_in_it(shared_data: Path) -> None:
    one = next(drawn_references(REFERENCES, shared_data, ["lidc-idri-0002"]))
    right, left = one.labels == RIGHT, one.labels == LEFT
    top = int(np.flatnonzero(left.any(axis=(1, 2)))[-1])
    left[top - 12 :] = False
    assert {"QUALITY_PART_MISSING", "QUALITY_AIR_OUTSIDE"} <= said(one, right, left)


def test_an_effusion_that_was_outlined_as_lung_is_set_apart_and_no_lung_with_it(shared_data: Path) -> None:
    one = next(drawn_references(REFERENCES, shared_data, ["lidc-idri-0314"]))
    wet = one.labels == EFFUSION
    right, left = (one.labels == RIGHT) | wet, one.labels == LEFT
    masks = Masks(*(one.volume.with_mask(array) for array in (right, left, wet)))
    apart = set_fluid_apart(one.volume, masks, make_overview(one.volume, masks), LIMITS)
    assert apart.fluid is not None
    taken = apart.fluid.right.array | apart.fluid.left.array
    assert (taken & wet).sum() > 0.6 * wet.sum()
    assert (taken & ~wet).sum() * one.volume.voxel_ml < 3.0
