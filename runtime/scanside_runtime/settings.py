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
    """`[coverage]`: how much lung a chest has, and how much of it may reach an end section or the edge.

    withhold_share: the lung's area in the first or last section as a share of its largest, above which no POI is given.
    Measured by cutting eleven whole scans at every section of 5 mm: up to 0.1 at most 0.5 % of the lungs' volume is
    lost, from 0.1 to 0.15 at most 1.1 %, to 0.2 1.8 %, to 0.3 2.9 %, to 0.5 8.3 %.
    edge_share: the share of the lungs' outline on the edge of the field of view, above which no POI is given. Measured
    by narrowing the same scans from each side: up to 0.02 at most 0.8 % is lost, to 0.03 1.5 %, to 0.05 7.1 %.
    (`scanside-export cuts` prints both.)
    """

    least_lung_ml: float = 400.0
    withhold_share: float = 0.1
    edge_share: float = 0.02

    def __post_init__(self) -> None:
        _check(0.0 < self.least_lung_ml < math.inf, "coverage.least_lung_ml", "it must be above 0")
        _check(0.0 <= self.withhold_share <= 1.0, "coverage.withhold_share", "it must lie between 0 and 1")
        _check(0.0 <= self.edge_share <= 1.0, "coverage.edge_share", "it must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class AnatomySettings:
    """`[anatomy]`: what a pair of lungs looks like.

    gas_hu: aerated lung is no darker than this in the median; free gas, bowel gas and sinuses are. Measured: in 13 real
    series -880 to -733 with all that is dense, gas -1000.
    least_fill, most_fill: lung volume as a share of width x width x depth of the lungs. Measured in 13 real series:
    0.19 (held at mid-breath) and 0.28 to 0.44; half of the usual 0.32 is a shallow breath.
    largest_ml: more is no human lung; the largest that were published are below it (West, 2012: some 10 l).
    uneven_share: the smaller lung's share of both; below it is a caution. Measured in 13 real series: 0.35 (a collapsed
    upper lobe) to 0.48.
    lone_share: below it the smaller lung counts as not found, and no POI is given.
    """

    gas_hu: float = -960.0
    least_fill: float = 0.16
    most_fill: float = 0.6
    largest_ml: float = 12000.0
    uneven_share: float = 0.33
    lone_share: float = 0.1

    def __post_init__(self) -> None:
        _check(-1024.0 <= self.gas_hu <= 0.0, "anatomy.gas_hu", "it must lie between -1024 and 0")
        _check(0.0 <= self.least_fill < self.most_fill, "anatomy.least_fill", "it must be below most_fill")
        _check(0.0 < self.largest_ml < math.inf, "anatomy.largest_ml", "it must be above 0")
        _check(0.0 <= self.uneven_share <= 0.5, "anatomy.uneven_share", "it must lie between 0 and 0.5")
        _check(0.0 <= self.lone_share <= self.uneven_share, "anatomy.lone_share", "it must not exceed uneven_share")


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """`[quality]`: from when on the pictures themselves are doubted.

    air_highest_hu: the trachea's air in the median; above, HU are not calibrated. Measured in 13 real series of five
    makers: -1012 to -944; air is -1000 by definition of the scale (DICOM PS3.3 C.8.2.1, RescaleType HU).
    soft_lowest_hu, soft_highest_hu: the most frequent value of soft tissue. Measured in the same: 12 to 52.
    blood_hu: three quarters of what is soft between the lungs lie below it without contrast medium. Measured: 35 to 52
    without, 141 to 395 with it.
    noise_hu: the usual scatter within 7 mm of soft tissue (Christianson et al., AJR 2015;205:W93).
    metal_hu, metal_ml: denser than cortical bone, and so much of it at the height of the lungs.
    validated_from_mm, validated_to_mm: section thickness that validation covered.
    uncertain_points: POI between a network three times surer and three times less sure, in percentage points.
    """

    air_highest_hu: float = -900.0
    soft_lowest_hu: float = -30.0
    soft_highest_hu: float = 110.0
    blood_hu: float = 90.0
    noise_hu: float = 50.0
    metal_hu: float = 2500.0
    metal_ml: float = 0.2
    validated_from_mm: float = 2.0
    validated_to_mm: float = 10.0
    uncertain_points: float = 5.0

    def __post_init__(self) -> None:
        _check(-1024.0 < self.air_highest_hu <= 0.0, "quality.air_highest_hu", "it must lie between -1024 and 0")
        _check(self.soft_lowest_hu < self.soft_highest_hu, "quality.soft_lowest_hu", "it must be below soft_highest_hu")
        _check(0.0 < self.noise_hu < math.inf, "quality.noise_hu", "it must be above 0")
        _check(0.0 < self.metal_ml < math.inf, "quality.metal_ml", "it must be above 0")
        ascending = 0.0 < self.validated_from_mm < self.validated_to_mm
        _check(ascending, "quality.validated_from_mm", "it must be above 0 and below validated_to_mm")
        _check(0.0 < self.uncertain_points <= 100.0, "quality.uncertain_points", "it must lie between 0 and 100")


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """`[motion]`: which slices count as moved, and how many of them are too many.

    moved_from: the detector's probability from which a slice counts as moved. Of four series that it was not made with,
    0.8 % of 476 untouched sections count as moved, and 62 % of 173 in simulated motion; of sick ones that held still,
    1.6 % (infection-3d), 0.9 % (infection-8mm) and 1.6 % (60 chests with 20 to 87 % of drawn disease).
    caution_share: of all lung slices. withhold_share: of the slices with infection. None of these 102 sick series
    reaches either.
    """

    moved_from: float = 0.8
    caution_share: float = 0.2
    withhold_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("moved_from", "caution_share", "withhold_share"):
            _check(0.0 <= getattr(self, name) <= 1.0, f"motion.{name}", "it must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class PatientSettings:
    """`[patient]`: from what age on; the networks have seen no children."""

    adult_from_years: float = 18.0

    def __post_init__(self) -> None:
        _check(0.0 <= self.adult_from_years < 120.0, "patient.adult_from_years", "it must lie between 0 and 120")


@dataclass(frozen=True, slots=True)
class ProgressionSettings:
    """`[progression]`: the measurement error of a change, used until the bundle carries its own; source says whence.

    poi_points, ihu_hu: the largest change that may be no change of the patient. The defaults are the wider sides,
    rounded up to half a point and a HU, of the limits of agreement of measured changes against true ones: 20 steps of 4
    random phantom patients with six scans each (`benchmarks/courses.py`), scanside-chest 0.3.0: -1.3 to 1.2 points and
    -40.9 to 47.2 HU. Two scans of 19 unchanged patients (14 phantoms, 5 real series, `benchmarks/repeatability.py`) lay
    nearer: -0.7 to 0.8 points and -26 to 32 HU.
    """

    poi_points: float = 1.5
    ihu_hu: float = 48.0
    source: str = "scanside-chest 0.3.0 against true changes, 4 phantom patients of six scans"

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
    max_voxels_m: of the chosen series, in millions of voxels; 900 sections of 512 x 512 have 236 million. An
        analysis takes some 10 bytes a voxel beside 0.4 GB, and `jobs.memory_limit_mb` must hold it.
    memory_mb: address space (RLIMIT_AS, getrlimit(2)) of the reader beside the pixels that it hands over. It needs
        some 160 MB for itself.
    file_seconds, study_seconds: for one file, and for one pass over all of them; there are two, and `jobs.time_limit_s`
        must hold them.
    """

    max_files: int = 20_000
    max_file_mb: int = 512
    max_archive_mb: int = 4096
    max_inflated_mb: int = 64
    max_matrix: int = 2048
    max_voxels_m: int = 256
    memory_mb: int = 768
    file_seconds: float = 30.0
    study_seconds: float = 300.0

    def __post_init__(self) -> None:
        for key, value in asdict(self).items():
            _check(0 < value < math.inf, f"reading.{key}", "it must be above 0")
        _check(self.memory_mb >= 256, "reading.memory_mb", "the reader needs 256 or more for itself")


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
    progression: ProgressionSettings = field(default_factory=ProgressionSettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    disk: DiskSettings = field(default_factory=DiskSettings)
    anatomy: AnatomySettings = field(default_factory=AnatomySettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    motion: MotionSettings = field(default_factory=MotionSettings)
    patient: PatientSettings = field(default_factory=PatientSettings)


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
