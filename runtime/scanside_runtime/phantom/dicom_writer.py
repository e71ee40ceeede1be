"""HU arrays as series of valid CT Images (DICOM PS3.3 A.3), in any order, orientation and transfer syntax."""

from __future__ import annotations

import hashlib
import io
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from scanside_runtime.compression import compressed_file
from scanside_runtime.volume import Hu

Orientation = Literal["HFS", "FFS", "HFP", "flipped_rows", "flipped_columns", "reversed_order"]
FileNames = Literal["plain", "shuffled", "subfolders"]

LOSSLESS_SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)
"""What `write_series` writes; each gives back the same HU."""

_SLICES_IN_A_SUBFOLDER = 16


@dataclass(frozen=True, slots=True)
class SeriesTags:
    """What the headers say besides geometry. study_uid None: one that belongs to the pixels and the patient."""

    patient_id: str = "PHANTOM"
    patient_name: str = "SCANSIDE^PHANTOM"
    patient_birth_date: str = "19600101"
    patient_sex: str = "O"
    patient_age: str = "060Y"
    study_uid: str | None = None
    study_date: str = "20200401"
    study_time: str = "101500"
    study_id: str = "1"
    accession_number: str = ""
    study_description: str = "CT CHEST"
    series_number: int = 2
    series_description: str = "CHEST AXIAL"
    series_time: str = "101530"
    modality: str = "CT"
    body_part_examined: str = "CHEST"
    patient_position: str | None = None
    convolution_kernel: str = "STANDARD"
    manufacturer: str = "SCANSIDE"
    manufacturer_model_name: str = "PHANTOM"
    kvp: str = "120"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")


@dataclass(frozen=True, slots=True)
class Storage:
    """How a series lies in its files; what it shows is the same.

    orientation: the same patient stored otherwise, as ImageOrientationPatient and ImagePositionPatient say (PS3.3
    C.7.6.2.1.1): "FFS" and "HFP" as a feet-first or prone patient's scanner writes, "flipped_rows" and
    "flipped_columns" with the rows from back to front, the columns from left to right, "reversed_order" with
    InstanceNumber from head to feet. rescale: (RescaleSlope, RescaleIntercept); pixels are unsigned unless a stored
    value is negative, so (1, 0) gives signed ones. With a slope of 1 the HU come back exactly. pixel_padding_value:
    stored value of all pixels outside the inscribed circle.
    """

    transfer_syntax: str = ExplicitVRLittleEndian
    orientation: Orientation = "HFS"
    rescale: tuple[float, float] = (1.0, -1024.0)
    pixel_padding_value: int | None = None
    file_names: FileNames = "plain"
    scramble_instance_numbers: bool = False


_AS_SCANNERS_DO = Storage()


@dataclass(frozen=True, slots=True)
class _Layout:
    """How one orientation stores the LPS array: which axes run backwards, and what the scanner calls it."""

    x_backwards: bool
    y_backwards: bool
    z_backwards: bool
    patient_position: str


_LAYOUTS: dict[str, _Layout] = {
    "HFS": _Layout(False, False, False, "HFS"),
    "FFS": _Layout(True, False, True, "FFS"),
    "HFP": _Layout(True, True, False, "HFP"),
    "flipped_rows": _Layout(False, True, False, "HFS"),
    "flipped_columns": _Layout(True, False, False, "HFS"),
    "reversed_order": _Layout(False, False, True, "HFS"),
}


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """Pixels as they lie in the files. pixels: (z, rows, columns) int16 or uint16, z still from feet to head."""

    pixels: npt.NDArray[np.int16] | npt.NDArray[np.uint16]
    slope: float
    intercept: float
    padding: int | None

    @property
    def signed(self) -> bool:
        return self.pixels.dtype == np.int16

    @property
    def bits(self) -> int:
        """12 where that is enough for unsigned pixels, as scanners do."""
        return 12 if not self.signed and int(self.pixels.max()) < 4096 else 16


