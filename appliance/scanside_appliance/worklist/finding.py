"""A report is looked for in the list: book and known facts say where it lies, and 20 000 documents are not read."""

from __future__ import annotations

from typing import Any

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.results.errors import ResultNotFound
from scanside_appliance.results.finder import LAST, Known, those_meant
from scanside_appliance.worklist.entry import Entry
from scanside_appliance.worklist.known_facts import KnownFacts
from scanside_appliance.worklist.listing import list_studies


def listed_results(layout: BoxLayout, store: Store, wanted: str, *, in_words: bool) -> list[dict[str, Any]]:
    """As `results.finder.found_results`, of each study the result that counts.

    Raises ResultNotFound, sqlite3.Error.
    """
    with KnownFacts(layout.worklist_facts, keep=False) as known:
        shown = [one for one in list_studies(layout, store, known).entries if one.page]
    meant = shown[-1:] if wanted == LAST else those_meant(shown, wanted, _known, in_words=in_words)
    found = [_facts(layout, one) for one in meant if one.page and (layout.results / one.page).is_file()]
    if not found:
        raise ResultNotFound(wanted=wanted, folder=layout.results)
    return sorted(found, key=lambda one: (one["date"] or "", one["report"]))


def _known(one: Entry) -> Known:
    facts, job = one.facts, one.job
    return Known(facts.patient_id, facts.patient_name, (facts.scanned_at or "")[:10], (job.study_uid, job.study))


def _facts(layout: BoxLayout, one: Entry) -> dict[str, Any]:
    return {
        "patient_id": one.facts.patient_id,
        "patient_name": one.facts.patient_name,
        "date": one.facts.scanned_at,
        "verdict": one.job.verdict,
        "poi_percent": one.facts.poi_percent,
        "cautions": one.facts.cautions.split(),
        "report": str((layout.results / (one.page or "")).absolute()),
    }
