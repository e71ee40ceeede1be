"""The settings of the box: one frozen tree, read from TOML; every setting has a default that works.

A key that is not known is an error, never a silent default: a typo in `floor_percent` would change a clinical number.
Every number has bounds, and NaN or infinity lies in none: compared with NaN, a guard finds nothing, and says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from scanside_runtime.settings.bounds import (
    AnyHu,
    Percent,
    Share,
    SomeMl,
    SomeMm,
    SomePercent,
    Within,
    check,
)
from scanside_runtime.settings.box import CareSettings, DiskSettings, InboxSettings, JobSettings
from scanside_runtime.settings.reading import ReadingSettings
from scanside_runtime.settings.receive import ReceiveSettings
from scanside_runtime.settings.send import SendSettings
from scanside_runtime.settings.serve import ServeSettings
from scanside_runtime.settings.table import Table, name_tables

EXTENT_GRADES = ("CT-0", "CT-1", "CT-2", "CT-3", "CT-4")
PLACEHOLDER_IDS = (
    "ANONYMOUS", "ANONYMOUS PATIENT", "ANONYMIZED", "ANONYMISED", "ANONYM", "ANON", "DEIDENTIFIED", "REDACTED",
    "REMOVED", "UNKNOWN", "UNKNOWN PATIENT", "UNIDENTIFIED", "UNDEFINED", "UNSPECIFIED", "UNBEKANNT", "INCONNU",
    "DESCONOCIDO", "NOT KNOWN", "NOT SPECIFIED", "NOT AVAILABLE", "NONE", "NULL", "NIL", "NAN", "NA", "NO ID",
    "NO PATIENT ID", "ID", "PATIENT", "PATIENT ID", "NO NAME", "TEST", "TEST PATIENT", "DEMO", "DUMMY",
    "SAMPLE", "DEFAULT", "EMERGENCY", "TRAUMA", "JOHN DOE", "JANE DOE", "123", "1234", "12345", "123456", "1234567",
    "12345678", "123456789",
)  # fmt: skip
LANGUAGES = ("en", "fr", "es", "pt", "zh", "hi", "sw")


@dataclass(frozen=True, slots=True)
class MeasureSettings(Table):
    """`[measures]`: from how much infection on a zone or a lung counts as affected; both limits must be reached.

    They touch the zone score and the extent grade, never POI and iHU.

    floor_percent: infection as a share of the zone's or the lung's volume.
    floor_ml: infection as a volume.
    """

    floor_percent: Percent = 0.5
    floor_ml: Annotated[float, Within(0, 1000)] = 1.0


@dataclass(frozen=True, slots=True)
class SeveritySettings(Table):
    """`[severity]`: from which extent grade on a patient is flagged, and the file of a fitted model.

    severe_from: extent grade from which the flag is SEVERE.
    watch_from: extent grade from which the flag is WATCH.
    model: path of a `scanside.severity-model/1` file. Empty: the box's own model, else the bundle's, else the extent
        grade decides.
    """

    severe_from: str = "CT-3"
    watch_from: str = "CT-2"
    model: str = ""

    def _check_together(self) -> None:
        known = f"it must be one of {', '.join(EXTENT_GRADES)}"
        for name in ("severe_from", "watch_from"):
            check(getattr(self, name) in EXTENT_GRADES, f"severity.{name}", known)
        check(self.watch_from <= self.severe_from, "severity.watch_from", "it must not be graver than severe_from")


@dataclass(frozen=True, slots=True)
class InferenceSettings(Table):
    """`[inference]`: the engine that runs the networks.

    threads: threads of the engine; 0 takes all cores.
    """

    threads: Annotated[int, Within(0, 1024)] = 0


@dataclass(frozen=True, slots=True)
class BundleSettings(Table):
    """`[bundles]`: whose model bundles this box installs.

    keys: folder of the public keys that are trusted, one PEM file each. Nothing is installed, and nothing that was
        installed is used, without a signature of one of them; the bundle that Scanside brings along needs none.
    """

    keys: str = "/etc/scanside/keys.d"


@dataclass(frozen=True, slots=True)
class CoverageSettings(Table):
    """`[coverage]`: how much lung a chest has, and how much of it may reach an end slice or the edge.

    `scanside-export cuts` measures what is lost; the figures here are of eleven whole scans.

    least_lung_ml: less lung than this is no chest.
    withhold_share: the lung's area in the first or last slice as a share of its largest, above which no POI is given.
        Measured by cutting at every slice of 5 mm: up to 0.1 at most 0.5 % of the lungs' volume is lost, to 0.15 1.1 %,
        to 0.2 1.8 %, to 0.3 2.9 %, to 0.5 7.8 %.
    caution_share: from this share on a caution. Measured: 0 to 0.0044 in the eleven, 0.16 and 0.44 in two that are cut.
    edge_share: the share of the lungs' outline on the edge of the field of view, above which no POI is given. Measured
        by narrowing the scans from each side: up to 0.02 at most 0.8 % is lost, to 0.03 1.5 %, to 0.05 7.0 %.
    """

    least_lung_ml: SomeMl = 400.0
    withhold_share: Share = 0.1
    caution_share: Share = 0.01
    edge_share: Share = 0.02


@dataclass(frozen=True, slots=True)
class AnatomySettings(Table):
    """`[anatomy]`: what a pair of lungs looks like. What was measured was measured in 13 real series.

    gas_hu: aerated lung is no darker than this in the median; free gas, bowel gas and sinuses are. Measured: -880 to
        -733 with all that is dense, gas -1000.
    least_fill, most_fill: lung volume as a share of width x width x depth of the lungs; outside of the two a caution.
        Measured: 0.19 (held at mid-breath) and 0.28 to 0.44; half of the usual 0.32 is a shallow breath.
    largest_ml: more is no human lung, and no POI is given; the largest that were published are below it (West, 2012:
        some 10 l).
    uneven_share: the smaller lung's share of both; below it a caution. Measured: 0.35 (a collapsed upper lobe) to 0.48.
    lone_share: below it the smaller lung counts as not found, and no POI is given.
    """

    gas_hu: Annotated[float, Within(-1024, 0)] = -960.0
    least_fill: Share = 0.16
    most_fill: Share = 0.6
    largest_ml: SomeMl = 12000.0
    uneven_share: Annotated[float, Within(0, 0.5)] = 0.33
    lone_share: Annotated[float, Within(0, 0.5)] = 0.1

    def _check_together(self) -> None:
        check(self.least_fill < self.most_fill, "anatomy.least_fill", "it must be below most_fill")
        check(self.lone_share <= self.uneven_share, "anatomy.lone_share", "it must not exceed uneven_share")


@dataclass(frozen=True, slots=True)
class MissingLungSettings(Table):
    """`[missing_lung]`: from when on lung may be missing from the outlines, or fluid lie in its place: cautions.

    Measured in 14 real series, most of them near healthy, and in 42 sick ones (infection-8mm, infection-3d): none
    reaches a limit. lidc-idri-0314, a collapsed upper lobe and 380 ml of fluid at the base, does. Measured again by
    `scanside-export guards`.

    apex_mm: one lung's apex so much below the other's. Measured: at most 15 mm, in the sick 24 (in slices of
        8 mm); there 30.
    third_share: in a third of the height one lung has less than this share of both. Measured: at least 0.29, there
        0.10.
    air_ml: air as in lung beside the outlines, in one piece. Measured: at most 11 ml.
    fluid_ml: what is as dense as fluid beside the lungs and behind them. Measured: at most 13 ml, in the sick 9; there
        147 to 159. Of 35 chests with 20 to 85 % of drawn disease one had more (91 ml), where dense lung was left out.
    fluid_in_lung_ml: the same within the outlines, where it counts as infection. Measured: at most 14 ml in all, sick
        or not. Fluid of 5 to 20 HU drawn in place of a third of a lung in five of them: 311 ml and more. Of the 35 with
        drawn disease eight reach it: drawn consolidation is nearly as even as fluid.
    fluid_taken_ml: from so much that is fluid beyond doubt on, it is counted neither as lung nor as infection.
        Measured: 0 ml in all but lidc-idri-0314, sick or not, there 40 ml (52 in slabs of 6 mm, 51 of it in the fluid
        that was drawn by eye, nothing in lung); at most 12 ml of drawn consolidations.
    """

    apex_mm: SomeMm = 25.0
    third_share: Annotated[float, Within(0, 0.5)] = 0.2
    air_ml: SomeMl = 20.0
    fluid_ml: SomeMl = 40.0
    fluid_in_lung_ml: SomeMl = 60.0
    fluid_taken_ml: SomeMl = 20.0


@dataclass(frozen=True, slots=True)
class QualitySettings(Table):
    """`[quality]`: from when on the pictures themselves are doubted. What was measured was measured in 13 real series.

    air_highest_hu: the trachea's air in the median; above it HU are not calibrated, and no POI is given. Measured, five
        makers: -1012 to -944; air is -1000 by definition of the scale (DICOM PS3.3 C.8.2.1, RescaleType HU).
    soft_lowest_hu, soft_highest_hu: the most frequent value of soft tissue; outside of it too. Measured: 12 to 52.
    blood_hu: three quarters of what is soft between the lungs lie below it without contrast medium. Measured: 35 to 52
        without, 141 to 395 with it.
    noise_hu: the usual scatter within 7 mm of soft tissue; more is noisy (Christianson et al., AJR 2015;205:W93).
    metal_hu: denser than cortical bone is metal.
    metal_ml: from so much metal on a caution. Measured: 9.5 ml in the spine, 2.3 on the clothes; 13 end at 1500 HU.
    metal_share: where its slices hold so much of the lungs. Measured: 0.58 with streaks in them, 0.007 without.
    validated_from_mm, validated_to_mm: slice thickness that validation covered; outside of the two a caution.
    uncertain_points: POI between a network three times surer and three times less sure; above it a caution.
    partly_seen_ml: dense infection that the network did not see itself; from so much on a caution. Measured: 6 to 20 in
        five series with a hilum, an aorta or liver in it, at most 3 in 55 others.
    """

    air_highest_hu: Annotated[float, Within(-1024, 0, above=True)] = -900.0
    soft_lowest_hu: AnyHu = -30.0
    soft_highest_hu: AnyHu = 110.0
    blood_hu: Annotated[float, Within(0, 1000)] = 90.0
    noise_hu: Annotated[float, Within(0, 1000, above=True)] = 50.0
    metal_hu: Annotated[float, Within(0, 3070)] = 2500.0  # nothing is denser than 3071
    metal_ml: Annotated[float, Within(0, 1000, above=True)] = 0.2
    metal_share: Annotated[float, Within(0, 1, above=True)] = 0.05
    validated_from_mm: SomeMm = 2.0
    validated_to_mm: SomeMm = 10.0
    uncertain_points: SomePercent = 5.0
    partly_seen_ml: Annotated[float, Within(0, 10000, above=True)] = 5.0

    def _check_together(self) -> None:
        check(self.soft_lowest_hu < self.soft_highest_hu, "quality.soft_lowest_hu", "it must be below soft_highest_hu")
        ascending = self.validated_from_mm < self.validated_to_mm
        check(ascending, "quality.validated_from_mm", "it must be below validated_to_mm")


@dataclass(frozen=True, slots=True)
class MotionSettings(Table):
    """`[motion]`: which slices count as moved, and how many of them are too many.

    moved_from: the detector's probability from which a slice counts as moved. Of four series that it was not made with,
        0.9 % of 468 untouched slabs count as moved, and 62 % of 177 in simulated motion; of sick ones that held still,
        1.6 % (infection-3d), 0.9 % (infection-8mm) and 1.6 % (60 chests with 20 to 87 % of drawn disease).
    caution_share: moved slices as a share of all lung slices; from it on a caution. None of these 102 sick series
        reaches it.
    withhold_share: moved slices as a share of the slices with infection; above it no POI is given. None of the 102
        reaches it.
    """

    moved_from: Share = 0.8
    caution_share: Share = 0.2
    withhold_share: Share = 0.5


@dataclass(frozen=True, slots=True)
class PatientSettings(Table):
    """`[patient]`: from what age on, and which IDs are nobody's.

    adult_from_years: below it no POI is given; the networks have seen no children.
    placeholder_ids: patient IDs that are given to many, whatever their case, spaces and signs. Under them scans are one
        person's only where the birth date is the same, and nothing differs. An ID of one sign over and over (`0000`) is
        one without being listed.
    """

    adult_from_years: Annotated[float, Within(0, 120)] = 18.0
    placeholder_ids: tuple[str, ...] = PLACEHOLDER_IDS

    def _check_together(self) -> None:
        check(all(map(str.strip, self.placeholder_ids)), "patient.placeholder_ids", "an empty text is no ID")


@dataclass(frozen=True, slots=True)
class ProgressionSettings(Table):
    """`[progression]`: the measurement error of a change, used until the bundle carries its own.

    The defaults are the wider sides, rounded up to half a point and a HU, of the limits of agreement of measured
    changes against true ones: 20 steps of 4 random phantom patients with six scans each (`benchmarks/courses.py`),
    scanside-chest 0.3.0: -1.3 to 1.2 points and -40.9 to 47.2 HU; 0.4.0 lies within: -1.3 to 1.1 and -39.7 to 45.4. Two
    scans of 19 unchanged patients (14 phantoms, 5 real series, `benchmarks/repeatability.py`) lay nearer: -0.7 to 0.8
    points and -26 to 31 HU.

    poi_points: the largest change of POI that may be no change of the patient.
    ihu_hu: the same for iHU.
    source: where the two figures come from; it stands below every history.
    lung_volume_factor: lungs that are more than so many times larger or smaller than in the scan before are a caution:
        they may be another person's. What stays after breathing out is some third of a full breath in, seldom less.
    lung_width_percent: the same for the width of the chest inside, by so many percent of the smaller; the breath
        moves the ribs sideways by some 5 %.
    """

    poi_points: SomePercent = 1.5
    ihu_hu: Annotated[float, Within(0, 4095, above=True)] = 48.0
    source: str = (
        "scanside-chest 0.3.0 against true changes in 4 phantom patients of six scans; "
        "0.4.0 has the same weights, quantised anew"
    )
    lung_volume_factor: Annotated[float, Within(1, 100, above=True)] = 3.0
    lung_width_percent: SomePercent = 15.0

    def _check_together(self) -> None:
        check(bool(self.source), "progression.source", "it must say where the figures come from")


@dataclass(frozen=True, slots=True)
class SiteSettings(Table):
    """`[site]`: what the page says of the place where it was made. Empty texts are left out; none touches a number.

    name: of the hospital or practice, on top of the page.
    referrer: who sends the patients or is sent the page.
    signature: what stands below the line for a signature, for example "Radiologist"; empty: no line.
    language: of the page: en, fr, es, pt, zh, hi or sw. The document stays English.
    """

    name: str = ""
    referrer: str = ""
    signature: str = ""
    language: str = "en"

    def _check_together(self) -> None:
        for name in ("name", "referrer", "signature"):
            text = getattr(self, name)
            check(len(text) <= 120 and text.isprintable(), f"site.{name}", "it must be one line of at most 120 letters")
        check(self.language in LANGUAGES, "site.language", f"it must be one of {', '.join(LANGUAGES)}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, by table of the file. `docs/settings.md` is made of these docstrings."""

    measures: MeasureSettings = field(default_factory=MeasureSettings)
    severity: SeveritySettings = field(default_factory=SeveritySettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    bundles: BundleSettings = field(default_factory=BundleSettings)
    coverage: CoverageSettings = field(default_factory=CoverageSettings)
    progression: ProgressionSettings = field(default_factory=ProgressionSettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    disk: DiskSettings = field(default_factory=DiskSettings)
    care: CareSettings = field(default_factory=CareSettings)
    anatomy: AnatomySettings = field(default_factory=AnatomySettings)
    missing_lung: MissingLungSettings = field(default_factory=MissingLungSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    motion: MotionSettings = field(default_factory=MotionSettings)
    patient: PatientSettings = field(default_factory=PatientSettings)
    send: SendSettings = field(default_factory=SendSettings)
    receive: ReceiveSettings = field(default_factory=ReceiveSettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    site: SiteSettings = field(default_factory=SiteSettings)


name_tables(Settings)