def write_series(
    hu: Hu,
    spacing_mm: tuple[float, float, float],
    folder: Path,
    *,
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    slice_thickness_mm: float | None = None,
    tags: SeriesTags | None = None,
    stored: Storage = _AS_SCANNERS_DO,
) -> list[Path]:
    """Write one file for each slice; the paths come back in the order of `hu`, feet to head.

    hu: (z, y, x) int16 in LPS order; spacing_mm (z, y, x); origin_mm: LPS (x, y, z) of the centre of the first voxel.
    slice_thickness_mm: SliceThickness, the spacing unless told.

    UIDs are made from the content: the same call writes the same UIDs, a lossless twin keeps them.
    Raises ValueError for an array that is not (z, y, x) int16, stored values beyond 16 bits, an unknown syntax.
    """
    if hu.ndim != 3 or hu.dtype != np.int16 or not hu.size:
        raise ValueError(f"hu is {hu.dtype} {hu.shape}: give (z, y, x) int16")
    if stored.transfer_syntax not in LOSSLESS_SYNTAXES:
        raise ValueError(f"transfer syntax {stored.transfer_syntax}: use one of LOSSLESS_SYNTAXES")
    layout = _LAYOUTS[stored.orientation]
    picture = _stored_pixels(hu, layout, stored.rescale, stored.pixel_padding_value)
    series = _series_header(hu, spacing_mm, slice_thickness_mm, tags or SeriesTags(), stored.orientation, picture)
    numbers = _instance_numbers(len(hu), layout, stored.scramble_instance_numbers)
    paths = _file_paths(folder, numbers, stored.file_names)
    for k, (path, number) in enumerate(zip(paths, numbers, strict=True)):
        ds = _slice_dataset(series, k, number, _first_pixel_mm(k, hu.shape, spacing_mm, origin_mm, layout))
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(ds, picture.pixels[k], path, stored.transfer_syntax)
    return paths


def _stored_pixels(hu: Hu, layout: _Layout, rescale: tuple[float, float], padding: int | None) -> _Stored:
    """HU to stored values, rows and columns in the order of the layout."""
    slope, intercept = rescale
    flipped = hu[:, :: -1 if layout.y_backwards else 1, :: -1 if layout.x_backwards else 1]
    values = np.rint((flipped.astype(np.float32) - intercept) / slope).astype(np.int32)
    if padding is not None:
        values[:, _outside_circle(hu.shape[1], hu.shape[2])] = padding
    low, high = int(values.min()), int(values.max())
    dtype = np.int16 if low < 0 else np.uint16
    if low < np.iinfo(dtype).min or high > np.iinfo(dtype).max:
        raise ValueError(f"stored values {low} to {high} do not fit 16 bits: choose another rescale")
    return _Stored(values.astype(dtype), slope, intercept, padding)


