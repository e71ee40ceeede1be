"""The grid of a stack of slices: is it one volume, and where does it lie (DICOM PS3.3 C.7.6.2.1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from scanside_runtime.dicom.errors import (
    GeometryDuplicatePositions,
    GeometryMissingSlices,
    GeometryMixedFrame,
    GeometryMixedMatrix,
    GeometryMixedOrientation,
    GeometryMixedPixelSpacing,
    GeometryNoOrientation,
    GeometryNoPixelSpacing,
    GeometryNoPosition,
    GeometryNotAxial,
    GeometryTilt,
    GeometryUnevenSpacing,
)
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.findings import Finding, figures

AXIAL_LIMIT_DEG = 10.0
ORIENTATION_TOLERANCE = 1e-3
PIXEL_SPACING_TOLERANCE = 1e-3  # relative
SAME_POSITION_MM = 0.05
SPACING_TOLERANCE_MM = 0.1
SPACING_TOLERANCE = 0.02  # relative
DRIFT_LIMIT_MM = 1.0
GAP_RATIO = 1.5
OVERLAP_RATIO = 0.9
TABLE_TOLERANCE_DEG = 1.0

Vector = npt.NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a stored frame (rows, columns) is turned to (y, x), y to posterior and x to the patient's left.

    Transposed first, then flipped.
    """

    transposed: bool
    flip_y: bool
    flip_x: bool

    def to_lps(self, frames: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """(..., rows, columns) to (..., y, x), as a view."""
        turned = np.swapaxes(frames, -1, -2) if self.transposed else frames
        return self._flipped(turned)

    def to_source(self, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """(..., y, x) back to (..., rows, columns), as a view."""
        turned = self._flipped(array)
        return np.swapaxes(turned, -1, -2) if self.transposed else turned

    def _flipped(self, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        return array[..., :: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where the slices lie, in LPS.

    layout: how each frame is turned.
    shape: (z, y, x).
    spacing_mm: (z, y, x); z is the mean distance of neighbouring positions projected on the normal.
    affine: (4, 4) float64, voxel (x, y, z, 1) to LPS mm, read-only.
    notes: what is worth a look but no reason to refuse.
    """

    layout: Layout
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: npt.NDArray[np.float64]
    notes: tuple[Finding, ...]

    def __post_init__(self) -> None:
        self.affine.setflags(write=False)


def check_axial(headers: Sequence[SliceHeader]) -> None:
    """Each slice is axial: rows and normal at most 10 degrees off the patient's axes.

    Raises GeometryNoOrientation, GeometryNotAxial; GeometryTilt where it was the gantry that leant further.
    """
    try:
        for header in {h.image_orientation_patient: h for h in headers}.values():
            _axes(header)
    except GeometryNotAxial as refusal:
        _check_not_the_gantry(headers)
        raise refusal


def _check_not_the_gantry(headers: Sequence[SliceHeader]) -> None:
    """Slices that lean while the table moved straight on. Raises GeometryTilt."""
    if any(h.image_orientation_patient is None or h.image_position_patient is None for h in headers):
        return
    row, column = np.array(headers[0].image_orientation_patient).reshape(2, 3)
    normal = np.cross(row, column)
    positions = _positions(headers)
    lowest, highest = positions[np.argmin(positions[:, 2])], positions[np.argmax(positions[:, 2])]
    travel = highest - lowest
    leans_deg = _degrees_off(abs(normal[2]))
    if AXIAL_LIMIT_DEG < leans_deg < 45.0 and _along_the_table(travel):
        sideways_mm = float(np.linalg.norm(travel - (travel @ normal) * normal))
        raise GeometryTilt(drift_mm=sideways_mm, tilt_deg=leans_deg)


def projected_mm(headers: Sequence[SliceHeader]) -> Vector:
    """(n,) distances of the slices along the normal of the first, feet to head.

    Raises GeometryNoPosition, GeometryNoOrientation, GeometryNotAxial.
    """
    normal = _axes(headers[0])[2]
    return _positions(headers) @ normal


def check_grid(headers: Sequence[SliceHeader]) -> Grid:
    """The grid of slices that are sorted from feet to head and lie at different positions.

    - every slice has ImagePositionPatient, ImageOrientationPatient and PixelSpacing;
    - one FrameOfReferenceUID; Rows and Columns equal; PixelSpacing equal within 0.1 %;
    - ImageOrientationPatient equal within 0.001 a cosine, its vectors unit and orthogonal within 0.01;
    - rows and normal at most 10 degrees off the patient's axes;
    - no two slices within 0.05 mm along the normal;
    - the stack runs along its normal within 1 mm in all, or straight along the patient's axis, as the table moves under
      a tilted gantry: then the affine carries the shear and no voxel is changed (`GEOMETRY_TILT_CORRECTED`);
    - neighbours lie equally far apart within 0.1 mm or 2 %, whichever is more; a distance that is a multiple of the
      others means missing slices.

    A distance of more than 1.5 slice thicknesses is a caution (`GEOMETRY_GAPS`), one of less than 0.9 a note
    (`GEOMETRY_OVERLAP`). Raises the Geometry* errors.
    """
    _check_one_frame_of_reference(headers)
    _check_one_matrix(headers)
    row_mm, column_mm = _pixel_spacing_mm(headers)
    row, column, normal = _one_orientation(headers)
    positions = _positions(headers)
    along = positions @ normal
    check_no_duplicates(along)
    tilt_notes = _tilt_notes(positions, normal)
    slice_mm = _slice_spacing_mm(along)
    layout = _layout(row, column)
    affine = _affine(layout, headers[0], positions, (row * column_mm, column * row_mm))
    dy, dx = (column_mm, row_mm) if layout.transposed else (row_mm, column_mm)
    rows, columns = headers[0].rows, headers[0].columns
    height, width = (columns, rows) if layout.transposed else (rows, columns)
    notes = (*tilt_notes, *_thickness_notes(headers[0].slice_thickness_mm, slice_mm))
    return Grid(layout, (len(headers), height, width), (slice_mm, dy, dx), affine, notes)


def check_no_duplicates(along_mm: Vector) -> None:
    """No two of the sorted distances are the same. Raises GeometryDuplicatePositions."""
    doubled = np.flatnonzero(np.diff(along_mm) < SAME_POSITION_MM)
    if doubled.size:
        raise GeometryDuplicatePositions(count=int(doubled.size), position_mm=float(along_mm[doubled[0]]))


def _check_one_frame_of_reference(headers: Sequence[SliceHeader]) -> None:
    frames = {h.frame_of_reference_uid for h in headers}
    if len(frames) > 1:
        raise GeometryMixedFrame(slices=len(headers), count=len(frames))


def _check_one_matrix(headers: Sequence[SliceHeader]) -> None:
    sizes = sorted({(h.rows, h.columns) for h in headers})
    if len(sizes) > 1:
        raise GeometryMixedMatrix(sizes=", ".join(f"{rows} x {columns}" for rows, columns in sizes))


def _pixel_spacing_mm(headers: Sequence[SliceHeader]) -> tuple[float, float]:
    """(between rows, between columns), one for all."""
    for header in headers:
        if header.pixel_spacing_mm is None or min(header.pixel_spacing_mm) <= 0:
            raise GeometryNoPixelSpacing(name=header.file.name)
    spacings = np.array([h.pixel_spacing_mm for h in headers])  # (n, 2)
    if np.any(np.ptp(spacings, axis=0) > PIXEL_SPACING_TOLERANCE * spacings[0]):
        raise GeometryMixedPixelSpacing(spacings=", ".join(f"{a:g} x {b:g} mm" for a, b in np.unique(spacings, axis=0)))
    return float(spacings[0, 0]), float(spacings[0, 1])


def _one_orientation(headers: Sequence[SliceHeader]) -> tuple[Vector, Vector, Vector]:
    for header in headers:
        if header.image_orientation_patient is None:
            raise GeometryNoOrientation(name=header.file.name)
    cosines = np.array([h.image_orientation_patient for h in headers])  # (n, 6)
    difference = float(np.ptp(cosines, axis=0).max())
    if difference > ORIENTATION_TOLERANCE:
        raise GeometryMixedOrientation(difference=difference)
    return _axes(headers[0])


def _axes(header: SliceHeader) -> tuple[Vector, Vector, Vector]:
    """Unit vectors along a row, along a column, and along the normal towards the head."""
    if header.image_orientation_patient is None:
        raise GeometryNoOrientation(name=header.file.name)
    row, column = np.array(header.image_orientation_patient).reshape(2, 3)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column)) > 0.01:
        raise GeometryNoOrientation(name=header.file.name)
    row, column = row / lengths[0], column / lengths[1]
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    normal = normal if normal[2] > 0 else -normal
    off = max(_degrees_off(normal[2]), _degrees_off(np.abs(row[:2]).max()))
    if off > AXIAL_LIMIT_DEG:
        raise GeometryNotAxial(angle_deg=off, limit_deg=AXIAL_LIMIT_DEG)
    return row, column, normal


def _degrees_off(cosine: float) -> float:
    return float(np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0))))


def _positions(headers: Sequence[SliceHeader]) -> Vector:
    for header in headers:
        if header.image_position_patient is None:
            raise GeometryNoPosition(name=header.file.name)
    return np.array([h.image_position_patient for h in headers], dtype=np.float64)  # (n, 3) mm


def _tilt_notes(positions: Vector, normal: Vector) -> tuple[Finding, ...]:
    """Nothing, or that the gantry was tilted. Raises GeometryTilt where no tilt explains the drift.

    Volumes need no correction: a sheared voxel is as large as an upright one (Cavalieri), its height the projected one.
    """
    offsets = positions - positions[0]
    drift_mm = float(np.linalg.norm(offsets - np.outer(offsets @ normal, normal), axis=1).max())
    if drift_mm <= DRIFT_LIMIT_MM:
        return ()
    travel = offsets[-1]
    straight = np.outer(offsets @ normal / (travel @ normal), travel)
    tilt_deg = _degrees_off(float(travel @ normal / np.linalg.norm(travel)))
    is_straight = float(np.linalg.norm(offsets - straight, axis=1).max()) <= DRIFT_LIMIT_MM
    if not is_straight or not _along_the_table(travel):
        raise GeometryTilt(drift_mm=drift_mm, tilt_deg=tilt_deg)
    message = f"The gantry was tilted by {tilt_deg:.1f} degrees; places and volumes follow it, no voxel was changed."
    return (Finding("GEOMETRY_TILT_CORRECTED", "caution", message, figures(tilt_degrees=tilt_deg)),)


def _along_the_table(travel: Vector) -> bool:
    """The table moves along the patient; a stack that goes elsewhere was not scanned so."""
    length_mm = float(np.linalg.norm(travel))
    return length_mm > 0 and _degrees_off(abs(float(travel[2])) / length_mm) <= TABLE_TOLERANCE_DEG


def _slice_spacing_mm(along: Vector) -> float:
    """The mean distance of neighbours, when they are equally far apart."""
    steps = np.diff(along)
    spacing = float(np.median(steps))
    if np.abs(steps - spacing).max() <= _tolerance_mm(spacing):
        return float(along[-1] - along[0]) / len(steps)
    smallest = float(steps.min())
    single = float(np.median(steps[steps <= smallest + _tolerance_mm(smallest)]))
    multiples = np.rint(steps / single)
    if np.all(np.abs(steps - multiples * single) <= multiples * _tolerance_mm(single)):
        gaps = np.flatnonzero(multiples > 1)
        where = ", ".join(f"{along[gap]:.1f} mm" for gap in gaps[:5]) + (", ..." if gaps.size > 5 else "")
        raise GeometryMissingSlices(count=int((multiples - 1).sum()), where=where, spacing_mm=single)
    raise GeometryUnevenSpacing(smallest_mm=smallest, largest_mm=float(steps.max()))


def _tolerance_mm(spacing_mm: float) -> float:
    return max(SPACING_TOLERANCE_MM, SPACING_TOLERANCE * spacing_mm)


def _layout(row: Vector, column: Vector) -> Layout:
    """A row that runs to the patient's left is x as it is; one that runs to the front or back is y."""
    transposed = bool(abs(row[1]) > abs(row[0]))
    along_x, along_y = (column, row) if transposed else (row, column)
    return Layout(transposed, flip_y=bool(along_y[1] < 0), flip_x=bool(along_x[0] < 0))


def _affine(
    layout: Layout, header: SliceHeader, positions: Vector, steps: tuple[Vector, Vector]
) -> npt.NDArray[np.float64]:
    """(4, 4), voxel (x, y, z, 1) to LPS mm. `steps`: mm vectors to the next column, and to the next row."""
    along_row, along_column = steps
    last_row, last_column = (header.rows - 1) * along_column, (header.columns - 1) * along_row
    x, y = (along_column, along_row) if layout.transposed else (along_row, along_column)
    last_x, last_y = (last_row, last_column) if layout.transposed else (last_column, last_row)
    affine = np.eye(4)
    affine[:3, 0] = -x if layout.flip_x else x
    affine[:3, 1] = -y if layout.flip_y else y
    affine[:3, 2] = (positions[-1] - positions[0]) / (len(positions) - 1)
    affine[:3, 3] = positions[0] + layout.flip_x * last_x + layout.flip_y * last_y
    return affine


def _thickness_notes(slice_thickness_mm: float | None, slice_mm: float) -> tuple[Finding, ...]:
    if slice_thickness_mm is None:
        return ()
    values = figures(thickness_mm=slice_thickness_mm, distance_mm=slice_mm)
    lie = f"Slices of {slice_thickness_mm:g} mm lie {slice_mm:.1f} mm apart: "
    if slice_mm > GAP_RATIO * slice_thickness_mm:
        message = lie + "what lies between them was not imaged, and volumes count it as if it had been."
        return (Finding("GEOMETRY_GAPS", "caution", message, values),)
    if slice_mm < OVERLAP_RATIO * slice_thickness_mm:
        message = lie + "they overlap, and volumes count each place once."
        return (Finding("GEOMETRY_OVERLAP", "note", message, values),)
    return ()
