"""Several studies at one path, and several series of one study, are a table to choose from by number."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.dicom_samples import make_series, write
from scanside_appliance.page.report import render_page

pytestmark = pytest.mark.usefixtures("warm_readers")

Run = Callable[..., tuple[int, str, str]]
PATIENTS = ("Zander^Otto", "Ahrens^Ida", "Meyer^Jan")
ROOT = "1.2.826.0.1.3680043.10.99"


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty studies of three patients, folders and UIDs in an order of their own; the last has two series."""
    folder = tmp_path_factory.mktemp("twenty") / "disc"
    for n in range(20):
        about = {
            "StudyInstanceUID": f"{ROOT}.{(7 * n) % 20 + 1}",
            "SeriesInstanceUID": f"{ROOT}.{n}.1",
            "PatientName": PATIENTS[n % 3],
            "StudyDate": f"2020{n % 12 + 1:02d}01",
            "StudyDescription": f"CT number {n}",
        }
        write(folder / f"{(3 * n) % 20}", make_series(**about)[:2])
    more = about | {"SeriesInstanceUID": f"{ROOT}.19.2", "SeriesDescription": "lung\x1b[2J"}
    write(folder / "more", make_series(**more)[:3])
    return folder


def rows(text: str) -> list[list[str]]:
    """The lines of a table that begin with a number, by column."""
    lines = [line for line in text.splitlines() if line.lstrip()[:1].isdigit()]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


def numbered(page: str) -> int:
    """How many rows of the page begin with a number to choose by."""
    return len(re.findall(r"<tr><th>\d+</th>", page))


def test_twenty_studies_are_a_table_by_name_and_date_without_uids(disc: Path, run: Run) -> None:
    code, out, _ = run("analyze", disc)
    assert code == 3
    assert ROOT not in out
    table = rows(out)
    assert [row[0] for row in table] == [str(n) for n in range(1, 21)]
    assert [row[1:3] for row in table] == sorted(row[1:3] for row in table)
    last = next(row for row in table if row[3] == "CT number 19")
    assert last[1:] == ["Ahrens Ida", "2020-08-01", "CT number 19", "2", "5"]


def test_a_number_of_the_table_chooses_the_study_whatever_the_folders_are_called(
    disc: Path, run: Run, tmp_path: Path
) -> None:
    disc = shutil.copytree(disc, tmp_path / "disc")
    _, out, _ = run("analyze", disc, "--list", "--json")
    listed = json.loads(out)
    for name in ("3", listed[2]["study_uid"]):
        _, out, _ = run("analyze", disc, "--study", name, "--json")
        assert json.loads(out)["study"]["study_uid"] == listed[2]["study_uid"]
    for folder in list(disc.iterdir()):
        shutil.move(folder, disc / f"x{folder.name}")
    _, out, _ = run("analyze", disc, "--list", "--json")
    assert json.loads(out) == listed


@pytest.mark.parametrize("name", ["0", "21", "-1", "03", "2.0", "٣", ""])
def test_a_number_that_the_table_does_not_have_is_no_study(disc: Path, run: Run, name: str) -> None:
    code, out, _ = run("analyze", disc, f"--study={name}", "--json")
    assert (code, json.loads(out)["reason"]["code"]) == (3, "SERIES_STUDY_NOT_FOUND")


def test_the_document_lists_studies_and_series_for_programs(disc: Path, run: Run) -> None:
    _, out, _ = run("analyze", disc, "--json")
    document = json.loads(out)
    assert document["schema"] == "scanside.result/1"
    assert document["reason"]["code"] == "SERIES_SEVERAL_STUDIES"
    assert len(document["contents"]) == 20
    last = next(one for one in document["contents"] if one["description"] == "CT number 19")
    assert [(one["number"], one["uid"], one["slices"]) for one in last["series"]] == [
        (1, f"{ROOT}.19.1", 2), (2, f"{ROOT}.19.2", 3),
    ]  # fmt: skip


def test_the_series_of_one_study_are_listed_without_what_a_terminal_would_obey(disc: Path, run: Run) -> None:
    _, out, _ = run("analyze", disc, "--study", "5", "--list")
    assert len(rows(out)) == 1
    number = next(row[0] for row in rows(run("analyze", disc)[1]) if row[3] == "CT number 19")
    _, out, _ = run("analyze", disc, "--study", number, "--list")
    assert [[row[0], row[2]] for row in rows(out)] == [["1", "2"], ["2", "3"]]
    assert "lung" in out
    assert "\x1b" not in out


def test_a_series_is_chosen_by_its_number(disc: Path, run: Run) -> None:
    number = next(row[0] for row in rows(run("analyze", disc)[1]) if row[3] == "CT number 19")
    said = [
        json.loads(run("analyze", disc, "--study", number, "--series", name, "--json")[1])["reason"]
        for name in ("1", "2", "3")
    ]
    assert [one["code"] for one in said] == ["SERIES_TOO_FEW_SLICES", "SERIES_TOO_FEW_SLICES", "SERIES_NOT_FOUND"]
    assert [one["message"].split(" slice")[0] for one in said[:2]] == ["The series has 2", "The series has 3"]


def test_a_refusal_of_one_study_by_its_series_shows_the_series(disc: Path, run: Run) -> None:
    number = next(row[0] for row in rows(run("analyze", disc)[1]) if row[3] == "CT number 19")
    _, out, _ = run("analyze", disc, "--study", number)
    assert [row[0] for row in rows(out)] == ["1", "2"]
    _, out, _ = run("analyze", disc, "--study", number, "--json")
    assert numbered(render_page(json.loads(out))) == 2


def test_the_page_of_several_studies_has_the_table(disc: Path, run: Run) -> None:
    page = render_page(json.loads(run("analyze", disc, "--json")[1]))
    assert numbered(page) == 20
    assert "Zander Otto" in page
