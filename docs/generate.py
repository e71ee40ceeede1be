"""Writes docs/cli.md, docs/modules.md, docs/reason-codes.md and docs/settings.md from the code itself: `make docs`.

A test says when they are stale.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

import scanside_appliance.cli.main
import scanside_export.cli.main
from scanside_appliance.explain import Explanation, error_explanation, explanations
from scanside_export.errors import CasesUnusable, LabelsUnusable, RecipeUnusable, TrainingUnusable
from scanside_runtime.settings.tables import Settings

FOLDER = Path(__file__).parent
SOURCE = "<!-- Made by `make docs`; changes by hand are lost. -->"
UNITS = {
    "days": "days",
    "percent": "%",
    "points": "percentage points",
    "share": "share, 0 to 1",
    "fill": "share, 0 to 1",
    "hu": "HU",
    "ml": "ml",
    "mm": "mm",
    "s": "s",
    "seconds": "s",
    "mb": "MB",
    "h": "hours",
    "m": "million voxels",
    "years": "years",
    "keys": "folder",
    "files": "files",
    "matrix": "pixels",
    "threads": "threads",
    "attempts": "analyses",
    "moved_from": "probability, 0 to 1",
    "severe_from": "CT-0 to CT-4",
    "watch_from": "CT-0 to CT-4",
    "model": "path",
    "source": "words",
    "factor": "times",
    "placeholder_ids": "list of texts",
    "name": "words",
    "referrer": "words",
    "signature": "words",
    "language": "code",
    "clean_archive": "true or false",
    "host": "name or address",
    "port": "port",
    "ae": "AE title",
    "title": "AE title",
    "callers": "list of texts",
    "associations": "associations",
    "automatic": "true or false",
    "objects": "list of texts",
    "connections": "connections",
    "network": "true or false",
    "networks": "list of texts",
    "tls_ca": "path",
    "tls_certificate": "path",
}
"""By a setting's whole name, else by the last word of it. A setting without a unit is not written down."""
FAMILIES = {
    "INPUT": "what was handed over can't be read or used",
    "SERIES": "there is no series here that can be measured, or no single one",
    "GEOMETRY": "the slices are not one regular axial stack",
    "COVERAGE": "part of the lungs is not in the series",
    "QUALITY": "the pictures are not good enough",
    "PATIENT": "it is not clear whose pictures these are, or the patient is not one that Scanside is made for",
    "MODEL": "the model bundle can't be used",
    "BOX": "the box itself: settings, disk, permissions, or a defect of Scanside",
}


def pages() -> dict[str, str]:
    """The text of every generated page, by file name."""
    return {
        "reason-codes.md": reason_codes_page(),
        "cli.md": cli_page(),
        "settings.md": settings_page(),
        "modules.md": modules_page(),
    }


def modules_page() -> str:
    """Every module with the first line of its docstring, by folder in the order of the drawing in developing.md."""
    parts = [
        SOURCE,
        "# Every module in one line",
        "For the next engineer, to search: [developing.md](developing.md) says how they stand to each other.",
    ]
    for root in ("runtime", "appliance", "export"):
        package = FOLDER.parent / root / f"scanside_{root}"
        for folder in sorted({path.parent for path in package.rglob("*.py")}):
            parts += [f"## {folder.relative_to(FOLDER.parent).as_posix()}/", _modules(folder)]
    parts += [
        "What is no module: templates of the page lie in `appliance/scanside_appliance/templates/`, recipes of "
        "trainings in `export/scanside_export/recipes/`, the book's in `appliance/scanside_appliance/jobs/book/*.sql`."
    ]
    return "\n\n".join(parts) + "\n"


def _modules(folder: Path) -> str:
    said = {path.name: ast.get_docstring(ast.parse(path.read_text())) for path in sorted(folder.glob("*.py"))}
    whole = (said.pop("__init__.py", None) or "").partition("\n")[0]
    where = folder.relative_to(FOLDER.parent).as_posix()
    rows = [f"| `{where}/{name}` | {_cell((text or '').partition(chr(10))[0])} |" for name, text in said.items()]
    return "\n\n".join(filter(None, [whole, "\n".join(["| module | |", "|---|---|", *rows]) if rows else ""]))


def reason_codes_page() -> str:
    """All codes by family, in the order in which a study meets them."""
    exporters = (CasesUnusable, LabelsUnusable, RecipeUnusable, TrainingUnusable)
    known = [*explanations(), *map(error_explanation, exporters)]
    parts = [
        SOURCE,
        "# Reason codes",
        "Codes are stable. Words in braces differ from case to case. A code with an exit code ends the analysis; a "
        "flag stands beside the numbers (`note` explains, `caution` asks for a look, `withhold` takes back every value "
        "that rests on infection). `scanside explain CODE` prints the same.",
    ]
    for family, meaning in FAMILIES.items():
        members = [one for one in known if one.code.startswith(f"{family}_")]
        if members:
            parts += [f"## {family}_", f"{meaning[0].upper()}{meaning[1:]}.", _codes(members)]
    return "\n\n".join(parts) + "\n"


