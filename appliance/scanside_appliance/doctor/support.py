"""A file for whoever helps from afar: what ails the box, and nothing of any patient.

Only what is known to hold nothing of a header goes in: conditions, settings, versions, the counts of the book. No log,
no result, no name or path of a study.
"""

from __future__ import annotations

import json
import platform
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from scanside_appliance.bundles.record import read_record
from scanside_appliance.doctor.conditions import Condition, Examined
from scanside_appliance.doctor.examine import document
from scanside_appliance.files.atomic import writing
from scanside_appliance.service.status import last_said
from scanside_runtime.errors import BoxFailed
from scanside_runtime.version import software_version, source_commit

OF_STATUS = ("schema", "jobs", "put_aside", "at", "disk", "engine", "clock", "counters")
"""Of the daemon's last word what is counts and words of ours: neither what arrives nor what is analysed."""


def write_support_file(box: Examined, found: Sequence[Condition], path: Path) -> None:
    """Write the zip. Raises BoxOutput."""
    parts = {
        "doctor.json": document(box, found),
        "settings.json": asdict(box.settings),
        "software.json": _software(),
        "status.json": {name: value for name, value in last_said(box.layout).items() if name in OF_STATUS},
        "bundles.json": _bundles(box),
    }
    with writing(path.parent), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, part in parts.items():
            file.writestr(name, json.dumps(part, indent=2, default=str))


def _software() -> dict[str, Any]:
    packages = {one.metadata["Name"]: one.version for one in distributions()}
    return {
        "scanside": software_version(),
        "commit": source_commit(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }


def _bundles(box: Examined) -> Any:
    try:
        return asdict(read_record(box.layout.root))
    except BoxFailed as error:
        return {"problem": error.message}
