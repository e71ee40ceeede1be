"""A phantom patient over six scans, as the paper's Figure 5, through the whole line: DICOM in, trend on the page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kit.course_samples import repositioned, sick_spec, write_scan
from kit.made_once import made_once
from scanside_appliance.cli.main import app
from scanside_appliance.files.layout import patient_folder
from scanside_runtime.phantom.make import PhantomSpec, Truth
from scanside_runtime.settings.tables import ProgressionSettings

pytestmark = pytest.mark.usefixtures("warm_readers")

WORST = sick_spec(1.0, 120.0)
COURSE: dict[str, PhantomSpec] = {
    "20200401": sick_spec(0.55),
    "20200403": sick_spec(0.85),
    "20200406": WORST,
    "20200409": repositioned(WORST),  # the same state, scanned once more
    "20200414": sick_spec(0.75),
    "20200421": sick_spec(0.5),
    "20200424": sick_spec(0.9, slice_thickness_mm=7.5),
}


@dataclass(frozen=True)
class Course:
    """The box, what it made of each scan, and what is true of it."""

    root: Path
    documents: list[dict[str, Any]]
    pages: list[str]
    truths: list[Truth]


def result_folder(root: Path, number: int) -> Path:
    """Where the box keeps the result of a scan."""
    return root / "results" / patient_folder("PHANTOM", None) / f"1.2.826.0.1.{number}" / "1"


def analyse(root: Path, series: Path, number: int) -> str:
    """The document of one scan, analysed by the box; its result is put where the box keeps results."""
    folder = result_folder(root, number)
    shown = CliRunner().invoke(
        app, ["--root", str(root), "analyze", str(series), "--json", "--no-dicom", "--output", str(folder)]
    )
    assert shown.exit_code == 0, shown.output
    return shown.stdout


def make_course(root: Path) -> None:
    """All scans, analysed in the order of their days."""
    (root / "results").mkdir()
    for number, (day, spec) in enumerate(COURSE.items(), start=1):
        truth = write_scan(root / "series" / day, spec, day, number).truth
        (root / f"{number}.json").write_text(analyse(root, root / "series" / day, number), encoding="utf-8")
        (root / f"{number}.truth.json").write_text(json.dumps(asdict(truth)), encoding="utf-8")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    root = made_once(tmp_path_factory, "course", make_course)
    numbers = range(1, len(COURSE) + 1)
    return Course(
        root,
        [json.loads((root / f"{number}.json").read_text(encoding="utf-8")) for number in numbers],
        [(result_folder(root, number) / "report.html").read_text(encoding="utf-8") for number in numbers],
        [Truth(**json.loads((root / f"{number}.truth.json").read_text(encoding="utf-8"))) for number in numbers],
    )


def unwrapped(page: str) -> str:
    """Without the marks that keep a date, or a number and its unit, on one line."""
    return page.replace('<span class="unbroken">', "").replace("</span>", "")


def true_trend(before: float | None, after: float | None, error: float) -> str:
    change = (after or 0.0) - (before or 0.0)
    return "stable" if abs(change) <= error else "rising" if change > 0 else "falling"


def test_the_first_scan_has_no_progression(course: Course) -> None:
    assert course.documents[0]["progression"] is None
    assert "Since the scan before" not in course.pages[0]


def test_the_trend_is_right_at_each_step(course: Course) -> None:
    error = ProgressionSettings()
    found = [document["progression"] for document in course.documents[1:6]]
    steps = list(pairwise(course.truths[:6]))
    poi = [true_trend(a.poi_percent, b.poi_percent, error.poi_points) for a, b in steps]
    density = [true_trend(a.ihu_hu, b.ihu_hu, error.ihu_hu) for a, b in steps]
    assert poi == ["rising", "rising", "stable", "falling", "falling"]  # else the phantom is not what it should be
    assert {"rising", "stable", "falling"} <= set(density)
    assert [one["trend"] for one in found] == poi
    assert [one["density_trend"] for one in found] == density


def test_each_scan_is_held_against_the_one_before_it(course: Course) -> None:
    for before, after in pairwise(course.documents[:6]):
        found = after["progression"]
        assert found["previous_study_uid"] == before["study"]["study_uid"]
        change = after["biomarkers"]["poi_percent"] - before["biomarkers"]["poi_percent"]
        assert found["poi_change_points"] == pytest.approx(change)
    assert [one["progression"]["interval_days"] for one in course.documents[1:6]] == [2.0, 3.0, 3.0, 5.0, 7.0]


def test_a_rescan_of_the_same_state_is_stable_in_both(course: Course) -> None:
    found = course.documents[3]["progression"]
    assert (found["trend"], found["density_trend"]) == ("stable", "stable")
    assert course.documents[3]["provenance"]["input_sha256"] != course.documents[2]["provenance"]["input_sha256"]


def test_a_scan_of_another_thickness_is_not_compared_and_says_why(course: Course) -> None:
    found = course.documents[6]["progression"]
    assert (found["trend"], found["density_trend"], found["poi_change_points"]) == ("not_comparable",) * 2 + (None,)
    assert "10 mm and 7.5 mm thick" in found["why"]
    assert found["last_comparable"] is None
    assert "10 mm and 7.5 mm thick" in unwrapped(course.pages[6])


def test_half_more_within_48_hours_makes_the_patient_severe(course: Course) -> None:
    severity = [document["severity"] for document in course.documents]
    assert [(one["flag"], one["basis"]) for one in severity[:3]] == [
        ("none", "extent"),
        ("severe", "progress"),
        ("watch", "extent"),  # it grew on, but three days passed; CT-2 is nearer than the measurement error
    ]
    assert "the graver flag is given" in severity[2]["why"]
    assert "Progress of more than 50 % within 48 hours makes the patient severe" in course.pages[1]


def test_the_page_draws_the_course_up_to_its_scan(course: Course) -> None:
    marks = [page.count('class="mark"') + page.count('class="alone"') for page in course.pages[1:]]
    assert marks == [4, 6, 8, 10, 12, 14]
    assert course.pages[6].count('class="alone"') == 2
    assert course.pages[5].count('<line class="course"') == 10


def test_the_page_puts_slices_of_the_scan_before_beside_its_own(course: Course) -> None:
    beside = [page.count('alt="Earlier"') for page in course.pages]
    assert beside == [0, 4, 4, 4, 4, 4, 0], "none before the first; the last can't be compared"
    assert "At the same height: 2020-04-09 10:15 and this scan" in unwrapped(course.pages[4])


def test_the_severity_of_each_scan_stands_in_the_course(course: Course) -> None:
    stated = [document["severity"]["flag"] for document in course.documents]
    shown = CliRunner().invoke(app, ["--root", str(course.root), "history", "PHANTOM", "--json"])
    assert [row["severity_flag"] for row in json.loads(shown.stdout)["scans"]] == stated
    rows = course.documents[-1]["progression"]["scans"]
    assert [row["severity_flag"] for row in rows] == stated
    assert {row["ct_extent_grade"] for row in rows} == {"CT-1"}


def test_the_history_of_the_box_shows_all_seven(course: Course) -> None:
    shown = CliRunner().invoke(app, ["--root", str(course.root), "history", "PHANTOM", "--json"])
    trends = [row["trend"] for row in json.loads(shown.stdout)["scans"]]
    assert trends == [None, "rising", "rising", "stable", "falling", "falling", "not_comparable"]


def test_a_birth_date_that_contradicts_the_record_is_held(course: Course, tmp_path: Path) -> None:
    import pydicom

    for path in (course.root / "series" / "20200421").iterdir():
        ds = pydicom.dcmread(path)
        ds.PatientBirthDate = "19610101"
        ds.StudyInstanceUID = "1.2.826.0.1.9"
        ds.save_as(tmp_path / path.name)
    command = ["--root", str(course.root), "analyze", str(tmp_path), "--json"]
    shown = CliRunner().invoke(app, command)
    document = json.loads(shown.stdout)
    assert (shown.exit_code, document["verdict"], document["reason"]["code"]) == (6, "held", "PATIENT_CONFLICT")
    assert document["biomarkers"] is document["progression"] is None
    assert document["severity"]["flag"] == "not_assessed"