def _outside_circle(rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Where a scanner has reconstructed nothing: (rows, columns) bool."""
    v = (np.arange(rows) + 0.5) / rows - 0.5
    u = (np.arange(columns) + 0.5) / columns - 0.5
    return np.asarray(v[:, None] ** 2 + u[None, :] ** 2 > 0.25)


def _instance_numbers(count: int, layout: _Layout, scramble: bool) -> list[int]:
    """InstanceNumber of each slice, feet to head."""
    numbers = np.arange(1, count + 1)
    if scramble:
        return [int(n) for n in np.random.default_rng(count).permutation(numbers)]
    return [int(n) for n in (numbers[::-1] if layout.z_backwards else numbers)]


def _file_paths(folder: Path, numbers: list[int], file_names: FileNames) -> list[Path]:
    """A path for each slice."""
    if file_names == "shuffled":  # names whose order says nothing, and no ending
        return [folder / hashlib.sha256(f"slice {n}".encode()).hexdigest()[:12] for n in numbers]
    plain = [f"IM{n:04d}.dcm" for n in numbers]
    if file_names == "subfolders":
        return [
            folder / f"PART{n // _SLICES_IN_A_SUBFOLDER:02d}" / "CT" / name
            for n, name in zip(numbers, plain, strict=True)
        ]
    return [folder / name for name in plain]


def _first_pixel_mm(
    k: int,
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    origin_mm: tuple[float, float, float],
    layout: _Layout,
) -> list[float]:
    """ImagePositionPatient of slice k: the centre of the pixel that is stored first."""
    x, y, z = origin_mm
    dz, dy, dx = spacing_mm
    last_x, last_y = (shape[2] - 1) * dx, (shape[1] - 1) * dy
    return [x + last_x * layout.x_backwards, y + last_y * layout.y_backwards, z + k * dz]


def _series_header(
    hu: Hu,
    spacing_mm: tuple[float, float, float],
    slice_thickness_mm: float | None,
    tags: SeriesTags,
    orientation: Orientation,
    stored: _Stored,
) -> pydicom.Dataset:
    """All that the slices have in common."""
    layout = _LAYOUTS[orientation]
    content = hashlib.sha256(np.ascontiguousarray(hu).data).hexdigest()
    study_uid = tags.study_uid or generate_uid(entropy_srcs=["study", content, tags.patient_id, tags.study_date])
    how = (spacing_mm, slice_thickness_mm, orientation, stored.slope, stored.intercept, stored.padding)
    ds = pydicom.Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = CTImageStorage
    ds.StudyInstanceUID = study_uid
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["series", study_uid, content, repr(astuple(tags)), repr(how)])
    ds.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame of reference", study_uid])
    _add_patient_and_study(ds, tags)
    _add_series_and_equipment(ds, tags, layout)
    _add_image_plane(ds, spacing_mm, slice_thickness_mm, layout)
    _add_pixel_description(ds, stored)
    return ds


def _add_patient_and_study(ds: pydicom.Dataset, tags: SeriesTags) -> None:
    """Patient and General Study (PS3.3 C.7.1.1, C.7.2.1)."""
    ds.PatientID = tags.patient_id
    ds.PatientName = tags.patient_name
    ds.PatientBirthDate = tags.patient_birth_date
    ds.PatientSex = tags.patient_sex
    ds.PatientAge = tags.patient_age
    ds.StudyDate = tags.study_date
    ds.StudyTime = tags.study_time
    ds.StudyID = tags.study_id
    ds.AccessionNumber = tags.accession_number
    ds.StudyDescription = tags.study_description
    ds.ReferringPhysicianName = ""


def _add_series_and_equipment(ds: pydicom.Dataset, tags: SeriesTags, layout: _Layout) -> None:
    """General Series, Frame of Reference, General Equipment, CT Image (PS3.3 C.7.3.1, C.7.4.1, C.7.5.1, C.8.2.1)."""
    ds.Modality = tags.modality
    ds.SeriesNumber = tags.series_number
    ds.SeriesDescription = tags.series_description
    ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = tags.study_date
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = tags.series_time
    ds.BodyPartExamined = tags.body_part_examined
    ds.PatientPosition = tags.patient_position or layout.patient_position
    ds.PositionReferenceIndicator = ""
    ds.Manufacturer = tags.manufacturer
    ds.ManufacturerModelName = tags.manufacturer_model_name
    ds.ConvolutionKernel = tags.convolution_kernel
    ds.KVP = tags.kvp
    ds.AcquisitionNumber = 1
    ds.ImageType = list(tags.image_type)


def _add_image_plane(
    ds: pydicom.Dataset, spacing_mm: tuple[float, float, float], slice_thickness_mm: float | None, layout: _Layout
) -> None:
    """Image Plane, but for the position (PS3.3 C.7.6.2)."""
    dz, dy, dx = spacing_mm
    ds.PixelSpacing = [_ds(dy), _ds(dx)]
    ds.SliceThickness = _ds(slice_thickness_mm or dz)
    row = -1 if layout.x_backwards else 1
    column = -1 if layout.y_backwards else 1
    ds.ImageOrientationPatient = [row, 0, 0, 0, column, 0]


def _add_pixel_description(ds: pydicom.Dataset, stored: _Stored) -> None:
    """Image Pixel, modality LUT, window (PS3.3 C.7.6.3, C.8.2.1, C.11.2)."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = stored.pixels.shape[1:]
    ds.BitsAllocated = 16
    ds.BitsStored = stored.bits
    ds.HighBit = stored.bits - 1
    ds.PixelRepresentation = int(stored.signed)
    ds.RescaleSlope = _ds(stored.slope)
    ds.RescaleIntercept = _ds(stored.intercept)
    ds.RescaleType = "HU"
    ds.WindowCenter, ds.WindowWidth = "-600", "1500"
    if stored.padding is not None:
        ds.PixelPaddingValue = stored.padding


def _slice_dataset(series: pydicom.Dataset, k: int, number: int, first_pixel_mm: list[float]) -> pydicom.Dataset:
    """The header of one slice."""
    ds = pydicom.Dataset(series)
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["slice", str(series.SeriesInstanceUID), f"{k}/{number}"])
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [_ds(v) for v in first_pixel_mm]
    ds.SliceLocation = _ds(first_pixel_mm[2])
    return ds


def _ds(value: float) -> str:
    """A Decimal String of at most 16 characters (PS3.5 6.2)."""
    return format_number_as_ds(float(value))


def _save(
    ds: pydicom.Dataset, pixels: npt.NDArray[np.int16] | npt.NDArray[np.uint16], path: Path, transfer_syntax: str
) -> None:
    """One DICOM file (PS3.10)."""
    big_endian = transfer_syntax == ExplicitVRBigEndian
    ds.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
    ds["PixelData"].VR = "OW"
    if pydicom.uid.UID(transfer_syntax).is_encapsulated:
        ds.PixelData = _encapsulated(ds, transfer_syntax)
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    _write_file(ds, path, transfer_syntax)


def _write_file(ds: pydicom.Dataset, path: Path | io.BytesIO, transfer_syntax: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.UID(transfer_syntax)
    ds.file_meta = meta
    ds.save_as(path, enforce_file_format=True)


def _encapsulated(ds: pydicom.Dataset, transfer_syntax: str) -> bytes:
    """The pixels in fragments (PS3.5 A.4)."""
    plain = io.BytesIO()
    _write_file(ds, plain, ExplicitVRLittleEndian)
    return bytes(pydicom.dcmread(io.BytesIO(compressed_file(plain.getvalue(), transfer_syntax))).PixelData)
