"""`scanside analyze`: one study, or all that lie at a path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from scanside_appliance.cli.options import (
    BundleOption,
    EngineName,
    EngineOption,
    LanguageOption,
    PrecisionName,
    PrecisionOption,
)
from scanside_appliance.cli.progress import complain, progress
from scanside_runtime.errors import ScansideError


def analyze(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder, a zip or a DICOM file.")],
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where result, page and DICOM objects go.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result document.")] = False,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Choose this study.")] = None,
    series: Annotated[str | None, typer.Option(metavar="UID", help="Choose this series.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Each study into its own sub-folder of the output.")] = False,
    no_dicom: Annotated[bool, typer.Option("--no-dicom", help="Leave DICOM objects out.")] = False,
    engine: EngineOption = EngineName.auto,
    precision: PrecisionOption = PrecisionName.auto,
    bundle: BundleOption = None,
    earlier: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of earlier results, for the trend. [the box's results]")
    ] = None,
    language: LanguageOption = None,
) -> None:
    """Measure one study: POI, iHU, volumes, zones, severity flag, and what changed since the patient's last scan.

    Exit code: 0 analysed, 1 defect, 2 wrong usage, 3 refused, 4 model bundle unusable, 5 the box, 6 held for a person.
    """
    from scanside_appliance.results.delivery import Delivery, gravest
    from scanside_appliance.studies import analyze_all
    from scanside_runtime.analysis.analyze import analyze as analyze_study
    from scanside_runtime.analysis.analyze import refused

    if every and (study or series):
        raise typer.BadParameter("--all takes every study; leave --study and --series out")
    if earlier is not None and not earlier.is_dir():
        raise typer.BadParameter(f"there is no folder {earlier.absolute()}", param_hint="--earlier")
    delivery = Delivery(output, not no_dicom, as_json, typer.echo, complain)
    try:
        options = context.obj.analysis(engine, precision, bundle, earlier)
        delivery = replace(delivery, page=context.obj.page(options.settings, earlier, language))
    except ScansideError as error:
        raise typer.Exit(delivery.deliver(refused(error))) from error
    if every:
        raise typer.Exit(gravest(delivery.below(uid).deliver(one) for uid, one in analyze_all(path, options, progress)))
    with progress() as report:
        analysis = analyze_study(path, options, study_uid=study, series_uid=series, progress=report)
    raise typer.Exit(delivery.deliver(analysis))
