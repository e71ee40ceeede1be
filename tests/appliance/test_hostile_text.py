"""Text that others wrote is shown and never obeyed: one list of it through all that people and programs read."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from pydicom import config
from typer.testing import CliRunner

from kit.analysis_samples import SPACING_MM, StubAnalysis, chest_document, chest_hu, chest_masks, written
from kit.case_kit import put
from kit.course_samples import course_block, result
from kit.hostile_text import ALL, FILE_NAME, HOSTILE, LONG, MARK, SHORT, SURROGATE, acting, begun_lines, obeyed, spoiled
from kit.listed_box import Listed, listed_box
from kit.reading import choose_series, find_series, read_volume
from scanside_appliance.cli import main as cli
from scanside_appliance.clock import Clock
from scanside_appliance.cohort.rows import COLUMNS, failed_row, row_of
from scanside_appliance.cohort.studies import CohortStudy
from scanside_appliance.cohort.table import csv_bytes, parquet_bytes
from scanside_appliance.files.layout import BoxLayout, patient_folder, patient_key, study_key
from scanside_appliance.languages.words import words
from scanside_appliance.network.errors import BoxSendRefused
from scanside_appliance.network.sending import lines
from scanside_appliance.page.contents import contents_lines
from scanside_appliance.page.report import render_page
from scanside_appliance.referral.pseudonym import Pseudonyms
from scanside_appliance.results.history_page import render_history
from scanside_appliance.results.output import document_json, write_output
from scanside_appliance.results.patient_history import History, csv_text, terminal_lines
from scanside_appliance.results.summary import summary
from scanside_appliance.worklist.write import write_worklist
from scanside_runtime.dicom.errors import InputUnreadable
from scanside_runtime.followup.measurement_error import MeasurementError
from scanside_runtime.followup.progression import course
from scanside_runtime.followup.scan import Scan
from scanside_runtime.settings.tables import SiteSettings

pytestmark = pytest.mark.usefixtures("warm_readers")

LANGUAGES = ("en", "fr")
ERROR = MeasurementError(2.0, 30.0, "by construction")
DAYS = ("2020-04-01T10:00:00", "2020-04-03T10:00:00")
SITE = SiteSettings(f"<b>{MARK}</b>", signature=f"<i>{MARK}</i>")
IN_HEADERS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "StudyDescription", "SeriesDescription", "InstitutionName",
    "ProtocolName", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "ContrastBolusAgent", "StationName",
    "AccessionNumber", "StudyID", "ReferringPhysicianName", "OperatorsName", "PatientComments", "InstitutionAddress",
)  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[StubAnalysis, Path]:
    """A study whose headers are hostile, read as any study; its result lies in `result` in the folder."""
    folder = tmp_path_factory.mktemp("study")
    written(chest_hu(), SPACING_MM, folder / "source", origin_mm=(-100.0, -80.0, -63.25))
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)
        put(sorted((folder / "source").iterdir()), **dict.fromkeys(IN_HEADERS, SHORT))
    series = choose_series(find_series(folder / "source"))
    volume = read_volume(series)
    masks = chest_masks(volume)
    document = chest_document(series, volume, masks)
    stated = series.study
    document["study"] |= {name: getattr(stated, name) for name in ("patient_id", "patient_name", "issuer", "sex")}
    label = f'SeriesDescription says "{series.description}"; whether this is a chest is decided by the picture.'
    document["flags"].append({"code": "SERIES_LABELLED_OTHERWISE", "level": "caution", "message": label})
    analysis = StubAnalysis("analysed", 0, series, volume, masks, document)
    write_output(analysis, folder / "result")
    return analysis, folder


def scanside(root: Path, *arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["--root", str(root), *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def document(study: tuple[StubAnalysis, Path]) -> dict[str, Any]:
    """What is on record of it, with a course, and with a table to choose from."""
    series = {"number": 1, "uid": "1.2", "description": "x", "slices": 3, "slice_thickness_mm": 5.0, "kernel": "x"}
    listed = {"number": 1, "study_uid": "1.2.3", "patient_name": "x", "patient_id": "x", "study_date": "x",
              "description": "x", "series": [series, series]}  # fmt: skip
    return {**study[0].document(), "progression": course_block(2), "contents": [listed]}


def refusal(document: dict[str, Any], code: str) -> dict[str, Any]:
    return {**document, "verdict": "refused", "reason": {"code": code, "message": "x", "advice": "x"}}


def history_of(text: str) -> History:
    """What `scanside history` makes of stored documents that others have changed."""
    changes = {"series.kernel": text, "series.manufacturer": text, "study.patient_name": text}
    scans = [Scan.from_document(result(day, 5.0, **(changes if number else {}))) for number, day in enumerate(DAYS)]
    return History(text, text, text, course(scans, ERROR), (text,), (text,), ERROR)


PAGES: dict[str, Callable[[dict[str, Any], str], str]] = {
    "report": lambda document, text: render_page(spoiled(document, text), site=SITE),
    "refusal": lambda document, text: render_page(spoiled(refusal(document, "QUALITY_NOISE"), text)),
    "studies to choose from": lambda document, text: render_page(
        spoiled(refusal(document, "SERIES_SEVERAL_STUDIES"), text)
    ),
    "course": lambda document, text: render_history(history_of(text)),
}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_it_as_the_text_that_it_is(document: dict[str, Any], page: str, kind: str) -> None:
    shown = PAGES[page](document, ALL[kind])
    assert MARK in shown
    assert not obeyed(shown) and not acting(shown)
    assert "x" * 700 not in shown
    assert "{{ 7*7 }}" in shown or kind == "10 kB"


def unsent(text: str) -> dict[str, Any]:
    """As `scanside send` has it on record; the archive chose the words."""
    return {"study": text, "state": "refused", "target": text, "code": BoxSendRefused.code, "why": text, "objects": {}}


TERMINALS: dict[str, Callable[[dict[str, Any], str, str], str]] = {
    "analyze": lambda document, text, language: summary(spoiled(document, text), words(language)),
    "analyze, refused": lambda document, text, language: summary(
        spoiled(refusal(document, "INPUT_UNREADABLE"), text), words(language)
    ),
    "analyze, which study": lambda document, text, language: summary(
        spoiled(refusal(document, "SERIES_SEVERAL_STUDIES"), text), words(language)
    ),
    "analyze --list": lambda document, text, language: "\n".join(
        contents_lines(spoiled(document, text)["contents"], words(language))
    ),
    "history": lambda document, text, language: "\n".join(terminal_lines(history_of(text), words(language))),
    "send": lambda document, text, language: "\n".join(lines([unsent(text)], words(language))),
    "an error": lambda document, text, language: words(language).with_advice(
        InputUnreadable(name=Path(text), why=OSError(2, text, text))
    ),
}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("command", TERMINALS)
def test_a_terminal_obeys_none_of_it(document: dict[str, Any], command: str, language: str, kind: str) -> None:
    shown = TERMINALS[command](document, ALL[kind], language)
    assert MARK in shown
    assert not obeyed(shown) and not begun_lines(shown)


@pytest.mark.parametrize("kind", ALL)
def test_worklist_results_and_history_of_a_box_do_no_harm(tmp_path: Path, kind: str) -> None:
    text = ALL[kind]
    with listed_box(tmp_path / "box") as box:
        box.put(Listed(1, text, patient_id=text, grade=text), Listed(2, "Fine^Well"))
        write_worklist(box.layout, box.store, SITE, Clock())
        for path in (box.layout.worklist, *box.layout.worklist_pages.glob("*.html")):
            page = path.read_text("utf-8")
            assert MARK in page and not obeyed(page) and not acting(page)
            assert "x" * 700 not in page
    for command in (
        ["worklist"],
        ["worklist", "--json"],
        ["results", "last", "--json"],
        ["queue", "--all"],
        ["status"],
    ):
        done = scanside(tmp_path / "box", *command)
        assert not obeyed(done.output) and not begun_lines(done.output), command
    name = Pseudonyms.of_box(BoxLayout(tmp_path / "box")).patient(text, None, "1.2.1")
    whose = scanside(tmp_path / "box", "pack", "--who", name).output
    assert MARK in whose and not obeyed(whose) and not begun_lines(whose)


@pytest.mark.parametrize("kind", ALL)
def test_tables_hold_no_formula_no_command_and_every_row_is_one(document: dict[str, Any], kind: str) -> None:
    text = ALL[kind]
    one = CohortStudy(text, Path(text), (), "0" * 64)
    rows = [row_of(one, spoiled({**document, "verdict": text, "reason": {"message": text, "code": "X"}}, text), 1.0),
            failed_row(one, InputUnreadable(name=text, why=text))]  # fmt: skip
    for table in (csv_bytes(rows).decode(), csv_text(history_of(text))):
        head, *found = csv.reader(io.StringIO(table, newline=""))
        assert len(found) == 2 and all(len(row) == len(head) for row in found)
        assert not [cell for row in found for cell in row if re.match(r"[=+@\t\r\n]|-(?!\d)", cell)]
        assert not obeyed(table) and not begun_lines(table)
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra cohort is not installed")
    kept = pq.read_table(io.BytesIO(parquet_bytes(rows))).to_pylist()
    assert len(kept) == 2 and list(kept[0]) == list(COLUMNS)
    assert not any(obeyed(cell) for row in kept for cell in row.values() if isinstance(cell, str))


def texts_of(ds: pydicom.Dataset) -> Iterator[tuple[str, str]]:
    for element in ds.iterall():
        if element.VR not in ("OB", "OW", "SQ", "UN", "UI"):
            yield element.keyword, str(element.value)


@pytest.mark.parametrize("name", ["sr.dcm", "seg.dcm", "sc_01.dcm"])
def test_objects_for_the_archive_hold_text_and_nothing_else(study: tuple[StubAnalysis, Path], name: str) -> None:
    found = list(texts_of(pydicom.dcmread(study[1] / "result" / name)))
    assert MARK in dict(found)["PatientName"], "the archive files it under the name"
    assert not [(keyword, text) for keyword, text in found if obeyed(text, kept="")]


def test_a_pack_for_a_colleague_has_none_of_it(study: tuple[StubAnalysis, Path], tmp_path: Path) -> None:
    where = ("--source", study[1] / "source", "--output", tmp_path)
    (packed,) = json.loads(scanside(tmp_path, "pack", study[1] / "result", *where, "--json").output)
    with zipfile.ZipFile(packed["path"]) as pack:
        assert not [name for name in pack.namelist() if MARK.encode() in pack.read(name) or MARK in name]


def test_files_that_are_named_so_are_compared_and_named_harmlessly(tmp_path: Path) -> None:
    for side in "ab":
        (tmp_path / side).mkdir()
        picture = cv2.imencode(".png", np.full((4, 4), 255, np.uint8))[1].tobytes()
        for name in (FILE_NAME, f"{side}{FILE_NAME}"):
            Path(os.fsdecode(os.fsencode(tmp_path / side) + b"/" + name.encode() + b"\xff.png")).write_bytes(picture)
    pytest.importorskip("nibabel", reason="the extra cohort is not installed")
    done = scanside(tmp_path, "cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b")
    assert done.exit_code == 0 and MARK in done.output
    assert not obeyed(done.output) and not begun_lines(done.output)


def test_the_document_and_its_folder_are_plain(study: tuple[StubAnalysis, Path]) -> None:
    folder = study[1] / "result"
    assert not [path.name for path in folder.rglob("*") if not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9]+)?", path.name)]
    for text in ((folder / "result.json").read_text(), document_json(spoiled(study[0].document(), HOSTILE))):
        assert MARK in text and not obeyed(text) and json.loads(text)
    keys = (patient_folder(HOSTILE, LONG), patient_key(SURROGATE, None, ""), study_key(SURROGATE))
    assert all(re.fullmatch("[0-9a-f]{16}", key) for key in keys)


FROM_THE_RIGHT = {"Arabic": "محمد^علي 12", "Hebrew": "כהן^דוד 7-א", "Persian": "رضایی^علی‌رضا ۴۵"}


@pytest.mark.parametrize("script", FROM_THE_RIGHT)
@pytest.mark.parametrize("page", PAGES)
def test_what_is_written_from_the_right_turns_nothing_beside_it(
    document: dict[str, Any], page: str, script: str
) -> None:
    shown = PAGES[page](document, f"{FROM_THE_RIGHT[script]} (5 mm)")
    assert FROM_THE_RIGHT[script].partition("^")[0] in shown
    assert not beside_others(shown)


def beside_others(page: str) -> list[str]:
    """Words that are written from the right and stand in no element of their own, with what is around them."""
    found = 1
    while found:
        page, found = re.subn(r"<bdi[^>]*>(?:(?!<bdi).)*?</bdi>|<title>.*?</title>", "", page, flags=re.DOTALL)
    marks = [n for n, letter in enumerate(page) if unicodedata.bidirectional(letter) in ("R", "AL")]
    return [page[n - 60 : n + 20] for n in marks if n - 1 not in marks]


def test_the_worklist_sets_such_names_apart_too(tmp_path: Path) -> None:
    with listed_box(tmp_path / "box") as box:
        box.put(*(Listed(n, name, patient_id=name) for n, name in enumerate(FROM_THE_RIGHT.values())))
        write_worklist(box.layout, box.store, SiteSettings(FROM_THE_RIGHT["Arabic"]), Clock())
        page = box.layout.worklist.read_text("utf-8")
    assert all(name.partition("^")[0] in page for name in FROM_THE_RIGHT.values())
    assert not beside_others(page)
