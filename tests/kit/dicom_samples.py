"""Small DICOM CT series by construction: a slice, a series of them, the same series in other orders and codings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
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
)

ROWS, COLUMNS = 10, 11
ROOT = "1.2.826.0.1.3680043.10.1"
LOSSLESS = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}


def picture(number: int, rows: int = ROWS, columns: int = COLUMNS) -> npt.NDArray[np.int16]:
    """(rows, columns) stored values, different in every slice and without any symmetry."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 2500, (rows, columns), dtype=np.int16)


def make_slice(number: int = 0, pixels: npt.NDArray[Any] | None = None, **changes: Any) -> Dataset:
    """A slice of an axial chest series at z = 10 mm x number. `changes` set elements; None takes one away."""
    stored = picture(number) if pixels is None else pixels
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPClassUID = CTImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.1.1"
    ds.FrameOfReferenceUID = f"{ROOT}.9"
    ds.SOPInstanceUID = f"{ROOT}.1.1.{number + 1}"
    ds.Modality, ds.PatientID, ds.PatientName = "CT", "P1", "Test^Person"
    ds.PatientBirthDate, ds.PatientSex, ds.StudyDate, ds.StudyTime = "19700615", "F", "20200401", "101112"
    ds.SeriesDescription, ds.BodyPartExamined = "Chest 10 mm", "CHEST"
    ds.ConvolutionKernel, ds.SliceThickness, ds.Manufacturer = "STANDARD", "10", "Maker"
    ds.InstanceNumber = number + 1
    ds.ImagePositionPatient = [-100.0, -90.0, 10.0 * number]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing = [0.8, 0.7]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated = stored.dtype.itemsize * 8
    ds.BitsStored, ds.HighBit = ds.BitsAllocated, ds.BitsAllocated - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.RescaleSlope, ds.RescaleIntercept = "1", "-1024"
    ds.PixelData = stored.tobytes()
    change(ds, **changes)
    ds["PixelData"].VR = "OW"
    return ds


def change(ds: Dataset, **changes: Any) -> Dataset:
    """Sets elements by keyword; None takes one away."""
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def make_series(slices: int = 12, **changes: Any) -> list[Dataset]:
    """Slices from feet to head, 10 mm apart."""
    return [make_slice(number, **changes) for number in range(slices)]


def write(folder: Path, slices: Iterable[Dataset], pattern: str = "{:03d}.dcm") -> Path:
    """Each slice as a file; the folder that holds them."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, ds in enumerate(slices):
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.save_as(folder / pattern.format(index), enforce_file_format=True)
    return folder


def transcode(folder: Path, target: Path, transfer_syntax: str) -> Path:
    """The files of a folder in another lossless transfer syntax, written by GDCM."""
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(folder.iterdir()):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(file))
        assert reader.Read()
        changer = gdcm.ImageChangeTransferSyntax()
        changer.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(transfer_syntax)))
        changer.SetInput(reader.GetImage())
        assert changer.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(target / file.name))
        writer.SetFile(reader.GetFile())
        writer.SetImage(changer.GetOutput())
        assert writer.Write()
    return target
