"""The watched folder with nothing replaced: real headers, real (tiny) networks, the program as the shell starts it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from typer.testing import CliRunner

from kit.case_kit import put
from kit.made_once import made_once
from kit.selftest_samples import write_bundle_with_sample
from kit.small_demo import small_demo_spec
from scanside_appliance.cli.main import app
from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import patient_key, study_key
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.options import Options
from scanside_runtime.phantom.dicom_writer import SeriesTags, write_series
from scanside_runtime.phantom.make import make_phantom
from scanside_runtime.settings.load import load_settings, settings_digest
from sweeps.box import REPOSITORY, lost, unsound_results

STUDY = "1.2.826.0.1.3680043.10.77"
SHARED, REFORMATTED = "1.2.826.0.1.3680043.10.78", "1.2.826.0.1.3680043.10.79"
EARLIER = "1.2.826.0.1.3680043.10.76"
SETTINGS = """
[inbox]
quiet_s = 0.2
scan_s = 0.2
[inference]
threads = 1
[disk]
stop_percent = 100.0
"""
CANARY = SeriesTags(patient_id="CANARY7", patient_name="CANARY^BIRD", study_uid=STUDY, study_date="20991231")


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom as a scanner would send it, its last slice aside."""
    return made_once(tmp_path_factory, "sent", make_sent)


def make_sent(folder: Path) -> None:
    phantom = make_phantom(small_demo_spec(stomach_gas=False))
    write_series(
        phantom.hu, phantom.spacing_mm, folder, origin_mm=phantom.origin_mm, slice_thickness_mm=10.0, tags=CANARY
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "bundle_with_sample", write_bundle_with_sample)


@pytest.fixture(scope="module")
def expected(sent: Path, bundle: Path) -> dict[str, Any]:
    """What `analyze` says of it."""
    return analyze(sent, Options(bundle=bundle)).document()


def watched_once(
    root: Path, settings: Path, bundle: Path, *before: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`watch --once` as the shell starts it; `before`: folders whose modules every process imports first."""
    program = "from scanside_appliance.cli.main import main; main()"
    arguments = ["--root", str(root), "--settings", str(settings), "watch", "--once", "--bundle", str(bundle)]
    paths = os.pathsep.join(map(str, (*before, *(REPOSITORY / name for name in ("runtime", "appliance")))))
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def watched(
    root: Path, settings: Path, bundle: Path, sent: Path, *before: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`watch --once` of a box that was sent a study; `before`: folders whose modules every process imports first."""
    # How full this machine's disk is must not decide.
    settings.write_text(SETTINGS)
    (root / "inbox").mkdir(parents=True)
    for file in sent.rglob("*.dcm"):
        os.link(file, root / "inbox" / f"CANARY_{file.name}")
    return watched_once(root, settings, bundle, *before, **environment)


@dataclass(frozen=True)
class Watched:
    """A box that measured a study: its folder, its settings, what it said, and each sum that a process of it took."""

    root: Path
    settings: Path
    said: str
    sums: list[list[str]]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, bundle: Path, sent: Path) -> Watched:
    """Nobody may change it."""

    def make(folder: Path) -> None:
        (folder / "noted").mkdir()
        (folder / "noted" / "sitecustomize.py").write_text(NOTES_EVERY_SUM)
        where = (folder / "box", folder / "box.toml", bundle, sent, folder / "noted")
        done = watched(*where, SUMS=str(folder / "sums.txt"))
        assert done.returncode == 0, done.stderr
        (folder / "said.txt").write_text(done.stderr + done.stdout)

    folder = made_once(tmp_path_factory, "watched", make)
    sums = [line.split(" ") for line in (folder / "sums.txt").read_text().splitlines()]
    return Watched(folder / "box", folder / "box.toml", (folder / "said.txt").read_text(), sums)


def test_a_study_ends_as_analyze_would_end_it_and_its_patient_stays_private(
    box: Watched, expected: dict[str, Any]
) -> None:
    folder = box.root / "results" / patient_key("CANARY7", None, STUDY) / study_key(STUDY) / "1"
    document = json.loads((folder / "result.json").read_text())
    assert sorted(document["artefacts"]) == sorted(path.name for path in folder.iterdir())
    assert document["biomarkers"] == expected["biomarkers"]
    assert (document["provenance"]["revision"], document["provenance"]["supersedes"]) == (1, None)
    assert document["provenance"]["input_sha256"] == expected["provenance"]["input_sha256"]
    codes = [flag["code"] for flag in document["flags"]]
    assert "INPUT_DATE_FUTURE" in codes and "INPUT_OTHER_STUDY" not in codes
    assert pydicom.dcmread(folder / "seg.dcm").StudyInstanceUID == STUDY
    assert document["provenance"]["settings_sha256"] == settings_digest(load_settings(box.settings))
    assert (lost(box.root, []), unsound_results(box.root)) == ([], [])
    assert "CANARY" not in box.said + (box.root / "status.json").read_text()
    assert not [path for path in box.root.rglob("*") if "CANARY" in path.name]


