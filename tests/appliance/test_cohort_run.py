"""Many studies into one table: each once, whatever dies on the way."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit.bundle_samples import write_bundle
from kit.cohort_samples import (
    OPTIONS,
    cheap_row,
    deadly_row,
    faulty_row,
    foreign_row,
    last_row,
    make_studies,
    processes_at_work,
    slow_row,
)
from kit.dicom_samples import make_slice, write
from kit.small_demo import small_demo_spec
from kit.watch_box import wait_for
from scanside_appliance.cohort.errors import BoxCluster
from scanside_appliance.cohort.pool import process_pool
from scanside_appliance.cohort.processes import Processes
from scanside_appliance.cohort.rows import COLUMNS
from scanside_appliance.cohort.run import run_cohort
from scanside_appliance.cohort.table import csv_bytes, parquet_bytes
from scanside_appliance.extras import BoxExtraMissing
from scanside_runtime.errors import BoxOutput, shown
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.phantom.make import make_phantom
from scanside_runtime.settings.tables import InferenceSettings

REPOSITORY = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]


class Here:
    """Does the work in this process, `limit` studies of it, then breaks off."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit, self.done = limit, []

    def answers(self, measure, studies, options) -> Iterator:
        for study in studies:
            if len(self.done) == self.limit:
                raise KeyboardInterrupt
            self.done.append(study.uid)
            yield study, measure(study, options)


