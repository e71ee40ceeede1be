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
    """`[severity]`: the extent grades from which a patient is flagged."""

    severe_from: str = "CT-3"
    watch_from: str = "CT-2"

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
class InboxSettings:
    """`[inbox]`: when a study in the watched folder counts as complete; all times are durations.

    quiet_s: nothing of the study changed for so long.
    patience_s: a hole in the grid or a file that breaks off is waited for so long; then it goes on as incomplete.
    scan_s: between two full scans.
    leftover_s: after so long a file named like a temporary one (`.part`, `.tmp`) is taken as what it is.
    """

    quiet_s: float = 60.0
    patience_s: float = 900.0
    scan_s: float = 10.0
    leftover_s: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("quiet_s", "scan_s"):
            _check(0.0 < getattr(self, name) < math.inf, f"inbox.{name}", "it must be above 0")
        _check(self.quiet_s <= self.patience_s < math.inf, "inbox.patience_s", "it must not be below quiet_s")
        _check(0.0 <= self.leftover_s < math.inf, "inbox.leftover_s", "it must be 0 or more")


@dataclass(frozen=True, slots=True)
class JobSettings:
    """`[jobs]`: limits of one analysis, and what happens when it fails.

    retry_after_s: the wait before the second attempt, four times as long before each further one. warm_s: the process
    that analyses is let go after so long without a study.
    """

    time_limit_s: float = 900.0
    memory_limit_mb: int = 3072
    attempts: int = 3
    retry_after_s: float = 60.0
    warm_s: float = 600.0

    def __post_init__(self) -> None:
        _check(0.0 < self.time_limit_s < math.inf, "jobs.time_limit_s", "it must be above 0")
        _check(self.memory_limit_mb >= 256, "jobs.memory_limit_mb", "it must be 256 or more")
        _check(self.attempts >= 1, "jobs.attempts", "it must be 1 or more")
        for name in ("retry_after_s", "warm_s"):
            _check(0.0 <= getattr(self, name) < math.inf, f"jobs.{name}", "it must be 0 or more")


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """`[disk]`: from `stop_percent` in use on, nothing more is taken in.

    Where `clean_archive` allows it, the oldest studies that are archived and reported are then removed from the archive
    until `clean_to_percent` is reached; results stay. reserve_mb is kept back for the database.
    """

    stop_percent: float = 90.0
    clean_archive: bool = True
    clean_to_percent: float = 80.0
    reserve_mb: int = 64

    def __post_init__(self) -> None:
        _check(0.0 < self.stop_percent <= 100.0, "disk.stop_percent", "it must lie between 0 and 100")
        below = 0.0 <= self.clean_to_percent <= self.stop_percent
        _check(below, "disk.clean_to_percent", "it must not exceed stop_percent")
        _check(self.reserve_mb >= 0, "disk.reserve_mb", "it must be 0 or more")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, by section of the file."""

    measures: MeasureSettings = field(default_factory=MeasureSettings)
    severity: SeveritySettings = field(default_factory=SeveritySettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    coverage: CoverageSettings = field(default_factory=CoverageSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    disk: DiskSettings = field(default_factory=DiskSettings)


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
    return settings_of(table)


def settings_of(table: Mapping[str, Any]) -> Settings:
    """The settings in a table of sections, as `dataclasses.asdict` gives it. Raises SettingsUnusable."""
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
