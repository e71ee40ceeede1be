"""All slices of a result as small pictures in one file, `slices.zip`: for people, and for the next scan's page.

It is a zip of JPEG files, stored as they are, and `index.json`, which says which slice each is and how high in the
lungs it lies. A later scan finds the picture at the same height there. Nothing in it is decoded here.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scanside_appliance.pictures.draw import TilePicture

INDEX = "index.json"
LARGEST_INDEX_BYTES, LARGEST_PICTURE_BYTES = 200_000, 200_000
NEAR = 0.04
"""Pictures are of the same height where they lie no further apart than this share of the lungs' height: some 1 cm."""
_JPEG = b"\xff\xd8\xff"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the same input makes the same file


@dataclass(frozen=True, slots=True)
class ArchivedSlice:
    """One picture of the file. number: as people count, 1 nearest to the head; height: see `TilePicture`."""

    file: str
    number: int
    height: float


@dataclass(frozen=True, slots=True)
class SliceArchive:
    """The pictures of an earlier result."""

    path: Path
    slices: tuple[ArchivedSlice, ...]

    def at(self, height: float) -> tuple[int, bytes] | None:
        """Number and JPEG of the slice at a height of the lungs; None where none is near or it can't be read."""
        nearest = min(self.slices, key=lambda one: abs(one.height - height), default=None)
        if nearest is None or abs(nearest.height - height) > NEAR:
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:
                jpeg = _member(archive, nearest.file, LARGEST_PICTURE_BYTES)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        return (nearest.number, jpeg) if jpeg.startswith(_JPEG) else None


def slice_archive_bytes(tiles: Sequence[TilePicture]) -> bytes:
    """The file with all these pictures."""
    index = [ArchivedSlice(f"slice_{tile.number:04d}.jpg", tile.number, round(tile.height, 4)) for tile in tiles]
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        text = json.dumps([asdict(one) for one in index], indent=1)
        archive.writestr(zipfile.ZipInfo(INDEX, _FIRST_DAY), text)
        for one, tile in zip(index, tiles, strict=True):
            archive.writestr(zipfile.ZipInfo(one.file, _FIRST_DAY), tile.jpeg)
    return written.getvalue()


def open_slice_archive(path: Path) -> SliceArchive | None:
    """The pictures in a file; None where it is not there, can't be read, or is no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            index = json.loads(_member(archive, INDEX, LARGEST_INDEX_BYTES))
        slices = tuple(ArchivedSlice(str(one["file"]), int(one["number"]), float(one["height"])) for one in index)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile):
        return None
    return SliceArchive(path, slices)


def _member(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """What a member holds. Raises ValueError for one that is packed or too large, KeyError for none."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > most_bytes:
        raise ValueError("it is no picture of ours")
    return archive.read(info)
