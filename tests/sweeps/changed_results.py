"""A patient's earlier result is changed at random: `python -m tests.sweeps.changed_results [MUTATIONS [SEED]]`.

What comes of each change is taken through record, comparison, plot, history and page. Whatever ends in anything but an
error of ours, or in a document that is none, is printed: it would keep the patient's next study from its result.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from kit.course_samples import ERROR, result, scan
from scanside_appliance.files.layout import patient_folder
from scanside_appliance.languages.words import words
from scanside_appliance.page.trend_plot import draw_trend
from scanside_appliance.results.archive import earlier_results, results_in
from scanside_appliance.results.finder import found_results
from scanside_appliance.results.history_page import render_history
from scanside_appliance.results.patient_history import csv_text, patient_history, terminal_lines
from scanside_runtime.errors import ScansideError
from scanside_runtime.followup.patient_record import EarlierLookup, record_of
from scanside_runtime.followup.progression import progression
from scanside_runtime.measures.severity import fast_progress

PAGES_EVERY = 8
PRESENT = scan("2020-04-09T10:00:00", 25.0)
ODD = (
    None, True, False, 0, -1, 7, -1e308, 1e308, 1e-320, float("nan"), float("inf"), float("-inf"), 10**400, "", "x",
    "\ud800", "\u202e\x1b[2J", "7", "NaN", "0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "20200401", "2020-W01-1", "x" * 10_000, [], [None], [[]], [1, 2, 3], {}, {"code": None}, {"x": {}}, [{"code": []}],
)  # fmt: skip


def document() -> dict[str, Any]:
    made = result("2020-04-03T10:00:00", 12.0, **{"study.patient_name": "A^B"})
    made["flags"] = [{"code": "QUALITY_NOISE", "level": "caution", "message": "noisy"}]
    made["severity"] = {"flag": "watch", "basis": "extent"}
    made["progression"] = {"trend": "rising"}
    made["biomarkers"]["lung_width_mm"] = 260.0
    return made  # type: ignore[no-any-return]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, blocks included."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated(dice: random.Random) -> bytes:
    """One or two values put in place of others, or taken away; now and then the bytes themselves."""
    made = document()
    for _ in range(dice.choice((1, 1, 1, 2))):
        *path, last = dice.choice(list(places(made)))
        inner = made
        for key in path:
            inner = inner[key]
        if dice.random() < 0.15:
            del inner[last]
        else:
            inner[last] = deepcopy(dice.choice(ODD))  # the second change may be one within it
    text = json.dumps(made).encode()
    if dice.random() < 0.05:
        at = dice.randrange(len(text))
        text = text[:at] + dice.choice((b"", b"\xff", b"[" * 100_000, b"}")) + text[at + 1 :]
    return text


def compare(lookup: EarlierLookup) -> None:
    """What an analysis does with earlier results, to the end of its document and its plot."""
    person = PRESENT.person
    record = record_of(person, PRESENT.study_uid, lookup)
    change = progression(PRESENT, record.scans, ERROR)
    if change is not None:
        any(map(fast_progress, change.recent))
        shown = json.loads(json.dumps(change.to_document(), allow_nan=False))
        draw_trend(shown["scans"], shown["measurement_error"])
    json.dumps([record.unusable, [note.message for note in record.notes]], allow_nan=False).encode()


def show(results: Path) -> None:
    """What commands and pages do with results on record."""
    found = patient_history(results, "P-17", None, ERROR)
    json.dumps(found.to_document(), allow_nan=False)
    csv_text(found)
    terminal_lines(found, words("en"))
    render_history(found)
    found_results(results, "last")


def escapes(root: Path, mutations: int, seed: int) -> list[str]:
    """What comes through, in words: none is right."""
    dice, found = random.Random(seed), []
    folders = [root / "results" / patient_folder("P-17", None) / study / "1" for study in "12"]
    for folder in folders:
        folder.mkdir(parents=True)
    (folders[1] / "result.json").write_text(json.dumps(result("2020-04-06T10:00:00", 18.0)))
    for number in range(mutations):
        content = mutated(dice)
        (folders[0] / "result.json").write_bytes(content)
        try:
            compare(results_in(dict.fromkeys(folders)))
            if number % PAGES_EVERY == 0:
                compare(lambda *who: earlier_results(root / "results", *who))
                show(root / "results")
        except ScansideError:  # another birth date, another issuer: said as that
            continue
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            found.append(f"{number}: {error!r}: {content[:2000]!r}")
    return found


def main() -> None:
    mutations, seed = [*map(int, sys.argv[1:]), *(3200, 13)[len(sys.argv) - 1 :]]
    with tempfile.TemporaryDirectory() as root:
        found = escapes(Path(root), mutations, seed)
    print(*found, f"{mutations} mutations, {len(found)} escaped", sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
