"""The patient's course: the earlier scans that can be used, and this one as later ones will find it."""

from __future__ import annotations

from scanside_runtime.analysis.options import Options
from scanside_runtime.dicom.series import Series, Study
from scanside_runtime.findings import Finding
from scanside_runtime.followup.patient_record import Record, record_of
from scanside_runtime.followup.placeholders import without_placeholders
from scanside_runtime.followup.scan import Measures, Moment, Person, Scan
from scanside_runtime.measures.biomarkers import Biomarkers, Region
from scanside_runtime.model.bundle import Bundle
from scanside_runtime.plural import told
from scanside_runtime.settings.tables import PatientSettings


def past_of(study: Study, options: Options) -> tuple[Record, list[Finding]]:
    """The patient's earlier scans, and what is to be said of them; those that can't be used are named."""
    patient = options.settings.patient
    record = record_of(_person(study, patient), study.study_uid, options.earlier, patient.placeholder_ids)
    notes = [*record.notes, *(Finding("BOX_EARLIER_RESULT", "caution", _left_out(name)) for name in record.unusable)]
    if record.scans and _stated(study) is None:
        message = "The scan states no date: it is compared with none of {scans} earlier scan(s)."
        notes.append(Finding("PATIENT_UNDATED", "caution", told(message, scans=len(record.scans))))
    return record, notes


def scan_of(
    series: Series,
    biomarkers: Biomarkers,
    flags: frozenset[str],
    bundle: Bundle,
    patient: PatientSettings,
    *,
    measured: bool,
) -> Scan:
    """The scan as later ones will find it in its document. flags: the codes of its findings."""
    study = series.study
    stated = _stated(study)
    places = {"left": biomarkers.left, "right": biomarkers.right, **biomarkers.zones.by_name()}
    return Scan(
        study_uid=study.study_uid,
        moment=None if stated is None else Moment.from_iso(stated),
        acquired_at=stated,
        person=_person(study, patient),
        verdict="analysed" if measured else "refused",
        whole=_measures(biomarkers.whole),
        places={name: _measures(place) for name, place in places.items()},
        slice_thickness_mm=series.slice_thickness_mm or series.spacing_mm[0],
        kernel=series.kernel,
        scanner=(series.manufacturer, series.model),
        contrast_bolus_agent=series.contrast_bolus_agent,
        flags=flags,
        bundle=bundle.title,
        lung_width_mm=biomarkers.lung_width_mm,
        fluid_ml=biomarkers.fluid_ml,
        ct_extent_grade=biomarkers.ct_extent_grade,
    )


def _stated(study: Study) -> str | None:
    return study.acquired_at or study.study_date


def _measures(region: Region) -> Measures:
    return Measures(region.poi_percent, region.ihu_hu, region.infection_volume_ml, region.lung_volume_ml)


def _person(study: Study, patient: PatientSettings) -> Person:
    person = Person(study.patient_id, study.issuer, study.birth_date, study.sex, study.patient_name)
    return without_placeholders(person, patient.placeholder_ids)


def _left_out(name: str) -> str:
    return f"An earlier result of the patient can't be used, the trend leaves it out: {name}."
