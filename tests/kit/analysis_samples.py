"""A small chest of known masks, its DICOM series, and an analysis of it that no network was needed for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from kit.reading import choose_series, find_series, read_volume
from scanside_runtime.dicom.series import Series
from scanside_runtime.measures.biomarkers import measure, withheld
from scanside_runtime.measures.severity import assess_extent
from scanside_runtime.phantom.dicom_writer import Storage, write_series
from scanside_runtime.volume import Hu, Masks, Volume

SHAPE = (14, 40, 44)  # deliberately odd: rows are not columns
SPACING_MM = (9.5, 4.0, 5.0)
REASON = {
    "code": "GEOMETRY_MISSING_SLICES",
    "message": "2 slices are missing.",
    "advice": "Send the series again.",
}


@dataclass
class StubAnalysis:
    """What `scanside_runtime.analysis.analyze` gives back, as far as the appliance may look at it."""

    verdict: str
    exit_code: int
    series: Series | None
    volume: Volume | None
    masks: Masks | None
    content: dict[str, Any]

    def document(self) -> dict[str, Any]:
        return self.content


def chest_hu() -> Hu:
    """Soft tissue with two lungs and a trachea, ground glass at the back of the left one; no two rows alike."""
    hu = np.full(SHAPE, 40, np.int16)
    hu += np.arange(SHAPE[1], dtype=np.int16)[:, None] // 8 + np.arange(SHAPE[2], dtype=np.int16) // 8
    hu[2:12, 8:32, 4:19] = -850
    hu[2:12, 8:32, 26:41] = -850
    hu[3:7, 24:31, 28:39] = -520
    hu[7:, 12:16, 21:24] = -1000
    return hu


def chest_masks(volume: Volume) -> Masks:
    right, left, infection = (np.zeros(SHAPE, np.bool_) for _ in range(3))
    right[2:12, 8:32, 4:19] = True
    left[2:12, 8:32, 26:41] = True
    infection[3:7, 24:31, 28:39] = True
    return Masks(volume.with_mask(right), volume.with_mask(left), volume.with_mask(infection))


def written(hu: Hu, spacing_mm: tuple[float, float, float], folder: Path, **options: Any) -> list[Path]:
    """`write_series`, with the options of `Storage` among its own; what was written once is copied from then on."""
    contents = _written_once(hu.tobytes(), hu.shape, spacing_mm, tuple(sorted(options.items())))
    paths = [folder / name for name, _ in contents]
    for path, (_, data) in zip(paths, contents, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return paths


@lru_cache(maxsize=64)
def _written_once(
    data: bytes, shape: tuple[int, ...], spacing_mm: tuple[float, float, float], options: tuple[tuple[str, Any], ...]
) -> list[tuple[Path, bytes]]:
    """The files, by their path in the folder."""
    hu, others = np.frombuffer(data, np.int16).reshape(shape), dict(options)
    stored = Storage(**{one.name: others.pop(one.name) for one in fields(Storage) if one.name in others})
    with TemporaryDirectory() as folder:
        paths = write_series(hu, spacing_mm, Path(folder), stored=stored, **others)
        return [(path.relative_to(folder), path.read_bytes()) for path in paths]


def chest_series(folder: Path, **options: Any) -> tuple[Series, Volume]:
    """The chest written as DICOM and read as any study; options are those of `written`."""
    written(chest_hu(), SPACING_MM, folder, origin_mm=(-100.0, -80.0, -63.25), **options)
    series = choose_series(find_series(folder))
    return series, read_volume(series)


def analysed(folder: Path) -> StubAnalysis:
    series, volume = chest_series(folder)
    masks = chest_masks(volume)
    return StubAnalysis("analysed", 0, series, volume, masks, chest_document(series, volume, masks))


def refused(folder: Path, *, after_measuring: bool = False) -> StubAnalysis:
    """A refusal at the door, or one by a withhold flag after lungs were measured."""
    sick = analysed(folder)
    document = {**sick.content, "verdict": "refused", "reason": REASON}
    document["severity"] = {**document["severity"], "flag": "not_assessed"}
    if after_measuring and sick.volume is not None and sick.masks is not None:
        document["biomarkers"] = withheld(measure(sick.volume, sick.masks)).to_document()
        return StubAnalysis("refused", 3, sick.series, sick.volume, sick.masks, document)
    document.update(biomarkers=None, severity=None, series=None)
    return StubAnalysis("refused", 3, None, None, None, document)


def chest_document(series: Series, volume: Volume, masks: Masks) -> dict[str, Any]:
    biomarkers = measure(volume, masks)
    return {
        "schema": "scanside.result/1",
        "verdict": "analysed",
        "reason": None,
        "flags": [{"code": "QUALITY_NOISE", "level": "note", "message": "The lung is noisier than usual."}],
        "study": {
            "patient_id": "P-17",
            "issuer": None,
            "patient_name": "Doe^Jane",
            "study_uid": series.study.study_uid,
            "study_date": "2020-04-01",
            "acquired_at": "2020-04-01T10:15:00",
            "birth_date": "1960-01-01",
            "age_years": 60.0,
            "sex": "F",
        },
        "series": {
            "uid": series.uid,
            "description": series.description,
            "slices": len(series.slices),
            "spacing_mm": list(volume.spacing_mm),
            "slice_thickness_mm": volume.slice_thickness_mm,
            "kernel": series.kernel,
            "contrast_bolus_agent": series.contrast_bolus_agent,
            "manufacturer": series.manufacturer,
            "model": series.model,
            "transfer_syntax": series.transfer_syntax,
            "hu_mean": volume.hu_mean,
            "chosen_because": series.chosen_because,
        },
        "biomarkers": biomarkers.to_document(),
        "severity": assess_extent(biomarkers).to_document(),
        "progression": None,
        "provenance": {
            "software": "scanside",
            "version": "0.1.0",
            "commit": None,
            "bundle": {"name": "sample", "version": "1", "sha256": "ab" * 32},
            "engine": {"name": "openvino", "version": "1", "precision": "int8", "threads": 2, "isa": None},
            "selftest": {"at": "2026-11-28T06:00:00+00:00", "lungs_dice": 0.9985, "infection_dice": 0.9921},
            "input_sha256": volume.input_sha256,
            "settings_sha256": None,
            "revision": None,
            "supersedes": None,
        },
        "timing_ms": {"total": 12345.6},
        "artefacts": [],
    }
