"""The list of results: who stands first, what its pages hold, and that nothing in them can do harm."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from rich.console import Console
from typer.testing import CliRunner

from kit.listed_box import Listed, ListedBox, listed_box, phantom_results
from scanside_appliance.cli import main as cli
from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import PAGE, RESULT
from scanside_appliance.jobs.book.errors import BoxDatabaseLost
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.languages.words import words
from scanside_appliance.results.finder import results_meant
from scanside_appliance.worklist.care import REASONS
from scanside_appliance.worklist.known_facts import KnownFacts
from scanside_appliance.worklist.listing import list_studies
from scanside_appliance.worklist.terminal import list_lines, list_table
from scanside_appliance.worklist.write import write_worklist
from scanside_runtime.findings import KINDS
from scanside_runtime.settings.tables import SiteSettings


@pytest.fixture
def box(tmp_path: Path) -> Iterator[ListedBox]:
    with listed_box(tmp_path / "box") as made:
        yield made


def written(box: ListedBox, **site: str) -> list[str]:
    return write_worklist(box.layout, box.store, SiteSettings(**site), Clock())


def pages(box: ListedBox) -> dict[Path, str]:
    paths = [box.layout.worklist, *box.layout.worklist_pages.glob("*.html")]
    return {path: path.read_text("utf-8") for path in paths}


def scanside(box: ListedBox, *arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["--root", str(box.layout.root), *arguments])


def listed(box: ListedBox, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(scanside(box, "worklist", "--json", *arguments).output)["studies"]
    return found


def names(box: ListedBox) -> list[str]:
    return [one["patient_name"] for one in listed(box, "--all")]


def on_page(box: ListedBox) -> list[str]:
    return re.findall(r"<bdi>([^<]*)</bdi></a>", box.layout.worklist.read_text("utf-8"))


def test_sick_and_rising_stand_first_then_the_extensive_the_held_and_those_to_watch(box: ListedBox) -> None:
    kinds = {
        "Fine": {},
        "Watch": {"severity": "watch"},
        "Held": {"verdict": "held", "severity": "not_assessed", "code": "PATIENT_CONFLICT"},
        "Extensive": {"verdict": "refused", "severity": "extensive", "code": "QUALITY_NOISE"},
        "Rising": {"trend": "rising"},
        "Severe": {"severity": "severe"},
        "Both": {"severity": "severe", "trend": "rising"},
        "Refused": {"verdict": "refused", "severity": "not_assessed", "code": "SERIES_NOT_CHEST"},
        "Newer": {"measured": "2026-01-11T00:00:00+00:00"},
    }
    box.put(*(Listed(number, name, **kind) for number, (name, kind) in enumerate(kinds.items())))
    order = ["Both", "Severe", "Rising", "Extensive", "Held", "Watch", "Newer", "Refused", "Fine"]
    assert names(box) == order
    written(box)
    assert on_page(box) == order


def test_of_a_study_the_newest_revision_counts_and_one_that_was_refused_hides_none(box: ListedBox) -> None:
    first = Listed(1, "Before")
    again = replace(first, name="Again", revision=2)
    barred = replace(first, name="Barred", revision=3, verdict="refused", severity="not_assessed", code="INPUT_EMPTY")
    box.put(first, again, barred)
    assert [(one["patient_name"], one["revision"]) for one in listed(box)] == [("Again", 2)]


def test_what_is_measured_again_is_no_news_and_what_is_measured_at_last_is(box: ListedBox) -> None:
    at = [f"2026-01-1{day}T00:00:00+00:00" for day in range(5)]
    old = Listed(1, "Old", measured=at[0])
    barred = Listed(3, "At last", verdict="refused", severity="not_assessed", code="INPUT_EMPTY", measured=at[0])
    measured = replace(barred, verdict="analysed", severity="none", code=None, revision=2, measured=at[2])
    for one in (old, Listed(2, "New", measured=at[1]), barred, measured, replace(old, revision=2, measured=at[3])):
        (job,) = box.put(one)
        path = job.published_in(box.layout) / RESULT
        moment = datetime.fromisoformat(one.measured).timestamp()
        os.utime(path, (moment, moment))
    assert [(one["patient_name"], one["revision"]) for one in listed(box)] == [("At last", 2), ("New", 1), ("Old", 2)]
    written(box)
    page = box.layout.worklist.read_text("utf-8")
    assert re.findall(r'<time datetime="([^"]*)">', page)[-3:] == [at[2], at[1], at[0]]
    now_s = datetime.fromisoformat(at[4]).timestamp()
    entries = list_studies(box.layout, box.store, KnownFacts(box.layout.worklist_facts, keep=False)).first_page()
    lines = list_lines(entries, now_s, words("en"), names=True)
    assert [re.search(r"[0-9]+ d", line)[0] for line in lines[1:]] == ["2 d", "3 d", "4 d"]  # type: ignore[index]
    (last,) = json.loads(scanside(box, "results", "last", "--json").output)
    assert last["patient_name"] == "At last"
    (meant,) = results_meant(box.layout.results, "last")
    assert meant.document["study"]["patient_name"] == "At last"


def test_a_patient_is_sick_by_the_last_scan_alone_though_the_earlier_one_came_later(box: ListedBox) -> None:
    well = Listed(1, "Well", patient_id="A", day="2026-02-01", measured="2026-02-01T00:00:00+00:00")
    once_sick = Listed(2, "Once sick", patient_id="A", severity="severe", measured="2026-02-02T00:00:00+00:00")
    box.put(well, once_sick)
    assert [(one["patient_name"], one["group"]) for one in listed(box)] == [("Once sick", "rest"), ("Well", "rest")]
    written(box)
    assert re.findall(r'<tr class="one (.*?)">', box.layout.worklist.read_text("utf-8")) == ["severe past", "none"]


def test_what_is_held_without_a_result_is_named_and_what_is_under_way_is_counted(box: ListedBox) -> None:
    at = "2026-01-10T12:00:00+00:00"
    box.store.add_job(State.held, at, study="a" * 16, study_uid="1.2.3", patient="b" * 16, code="INPUT_CONFLICT")
    box.store.add_job(State.queued, at, study="c" * 16, study_uid="1.2.4", patient="d" * 16)
    box.store.add_job(State.quarantined, at, study="e" * 16, study_uid="1.2.5", revision=1, code="BOX_ANALYSIS_DIED")
    shown = json.loads(scanside(box, "worklist", "--json").output)
    assert [(one["group"], one["study"], one["page"]) for one in shown["studies"]] == [("held", "a" * 16, None)]
    assert shown["underway"]["being_measured"] == 1
    assert shown["underway"]["failed"] == [{"study": "e" * 16, "code": "BOX_ANALYSIS_DIED"}]
    written(box)
    page = box.layout.worklist.read_text("utf-8")
    assert "a" * 16 in page
    assert "INPUT_CONFLICT" in page
    assert "Being measured or queued: <b>1</b>" in page
    assert "BOX_ANALYSIS_DIED" in page


def test_every_link_of_every_page_leads_to_a_file_beside_it(box: ListedBox) -> None:
    box.put(*phantom_results(30), Listed(1000, day=None))
    written(box)
    made = pages(box)
    links = [(path, unquote(link)) for path, page in made.items() for link in re.findall(r'href="([^"#]+)"', page)]
    assert len(links) > 60
    assert [link for path, link in links if not (path.parent / link).is_file()] == []
    assert any("No date" in page for page in made.values())


def test_the_policy_names_style_and_script_and_allows_nothing_else(box: ListedBox) -> None:
    box.put(Listed(1))
    written(box)
    for page in pages(box).values():
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
        assert policy
        said = policy[1].replace("&#39;", "'")
        for tag in ("style", "script"):
            (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in said
        assert said.startswith("default-src 'none';")
        assert "unsafe" not in said
        assert not re.search(r"(src|href)=.https?:", page)


def test_only_the_months_that_changed_are_written_and_the_first_page_always(box: ListedBox) -> None:
    january, february = Listed(1, day="2026-01-10"), Listed(2, day="2026-02-10")
    box.put(january, february)
    assert written(box) == ["2026-02.html", "2026-01.html", "index.html"]
    assert written(box) == ["index.html"]
    box.put(replace(february, number=3))
    assert written(box) == ["2026-02.html", "index.html"]
    (box.layout.worklist_pages / "2026-01.html").unlink()
    assert written(box) == ["2026-01.html", "index.html"]
    assert written(box, language="fr") == ["2026-02.html", "2026-01.html", "index.html"]


@pytest.mark.parametrize("fails_at", range(3))
def test_a_writing_that_breaks_off_leaves_whole_pages_and_the_next_one_makes_them_right(
    box: ListedBox, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    box.put(Listed(1, "Before", day="2026-01-10"), Listed(2, "Before", day="2026-02-10"))
    written(box)
    before, made = pages(box), list[Path]()

    def replace_or_fail(target: Path, content: bytes) -> None:
        made.append(target)
        if len(made) > fails_at:
            raise OSError(28, "No space left on device")
        target.write_bytes(content)

    box.put(Listed(3, "After", day="2026-01-11"), Listed(4, "After", day="2026-02-11"))
    with monkeypatch.context() as patch:
        patch.setattr("scanside_appliance.worklist.write.replace_file", replace_or_fail)
        with pytest.raises(OSError, match="No space"):
            written(box)
    untouched = [path for path in before if path not in made[:fails_at]]
    assert [path.read_text("utf-8") for path in untouched] == [before[path] for path in untouched]
    written(box)
    assert all("After" in page for page in pages(box).values())


def test_a_month_that_is_gone_goes_and_what_a_person_laid_there_stays(box: ListedBox) -> None:
    box.put(Listed(1, day="2026-01-10"))
    written(box)
    (box.layout.worklist_pages / "2025-12.html").touch()
    (box.layout.worklist_pages / ".2025-12.html.a1.part").touch()
    (box.layout.worklist_pages / "mine.html").touch()
    written(box)
    assert {path.name for path in box.layout.worklist_pages.iterdir()} == {"2026-01.html", "mine.html"}


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 100])
def test_what_is_known_of_documents_may_be_lost_or_damaged(box: ListedBox, content: bytes | None) -> None:
    box.put(*phantom_results(5))
    written(box)
    before = pages(box)
    box.layout.worklist_facts.unlink()
    if content is not None:
        box.layout.worklist_facts.write_bytes(content)
    written(box)
    moment = re.compile(r"<time[^>]*>[^<]* UTC</time>")
    assert [moment.sub("", page) for page in pages(box).values()] == [moment.sub("", page) for page in before.values()]


def test_a_document_that_is_not_what_was_written_gives_no_figure_and_keeps_no_other_from_the_list(
    box: ListedBox,
) -> None:
    changed, lost, sound = box.put(Listed(1, "Changed"), Listed(2, "Lost"), Listed(3, "Sound"))
    for job, content in ((changed, replace(Listed(1), poi=99.0)), (lost, None)):
        path = box.layout.result(job.patient, job.study, 1) / RESULT
        path.unlink() if content is None else path.write_text(json.dumps(content.document()))
    written(box)
    assert on_page(box).count("Name not given") == 2
    assert "99.0" not in box.layout.worklist.read_text("utf-8")
    assert {one["patient_name"] for one in listed(box)} == {None, "Sound"}
    assert sound.study in {one["study"] for one in listed(box)}


def test_no_page_is_larger_than_two_megabytes_whatever_the_names_and_all_studies_stand_somewhere(
    box: ListedBox,
) -> None:
    name = "&" * 64
    cautions = ("QUALITY_MOTION", "QUALITY_POSSIBLE_EFFUSION", "COVERAGE_BASE_CUT", "QUALITY_PARTLY_SEEN")
    worst = Listed(0, name, severity="severe", cautions=cautions)
    box.put_known([replace(worst, number=one, patient_id=f"{one:05d}{name}") for one in range(3200)])
    written(box, language="hi")
    made = pages(box)
    assert len(made) == 4
    assert max(len(page.encode()) for page in made.values()) <= 2_000_000
    months = "".join(page for path, page in made.items() if path != box.layout.worklist)
    assert months.count('<tr class="one') == 3200
    assert made[box.layout.worklist].count('<tr class="one') == 1500


def test_the_terminal_shows_who_needs_attention_and_the_newest_others_and_says_what_it_leaves_out(
    box: ListedBox,
) -> None:
    box.put(*(Listed(number, f"Fine {number}") for number in range(25)), Listed(99, "Sick^Ada", severity="severe"))
    shown = scanside(box, "worklist").output.splitlines()
    assert shown[1].startswith("■ SEVERE")
    assert "Sick Ada" in shown[1]
    assert len(shown) == 1 + 1 + 20 + 1
    assert shown[-1] == "5 more: --all"
    assert len(listed(box, "--all")) == 26
    nameless = scanside(box, "worklist", "--no-names").output
    assert "Ada" not in nameless
    assert "P99" not in nameless
    assert "patient_id" not in listed(box, "--no-names")[0]
    assert not box.layout.worklist_facts.exists(), "a command under another name must leave nothing there"


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_in_a_terminal_keeps_every_name_and_figure_whole(box: ListedBox, width: int) -> None:
    box.put(Listed(1, "Rising^Ada", patient_id="H-00001", poi=62.6, severity="severe", trend="rising"))
    with KnownFacts(box.layout.worklist_facts, keep=False) as known:
        entries = list_studies(box.layout, box.store, known).entries
    screen = Console(width=width, file=StringIO(), record=True)
    screen.print(list_table(entries, 0.0, width, words("en"), names=True))
    shown = screen.export_text()
    assert all(word in shown for word in ("SEVERE", "Rising", "Ada", "H-00001", "62.6 %", "▲ rising", "CT-1"))
    assert (entries[0].job.study in shown) == (width >= 120)


def test_an_empty_box_has_an_empty_list(box: ListedBox) -> None:
    assert scanside(box, "worklist").output == "no result yet\n"
    assert written(box) == ["index.html"]
    assert "No result yet" in box.layout.worklist.read_text("utf-8")


@pytest.fixture
def in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("scanside_appliance.cli.box.results.sys", seen)


def paths(output: str) -> list[str]:
    """Without the lines that say whose a report is."""
    return [line.strip() for line in output.splitlines() if line.startswith("    /")]


@pytest.mark.usefixtures("in_a_terminal")
def test_a_page_is_found_by_name_by_date_and_as_the_last_one_from_terminal_and_list_alike(box: ListedBox) -> None:
    box.put(Listed(1, "Mwangi^Baraka", day="2026-01-09"), Listed(2, "Okafor^Emeka", day="2026-01-10"))
    written(box)
    row = re.search(r'<a href="([^"]*)"><bdi>Okafor Emeka', box.layout.worklist.read_text("utf-8"))
    assert row
    meant = [str(box.layout.results / row[1])]
    for wanted in ("Okafor^Emeka", "P2", "2026-01-10", "last", "okafor", "emeka OKA", "P2 oka", "2026-01-10 okafor"):
        assert paths(scanside(box, "results", *wanted.split()).output) == meant
    assert paths(scanside(box, "results", "--all", "emeka").output) == meant


@pytest.mark.usefixtures("in_a_terminal")
def test_words_find_all_whom_they_speak_of_whatever_accents_and_a_name_to_the_letter_that_one_alone(
    box: ListedBox,
) -> None:
    box.put(Listed(1, "Núñez^Ana"), Listed(2, "Nunez^Anabel"), Listed(3, "Nunez"), Listed(4, "王^芳=Wang^Fang"))

    def found(*words: str) -> list[str]:
        done = scanside(box, "results", *words)
        return re.findall(r"  (P\d)  ", done.stdout)

    assert sorted(found("nunez")) == ["P1", "P2", "P3"]
    assert (sorted(found("nunez", "ana")), found("Nunez"), found("王"), found("fang", "wang")) == (
        ["P1", "P2"], ["P3"], ["P4"], ["P4"],
    )  # fmt: skip
    assert (found("unez"), found(""), found(" "), found("ana", "maria")) == ([], [], [], [])
    assert (found("^"), found("="), found("P"), found("p1")) == ([], [], [], [])


def test_a_script_is_never_given_another_patients_report_for_the_beginning_of_what_it_said(
    box: ListedBox, request: pytest.FixtureRequest
) -> None:
    box.put(Listed(1, "Núñez^Ana", patient_id="123"), Listed(2, "Mwangi^12th", patient_id="45"))
    for wanted in ("12", "1", "núñez", "2026", "2026-01", "^", "="):
        for more in ([], ["--json"], ["--all"]):
            done = scanside(box, "results", wanted, *more)
            assert getattr(done.exception, "code", None) == "PATIENT_NO_RESULT", (wanted, more, done.output)
    assert [one["patient_id"] for one in json.loads(scanside(box, "results", "123", "--json").stdout)] == ["123"]
    request.getfixturevalue("in_a_terminal")
    assert scanside(box, "results", "12", "--json").exception
    assert "Mwangi" in scanside(box, "results", "12").stdout
    assert scanside(box, "results", "4").exception, "an ID has no beginnings, for nobody"


@pytest.mark.usefixtures("in_a_terminal")
def test_the_newest_report_of_one_patient_is_opened_and_of_several_patients_none(
    box: ListedBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    box.put(Listed(1, "Núñez^Ana"), Listed(2, "Núñez^Bea"))
    several = scanside(box, "results", "2026", "--open")
    assert (len(paths(several.stdout)), opened) == (2, [])
    assert several.stderr.startswith("2 reports match, so none is opened")
    one = scanside(box, "results", "nunez", "bea", "--open")
    assert opened == paths(one.stdout) != []
    box.put(Listed(3, "Núñez^Bea", patient_id="P2", day="2026-02-01"))
    visits = scanside(box, "results", "nunez", "bea", "--open")
    assert opened[1:] == paths(visits.stdout)[1:] != []
    assert visits.stderr.startswith("2 reports of one patient are found")


@pytest.mark.usefixtures("in_a_terminal")
def test_without_the_book_a_report_is_found_all_the_same(box: ListedBox) -> None:
    (job,) = box.put(Listed(1, "Núñez^Ana"))
    page = str(box.layout.result(job.patient, job.study, 1) / PAGE)
    box.layout.database.rename(box.layout.root / "elsewhere")
    found = scanside(box, "results", "ana")
    assert paths(found.stdout) == [page]
    assert found.stderr.startswith("BOX_DATABASE_LOST: ") and str(box.layout.results) in found.stderr


def test_where_the_book_is_of_no_use_the_list_as_it_was_last_written_is_named(box: ListedBox) -> None:
    box.put(Listed(1, "Núñez^Ana"))
    write_worklist(box.layout, box.store, SiteSettings(), Clock())
    box.layout.database.rename(box.layout.root / "elsewhere")
    asked = scanside(box, "worklist")
    assert isinstance(asked.exception, BoxDatabaseLost)
    assert str(box.layout.worklist) in asked.stderr


@pytest.mark.usefixtures("in_a_terminal")
@pytest.mark.parametrize("book", [True, False])
def test_a_number_to_be_read_with_care_has_its_mark_among_results_and_in_the_queue_as_on_the_list(
    box: ListedBox, book: bool
) -> None:
    doubtful = Listed(1, "Doubtful", cautions=("QUALITY_MOTION", "PATIENT_AGE_UNKNOWN"))
    box.put(
        doubtful, Listed(2, "Sure"), Listed(3, "Withheld", verdict="refused", poi=None, cautions=("QUALITY_METAL",))
    )
    marked = "! read with care: its page or the worklist says why"
    if book:
        queue = scanside(box, "queue", "--all").stdout
        assert ("POI ! 12.3 %" in queue, queue.count("POI 12.3 %"), queue.splitlines()[-1]) == (True, 1, marked)
        known = {
            one["patient_name"]: one["cautions"] for one in json.loads(scanside(box, "queue", "--all", "--json").stdout)
        }
        assert known == {"Doubtful": [*doubtful.cautions], "Sure": [], "Withheld": []}
    else:
        box.layout.database.rename(box.layout.root / "elsewhere")
    found = scanside(box, "results", "2026-01-10")
    assert ("POI ! 12.3 %" in found.stdout, found.stdout.count("POI 12.3 %")) == (True, 1)
    assert found.stderr.splitlines()[-1] == marked
    as_json = json.loads(scanside(box, "results", "2026-01-10", "--json").stdout)
    assert {one["patient_name"]: one["cautions"] for one in as_json} == {
        "Doubtful": [*doubtful.cautions], "Sure": [], "Withheld": [],
    }  # fmt: skip
    sure = scanside(box, "results", "Sure")
    assert marked not in sure.stdout + sure.stderr


def test_beside_a_number_to_be_read_with_care_the_list_says_so_and_why(box: ListedBox) -> None:
    doubtful = Listed(1, "Doubtful", cautions=("QUALITY_MOTION", "PATIENT_AGE_UNKNOWN", "QUALITY_OF_LATER"))
    withheld = Listed(2, "Withheld", verdict="refused", poi=None, code="QUALITY_NOISE", cautions=("QUALITY_METAL",))
    box.put(doubtful, withheld, Listed(3, "Sure"))
    written(box)
    page = box.layout.worklist.read_text("utf-8")
    rows = {name: row for row in page.split('<tr class="one')[1:] for name in re.findall("<bdi>(.*?)</bdi></a>", row)}
    assert "! Read with care: motion, age not known, …" in rows["Doubtful"]
    assert ["Read with care" in rows[name] for name in ("Withheld", "Sure")] == [False, False]
    codes = {one["patient_name"]: one["cautions"] for one in listed(box)}
    assert codes == {"Doubtful": list(doubtful.cautions), "Withheld": [], "Sure": []}
    lines = scanside(box, "worklist").output.splitlines()
    (marked,) = [line for line in lines if "! 12.3 %" in line]
    assert marked.endswith("  motion, age not known, see its page")
    assert sum("%" in line for line in lines) == 2
    assert lines[-1] == "! read with care: its page or the worklist says why"


@pytest.mark.parametrize("width", [80, 150])
def test_a_table_in_a_terminal_marks_a_number_to_be_read_with_care(box: ListedBox, width: int) -> None:
    box.put(Listed(1, "Rising^Ada", poi=62.6, cautions=("QUALITY_MOTION",)))
    with KnownFacts(box.layout.worklist_facts, keep=False) as known:
        entries = list_studies(box.layout, box.store, known).entries
    screen = Console(width=width, file=StringIO(), record=True)
    screen.print(list_table(entries, 0.0, width, words("en"), names=True))
    shown = screen.export_text()
    assert "! 62.6 %" in shown
    assert ("motion" in shown) == (width >= 150)


def test_why_there_is_no_number_stands_on_the_list_in_words(box: ListedBox) -> None:
    codes = ("PATIENT_UNDER_AGE", "GEOMETRY_UNEVEN_SPACING", "PATIENT_CONFLICT", "MODEL_OF_LATER")
    for number, code in enumerate(codes):
        box.put(Listed(number, code, verdict="refused", severity="not_assessed", poi=None, code=code))
    assert "  under age" in scanside(box, "worklist").output
    written(box, language="sw")
    rows = box.layout.worklist.read_text("utf-8").split('<tr class="one')[1:]
    said = {code: re.findall('<small class="care">(.*?)</small>', row) for row in rows for code in codes if code in row}
    assert said == {
        "PATIENT_UNDER_AGE": ["chini ya umri"],
        "GEOMETRY_UNEVEN_SPACING": ["vipande vinakosekana au havilingani"],
        "PATIENT_CONFLICT": ["hakikisha ni mgonjwa yupi"],
        "MODEL_OF_LATER": [],
    }


def test_every_caution_has_its_words_once() -> None:
    known = [code for codes in REASONS.values() for code in codes]
    assert len(known) == len(set(known))
    beside_numbers = {code for code, kind in KINDS.items() if "caution" in kind.levels} - {"QUALITY_LOOKS_EXTENSIVE"}
    assert set(known) == beside_numbers
