"""What was noticed about a study, for the result document's `flags`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["note", "caution", "withhold"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a reader of the numbers should know.

    code: stable, from the families of reason codes (INPUT_, SERIES_, GEOMETRY_, ...).
    level: a note explains, a caution asks for a look, a withhold takes back what rests on infection.
    """

    code: str
    level: Level
    message: str


@dataclass(frozen=True, slots=True)
class FindingKind:
    """What a finding's code stands for in every case: the levels it comes with, its meaning, what to do next."""

    levels: tuple[Level, ...]
    meaning: str
    advice: str


_WHOLE_LUNGS = "Scan again from above the apices to below the bases, or export all sections."

KINDS = {
    "INPUT_HEADER_VALUE": FindingKind(
        ("note",),
        "A value in the header that the measurement does not need is invalid and was taken as not stated.",
        "Nothing for this measurement; correct the entry on the console if it is needed.",
    ),
    "INPUT_LOSSY": FindingKind(
        ("caution",),
        "The pixels were compressed with loss: HU are near, not exact.",
        "Export the study without lossy compression and analyse it again.",
    ),
    "INPUT_RESCALE_VARIES": FindingKind(
        ("note",),
        "Rescale Slope or Intercept differ between the sections; each was taken to HU by its own.",
        "Nothing: the HU of neighbouring sections agree.",
    ),
    "SERIES_SPLIT": FindingKind(
        ("caution",),
        "The series holds more than one acquisition or reconstruction; they were told apart and one was measured.",
        "Look whether the right one was taken; if not, export it as a series of its own.",
    ),
    "SERIES_PASSED_OVER": FindingKind(
        ("caution",),
        "A series that might have been measured is damaged, and another one was taken.",
        "Look whether the series that was taken is the wanted one; if not, export the study again.",
    ),
    "GEOMETRY_COPIES": FindingKind(
        ("note",),
        "Exact copies of sections were left out.",
        "Nothing: each section was counted once.",
    ),
    "GEOMETRY_GAPS": FindingKind(
        ("caution",),
        "The sections are thinner than their distance: what lies between them was not imaged.",
        "Use a contiguous reconstruction where there is one; compare volumes with reserve.",
    ),
    "GEOMETRY_OVERLAP": FindingKind(
        ("note",),
        "The sections are thicker than their distance and overlap; volumes count each place once.",
        "Nothing for the volumes; compare iHU with like scans only.",
    ),
    "GEOMETRY_TILT_CORRECTED": FindingKind(
        ("caution",),
        "The gantry was tilted; places and volumes follow the tilt, no voxel was changed.",
        "Look at the pictures: the sections are oblique. Where there is a choice, scan without tilt.",
    ),
    "INPUT_INCOMPLETE": FindingKind(
        ("caution",),
        "The study was not complete when the wait for the rest of it was over.",
        "Send the study again; what is new makes a new revision.",
    ),
    "INPUT_DATE_FUTURE": FindingKind(
        ("caution",),
        "The study's date lies in the future: the scanner's clock or the box's is wrong.",
        "Correct the clock before results are compared by date.",
    ),
    "BOX_CLOCK": FindingKind(
        ("note",),
        "The box's clock stands before the software was made, or jumped: times beside results are not to be trusted.",
        "Set the clock, and replace the battery if it is lost at every power cut. Measurements are not touched.",
    ),
    "COVERAGE_BASE_CUT": FindingKind(
        ("caution", "withhold"),
        "The lowest section still shows lung: the base is cut off, and volumes and POI miss what lies beyond.",
        _WHOLE_LUNGS,
    ),
    "COVERAGE_APEX_CUT": FindingKind(
        ("caution", "withhold"),
        "The highest section still shows lung: the apex is cut off, and volumes and POI miss what lies beyond.",
        _WHOLE_LUNGS,
    ),
    "BOX_EARLIER_RESULT": FindingKind(
        ("caution",),
        "An earlier result of the patient can't be read; the trend leaves it out.",
        "Analyse that study again, or restore its result from a backup.",
    ),
}
"""Every code that a `Finding` may carry."""
