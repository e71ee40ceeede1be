"""What is done is written down at once: one line a study, synced, so that a run that is killed goes on from there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scanside_appliance.cohort.rows import COLUMNS, Row, is_final
from scanside_appliance.cohort.studies import CohortStudy
from scanside_appliance.files.atomic import writing
from scanside_runtime.errors import BoxOutput

SUFFIX = ".journal"


class Journal:
    """The rows of a table that is being made, in a file beside it. Open it with `open_journal`."""

    def __init__(self, file: IO[str], rows: dict[str, tuple[str, Row]], conditions: str) -> None:
        self._file = file
        self._rows = rows
        self._conditions = conditions

    def is_done(self, study: CohortStudy) -> bool:
        """Whether the study, unchanged and under the same conditions, has a row that would come out the same."""
        key, row = self._rows.get(study.name, ("", None))
        return row is not None and key == self._key(study) and is_final(row)

    def add(self, study: CohortStudy, row: Row) -> None:
        """Write a row down; it is on the disk when this returns. A newer row of a study replaces the older one."""
        key = self._key(study)
        self._file.write(json.dumps({"study": study.name, "key": key, "row": row}, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._rows[study.name] = key, row

    def rows(self) -> list[Row]:
        """The newest row of every study, by study."""
        return [{**dict.fromkeys(COLUMNS), **row} for _, (_, row) in sorted(self._rows.items())]

    def _key(self, study: CohortStudy) -> str:
        return hashlib.sha256(f"{study.digest} {self._conditions}".encode()).hexdigest()


@contextmanager
def open_journal(table: Path, conditions: str) -> Iterator[Journal]:
    """The journal of a table. conditions: all that the rows depend on beside the study (bundle, settings, version).

    Raises BoxOutput where it can't be written, another run has it open, or a table is there that has no journal.
    """
    path = table.with_name(table.name + SUFFIX)
    if table.exists() and not path.exists():
        raise BoxOutput(folder=table, why="a table that this command did not make is there already")
    with writing(table), path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BoxOutput(folder=table, why="another run is making this table") from error
        yield Journal(file, _read(file), conditions)


def _read(file: IO[str]) -> dict[str, tuple[str, Row]]:
    """All whole lines; the last one may be torn where a run was killed while writing, and is cut off."""
    rows: dict[str, tuple[str, Row]] = {}
    file.seek(0)
    end = 0
    while line := file.readline():
        try:
            entry = json.loads(line)
            rows[entry["study"]] = entry["key"], entry["row"]
        except (ValueError, KeyError, TypeError):
            break
        end = file.tell()
    file.seek(end)
    file.truncate()
    return rows
