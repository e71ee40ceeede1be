"""`scanside analyze`: one study, or all that lie at a path."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from scanside_appliance.cli.language import speak, spoken
from scanside_appliance.cli.options import (
    BundleOption,
    EngineName,
    EngineOption,
    LanguageOption,
    PrecisionName,
    PrecisionOption,
    for_its_owner_alone,
    path_argument,
    path_option,
)
from scanside_appliance.cli.progress import complain, progress
from scanside_runtime.errors import ScansideError


def analyze(
    context: typer.Context,
    path: Annotated[Path, path_argument(metavar="PATH", help="A folder, a DICOM file, a zip or a tar.")],
    output: Annotated[Path | None, path_option(metavar="DIR", help="Where result, page and DICOM objects go.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result document.")] = False,
    study: Annotated[str | None, typer.Option(metavar="UID|NUMBER", help="Choose this study.")] = None,
    series: Annotated[str | None, typer.Option(metavar="UID|NUMBER", help="Choose this series.")] = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Measure nothing: show what there is to choose from.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Each study into its own sub-folder of the output.")] = False,
    no_dicom: Annotated[bool, typer.Option("--no-dicom", help="Leave DICOM objects out.")] = False,
    engine: EngineOption = EngineName.auto,
    precision: PrecisionOption = PrecisionName.auto,
    bundle: BundleOption = None,
    earlier: Annotated[
        Path | None, path_option(metavar="DIR", help="Folder of earlier results, for the trend. [the box's results]")
    ] = None,
    language: LanguageOption = None,
) -> None:
    """Measure one study: POI, iHU, zones, severity, and the trend.

    PATH is a folder, a DICOM file, a zip or a tar. The trend is what changed since the patient's last scan, where
    that is found.

    Example: scanside analyze scan/ --output results/

    Exit code: 0 analysed, 1 defect, 2 wrong usage, 3 refused, 4 model bundle unusable, 5 the box, 6 held for a
    person.
    """
    from scanside_appliance.files.durable_files import is_folder

    if language is not None:
        speak(language, None)
    if only_list:
        _list(context, path, study, as_json=as_json)
        return
    for_its_owner_alone(context)
    if every and (study or series):
        raise typer.BadParameter("--all takes every study; leave --study and --series out")
    if earlier is not None and not is_folder(earlier):
        raise typer.BadParameter(f"there is no folder {earlier.absolute()}", param_hint="--earlier")
    _start_a_reader(context)
    from scanside_appliance.compiled import compiled_networks
    from scanside_appliance.results.delivery import Delivery, gravest, made_ready_beside
    from scanside_appliance.studies import analyze_all
    from scanside_runtime.analysis.analyze import analyze as analyze_study
    from scanside_runtime.analysis.analyze import refused
    from scanside_runtime.model.networks import KeptNetworks

    delivery = Delivery(output, not no_dicom, as_json, typer.echo, complain, spoken())
    try:
        options = context.obj.analysis(engine, precision, bundle, earlier)
        delivery = replace(delivery, page=context.obj.page(options.settings, earlier, language))
    except ScansideError as error:
        raise typer.Exit(delivery.deliver(refused(error))) from error
    compiled = compiled_networks(context.obj.root)
    with made_ready_beside():
        if every:
            each = analyze_all(path, options, progress, KeptNetworks(compiled))
            raise typer.Exit(gravest(delivery.below(uid).deliver(one) for uid, one in each))
        with progress() as report:
            networks = KeptNetworks(compiled)
            one = analyze_study(path, options, study_uid=study, series_uid=series, networks=networks, progress=report)
            del networks  # 130 MB and more, before page and objects are made
        raise typer.Exit(delivery.deliver(one))


def _start_a_reader(context: typer.Context) -> None:
    """It gets ready while this process imports what asks it. What keeps it from that is said where it is needed."""
    from scanside_runtime.dicom.reader_child import reader_ahead

    with suppress(ScansideError):
        context.with_resource(reader_ahead(context.obj.settings().reading))


def _list(context: typer.Context, path: Path, study: str | None, *, as_json: bool) -> None:
    """The studies at a path, the series of the one study, or of the one that is named; in JSON all of it."""
    from scanside_appliance.page.contents import contents_lines
    from scanside_runtime.dicom.contents import list_studies, study_named
    from scanside_runtime.dicom.errors import SeriesStudyNotFound
    from scanside_runtime.dicom.reader import StudyReader

    with StudyReader(context.obj.settings().reading) as reader:
        headers = reader.find(path).headers
    studies = list_studies(headers)
    if study is not None:
        uid = study_named(headers, study)
        studies = tuple(one for one in studies if one.study_uid == uid)
        if not studies:
            raise SeriesStudyNotFound(study_uid=study)
    contents = [asdict(one) for one in studies]
    typer.echo(json.dumps(contents) if as_json else "\n".join(contents_lines(contents, spoken())))
