"""Left stays left: an asymmetric chest in every patient position, through reading, masks and every export."""

from __future__ import annotations

import io
import re
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from kit.analysis_samples import SPACING_MM, analysed, chest_hu
from kit.bundle_samples import write_bundle
from scanside_appliance.pictures.plane import INFECTION, LEFT_LUNG, RIGHT_LUNG
from scanside_appliance.results.output import write_output
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.options import Options
from scanside_runtime.analysis.result import Analysis
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.settings.tables import InferenceSettings, Settings

pytestmark = pytest.mark.usefixtures("warm_readers")

Direction = tuple[int, int, int]
RIGHTWARDS, LEFTWARDS, FRONTWARDS, BACKWARDS = (-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)

# Direction of rows and of columns in the patient (LPS), for each Patient Position (PS3.3 C.7.3.1.1.2) as a scanner
# would draw it: the picture's own up is up in the room.
POSITIONS: dict[str, tuple[Direction, Direction]] = {
    "HFS": (LEFTWARDS, BACKWARDS),
    "HFP": (RIGHTWARDS, FRONTWARDS),
    "HFDR": (FRONTWARDS, LEFTWARDS),
    "HFDL": (BACKWARDS, RIGHTWARDS),
    "FFS": (RIGHTWARDS, BACKWARDS),
    "FFP": (LEFTWARDS, FRONTWARDS),
    "FFDR": (BACKWARDS, LEFTWARDS),
    "FFDL": (FRONTWARDS, RIGHTWARDS),
}


def write_position(folder: Path, position: str) -> None:
    """The sample chest, in which only the left lung is sick, low and at the back, stored as for this position."""
    hu = chest_hu()
    origin_mm = np.array((-110.0, -80.0, -63.25))
    along_row, along_column = (np.array(direction) for direction in POSITIONS[position])
    for z, path in enumerate(write_series(hu, SPACING_MM, folder, origin_mm=(-110.0, -80.0, -63.25))):
        ds = pydicom.dcmread(path)
        frame, first = _stored(ds.pixel_array, along_row, along_column)
        ds.Rows, ds.Columns = frame.shape
        ds.PixelData = np.ascontiguousarray(frame).tobytes()
        dy, dx = SPACING_MM[1:]
        ds.PixelSpacing = [dx, dy] if along_row[1] else [dy, dx]
        ds.ImageOrientationPatient = [*map(float, along_row), *map(float, along_column)]
        ds.ImagePositionPatient = list(origin_mm + np.array([first[1] * dx, first[0] * dy, z * SPACING_MM[0]]))
        ds.PatientPosition = position
        ds.save_as(path)


def _stored(plane: np.ndarray, along_row: np.ndarray, along_column: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """An LPS plane (y, x) as rows and columns in other directions, and the (y, x) of its first pixel."""
    y_backwards, x_backwards = (-1 in (along_row[axis], along_column[axis]) for axis in (1, 0))
    first = (plane.shape[0] - 1 if y_backwards else 0, plane.shape[1] - 1 if x_backwards else 0)
    turned = plane[:: -1 if y_backwards else 1, :: -1 if x_backwards else 1]
    return (turned.T if along_row[1] else turned), first


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle")).folder


@pytest.fixture(scope="module", params=POSITIONS)
def exported(
    request: pytest.FixtureRequest, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Analysis, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    write_position(folder / "series", request.param)
    one_thread = Settings(inference=InferenceSettings(threads=1))
    analysis = analyze(folder / "series", Options(one_thread, "onnxruntime", bundle=bundle))
    write_output(analysis, folder / "out")
    return analysis, folder / "out"


def test_the_volume_is_the_patient_whatever_the_position(exported: tuple[Analysis, Path]) -> None:
    volume = exported[0].volume
    assert volume is not None
    np.testing.assert_array_equal(volume.hu, chest_hu())


def test_the_numbers_say_left(exported: tuple[Analysis, Path]) -> None:
    found = exported[0].document()["biomarkers"]
    assert found["left"]["poi_percent"] > 5.0
    assert found["right"]["poi_percent"] < 1.0
    assert found["zones"]["left_lower"]["poi_percent"] > 10.0 > 1.0 > found["zones"]["left_upper"]["poi_percent"]


def test_the_segmentation_lies_on_the_patients_left(exported: tuple[Analysis, Path]) -> None:
    """Read by pydicom alone: millimetres of every frame by its own orientation and position."""
    ds = pydicom.dcmread(io.BytesIO((exported[1] / "seg.dcm").read_bytes()))
    middle = {label: points.mean(axis=0) for label, points in _points(ds).items()}
    assert middle["Left lung"][0] > middle["Right lung"][0] + 50.0
    assert middle["Infection"][0] > 0.5 * (middle["Left lung"][0] + middle["Right lung"][0]) + 20.0
    assert middle["Infection"][1] > middle["Left lung"][1] + 10.0  # at the back
    assert middle["Infection"][2] < middle["Left lung"][2] - 5.0  # low


def _points(ds: pydicom.Dataset) -> dict[str, np.ndarray]:
    shared = ds.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    found: dict[str, list[np.ndarray]] = {item.SegmentLabel: [] for item in ds.SegmentSequence}
    labels = [item.SegmentLabel for item in ds.SegmentSequence]
    for item, frame in zip(ds.PerFrameFunctionalGroupsSequence, ds.pixel_array, strict=True):
        rows, columns = np.nonzero(frame)
        place = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
        points = place + np.stack([columns * between_columns, rows * between_rows], axis=1) @ cosines
        found[labels[item.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1]].append(points)
    return {label: np.concatenate(points) for label, points in found.items()}


def test_the_pictures_show_the_left_lung_on_the_right_hand(exported: tuple[Analysis, Path]) -> None:
    """Radiological view: the patient's right is on the left of the picture."""
    coronal = cv2.imread(str(exported[1] / "coronal.png"))
    assert coronal is not None
    left, right, infection = (_middle(coronal, colour) for colour in (LEFT_LUNG, RIGHT_LUNG, INFECTION))
    assert left[1] > right[1] + 50
    assert infection[1] > 0.5 * coronal.shape[1]
    assert infection[0] > left[0], "the base is below in the picture"


def _middle(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(row, column) of what has nearly this colour."""
    near = np.abs(picture.astype(int) - colour).max(axis=2) < 40
    assert near.any()
    return np.argwhere(near).mean(axis=0)


def test_the_page_puts_the_infection_in_the_left_column(exported: tuple[Analysis, Path]) -> None:
    page = (exported[1] / "report.html").read_text(encoding="utf-8")
    rows = {side: re.search(rf"{side} lung</th><td [^>]*>([\d.]+)</td>", page) for side in ("Right", "Left")}
    poi = {side: float(row[1]) for side, row in rows.items() if row}
    assert poi["Left"] > 5.0 > 1.0 > poi["Right"]


def test_sides_that_contradict_the_header_leave_no_dicom_object_that_would_name_them(tmp_path: Path) -> None:
    study = analysed(tmp_path / "series")
    assert "seg.dcm" in write_output(study, tmp_path / "out")["artefacts"]
    flag = {"code": "QUALITY_ORIENTATION", "level": "caution", "message": "Look."}
    study.content["flags"] = [*study.content["flags"], flag]
    written = write_output(study, tmp_path / "out")["artefacts"]
    assert ("seg.dcm" in written, "report.html" in written) == (False, True)
    assert not list((tmp_path / "out").glob("*.dcm"))
