"""What all pages are made of: their templates in a language, their style sheet, the policy that a browser keeps."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from jinja2 import BaseLoader, Environment
from markupsafe import Markup

from scanside_appliance.languages.catalogue import ENGLISH, direction, gap, page_catalogue
from scanside_appliance.languages.words import page_words
from scanside_appliance.page.compiled_templates import CompiledTemplates
from scanside_appliance.page.formatting import apart, moment, number, person, signed, unbroken
from scanside_appliance.page.lung_drawing import BAR_WIDTH, HEIGHT, OUTLINES, WIDTH
from scanside_appliance.page.sentences import chosen, explained
from scanside_appliance.page.verdict import NEXT_GRADES

TEMPLATES = Path(__file__).parents[1] / "templates"


class _Templates(BaseLoader):
    """As they lie on the disk: what that says of one is heard, where Jinja's own loaders know no template then."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        path = TEMPLATES / template
        return path.read_text(encoding="utf-8"), str(path), lambda: True

    def list_templates(self) -> list[str]:
        return sorted(path.name for path in TEMPLATES.glob("*.j2"))


def compile_templates() -> None:
    """All of them, for an installation: the box's user may not write there, and would compile them in each process."""
    for name in page_templates().list_templates():
        page_templates().get_template(name)


@cache
def page_templates(language: str = ENGLISH) -> Environment:
    """The templates of all pages in a language, with what they print numbers by."""
    environment = Environment(
        loader=_Templates(),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        bytecode_cache=CompiledTemplates(TEMPLATES, made_by=[Path(__file__)]),
    )
    environment.install_gettext_translations(page_catalogue(language), newstyle=True)  # type: ignore[attr-defined]  # the extension's own
    environment.filters.update(number=number, signed=signed, person=person, moment=moment)
    environment.filters.update(unbroken=unbroken, apart=apart)
    environment.filters.update(
        explained=partial(explained, _=page_words(language)),
        chosen=partial(chosen, _=page_words(language)),
        again=page_words(language).coded,
    )
    environment.globals.update(
        language=language,
        direction=direction(language),
        gap=gap(language),
        lung_outlines=OUTLINES,
        lung_width=WIDTH,
        lung_height=HEIGHT,
        lung_bar=BAR_WIDTH,
        next_grades=NEXT_GRADES,
    )
    return environment


def style_and_policy(environment: Environment, more: str = "", script: str = "") -> tuple[Markup, str]:
    """The style sheet of all pages, and the policy that allows it and pictures in the page, and nothing else.

    more: a template with styles of one page alone. script: the page's own, which the policy then allows, too.
    """
    style = "".join(environment.get_template(name).render() for name in ("report.css.j2", more) if name)
    allowed = f"script-src '{_digest(script)}'; " if script else ""
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; {allowed}"
    return Markup(style), f"{policy}base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    """As a content security policy names a text that stands in the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
