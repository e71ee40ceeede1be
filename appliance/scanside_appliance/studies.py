"""All studies at a path, one after the other: headers read once, networks loaded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.options import Options
from scanside_runtime.analysis.result import Analysis
from scanside_runtime.dicom.contents import list_studies
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.errors import ScansideError
from scanside_runtime.model.networks import KeptNetworks
from scanside_runtime.progress import Progress


def analyze_all(
    path: Path,
    options: Options,
    progress: Callable[[], AbstractContextManager[Progress | None]] = nullcontext,
    networks: KeptNetworks | None = None,
) -> Iterator[tuple[str | None, Analysis]]:
    """Each study's StudyInstanceUID and its analysis, as it is done.

    Where there is none, or nothing can be read, one analysis without a UID says why. progress: shows that of one study.
    networks: where theirs are kept.
    """
    networks = networks or KeptNetworks()
    try:
        with StudyReader(options.settings.reading) as reader:
            found = reader.find(path)
    except ScansideError:
        found = None
    uids: list[str | None] = [] if found is None else [one.study_uid for one in list_studies(found.headers)]
    for uid in uids or [None]:
        with progress() as report:
            analysis = analyze(path, options, study_uid=uid, found=found, networks=networks, progress=report)
        yield uid, analysis