def _codes(members: list[Explanation]) -> str:
    rows = [
        f"| `{one.code}` | {one.kind} | "
        + " | ".join(_cell(text) for text in (_unformatted(one.message), one.measured, one.advice))
        + " |"
        for one in members
    ]
    return "\n".join(["| code | kind | what happened | how it is found | what to do |", "|---|---|---|---|---|", *rows])


def _unformatted(message: str) -> str:
    """{values} without the way in which they are printed."""
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", message)


def settings_page() -> str:
    """Every setting with its default and unit, and what the docstring of its table says."""
    parts = [
        SOURCE,
        "# Settings",
        "Nothing has to be set: every setting has a default that works. The file is `/etc/scanside/scanside.toml` "
        "([TOML](https://toml.io); [an example](watch.md#settings)), or any other with "
        "`scanside --settings FILE analyze PATH`. A name that is not known and a value that can't be are errors "
        "(`BOX_SETTINGS`), so that a typo never changes a number in silence.",
    ]
    defaults = Settings()
    for one in fields(Settings):
        parts += _settings_table(one.name, getattr(defaults, one.name))
    return "\n\n".join(parts) + "\n"


def _settings_table(name: str, group: Any) -> list[str]:
    """One table of the settings file."""
    prose, entries = _described(inspect.getdoc(group) or "", [one.name for one in fields(group)])
    rows = ["| setting | default | unit | meaning |", "|---|---|---|---|"]
    for names, text in entries:
        shown = (", ".join(f"`{what}`" for what in column) for column in (names, [_toml(group, one) for one in names]))
        rows.append(f"| {' | '.join(shown)} | {_unit(names[0])} | {_cell(_sentence(text))} |")
    return [f"## [{name}]", *(_sentence(text) for text in prose), "\n".join(rows)]


def _described(docstring: str, names: list[str]) -> tuple[list[str], list[tuple[list[str], str]]]:
    """A docstring as its paragraphs and what it says of each setting. Raises KeyError for one that it leaves out."""
    prose: list[str] = []
    entries: list[tuple[list[str], str]] = []
    for paragraph in re.sub(r"^`\[\w+\]`: ", "", docstring).split("\n\n"):
        parts = re.split(r"^([a-z_]+(?:, [a-z_]+)*): ", paragraph, flags=re.MULTILINE)
        prose += [" ".join(parts[0].split())] * bool(parts[0].strip())
        entries += [(head.split(", "), text) for head, text in zip(parts[1::2], parts[2::2], strict=True)]
    if (said := [name for heads, _ in entries for name in heads]) != names:
        raise KeyError(f"the docstring describes {said}, the settings are {names}")
    return prose, entries


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _toml(group: Any, name: str) -> str:
    return json.dumps(getattr(group, name))  # a TOML value of these types is a JSON value


def _unit(name: str) -> str:
    return UNITS.get(name) or UNITS[name.rpartition("_")[2]]


def cli_page() -> str:
    """Every command of both programs with its arguments, options and defaults."""
    parts = [SOURCE, "# Command line"]
    for module in (scanside_appliance.cli.main, scanside_export.cli.main):
        parts += _command(typer.main.get_command(module.app), module.app.info.name or "", level=2)
    return "\n\n".join(parts) + "\n"


def _command(command: Any, name: str, level: int) -> list[str]:
    """One command and those below it. Read from the parameters: the printed help wraps as typer's version likes."""
    arguments = " ".join(_placeholder(p) for p in command.params if p.param_type_name == "argument")
    below = getattr(command, "commands", {})
    usage = " ".join(filter(None, [name, "[OPTIONS]" * bool(command.params), arguments, "COMMAND ..." * bool(below)]))
    parts = [f"{'#' * level} `{name}`", _prose(command.help), f"    {usage}"]
    if command.params:
        types = get_type_hints(command.callback)
        rows = [_parameter(one, types.get(one.name, bool)) for one in command.params]
        parts.append("\n".join(["| | meaning | default |", "|---|---|---|", *rows]))
    for short, inner in below.items():
        parts += _command(inner, f"{name} {short}", min(level + 1, 4))
    return parts


def _prose(text: str | None) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _parameter(one: Any, kind: Any) -> str:
    shown = _placeholder(one) if one.param_type_name == "argument" else f"{' '.join(one.opts)} {_value_name(one, kind)}"
    variable = f" Environment: `{one.envvar}`." if one.envvar else ""
    return f"| `{_cell(shown)}` | {_cell(one.help)}{variable} | {_default(one)} |"


def _value_name(option: Any, kind: Any) -> str:
    """What stands behind an option: the members of a choice, its metavar, nothing for a switch."""
    kind = next((part for part in get_args(kind) if part is not type(None)), kind)
    if kind is bool:
        return ""
    if issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return option.metavar or {int: "NUMBER", float: "NUMBER"}.get(kind, "TEXT")


def _default(one: Any) -> str:
    if one.required:
        return "required"
    if one.default is None or isinstance(one.default, bool):
        return ""
    return f"`{one.default.value if isinstance(one.default, Enum) else one.default}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for page, content in pages().items():
        (FOLDER / page).write_text(content, encoding="utf-8")
