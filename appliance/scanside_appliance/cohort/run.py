"""Many studies into one table: what is done already is passed over, the rest is handed out, each row written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from scanside_appliance.cohort.errors import BoxWorkerDied, BoxWorkerDiffers
from scanside_appliance.cohort.journal import Journal, open_journal
from scanside_appliance.cohort.processes import Answer
from scanside_appliance.cohort.rows import Row, failed_row, is_final
from scanside_appliance.cohort.studies import CohortStudy
from scanside_appliance.cohort.table import check_can_write, write_table
from scanside_appliance.cohort.work import Measure, measure_study
from scanside_runtime.analysis.options import Options
from scanside_runtime.errors import ScansideError
from scanside_runtime.model.bundle import Bundle, open_bundle
from scanside_runtime.progress import Progress
from scanside_runtime.settings.load import settings_digest
from scanside_runtime.settings.tables import InferenceSettings
from scanside_runtime.version import software_version


class Workers(Protocol):
    """What does the work: processes of this box, or a cluster."""

    def answers(
        self, measure: Measure, studies: Iterable[CohortStudy], options: Options
    ) -> Iterator[tuple[CohortStudy, Answer]]:
        """Every study once with its row, or the exception that it ended with."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to.

    taken_over: studies that an earlier run had done. failures: rows without a measurement. passed_over: each path
    that no row stands for, and why.
    """

    table: str
    studies: int
    taken_over: int
    verdicts: dict[str, int]
    codes: dict[str, int]
    failures: tuple[dict[str, str], ...]
    passed_over: tuple[dict[str, str], ...]
    exit_code: int

    def to_document(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def run_cohort(
    studies: Sequence[CohortStudy],
    table: Path,
    workers: Workers,
    options: Options,
    *,
    measure: Measure = measure_study,
    progress: Progress | None = None,
    passed_over: Sequence[tuple[Path, str]] = (),
) -> Summary:
    """Analyse every study that the table's journal does not hold, and write the table.

    The table grows: rows of earlier runs into the same file stay. Whatever ends the run, what was done is in the
    journal and the table. passed_over: what `find_studies` named, for the summary. Raises ModelUnusable where the
    bundle can't be used, BoxExtraMissing, BoxOutput, BoxCluster.
    """
    check_can_write(table)
    bundle = open_bundle(options.bundle)  # here, so that a run that could only fail does not begin
    with open_journal(table, _conditions(options, bundle)) as journal:
        pending = [study for study in studies if not journal.is_done(study)]
        try:
            answers = ((one, _row(one, answer, bundle)) for one, answer in workers.answers(measure, pending, options))
            _work_off(len(studies) - len(pending), len(studies), journal, answers, progress)
        finally:
            write_table(journal.rows(), table)
        return _summary(table, studies, len(studies) - len(pending), journal.rows(), passed_over)


def _work_off(
    before: int, total: int, journal: Journal, rows: Iterator[tuple[CohortStudy, Row]], progress: Progress | None
) -> None:
    for done, (study, row) in enumerate(rows, before + 1):
        journal.add(study, row)
        if progress is not None:
            progress(study.name, done, total)


def _row(study: CohortStudy, answer: Answer, bundle: Bundle) -> Row:
    """The answer as a row; a worker of another state than ours has measured something else."""
    if isinstance(answer, ScansideError):
        return failed_row(study, answer)
    if isinstance(answer, BaseException):
        return failed_row(study, BoxWorkerDied(why=f"{type(answer).__name__}: {answer}"))
    if answer["bundle_sha256"] not in (None, bundle.sha256):
        return failed_row(study, BoxWorkerDiffers(bundle=answer["bundle"]))
    return answer


def _conditions(options: Options, bundle: Bundle) -> str:
    """All that a row depends on beside the study: not on how many threads or machines measured it."""
    settings = replace(options.settings, inference=InferenceSettings())
    how = (settings_digest(settings), options.engine, options.precision, repr(options.site_model))
    return " ".join((software_version(), bundle.sha256, *how))


def _summary(
    table: Path,
    studies: Sequence[CohortStudy],
    taken_over: int,
    rows: Sequence[Row],
    passed_over: Sequence[tuple[Path, str]],
) -> Summary:
    failed = [row for row in rows if row["verdict"] != "analysed"]
    return Summary(
        table=str(table),
        studies=len(studies),
        taken_over=taken_over,
        verdicts=dict(Counter(row["verdict"] for row in rows)),
        codes=dict(Counter(row["reason_code"] for row in failed).most_common()),
        failures=tuple({key: row[key] for key in ("study_uid", "reason_code", "reason", "source")} for row in failed),
        passed_over=tuple({"path": str(path), "why": why} for path, why in passed_over),
        exit_code=0 if all(is_final(row) for row in rows) else 5,
    )
