"""Studies that need no pixels, and analyses of them that cost nothing: importable by processes and clusters."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from scanside_appliance.cohort.rows import COLUMNS, Row
from scanside_appliance.cohort.studies import CohortStudy
from scanside_runtime.analysis.options import Options
from scanside_runtime.settings.tables import Settings

OPTIONS = Options(Settings())


def make_studies(count: int, folder: Path) -> list[CohortStudy]:
    """Studies 1.2.0, 1.2.1, ... that lie nowhere."""
    return [CohortStudy(f"1.2.{number}", folder, (), f"{number:064d}") for number in range(count)]


def cheap_row(study: CohortStudy, options: Options) -> Row:
    """A row made of the study's number alone; the odd ones are refused."""
    number = int((study.uid or "0").rpartition(".")[2])
    measured = {"verdict": "analysed", "poi_percent": number / 4, "lung_volume_ml": 4000.0}
    refused = {"verdict": "refused", "reason_code": "SERIES_NO_CT", "reason": "no CT"}
    known = refused if number % 2 else measured
    return {**dict.fromkeys(COLUMNS), "study_uid": study.uid, "source": str(study.path), "seconds": 0.0, **known}


def slow_row(study: CohortStudy, options: Options) -> Row:
    """The same after a while, and a line in a log for each time that it is done; nobody goes on alone."""
    time.sleep(0.15)
    with Path(study.path, "log").open("a") as log:
        log.write(f"{study.uid} {os.getpid()}\n")
    until = time.monotonic() + 300.0
    while len(processes_at_work(study.path)) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    return cheap_row(study, options)


def processes_at_work(folder: Path) -> set[str]:
    """The processes that a line of the log of `slow_row` came from."""
    return {line.split()[1] for line in (folder / "log").read_text().splitlines()}


def deadly_row(study: CohortStudy, options: Options) -> Row:
    """Study 1.2.3 kills the process that works on it."""
    if study.uid == "1.2.3":
        os.kill(os.getpid(), signal.SIGKILL)
    return cheap_row(study, options)


def last_row(study: CohortStudy, options: Options) -> Row:
    """The same, and the process dies a moment after study 1.2.0, between two studies."""
    if study.uid == "1.2.0":
        threading.Timer(0.3, os._exit, (1,)).start()
    return cheap_row(study, options)


def faulty_row(study: CohortStudy, options: Options) -> Row:
    """Study 1.2.2 meets a defect."""
    if study.uid == "1.2.2":
        raise RuntimeError("a defect")
    return cheap_row(study, options)


def foreign_row(study: CohortStudy, options: Options) -> Row:
    """Measured with another bundle."""
    return {**cheap_row(study, options), "bundle": "other 2", "bundle_sha256": "ff" * 32}
