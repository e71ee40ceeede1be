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

    poi_points, ihu_hu: the largest change that may be no change of the patient. The defaults are the half widths of the
    limits of agreement, rounded up, of measured changes against true ones: 20 steps of 4 random phantom patients with
    six scans each (`benchmarks/courses.py`), -1.9 to 1.7 points and -59 to 67 HU. Two scans of 18 unchanged patients
    (14 phantoms, 4 real series, `benchmarks/repeatability.py`) lie nearer: -0.4 to 0.5 points and -21 to 23 HU.
    """

    poi_points: float = 2.0
    ihu_hu: float = 65.0
    source: str = "measured against true changes, 4 phantom patients of six scans"

    def __post_init__(self) -> None:
        for name in ("poi_points", "ihu_hu"):
            _check(0.0 < getattr(self, name) < math.inf, f"progression.{name}", "it must be above 0")
        _check(bool(self.source), "progression.source", "it must say where the figures come from")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, by section of the file."""

    measures: MeasureSettings = field(default_factory=MeasureSettings)
    severity: SeveritySettings = field(default_factory=SeveritySettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    coverage: CoverageSettings = field(default_factory=CoverageSettings)
    progression: ProgressionSettings = field(default_factory=ProgressionSettings)


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
