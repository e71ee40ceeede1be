"""What a made case is, how it is judged, and what cases are made of: a small chest, and ways to spoil its files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import generate_uid

from kit.analysis_samples import SPACING_MM, chest_hu, written
from scanside_appliance.results.output import write_output
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.options import Options
from scanside_runtime.dicom.headers import lenient
from scanside_runtime.phantom.dicom_writer import SeriesTags
from scanside_runtime.settings.tables import InferenceSettings, ReadingSettings, Settings
from scanside_runtime.volume import Hu

Make = Callable[[Path], Path | None]


@dataclass(frozen=True)
class Case:
    """make: puts the study into a folder; gives the path to analyse, None for the folder itself.

    code: of the reason; None where the study is analysed, and then `flags` are what must be noticed.
    written: whether all that an analysis leaves is written, or its document alone made; of cases that are one oddity in
    many spellings, of one alone; of what lies beside the slices, or in the names of their files, not at all.
    """

    name: str
    make: Make
    code: str | None
    flags: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    reading: dict[str, Any] = field(default_factory=dict)
    written: bool = True

    @property
    def verdict(self) -> str:
        return "refused" if self.code else "analysed"


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    verdict: str
    code: str | None
    flags: tuple[str, ...]
    poi_percent: float | None
    passed_over: tuple[str, ...]
    seconds: float


CASES: list[Case] = []


def case(
    code: str | None, *flags: str, reading: dict[str, Any] | None = None, written: bool = True, **options: Any
) -> Callable[[Make], Make]:
    """Enters a function as a case under its own name."""

    def enter(make: Make) -> Make:
        CASES.append(Case(make.__name__, make, code, flags, options, reading or {}, written))
        return make

    return enter


def judge(one: Case, folder: Path, bundle: Path) -> Outcome:
    """Make the case in an empty folder and analyse it; where the case says so, write all that an analysis leaves."""
    study = folder / "study"
    study.mkdir()
    path = one.make(study) or study
    settings = Settings(inference=InferenceSettings(threads=1), reading=ReadingSettings(**one.reading))
    began = time.perf_counter()
    analysis = analyze(path, Options(settings, "onnxruntime", bundle=bundle), **one.options)
    document = write_output(analysis, folder / "out") if one.written else analysis.document()
    document = json.loads(json.dumps(document, allow_nan=False))
    return Outcome(
        verdict=document["verdict"],
        code=(document["reason"] or {}).get("code"),
        flags=tuple(flag["code"] for flag in document["flags"]),
        poi_percent=(document["biomarkers"] or {}).get("poi_percent"),
        passed_over=tuple(passed["why"] for passed in (document["series"] or {}).get("passed_over", ())),
        seconds=time.perf_counter() - began,
    )


# What the cases are made of


def chest() -> Hu:
    """(14, 40, 44) int16; no two voxels need be alike."""
    noise = np.random.default_rng(7).normal(0.0, 12.0, chest_hu().shape)
    return np.clip(chest_hu() + noise, -1024, 3071).astype(np.int16)


def scan(
    folder: Path, hu: Hu | None = None, spacing_mm: tuple[float, float, float] = SPACING_MM, **options: Any
) -> list[Path]:
    return written(chest() if hu is None else hu, spacing_mm, folder, **options)


def edit(paths: Sequence[Path], change: Callable[[Dataset, int], None], only: int | None = None) -> None:
    """Changes each file in its place, or one alone; the function gets the data set and the slice's number."""
    with lenient():
        for number, path in enumerate(paths):
            if only not in (None, number):
                continue
            ds = pydicom.dcmread(path)
            change(ds, number)
            ds.save_as(path)


def put(paths: Sequence[Path], only: int | None = None, **values: Any) -> None:
    """Sets elements in all files or in one; None takes an element away."""

    def change(ds: Dataset, number: int) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    edit(paths, change, only)


def move(paths: Sequence[Path], place: Callable[[int, list[float]], list[float]]) -> None:
    """Gives each slice another Image Position (Patient), mm."""

    def change(ds: Dataset, number: int) -> None:
        ds.ImagePositionPatient = [
            float(f"{mm:.6f}") for mm in place(number, [float(v) for v in ds.ImagePositionPatient])
        ]

    edit(paths, change)


def overwrite(path: Path, old: bytes, new: bytes) -> None:
    """Bytes of the same length, past every check of a writer."""
    data = path.read_bytes()
    if old not in data or len(old) != len(new):
        raise ValueError(f"{old!r} is not there, or {new!r} has another length")
    path.write_bytes(data.replace(old, new))


def redeclared(path: Path, old: str, new: str) -> None:
    """Another transfer syntax in the file's meta information, and no other change."""
    data = path.read_bytes()
    begins = 144 + int.from_bytes(data[140:144], "little")
    was, now = (b"\x02\x00\x10\x00UI" + len(uid).to_bytes(2, "little") + uid for uid in map(_padded, (old, new)))
    if was not in data[:begins]:
        raise ValueError(f"{old} is not declared")
    meta = data[144:begins].replace(was, now)
    path.write_bytes(data[:140] + len(meta).to_bytes(4, "little") + meta + data[begins:])


def _padded(uid: str) -> bytes:
    return uid.encode() + b"\x00" * (len(uid) % 2)


def undelimited(path: Path, behind: bytes) -> None:
    """Takes the end of the fragments away (PS3.5 A.4) and what follows it, and puts something else behind."""
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\xfe\xff\xdd\xe0\x00\x00\x00\x00")] + behind)


def split_picture(path: Path) -> None:
    """Two fragments for one picture, and an offset table of two entries, as for two frames."""
    ds = pydicom.dcmread(path)
    picture = get_frame(ds.PixelData, 0, number_of_frames=1)
    middle = len(picture) // 4 * 2
    halves = [picture[:middle], picture[middle:] + b"\x00" * (len(picture) % 2)]
    table = (0).to_bytes(4, "little") + (middle + 8).to_bytes(4, "little")
    items = [b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item for item in (table, *halves)]
    ds.PixelData = b"".join(items) + b"\xfe\xff\xdd\xe0" + bytes(4)
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def second_series(folder: Path, **tags: Any) -> list[Path]:
    """Another series of the same study, half a millimetre of noise apart."""
    first = pydicom.dcmread(next(folder.parent.rglob("*.dcm")), stop_before_pixels=True)
    return scan(folder, tags=SeriesTags(study_uid=first.StudyInstanceUID, **{"series_number": 3, **tags}))


def merged(paths: Sequence[Path], into: Path) -> None:
    """Puts slices under the SeriesInstanceUID of another series, with SOP Instance UIDs of their own."""
    series_uid = pydicom.dcmread(into, stop_before_pixels=True).SeriesInstanceUID
    put(paths, SeriesInstanceUID=series_uid)


def directory(path: Path) -> None:
    """A media directory whose record names a file outside the folder (DICOM PS3.10 8)."""
    ds = Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["directory"])
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    record = Dataset()
    with lenient():
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["..", "..", "ETC", "PASSWD"]
        ds.DirectoryRecordSequence = [record]
        ds.save_as(path, enforce_file_format=True)


def tilted(paths: Sequence[Path], degrees: float) -> None:
    """The gantry leans, the table moves straight on."""
    cosine, sine = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    put(paths, ImageOrientationPatient=[1, 0, 0, 0, round(cosine, 8), round(sine, 8)])