@dataclass(frozen=True)
class GoneOn:
    """A box that lost its book and a result and was handed two studies more, about which a person decided.

    facts: what its commands said meanwhile, and how many files were held.
    """

    root: Path
    facts: dict[str, Any]


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory: pytest.TempPathFactory, box: Watched, sent: Path, bundle: Path) -> GoneOn:
    """One more study has one UID for all its slices and is released; of the other, a reformat, the series is chosen."""

    def make(folder: Path) -> None:
        root = folder / "box"
        shutil.copytree(box.root, root, symlinks=True)
        (root / "scanside.db").unlink()
        call = ["--root", str(root), "--settings", str(box.settings)]
        lost_book = getattr(CliRunner().invoke(app, [*call, "queue"]).exception, "code", None)
        rebuilt = json.loads(CliRunner().invoke(app, [*call, "rebuild", "--json"]).output)
        codes = [CliRunner().invoke(app, [*call, "verify"]).exit_code]
        (first,) = root.glob("results/[!.]*/*/1/result.json")
        shutil.rmtree(first.parents[2])
        codes.append(CliRunner().invoke(app, [*call, "redo", "CANARY7"]).exit_code)
        for study, patient in ((SHARED, "CANARY8"), (REFORMATTED, "CANARY9")):
            shutil.copytree(sent, root / "inbox" / study)
            put([*(root / "inbox" / study).rglob("*.dcm")], StudyInstanceUID=study, PatientID=patient)
        put([*(root / "inbox" / SHARED).rglob("*.dcm")], SOPInstanceUID="1.2.3")
        of_a_reformat = {"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"], "SeriesInstanceUID": "1.2.4"}
        put([*(root / "inbox" / REFORMATTED).rglob("*.dcm")], **of_a_reformat)
        codes.append(watched_once(root, box.settings, bundle).returncode)
        held = len(list(root.glob("quarantine/INPUT_DUPLICATE_UID/*/*.dcm")))
        for words in ([study_key(SHARED)], [study_key(REFORMATTED), "--series", "1"]):
            codes.append(CliRunner().invoke(app, [*call, "release", *words]).exit_code)
        codes.append(watched_once(root, box.settings, bundle).returncode)
        facts = {"lost_book": lost_book, "rebuilt": rebuilt, "codes": codes, "held": held}
        (folder / "facts.json").write_text(json.dumps(facts))

    folder = made_once(tmp_path_factory, "gone_on", make)
    return GoneOn(folder / "box", json.loads((folder / "facts.json").read_text()))


def test_a_box_that_lost_its_book_and_a_result_is_made_anew_and_measures_again(
    box: Watched, gone_on: GoneOn, sent: Path
) -> None:
    assert gone_on.facts["lost_book"] == "BOX_DATABASE_LOST"
    found = gone_on.facts["rebuilt"]
    assert (found["results"], found["archived_files"], found["unusable"]) == (1, len([*sent.rglob("*.dcm")]), [])
    assert gone_on.facts["codes"] == [0] * 6
    (measured,), (again,) = results_of(box.root, STUDY), results_of(gone_on.root, STUDY)
    assert (again["provenance"]["revision"], again["biomarkers"]) == (2, measured["biomarkers"])
    assert lost(gone_on.root, []) == []


def results_of(root: Path, study_uid: str) -> list[dict[str, Any]]:
    """A study's documents, oldest first."""
    found = sorted(root.glob(f"results/[!.]*/{study_key(study_uid)}/*/result.json"))
    return [json.loads(path.read_text()) for path in found]


def test_a_study_under_one_uid_is_held_and_measured_by_its_positions_when_released(
    gone_on: GoneOn, sent: Path, expected: dict[str, Any]
) -> None:
    assert gone_on.facts["held"] == len(list(sent.rglob("*.dcm")))
    (document,) = results_of(gone_on.root, SHARED)
    assert document["biomarkers"] == expected["biomarkers"]
    assert "INPUT_SHARED_UID" in [flag["code"] for flag in document["flags"]]
    assert "seg.dcm" not in document["artefacts"]


def test_a_reformat_that_was_refused_is_measured_when_a_person_chooses_its_series(
    gone_on: GoneOn, expected: dict[str, Any]
) -> None:
    refusal, measured = results_of(gone_on.root, REFORMATTED)
    assert (refusal["verdict"], refusal["reason"]["code"]) == ("refused", "SERIES_REFORMATTED")
    assert (measured["verdict"], measured["series"]["chosen_because"]) == ("analysed", "It was chosen by a person.")
    assert measured["biomarkers"] == expected["biomarkers"]


