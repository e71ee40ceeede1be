"""Reasons not to believe: every finding has a case that makes it happen, beside a sound chest that has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from kit.analysis_samples import SPACING_MM, chest_hu, chest_masks
from scanside_runtime.dicom.errors import SeriesNotChest
from scanside_runtime.findings import KINDS, Finding
from scanside_runtime.quality.anatomy import require_chest
from scanside_runtime.quality.gate import judge
from scanside_runtime.quality.hu_calibration import soft_tissue_hu, tracheal_air_hu
from scanside_runtime.quality.patient import check_age
from scanside_runtime.settings.tables import (
    AnatomySettings,
    CoverageSettings,
    PatientSettings,
    QualitySettings,
    Settings,
)
from scanside_runtime.volume import Bools, Hu, Masks, Volume

Chest = tuple[Volume, Masks]
DEFAULT = Settings()


def volume_of(hu: Hu, spacing_mm: tuple[float, float, float] = SPACING_MM, thickness_mm: float | None = None) -> Volume:
    dz, dy, dx = spacing_mm
    return Volume(np.clip(hu, -1024, 3071).astype(np.int16), np.diag([dx, dy, dz, 1.0]), spacing_mm, thickness_mm)


def chest(hu: Hu | None = None, **options: float | tuple[float, float, float]) -> Chest:
    """The sample chest with its own masks, whatever its pixels."""
    volume = volume_of(chest_hu() if hu is None else hu, **options)  # type: ignore[arg-type]
    return volume, chest_masks(volume)


def redrawn(change: Callable[[Bools, Bools], object]) -> Chest:
    """The sample chest with other lungs: `change` works on right and left, (z, y, x) bool, in place."""
    volume, masks = chest()
    right, left = masks.right_lung.array.copy(), masks.left_lung.array.copy()
    change(right, left)
    infection = masks.infection.array & (right | left)
    return volume, Masks(*(volume.with_mask(array) for array in (right, left, infection)))


def found(case: Chest, kernel: str | None = "STANDARD", settings: Settings = DEFAULT) -> dict[str, str]:
    return {finding.code: finding.level for finding in judge(*case, kernel, settings)}


def test_a_sound_chest_has_no_finding() -> None:
    assert found(chest()) == {}


# Cases, by code and level


def shifted(by_hu: int) -> Chest:
    return chest(chest_hu() + np.int16(by_hu))


def without_trachea() -> Chest:
    hu = chest_hu()
    hu[hu == -1000] = 40
    return chest(hu)


def with_clipped_trachea() -> Chest:
    hu = chest_hu()
    hu[hu == -1000] = -1024
    return chest(hu)


def with_blood_of(blood_hu: int) -> Chest:
    hu = chest_hu()
    between = hu[2:12, 8:24, 19:26]
    between[between > 0] = blood_hu
    return chest(hu)


def with_noise_of(sigma_hu: float) -> Chest:
    return chest(chest_hu() + np.random.default_rng(1).normal(0.0, sigma_hu, chest_hu().shape))


def with_metal_of(metal_hu: int) -> Chest:
    hu = chest_hu()
    hu[5:7, 35, 22] = metal_hu
    return chest(hu)


def two_bodies() -> Chest:
    """The upper half of the slices is of somebody smaller who lies elsewhere."""
    hu = chest_hu()
    upper = np.full_like(hu[7:], -1000)
    upper[:, 12:28, 2:30] = hu[7:, 12:28, 2:30]
    hu[7:] = upper
    return chest(hu)


def at_the_edge(slices: slice) -> Chest:
    """The field of view ends at the right lung, in some slices."""

    def reach(right: Bools, left: Bools) -> None:
        right[slices, 8:32, 0:4] = True

    return redrawn(reach)


def behind_padding() -> Chest:
    hu = chest_hu()
    hu[:, :, :6] = -1024
    return chest(hu)


def sparse_lungs() -> Chest:
    def thin_out(right: Bools, left: Bools) -> None:
        for lung in (right, left):
            lung[:, 9:31] &= (np.arange(9, 31) % 4 == 1)[:, None]

    return redrawn(thin_out)


def left_lung_in(slices: int) -> Chest:
    def shrink(right: Bools, left: Bools) -> None:
        left[2 + slices :] = False

    return redrawn(shrink)


def replaced_by(value: int, change: Callable[[Bools, Bools], object]) -> Chest:
    """Other lungs, and this HU where they were."""
    lungs_before = chest()[1].lungs
    _, masks = redrawn(change)
    hu = np.where(lungs_before & ~masks.lungs, np.int16(value), chest_hu())
    return volume_of(hu), masks


def left_lung_to_column(column: int) -> Chest:
    """The left lung is narrower than the right one, from apex to base."""
    return replaced_by(45, lambda right, left: left[:, :, column:].fill(False))


def apex_gone(slices: int) -> Chest:
    return replaced_by(45, lambda right, left: right[12 - slices :].fill(False))


def lower_third_gone(share: float) -> Chest:
    return replaced_by(45, lambda right, left: left[2:6, 8 + round(24 * share) :].fill(False))


def air_missed(rows: int) -> Chest:
    """A part of the right lung that nobody outlined, with air in it."""
    return redrawn(lambda right, left: right[4:8, 16 : 16 + rows, 8:14].fill(False))


def fluid_behind(value: int, rows: int = 12) -> Chest:
    """A layer of that HU behind the lower half of the right lung, with lung above it."""
    return replaced_by(value, lambda right, left: right[2:7, 32 - rows : 32].fill(False))


def fluid_outlined(value: int, rows: int = 12) -> Chest:
    """A layer of that HU at the back of the right lung, which the outlines hold."""
    hu = chest_hu()
    hu[2:8, 32 - rows : 32, 4:19] = value
    return chest(hu)


def with_bounds(low_ml: float, high_ml: float) -> Chest:
    volume, masks = chest()
    return volume, replace(masks, infection_bounds_ml=(low_ml, high_ml))


def with_unseen(unseen_ml: float, infected: slice = slice(4, 6)) -> Chest:
    """A chest whose right lung is infected in some slices; in the slices 4 and 5 so much was not seen."""
    volume, masks = chest()
    infection = np.zeros(volume.hu.shape, np.bool_)
    infection[infected] = masks.right_lung.array[infected]
    unseen = np.zeros(len(volume.hu), np.int64)
    unseen[4:6] = round(unseen_ml / volume.voxel_ml / 2)
    return volume, replace(masks, infection=volume.with_mask(infection), unseen_areas=unseen)


def cut_below(area_from: int) -> Chest:
    """Lung in the lowest slice: columns up to here in both lungs."""

    def lower(right: Bools, left: Bools) -> None:
        right[:2] = right[2]
        left[:2] = left[2]
        right[0, :, area_from:] = False
        left[0, :, 26:] = False

    return redrawn(lower)


def with_gut_gas(columns: int) -> Chest:
    """Gas in the lowest slices that the outlines hold."""
    hu = chest_hu()
    hu[:2, 12:20, 8 : 8 + columns] = -1000
    volume, masks = volume_of(hu), chest_masks(volume_of(hu))
    right = masks.right_lung.array.copy()
    right[:2, 12:20, 8 : 8 + columns] = True
    arrays = (right, masks.left_lung.array, masks.infection.array)
    return volume, Masks(*(volume.with_mask(array) for array in arrays))


def with_metal_at_the_base() -> Chest:
    """On the clothes, beside the lowest hundredth of the lungs."""
    volume, masks = replaced_by(45, lambda right, left: [lung[2, :, :-1].fill(False) for lung in (right, left)])
    hu = volume.hu.copy()
    hu[2, 35, 22] = 3000
    left = masks.left_lung.array.copy()
    left[2, 20, 30] = True
    changed = volume_of(hu)
    arrays = (masks.right_lung.array, left, masks.infection.array & (masks.right_lung.array | left))
    return changed, Masks(*(changed.with_mask(array) for array in arrays))


def upside_down(case: Chest) -> Chest:
    volume, masks = case
    arrays = (masks.right_lung.array, masks.left_lung.array, masks.infection.array)
    hu = np.where(volume.hu[::-1] == -1000, 40, volume.hu[::-1]).astype(np.int16)
    hu[7:, 12:16, 21:24] = -1000  # the trachea stays above
    turned = volume_of(hu)
    return turned, Masks(*(turned.with_mask(array[::-1]) for array in arrays))


def turned(case: Chest) -> Chest:
    """All of it, the trachea too, from head to feet."""
    volume, masks = case
    arrays = (masks.right_lung.array, masks.left_lung.array, masks.infection.array)
    other = volume_of(volume.hu[::-1])
    return other, Masks(*(other.with_mask(array[::-1]) for array in arrays))


CASES: list[tuple[str, str, Callable[[], Chest]]] = [
    ("PATIENT_TWO_BODIES", "withhold", two_bodies),
    ("QUALITY_HU_CALIBRATION", "withhold", lambda: shifted(120)),
    ("QUALITY_HU_CALIBRATION", "withhold", lambda: shifted(-90)),
    ("QUALITY_HU_UNPROVEN", "note", without_trachea),
    ("QUALITY_HU_UNPROVEN", "note", with_clipped_trachea),
    ("COVERAGE_BASE_CUT", "caution", lambda: cut_below(6)),
    ("COVERAGE_BASE_CUT", "withhold", lambda: cut_below(19)),
    ("COVERAGE_APEX_CUT", "caution", lambda: upside_down(cut_below(6))),
    ("COVERAGE_APEX_CUT", "withhold", lambda: upside_down(cut_below(19))),
    ("COVERAGE_GUT_GAS", "caution", lambda: with_gut_gas(4)),
    ("COVERAGE_GUT_GAS", "withhold", lambda: with_gut_gas(12)),
    ("COVERAGE_FIELD_OF_VIEW", "withhold", lambda: at_the_edge(slice(2, 12))),
    ("COVERAGE_FIELD_OF_VIEW", "withhold", behind_padding),
    ("COVERAGE_FIELD_OF_VIEW", "caution", lambda: redrawn(lambda right, _: right[5, 20, 0:4].fill(True))),
    ("QUALITY_LUNG_VOLUME", "withhold", lambda: chest(spacing_mm=(10.0, 12.0, 14.5))),
    ("QUALITY_LUNG_VOLUME", "caution", sparse_lungs),
    ("QUALITY_UNEVEN_LUNGS", "caution", lambda: left_lung_in(4)),
    ("QUALITY_UNEVEN_LUNGS", "withhold", lambda: left_lung_in(1)),
    ("QUALITY_PART_MISSING", "caution", lambda: apex_gone(4)),
    ("QUALITY_PART_MISSING", "caution", lambda: lower_third_gone(0.1)),
    ("QUALITY_AIR_OUTSIDE", "caution", lambda: air_missed(8)),
    ("QUALITY_POSSIBLE_EFFUSION", "caution", lambda: fluid_behind(15)),
    ("QUALITY_POSSIBLE_EFFUSION", "caution", lambda: fluid_outlined(15)),
    ("QUALITY_POSSIBLE_EFFUSION", "caution", lambda: fluid_outlined(24, rows=20)),
    ("QUALITY_ORIENTATION", "caution", lambda: turned(chest())),
    ("QUALITY_ORIENTATION", "withhold", lambda: turned(cut_below(19))),
    ("QUALITY_THICKNESS", "caution", lambda: chest(spacing_mm=(9.5, 4.0, 5.0), thickness_mm=9.9)),
    ("QUALITY_THICKNESS", "withhold", lambda: chest(thickness_mm=12.0)),
    ("QUALITY_CONTRAST", "caution", lambda: with_blood_of(220)),
    ("QUALITY_NOISE", "caution", lambda: with_noise_of(70.0)),
    ("QUALITY_METAL", "caution", lambda: with_metal_of(3000)),
    ("QUALITY_UNCERTAIN", "caution", lambda: with_bounds(20.0, 120.0)),
    ("QUALITY_PARTLY_SEEN", "caution", lambda: with_unseen(6.0)),
]


@pytest.mark.parametrize(("code", "level", "case"), CASES, ids=[f"{code} {level}" for code, level, _ in CASES])
def test_a_chest_with_this_fault_is_found_out(code: str, level: str, case: Callable[[], Chest]) -> None:
    nine_to_ten = replace(DEFAULT, quality=QualitySettings(validated_to_mm=9.6))
    assert found(case(), settings=nine_to_ten)[code] == level


def test_the_figures_of_a_message_stand_beside_it_by_name() -> None:
    faults = [cut_below(6), shifted(120), with_noise_of(60.0), with_unseen(20.0), apex_gone(4), lower_third_gone(0.1)]
    said = [finding for chest in faults for finding in judge(*chest, "STANDARD", DEFAULT) if finding.values]
    assert {"COVERAGE_BASE_CUT", "QUALITY_HU_CALIBRATION", "QUALITY_PART_MISSING"} <= {one.code for one in said}
    for finding in said:
        for value in finding.values.values():
            assert any(format(value, spec) in finding.message for spec in (".0f", ".1f", "g")), finding


@pytest.mark.parametrize(
    "case",
    [
        lambda: shifted(30),
        lambda: shifted(-15),
        lambda: with_blood_of(60),
        lambda: with_noise_of(25.0),
        lambda: with_metal_of(2400),
        with_metal_at_the_base,
        lambda: with_bounds(20.0, 60.0),
        lambda: with_unseen(4.0),
        lambda: with_unseen(6.0, infected=slice(8, 9)),
        lambda: left_lung_to_column(35),
        lambda: apex_gone(2),
        lambda: lower_third_gone(0.6),
        lambda: air_missed(2),
        lambda: fluid_behind(45),
        lambda: fluid_outlined(45),
        lambda: fluid_outlined(-100),
        lambda: fluid_behind(-100),
        lambda: fluid_behind(15, rows=2),
        lambda: chest(thickness_mm=10.0),
        lambda: chest(spacing_mm=(9.5, 5.0, 6.0)),
    ],
)
def test_what_is_within_the_limits_is_no_finding(case: Callable[[], Chest]) -> None:
    assert found(case()) == {}


@pytest.mark.parametrize(("kernel", "sharp"), [("B70f", True), ("LUNG", True), ("B30f", False), (None, False)])
def test_a_kernel_is_doubted_when_its_name_says_sharp(kernel: str | None, sharp: bool) -> None:
    assert found(chest(), kernel=kernel) == ({"QUALITY_KERNEL": "caution"} if sharp else {})


@pytest.mark.parametrize(
    ("age_years", "expected"),
    [
        (0.02, {"PATIENT_UNDER_AGE": "withhold"}),
        (17.99, {"PATIENT_UNDER_AGE": "withhold"}),
        (18.0, {}),
        (90.0, {}),
        (None, {"PATIENT_AGE_UNKNOWN": "caution"}),
        (999.0, {"PATIENT_AGE_UNKNOWN": "caution"}),
    ],
)
def test_children_are_not_measured_and_unknown_is_not_adult(age_years: float | None, expected: dict[str, str]) -> None:
    assert {one.code: one.level for one in check_age(age_years, PatientSettings())} == expected


def test_every_finding_of_the_gate_has_a_case() -> None:
    families = ("COVERAGE_", "QUALITY_", "PATIENT_")
    elsewhere = {"QUALITY_KERNEL", "QUALITY_MOTION", "PATIENT_UNDER_AGE", "PATIENT_AGE_UNKNOWN", "PATIENT_RELEASED"}
    elsewhere |= {"PATIENT_ID_PLACEHOLDER", "PATIENT_OTHER_ISSUER", "PATIENT_OTHER_NAME", "PATIENT_SET_APART"}
    elsewhere |= {"PATIENT_UNDATED", "PATIENT_OTHER_BODY", "QUALITY_LOOKS_EXTENSIVE"}
    wanted = {
        (code, level)
        for code, kind in KINDS.items()
        for level in kind.levels
        if code.startswith(families) and code not in elsewhere
    }
    assert {(code, level) for code, level, _ in CASES} == wanted


def test_the_limits_are_settings() -> None:
    lenient = replace(
        DEFAULT,
        coverage=CoverageSettings(withhold_share=1.0, edge_share=1.0),
        anatomy=AnatomySettings(lone_share=0.0, uneven_share=0.0, largest_ml=50000.0, least_fill=0.0),
        quality=QualitySettings(air_highest_hu=0.0, soft_highest_hu=300.0, soft_lowest_hu=-300.0, blood_hu=500.0),
    )
    for case in (lambda: shifted(120), lambda: cut_below(19), lambda: left_lung_in(1), sparse_lungs):
        assert "withhold" not in found(case(), settings=lenient).values()
    assert found(with_blood_of(220), settings=lenient) == {}


# A chest at all


@pytest.mark.parametrize(
    "case",
    [
        lambda: chest(np.where(chest_hu() == -850, -1000, chest_hu()).astype(np.int16)),
        lambda: chest(np.where(chest_hu() == -850, -100, chest_hu()).astype(np.int16)),
        lambda: chest(spacing_mm=(5.0, 8.0, 7.0)),
        lambda: chest(spacing_mm=(24.0, 6.0, 2.0)),
    ],
    ids=["gas", "solid", "flat", "narrow"],
)
def test_what_has_no_lungs_shape_and_air_is_no_chest(case: Callable[[], Chest]) -> None:
    with pytest.raises(SeriesNotChest) as caught:
        judge(*case(), None, DEFAULT)
    assert caught.value.code == "SERIES_NOT_CHEST"


def test_lungs_of_which_nine_tenths_are_consolidated_are_still_lungs() -> None:
    hu = chest_hu()
    dense = (hu == -850) & (np.indices(hu.shape)[1] % 10 > 0)
    assert dense.sum() > 0.85 * (hu == -850).sum()
    volume, masks = chest(np.where(dense, 30, hu).astype(np.int16))
    require_chest(volume, masks, AnatomySettings())


def test_lungs_on_the_wrong_sides_are_no_chest() -> None:
    volume, masks = chest()
    swapped = Masks(masks.left_lung, masks.right_lung, masks.infection)
    with pytest.raises(SeriesNotChest, match="left of the left"):
        require_chest(volume, swapped, AnatomySettings())


# What is measured


def test_the_trachea_and_soft_tissue_are_measured_where_they_are() -> None:
    case = chest()
    assert tracheal_air_hu(*case) == -1000.0
    assert soft_tissue_hu(*case) == pytest.approx(45.0, abs=6.0)


def test_fat_is_not_taken_for_soft_tissue() -> None:
    hu = chest_hu()
    hu[:, 33:, :] = -100  # more fat than muscle on the patient's back
    hu[:, :, :3] = -100
    assert soft_tissue_hu(*chest(hu)) == pytest.approx(45.0, abs=6.0)


def test_contrast_medium_does_not_shift_the_calibration() -> None:
    assert set(found(with_blood_of(350))) == {"QUALITY_CONTRAST"}


def test_the_slices_are_numbered_as_on_the_page_from_the_head() -> None:
    (finding,) = (one for one in judge(*two_bodies(), None, DEFAULT) if one.code == "PATIENT_TWO_BODIES")
    assert "slices 7 and 8" in finding.message  # the 7 upper ones of 14


def test_findings_come_in_the_order_of_gravity() -> None:
    worst: list[Finding] = list(judge(*shifted(120), "LUNG", DEFAULT))
    assert worst[0].level == "withhold"
    assert worst[-1].code == "QUALITY_KERNEL"
