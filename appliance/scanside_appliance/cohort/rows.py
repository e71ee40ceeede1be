"""One row a study: which columns, and how a result document becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scanside_appliance.cohort.studies import CohortStudy
from scanside_runtime.errors import ScansideError

Row = dict[str, Any]

COLUMNS: dict[str, type] = {
    "patient_id": str, "study_uid": str, "acquired_at": str, "verdict": str, "reason_code": str,
    "poi_percent": float, "ihu_hu": float, "lung_volume_ml": float, "infection_volume_ml": float,
    "severity_flag": str, "slice_thickness_mm": float, "seconds": float,
    "issuer": str, "age_years": float, "sex": str,
    "left_poi_percent": float, "left_ihu_hu": float, "right_poi_percent": float, "right_ihu_hu": float,
    "severity_basis": str, "severity_model": str,
    "six_zone_score": int, "ct_extent_grade": str, "flags": str, "reason": str,
    "series_uid": str, "slices": int, "kernel": str, "manufacturer": str, "model": str,
    "bundle": str, "bundle_sha256": str, "engine": str, "precision": str, "software_version": str,
    "input_sha256": str, "source": str,
    "high_opacity_percent": float, "consolidation_ml": float,
    "left_high_opacity_percent": float, "left_consolidation_ml": float,
    "right_high_opacity_percent": float, "right_consolidation_ml": float,
    "fluid_ml": float, "poi_with_fluid_percent": float,
}  # fmt: skip
"""Every column in its order with its type; an empty cell means not measured or not stated."""

_STUDY = ("patient_id", "acquired_at", "issuer", "age_years", "sex")
_MEASURES = (
    *("poi_percent", "ihu_hu", "lung_volume_ml", "infection_volume_ml", "six_zone_score", "ct_extent_grade"),
    *("high_opacity_percent", "consolidation_ml", "fluid_ml", "poi_with_fluid_percent"),
)
_SERIES = ("slice_thickness_mm", "slices", "kernel", "manufacturer", "model")
_MEASURES_OF_SIDES = ("poi_percent", "ihu_hu", "high_opacity_percent", "consolidation_ml")
_SIDES = tuple(f"{side}_{measure}" for side in ("left", "right") for measure in _MEASURES_OF_SIDES)


def row_of(study: CohortStudy, document: Mapping[str, Any], seconds: float) -> Row:
    """The row of an analysis; `document` is a result document, schema scanside.result/1."""
    block = {name: document.get(name) or {} for name in ("study", "series", "biomarkers", "severity", "reason")}
    provenance = document["provenance"]
    bundle, engine = provenance.get("bundle") or {}, provenance.get("engine") or {}
    sides = {
        f"{side}_{key}": value
        for side in ("left", "right")
        for key, value in (block["biomarkers"].get(side) or {}).items()
    }
    return _whole(
        study,
        {
            **{name: block["study"].get(name) for name in _STUDY},
            **{name: block["biomarkers"].get(name) for name in _MEASURES},
            **{name: block["series"].get(name) for name in _SERIES},
            **{name: sides.get(name) for name in _SIDES},
            "study_uid": block["study"].get("study_uid"),
            "verdict": document["verdict"],
            "reason_code": block["reason"].get("code"),
            "reason": block["reason"].get("message"),
            "severity_flag": block["severity"].get("flag"),
            "severity_basis": block["severity"].get("basis"),
            "severity_model": (block["severity"].get("model") or {}).get("name"),
            "flags": " ".join(dict.fromkeys(flag["code"] for flag in document["flags"])) or None,
            "series_uid": block["series"].get("uid"),
            "bundle": f"{bundle['name']} {bundle['version']}" if bundle else None,
            "bundle_sha256": bundle.get("sha256"),
            "engine": engine.get("name"),
            "precision": engine.get("precision"),
            "software_version": provenance["version"],
            "input_sha256": provenance.get("input_sha256"),
            "seconds": round(seconds, 3),
        },
    )


def failed_row(study: CohortStudy, error: ScansideError) -> Row:
    """The row of a study that gave no document at all."""
    return _whole(study, {"verdict": "refused", "reason_code": error.code, "reason": error.message})


def is_final(row: Row) -> bool:
    """Whether the same study would give the same again: what the box got wrong, and only that, is tried anew."""
    return not str(row["reason_code"] or "").startswith("BOX_")


def _whole(study: CohortStudy, known: Row) -> Row:
    row: Row = {**dict.fromkeys(COLUMNS), **known, "source": str(study.path)}
    row["study_uid"] = row["study_uid"] or study.name
    return row
