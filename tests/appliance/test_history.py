"""Earlier results on the box: found by patient, latest revisions only, and shown as table, CSV, JSON and page."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kit.course_samples import result
from scanside_appliance.cli.main import app
from scanside_appliance.files.layout import patient_folder
from scanside_appliance.page.trend_plot import draw_trend
from scanside_appliance.results.archive import earlier_results, lookup, results_below, results_in
from scanside_appliance.results.errors import PatientNotOnRecord, PatientSeveralIssuers
from scanside_runtime.dicom.errors import InputNotFound
from scanside_runtime.errors import ScansideError

DAYS = [f"2020-04-{day:02d}T10:00:00" for day in (1, 3, 6, 9, 14, 21)]
POI = (5.0, 12.0, 18.0, 18.4, 10.0, 3.5)


def keep(results: Path, document: dict[str, Any], revision: str = "1") -> Path:
    """Put a document where the box keeps it."""
    study = document["study"]
    folder = results / patient_folder(study["patient_id"], study["issuer"]) / study["study_uid"] / revision
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(document))
    return folder / "result.json"


def test_results_are_found_by_patient_by_day_and_as_the_last_one(tmp_path: Path) -> None:
    one = keep(tmp_path / "results", result(DAYS[0], 5.0))
    two = keep(tmp_path / "results", result(DAYS[1], 6.0, **{"study.patient_id": "P-18", "study.patient_name": "B^C"}))
    keep(tmp_path / "results", result(DAYS[1], None, **{"study.patient_id": "P-18"}), "2")
    os.utime(one, (4e9, 4e9))

    def found(wanted: str, *more: str) -> list[str]:
        shown = CliRunner().invoke(app, ["--root", str(tmp_path), "results", wanted, *more])
        return shown.stdout.splitlines()  # that there is no book stands on stderr

    pages = [str(path.with_name("report.html")) for path in (one, two)]
    assert found("last") == [pages[0]]
    assert found("P-18") == found("B^C") == found(DAYS[1][:10]) == [pages[1]]
    assert len(found("P-18", "--all")) == 2
    nobody = CliRunner().invoke(app, ["--root", str(tmp_path), "results", "P-99"]).exception
    assert getattr(nobody, "code", None) == "PATIENT_NO_RESULT"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    for day, poi in zip(DAYS, POI, strict=True):
        keep(tmp_path / "results", result(day, poi))
    keep(tmp_path / "results", result(DAYS[0], 40.0, **{"study.patient_id": "P-18"}))
    return tmp_path


def history(box: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["--root", str(box), "history", *map(str, arguments)])


def test_the_box_gives_a_patients_own_results_and_nobody_elses(box: Path) -> None:
    found = earlier_results(box / "results", "P-17", None)
    assert sorted(one["study"]["acquired_at"] for one in found.documents) == DAYS
    assert earlier_results(box / "results", "P-17", "Elsewhere").documents == ()


@pytest.mark.parametrize("stated", [True, False])
def test_only_the_latest_revision_of_a_study_counts(tmp_path: Path, stated: bool) -> None:
    for revision in (1, 2, 10):
        number = revision if stated else None
        provenance = {"bundle": {"name": "b", "version": "1"}, "revision": number}
        keep(tmp_path, result(DAYS[0], 5.0 + revision, provenance=provenance), str(revision))
    (only,) = earlier_results(tmp_path, "P-17", None).documents
    assert only["biomarkers"]["poi_percent"] == 15.0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"schema": 1}', b"[" * 100_000, b"\xff\xfe"])
def test_a_damaged_result_is_named_and_the_others_count(box: Path, content: bytes) -> None:
    keep(box / "results", result("2020-05-01T10:00:00", 9.0)).write_bytes(content)
    found = earlier_results(box / "results", "P-17", None)
    assert len(found.documents) == 6
    assert len(found.unreadable) == 1


def test_links_are_not_followed(box: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results" / patient_folder("P-17", None) / "1.9" / "1"
    folder.mkdir(parents=True)
    (folder / "result.json").symlink_to("/etc/hostname")
    found = earlier_results(box / "results", "P-17", None)
    assert (len(found.documents), len(found.unreadable)) == (6, 1)


def test_any_folder_with_results_below_it_will_do(box: Path) -> None:
    assert len(results_below(box, "P-17", None).documents) == 6


def test_folders_that_the_box_names_are_read_as_they_are(box: Path) -> None:
    folders = [path.parent for path in sorted((box / "results").rglob("result.json"))]
    found = results_in(dict.fromkeys(folders))("P-17", None)
    assert sorted(one["study"]["acquired_at"] for one in found.documents) == DAYS
    assert len(results_in(dict.fromkeys([*folders, box / "gone"]))("P-17", None).unreadable) == 1


def test_where_no_results_are_nothing_is_looked_up_and_a_wrong_folder_is_an_error(tmp_path: Path) -> None:
    assert lookup(tmp_path) is None
    with pytest.raises(InputNotFound):
        lookup(tmp_path, tmp_path / "nowhere")


@pytest.fixture
def closed_to_us(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Closes a folder: also for root, who would be let in by any mode."""
    scandir, lstat = os.scandir, os.lstat
    closed: set[Path] = set()

    def refuse(path: Any) -> None:
        if Path(os.fspath(path)) in closed:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))

    monkeypatch.setattr(os, "scandir", lambda path: refuse(path) or scandir(path))
    monkeypatch.setattr(os, "lstat", lambda path: refuse(path) or lstat(path))
    return closed.add


