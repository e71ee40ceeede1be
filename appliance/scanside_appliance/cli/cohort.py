"""`scanside cohort`: many studies into one table, severity calibrated on it, and the checks of both.

What needs the extra `cohort` (scikit-learn, statsmodels, dask) is imported inside the commands.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanside_appliance.cli.evaluate import evaluate
from scanside_appliance.cli.options import (
    AsJson,
    BundleOption,
    as_its_owner,
    for_its_owner_alone,
    path_argument,
    path_option,
)
from scanside_appliance.extras import extra
from scanside_appliance.files.names import harmless

if TYPE_CHECKING:
    from scanside_appliance.cohort.run import Summary, Workers
    from scanside_runtime.measures.severity_model import SeverityModel
    from scanside_runtime.settings.tables import Settings

MEGABYTES_A_PROCESS = 900
FAILURES_SHOWN = 20
PASSED_SHOWN = 10
STOPPED_BY_HAND = 130

cohort = typer.Typer(help="Many studies: tables, calibration, agreement.", no_args_is_help=True, rich_markup_mode=None)
cohort.add_typer(evaluate, name="evaluate")


class Use(StrEnum):
    """Which of the fitted models becomes the site's."""

    poi = "poi"
    ihu = "ihu"
    both = "both"


@cohort.command()
def run(
    context: typer.Context,
    folders: Annotated[
        list[Path], path_argument(metavar="FOLDERS...", help="Folders (or zip and tar archives) with studies.")
    ],
    out: Annotated[Path, path_option(metavar="FILE", help="The table: .csv or .parquet.")],
    processes: Annotated[int, typer.Option(min=0, help="Studies at a time; 0: as many as cores and memory hold.")] = 0,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, tcp://host:8786.")] = None,
    bundle: BundleOption = None,
    as_json: AsJson = False,
) -> None:
    """Analyse every study in folders into one table.

    A row a study. Run it again after an interruption: what is done is not done twice, and new studies are added to
    the table. Nothing is compared with earlier scans: the severity flag rests on the scan alone.

    Example: scanside cohort run archive/ --out cohort.csv

    Exit code: 0 every study has its row (refused ones too), 3 no study here, 4 model bundle unusable, 5 the box,
    130 stopped by hand.
    """
    from scanside_appliance.cli.progress import long_progress
    from scanside_appliance.cohort.run import run_cohort
    from scanside_appliance.cohort.studies import find_studies
    from scanside_appliance.cohort.table import FORMS, check_can_write
    from scanside_appliance.site_model import model_in_force
    from scanside_runtime.analysis.options import Options
    from scanside_runtime.dicom.errors import InputEmpty

    for_its_owner_alone(context)
    if out.suffix.lower() not in FORMS:
        raise typer.BadParameter(f"the table must end in {' or '.join(FORMS)}", param_hint="--out")
    check_can_write(out)
    settings: Settings = context.obj.settings()
    workers, threads = _workers(processes, dask)
    settings = replace(settings, inference=replace(settings.inference, threads=threads))
    options = Options(settings, bundle=bundle and bundle.absolute(), site_model=model_in_force(context.obj.root))
    passed: list[tuple[Path, str]] = []
    try:
        with long_progress() as report:
            studies = find_studies(
                folders,
                limits=settings.reading,
                noticed=lambda files: report("files looked at", files, 0),
                passed_over=lambda path, why: passed.append((path, why)),
            )
            summary = run_cohort(studies, out, workers, options, progress=report, passed_over=passed)
    except InputEmpty:
        typer.echo("\n".join(_passed_lines(passed)), err=True)
        raise
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(STOPPED_BY_HAND) from None
    typer.echo(json.dumps(summary.to_document()) if as_json else "\n".join(_summary_lines(summary)))
    raise typer.Exit(summary.exit_code)


