"""Numbers of a header that are written with more or fewer digits are the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.dicom_samples import make_series, make_slice, picture, write
from kit.reading import choose_series, find_series, read_volume
from scanside_appliance.inbox.readiness import _holes
from scanside_runtime.dicom.errors import GeometryDuplicatePositions
from scanside_runtime.dicom.rescale import check_rescale
from scanside_runtime.dicom.series import Series
from scanside_runtime.dicom.splitting import alike, mixed_reconstruction
from scanside_runtime.model.contract import ModelContract
from scanside_runtime.model.stacks import plan_slabs
from scanside_runtime.quality.image_quality import check_thickness
from scanside_runtime.settings.tables import QualitySettings
from scanside_runtime.volume import Volume

Say = Callable[[int], dict[str, Any]]
WAYS: dict[str, Say] = {
    "slice thickness on a rounding's edge": lambda n: {"SliceThickness": ("9.9500002", "9.9499998")[n % 2]},
    "slice thickness of other tenths": lambda n: {"SliceThickness": ("9.96", "10.0", "10.04")[n % 3]},
    "pixel spacing": lambda n: {"PixelSpacing": [("0.8", "0.80000001")[n % 2], "0.7"]},
    "orientation": lambda n: {"ImageOrientationPatient": [1, 0, 0, 0, 1, (0.005001, 0.004999)[n % 2]]},
    "intercept": lambda n: {"RescaleIntercept": ("-1024", "-1024.0000001")[n % 2]},
}


def chosen(folder: Path) -> Series:
    return choose_series(find_series(folder))


@pytest.mark.parametrize("way", WAYS)
def test_a_series_whose_numbers_are_written_in_two_ways_is_measured_whole(tmp_path: Path, way: str) -> None:
    series = chosen(write(tmp_path, [make_slice(n, **WAYS[way](n)) for n in range(24)]))
    assert len(series.slices) == 24
    assert {note.code for note in series.notes} <= {"GEOMETRY_TILT_CORRECTED"}
    assert check_rescale(series.slices, read_volume(series).hu) == ()


def test_two_phases_are_told_apart_though_their_numbers_are_written_in_two_ways(tmp_path: Path) -> None:
    slices = [make_slice(n, AcquisitionNumber=1, **WAYS["slice thickness on a rounding's edge"](n)) for n in range(12)]
    later = [make_slice(n, pixels=picture(n + 40), AcquisitionNumber=2, SOPInstanceUID=f"1.2.{n}") for n in range(12)]
    series = chosen(write(tmp_path, [*slices, *later]))
    assert len(series.slices) == 12
    assert [note.code for note in series.notes] == ["SERIES_SPLIT"]


def test_numbers_that_differ_are_told_apart_and_those_that_do_not_are_not() -> None:
    assert alike([(5.0,), None, (4.9499998,), (4.95,), (1.25,)], 0.05) == [(1,), None, (1,), (1,), (0,)]
    assert alike([None, None], 0.05) == [None, None]


def test_a_thickness_that_differs_is_still_another_reconstruction(tmp_path: Path) -> None:
    series = chosen(write(tmp_path, [make_slice(n) for n in range(12)]))
    other = chosen(write(tmp_path / "other", [make_slice(n, SliceThickness="9.8") for n in range(12)]))
    assert mixed_reconstruction([*series.slices[:6], *other.slices[6:]]) == "slice thickness 10 mm, 9.8 mm"


def test_a_copy_that_another_program_wrote_is_a_copy(tmp_path: Path) -> None:
    write(tmp_path / "a", make_series())
    copies = [make_slice(n, PixelSpacing=["0.8000001", "0.7"], SOPInstanceUID=f"1.2.3.{n}") for n in range(12)]
    write(tmp_path / "b", copies)
    series = chosen(tmp_path)
    assert (len(series.slices), [note.code for note in series.notes]) == (12, ["GEOMETRY_COPIES"])


PLACES_OF_OTHER_DIGITS: dict[str, dict[str, Any]] = {
    "position": {"ImagePositionPatient": ["-100", "-90", "60.000001"]},
    "orientation": {"ImageOrientationPatient": ["0.99999999", 0, 0, 0, 1, 0]},
}


@pytest.mark.parametrize("place", PLACES_OF_OTHER_DIGITS)
def test_another_picture_at_a_place_that_is_written_otherwise_is_no_copy(tmp_path: Path, place: str) -> None:
    other = make_slice(6, pixels=picture(40), SOPInstanceUID="1.2.3", **PLACES_OF_OTHER_DIGITS[place])
    with pytest.raises(GeometryDuplicatePositions):
        chosen(write(tmp_path, [*make_series(), other]))


@pytest.mark.parametrize("place", PLACES_OF_OTHER_DIGITS)
def test_the_same_picture_at_a_place_that_is_written_otherwise_is_one(tmp_path: Path, place: str) -> None:
    copy = make_slice(6, SOPInstanceUID="1.2.3", **PLACES_OF_OTHER_DIGITS[place])
    series = chosen(write(tmp_path, [*make_series(), copy]))
    assert (len(series.slices), [note.code for note in series.notes]) == (12, ["GEOMETRY_COPIES"])


@pytest.mark.parametrize("way", ["10.0000001", "9.9999999"])
def test_ten_millimetres_are_ten_millimetres(tmp_path: Path, way: str) -> None:
    series = chosen(write(tmp_path, make_series(SliceThickness=way)))
    assert series.slice_thickness_mm == 10.0
    volume = Volume(np.zeros((2, 2, 2), np.int16), np.eye(4), (10.000000000000002, 1.0, 1.0), 10.0)
    assert check_thickness(volume, QualitySettings()) == ()


def test_three_millimetres_are_not_thin_whatever_their_last_digit() -> None:
    contract = ModelContract("lungs", ("none", "right", "left"), (-1000.0, 200.0), 1.5, (64, 96))
    assert len(plan_slabs(20, 2.9999998, None, contract).centres_mm) == 20


def test_places_that_differ_by_a_hair_are_one_place_and_no_hole() -> None:
    doubled = [10.0 * n + hair for n in range(12) for hair in (0.0, 0.0051)]
    assert _holes(doubled) == 0
    assert _holes([*doubled, 200.0]) == 1