@pytest.mark.parametrize("where", ["", "the patient's"])
def test_results_that_can_not_be_looked_into_are_named_and_never_passed_over(
    box: Path, where: str, closed_to_us: Callable[[Path], None]
) -> None:
    patient = box / "results" / patient_folder("P-17", None)
    closed_to_us(patient)
    if not where:
        closed_to_us(box / "results")
    look = lookup(box)
    assert look is not None
    found = look("P-17", None)
    assert (found.documents, found.unreadable) == ((), (f"{patient} (Permission denied)",))


def test_a_history_names_the_folders_that_it_could_not_look_into(
    box: Path, closed_to_us: Callable[[Path], None]
) -> None:
    closed = box / "results" / patient_folder("P-18", None)
    closed_to_us(closed)
    assert f"{closed} (Permission denied)" in json.loads(history(box, "P-17", "--json").output)["unreadable"]


def test_a_patients_folder_says_nothing_about_him(box: Path) -> None:
    names = [path.name for path in (box / "results").iterdir()]
    assert all(re.fullmatch(r"[0-9a-f]{16}", name) for name in names)
    assert len({patient_folder("a", "b"), patient_folder("ab", None), patient_folder("b", "a")}) == 3


TRENDS = [None, "rising", "rising", "stable", "falling", "falling"]


def test_a_later_revision_that_was_refused_does_not_hide_the_one_that_was_measured(tmp_path: Path) -> None:
    keep(tmp_path, result(DAYS[0], 5.0), "1")
    keep(tmp_path, result(DAYS[0], 40.0, verdict="refused"), "2")
    (counts,) = earlier_results(tmp_path, "P-17", None).documents
    assert counts["biomarkers"]["poi_percent"] == 5.0


def test_a_study_that_a_later_revision_gave_to_another_patient_is_no_longer_the_first_ones(tmp_path: Path) -> None:
    first = result(DAYS[0], 5.0)
    corrected = {**first, "study": {**first["study"], "patient_id": "CORRECTED"}}
    for revision, document in (("1", first), ("2", corrected)):
        folder = tmp_path / "patient" / "study" / revision
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(document))
    study = first["study"]
    assert results_below(tmp_path, study["patient_id"], study["issuer"]).documents == ()
    assert len(results_below(tmp_path, "CORRECTED", study["issuer"]).documents) == 1


def test_the_history_is_in_order_with_a_trend_at_each_step(box: Path) -> None:
    shown = history(box, "P-17", "--json")
    document = json.loads(shown.output)
    assert (shown.exit_code, document["schema"], document["patient_id"]) == (0, "scanside.history/1", "P-17")
    assert [row["acquired_at"] for row in document["scans"]] == DAYS
    assert [row["trend"] for row in document["scans"]] == TRENDS
    assert set(document["measurement_error"]) == {"poi_points", "ihu_hu", "source"}


