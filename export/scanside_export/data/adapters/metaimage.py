"""MetaImage (.mhd with .raw or .zraw), the form of LUNA16: the few tags that CT uses.

A library for it weighs more than the rest of the reading (SimpleITK: 50 MB); the format is a text header and an array
(itk.org/Wiki/ITK/MetaIO/Documentation).
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from scanside_export.data.adapters.nifti import NiftiGrid
from scanside_export.errors import LabelsUnusable

ELEMENTS = {"MET_SHORT": "i2", "MET_USHORT": "u2", "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_INT": "i4"}


def read_metaimage(path: Path) -> NiftiGrid:
    """A volume in LPS, which is MetaImage's own system. Raises LabelsUnusable."""
    try:
        tags = _tags(path)
        x, y, z = (int(size) for size in tags["DimSize"].split())
        dx, dy, dz = (float(length) for length in tags["ElementSpacing"].split())
        order = ">" if "true" in _byte_order(tags).lower() else "<"
        values = np.frombuffer(_data(path, tags, x * y * z), order + ELEMENTS[tags["ElementType"]])
        values = values.reshape(z, y, x)
        axes = np.array(tags.get("TransformMatrix", "1 0 0 0 1 0 0 0 1").split(), float).reshape(3, 3)
        offset_mm = np.array(tags.get("Offset", "0 0 0").split(), float).reshape(3)
    except (OSError, KeyError, ValueError, UnicodeDecodeError, zlib.error) as problem:
        raise LabelsUnusable(folder=path, why=f"it is no MetaImage that can be read ({problem})") from problem
    signs = np.diag(axes)
    if not (np.abs(signs) > 0.98).all():
        raise LabelsUnusable(folder=path, why="its slices are not axial")
    flips = tuple(slice(None, None, 1 if sign > 0 else -1) for sign in signs[::-1])
    # Where an axis runs the other way, its last voxel comes first.
    first = np.where(signs > 0, 0, [x - 1, y - 1, z - 1]) * (dx, dy, dz) @ axes  # mm from the first one stored
    origin_mm = tuple(float(mm) for mm in offset_mm + first)
    return NiftiGrid(np.ascontiguousarray(values[flips]), (dz, dy, dx), origin_mm)


def _tags(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="ascii").splitlines()
    return {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}


def _byte_order(tags: dict[str, str]) -> str:
    return tags.get("BinaryDataByteOrderMSB", tags.get("ElementByteOrderMSB", "False"))


def _data(path: Path, tags: dict[str, str], voxels: int) -> bytes:
    """The voxels' bytes, never more than the header promises."""
    wanted = voxels * np.dtype(ELEMENTS[tags["ElementType"]]).itemsize
    data = (path.parent / Path(tags["ElementDataFile"]).name).read_bytes()
    if tags.get("CompressedData", "False").lower() == "true":
        data = zlib.decompressobj().decompress(data, wanted)
    if len(data) != wanted:
        raise ValueError(f"{len(data)} bytes of {wanted}")
    return data
