"""A patient over time: result documents by hand, and a phantom whose infection grows and shrinks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kit.small_demo import COARSE_LAYER_MM
from scanside_runtime.followup.document import PLACES
from scanside_runtime.followup.measurement_error import MeasurementError
from scanside_runtime.followup.progression import progression
from scanside_runtime.followup.scan import Scan
from scanside_runtime.phantom.dicom_writer import SeriesTags, write_series
from scanside_runtime.phantom.make import Phantom, PhantomSpec, demo_spec, make_phantom

ERROR = MeasurementError(2.0, 30.0, "by construction")
LUNGS_ML = 4000.0


def result(acquired_at: str | None, poi_percent: float | None, ihu_hu: float | None = -500.0, **changes: Any) -> Any:
    """A result document with one infection in lungs of 4000 ml; `changes` by key: {"series.kernel": "B70f"}."""
    infection_ml = None if poi_percent is None else poi_percent / 100.0 * LUNGS_ML
    whole = {
        "poi_percent": poi_percent,
        "ihu_hu": ihu_hu if infection_ml else None,
        "infection_volume_ml": infection_ml,
        "lung_volume_ml": LUNGS_ML,
    }
    document = {
        "schema": "scanside.result/1",
        "verdict": "refused" if poi_percent is None else "analysed",
        "flags": [],
        "study": {
            "patient_id": "P-17", "issuer": None, "study_uid": f"1.2.{acquired_at}", "acquired_at": acquired_at,
            "study_date": acquired_at and acquired_at[:10], "birth_date": "1960-01-01", "sex": "F",
        },
        "series": {
            "slice_thickness_mm": 5.0, "spacing_mm": [5.0, 0.7, 0.7], "kernel": "B30f", "manufacturer": "A",
            "model": "B", "contrast_bolus_agent": None,
        },
        "biomarkers": {
            **whole,
            **{name: dict(whole) for name in PLACES[:2]},
            "zones": {name: dict(whole) for name in PLACES[2:]},
        },
        "provenance": {"bundle": {"name": "b", "version": "1", "sha256": "ab"}, "revision": None},
    }  # fmt: skip
    for key, value in changes.items():
        block, _, name = key.rpartition(".")
        (document[block] if block else document)[name] = value
    return document


def scan(acquired_at: str | None, poi_percent: float | None, ihu_hu: float | None = -500.0, **changes: Any) -> Scan:
    return Scan.from_document(result(acquired_at, poi_percent, ihu_hu, **changes))


def course_block(scans: int) -> Any:
    """The block `progression` of the last of so many scans, two days apart; each against the one before."""
    made = [scan(f"2020-03-{10 + 2 * i:02d}T08:00:00", 5.0 + 4.0 * i, -560.0 + 20.0 * i) for i in range(scans)]
    found = progression(made[-1], made[:-1], ERROR)
    assert found is not None
    return found.to_document()


def sick_spec(size: float, denser_hu: float = 0.0, slice_thickness_mm: float = 10.0) -> PhantomSpec:
    """The demo's patient, smaller, with every lesion `size` times as wide and so much denser."""
    spec = replace(
        demo_spec(),
        matrix=192,
        lung_height_mm=190.0,
        slice_thickness_mm=slice_thickness_mm,
        increment_mm=slice_thickness_mm,
        layer_mm=COARSE_LAYER_MM,
    )
    lesions = tuple(
        replace(
            one,
            radii_mm=(size * one.radii_mm[0], size * one.radii_mm[1], size * one.radii_mm[2]),
            mean_hu=one.mean_hu + denser_hu,
        )
        for one in spec.lesions
    )
    return replace(spec, lesions=lesions)


def repositioned(spec: PhantomSpec) -> PhantomSpec:
    """The same state scanned once more: other slice positions, pixels and noise."""
    start = spec.first_centre_mm - 2.5 * spec.increment_mm
    return replace(spec, first_centre_mm=start, field_of_view_mm=1.03 * spec.field_of_view_mm)


def write_scan(folder: Path, spec: PhantomSpec, day: str, number: int) -> Phantom:
    """One scan of the patient on a day (YYYYMMDD) as a DICOM series."""
    phantom = make_phantom(spec)
    tags = SeriesTags(study_date=day, study_uid=f"1.2.826.0.1.{number}")
    write_series(
        phantom.hu,
        phantom.spacing_mm,
        folder,
        origin_mm=phantom.origin_mm,
        slice_thickness_mm=spec.slice_thickness_mm,
        tags=tags,
    )
    return phantom
