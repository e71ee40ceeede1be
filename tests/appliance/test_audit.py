"""What the box did stands in a chain to which is only added: every change of a row is found."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from kit.watch_box import Box, study
from scanside_appliance.jobs.book.audit import broken_at, entries, head, note
from scanside_appliance.jobs.book.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "scanside.db")
    for number in range(5):
        note(store, "result", f"{number:016x}", revision=1, verdict="analysed")
    return store


def told(box: Box) -> list[tuple[str, str]]:
    answer = box.scanside("audit", "--json")
    assert answer.exit_code == 0
    return [(one["event"], one["study"]) for one in json.loads(answer.output)["entries"]]


def test_what_a_box_did_is_told_in_order(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.run()
    first, second, third, fourth = told(box)
    assert (first[0], second[0], third[0], fourth[0]) == ("selftest", "configuration", "result", "selftest")
    box.settings["quiet_s"] = 0.02
    box.scanside("redo", third[1])
    box.run()
    assert [event for event, _ in told(box)[4:]] == ["redone", "selftest", "configuration", "result"]


def test_no_name_and_no_id_of_a_patient_is_in_it(box: Box) -> None:
    box.put(*study(1))
    box.run()
    text = box.scanside("audit").output
    assert "1.2.1" not in text and "head " in text


def test_rows_can_t_be_changed_or_taken_out_as_long_as_nobody_means_to(store: Store) -> None:
    for statement in ("UPDATE audit SET study = ''", "DELETE FROM audit WHERE n = 2"):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            store.connection.execute(statement)


TAMPERED = {
    "another verdict": "UPDATE audit SET facts = replace(facts, 'analysed', 'refused') WHERE n = 3",
    "another time": "UPDATE audit SET at = '2020-01-01' WHERE n = 3",
    "a row less": "DELETE FROM audit WHERE n = 3",
    "another order": "UPDATE audit SET n = CASE n WHEN 3 THEN -4 WHEN 4 THEN -3 ELSE n END",
    "a hash changed": "UPDATE audit SET sha256 = upper(sha256) WHERE n = 3",
    "a row put in": "INSERT INTO audit SELECT 6, at, event, study, facts, sha256 FROM audit WHERE n = 5",
}


@pytest.mark.parametrize("how", TAMPERED)
def test_every_change_is_found_by_the_row_where_it_begins(store: Store, how: str) -> None:
    for trigger in ("audit_stays", "audit_whole"):
        store.connection.execute(f"DROP TRIGGER {trigger}")
    store.connection.execute(TAMPERED[how])
    store.connection.execute("UPDATE audit SET n = -n WHERE n < 0")
    assert broken_at(store) == (6 if how == "a row put in" else 3)


def test_a_chain_that_was_written_anew_has_another_head(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other.db")
    for one in entries(store):
        note(other, "result", one.study, revision=1, verdict="refused" if one.n == 2 else "analysed")
    ours, theirs = head(store), head(other)
    assert broken_at(other) is None and ours and theirs
    assert ours.sha256 != theirs.sha256


def test_what_is_told_of_a_transaction_that_fails_is_not_told(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        note(store, "released", "a" * 16)
        _ = 1 / 0
    assert broken_at(store) is None and len([*entries(store)]) == 5


def test_verify_finds_a_broken_chain_and_a_sum_that_was_changed_in_the_book(box: Box) -> None:
    box.put(*study(1))
    box.run()
    assert box.scanside("verify").exit_code == 0
    page = next(box.root.glob("results/[!.]*/*/*/result.json"))
    page.write_bytes(page.read_bytes() + b"\n")
    with Store(box.root / "scanside.db") as store:
        import hashlib

        sha256 = hashlib.sha256(page.read_bytes()).hexdigest()
        store.connection.execute("UPDATE result_files SET sha256 = ? WHERE name = 'result.json'", (sha256,))
    found = box.scanside("verify", "--json")
    assert [one["of"] for one in json.loads(found.output)["differences"]] == ["audit"]
    with Store(box.root / "scanside.db") as store:
        store.connection.execute("DROP TRIGGER audit_whole")
        store.connection.execute("DELETE FROM audit WHERE n = 1")
    assert (found.exit_code, box.scanside("audit").exit_code) == (5, 5)


@pytest.mark.parametrize("facts", ["no JSON", "[1]", b"\xff"])
def test_facts_that_are_none_any_more_are_named_as_a_broken_chain(box: Box, facts: object) -> None:
    box.put(*study(1))
    box.run()
    with sqlite3.connect(box.root / "scanside.db") as book:
        book.execute("DROP TRIGGER audit_stays")
        book.execute("UPDATE audit SET facts = ? WHERE n = 1", [facts])
    book.close()
    answer = box.scanside("audit")
    assert (answer.exit_code, "entry 1 does not follow" in answer.stderr) == (5, True), answer.exception


def test_after_the_last_entry_there_is_none_and_a_box_that_worked_is_not_called_empty(box: Box) -> None:
    box.put(*study(1))
    box.run()
    assert box.scanside("audit", "--since", "99").output == "nothing after 99\n"