def read(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_one_row_a_study_with_the_columns_in_their_order(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    summary = run_cohort(make_studies(5, tmp_path), table, Here(), OPTIONS, measure=cheap_row)
    rows = read(table)
    assert list(rows[0]) == list(COLUMNS)
    assert list(COLUMNS)[:4] == ["patient_id", "study_uid", "acquired_at", "verdict"]
    assert [row["study_uid"] for row in rows] == [f"1.2.{n}" for n in range(5)]
    assert (summary.verdicts, summary.codes) == ({"analysed": 3, "refused": 2}, {"SERIES_NO_CT": 2})
    assert summary.exit_code == 0
    assert [failure["study_uid"] for failure in summary.failures] == ["1.2.1", "1.2.3"]


def test_a_run_that_was_stopped_goes_on_and_gives_the_same_table(tmp_path: Path) -> None:
    studies, table, whole = make_studies(7, tmp_path), tmp_path / "t.csv", tmp_path / "whole.csv"
    with pytest.raises(KeyboardInterrupt):
        run_cohort(studies, table, Here(limit=3), OPTIONS, measure=cheap_row)
    assert len(read(table)) == 3
    second = Here()
    summary = run_cohort(studies, table, second, OPTIONS, measure=cheap_row)
    run_cohort(studies, whole, Here(), OPTIONS, measure=cheap_row)
    assert second.done == [f"1.2.{n}" for n in range(3, 7)]
    assert summary.taken_over == 3
    assert table.read_bytes() == whole.read_bytes()


def test_a_run_that_is_killed_outright_leaves_nobody_working_and_goes_on(tmp_path: Path) -> None:
    studies, table, journal = make_studies(20, tmp_path), tmp_path / "t.csv", tmp_path / "t.csv.journal"
    program = (
        "from pathlib import Path\nfrom kit.cohort_samples import OPTIONS, make_studies, slow_row\n"
        "from scanside_appliance.cohort.processes import Processes\n"
        "from scanside_appliance.cohort.run import run_cohort\n"
        "if __name__ == '__main__':\n"
        f"    here = Path({str(tmp_path)!r})\n"
        "    run_cohort(make_studies(20, here), here / 't.csv', Processes(2), OPTIONS, measure=slow_row)\n"
    )
    (tmp_path / "program.py").write_text(program)
    started = subprocess.Popen([sys.executable, tmp_path / "program.py"], env=environment())
    wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 3)
    started.kill()
    started.wait()
    written = journal.read_bytes().count(b"\n")
    wait_for(lambda: not any(map(is_running, processes_at_work(tmp_path))))
    rest = Here()
    run_cohort(studies, table, rest, OPTIONS, measure=cheap_row)
    run_cohort(studies, tmp_path / "whole.csv", Here(), OPTIONS, measure=cheap_row)
    assert len(rest.done) == 20 - written < 18
    assert table.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_line_torn_by_a_power_cut_costs_that_study_only(tmp_path: Path) -> None:
    studies, table = make_studies(4, tmp_path), tmp_path / "t.csv"
    run_cohort(studies, table, Here(), OPTIONS, measure=cheap_row)
    before = table.read_bytes()
    journal = tmp_path / "t.csv.journal"
    journal.write_bytes(journal.read_bytes()[:-20])
    again = Here()
    run_cohort(studies, table, again, OPTIONS, measure=cheap_row)
    assert again.done == ["1.2.3"]
    assert table.read_bytes() == before


def test_new_studies_are_added_and_a_changed_one_is_done_again(tmp_path: Path) -> None:
    table, third = tmp_path / "t.csv", Here()
    studies = make_studies(3, tmp_path)
    run_cohort(studies[:2], table, Here(), OPTIONS, measure=cheap_row)
    changed = type(studies[0])("1.2.0", tmp_path, (), "other")
    run_cohort([changed, studies[2]], table, third, OPTIONS, measure=cheap_row)
    assert third.done == ["1.2.0", "1.2.2"]
    assert len(read(table)) == 3


def test_a_table_that_is_somebody_elses_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(BoxOutput):
        run_cohort(make_studies(1, tmp_path), tmp_path / "t.csv", Here(), OPTIONS, measure=cheap_row)
    assert (tmp_path / "t.csv").read_text() == "mine"


def test_two_processes_give_the_same_table_as_one(tmp_path: Path) -> None:
    studies = make_studies(6, tmp_path)
    run_cohort(studies, tmp_path / "one.csv", Here(), OPTIONS, measure=cheap_row)
    run_cohort(studies, tmp_path / "two.csv", Processes(2), OPTIONS, measure=cheap_row)
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


def test_a_study_that_kills_its_process_gets_a_row_and_the_others_are_measured(tmp_path: Path) -> None:
    summary = run_cohort(make_studies(6, tmp_path), tmp_path / "t.csv", Processes(2), OPTIONS, measure=deadly_row)
    by_study = {row["study_uid"]: row["reason_code"] for row in read(tmp_path / "t.csv")}
    assert by_study == {"1.2.3": "BOX_WORKER_DIED"} | {f"1.2.{n}": "SERIES_NO_CT" * (n % 2) for n in (0, 1, 2, 4, 5)}
    assert summary.exit_code == 5


def test_a_process_that_dies_between_two_studies_costs_none(tmp_path: Path) -> None:
    def late(name: str, done: int, total: int) -> None:
        time.sleep(1.0 if done == 1 else 0.0)  # the process dies meanwhile, so the next study meets a broken pool

    studies, table = make_studies(6, tmp_path), tmp_path / "t.csv"
    run_cohort(studies, table, Processes(1), OPTIONS, measure=last_row, progress=late)
    assert [row["study_uid"] for row in read(table)] == [f"1.2.{n}" for n in range(6)]


def test_what_the_box_got_wrong_is_tried_again(tmp_path: Path) -> None:
    studies, table = make_studies(4, tmp_path), tmp_path / "t.csv"
    assert run_cohort(studies, table, Processes(1), OPTIONS, measure=faulty_row).codes["BOX_WORKER_DIED"] == 1
    again = Here()
    assert run_cohort(studies, table, again, OPTIONS, measure=cheap_row).exit_code == 0
    assert again.done == ["1.2.2"]


def test_more_processes_or_threads_do_not_measure_anything_again(tmp_path: Path) -> None:
    studies, table, again = make_studies(2, tmp_path), tmp_path / "t.csv", Here()
    run_cohort(studies, table, Here(), OPTIONS, measure=cheap_row)
    settings = replace(OPTIONS.settings, inference=InferenceSettings(threads=7))
    run_cohort(studies, table, again, replace(OPTIONS, settings=settings), measure=cheap_row)
    assert again.done == []
    run_cohort(studies, table, again, replace(OPTIONS, precision="fp32"), measure=cheap_row)
    assert len(again.done) == 2


def test_a_worker_with_another_bundle_has_measured_nothing(tmp_path: Path) -> None:
    summary = run_cohort(make_studies(2, tmp_path), tmp_path / "t.csv", Here(), OPTIONS, measure=foreign_row)
    assert (summary.codes, summary.exit_code) == ({"BOX_WORKER_DIFFERS": 2}, 5)
    assert {row["poi_percent"] for row in read(tmp_path / "t.csv")} == {""}


def test_parquet_without_pyarrow_fails_before_any_study_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies, here = make_studies(3, tmp_path), Here()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BoxExtraMissing, match="pyarrow"):
        run_cohort(studies, tmp_path / "t.parquet", here, OPTIONS, measure=cheap_row)
    assert here.done == []
    assert not list(tmp_path.glob("t.*"))


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    import pandas as pd

    rows = [cheap_row(study, OPTIONS) for study in make_studies(4, tmp_path)]
    (tmp_path / "t.parquet").write_bytes(parquet_bytes(rows))
    (tmp_path / "t.csv").write_bytes(csv_bytes(rows))
    columnar, text = pd.read_parquet(tmp_path / "t.parquet"), pd.read_csv(tmp_path / "t.csv")
    assert list(columnar.columns) == list(text.columns) == list(COLUMNS)
    assert columnar["poi_percent"].tolist() == pytest.approx(text["poi_percent"].tolist(), nan_ok=True)


