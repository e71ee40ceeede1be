"""A patient's course as a page of its own, to read and to print."""

from __future__ import annotations

from scanside_appliance.page.report import page_templates
from scanside_appliance.page.trend_plot import draw_trend
from scanside_appliance.results.patient_history import History


def render_history(history: History) -> str:
    """One HTML file that needs nothing beside itself."""
    document = history.to_document()
    return page_templates().get_template("history.html.j2").render(h=document, panels=draw_trend(document["scans"]))
