"""What was noticed about a study, for the result document's `flags`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, SupportsFloat

Level = Literal["note", "caution", "withhold"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a reader of the numbers should know.

    code: stable, from the families of reason codes (INPUT_, SERIES_, GEOMETRY_, ...).
    level: a note explains, a caution asks for a look, a withhold takes back what rests on infection.
    values: the figures of the message by name, unit in the name, for pages in other languages and for programs.
    """

    code: str
    level: Level
    message: str
    values: dict[str, float] = field(default_factory=dict, hash=False)


def figures(**values: SupportsFloat) -> dict[str, float]:
    """Values of a finding, to the thousandth."""
    return {name: round(float(value), 3) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class FindingKind:
    """What a finding's code stands for in every case: the levels it comes with, its meaning, what to do next.

    measured: how it is found; settings by their names in the file. Empty where the family's account says it all.
    """

    levels: tuple[Level, ...]
    meaning: str
    advice: str
    measured: str = ""


_WHOLE_LUNGS = "Scan again from above the apices to below the bases, or export all slices."

KINDS = {
    "INPUT_HEADER_VALUE": FindingKind(
        ("note",),
        "A value in the header that the measurement does not need is invalid and was taken as not stated.",
        "Nothing for this measurement; correct the entry on the console if it is needed.",
    ),
    "INPUT_SHARED_UID": FindingKind(
        ("caution",),
        "Different slices carry one SOP Instance UID, or none: their positions tell them apart, but nothing can refer "
        "to them, and no DICOM objects are written.",
        "Check that the slices are of one scan. A tool on the way has damaged the identifiers: export the study "
        "again from the scanner to have a Segmentation.",
        "SOPInstanceUID of the measured slices is compared with that of all objects of the study.",
    ),
    "INPUT_MENDED": FindingKind(
        ("note",),
        "The files break a rule of DICOM, but it is clear what they mean; they were read that way.",
        "Nothing for this measurement; tell whoever runs the software that wrote the files.",
    ),
    "INPUT_LOSSY": FindingKind(
        ("caution",),
        "The pixels were compressed with loss: HU are near, not exact.",
        "Export the study without lossy compression and analyse it again.",
    ),
    "INPUT_RESCALE_VARIES": FindingKind(
        ("note",),
        "Rescale Slope or Intercept differ between the slices; each was taken to HU by its own.",
        "Nothing: the HU of neighbouring slices agree.",
    ),
    "INPUT_RESCALE_TYPE": FindingKind(
        ("note",),
        "RescaleType is not spelled HU; the picture shows that the values are HU.",
        "Nothing for this measurement; tell whoever runs the software that wrote the files.",
        "Of the picture without padding at least 2 % is below -600 HU and 5 % between -150 and 150 HU; other "
        "quantities (MGML, PCT, ED, EDW, Z_EFF, HU_MOD) are refused by their name.",
    ),
    "SERIES_SPLIT": FindingKind(
        ("caution",),
        "The series holds more than one acquisition or reconstruction; they were told apart and one was measured.",
        "Check that the right one was taken; if not, export it as a series of its own.",
    ),
    "SERIES_PASSED_OVER": FindingKind(
        ("caution",),
        "A series that might have been measured is damaged, and another one was taken.",
        "Check that the series that was taken is the wanted one; if not, export the study again.",
    ),
    "SERIES_LABELLED_OTHERWISE": FindingKind(
        ("note", "caution"),
        "The texts of the series name another part of the body; whether it is a chest is decided by the picture.",
        "Check that it is the right study, then correct the entry on the console: the next program may believe it.",
        "SeriesDescription, BodyPartExamined, ProtocolName and StudyDescription, by words in some forty languages: "
        "caution for head, neck, spine and limbs, note for abdomen and heart.",
    ),
    "GEOMETRY_COPIES": FindingKind(
        ("note",),
        "Exact copies of slices were left out.",
        "Nothing: each slice was counted once.",
    ),
    "GEOMETRY_GAPS": FindingKind(
        ("caution",),
        "The slices are thinner than their distance: what lies between them was not imaged.",
        "Use a contiguous reconstruction where there is one; compare volumes with care.",
    ),
    "GEOMETRY_OVERLAP": FindingKind(
        ("note",),
        "The slices are thicker than their distance and overlap; volumes count each place once.",
        "Nothing for the volumes; compare iHU with like scans only.",
    ),
    "GEOMETRY_TILT_CORRECTED": FindingKind(
        ("caution",),
        "The gantry was tilted; places and volumes follow the tilt, no voxel was changed.",
        "Look at the pictures: the slices are oblique. Where there is a choice, scan without tilt.",
    ),
    "INPUT_INCOMPLETE": FindingKind(
        ("caution",),
        "Part of the study had not arrived when the wait for it ended.",
        "Send the study again: it is then measured again, as a new revision.",
    ),
    "INPUT_OTHER_STUDY": FindingKind(
        ("caution",),
        "The pictures are of another study or patient than the one under which the result lies.",
        "Believe the patient on this page. A study that came before under another ID stays among that one's results. "
        "If this one did not, send it again; if that does not help, tell whoever looks after the box: a file that came "
        "before may have misled it.",
        "Headers are read twice: one file after the other as they come, and all of a study by themselves when it is "
        "measured. A study stays with the patient under whom it came first, also where a person releases it corrected.",
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
    "MODEL_OTHER_WAY": FindingKind(
        ("note",),
        "The box's self-test found its usual way to compute wrong, and took the next one that is right.",
        "Nothing for this measurement. Have somebody look at the box: scanside doctor says what was wrong.",
        "The bundle's golden stacks are computed at each start, each day and after each change of the bundle, and "
        "compared with the answers of its maker.",
    ),
    "COVERAGE_BASE_CUT": FindingKind(
        ("caution", "withhold"),
        "The lowest slice still shows lung: the base is cut off, and volumes and POI miss what lies beyond.",
        _WHOLE_LUNGS,
        "The lungs' area in the lowest slice as a share of their largest: caution from coverage.caution_share on, "
        "withheld above coverage.withhold_share.",
    ),
    "COVERAGE_APEX_CUT": FindingKind(
        ("caution", "withhold"),
        "The highest slice still shows lung: the apex is cut off, and volumes and POI miss what lies beyond.",
        _WHOLE_LUNGS,
        "The lungs' area in the highest slice as a share of their largest: caution from coverage.caution_share on, "
        "withheld above coverage.withhold_share.",
    ),
    "COVERAGE_GUT_GAS": FindingKind(
        ("caution", "withhold"),
        "Gas of the stomach or the gut was taken for lung in the lowest slice.",
        "Look at the outlines in the pictures; analyse a series that ends below the lungs, or a chest instead of an "
        "abdomen.",
        "Pieces of the lowest slice's lung with a median below anatomy.gas_hu, by their area as a share of the lungs' "
        "largest: caution from coverage.caution_share on, withheld above coverage.withhold_share.",
    ),
    "COVERAGE_FIELD_OF_VIEW": FindingKind(
        ("caution", "withhold"),
        "The lungs reach the edge of the field of view: what lies beyond was not reconstructed, and volumes miss it.",
        "Reconstruct the scan again with a field of view that holds the whole chest; the raw data are on the scanner.",
        "The share of the lungs' outline on the picture's border or on padding; withheld above coverage.edge_share.",
    ),
    "QUALITY_HU_CALIBRATION": FindingKind(
        ("withhold",),
        "The numbers are not HU: air in the trachea or soft tissue is not where it belongs.",
        "Calibrate the scanner (air and water phantom), then scan again. If the series was converted or anonymised by "
        "other software, send the original one.",
        "The median inside the trachea, above quality.air_highest_hu; or the peak of soft tissue in the histogram, "
        "outside quality.soft_lowest_hu to quality.soft_highest_hu. Air around the body proves nothing: it is often "
        "clipped.",
    ),
    "QUALITY_HU_UNPROVEN": FindingKind(
        ("note",),
        "Tracheal air could not be used to check the HU; soft tissue alone was checked.",
        "Nothing now; if it stands beside every study of a scanner, have its calibration checked.",
        "Less than three slices show a trachea above the middle of the lungs, or its median is at -1024 HU, the end "
        "of the scale.",
    ),
    "QUALITY_LUNG_VOLUME": FindingKind(
        ("caution", "withhold"),
        "The lungs are small or large for the chest; small lungs are usually a shallow breath.",
        "Small: compare with care, and next time have the patient breathe in and hold. Large: look at the outlines in "
        "the pictures. Withheld: the pixel size in the header is wrong; export the original series.",
        "Lung volume as a share of width x width x depth of the lungs, outside anatomy.least_fill to "
        "anatomy.most_fill; withheld above anatomy.largest_ml.",
    ),
    "QUALITY_UNEVEN_LUNGS": FindingKind(
        ("caution", "withhold"),
        "One lung is much smaller than the other, or was not found at all.",
        "Look at the outlines in the pictures: collapse, effusion, an operation, or a lung so dense that it was "
        "missed. Withheld: let a radiologist read the study.",
        "The smaller lung's share of both, below anatomy.uneven_share; withheld below anatomy.lone_share.",
    ),
    "QUALITY_PART_MISSING": FindingKind(
        ("caution",),
        "A part of one lung has no counterpart in the outlines: collapsed, so dense that it was missed, or gone.",
        "Look at the outlines in the pictures. POI is of what is outlined, so it may be too low.",
        "One lung's apex more than missing_lung.apex_mm below the other's; or in the upper, middle or lower third of "
        "the height less than missing_lung.third_share of both.",
    ),
    "QUALITY_AIR_OUTSIDE": FindingKind(
        ("caution",),
        "Air as in lung lies inside the chest beside the outlines: a part of a lung may have been missed.",
        "Look at the outlines in the pictures; a hernia or a wide airway looks the same.",
        "Pieces thicker than 10 mm, -900 to -650 HU in the median, that do not reach the air around the body, from "
        "missing_lung.air_ml on.",
    ),
    "QUALITY_POSSIBLE_EFFUSION": FindingKind(
        ("caution",),
        "What lies behind the lungs, or is outlined as lung, is as dense and even as fluid: a possible effusion.",
        "Look at the pictures. What is surely fluid is not counted, and the message says what POI would be if it "
        "were consolidation after all. What may be dense lung is counted; if it is fluid, POI is too high.",
        "Pieces thicker than 10 mm with no aerated lung below them as the patient lies. Beside the lungs, under lung "
        "that stands up to 60 mm above: 0 to 30 HU, nine tenths below 25, from missing_lung.fluid_ml on. In the "
        "outlines: 0 to 35 HU, nine tenths below 30, from missing_lung.fluid_in_lung_ml on. Taken out of lung and "
        "infection, from missing_lung.fluid_taken_ml on: the median at most 27 HU and 12 below soft "
        "tissue, 94 % within 8 HU of it, no air in it, and a fifth or more of all dense lung there.",
    ),
    "QUALITY_ORIENTATION": FindingKind(
        ("caution", "withhold"),
        "Heart, trachea or spine do not lie where the header says: the pictures may be mirrored, upside down or "
        "wrongly turned, or the organs lie mirrored (situs inversus). Sides and zones are not given, both lungs are; "
        "no DICOM objects are written, as their labels would name the sides.",
        "Look at the pictures and at the patient's position on the console. If the position was entered wrongly or "
        "other software turned the pictures, correct it and send again; in situs inversus take the numbers of both "
        "lungs.",
        "The trachea between the lungs near their lower end and not near the upper; what is soft between them to the "
        "right of the spine, and the larger lung on the left; the spine in front. Withheld where the lungs stand "
        "upside down and are cut off.",
    ),
    "QUALITY_MOTION": FindingKind(
        ("caution", "withhold"),
        "Breathing or the heartbeat blurred slices or doubled contours, which looks like infection.",
        "Look at the slices that are named. If the patient can hold the breath, scan again with the fastest rotation.",
        "Streaks darker than healthy lung, by a model fitted to simulated motion: a slice counts from "
        "motion.moved_from on. Caution from motion.caution_share of the lung slices, withheld above "
        "motion.withhold_share of the slices with infection. Slices with little healthy lung are not judged.",
    ),
    "QUALITY_LOOKS_EXTENSIVE": FindingKind(
        ("caution",),
        "The numbers are withheld, but much of the lungs looks infected.",
        "Have a doctor look at the pictures soon; the worklist shows this patient near its top.",
        "The extent grade that the withheld numbers would give is severity.watch_from or graver.",
    ),
    "QUALITY_THICKNESS": FindingKind(
        ("caution", "withhold"),
        "The slices are thinner or thicker than those on which the networks were validated.",
        "Send a reconstruction of 5 mm where there is one.",
        "Slice thickness or distance, whichever is larger: caution outside quality.validated_from_mm to "
        "quality.validated_to_mm, withheld outside 0.5 to 10 mm.",
    ),
    "QUALITY_CONTRAST": FindingKind(
        ("caution",),
        "There is contrast medium in the vessels: iHU is higher, and vessels are brighter than without it.",
        "Compare iHU with scans that have contrast medium too; take a series before contrast where there is one.",
        "Three quarters of what is soft between the lungs lie below a value; caution above quality.blood_hu.",
    ),
    "QUALITY_NOISE": FindingKind(
        ("caution",),
        "The pictures are noisy: faint ground glass may be lost in the noise.",
        "Send a reconstruction with a soft kernel or thicker slices.",
        "The most frequent standard deviation within 7 mm in soft tissue, above quality.noise_hu "
        "(Christianson et al. 2015).",
    ),
    "QUALITY_KERNEL": FindingKind(
        ("caution",),
        "The series was reconstructed with a sharp kernel, and there was no soft one.",
        "Reconstruct the scan again with a soft (standard) kernel and send that.",
        "ConvolutionKernel by the names that GE, Philips, Siemens, Canon and United Imaging use.",
    ),
    "QUALITY_METAL": FindingKind(
        ("caution",),
        "There is metal at the height of the lungs; its streaks can look like infection or hide it.",
        "Take off what can be taken off (bracelets, necklace, cables) before a scan; look at the slices with streaks.",
        "Volume above quality.metal_hu in the slices with lung, from quality.metal_ml on, where those slices hold "
        "quality.metal_share of the lungs or more.",
    ),
    "QUALITY_PARTLY_SEEN": FindingKind(
        ("caution",),
        "A part of the dense infection was not seen by the network itself: it counts because a part of the same piece "
        "was.",
        "Look at the dense parts of these slices: vessels at a hilum, the aorta and liver are no infection.",
        "Pieces of dense lung count as infected as a whole where the network saw a quarter; caution when what was "
        "added to pieces that it saw to less than three quarters makes up quality.partly_seen_ml.",
    ),
    "QUALITY_UNCERTAIN": FindingKind(
        ("caution",),
        "The network is not sure how far the infection reaches.",
        "Look at the outlines in the pictures before the number is used.",
        "POI where the network's odds are three times higher and three times lower than its threshold; caution when "
        "they differ by more than quality.uncertain_points.",
    ),
    "PATIENT_RELEASED": FindingKind(
        ("caution",),
        "Somebody accepted the study although the patient's ID is on record with other data; it is not compared with "
        "others.",
        "Do not compare it with earlier results under this ID before it is certain that they are the same person's.",
    ),
    "PATIENT_ID_PLACEHOLDER": FindingKind(
        ("caution",),
        "The patient ID is one that is given to many; results under it that are not proven to be this patient's are "
        "left out.",
        "Enter the patient's own ID, birth date and sex on the console, and send this study and the earlier ones "
        "again.",
        "The list patient.placeholder_ids, or one sign over and over; a result is proven by the same birth date, where "
        "neither sex nor given name differs.",
    ),
    "PATIENT_OTHER_ISSUER": FindingKind(
        ("caution",),
        "There are earlier results under this ID, but of another issuer, or of none: they are not compared.",
        "If it is the same person (an archive began to add the issuer), send the earlier studies again with the "
        "issuer; scanside history PATIENT --issuer TEXT shows them.",
        "IssuerOfPatientID; results that state another birth date, sex or given name are another person's.",
    ),
    "PATIENT_OTHER_NAME": FindingKind(
        ("caution",),
        "There are earlier results under this ID with another given name: they are left out of the trend.",
        "Find out whose pictures these are: twins under one ID, or a name that was corrected. Correct the entry on the "
        "console and send the study again.",
        "The given names of PatientName; initials, middle names and another family name make no other person.",
    ),
    "PATIENT_SET_APART": FindingKind(
        ("note",),
        "Results under this ID that wait for a decision, or were accepted on their own, are left out of the trend.",
        "See scanside queue for what is held. Correct what is wrong on the console and send those studies again.",
    ),
    "PATIENT_UNDATED": FindingKind(
        ("caution",),
        "The scan states no date, so that it can't be compared with the patient's earlier ones.",
        "Correct the date on the console and send the study again.",
    ),
    "PATIENT_OTHER_BODY": FindingKind(
        ("caution",),
        "Since the scan before, the lungs or the chest changed in size by more than a breath makes.",
        "Look at the pictures of both scans: is it the same person? An operation, a collapsed lung or a large effusion "
        "does it, too.",
        "Lung volume by more than progression.lung_volume_factor, width of the lungs by more than "
        "progression.lung_width_percent, against the last measured scan and the last comparable one.",
    ),
    "PATIENT_UNDER_AGE": FindingKind(
        ("withhold",),
        "The patient is a child; the networks have seen adults only.",
        "Do not use Scanside for children. If the age is wrong, correct PatientAge or PatientBirthDate and send again.",
        "PatientAge or the dates of birth and study, the younger; below patient.adult_from_years.",
    ),
    "PATIENT_AGE_UNKNOWN": FindingKind(
        ("caution",),
        "The patient's age is not known, and Scanside is for adults only.",
        "Make sure that the patient is an adult; for a child do not use the numbers.",
        "PatientAge and the dates of birth and study are missing or no age.",
    ),
    "PATIENT_TWO_BODIES": FindingKind(
        ("withhold",),
        "From one slice to the next the body becomes another one: two patients in one series, or misplaced slices.",
        "Find out whose pictures these are; export the series again from the scanner.",
        "The tissue of neighbouring slices overlaps by less than 80 %, and far less than usual in this series.",
    ),
    "BOX_EARLIER_RESULT": FindingKind(
        ("caution",),
        "An earlier result of the patient can't be read, or it came later and this scan could not be measured again: "
        "the trend leaves it out.",
        "Analyse that study again, or restore its result from a backup; where the worklist alone says this, run "
        "scanside redo for this study: it is measured again, or you are told what is missing.",
    ),
}
"""Every code that a `Finding` may carry."""


_POI_FIGURES = {"low_percent", "high_percent", "percent_with_fluid"}


def without_poi(findings: Sequence[Finding]) -> list[Finding]:
    """The findings of a study whose POI is withheld: one that tells a POI keeps its meaning and its other figures."""
    return [_without_poi(finding) if _POI_FIGURES & finding.values.keys() else finding for finding in findings]


def _without_poi(finding: Finding) -> Finding:
    values = {name: value for name, value in finding.values.items() if name not in _POI_FIGURES}
    return replace(finding, message=KINDS[finding.code].meaning, values=values)
