"""Where the result of an analysis on request goes: into a folder, and to who asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.uid import UID

from scanside_appliance.files.layout import PAGE
from scanside_appliance.languages.words import Words
from scanside_appliance.results.page_options import PLAIN, PageOptions
from scanside_appliance.results.summary import page_line, summary
from scanside_runtime.errors import BoxFailed, ScansideError

if TYPE_CHECKING:
    from scanside_runtime.analysis.result import Analysis

FROM_MILD_TO_GRAVE = (0, 6, 3, 4, 5, 1)
"""Exit codes."""


def gravest(exit_codes: Iterable[int]) -> int:
    """The worst of several analyses' exit codes."""
    return max(exit_codes, key=FROM_MILD_TO_GRAVE.index)


@contextmanager
def made_ready_beside() -> Iterator[None]:
    """Libraries that take a third of a second to import are, in a thread, while another process reads the study.

    What fails there fails again, and is said, where it is needed. Templates are not compiled here: it would cost 7 MB
    at the peak.
    """
    with ThreadPoolExecutor(max_workers=1) as beside:
        beside.submit(import_module, "scanside_appliance.results.output")
        yield


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a result goes and in what form.

    folder: None where only its words are wanted. say: takes what is for stdout; complain: a code and a text;
    words: in which language.
    """

    folder: Path | None
    dicom: bool
    as_json: bool
    say: Callable[[str], None]
    complain: Callable[[str, str], None]
    words: Words
    page: PageOptions = PLAIN

    def below(self, study_uid: str | None) -> Delivery:
        """The same into a folder of the study's own."""
        if self.folder is None or study_uid is None:
            return self
        return replace(self, folder=self.folder / _folder_name(study_uid))

    def deliver(self, analysis: Analysis) -> int:
        """Write, say, give the exit code. What can't be written is said all the same."""
        from scanside_appliance.results.output import write_output

        if self.folder is None:
            self._say(analysis.document())
            return analysis.exit_code
        try:
            self._say(write_output(analysis, self.folder, dicom=self.dicom, page=self.page))
        except BoxFailed as error:
            self.complain(error.code, self.words.with_advice(error))
            self._say(_unwritten(analysis, error))
            return error.exit_code
        return analysis.exit_code

    def _say(self, document: dict[str, Any]) -> None:
        from scanside_appliance.results.output import document_json

        if self.as_json:
            self.say(document_json(document))
            return
        self.say(summary(document, self.words))
        if self.folder is not None and document["artefacts"]:
            self.say(page_line(self.folder / PAGE, self.words))


def _folder_name(uid: str) -> str:
    """The UID where it is a valid one (digits and dots), else its hash: a header must not choose a path."""
    return uid if UID(uid).is_valid else sha256(uid.encode()).hexdigest()[:32]


def _unwritten(analysis: Analysis, error: ScansideError) -> dict[str, Any]:
    document = analysis.document()
    flag = {"code": error.code, "level": "caution", "message": error.message}
    return {**document, "flags": [*document["flags"], flag]}
