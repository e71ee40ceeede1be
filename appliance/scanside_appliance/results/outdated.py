"""Which results of later scans do not know one as it is now: what comes late changes the course of those after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from scanside_runtime.followup.progression import in_order
from scanside_runtime.followup.scan import Scan

Document = Mapping[str, Any]


def outdated_by(document: Document, persons: Iterable[Scan], documents: Iterable[Document]) -> tuple[str, ...]:
    """The UIDs of the studies whose course lacks this scan, has other numbers of it, or numbers that no longer count.

    They do not count where this scan's are withheld now, it is held, was not made before, or is somebody else's now. In
    the order of the scans: what is measured again in turn rests on nothing that is measured again after it. A refused
    one hides none that was measured. document: of the scan that was measured now. persons: all other scans that are
    taken for the same person's. documents: results, those of these scans among them. Raises ValueError where one can't
    be believed.
    """
    now = Scan.from_document(document)
    if now.verdict == "refused":
        return ()
    of_study = {one["study"]["study_uid"]: one for one in documents if one.get("study")}
    others = in_order([Scan.from_document(one) for one in of_study.values()])
    later = {one.study_uid for one in persons if one.measured and now.measured and _is_after(one, now)}
    uids = [one.study_uid for one in others if one.study_uid != now.study_uid]
    return tuple(uid for uid in uids if _is_outdated(of_study[uid], now, belongs=uid in later))


def _is_outdated(document: Document, now: Scan, *, belongs: bool) -> bool:
    rows = [row for row in _course(document) if row.get("study_uid") == now.study_uid]
    if not belongs:
        return any(row.get("poi_percent") is not None for row in rows)
    stated = {**asdict(now.whole), "ct_extent_grade": now.ct_extent_grade, "severity_flag": now.severity_flag}
    return not any(stated.items() <= row.items() for row in rows)


def _is_after(scan: Scan, now: Scan) -> bool:
    return scan.moment is not None and now.moment is not None and scan.moment.days_after(now.moment) > 0.0


def _course(document: Document) -> list[Mapping[str, Any]]:
    progression = document.get("progression")
    rows = progression.get("scans") if isinstance(progression, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
