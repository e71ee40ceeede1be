"""docs/json.md against what status, doctor and verify print: in a box at rest, an empty one, and a damaged one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.watch_box import Box, study
from scanside_appliance.doctor.conditions import good
from scanside_appliance.doctor.examine import SUBJECTS
from scanside_appliance.languages.words import said

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _networks_are_not_proved_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes seconds, and says one condition as any other."""
    monkeypatch.setattr("scanside_appliance.doctor.model.selftest", lambda _: good("self-test", said("not yet")))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    return is_number(value) and isinstance(value, int)


def is_list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(one, kind) for one in value)


TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": is_integer,
    "number": is_number,
    "object": lambda value: isinstance(value, dict),
    "object of integers": lambda value: isinstance(value, dict) and all(map(is_integer, value.values())),
    "list of strings": is_list_of(str),
    "list of objects": is_list_of(dict),
}


def fields(command: str) -> dict[str, str]:
    """The type of each field that the page has for a command."""
    section = PAGE.partition(f"## `scanside {command} --json`")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ([a-z ]+) \|", section, re.MULTILINE))


def wrong(document: dict[str, Any], known: dict[str, str], at: str = "") -> list[str]:
    """What of it the page does not say, or says and is not there."""
    here = {name.removeprefix(at) for name in known if name.startswith(at) and not re.search(r"[.\[]", name[len(at) :])}
    found = [f"{at}{name}: in one of both alone" for name in sorted(here ^ set(document))]
    for name in here & set(document):
        kind, value = known[at + name], document[name]
        if not (value is None and kind.endswith(" or null")) and not TYPES[kind.removesuffix(" or null")](value):
            found.append(f"{at}{name}: {value!r} is no {kind}")
        within = [value] if kind == "object or null" and value else value if kind == "list of objects" else []
        path = f"{at}{name}." if kind.startswith("object") else f"{at}{name}[]."
        found += [problem for one in within for problem in wrong(one, known, path)]
    return found


def at_rest(box: Box) -> None:
    """A study is done, a file was put aside, another study has not all its slices."""
    box.put(*study(1))
    (box.inbox / "notes.txt").write_text("no image")
    box.run()
    status = box.root / "status.json"
    waiting = [{"study": "a" * 16, "files": 2, "why": "slices are missing"}]
    status.write_text(json.dumps(json.loads(status.read_text()) | {"waiting": waiting}))


def empty(box: Box) -> None:
    box.root.mkdir(exist_ok=True)


def damaged(box: Box) -> None:
    at_rest(box)
    (box.root / "scanside.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    (box.root / "status.json").write_text('{"schema": 7}')


def altered(box: Box) -> None:
    at_rest(box)
    next(box.root.glob("results/[!.]*/*/*/result.json")).write_text("{}")


@pytest.mark.usefixtures("no_selftest")
@pytest.mark.parametrize(
    ("ail", "codes"),
    [(at_rest, (0, 0, 0)), (empty, (0, 0, 5)), (damaged, (5, 5, 5)), (altered, (0, 0, 5))],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_each_field_that_is_printed_is_on_the_page_and_each_on_the_page_is_printed(
    ail: Callable[[Box], None], codes: tuple[int, ...], box: Box
) -> None:
    ail(box)
    for command, code in zip(("status", "doctor", "verify"), codes, strict=True):
        shown = box.scanside(command, "--json")
        if not shown.stdout:
            assert (command, ail, shown.exception.code) == ("verify", empty, "BOX_DATABASE_MISSING")
            continue
        document = json.loads(shown.stdout)
        assert (shown.exit_code, document["schema"]) == (code, f"scanside.{command}/1"), document
        assert wrong(document, fields(command)) == []
        assert f"`{document['schema']}`" in PAGE


def test_what_the_service_writes_has_the_same_fields_but_one(box: Box) -> None:
    box.run()
    known = fields("status")
    del known["running"]
    assert wrong(json.loads((box.root / "status.json").read_text()), known) == []


@pytest.mark.usefixtures("no_selftest")
def test_settings_that_can_not_be_used_change_no_field(box: Box) -> None:
    box.run()
    (bad := box.root.with_suffix(".bad.toml")).write_text("[inbox\n")
    for command in ("status", "doctor"):
        shown = box.scanside("--settings", str(bad), command, "--json")
        assert (shown.exit_code, wrong(json.loads(shown.stdout), fields(command))) == (5, [])


def test_the_page_names_each_subject_of_the_doctor() -> None:
    row = re.search(r"^\| `conditions\[\]\.subject` \|.*\| (.*) \|$", PAGE, re.MULTILINE)
    assert row is not None
    assert {one.strip() for one in re.split(r"[,;]", re.sub(r" where [^;]+", "", row[1]))} == set(SUBJECTS)
