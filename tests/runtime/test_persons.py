"""Whose history is it? Conflicts, placeholders, issuers, twins: never merged wrongly, never dropped unsaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from kit.course_samples import ERROR, result, scan
from scanside_runtime.findings import KINDS
from scanside_runtime.followup.comparability import obstacles
from scanside_runtime.followup.errors import PatientConflict
from scanside_runtime.followup.patient_record import Earlier, Record, counted_by, record_of
from scanside_runtime.followup.person_names import is_one_person_by_name
from scanside_runtime.followup.placeholders import is_placeholder, without_placeholders
from scanside_runtime.followup.progression import progression
from scanside_runtime.followup.same_body import check_same_body
from scanside_runtime.followup.scan import Person, Scan
from scanside_runtime.settings.tables import PLACEHOLDER_IDS, ProgressionSettings

DAYS = [f"2024-0{month}-01T10:00:00" for month in range(1, 8)]
RELEASED = [{"code": "PATIENT_RELEASED", "level": "caution", "message": "by itself"}]
UNSTATED = {"birth_date": None, "sex": None}
BORN_1954, BORN_1970 = {"birth_date": "1954-05-05"}, {"birth_date": "1970-07-07"}


def stated(day: str | None, *, flags: Any = (), verdict: str = "analysed", **study: Any) -> dict[str, Any]:
    """The document of a scan; ID P-17, born 1960-01-01 and F unless told."""
    named = {f"study.{name}": value for name, value in {"patient_name": None, **study}.items()}
    return dict(result(day, 10.0, flags=list(flags), verdict=verdict, **named))


@dataclass(frozen=True)
class History:
    """Scans in order. own: the days of the earlier ones that the last is held against; said: what is said of others.

    held: the last one is held.
    """

    scans: tuple[dict[str, Any], ...]
    own: tuple[int, ...] = ()
    said: tuple[str, ...] = ()
    held: bool = False


HISTORIES = {
    "one person, three scans": History((stated(DAYS[0]), stated(DAYS[1]), stated(DAYS[2])), own=(0, 1)),
    "no birth date, then 1954, then 1970, all F": History(
        (stated(DAYS[0], birth_date=None), stated(DAYS[1], **BORN_1954), stated(DAYS[2], **BORN_1970)),
        held=True,
    ),
    "1954, then 1970, then no birth date": History(
        (stated(DAYS[0], **BORN_1954), stated(DAYS[1], **BORN_1970), stated(DAYS[2], birth_date=None)),
        held=True,
    ),
    "the same birth date, another sex, and one that says neither": History(
        (stated(DAYS[0], **UNSTATED), stated(DAYS[1], sex="M"), stated(DAYS[2], sex="F")), held=True
    ),
    "another birth date that was held, and then the first one's again": History(
        (stated(DAYS[0]), stated(DAYS[1], **BORN_1970, verdict="held"), stated(DAYS[2])),
        own=(0,),
        said=("PATIENT_SET_APART",),
    ),
    "another birth date that was released, and then the first one's again": History(
        (stated(DAYS[0]), stated(DAYS[1], **BORN_1970, flags=RELEASED), stated(DAYS[2])),
        own=(0,),
        said=("PATIENT_SET_APART",),
    ),
    "another birth date that was released, and then the other one's again": History(
        (
            stated(DAYS[0]),
            stated(DAYS[1], **BORN_1970, flags=RELEASED),
            stated(DAYS[2], **BORN_1970),
        ),
        held=True,
    ),
    "another birth date that was released, and then one that does not say whose": History(
        (stated(DAYS[0]), stated(DAYS[1], **BORN_1970, flags=RELEASED), stated(DAYS[2], birth_date=None)),
        held=True,
    ),
    "a birth date that was corrected, and the first study sent again": History(
        (stated(DAYS[0], **BORN_1970), stated(DAYS[1], **BORN_1970, flags=RELEASED),
         stated(DAYS[2], **BORN_1970)),
        own=(0, 1),
    ),
    "ANONYMOUS, nothing stated": History(
        tuple(stated(day, patient_id="ANONYMOUS", **UNSTATED) for day in DAYS[:3]), said=("PATIENT_ID_PLACEHOLDER",)
    ),
    "0, of one sex": History(
        tuple(stated(day, patient_id="0", birth_date=None) for day in DAYS[:2]), said=("PATIENT_ID_PLACEHOLDER",)
    ),
    "UNKNOWN, with the birth date": History(
        (
            stated(DAYS[0], patient_id="UNKNOWN"),
            stated(DAYS[1], patient_id="UNKNOWN", **BORN_1970, sex="M"),
            stated(DAYS[2], patient_id="UNKNOWN"),
        ),
        own=(0,),
        said=("PATIENT_ID_PLACEHOLDER",),
    ),
    "TEST, born on the day that programs count from": History(
        tuple(stated(day, patient_id="TEST", birth_date="1900-01-01") for day in DAYS[:2]),
        said=("PATIENT_ID_PLACEHOLDER",),
    ),
    "twins under UNKNOWN": History(
        (
            stated(DAYS[0], patient_id="UNKNOWN", patient_name="DOE^ANNA"),
            stated(DAYS[1], patient_id="UNKNOWN", patient_name="DOE^BERTA"),
        ),
        said=("PATIENT_ID_PLACEHOLDER",),
    ),
    "twins under one ID": History(
        (stated(DAYS[0], patient_name="DOE^ANNA"), stated(DAYS[1], patient_name="DOE^BERTA"),
         stated(DAYS[2], patient_name="DOE^ANNA^^")),
        own=(0,),
        said=("PATIENT_OTHER_NAME",),
    ),
    "twins under IDs of their own": History(
        (stated(DAYS[0], patient_id="P-16", patient_name="DOE^ANNA"), stated(DAYS[1], patient_name="DOE^BERTA"))
    ),
    "a marriage, and a name that the archive took out": History(
        (stated(DAYS[0], patient_name="DOE^ANNA"), stated(DAYS[1], patient_name="ANONYMOUS"),
         stated(DAYS[2], patient_name="ROE^ANNA^M")),
        own=(0, 1),
    ),
    "an issuer that was added": History(
        (stated(DAYS[0]), stated(DAYS[1]), stated(DAYS[2], issuer="ARCHIVE")), said=("PATIENT_OTHER_ISSUER",)
    ),
    "an issuer that fell away": History(
        (stated(DAYS[0], issuer="ARCHIVE"), stated(DAYS[1])), said=("PATIENT_OTHER_ISSUER",)
    ),
    "two issuers, two people": History(
        (stated(DAYS[0], issuer="A"), stated(DAYS[1], issuer="B", **BORN_1970))
    ),
    "a scan without a date between": History(
        (stated(DAYS[0]), stated(None), stated(DAYS[2])), own=(0,), said=("no date",)
    ),
    "a dummy birth date is no other one": History(
        (stated(DAYS[0], birth_date="1900-01-01"), stated(DAYS[1])), own=(0,)
    ),
    "no ID": History((stated(DAYS[0], patient_id=None), stated(DAYS[1], patient_id=None))),
}  # fmt: skip


def person_of(document: dict[str, Any]) -> Person:
    return without_placeholders(Scan.from_document(document).person, PLACEHOLDER_IDS)


def record(history: History) -> Record:
    """What the last scan is held against; the lookup gives what a box's folder gives."""
    *before, last = history.scans
    person = person_of(last)

    def lookup(patient_id: str, issuer: str | None) -> Earlier:
        same = [one for one in before if one["study"]["patient_id"] == patient_id]
        mine = tuple(one for one in same if one["study"]["issuer"] == issuer)
        return Earlier(mine, other_issuers=tuple(one for one in same if one["study"]["issuer"] != issuer))

    return record_of(person, last["study"]["study_uid"], lookup, PLACEHOLDER_IDS)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_is_one_persons_and_what_is_left_out_is_said(name: str) -> None:
    history = HISTORIES[name]
    if history.held:
        with pytest.raises(PatientConflict):
            record(history)
        return
    found = record(history)
    kept = [one for one in found.scans if one.moment is not None]
    assert sorted(one.acquired_at or "" for one in kept) == [DAYS[at] for at in history.own]
    said = " ".join([*(note.code for note in found.notes), *found.unusable])
    assert all(word in said for word in history.said)
    assert len(found.notes) + len(found.unusable) == len(history.said)