def test_the_csv_has_a_row_a_scan_and_the_columns_of_the_json(box: Path) -> None:
    rows = list(csv.DictReader(history(box, "P-17", "--csv").output.splitlines()))
    document = json.loads(history(box, "P-17", "--json").output)
    assert list(rows[0]) == list(document["scans"][0])
    assert [float(row["poi_percent"]) for row in rows] == list(POI)
    assert [row["trend"] for row in rows] == [trend or "" for trend in TRENDS]


def test_no_text_of_the_csv_is_a_formula(tmp_path: Path) -> None:
    keep(tmp_path / "results", result(DAYS[0], 5.0, **{"study.study_uid": "=HYPERLINK(1)"}))
    (row,) = csv.DictReader(history(tmp_path, "P-17", "--csv").output.splitlines())
    assert row["study_uid"] == "'=HYPERLINK(1)"


def test_a_page_with_a_patients_course_is_for_its_owner_alone(box: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        history(box, "P-17", "--page", str(tmp_path / "course.html"))
    finally:
        assert os.umask(before) == 0o022
    assert (tmp_path / "course.html").stat().st_mode & 0o777 == 0o600


def test_the_table_names_scans_that_could_not_be_compared_and_why(box: Path) -> None:
    keep(box / "results", result("2020-04-28T10:00:00", 9.0, **{"series.slice_thickness_mm": 10.0}))
    keep(box / "results", result("2020-04-30T10:00:00", None))
    shown = history(box, "P-17").output
    assert "5 mm and 10 mm thick" in shown
    assert len(re.findall(r"^2020-04-\d\d 10:00 .*", shown, re.MULTILINE)) == 8


def test_the_page_holds_plot_and_table_and_needs_nothing_from_outside(box: Path, tmp_path: Path) -> None:
    assert history(box, "P-17", "--page", tmp_path / "h.html").exit_code == 0
    page = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert (page.count("<svg"), page.count('class="mark"')) == (2, 12)
    assert "▲ rising" in page
    assert "<title>Course of P-17 · Scanside</title>" in page
    assert not re.search(r"https?://|@import|<script|url\(|<img", page)


def test_the_page_is_headed_by_the_name_where_all_scans_state_the_same(tmp_path: Path) -> None:
    keep(tmp_path, result("2020-04-01T10:00:00", 5.0, **{"study.patient_name": "DOE^JANE"}))
    keep(tmp_path, result("2020-04-05T10:00:00", 6.0))
    history(tmp_path, "P-17", "--results", tmp_path, "--page", tmp_path / "h.html")
    page = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert "<title>Course of DOE JANE · P-17 · Scanside</title>" in page
    assert "<h1>Course of <bdi>DOE JANE</bdi> · <bdi>P-17</bdi></h1>" in page
    keep(tmp_path, result("2020-04-09T10:00:00", 6.0, **{"study.patient_name": "DOE^JANET"}))
    assert '"patient_name": null' in history(tmp_path, "P-17", "--results", tmp_path, "--json").output


def code(shown: Result) -> str:
    assert isinstance(shown.exception, ScansideError)
    return shown.exception.code


def test_a_patient_without_results_and_an_id_of_two_issuers_are_said_plainly(box: Path) -> None:
    assert code(history(box, "P-99")) == PatientNotOnRecord.code
    assert code(history(box / "nowhere", "P-17")) == PatientNotOnRecord.code
    keep(box / "results", result("2020-05-01T10:00:00", 9.0, **{"study.issuer": "Elsewhere"}))
    assert code(history(box, "P-17")) == PatientSeveralIssuers.code
    assert len(json.loads(history(box, "P-17", "--issuer", "Elsewhere", "--json").output)["scans"]) == 1


def test_two_people_under_one_id_are_never_compared(box: Path) -> None:
    keep(box / "results", result("2020-04-28T10:00:00", 30.0, **{"study.sex": "M"}))
    last = json.loads(history(box, "P-17", "--json").output)["scans"][-1]
    assert last["trend"] == "not_comparable"
    assert "sex F and M" in last["why"]


# The drawing


def rows(*steps: tuple[str, float | None, str | None]) -> list[dict[str, Any]]:
    return [
        {"acquired_at": at, "poi_percent": poi, "ihu_hu": None, "trend": trend, "density_trend": None}
        for at, poi, trend in steps
    ]


def test_only_scans_that_were_compared_are_joined_by_a_line() -> None:
    (panel,) = draw_trend(
        rows((DAYS[0], 5.0, None), (DAYS[1], 8.0, "rising"), (DAYS[2], None, None), (DAYS[3], 9.0, "not_comparable"))
    )
    assert len(panel.marks) == 3
    assert len(panel.lines) == 1
    assert [mark.alone for mark in panel.marks] == [False, False, True]


def test_higher_is_higher_later_is_further_right_and_all_stays_inside() -> None:
    (panel,) = draw_trend(rows((DAYS[0], 5.0, None), (DAYS[1], 90.0, "rising"), (DAYS[5], 0.0, "falling")))
    xs, ys = [mark.x for mark in panel.marks], [mark.y for mark in panel.marks]
    assert xs == sorted(xs)
    assert ys[1] < ys[0] < ys[2] <= panel.base
    assert min(xs) > panel.left
    assert max(xs) < panel.right
    assert xs[2] - xs[1] == pytest.approx(9 * (xs[1] - xs[0]), abs=1.0)


def test_crowded_scans_keep_the_labels_that_have_room() -> None:
    crowded = [(f"2020-04-01T{hour:02d}:00:00", 5.0, "stable") for hour in range(24)]
    (panel,) = draw_trend(rows(("2020-01-01", 5.0, None), *crowded))
    assert [bool(mark.label) for mark in panel.marks].count(True) == 2
    assert panel.marks[-1].label == "5.0"
    assert len(panel.dates) == 2


@pytest.mark.parametrize("values", [(5.0, 5.0), (0.0, 0.0), (0.001, 0.002), (99.0, 100.0)])
def test_a_flat_course_is_drawn_too(values: tuple[float, float]) -> None:
    (panel,) = draw_trend(rows((DAYS[0], values[0], None), (DAYS[1], values[1], "stable")))
    assert all(0 < mark.y <= panel.base for mark in panel.marks)
    assert 2 <= len(panel.values) <= 7


def test_one_scan_makes_no_plot() -> None:
    assert draw_trend(rows((DAYS[0], 5.0, None))) == ()


# Whose results are these?


def test_the_same_id_of_another_issuer_is_found_where_the_patients_folder_holds_nothing(box: Path) -> None:
    for found in (
        earlier_results(box / "results", "P-17", "ARCHIVE"),
        results_in({}, box / "results")("P-17", "ARCHIVE"),
        results_below(box / "results", "P-17", "ARCHIVE"),
    ):
        assert found.documents == ()
        assert sorted(one["study"]["acquired_at"] for one in found.other_issuers) == DAYS


def test_a_study_that_a_person_released_is_told_nothing_of_others(box: Path) -> None:
    assert results_in({})("P-17", "ARCHIVE").other_issuers == ()


def test_the_history_of_an_id_that_is_given_to_many_has_no_trend(tmp_path: Path) -> None:
    for day in DAYS[:2]:
        keep(tmp_path / "results", result(day, 5.0, **{"study.patient_id": "ANONYMOUS", "study.birth_date": None}))
    shown = history(tmp_path, "ANONYMOUS", "--json")
    last = json.loads(shown.stdout)["scans"][1]
    assert last["trend"] == "not_comparable"
    assert "given to many" in last["why"]


def test_which_ids_are_given_to_many_is_a_setting(box: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('[patient]\nplaceholder_ids = ["P-17"]\n')
    for one in (tmp_path / "results").rglob("result.json"):
        document = json.loads(one.read_text())
        one.write_text(json.dumps({**document, "study": {**document["study"], "birth_date": None}}))
    command = ["--root", str(box), "--settings", str(tmp_path / "s.toml"), "history", "P-17", "--json"]
    scans = json.loads(CliRunner().invoke(app, command).stdout)["scans"]
    assert {row["trend"] for row in scans[1:]} == {"not_comparable"}
