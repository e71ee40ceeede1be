"""Where things lie on the box. Names are made of hashes, never of what a header says.

A study keeps one name, its key: in folders, in logs, on the command line.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.errors import BoxFailed

FOLDER_MODE = 0o750
KEY_LETTERS = 16
PRIVATE, PRIVATE_MODE = "private", 0o700
RESULT, PAGE = "result.json", "report.html"
ARRIVING = "arriving-"
"""How folders in work begin that hold copies which the book may not know yet."""


class BoxRoot(BoxFailed):
    """The box's folder {root} can't be used: {why}."""

    code = "BOX_ROOT"
    advice = "Check that it exists and may be written, or name another one with --root."


def study_key(study_uid: str) -> str:
    """The name of a study on this box: 16 hexadecimal digits of the SHA-256 of its StudyInstanceUID."""
    return _key(study_uid)


def patient_key(patient_id: str | None, issuer: str | None, study_uid: str) -> str:
    """The name of a patient's folder; studies without PatientID never share one."""
    return patient_folder(patient_id, issuer) if patient_id else _key(f"study\n{study_uid}")


def patient_folder(patient_id: str, issuer: str | None) -> str:
    """The name of the folder of a patient who has an ID."""
    return _key(f"{issuer or ''}\n{patient_id}")


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:KEY_LETTERS]


@dataclass(frozen=True, slots=True)
class BoxLayout:
    """The box's folders below one root. A place is a folder's path relative to the root, as the database keeps it."""

    root: Path

    def about(self, error: OSError) -> str:
        """What the disk says, and of which of the box's folders. No name of what lies in them: it may be a person's."""
        said = error.strerror or type(error).__name__
        named = (Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes))
        below = (path.relative_to(self.root) for path in named if path.is_relative_to(self.root))
        places = dict.fromkeys(str(Path(self.root, *path.parts[:1])) for path in below)
        return ": ".join(filter(None, (" or ".join(places), said)))

    @property
    def inbox(self) -> Path:
        """The one folder that others write into."""
        return self.root / "inbox"

    @property
    def results(self) -> Path:
        """`<patient>/<study>/<revision>/`, whole or not there."""
        return self.root / "results"

    @property
    def worklist(self) -> Path:
        """The list of results for people: `index.html`, its other pages in `worklist`. Made anew from the rest."""
        return self.results / "index.html"

    @property
    def worklist_pages(self) -> Path:
        """The list by year and month."""
        return self.results / "worklist"

    @property
    def worklist_facts(self) -> Path:
        """SQLite: what the list says of each result, so that it need not be read again. It may be lost."""
        return self.root / "worklist.db"

    @property
    def unfinished(self) -> Path:
        """Results in the making: on the file system of the results, so that they become visible by a rename."""
        return self.results / ".unfinished"

    @property
    def database(self) -> Path:
        """SQLite."""
        return self.root / "scanside.db"

    @property
    def marker(self) -> Path:
        """Says that this box has a book, so that a lost one is not taken for a first start."""
        return self.root / "scanside.db.exists"

    @property
    def private(self) -> Path:
        """What nobody but the box's own user may read."""
        return self.root / PRIVATE

    @property
    def lock(self) -> Path:
        """Locked by the one daemon as long as it lives; the lock goes with the process, whatever ends it."""
        return self.root / "scanside.lock"

    @property
    def reserve(self) -> Path:
        """Room kept back for the database."""
        return self.root / "reserve.bin"

    @property
    def last_backup(self) -> Path:
        """When the last backup was made, and where."""
        return self.root / "backup.json"

    @property
    def last_verified(self) -> Path:
        """When all stored files were last read, and how many were not as written."""
        return self.root / "verified.json"

    @property
    def tuning(self) -> Path:
        """What was found to be the fastest way to compute here."""
        return self.root / "tuning.json"

    @property
    def proof(self) -> Path:
        """What the last self-test found."""
        return self.root / "selftest.json"

    @property
    def status(self) -> Path:
        """What the daemon last said of itself."""
        return self.root / "status.json"

    @property
    def metrics(self) -> Path:
        """The same for Prometheus' text file collector."""
        return self.root / "metrics.prom"

    def result(self, patient: str, study: str, revision: int) -> Path:
        """The folder of one result."""
        return self.results / patient / study / str(revision)

    @property
    def own_folders(self) -> tuple[Path, ...]:
        """What is the box's alone below its root."""
        return (self.results, self.unfinished, *map(self.root.joinpath, _OTHERS))

    def make(self) -> None:
        """Make what is missing. Raises BoxRoot."""
        try:
            for folder in (self.root, *self.own_folders):
                folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            with suppress(FileExistsError):  # nothing is asked of what lies there: a share may not answer
                self.inbox.mkdir(mode=FOLDER_MODE)
        except OSError as error:
            raise BoxRoot(root=self.root, why=error.strerror or error) from error

    def check(self) -> None:
        """Raises BoxRoot where the root is no folder that can be looked into."""
        try:
            os.scandir(self.root).close()
        except OSError as error:
            raise BoxRoot(root=self.root, why=error.strerror or error) from error

    def check_writable(self) -> None:
        """Raises BoxRoot where nothing can be written, not even the status: so a system mounts a disk that fails."""
        if os.statvfs(self.root).f_flag & os.ST_RDONLY:
            raise BoxRoot(root=self.root, why=os.strerror(errno.EROFS))


_OTHERS = ("work", "archive", "quarantine")


def work_place(job_id: int) -> str:
    """Where a job's files lie while it is worked on."""
    return f"work/{job_id}"


def arriving_place(token: str) -> str:
    """Where copies of files in the inbox are made."""
    return f"work/{ARRIVING}{token}"


def archive_place(patient: str, study: str) -> str:
    """Where a study's files lie afterwards, those of all revisions."""
    return f"archive/{patient}/{study}"


def quarantine_place(code: str, job_id: int) -> str:
    """Where a job's files lie that was put aside or is held."""
    return f"quarantine/{code}/{job_id}"