def test_an_earlier_scan_that_comes_later_stands_in_the_course_of_a_new_revision_and_no_number_changes(
    box: Watched, sent: Path, bundle: Path, tmp_path: Path
) -> None:
    root = tmp_path / "box"
    shutil.copytree(box.root, root, symlinks=True)
    shutil.copytree(sent, root / "inbox" / EARLIER)
    of_before = {"StudyInstanceUID": EARLIER, "StudyDate": "20200101", "AcquisitionDate": "20200101"}
    put([*(root / "inbox" / EARLIER).rglob("*.dcm")], **of_before, AcquisitionDateTime="20200101080000")
    done = watched_once(root, box.settings, bundle)
    assert done.returncode == 0, done.stderr
    before, after = results_of(root, STUDY)
    assert (before["progression"], after["progression"]["previous_study_uid"]) == (None, EARLIER)
    assert after["provenance"]["supersedes"] == "1"
    assert after["biomarkers"] == before["biomarkers"]
    (earlier,) = results_of(root, EARLIER)
    assert earlier["progression"] is None
    one, two = sorted(root.glob(f"results/[!.]*/{study_key(STUDY)}/[12]"))
    segmentations = [pydicom.dcmread(folder / "seg.dcm").SOPInstanceUID for folder in (one, two)]
    assert segmentations[0] == segmentations[1]
    said = ["Measured again because an earlier scan" in (folder / "report.html").read_text() for folder in (one, two)]
    assert said == [False, True]
    assert [one["provenance"]["for_earlier_scan"] for one in (before, after)] == said
    assert (lost(root, []), unsound_results(root)) == ([], [])


def test_a_scan_that_is_held_and_released_in_new_revisions_stays_in_no_later_course(
    box: Watched, sent: Path, bundle: Path, tmp_path: Path
) -> None:
    """The earlier study states no birth date; a second series of it, sent later, states another than the later scan."""
    root = tmp_path / "box"
    shutil.copytree(box.root, root, symlinks=True)
    of_before = {"StudyInstanceUID": EARLIER, "StudyDate": "20200101", "AcquisitionDate": "20200101"}
    of_before["AcquisitionDateTime"] = "20200101080000"

    def compared_with(*series_uid: str, **changes: str) -> list[str | None]:
        """By revision of the later scan, after one more series of the earlier study has come."""
        for uid in series_uid:
            shutil.copytree(sent, root / "inbox" / uid)
            for number, file in enumerate((root / "inbox" / uid).rglob("*.dcm")):
                put([file], SeriesInstanceUID=uid, SOPInstanceUID=f"{uid}.{number}", **of_before, **changes)
        done = watched_once(root, box.settings, bundle)
        assert done.returncode == 0, done.stderr
        return [(one["progression"] or {}).get("previous_study_uid") for one in results_of(root, STUDY)]

    assert compared_with("1.2.6", PatientBirthDate="") == [None, EARLIER]
    assert compared_with("1.2.5", PatientBirthDate="19700101") == [None, EARLIER, None]
    CliRunner().invoke(app, ["--root", str(root), "--settings", str(box.settings), "release", study_key(EARLIER)])
    assert compared_with() == [None, EARLIER, None]
    assert [one["verdict"] for one in results_of(root, EARLIER)] == ["analysed", "held", "analysed"]
    assert (lost(root, []), unsound_results(root)) == ([], [])


def test_a_clock_that_shows_no_possible_time_is_called_unknown() -> None:
    assert Clock(wall=lambda: 1e18).now_text() == "unknown"


# Before any other module of each process (site): every sum that is taken is noted, with the process that took it.
NOTES_EVERY_SUM = """
import hashlib, os, sys

take, take_of_file = hashlib.sha256, hashlib.file_digest
sums = open(os.environ['SUMS'], 'a', buffering=1)  # a process that is locked in opens no file any more

def note(sum):
    children = ('reader_process', 'probe_process', 'worker')
    who = next((one for one in children if any(word.endswith(one) for word in sys.orig_argv)), 'daemon')
    sums.write(f'{who} {sum}\\n')

class Noted:
    def __init__(self, data=b'', **more):
        self.sum = take(data, **more)
    def update(self, data):
        self.sum.update(data)
    def hexdigest(self):
        note(self.sum.hexdigest())
        return self.sum.hexdigest()
    def __getattr__(self, name):
        return getattr(self.sum, name)

def of_file(*arguments):
    found = take_of_file(*arguments)
    note(found.hexdigest())
    return found

hashlib.sha256, hashlib.file_digest = Noted, of_file
"""


def test_a_watched_file_is_summed_once_by_each_reader_and_once_where_it_is_copied(box: Watched, sent: Path) -> None:
    for file in sent.rglob("*.dcm"):
        whole, picture = file.read_bytes(), pydicom.dcmread(file).PixelData
        of_this = {hashlib.sha256(data).hexdigest() for data in (whole, picture)}
        by = [who for who, one in box.sums if one in of_this]
        assert by == ["probe_process", "daemon", "reader_process"], file.name