def _workers(processes: int, dask: str | None) -> tuple[Workers, int]:
    """Who does the work, and with how many threads each study."""
    from scanside_appliance.cohort.processes import Processes

    if dask is not None:
        with extra():
            from scanside_appliance.cohort.cluster import Cluster
        return Cluster(dask), 1
    cores = len(os.sched_getaffinity(0))
    count = processes or max(1, min(cores, _memory_mb() // MEGABYTES_A_PROCESS))
    return Processes(count), max(1, cores // count)


def _memory_mb() -> int:
    """Memory to be had on this box, what the system keeps for files included; all of it where that is not said."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) // 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20


def _summary_lines(summary: Summary) -> Iterator[str]:
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(summary.verdicts.items()))
    yield f"{'studies':<10}{summary.studies} found, {summary.taken_over} done before"
    yield f"{'table':<10}{summary.table}: {verdicts}"
    for code, count in summary.codes.items():
        yield f"{count:>7}  {code}"
    for failure in summary.failures[:FAILURES_SHOWN]:
        yield f"{'':<9}{harmless(failure['study_uid'])}  {failure['reason_code']}  {harmless(failure['source'])}"
    if len(summary.failures) > FAILURES_SHOWN:
        yield f"{'':<9}... and {len(summary.failures) - FAILURES_SHOWN} more, all in the table (reason_code)"
    yield from _passed_lines([(Path(one["path"]), one["why"]) for one in summary.passed_over])


def _passed_lines(passed_over: Sequence[tuple[Path, str]]) -> Iterator[str]:
    """How many paths no row stands for, by why, and the first by name."""
    if not passed_over:
        return
    yield f"{'passed':<10}{len(passed_over)} that no row stands for"
    for why, count in Counter(why for _, why in passed_over).most_common():
        yield f"{count:>7}  {why}"
        named = [str(path) for path, said in passed_over if said == why]
        yield from (f"{'':<9}{harmless(path)}" for path in named[:PASSED_SHOWN])
        if len(named) > PASSED_SHOWN:
            yield f"{'':<9}... and {len(named) - PASSED_SHOWN} more; --json names each"


@cohort.command()
def calibrate(
    context: typer.Context,
    table: Annotated[
        Path, path_argument(metavar="TABLE", help="CSV or Parquet: patient_id, poi_percent, ihu_hu, label.")
    ],
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column with 1 for severe and 0 for not.")],
    pictures: Annotated[Path | None, path_option(metavar="DIR", help="Where ROC and box plots go (PNG).")] = None,
    model: Annotated[
        Path | None, path_option(metavar="FILE", help="Where the site severity model goes (JSON).")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Make it the severity model of this box.")] = False,
    use: Annotated[Use, typer.Option(help="Which model becomes the site's.")] = Use.poi,
    name: Annotated[str | None, typer.Option(metavar="WORDS", help="Whose exams these are, for the record.")] = None,
    resamples: Annotated[int, typer.Option(min=0, help="Draws of patients for intervals; 0: none.")] = 500,
    as_json: AsJson = False,
) -> None:
    """Fit severity to POI, iHU and both.

    AUC, cut-off, sensitivity, specificity, odds ratio, AIC.

    Exit code: 0 fitted, 3 the table can't be used or has too few events, 5 the box.
    """
    from scanside_appliance.cli.progress import long_progress

    with extra():
        from scanside_appliance.statistics.calibration import calibrate as fit
        from scanside_appliance.statistics.calibration import read_exams
        from scanside_appliance.statistics.calibration_output import lines, write_pictures
        from scanside_appliance.statistics.site_model_file import severity_model, write_model
    exams = read_exams(table, label, context.obj.settings().patient.placeholder_ids)
    with long_progress() as report:
        models, refusals = fit(exams, resamples, report)
    facts: dict[str, Any] = {
        "label": label,
        "left_out": exams.left_out,
        "nobodys": exams.nobodys,
        "models": [one.to_document() for one in models],
        "not_fitted": refusals,
        "pictures": write_pictures(exams, models, pictures) if pictures else [],
    }
    if model is not None or apply:
        site = severity_model(exams, models, use.value, table, name)
        if model is not None:
            write_model(site, model)
        facts["site_model"] = {"file": None if model is None else str(model), **site.to_document()}
    if apply:
        facts["applied"] = _apply(context, site, table)
    typer.echo(json.dumps(facts) if as_json else "\n".join(lines(facts)))


def _apply(context: typer.Context, site: SeverityModel, table: Path) -> dict[str, Any]:
    """Put the model in force on this box; what was in force before stays on record and can come back."""
    from scanside_appliance.site_model import install_site_model

    as_its_owner(context)  # whatever only root may read is read by now
    data = f"{table.name}, sha256 {site.fitted_on.table_sha256}"
    return install_site_model(context.obj.root, site, data=data).to_document()


@cohort.command()
def simulate(
    simulations: Annotated[int, typer.Option(min=1, help="How many cohorts are drawn.")] = 1000,
    clustered: Annotated[
        bool, typer.Option("--clustered", help="Exams of a patient are alike; intervals by patient.")
    ] = False,
    auc: Annotated[float, typer.Option(min=0.6, max=0.99, help="The true area under the ROC curve.")] = 0.968,
    shape: Annotated[float, typer.Option(min=0.5, max=20.0, help="Shape of POI's gamma distribution.")] = 3.0,
    resamples: Annotated[int, typer.Option(min=2, help="Draws of patients in each clustered cohort.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Where the random numbers begin.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure whether the intervals of `calibrate` hold.

    On cohorts of known truth (79 severe of 531).

    Exit code: 0 measured.
    """
    from scanside_appliance.cli.progress import long_progress

    with extra():
        from scanside_appliance.statistics.simulation import paper_truth
        from scanside_appliance.statistics.simulation import simulate as draw_and_calibrate
    truth = paper_truth(auc, shape)
    with long_progress() as report:
        found = draw_and_calibrate(
            simulations, clustered=clustered, truth=truth, resamples=resamples, seed=seed, progress=report
        )
    facts = found.to_document()
    if as_json:
        typer.echo(json.dumps(facts))
        return
    by_patient = facts.pop("by_patient") or {}
    for key, value in [*facts.items(), *((f"by patient: {key}", value) for key, value in by_patient.items())]:
        typer.echo(f"{key.replace('_', ' '):<44}{f'{value:.4f}' if isinstance(value, float) else value}")
