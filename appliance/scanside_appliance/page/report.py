"""The page for people: one self-contained HTML file made from the result document and its pictures.

No script, nothing from outside, one style sheet that the page's own policy names by its digest. Printed it takes two
sides of A4.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scanside_appliance.languages.words import Words, page_words
from scanside_appliance.page.contents import offered
from scanside_appliance.page.formatting import number, readable
from scanside_appliance.page.lung_drawing import draw_zones
from scanside_appliance.page.sentences import cautions, reason_in_words
from scanside_appliance.page.templates import page_templates, style_and_policy
from scanside_appliance.page.trend_plot import draw_trend
from scanside_appliance.page.verdict import verdict_sentence
from scanside_appliance.pictures.draw import Pictures
from scanside_appliance.pictures.files import QUALITY, jpegs_within
from scanside_appliance.pictures.plane import WINDOW_HU
from scanside_appliance.pictures.slice_archive import SliceArchive
from scanside_runtime.settings.tables import SiteSettings

Document = Mapping[str, Any]
PAIRS_ON_PAPER = 2
PAGE_BYTES = 3_000_000
_PICTURES_BYTES = (PAGE_BYTES - 250_000) * 3 // 4
"""For all pictures of a page before base64 makes four bytes of three; words take at most 250 kB beside them."""
_PAIRS_BYTES = 400_000


@dataclass(frozen=True, slots=True)
class EarlierSlices:
    """Pictures of an earlier scan. acquired_at: when it was made, ISO 8601."""

    acquired_at: str
    archive: SliceArchive


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One measured value beside the known one, unit in the name; `allowed` None where nothing is demanded."""

    name: str
    digits: int
    found: float | None
    truth: float | None
    allowed: float | None

    @property
    def off_by(self) -> float | None:
        """Found less truth; None where either is missing."""
        return None if self.found is None or self.truth is None else self.found - self.truth

    @property
    def within(self) -> bool:
        """True where the difference is known and not more than allowed."""
        return self.allowed is None or (self.off_by is not None and abs(self.off_by) <= self.allowed)


def render_page(
    document: Document,
    pictures: Pictures | None = None,
    comparison: Sequence[ComparisonRow] = (),
    site: SiteSettings | None = None,
    earlier: EarlierSlices | None = None,
) -> str:
    """The page as HTML that needs nothing beside itself, in the language of `site`.

    pictures: None where there is no volume to show. comparison: the demo's known truth, as rows. earlier: the pictures
    of the scan that this one is compared with, where they can be had.
    """
    site, document = site or SiteSettings(), readable(document)
    environment = page_templates(site.language)
    _ = page_words(site.language)
    style, policy = style_and_policy(environment)
    progression = document.get("progression") or {}
    beside = None if pictures is None or earlier is None else _side_by_side(pictures, earlier)
    return environment.get_template("report.html.j2").render(
        document=document,
        site=site,
        style=style,
        policy=policy,
        offered=offered(document),
        age=_age(document.get("study") or {}, _),
        verdict=verdict_sentence(document, _),
        reason=reason_in_words(document.get("reason") or {}, _, document.get("flags") or ()),
        cautions=cautions(document.get("flags") or (), _),
        zones=draw_zones((document.get("biomarkers") or {}).get("zones")),
        pictures=None if pictures is None else _embedded(pictures, beside),
        earlier=beside,
        for_earlier_scan=(document.get("provenance") or {}).get("for_earlier_scan"),
        comparison=comparison,
        trend_panels=draw_trend(progression.get("scans") or (), progression.get("measurement_error")),
    )


def _age(study: Document, _: Words) -> str:
    years = study.get("age_years")
    return _("{years:.0f} year(s)", years=years) if isinstance(years, (int, float)) else ""


def _embedded(pictures: Pictures, beside: dict[str, Any] | None) -> dict[str, object]:
    """The pictures as a page holds them; beside: those of two scans, on the same page.

    Small slices and those beside earlier ones have a room of their own. What is left decides how sharp key slices are.
    """
    low, high = WINDOW_HU
    others = (beside or {}).get("pairs", ())
    taken_bytes = sum((len(pair["before"]) + len(pair["after"])) * 3 // 4 for pair in others)
    room_bytes = _PICTURES_BYTES - taken_bytes - sum(len(tile.jpeg) for tile in pictures.tiles)
    shown = [pictures.coronal, *(picture for one in pictures.slices for picture in (one.plain, one.picture))]
    coronal, *pairs = map(_data_uri, jpegs_within(shown, room_bytes, QUALITY))
    return {
        "coronal": coronal,
        "window": f"W {high - low:.0f}, L {number((low + high) / 2, 0, 'HU')}",
        "every": pictures.every,
        "outlined": pictures.outlined,
        "sides": pictures.sides,
        "slices": [
            {
                "number": one.number,
                "position_mm": one.position_mm,
                "percent": one.percent,
                "plain": plain,
                "marked": marked,
            }
            for one, plain, marked in zip(pictures.slices, pairs[::2], pairs[1::2], strict=True)
        ],
        "tiles": [{"number": tile.number, "src": _data_uri(tile.jpeg)} for tile in pictures.tiles],
    }


def _side_by_side(pictures: Pictures, earlier: EarlierSlices) -> dict[str, Any] | None:
    """Slices of both scans at the same height of the lungs, those of the key slices; None where none can be had.

    on_paper: the numbers of those key slices that are printed so; they are not printed twice.
    """
    pairs, room_bytes = [], _PAIRS_BYTES
    sickest = sorted(pictures.slices, key=lambda one: one.percent or 0.0)
    for one in pictures.slices[1:-1]:  # at the lungs' ends a breath changes more than an illness
        now = min(pictures.tiles, key=lambda tile: abs(tile.height - one.height))
        then = earlier.archive.at(now.height)
        if then is None:
            continue
        number, jpeg = then
        room_bytes -= len(jpeg) + len(now.jpeg)
        if room_bytes >= 0:
            shown = {"before": _data_uri(jpeg), "after": _data_uri(now.jpeg)}
            pairs.append({**shown, "before_number": number, "after_number": now.number, "key_slice": one.number})
    ranked = [one.number for one in reversed(sickest) if any(pair["key_slice"] == one.number for pair in pairs)]
    return {"acquired_at": earlier.acquired_at, "pairs": pairs, "on_paper": ranked[:PAIRS_ON_PAPER]} if pairs else None


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
