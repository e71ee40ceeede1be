"""The list as HTML that needs nothing beside itself. All of it is there without its script, which sorts and searches.

The script is our own, stands in the page, and is named by its digest in the page's policy.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from markupsafe import Markup

from scanside_appliance.languages.words import page_words
from scanside_appliance.page.formatting import moment, person, readable
from scanside_appliance.page.templates import page_templates, style_and_policy
from scanside_appliance.worklist.care import reasons, refusal, shortened
from scanside_appliance.worklist.entry import Entry, Group
from scanside_appliance.worklist.listing import Underway
from scanside_runtime.settings.tables import SiteSettings

STATE = re.compile(rb"(?<=<!--state-->).*?(?=<!--/state-->)", re.DOTALL)
"""What the first page says of the box; no name can look like the marks, for its brackets are written otherwise."""
LONGEST_NAME = 64
FAILED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class PageLink:
    """Another page of the list. month: "2026-01", None for studies without a date; part: where a month has several."""

    name: str
    month: str | None
    part: int
    studies: int

    @property
    def year(self) -> str | None:
        """By which they are put together."""
        return self.month and self.month[:4]


class ListPages:
    """Makes the pages of a list in the language of a site. links: all pages by month, newest first.

    made_of: all that its pages have in common, as a digest.
    """

    def __init__(self, site: SiteSettings, links: Sequence[PageLink]) -> None:
        environment = page_templates(site.language)
        script = environment.get_template("worklist.js.j2").render()
        style, policy = style_and_policy(environment, "worklist.css.j2", script)
        years = [(year, list(of_year)) for year, of_year in groupby(links, key=lambda one: one.year)]
        self._template = environment.get_template("worklist.html.j2")
        self._same = {"site": site, "style": style, "policy": policy, "script": Markup(script)}
        self._same["say"] = page_words(site.language)
        self._years = years
        source = environment.loader.get_source(environment, "worklist.html.j2")[0] if environment.loader else ""
        self.made_of = hashlib.sha256(f"{site} {policy} {source}".encode()).hexdigest()

    def first(self, entries: Sequence[Entry], underway: Underway, written_at: str) -> bytes:
        """`index.html`. entries: in the order of the list."""
        groups = [(group, rows_of(list(some))) for group, some in groupby(entries, key=lambda one: one.group)]
        failed = [(job.study, job.code) for job in underway.failed[-FAILED_SHOWN:]]
        more = {"underway": underway, "failed": failed, "written_at": written_at, "years": self._years}
        return self._page(groups, "", None, more)

    def of_month(self, entries: Sequence[Entry], link: PageLink) -> bytes:
        """One of the other pages. entries: as they are to stand there."""
        return self._page([(Group.rest, rows_of(entries))], "../", link, {})

    def _page(
        self, groups: Sequence[tuple[Group, Any]], home: str, link: PageLink | None, more: Mapping[str, Any]
    ) -> bytes:
        text = self._template.render(groups=groups, home=home, here=link, **self._same, **more)
        return text.encode(errors="replace")


def with_trouble(page: bytes, trouble: str, language: str) -> bytes:
    """The first page as it lies there, which says now of the box that it needs help, and that the list is an old one.

    Of a page without the marks, as an earlier version wrote it, nothing is changed.
    """
    said = page_templates(language).get_template("box.html.j2").module.old_list(trouble)  # type: ignore[attr-defined]  # a macro
    return STATE.sub(lambda _: f"\n{said}\n".encode(errors="replace"), page, count=1)


def rows_of(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """What the template shows of each study: lines that can only be read, none of them long."""
    return [_row(one) for one in entries]


def _row(one: Entry) -> dict[str, Any]:
    facts, job = one.facts, one.job
    return {
        "flag": one.flag,
        "past": one.past,
        "name": _short(person(readable(facts.patient_name))),
        "patient_id": _short(readable(facts.patient_id)),
        "study": job.study,
        "scanned": moment(readable(facts.scanned_at or "")),
        "poi": facts.poi_percent,
        "care": shortened(reasons(facts.cautions.split())),
        "trend": job.trend,
        "grade": readable(facts.grade),
        "measured": one.first_at,
        "page": one.page,
        "code": None if job.verdict == "analysed" else job.code,
        "why": None if job.verdict == "analysed" else refusal(job.code or ""),
    }


def _short(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
