"""Writes docs/cli.md and docs/reason-codes.md from the programs themselves: `make docs`.

A test says when they are stale.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

import scanside_appliance.cli.main
import scanside_export.cli.main
from scanside_appliance.explain import Explanation, error_explanation, explanations
from scanside_export.errors import LabelsUnusable, TrainingUnusable

FOLDER = Path(__file__).parent
SOURCE = "<!-- Made by `make docs`; changes by hand are lost. -->"
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
    return {"reason-codes.md": reason_codes_page(), "cli.md": cli_page()}


def reason_codes_page() -> str:
    """All codes by family, in the order in which a study meets them."""
    known = [*explanations(), *map(error_explanation, (LabelsUnusable, TrainingUnusable))]
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
