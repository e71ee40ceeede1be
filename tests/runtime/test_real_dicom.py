"""The reader on real series: numbers that were measured elsewhere, and real studies that must be refused."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from kit.reading import LIMITS, choose_series, find_series, read_volume
from scanside_runtime.dicom.codings.pixels import stored_values
from scanside_runtime.dicom.errors import InputRescaleJumps, SeriesSingleSlice
from scanside_runtime.dicom.headers import lenient, read_dataset
from scanside_runtime.dicom.index import Found
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.dicom.rescale import check_rescale
from scanside_runtime.dicom.values.elements import rescale
from scanside_runtime.errors import Refused

pytestmark = pytest.mark.usefixtures("warm_readers")

GATED = "4dlung-113_gated40_3mm.tar.xz"
TWO_KERNELS = "lung-dx-a0001_chest-5mm_two-kernels.tar.xz"
HEAD = "philips-ingenuity_head-study_subset.tar.xz"
ONE_SLICE = "helical-chest-slice_16-transfer-syntaxes.zip"
LOSSY = {
    "1.2.840.10008.1.2.4.51": 4,
    "1.2.840.10008.1.2.4.53": 4,
    "1.2.840.10008.1.2.4.55": 4,
}  # mean HU off; 4.50 has steps of 32
LOSSY |= {"1.2.840.10008.1.2.4.50": 20, "1.2.840.10008.1.2.4.81": 2, "1.2.840.10008.1.2.4.91": 2}


@pytest.fixture(scope="module")
def ct(shared_data: Path) -> Path:
    return shared_data / "ct"


def unpacked(archive: Path, target: Path) -> Path:
    if not archive.is_file():
        pytest.skip(f"{archive.name} is not laid out here")
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target


def stated(ct: Path, name: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = json.loads((ct / "manifest.json").read_text())["entries"]
    return next(entry for entry in entries if entry["file"] == name)


def test_the_gated_series_has_the_mean_hu_of_the_manifest(ct: Path, tmp_path: Path) -> None:
    folder = unpacked(ct / GATED, tmp_path)
    found = find_series(folder)
    series = choose_series(found)
    volume = read_volume(series)
    assert len(found.headers) == 100
    assert (len(series.slices), series.slices[0].image_type[1]) == (99, "SECONDARY")
    assert volume.spacing_mm == pytest.approx(stated(ct, GATED)["spacing_mm"], abs=1e-4)
    assert volume.hu_mean == pytest.approx(stated(ct, GATED)["hu_mean"], abs=1e-3)
    air_share = [(hu < -400).mean() for hu in volume.hu[:, 100:400, 100:400]]
    assert np.argmax(air_share) > 20, "the widest lung lies well above the lowest slice"


def test_of_two_kernels_the_soft_one_is_chosen(two_kernels: Found) -> None:
    series = choose_series(two_kernels)
    assert (series.kernel, len(series.slices), series.study.age_years) == ("B", 64, 58.0)
    assert series.spacing_mm == pytest.approx((5.0, 0.842, 0.842), abs=1e-3)
    assert "kernel L" in series.chosen_because
    assert series.study.acquired_at == "2007-04-04T19:00:47"


@pytest.fixture(scope="module")
def two_kernels(ct: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return find_series(unpacked(ct / TWO_KERNELS, tmp_path_factory.mktemp("two_kernels")))


@pytest.fixture
def one_series(two_kernels: Found, tmp_path: Path) -> list[Path]:
    """Copies of the files of the soft series of the two-kernel study, feet to head; they may be altered."""
    slices = choose_series(two_kernels).slices
    return [Path(shutil.copy(header.file.path, tmp_path / f"{z:03d}.dcm")) for z, header in enumerate(slices)]


def altered(paths: list[Path], change: Callable[[Dataset, int], None]) -> None:
    for number, path in enumerate(paths):
        ds = dcmread(path)
        change(ds, number)
        ds.save_as(path)


def refusal_of(paths: list[Path]) -> Refused:
    with StudyReader(LIMITS) as reader, pytest.raises(Refused) as caught:
        reader.read_volume(choose_series(reader.find(paths[0].parent)))
    return caught.value


def test_a_real_slice_lost_on_the_way_is_missed_at_its_place(one_series: list[Path]) -> None:
    below = dcmread(one_series[29], stop_before_pixels=True).ImagePositionPatient[2]
    one_series[30].unlink()
    refusal = refusal_of(one_series)
    assert (refusal.code, refusal.values["count"]) == ("GEOMETRY_MISSING_SLICES", 1)
    assert refusal.values["where"] == f"{float(below):.1f} mm"


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.999])
def test_a_real_slice_cut_off_is_refused_by_name(one_series: list[Path], kept: float) -> None:
    data = one_series[20].read_bytes()
    one_series[20].write_bytes(data[: int(len(data) * kept)])
    refusal = refusal_of(one_series)
    assert refusal.code == "INPUT_TRUNCATED"
    assert one_series[20].name in refusal.message


def test_a_real_series_of_every_third_slice_is_a_caution(one_series: list[Path]) -> None:
    for number, path in enumerate(one_series):
        if number % 3:
            path.unlink()
    series = choose_series(find_series(one_series[0].parent))
    assert "GEOMETRY_GAPS" in {note.code for note in series.notes}
    assert series.spacing_mm[0] == pytest.approx(15.0, abs=0.01)


def test_a_real_series_that_is_sheared_is_refused(one_series: list[Path]) -> None:
    def shear(ds: Dataset, number: int) -> None:
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, float(y) + 1.5 * number, z]

    altered(one_series, shear)
    assert refusal_of(one_series).code == "GEOMETRY_TILT"


def test_a_real_series_with_one_wrong_intercept_is_refused(one_series: list[Path]) -> None:
    def shift(ds: Dataset, number: int) -> None:
        if number == 30:
            ds.RescaleIntercept = "0"

    altered(one_series, shift)
    series = choose_series(find_series(one_series[0].parent))
    with pytest.raises(InputRescaleJumps):
        check_rescale(series.slices, read_volume(series).hu)


def test_two_real_reconstructions_under_one_uid_are_told_apart(two_kernels: Found, tmp_path: Path) -> None:
    sources = [header.file.path for header in two_kernels.headers]
    files = [Path(shutil.copy(path, tmp_path / f"{number:03d}.dcm")) for number, path in enumerate(sources)]

    def join(ds: Dataset, number: int) -> None:
        ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.2.3", f"1.2.3.{number}"

    altered(files, join)
    series = choose_series(find_series(tmp_path))
    assert (series.kernel, len(series.slices)) == ("B", 64)
    assert series.notes[0].code == "SERIES_SPLIT"
    assert "64 slices, 5 mm, kernel L" in series.passed_over[0].why


def test_of_the_head_study_one_series_is_left_to_the_picture_and_the_others_are_refused(
    ct: Path, tmp_path: Path
) -> None:
    folder = unpacked(ct / HEAD, tmp_path)
    series = choose_series(find_series(folder))
    assert [(note.code, note.level) for note in series.notes] == [("SERIES_LABELLED_OTHERWISE", "caution")]
    codes = {"S1000": "SERIES_LOCALIZER_ONLY", "S2020": "SERIES_TOO_FEW_SLICES"}
    codes |= {"S2030": "SERIES_TOO_FEW_SLICES", "S4010": "SERIES_SECONDARY_CAPTURE"}
    for name, code in codes.items():
        with pytest.raises(Refused) as refusal:
            choose_series(find_series(folder / name))
        assert refusal.value.code == code, name


def test_one_slice_in_sixteen_codings_is_no_volume(ct: Path) -> None:
    if not (ct / ONE_SLICE).is_file():
        pytest.skip(f"{ONE_SLICE} is not laid out here")
    found = find_series(ct / ONE_SLICE)
    assert (len(found.headers), found.not_dicom, found.unreadable) == (16, 1, ())
    with pytest.raises(SeriesSingleSlice):
        choose_series(found)


def test_all_sixteen_codings_decode_to_the_same_slice(ct: Path, tmp_path: Path) -> None:
    if not (ct / ONE_SLICE).is_file():
        pytest.skip(f"{ONE_SLICE} is not laid out here")
    with zipfile.ZipFile(ct / ONE_SLICE) as archive:
        archive.extractall(tmp_path)
    reference = dcmread(tmp_path / "CTImage.dcm").pixel_array.astype(float) - 1024
    files = sorted(tmp_path.glob("*.dcm"))
    assert len(files) == 16
    for file in files:
        with lenient(), file.open("rb") as stream:
            ds = read_dataset(stream, pixels=True, max_inflated_mb=LIMITS.max_inflated_mb)
            slope, intercept = rescale(ds) or (0.0, 0.0)
            hu = stored_values(ds, file.name) * slope + intercept
        allowed = LOSSY.get(str(ds.file_meta.TransferSyntaxUID), 0)
        assert np.abs(hu - reference).mean() <= allowed, file.name
