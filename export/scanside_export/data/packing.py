"""Training cases for a machine that is lent for half an hour: HU in 8 bits at a network's pixels, in parts to upload.

A packed folder is used like a prepared one. HU are within half of `HU_STEP`, and where a case's own pixels are finer
they are averaged first, so the samples are those of the prepared cases within rounding.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from scanside_export.data.cases import Case
from scanside_export.errors import LabelsUnusable
from scanside_runtime.volume import HU_MIN

Array = npt.NDArray[Any]

INDEX = "packed.json"
HU_STEP = 6
"""255 of these reach from -1024 to 506 HU: the networks' windows end at 300, and a recipe varies slope and level."""
CHUNK_BYTES = 8_000_000
"""An array is cut between slices into chunks of about this size, so that parts are filled evenly."""
MB = 1_000_000


@dataclass(slots=True)
class _Parts:
    """Zip files of at most `limit` bytes, filled one after the other."""

    folder: Path
    limit: int
    names: list[str] = field(default_factory=list)
    current: zipfile.ZipFile | None = None

    def put(self, name: str, array: Array) -> None:
        """Write one chunk into the part that has room for it, compressed or not."""
        raw = io.BytesIO()
        np.save(raw, array)
        if self.current is None or _end(self.current) + raw.tell() > self.limit:
            self.close()
            self.names.append(f"cases_{len(self.names):03d}.zip")
            self.current = zipfile.ZipFile(self.folder / self.names[-1], "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.current.writestr(zipfile.ZipInfo(name), raw.getvalue(), zipfile.ZIP_DEFLATED)

    def close(self) -> None:
        if self.current is not None:
            self.current.close()


ENTRY_BYTES = 400
"""What the end of a zip file holds of each entry, at most."""


def _end(part: zipfile.ZipFile) -> int:
    """How long a part would be if it ended here."""
    assert part.fp is not None
    return part.fp.tell() + ENTRY_BYTES * (len(part.namelist()) + 2)


def pack(cases: Iterable[Case], digest: str, out: Path, pixel_mm: float, part_mb: float = 60.0) -> list[Path]:
    """Write cases as parts of at most `part_mb`, pixels finer than `pixel_mm` averaged to it; returns the files.

    digest: of the prepared cases; the packed ones get one of their own, made of it. Raises LabelsUnusable where `out`
    holds something already.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise LabelsUnusable(folder=out, why="it is not empty: pack into a new folder")
    parts, facts = _Parts(out, int(part_mb * MB)), {}
    for case in cases:
        facts[f"{case.source}/{case.name}"] = _put(parts, case, pixel_mm)
    parts.close()
    sums = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in parts.names}
    (out / INDEX).write_text(json.dumps({"cases": facts, "parts": sums, "pixel_mm": pixel_mm}))
    own = hashlib.sha256(f"{digest}\npacked {HU_STEP} HU {pixel_mm} mm".encode()).hexdigest()
    (out / "digest.json").write_text(json.dumps({"sha256": own, "cases": len(facts), "packed_from": digest}))
    return [out / name for name in (*parts.names, INDEX, "digest.json")]


def _put(parts: _Parts, case: Case, pixel_mm: float) -> dict[str, Any]:
    """One case, some slices at a time; what its index entry says."""
    rows, columns = _matrix(case, pixel_mm)
    step = max(1, CHUNK_BYTES // (rows * columns))
    for start in range(0, len(case.hu), step):
        some = slice(start, start + step)
        hu = np.stack([_hu_plane(plane, (rows, columns)) for plane in np.asarray(case.hu[some])])
        key = f"{case.source}/{case.name}/{start:05d}"
        parts.put(f"{key}/hu.npy", hu)
        parts.put(f"{key}/lungs.npy", np.stack([_nearest(plane, (rows, columns)) for plane in case.lungs[some]]))
        for number, reader in enumerate(case.infection):
            drawn = np.stack([_nearest(plane.view(np.uint8), (rows, columns)) for plane in np.asarray(reader[some])])
            parts.put(f"{key}/infection{number}.npy", np.packbits(drawn > 0, axis=-1))
    dz, dy, dx = case.spacing_mm
    spacing_mm = (dz, dy * case.hu.shape[1] / rows, dx * case.hu.shape[2] / columns)
    facts: dict[str, Any] = {"spacing_mm": spacing_mm, "shape": (len(case.hu), rows, columns), "step": step}
    return facts | {"readers": len(case.infection), "slice_thickness_mm": case.slice_thickness_mm}


def _matrix(case: Case, pixel_mm: float) -> tuple[int, int]:
    """Rows and columns at which a case is kept: its own, or fewer of at least `pixel_mm`."""
    rows, columns = (
        max(1, round(n * min(1.0, mm / pixel_mm))) for n, mm in zip(case.hu.shape[1:], case.spacing_mm[1:], strict=True)
    )
    return rows, columns


def _hu_plane(plane: Array, matrix: tuple[int, int]) -> npt.NDArray[np.uint8]:
    hu = plane.astype(np.float32)
    if plane.shape != matrix:
        hu = np.asarray(cv2.resize(hu, matrix[::-1], interpolation=cv2.INTER_AREA), dtype=np.float32)
    return np.clip(np.rint((hu - HU_MIN) / HU_STEP), 0, 255).astype(np.uint8)


def _nearest(plane: Array, matrix: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(np.asarray(plane), matrix[::-1], interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def is_packed(folder: Path) -> bool:
    """Whether `pack` wrote this folder."""
    return (folder / INDEX).exists()


def load_packed(folder: Path) -> list[Case]:
    """The cases that `pack` wrote, in memory. Raises LabelsUnusable for a part that is missing or was changed."""
    index = json.loads((folder / INDEX).read_text())
    chunks: dict[str, Array] = {}
    for name, sha256 in index["parts"].items():
        chunks.update(_chunks(folder / name, sha256))
    return [_case(key, facts, chunks) for key, facts in sorted(index["cases"].items())]


def _chunks(part: Path, sha256: str) -> Iterator[tuple[str, Array]]:
    """Names and arrays of a part that is as it was written."""
    if not part.exists():
        raise LabelsUnusable(folder=part.parent, why=f"the part {part.name} is missing")
    content = part.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise LabelsUnusable(folder=part.parent, why=f"the part {part.name} is not as it was written")
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        for name in opened.namelist():
            yield name, np.load(io.BytesIO(opened.read(name)))


def _case(key: str, facts: dict[str, Any], chunks: dict[str, Array]) -> Case:
    slices, _, columns = facts["shape"]
    starts = [f"{key}/{start:05d}" for start in range(0, slices, facts["step"])]
    hu = np.concatenate([chunks.pop(f"{start}/hu.npy") for start in starts])
    lungs = np.concatenate([chunks.pop(f"{start}/lungs.npy") for start in starts])
    readers = tuple(
        np.concatenate([chunks.pop(f"{start}/infection{n}.npy") for start in starts]) for n in range(facts["readers"])
    )
    source, name = key.split("/", 1)
    dz, dy, dx = facts["spacing_mm"]
    return Case(
        name,
        source,
        hu.astype(np.int16) * np.int16(HU_STEP) + np.int16(HU_MIN),
        (dz, dy, dx),
        lungs,
        tuple(np.unpackbits(reader, axis=-1, count=columns).astype(np.bool_) for reader in readers),
        facts["slice_thickness_mm"],
    )
