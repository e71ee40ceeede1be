"""The body's outline: what lies around a patient is no body, and no lung is lost whatever the patient lies on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kit.body_samples import (
    AIR,
    FAT,
    FOAM,
    LUNG,
    LUNG_HU,
    LUNGS,
    MIDDLE,
    SHAPE,
    SHELL,
    SOFT,
    SPACING_MM,
    TRUNK,
    around,
    band,
    lungs,
    oval,
    patient,
    ring,
    trunk,
    volume,
)
from scanside_export.data.volumes import volume_of
from scanside_runtime.model.body import find_body
from scanside_runtime.volume import HU_MIN

BACK = MIDDLE[1] + TRUNK[1]
"""The row in which the trunk ends at the back."""
LOWER_HALF = band((MIDDLE[1], SHAPE[1]))


def flat_couch(hu: np.ndarray, gap_px: int) -> np.ndarray:
    top = BACK + 1 + gap_px
    foam = around(hu, band((top, top + 18), (15, 195)), FOAM)
    return around(around(foam, band((top, top + 2)), SHELL), band((top + 16, top + 18)), SHELL)


def round_couch(hu: np.ndarray, gap_px: int) -> np.ndarray:
    """A cradle around the lower half of the trunk: two shells and foam between them."""
    half = (TRUNK[0] + gap_px + 6, TRUNK[1] + gap_px + 2)
    outer = (half[0] + 6, half[1] + 6)
    foam = around(hu, ring(MIDDLE, outer, 6) & LOWER_HALF, FOAM)
    for one in (half, outer):
        foam = around(foam, ring(MIDDLE, one, 2) & LOWER_HALF, SHELL)
    return foam


def closed_cradle(hu: np.ndarray) -> np.ndarray:
    """A cradle whose rim leans on both flanks: the air between it and the back is shut in."""
    cradle = around(hu, ring((MIDDLE[0], MIDDLE[1] + 14), TRUNK, 2) & LOWER_HALF, SHELL)
    flank = MIDDLE[0] - TRUNK[0]
    return around(cradle, band((MIDDLE[1], MIDDLE[1] + 14), (flank - 2, flank + 4)), SHELL)


def strap(hu: np.ndarray) -> np.ndarray:
    return around(hu, ring(MIDDLE, (TRUNK[0] + 2, TRUNK[1] + 2), 2), -50)


def blanket(hu: np.ndarray) -> np.ndarray:
    folds = [ring(MIDDLE, (TRUNK[0] + far, TRUNK[1] + far), 1) for far in (6, 9, 13)]
    return around(hu, np.logical_or.reduce(folds) & ~LOWER_HALF, -600)


def pillow(hu: np.ndarray) -> np.ndarray:
    pillow_at = oval((MIDDLE[0] + 40, BACK + 14), (40, 15))
    covered = around(hu, pillow_at, FOAM)
    return around(covered, pillow_at & ~oval((MIDDLE[0] + 40, BACK + 14), (39, 14)), -100)


def leads(hu: np.ndarray) -> np.ndarray:
    return around(hu, oval((MIDDLE[0] - 20, MIDDLE[1] - TRUNK[1] - 1), (3, 3)), 2500)


SURROUNDINGS = {
    "nothing": patient(),
    "a flat couch below": flat_couch(patient(), 5),
    "a flat couch that touches": flat_couch(patient(), 0),
    "a round couch below": round_couch(patient(), 3),
    "a round couch that touches": round_couch(patient(), -2),
    "a cradle shut at both flanks": closed_cradle(patient()),
    "a strap": strap(flat_couch(patient(), 0)),
    "a blanket": blanket(patient()),
    "a pillow": pillow(patient()),
    "leads": leads(patient()),
}
PRONE = {f"{name}, prone": hu[:, ::-1] for name, hu in SURROUNDINGS.items()}


def outline_of(hu: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
    """The body on the native grid, (z, y, x) bool; seen: where a network sees lungs, by default where they are."""
    shown = np.broadcast_to(lungs(), hu.shape) if seen is None else seen
    body = find_body(volume(hu), shown)
    return np.stack([body.slice(z) for z in range(len(hu))])


def beyond(mask: np.ndarray, radius_px: int = 6) -> np.ndarray:
    """Everything farther than so many pixels from a mask, (y, x) bool."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return cv2.dilate(mask.astype(np.uint8), disc) == 0


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_all_lung_is_body_whatever_lies_around(name: str) -> None:
    body = outline_of(SURROUNDINGS[name])
    assert body[:, lungs()].all()


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_nothing_far_from_the_trunk_is_body(name: str) -> None:
    body = outline_of(SURROUNDINGS[name])
    assert not body[:, beyond(trunk())].any()


@pytest.mark.parametrize("name", PRONE)
def test_a_prone_patient_is_outlined_as_well(name: str) -> None:
    mirrored = np.broadcast_to(lungs()[::-1], PRONE[name].shape)
    body = outline_of(PRONE[name], mirrored)
    assert body[:, lungs()[::-1]].all()
    assert not body[:, beyond(trunk()[::-1])].any()