@pytest.mark.parametrize("begins", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"])
def test_no_text_in_a_csv_is_a_formula_and_numbers_stay_numbers(tmp_path: Path, begins: str) -> None:
    (study,) = make_studies(1, tmp_path)
    row = {**cheap_row(study, OPTIONS), "patient_id": begins, "kernel": "a=b", "ihu_hu": -700.5}
    (found,) = csv.DictReader(io.StringIO(csv_bytes([row]).decode(), newline=""))
    assert found["patient_id"] == "'" + shown(begins)
    assert (found["kernel"], float(found["ihu_hu"])) == ("a=b", -700.5)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler and two workers as programs of their own, as an administrator would start them."""
    file = tmp_path / "scheduler.json"

    def start(*arguments: str) -> subprocess.Popen:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        own = {**environment(), "DASK_TEMPORARY_DIRECTORY": str(tmp_path)}
        return subprocess.Popen([sys.executable, "-m", *arguments], env=own, cwd=tmp_path, **quiet)

    started = [start("distributed.cli.dask_scheduler", "--scheduler-file", str(file), "--port", "0", "--no-dashboard")]
    started += [
        start(
            "distributed.cli.dask_worker",
            "--scheduler-file",
            str(file),
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
        )
        for _ in range(2)
    ]
    try:
        yield _address(file), started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def _address(file: Path) -> str:
    from distributed import Client

    wait_for(lambda: file.exists() and file.stat().st_size > 0)
    address = json.loads(file.read_text())["address"]
    with Client(address, timeout=300, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=300)
    return address


@pytest.mark.filterwarnings("ignore")  # distributed's own threads and sockets on the way down
def test_a_dask_cluster_that_loses_a_worker_gives_the_same_table_each_study_once(cluster, tmp_path: Path) -> None:
    from scanside_appliance.cohort.cluster import Cluster

    address, workers = cluster
    studies, killed = make_studies(24, tmp_path), []

    def kill_one(name: str, done: int, total: int) -> None:
        if not killed and len(processes_at_work(tmp_path)) == 2:
            os.kill(workers[0].pid, signal.SIGKILL)
            killed.append(done)

    run_cohort(studies, tmp_path / "dask.csv", Cluster(address), OPTIONS, measure=slow_row, progress=kill_one)
    run_cohort(studies, tmp_path / "here.csv", Here(), OPTIONS, measure=cheap_row)
    assert killed
    assert (tmp_path / "dask.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
    assert len(processes_at_work(tmp_path)) == 2


def test_a_cluster_that_does_not_answer_is_said(tmp_path: Path) -> None:
    from scanside_appliance.cohort.cluster import Cluster

    with pytest.raises(BoxCluster):
        list(Cluster("tcp://127.0.0.1:9", connect_s=0.5).answers(cheap_row, make_studies(1, tmp_path), OPTIONS))


def test_the_command_measures_real_studies_lists_failures_and_goes_on(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle").folder
    phantom = make_phantom(small_demo_spec())
    write_series(
        phantom.hu, phantom.spacing_mm, tmp_path / "in" / "a", origin_mm=phantom.origin_mm, slice_thickness_mm=10.0
    )
    write(tmp_path / "in" / "b", [make_slice(Modality="MR", StudyInstanceUID="1.2.3")])
    (tmp_path / "in" / "link").symlink_to(tmp_path / "in" / "a")
    command = ("cohort", "run", tmp_path / "in", "--out", tmp_path / "t.csv", "--bundle", bundle, "--processes", 1)
    first = scanside(*command, "--json", root=tmp_path / "root")
    facts = json.loads(first.stdout)
    assert (first.returncode, facts["studies"], facts["verdicts"]) == (0, 2, {"analysed": 1, "refused": 1})
    assert facts["failures"][0]["study_uid"] == "1.2.3"
    measured = next(row for row in read(tmp_path / "t.csv") if row["verdict"] == "analysed")
    assert float(measured["poi_percent"]) > 5
    assert measured["bundle"] == "tiny 1"
    before = (tmp_path / "t.csv").read_bytes()
    second = scanside(*command, root=tmp_path / "root")
    assert "2 found, 2 done before" in second.stdout
    assert facts["failures"][0]["reason_code"] in second.stdout
    assert facts["passed_over"] == [{"path": str(tmp_path / "in" / "link"), "why": "a symbolic link"}]
    assert "      1  a symbolic link" in second.stdout
    assert str(tmp_path / "in" / "link") in second.stdout
    assert (tmp_path / "t.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("missing", "--out", "t.csv"), 3, "INPUT_NOT_FOUND"),
        ((".", "--out", "t.csv"), 3, "INPUT_EMPTY"),
        ((".", "--out", "t.xlsx"), 2, ".csv or .parquet"),
    ],
)
def test_what_cant_be_a_cohort_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, arguments: tuple, code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    exit_code, out, err = run("--root", tmp_path / "root", "cohort", "run", *arguments)
    assert (exit_code, out, words in err) == (code, "", True)
    assert "Traceback" not in err


def is_running(pid: str) -> bool:
    """Whether a process lives; one that ended and was not fetched yet does not."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def environment() -> dict[str, str]:
    """That of a process which imports this checkout and the samples of the tests."""
    paths = os.pathsep.join(str(REPOSITORY / name) for name in ("runtime", "appliance", "tests"))
    return {**os.environ, "PYTHONPATH": paths}


def scanside(*arguments: object, root: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    program = "from scanside_appliance.cli.main import main; main()"
    words = [sys.executable, "-c", program, "--root", *map(str, (root, *arguments))]
    return subprocess.run(words, env=environment(), capture_output=True, text=True, cwd=cwd)


def test_a_process_of_a_pool_has_settled_in_before_it_imports_what_takes_time() -> None:
    with process_pool(1) as pool:
        decoder = pool.submit(eval, "__import__('pydicom') and __import__('sys').modules['gdcm']")
        assert decoder.result() is None
