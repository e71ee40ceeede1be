"""Which results of later scans do not know one as it is now: what comes late changes the course of those after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from scanside_runtime.followup.scan import Scan

Document = Mapping[str, Any]


def outdated_by(document: Document, persons: Iterable[Scan], documents: Iterable[Document]) -> tuple[str, ...]:
    """The UIDs of the studies that were scanned later, and whose course lacks this scan or has other numbers of it.

    document: of the scan that was measured now. persons: all other scans that are taken for the same person's.
    documents: results, those of these scans among them. Raises ValueError where the first one can't be believed.
    """
    now = Scan.from_document(document)
    later = {one.study_uid for one in persons if one.measured and _is_after(one, now)} if now.measured else set()
    return tuple(uid for one in documents if (uid := one["study"]["study_uid"]) in later and not _knows(one, now))


def _is_after(scan: Scan, now: Scan) -> bool:
    return scan.moment is not None and now.moment is not None and scan.moment.days_after(now.moment) > 0.0


def _knows(document: Document, scan: Scan) -> bool:
    """As the row of its course says it."""
    stated = {**asdict(scan.whole), "ct_extent_grade": scan.ct_extent_grade, "severity_flag": scan.severity_flag}
    progression = document.get("progression")
    rows = progression.get("scans") if isinstance(progression, dict) else None
    known = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return any(row.get("study_uid") == scan.study_uid and stated.items() <= row.items() for row in known)
