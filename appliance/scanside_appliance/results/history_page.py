"""A patient's course as a page of its own, to read and to print."""

from __future__ import annotations

from scanside_appliance.page.formatting import readable
from scanside_appliance.page.templates import page_templates, style_and_policy
from scanside_appliance.page.trend_plot import draw_trend
from scanside_appliance.results.patient_history import History


def render_history(history: History, language: str = "en") -> str:
    """One HTML file that needs nothing beside itself."""
    document, environment = readable(history.to_document()), page_templates(language)
    style, policy = style_and_policy(environment)
    return environment.get_template("history.html.j2").render(
        h=document,
        style=style,
        policy=policy,
        panels=draw_trend(document["scans"], document["measurement_error"]),
    )
