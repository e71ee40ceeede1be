"""A patient's whole course, from all results on record: for a terminal, for programs, as a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scanside_appliance.files.names import plain_cell
from scanside_appliance.languages.catalogue import to_translate
from scanside_appliance.languages.columns import padded
from scanside_appliance.languages.words import Words
from scanside_appliance.page.sentences import explained
from scanside_appliance.results.archive import identity, latest_revisions, results_on_record
from scanside_appliance.results.errors import PatientNotOnRecord, PatientSeveralIssuers
from scanside_runtime.errors import shown
from scanside_runtime.followup.measurement_error import MeasurementError
from scanside_runtime.followup.placeholders import without_placeholders
from scanside_runtime.followup.progression import Step, course
from scanside_runtime.followup.scan import Scan

HISTORY_SCHEMA = "scanside.history/1"
TRENDS = {
    "rising": to_translate("rising"),
    "falling": to_translate("falling"),
    "stable": to_translate("stable"),
    "not_comparable": to_translate("not comparable"),
}
BAR_WIDTH = 20


@dataclass(frozen=True, slots=True)
class History:
    """Every study of a patient in the order of acquisition, each against the measured one before.

    patient_name: None where the scans state none, or different ones. undated: studies without a date, which have no
    place in the order. unreadable: results that could not be used.
    """

    patient_id: str
    patient_name: str | None
    issuer: str | None
    steps: tuple[Step, ...]
    undated: tuple[str, ...]
    unreadable: tuple[str, ...]
    error: MeasurementError

    def to_document(self) -> dict[str, Any]:
        """The JSON of `scanside history`."""
        return {
            "schema": HISTORY_SCHEMA,
            "patient_id": self.patient_id,
            "patient_name": self.patient_name,
            "issuer": self.issuer,
            "scans": [step.to_document() for step in self.steps],
            "measurement_error": asdict(self.error),
            "undated": list(self.undated),
            "unreadable": list(self.unreadable),
        }


def patient_history(
    results: Path,
    patient_id: str,
    issuer: str | None,
    error: MeasurementError,
    placeholders: Collection[str] = (),
) -> History:
    """Everything below a folder of results about one patient ID.

    Under an ID that is given to many (`placeholders`) scans are compared only where a birth date proves the person.
    Raises PatientNotOnRecord, and PatientSeveralIssuers where no issuer is given and more than one is on record.
    """
    found, unreadable = results_on_record(results)
    mine = [one for one in latest_revisions(found) if identity(one.document)[0] == patient_id]
    issuers = {identity(one.document)[1] for one in mine}
    if issuer is not None:
        mine = [one for one in mine if identity(one.document)[1] == issuer]
    elif len(issuers) > 1:
        listed = ", ".join(sorted(one or "(none)" for one in issuers))
        raise PatientSeveralIssuers(patient_id=patient_id, issuers=listed)
    if not mine:
        raise PatientNotOnRecord(patient_id=patient_id, folder=results)
    scans, problems = [], list(unreadable)
    for one in mine:
        try:
            scan = Scan.from_document(one.document)
            scans.append(replace(scan, person=without_placeholders(scan.person, placeholders)))
        except ValueError as problem:
            problems.append(f"{one.path} ({problem})")
    undated = tuple(scan.study_uid for scan in scans if scan.moment is None)
    stated = issuer if issuer is not None else next(iter(issuers))
    names = {scan.person.name for scan in scans if scan.person.name}
    name = names.pop() if len(names) == 1 else None
    return History(patient_id, name, stated, course(scans, error), undated, tuple(problems), error)


def csv_text(history: History) -> str:
    """One row a scan (RFC 4180), the columns of the JSON rows; an empty cell was not measured, no text is a formula."""
    rows = [step.to_document() for step in history.steps]
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: plain_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def terminal_lines(history: History, _: Words) -> list[str]:
    """A table with a bar for POI, oldest first; below it why scans were not compared, and what was left out.

    _: says it in the reader's language.
    """
    rows = [step.to_document() for step in history.steps]
    trend, lungs = padded(_("trend"), 15), padded(_("lung ml"), 9, right=True)
    header = f"{padded(_('scanned'), 17)}{'POI %':>7}  {'':<{BAR_WIDTH}}  {trend}{'iHU HU':>7}  {trend}{lungs}"
    return [header.rstrip(), *(_table_line(row, _) for row in rows), *_notes(history, rows, _)]


def _table_line(row: Mapping[str, Any], _: Words) -> str:
    trend, density = (padded(_(TRENDS[row[one]]) if row[one] else "", 15) for one in ("trend", "density_trend"))
    bar = "█" * round((row["poi_percent"] or 0.0) / 100.0 * BAR_WIDTH)
    line = (
        f"{row['acquired_at'][:16].replace('T', ' '):<17}{_cell(row['poi_percent'], 1):>7}  {bar:<{BAR_WIDTH}}  "
        f"{trend}{_cell(row['ihu_hu'], 0):>7}  {density}"
        f"{_cell(row['lung_volume_ml'], 0):>9}"
    )
    return line.rstrip()


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _notes(history: History, rows: Iterable[Mapping[str, Any]], _: Words) -> list[str]:
    error = history.error
    incomparable = [row for row in rows if row["trend"] == "not_comparable"]
    apart = [f"{row['acquired_at'][:16]}: {shown(explained(row['why'], _))}" for row in incomparable]
    return [
        *(text.replace("T", " ", 1) for text in apart),
        *(_("no date, left out: study {uid}", uid=uid) for uid in history.undated),
        *(_("can't be used, left out: {name}", name=name) for name in history.unreadable),
        _(
            "rising or falling: by more than {poi:.1f} points POI, {ihu:.0f} HU: {source}",
            poi=error.poi_points,
            ihu=error.ihu_hu,
            source=explained(error.source, _),
        ),
    ]
