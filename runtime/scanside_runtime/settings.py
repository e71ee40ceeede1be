"""The settings of the box: one frozen tree, read from TOML; every setting has a default that works.

A key that is not known is an error, never a silent default: a typo in `floor_percent` would change a clinical number.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from scanside_runtime.errors import SettingsUnusable

EXTENT_GRADES = ("CT-0", "CT-1", "CT-2", "CT-3", "CT-4")

Group = TypeVar("Group")


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """`[measures]`: a zone or a lung counts as affected from `floor_percent` of its volume and `floor_ml` on."""

    floor_percent: float = 0.5
    floor_ml: float = 1.0

    def __post_init__(self) -> None:
        _check(0.0 <= self.floor_percent <= 100.0, "measures.floor_percent", "it must lie between 0 and 100")
        _check(0.0 <= self.floor_ml < math.inf, "measures.floor_ml", "it must be 0 or more")


@dataclass(frozen=True, slots=True)
class SeveritySettings:
    """`[severity]`: the extent grades from which a patient is flagged, and the file of a fitted model.

    model: path of a `scanside.severity-model/1` file; empty for the box's own or the bundle's, where there is one.
    """

    severe_from: str = "CT-3"
    watch_from: str = "CT-2"
    model: str = ""

    def __post_init__(self) -> None:
        known = f"it must be one of {', '.join(EXTENT_GRADES)}"
        _check(self.severe_from in EXTENT_GRADES, "severity.severe_from", known)
        _check(self.watch_from in EXTENT_GRADES, "severity.watch_from", known)
        _check(self.watch_from <= self.severe_from, "severity.watch_from", "it must not be graver than severe_from")


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """`[inference]`: threads of the engine; 0 takes all cores."""

    threads: int = 0

    def __post_init__(self) -> None:
        _check(self.threads >= 0, "inference.threads", "it must be 0 (all cores) or more")


@dataclass(frozen=True, slots=True)
class CoverageSettings:
    """`[coverage]`: how much lung a chest has, and how much of it may reach an end section.

    withhold_share: the lung's area in the first or last section as a share of its largest, above which no POI is given.
    """

    least_lung_ml: float = 400.0
    withhold_share: float = 0.1

    def __post_init__(self) -> None:
        _check(0.0 < self.least_lung_ml < math.inf, "coverage.least_lung_ml", "it must be above 0")
        _check(0.0 <= self.withhold_share <= 1.0, "coverage.withhold_share", "it must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class ProgressionSettings:
    """`[progression]`: the measurement error of a change, used until the bundle carries its own; source says whence.

    poi_points, ihu_hu: the largest difference between two scans of an unchanged patient that is still no change. The
    defaults were measured on 18 patients scanned twice (14 phantoms, 4 real series, `benchmarks/repeatability.py`):
    limits of agreement -0.4 to 0.5 points and -21 to 23 HU, their outer 95 % confidence bounds 0.8 and 33, rounded up.
    """

    poi_points: float = 1.0
    ihu_hu: float = 35.0
    source: str = "two scans each of 18 unchanged patients (14 phantoms, 4 real), without a change of breath"

    def __post_init__(self) -> None:
        for name in ("poi_points", "ihu_hu"):
            _check(0.0 < getattr(self, name) < math.inf, f"progression.{name}", "it must be above 0")
        _check(bool(self.source), "progression.source", "it must say where the figures come from")


@dataclass(frozen=True, slots=True)
class ReadingSettings:
    """`[reading]`: what the reader of foreign files may cost; beyond it a study is refused, never read in part.

    max_files: in a folder or zip. A whole study of thin sections in several reconstructions has some 5 000.
    max_file_mb: one file. An Enhanced CT of 1 000 frames of 512 x 512 has 500 MB.
    max_archive_mb: a zip, unpacked.
    max_inflated_mb: one file of the deflated transfer syntax (DICOM PS3.5 A.5), unpacked; deflate grows up to
        1 030 times (RFC 1951), and one section of 4 096 x 4 096 has 32 MB.
    max_matrix: rows or columns. 2 048 is the largest that a CT scanner reconstructs (Canon Aquilion Precision).
    max_voxels_m: of the chosen series, in millions of voxels; 1 000 sections of 512 x 512 have 262 million.
    memory_mb: address space (RLIMIT_AS, getrlimit(2)) of the reader beside the pixels that it hands over. It needs
        some 160 MB for itself.
    file_seconds, study_seconds: for one file, and for one pass over all of them.
    """

    max_files: int = 20_000
    max_file_mb: int = 512
    max_archive_mb: int = 4096
    max_inflated_mb: int = 64
    max_matrix: int = 2048
    max_voxels_m: int = 512
    memory_mb: int = 768
    file_seconds: float = 30.0
    study_seconds: float = 600.0

    def __post_init__(self) -> None:
        for key, value in asdict(self).items():
            _check(0 < value < math.inf, f"reading.{key}", "it must be above 0")
        _check(self.memory_mb >= 256, "reading.memory_mb", "the reader needs 256 or more for itself")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, by section of the file."""

    measures: MeasureSettings = field(default_factory=MeasureSettings)
    severity: SeveritySettings = field(default_factory=SeveritySettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    coverage: CoverageSettings = field(default_factory=CoverageSettings)
    progression: ProgressionSettings = field(default_factory=ProgressionSettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)


def load_settings(path: Path | None = None) -> Settings:
    """The settings in a TOML file; without a file, the defaults.

    Raises SettingsUnusable when the file can't be read, is no TOML, or holds a key or a value that is not known.
    """
    if path is None:
        return Settings()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsUnusable(key=path.name, why=f"the file can't be read ({error.strerror})") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise SettingsUnusable(key=path.name, why=f"the file is not TOML ({error})") from error
    return _read(Settings, table, "")


def settings_digest(settings: Settings) -> str:
    """SHA-256 (hex) of all values, defaults included: equal digests, equal behaviour."""
    canonical = json.dumps(asdict(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(group: type[Group], table: Mapping[str, Any], prefix: str) -> Group:
    """One section of the file as its dataclass, sub-sections included."""
    types = get_type_hints(group)
    for name in table:
        _check(name in types, f"{prefix}{name}", f"there is no such setting; known here: {', '.join(types)}")
    values = {name: _value(types[name], value, f"{prefix}{name}") for name, value in table.items()}
    return group(**values)


def _value(kind: type[Any], value: object, key: str) -> Any:
    """A value of the file as the type that the setting has."""
    if is_dataclass(kind):
        _check(isinstance(value, dict), key, f"it is a section: write [{key}]")
        return _read(kind, value, f"{key}.")  # type: ignore[arg-type]  # checked in the line above
    if kind is float and type(value) is int:
        return float(value)
    _check(type(value) is kind, key, f"it must be of type {kind.__name__}")
    return value


def _check(holds: bool, key: str, why: str) -> None:
    """Raises SettingsUnusable, naming the key, unless the condition holds."""
    if not holds:
        raise SettingsUnusable(key=key, why=why)
