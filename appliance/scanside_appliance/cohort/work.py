"""What is done with one study, wherever it is done: in a process of this box, or on a worker of a cluster."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scanside_appliance.cohort.rows import Row, failed_row, row_of
from scanside_appliance.cohort.studies import CohortStudy
from scanside_runtime.analysis.options import Options
from scanside_runtime.dicom.errors import InputUnreadable
from scanside_runtime.model.networks import KeptNetworks


class _Kept(threading.local):
    """A thread's networks, kept from study to study: a cluster's worker may run several threads in one process."""

    def __init__(self) -> None:
        self.networks = KeptNetworks()


_OF_THIS_THREAD = _Kept()

Measure = Callable[[CohortStudy, Options], Row]
"""One study in, its row out. What is handed to processes and clusters, so it must be a function of a module."""


def measure_study(study: CohortStudy, options: Options) -> Row:
    """Analyse one study. What is wrong with the study or the box is in the row."""
    from scanside_runtime.analysis.analyze import analyze

    began = time.perf_counter()
    try:
        with _path_of(study) as path:
            analysis = analyze(path, options, study_uid=study.uid, networks=_OF_THIS_THREAD.networks)
    except OSError as error:
        return failed_row(study, InputUnreadable(name=study.path, why=error.strerror or error))
    return row_of(study, analysis.document(), time.perf_counter() - began)


@contextmanager
def _path_of(study: CohortStudy) -> Iterator[Path]:
    """The study's own folder or zip; where it shares one, a folder for the time being with its files alone."""
    if not study.files:
        yield study.path
        return
    with tempfile.TemporaryDirectory(prefix="scanside-cohort-") as scratch:
        for number, file in enumerate(study.files):
            _put(file, Path(scratch, f"{number:06d}-{file.name}"))
        yield Path(scratch)


def _put(file: Path, place: Path) -> None:
    """A hard link where the file system allows it, else a copy."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