def test_a_released_scan_is_counted_by_those_who_share_its_birth_date_and_contradict_nobody_by_it() -> None:
    released = stated(DAYS[0], flags=RELEASED)
    same, another, unstated = stated(DAYS[1]), stated(DAYS[2], **BORN_1970), stated(DAYS[3], birth_date=None)

    def who(*others: dict[str, Any], of: dict[str, Any] = released, ids: Sequence[str] = PLACEHOLDER_IDS) -> list[str]:
        return [one.acquired_at or "" for one in counted_by(others, of, ids)]

    assert who(same) == who(same, unstated) == [DAYS[1]]
    assert who(another) == who(unstated) == who(same, another) == []
    assert who(same, of=stated(DAYS[0], verdict="held")) == []
    assert who(same, ids=["P-17"]) == [], "under an ID that is given to many"
    assert who(same, stated(DAYS[4], sex="M", birth_date=None)) == [], "it would be held"
    assert who(stated(DAYS[1], patient_id=None), of=stated(DAYS[0], flags=RELEASED, patient_id=None)) == []


@pytest.mark.parametrize("verdict", ["analysed", "held"])
def test_who_counts_a_scan_is_told_by_one_look_at_each_result(verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under an ID that a hospital gives to many a folder holds thousands."""
    looks: list[Any] = []
    monkeypatch.setattr(Scan, "from_document", lambda one, read=Scan.from_document: looks.append(one) or read(one))
    others = [stated(f"2024-01-{day:02d}T10:00:00") for day in range(1, 29)]
    found = counted_by(others, stated(DAYS[3], flags=RELEASED, verdict=verdict), PLACEHOLDER_IDS)
    assert (len(found), len(looks) <= len(others) + 2) == (28 * (verdict == "analysed"), True)


def test_who_counts_a_scan_is_asked_once_for_all_scans_of_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight hundred of one patient took 49 s, each asked anew and held against all others."""
    asked: list[Any] = []

    def by_name(*two: str | None) -> bool:
        asked.append(two)
        return is_one_person_by_name(*two)

    monkeypatch.setattr(f"{counted_by.__module__}.is_one_person_by_name", by_name)
    monkeypatch.setattr(Scan, "__eq__", lambda *_: pytest.fail("a scan is held against a scan"))
    days, names = [f"2024-01-{day:02d}T10:00:00" for day in range(1, 29)], ("DOE^ANNA", "DOE^BERTA", "DOE^ANNA^M")
    others = [stated(day, patient_name=names[number % 3]) for number, day in enumerate(days)]
    found = counted_by(others, stated(DAYS[3], flags=RELEASED, patient_name="DOE^A"), PLACEHOLDER_IDS)
    assert [one.acquired_at for one in found] == [day for number, day in enumerate(days) if number % 3 != 1]
    assert len(asked) <= len({*names, "DOE^A"}) * (len(others) + 1)


@pytest.mark.parametrize("name", [name for name, one in HISTORIES.items() if not one.held])
def test_a_history_has_a_trend_where_it_has_an_earlier_scan(name: str) -> None:
    history = HISTORIES[name]
    last = replace(Scan.from_document(history.scans[-1]), person=person_of(history.scans[-1]))
    found = progression(last, record(history).scans, ERROR)
    assert (found is not None) == bool(history.own)
    assert found is None or found.change.trend == "stable"


def test_what_is_said_of_a_record_is_explained() -> None:
    notes = [note for one in HISTORIES.values() if not one.held for note in record(one).notes]
    assert {note.code for note in notes} == {
        *("PATIENT_ID_PLACEHOLDER", "PATIENT_OTHER_ISSUER", "PATIENT_OTHER_NAME", "PATIENT_SET_APART")
    }
    assert all(note.level in KINDS[note.code].levels for note in notes)


@pytest.mark.parametrize(
    "text",
    ["ANONYMOUS", "anonymous ", "Anonymous^Patient", "N/A", "n.a.", "0", "0000", "99999999", "xxx", "---", ".",
     "UNKNOWN", "ANON000", "Test-Patient", "null", "no id", "Anónymous", "\uff11\uff12\uff13\uff14", "De-identified"],
)  # fmt: skip
def test_an_id_that_is_given_to_many_is_known_however_it_is_written(text: str) -> None:
    assert is_placeholder(text, PLACEHOLDER_IDS)


@pytest.mark.parametrize("text", ["P-17", "ANON12", "LUNG1-001", "10", "100200", "TESTA", "7F9C24E8", "PHANTOM"])
def test_an_id_of_its_own_is_no_placeholder(text: str) -> None:
    assert not is_placeholder(text, PLACEHOLDER_IDS)


def test_the_list_is_a_setting() -> None:
    assert is_placeholder("gast", ["GAST"])
    assert not is_placeholder("ANONYMOUS", ["GAST"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DOE^JOHN", "DOE^JOHN^^"), ("DOE^JOHN", None), ("DOE^JOHN", "JOHN^DOE"), ("DOE^JOHN", "DOE JOHN"),
        ("DOE^JOHN", "DOE^J"), ("DOE^ANNA", "ROE^ANNA"), ("DOE^ANNA^MARIA", "DOE^MARIA"), ("DOE^JOHN", "Doe, John A."),
        ("PÉREZ^JOSÉ", "PEREZ^JOSE"), ("WANG^XIAOMING", "王^小明"),
    ],
)  # fmt: skip
def test_a_name_that_is_spelled_otherwise_is_one_persons(one: str, other: str | None) -> None:
    assert is_one_person_by_name(one, other)
    assert is_one_person_by_name(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DOE^ANNA", "DOE^BERTA"), ("DOE ANNA", "DOE BERTA"), ("DOE^ANNA^MARIA", "DOE^BERTA^MARIA"),
        ("DOE^JOHN", "ROE^JACK"), ("王^小明", "王^小红"),
    ],
)  # fmt: skip
def test_another_given_name_is_another_persons(one: str, other: str) -> None:
    assert not is_one_person_by_name(one, other)