def test_lung_that_a_network_sees_between_couch_and_back_does_not_make_it_body() -> None:
    hu = closed_cradle(patient())
    gap = band((BACK + 4, BACK + 10), (80, 130))
    assert (hu[:, gap] == AIR).all()
    body = outline_of(hu, np.broadcast_to(lungs() | gap, hu.shape))
    assert not body[:, gap].any()


def head_rest(hu: np.ndarray, slices: slice) -> np.ndarray:
    """A thick shell that leans on the shoulders in some slices and lies free in the others."""
    drawn = hu.copy()
    for z in range(len(hu)):
        leans = z in range(*slices.indices(len(hu)))
        shell = ring((MIDDLE[0], BACK - 14), (55, 28), 7) & band((BACK - 14, SHAPE[1]))
        drawn[z][np.roll(shell, 0 if leans else 16, axis=0) & ~trunk()] = SHELL
    return drawn


@pytest.mark.parametrize("slices", [slice(6, None), slice(0, 3), slice(3, 6)])
def test_air_over_a_head_rest_is_no_body_though_a_network_sees_lung_in_it(slices: slice) -> None:
    hu = head_rest(patient(), slices)
    gap = oval((MIDDLE[0], BACK - 14), (46, 20)) & band((BACK + 1, SHAPE[1]))
    seen = np.broadcast_to(lungs(), hu.shape).copy()
    seen[slices] |= gap & (hu[slices] == AIR)
    assert seen[slices, gap].any()
    body = outline_of(hu, seen)
    assert not body[slices, gap].any()
    assert body[:, lungs()].all()


def test_a_chest_wall_as_thin_as_a_couch_holds_its_lungs() -> None:
    """A wall of 6 mm all around, as in wasted patients: an opening alone would tear it away."""
    wide = oval(LUNGS[0], (40, TRUNK[1] - 12)) | oval(LUNGS[1], (40, TRUNK[1] - 12))
    inner = wide & oval(MIDDLE, (TRUNK[0] - 3, TRUNK[1] - 3)) & ~band((0, SHAPE[1]), (97, 113))
    hu = np.full(SHAPE, AIR, np.int16)
    hu[:, trunk()] = SOFT
    hu[:, inner] = LUNG_HU
    body = outline_of(flat_couch(hu, 4), np.broadcast_to(inner, hu.shape))
    assert body[:, inner].all()
    assert not body[:, beyond(trunk())].any()


def test_arms_at_the_sides_change_nothing_for_the_lungs() -> None:
    arms = oval((12, 95), (11, 14)) | oval((198, 95), (11, 14))
    body = outline_of(around(flat_couch(patient(), 2), arms, SOFT))
    assert body[:, lungs()].all()
    assert not body[:, BACK + 6 :].any()


def test_lungs_open_at_the_edge_of_the_picture_are_within_the_body() -> None:
    """A field of view so small that it ends within both lungs."""
    hu = patient()[:, :, 50:160]
    seen = np.broadcast_to(lungs()[:, 50:160], hu.shape)
    assert seen[:, :, 0].any()
    body = outline_of(hu, seen)
    assert body[seen].all()
    assert not body[:, : MIDDLE[1] - TRUNK[1] - 4].any()


def test_lungs_open_at_the_edge_of_a_round_field_are_within_the_body() -> None:
    field = oval(MIDDLE, (62, 62))
    hu = patient()
    hu[:, ~field] = HU_MIN
    seen = np.broadcast_to(lungs() & field, hu.shape)
    assert (lungs() & ~field).any()
    body = outline_of(hu, seen)
    assert body[seen].mean() > 0.99


def test_consolidation_at_the_pleura_is_body() -> None:
    hu = flat_couch(patient(), 0)
    hu[:, lungs() & LOWER_HALF] = 30
    assert outline_of(hu)[:, lungs()].all()


def test_thin_slices_are_answered_by_the_nearest_plane() -> None:
    thin = volume_of(np.repeat(flat_couch(patient(), 5), 5, axis=0), (1.0, 2.0, 2.0))
    body = find_body(thin, np.broadcast_to(lungs(), thin.hu.shape))
    assert len(body.planes) == SHAPE[0]
    for z in range(len(thin.hu)):
        assert body.slice(z)[lungs()].all()


def test_clearing_takes_away_what_lies_outside_and_nothing_else() -> None:
    hu = flat_couch(patient(), 5)
    sides = np.zeros(SHAPE, np.uint8)
    sides[:, oval(LUNGS[0], LUNG)] = 1
    sides[2, BACK + 10 : BACK + 14, 60:100] = 2
    find_body(volume(hu), sides > 0).clear_outside(sides)
    assert not (sides == 2).any()
    assert (sides == 1).sum() == oval(LUNGS[0], LUNG).sum() * SHAPE[0]


def test_an_empty_picture_has_no_body() -> None:
    empty = np.full(SHAPE, AIR, np.int16)
    assert not find_body(volume(empty)).planes.any()


def test_the_outline_lies_on_the_skin() -> None:
    body = outline_of(patient())[4]
    wrong = body ^ trunk()
    assert wrong.sum() < 0.02 * trunk().sum()
    assert SPACING_MM[1] == 2.0
    assert (patient()[4][body & ~lungs()] >= FAT).mean() > 0.98
