"""Dice between two sets of masks: reader against reader, network against reader.

Masks are paired by name. NIfTI (.nii, .nii.gz): one volume a file. DICOM Segmentation (.dcm): one segment of it. PNG: a
picture a file, and all pictures of a sub-folder together are one volume, slice for slice by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import highdicom as hd
import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from pydicom import dcmread
from pydicom.dataset import Dataset

from scanside_appliance.statistics.auc import Bools
from scanside_appliance.statistics.errors import CohortMasks
from scanside_appliance.statistics.groups import spread
from scanside_runtime.dicom.headers import lenient
from scanside_runtime.dicom.values.elements import BAD_DICOM
from scanside_runtime.metrics import dice
from scanside_runtime.progress import Progress

SUFFIXES = (".nii.gz", ".nii", ".dcm", ".png")
PLACE_TOLERANCE_MM = 0.01


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """One pair of masks."""

    name: str
    dice: float


@dataclass(frozen=True, slots=True)
class MaskTable:
    """The paper's form of table: mean with standard deviation (n - 1; None for one case) and median."""

    n: int
    dice_mean: float
    dice_sd: float | None
    dice_median: float
    cases: tuple[ScoredPair, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare_masks(a: Path, b: Path, segment: str = "Infection", progress: Progress | None = None) -> MaskTable:
    """Dice of every name that is in both folders; two empty masks agree: 1.

    Raises CohortMasks where nothing pairs, a file can't be read, or two masks do not lie on one grid.
    """
    in_a, in_b = _files(a), _files(b)
    names = sorted(in_a.keys() & in_b.keys())
    if not names:
        raise CohortMasks(name=f"{a} and {b}", why="no file of one has the name of a file of the other")
    cases = []
    for done, name in enumerate(names):
        if progress is not None:
            progress(name, done, len(names))
        cases.append(ScoredPair(name, _dice(name, in_a[name], in_b[name], segment)))
    found = spread(np.array([case.dice for case in cases]))
    alone = tuple(sorted(in_a.keys() - in_b.keys())), tuple(sorted(in_b.keys() - in_a.keys()))
    return MaskTable(len(cases), float(found.mean or 0.0), found.sd, float(found.median or 0.0), tuple(cases), *alone)


def _files(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The files of each case, by the case's name: pictures in a sub-folder together, every other file alone."""
    if not folder.is_dir():
        raise CohortMasks(name=folder, why="there is no such folder")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        suffix = next((one for one in SUFFIXES if path.name.lower().endswith(one)), None)
        if suffix is None or path.name.startswith(".") or not path.is_file():
            continue
        place = path.relative_to(folder)
        pooled = suffix == ".png" and len(place.parts) > 1
        name = str(place.parent) if pooled else str(place)[: -len(suffix)]
        if name in found and not pooled:
            raise CohortMasks(name=name, why=f"{folder.name} has two files of this name")
        found.setdefault(name, []).append(path)
    return {name: tuple(paths) for name, paths in found.items()}


def _dice(name: str, a: tuple[Path, ...], b: tuple[Path, ...], segment: str) -> float:
    kinds = {_kind(path) for path in (*a, *b)}
    if len(kinds) > 1:
        raise CohortMasks(name=name, why=f"they are of different kinds ({', '.join(sorted(kinds))})")
    try:
        masks = _READERS[kinds.pop()](a, b, segment)
        return dice(*masks)
    except ValueError as error:
        raise CohortMasks(name=name, why=error) from error


def _kind(path: Path) -> str:
    return "NIfTI" if ".nii" in path.name.lower() else path.suffix.lower().removeprefix(".").upper()


def _nifti(a: tuple[Path, ...], b: tuple[Path, ...], _: str) -> tuple[Bools, Bools]:
    """Both volumes; every voxel above 0 is in the mask."""
    try:
        first, second = (nib.Nifti1Image.from_filename(path[0]) for path in (a, b))
        arrays = np.asanyarray(first.dataobj) > 0, np.asanyarray(second.dataobj) > 0
    except (OSError, EOFError, ImageFileError) as error:
        raise ValueError(f"can't be read ({error})") from error
    if first.shape == second.shape and not np.allclose(first.affine, second.affine, atol=PLACE_TOLERANCE_MM):
        raise ValueError("their voxels lie in different places (affine)")
    return arrays


def _pictures(a: tuple[Path, ...], b: tuple[Path, ...], _: str) -> tuple[Bools, Bools]:
    """All pixels of all pictures, one after another; the same pictures must be there."""
    if [path.name for path in a] != [path.name for path in b]:
        raise ValueError(f"they do not have the same slices ({len(a)} and {len(b)} pictures)")
    first, second = [_picture(path) for path in a], [_picture(path) for path in b]
    for one, other, path in zip(first, second, a, strict=True):
        if one.shape != other.shape:
            raise ValueError(f"{path.name} has {one.shape} and {other.shape} pixels")
    return np.concatenate([one.ravel() for one in first]), np.concatenate([one.ravel() for one in second])


def _picture(path: Path) -> Bools:
    """(rows, columns); of the two values that a mask has, the one above 0 is in it."""
    content = np.frombuffer(path.read_bytes(), np.uint8)  # cv2.imread dies of a name that is no UTF-8
    pixels = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH) if content.size else None
    if pixels is None:
        raise ValueError(f"{path.name} is no picture")
    if np.unique(pixels)[:-1].any():  # two labels without a 0 would be a mask of the whole picture
        raise ValueError(f"{path.name} has grey or coloured pixels and is no mask")
    return np.asarray(pixels > 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Frames:
    """One segment, a frame for each source image.

    planes: (n, rows, columns) bool. corners_mm: (n, 3) LPS of each frame's first pixel, NaN where none is stored.
    steps_mm: (2, 3) from one row to the next, and from one column to the next.
    """

    planes: Bools
    corners_mm: npt.NDArray[np.float64]
    steps_mm: npt.NDArray[np.float64]

    def flipped(self, axis: int) -> _Frames:
        """Rows (0) or columns (1) in the opposite order."""
        last = self.planes.shape[axis + 1] - 1
        steps = self.steps_mm * np.where(np.arange(2) == axis, -1.0, 1.0)[:, None]
        return _Frames(np.flip(self.planes, axis + 1), self.corners_mm + last * self.steps_mm[axis], steps)

    def upright(self) -> _Frames:
        """The same voxels; columns run up the first of the axes x, y, z that the frames span, rows the other."""
        axes = np.abs(self.steps_mm).argmax(axis=1)
        frames = self
        for number, axis in enumerate(axes):
            frames = frames.flipped(number) if self.steps_mm[number, axis] < 0 else frames
        if axes[0] < axes[1]:
            frames = _Frames(frames.planes.transpose(0, 2, 1), frames.corners_mm, frames.steps_mm[::-1])
        return frames

    def far_corners_mm(self) -> npt.NDArray[np.float64]:
        """(n, 3) LPS of each frame's last pixel."""
        last = np.array(self.planes.shape[1:]) - 1
        return np.asarray(self.corners_mm + last @ self.steps_mm)


def _segmentations(a: tuple[Path, ...], b: tuple[Path, ...], segment: str) -> tuple[Bools, Bools]:
    """The segment in both, on the source images that either speaks of; a frame that is not stored is empty.

    However the frames are turned: a voxel is compared with the one at its place.
    """
    try:
        with lenient():
            both = [hd.seg.Segmentation.from_dataset(dcmread(path[0]), copy=False) for path in (a, b)]
            spoken_of = [{str(uids[2]) for uids in one.get_source_image_uids()} for one in both]
            if spoken_of[0].isdisjoint(spoken_of[1]):
                raise ValueError("they speak of other images")
            sources = sorted(spoken_of[0] | spoken_of[1])
            first, second = (_segment(one, segment, sources).upright() for one in both)
    except (*BAD_DICOM, OSError) as error:
        raise ValueError(f"the Segmentation can't be used ({error})") from error
    if first.planes.shape == second.planes.shape:
        _check_places(first, second)
    return first.planes, second.planes


def _check_places(first: _Frames, second: _Frames) -> None:
    """Frames of one source image lie in one place, to half a pixel. Raises ValueError."""
    apart_mm = np.abs([first.corners_mm - second.corners_mm, first.far_corners_mm() - second.far_corners_mm()])
    if (apart_mm > 0.5 * np.linalg.norm(first.steps_mm, axis=1).min()).any():  # NaN, no frame, is apart from nothing
        raise ValueError("their frames lie in different places")


def _segment(one: hd.seg.Segmentation, label: str, sources: list[str]) -> _Frames:
    """The frames of a segment as they are stored, one for each source."""
    numbers = one.get_segment_numbers(segment_label=label)
    if not numbers:
        raise ValueError(f"it has no segment {label!r}")
    pixels = one.get_pixels_by_source_instance(
        sources, segment_numbers=numbers[:1], assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    corners = _corners_mm(one, numbers[0])
    return _Frames(
        np.asarray(pixels[..., 0] > 0),
        np.array([corners.get(uid, (np.nan,) * 3) for uid in sources], np.float64),
        _steps_mm(one),
    )


def _corners_mm(one: hd.seg.Segmentation, number: int) -> dict[str, list[float]]:
    """Image Position (Patient) of a segment's frames, by the source image that each was drawn on."""
    return {
        str(item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID): list(
            map(float, _either(one, item, "PlanePositionSequence").ImagePositionPatient)
        )
        for item in one.PerFrameFunctionalGroupsSequence
        if item.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number and "DerivationImageSequence" in item
    }


def _steps_mm(one: hd.seg.Segmentation) -> npt.NDArray[np.float64]:
    """(2, 3) LPS from row to row and from column to column (PS3.3 C.7.6.2.1.1)."""
    first = one.PerFrameFunctionalGroupsSequence[0]
    cosines = np.array(_either(one, first, "PlaneOrientationSequence").ImageOrientationPatient, np.float64)
    spacing_mm = np.array(_either(one, first, "PixelMeasuresSequence").PixelSpacing, np.float64)
    return np.asarray(cosines.reshape(2, 3)[::-1] * spacing_mm[:, None])


def _either(one: hd.seg.Segmentation, frame: Dataset, name: str) -> Any:
    """A functional group of the frame, or else the one that all frames share."""
    return (frame if name in frame else one.SharedFunctionalGroupsSequence[0])[name][0]


_READERS: dict[str, Callable[[tuple[Path, ...], tuple[Path, ...], str], tuple[Bools, Bools]]] = {
    "NIfTI": _nifti,
    "PNG": _pictures,
    "DCM": _segmentations,
}


def names_alone(table: MaskTable) -> Iterator[str]:
    """For people: which files had no partner."""
    for folder, names in (("A", table.only_in_a), ("B", table.only_in_b)):
        if names:
            yield f"only in {folder}: {', '.join(names)}"