def anybody(one: Scan) -> Scan:
    return replace(one, person=without_placeholders(one.person, PLACEHOLDER_IDS))


def test_two_scans_under_a_placeholder_are_not_compared_and_the_reason_is_given() -> None:
    nobody = {"study.patient_id": "ANONYMOUS", "study.birth_date": None}
    pair = [anybody(scan(day, 10.0, **nobody)) for day in DAYS[:2]]
    (why,) = obstacles(*pair)
    assert "given to many" in why
    dated = [anybody(scan(day, 10.0, **{"study.patient_id": "ANONYMOUS"})) for day in DAYS[:2]]
    assert obstacles(*dated) == ()


def test_a_scan_that_was_released_to_stand_by_itself_is_not_compared_in_a_history() -> None:
    unsaid = {"study.birth_date": None}
    (why,) = obstacles(scan(DAYS[0], 10.0, **unsaid), scan(DAYS[1], 10.0, flags=RELEASED, **unsaid))
    assert "by itself" in why


def sized(day: str, lungs_ml: float, width_mm: float | None, **changes: Any) -> Scan:
    one = scan(day, 10.0, **changes)
    return replace(one, whole=replace(one.whole, lung_volume_ml=lungs_ml), lung_width_mm=width_mm)


@pytest.mark.parametrize(
    ("lungs_ml", "width_mm", "jumps"),
    [
        (4000.0, 260.0, 0), (1400.0, 250.0, 0), (1300.0, 250.0, 1), (12100.0, 270.0, 1), (4000.0, 300.0, 1),
        (4000.0, 225.0, 1), (1000.0, 200.0, 2), (4000.0, None, 0),
    ],
)  # fmt: skip
def test_lungs_or_a_chest_of_another_size_than_a_breath_makes_are_a_caution(
    lungs_ml: float, width_mm: float | None, jumps: int
) -> None:
    present = sized(DAYS[1], lungs_ml, width_mm)
    found = progression(present, [sized(DAYS[0], 4000.0, 260.0)], ERROR)
    flags = check_same_body(present, found, ProgressionSettings())
    assert [(flag.code, flag.level) for flag in flags] == [("PATIENT_OTHER_BODY", "caution")] * bool(jumps)
    assert sum(flag.message.count(DAYS[0]) for flag in flags) == jumps


def test_another_body_is_noticed_where_the_scans_are_not_comparable_too() -> None:
    present = sized(DAYS[1], 1200.0, 260.0, **{"series.kernel": "B70f"})
    found = progression(present, [sized(DAYS[0], 4000.0, 260.0)], ERROR)
    assert found is not None and not found.change.comparable
    assert len(check_same_body(present, found, ProgressionSettings())) == 1
    assert check_same_body(present, None, ProgressionSettings()) == ()
