"""The page for people: one self-contained HTML file made from the result document and its pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader

from scanside_appliance.page.contents import offered
from scanside_appliance.page.formatting import moment, number, person, signed
from scanside_appliance.page.trend_plot import draw_trend
from scanside_appliance.pictures.draw import WINDOW_HU, Pictures, jpeg_bytes

Document = Mapping[str, Any]

EXTENT_BASIS = {
    "worse_lung": "the share infected of the worse lung",
    "whole_lung": "the share infected of both lungs together",
}


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
    document: Document, pictures: Pictures | None = None, comparison: Sequence[ComparisonRow] = ()
) -> str:
    """The page as HTML that needs nothing beside itself.

    pictures: None where there is no volume to show. comparison: the demo's known truth, as rows.
    """
    return page_templates().get_template("report.html.j2").render(
        document=document,
        offered=offered(document),
        pictures=None if pictures is None else _embedded(pictures),
        comparison=comparison,
        extent_basis=EXTENT_BASIS,
        trend_panels=draw_trend((document.get("progression") or {}).get("scans") or ()),
    )


def page_templates() -> Environment:
    """The templates of all pages, with what they print numbers by."""
    environment = Environment(
        loader=PackageLoader("scanside_appliance"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, signed=signed, person=person, moment=moment)
    return environment


def _embedded(pictures: Pictures) -> dict[str, object]:
    low, high = WINDOW_HU
    return {
        "coronal": _data_uri(jpeg_bytes(pictures.coronal)),
        "window": f"{number(low)} to {number(high)}",
        "slices": [
            {"number": s.number, "position_mm": s.position_mm, "src": _data_uri(jpeg_bytes(s.picture))}
            for s in pictures.slices
        ],
    }


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
