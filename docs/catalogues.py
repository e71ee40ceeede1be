"""Collects the texts that people read and brings their catalogues up to date: `make languages`.

What is new in the code comes into every `scanside.po` without a translation, what is gone leaves it, and each `.mo` is
made of its `.po`. A test says when a text is missing in a language, or a `.mo` is stale.

A text is found where it is marked (`_("...")`, `said("...")`, `to_translate("...")`, in a template), where it is an
error's message or advice, a finding's meaning or advice, or where it is given as a reason (`why="..."`, `what`, `how`).
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from scanside_appliance.explain import errors_of_the_box
from scanside_appliance.languages.catalogue import DOMAIN, ENGLISH, FOLDER
from scanside_appliance.languages.sentences import message_of
from scanside_appliance.page.templates import page_templates
from scanside_runtime.findings import KINDS
from scanside_runtime.plural import counted
from scanside_runtime.settings.tables import LANGUAGES

PACKAGE = FOLDER.parent
RUNTIME = PACKAGE.parents[1] / "runtime" / "scanside_runtime"
HEADER = """# What Scanside says to people, language {language}. Licence as Scanside's.
# Translated without a native speaker; whoever corrects a line here runs `make languages` afterwards."""
TRANSLATED = tuple(language for language in LANGUAGES if language != ENGLISH)
MARKS = ("_", "said", "say", "to_translate")
SPEAKER = "spoken"
"""What gives the words of the terminal: `spoken()("...")`."""
PHRASES = FOLDER / "phrases.txt"
REASONS = ("why", "how", "what", "why_not")
"""Arguments that are words within a message, and names that such words are given before."""
SAID_BY_NAME = ("NOT_COMPRESSED", "LITTLE_AS_BIG", "BIG_AS_LITTLE", "LACK_NOT_KNOWN")
"""Constants that are such words."""
IN_WORDS = (
    *("lacks", "look", "_lack", "_unquiet", "stays", "left", "over_quota", "_unattended", "_last_word"),
    *("_out_of_reach", "_jumped", "stands_too_early"),
    *("problems", "shape_problems", "conflicts", "reminders", "bundle_reminders"),
    *("object_damage", "pixel_damage", "_fault", "_no_air", "_why_not", "mixed_reconstruction"),
)
"""Functions whose texts are written down in English, for example in status.json, and shown later."""
SQL = {"SELECT", "AND", "INSERT", "UPDATE", "CASE", "?,"}
NO_WORDS = ("statistics", "cohort", "phantom", "templates", "languages", "evaluate.py")


@cache
def texts() -> dict[str, str]:
    """Every text that is translated, and where it comes from."""
    return {text: place for place, text in _found()}


def _found() -> Iterator[tuple[str, str]]:
    environment = page_templates()
    for path in sorted((PACKAGE / "templates").glob("*.html.j2")):
        for _line, _function, text in environment.extract_translations(path.read_text("utf-8")):  # type: ignore[attr-defined]
            yield f"templates/{path.name}", text if isinstance(text, str) else text[0]
    for path in sorted(PACKAGE.rglob("*.py")):
        for text in _marked(ast.parse(path.read_text("utf-8"))):
            yield path.relative_to(PACKAGE).as_posix(), text
    for code, kind in KINDS.items():
        yield code, kind.meaning
        yield code, kind.advice
    for error in errors_of_the_box():
        yield error.code, message_of(error)
        yield error.code, error.advice
    for phrase, place in phrases().items():
        yield place, phrase


def _marked(module: ast.Module) -> Iterator[str]:
    """The texts that are marked, also those within other texts, where Babel's own extractor does not look."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and node.args and _is_mark(node.func):
            text = node.args[0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str) and text.value:
                yield text.value


def _is_mark(function: ast.expr) -> bool:
    speaker = function.func if isinstance(function, ast.Call) else None
    names = [getattr(one, "id", None) for one in (function, speaker)]
    return names[0] in MARKS or names[1] == SPEAKER


@cache
def phrases() -> dict[str, str]:
    """The words that stand within messages, and where they come from: the longest first, as they are looked for."""
    found = {
        text: path.name
        for root in (RUNTIME, PACKAGE)
        for path in sorted(root.rglob("*.py"))
        if not set(NO_WORDS) & set(path.relative_to(root).parts)
        for text in _phrases_of(ast.parse(path.read_text("utf-8")))
    }
    return {text: found[text] for text in sorted(found, key=lambda one: (-len(one), one))}


def _phrases_of(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            for argument in node.keywords:
                if argument.arg in REASONS:
                    yield from _texts_in(argument.value)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in (*REASONS, *SAID_BY_NAME):
            yield from _texts_in(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name in IN_WORDS:
            yield from (text for one in node.body[1:] for text in _texts_in(one))


def _texts_in(node: ast.AST) -> Iterator[str]:
    """Every text of two words and more, with `{v1}` for what is put into it."""
    if isinstance(node, ast.Call) and _is_mark(node.func):
        return
    if isinstance(node, ast.Constant | ast.JoinedStr):
        text = _template(node)
        if text and _is_phrase(text):
            yield text
        return
    for child in ast.iter_child_nodes(node):
        yield from _texts_in(child)


def _is_phrase(text: str) -> bool:
    """Two words and more; neither the end of a list nor a whole sentence, which the page looks for by itself."""
    words = text.split()
    return sum(word.isalpha() for word in words) > 1 and not SQL & set(words) and text[0] != ";" and text[-1] != "."


def _template(node: ast.Constant | ast.JoinedStr) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    places = iter(range(1, len(node.values) + 1))
    return "".join(str(one.value) if isinstance(one, ast.Constant) else f"{{v{next(places)}}}" for one in node.values)


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


def missing(catalogue: Catalog, wanted: Iterable[str]) -> list[str]:
    """The texts that are not translated, in any of their forms."""
    return [text for text in wanted if not _is_whole(catalogue.get(text))]


def _is_whole(known: Message | None) -> bool:
    return known is not None and all([known.string] if isinstance(known.string, str) else known.string)


def updated(language: str) -> Catalog:
    """The catalogue with the texts of today, translated as far as they were."""
    before = read_catalogue(language)
    catalogue = Catalog(
        language, header_comment=HEADER.format(language=language), project="Scanside", version="words", fuzzy=False,
        msgid_bugs_address="Scanside", last_translator="Scanside", language_team="Scanside",
        creation_date=before.creation_date, revision_date=before.creation_date,
    )  # fmt: skip
    for text, place in texts().items():
        known, has_forms = before.get(text), counted(text) is not None
        keeps = known is not None and isinstance(known.string, tuple) == has_forms
        string = known.string if keeps else ("",) * catalogue.num_plurals if has_forms else ""
        catalogue.add((text, text) if has_forms else text, string, locations=[(place, None)])
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
    return len(missing(catalogue, texts()))


def phrases_file() -> str:
    """What `phrases.txt` holds."""
    return "".join(f"{text}\n" for text in phrases())


if __name__ == "__main__":
    PHRASES.write_text(phrases_file(), encoding="utf-8")
    for name in TRANSLATED:
        print(f"{name}: {write(name)} of {len(texts())} texts are missing")  # noqa: T201  # a command
