"""What is asked of the reader's process, and what it answers beside headers, study UIDs and files passed over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.dicom.decode import StoredSlice
from scanside_runtime.dicom.geometry import Layout


@dataclass(frozen=True, slots=True)
class Find:
    """List and read headers: answered by `At`, each `SliceHeader`, each `PassedOver`, `NotDicom`, `Done`."""

    path: Path


@dataclass(frozen=True, slots=True)
class NameStudies:
    """Say of files which studies they belong to: answered by `At`, a `StudyUids` for each path, `Done`."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Decode:
    """Decode slices into the shared pixels, one after another: answered by `Decoded` after each, `Done`.

    slices: of headers that this reader or another one found.
    """

    slices: tuple[StoredSlice, ...]
    layout: Layout


Question = Find | NameStudies | Decode
QUESTIONS: tuple[type[Question], ...] = (Find, NameStudies, Decode)


@dataclass(frozen=True, slots=True)
class At:
    """The file that is read next: whoever waits knows where it stopped."""

    name: str


@dataclass(frozen=True, slots=True)
class NotDicom:
    """How many files are something else."""

    files: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """So many slices are in the shared pixels."""

    slices: int


@dataclass(frozen=True, slots=True)
class Done:
    """The end of the answers to one question."""
