"""Collects the texts of the page and brings its catalogues up to date: `make languages`.

What is new in the code comes into every `scanside.po` without a translation, what is gone leaves it, and each `.mo` is
made of its `.po`. A test says when a text is missing in a language, or a `.mo` is stale.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from scanside_appliance.languages.catalogue import DOMAIN, ENGLISH, FOLDER
from scanside_appliance.page.sentences import errors_with_reasons, message_of
from scanside_appliance.page.templates import page_templates
from scanside_runtime.findings import KINDS
from scanside_runtime.settings.tables import LANGUAGES

PACKAGE = FOLDER.parent
HEADER = """# The page of Scanside, language {language}. Licence as Scanside's.
# Translated without a native speaker; whoever corrects a line here runs `make languages` afterwards."""
TRANSLATED = tuple(language for language in LANGUAGES if language != ENGLISH)


def texts() -> dict[str, str]:
    """Every text that the page translates, and where it comes from."""
    return {text: place for place, text in _found()}


def _found() -> Iterator[tuple[str, str]]:
    environment = page_templates()
    for path in sorted((PACKAGE / "templates").glob("*.html.j2")):
        for _line, _function, text in environment.extract_translations(path.read_text("utf-8")):  # type: ignore[attr-defined]
            yield f"templates/{path.name}", text if isinstance(text, str) else text[0]
    for path in sorted((PACKAGE / "page").glob("*.py")):
        keywords: dict[str, None] = {"_": None, "to_translate": None}
        for _line, text, _comments, _context in extract("python", io.BytesIO(path.read_bytes()), keywords=keywords):
            yield f"page/{path.name}", str(text)
    for code, kind in KINDS.items():
        yield code, kind.meaning
        yield code, kind.advice
    for error in errors_with_reasons():
        yield error.code, message_of(error)
        yield error.code, error.advice


def po_path(language: str) -> Path:
    """What people translate."""
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read_catalogue(language: str) -> Catalog:
    """The catalogue as it is on record; an empty one where there is none."""
    path = po_path(language)
    if not path.exists():
        return Catalog(language)
    with path.open("rb") as file:
        return read_po(file, language)


def updated(language: str) -> Catalog:
    """The catalogue with the texts of today, translated as far as they were."""
    before = read_catalogue(language)
    catalogue = Catalog(
        language, header_comment=HEADER.format(language=language), project="Scanside", version="page", fuzzy=False,
        msgid_bugs_address="Scanside", last_translator="Scanside", language_team="Scanside",
        creation_date=before.creation_date, revision_date=before.creation_date,
    )  # fmt: skip
    for text, place in texts().items():
        known = before.get(text)
        catalogue.add(text, "" if known is None else known.string, locations=[(place, None)])
    return catalogue


def mo_bytes(catalogue: Catalog) -> bytes:
    """The file that `gettext` reads."""
    written = io.BytesIO()
    write_mo(written, catalogue)
    return written.getvalue()


def write(language: str) -> int:
    """Both files of a language; how many texts it lacks."""
    catalogue = updated(language)
    path = po_path(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalogue, width=110)
    path.with_suffix(".mo").write_bytes(mo_bytes(read_catalogue(language)))
    return sum(1 for message in catalogue if message.id and not message.string)


if __name__ == "__main__":
    for name in TRANSLATED:
        print(f"{name}: {write(name)} of {len(texts())} texts are missing")  # noqa: T201  # a command
