"""Every hazard of docs/risks.md has a control, and every control a test that is there; so has each attack."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[1]
ATTACKS = (HOME / "docs/withstand.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (HOME / "docs/risks.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("|") and not re.match(r"\|(---| hazard )", line)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_hazard_has_a_cause_a_control_and_a_test(row: list[str]) -> None:
    hazard, cause, control, proof = row
    assert hazard and cause and control
    named = re.fullmatch(r"`(tests/\S+\.py)::(test_\w+)`", proof)
    assert named, f"{hazard}: no test is named"
    source = (HOME / named[1]).read_text(encoding="utf-8")
    assert re.search(rf"^def {named[2]}\(", source, re.MULTILINE), f"{named[2]} is not in {named[1]}"


def test_each_test_that_the_attacks_name_is_there() -> None:
    places = {path.name: path for path in (HOME / "tests").rglob("test_*.py")}
    named, at = 0, ""
    for place, name in re.findall(r"`(?:(?:tests/\S+/)?(test_\w+\.py)::)?(test_\w+)`", ATTACKS):
        at, named = place or at, named + 1
        source = places[at].read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{name} is not in {at}"
    assert named > 100


def test_there_are_risks_of_all_three_kinds() -> None:
    assert len(ROWS) > 20
