"""What a box without its book finds in its own folders: results, archived studies, what was put aside."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from scanside_appliance.files.durable_files import file_sha256, is_folder, lies_at, opened_file
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox.facts import Facts
from scanside_appliance.jobs.file_mover import REASON

Probe = Callable[[Path], Facts]
KEPT_NAME = re.compile(r"([0-9a-f]{40})(?:\.dcm|-[0-9a-f]{16}|-\d{3,})")
"""What files are called in archive and quarantine: it begins as the SHA-256 of their bytes does; strays had numbers."""
LARGEST_REASON_BYTES = 2**20
_KEY = re.compile(r"[0-9a-f]{16}")
_OF_STUDY = re.compile(r"^Study ([0-9a-f]{16})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """`results/<patient>/<study>/<revision>` or, without a revision, `archive/<patient>/<study>`."""

    patient: str
    study: str
    folder: Path
    revision: int = 0


@dataclass(frozen=True, slots=True)
class AsideFolder:
    """`quarantine/<code>/<job>`."""

    code: str
    job: int
    folder: Path


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that the box once took. why: in words, what is wrong with it; None where it is what its name says."""

    path: Path
    facts: Facts
    why: str | None


def result_folders(layout: BoxLayout) -> list[StudyFolder]:
    """Every revision, in the order of their numbers. Raises OSError."""
    found = [
        StudyFolder(study.patient, study.study, folder, int(folder.name))
        for study in _study_folders(layout.results)
        for folder in _folders(study.folder)
        if folder.name.isdecimal()
    ]
    return sorted(found, key=lambda one: one.revision)


def archive_folders(layout: BoxLayout) -> list[StudyFolder]:
    """Every archived study. Raises OSError."""
    return list(_study_folders(layout.root / "archive"))


def aside_folders(layout: BoxLayout) -> list[AsideFolder]:
    """Every job in quarantine, in the order of their numbers. Raises OSError."""
    found = [
        AsideFolder(code.name, int(folder.name), folder)
        for code in _folders(layout.root / "quarantine")
        for folder in _folders(code)
        if folder.name.isdecimal()
    ]
    return sorted(found, key=lambda one: one.job)


def numbers_in_work(layout: BoxLayout) -> list[int]:
    """Jobs whose files may lie in work: no new job may have their number. Raises OSError."""
    return [int(folder.name) for folder in _folders(layout.root / "work") if folder.name.isdecimal()]


def kept_paths(folder: Path) -> list[Path]:
    """The files of a folder that are named as the box names them; what a person laid beside them is left alone."""
    return sorted(path for path in folder.iterdir() if KEPT_NAME.fullmatch(path.name))


def read_kept(path: Path, probe: Probe) -> KeptFile:
    """A file with its facts, held against its name. Raises OSError where it can't be read."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return KeptFile(path, Facts("other"), "it is no regular file")
    facts = probe(path)
    if facts.kind == "out_of_reach":
        raise OSError(errno.EIO, facts.why, str(path))
    if facts.kind == "broken" and not facts.sha256:  # it ended the child
        facts = replace(facts, sha256=file_sha256(path), size=path.stat().st_size)
    if not facts.sha256:
        return KeptFile(path, facts, facts.why)
    named = KEPT_NAME.fullmatch(path.name)
    altered = named is None or not facts.sha256.startswith(named[1])
    return KeptFile(path, facts, "its bytes are not those that its name says" if altered else None)


def check_told(archived: KeptFile) -> None:
    """That it is known what a file of the archive is. Raises OSError.

    It was read once, or it would not lie there: where its bytes are still the same, what ends its reader now is the
    box's, and no reason to put a patient's slice aside.
    """
    if archived.why is None and archived.facts.kind == "broken":
        raise OSError(errno.EIO, "its bytes are what they were, and reading its header failed", str(archived.path))


def _study_folders(area: Path) -> Iterator[StudyFolder]:
    for patient in _folders(area):
        for study in _folders(patient):
            if _KEY.fullmatch(patient.name) and _KEY.fullmatch(study.name):
                yield StudyFolder(patient.name, study.name, study)


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, links left out."""
    found = folder.iterdir() if is_folder(folder) else ()
    return sorted(one for one in found if stat.S_ISDIR(os.lstat(one).st_mode))


def read_reason(folder: Path) -> tuple[str, str]:
    """The words of a `reason.txt` and the study that it names, "" where it does not say. Raises OSError."""
    if not lies_at(folder / REASON):
        return "", ""
    with opened_file(folder / REASON) as file:
        text = file.read(LARGEST_REASON_BYTES).decode("utf-8", "replace")
    parts, study = text.split("\n\n"), _OF_STUDY.search(text)
    return parts[1] if len(parts) > 1 else "", study[1] if study else ""
