"""The command line `scanside`. Each command parses, calls and prints; results go to stdout, all else to stderr.

What a command needs is imported inside it: `scanside --help` answers without loading an engine or an imaging library.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanside_appliance.cli.bundle import bundles
from scanside_appliance.cli.cohort import cohort
from scanside_appliance.cli.history import history
from scanside_appliance.cli.severity import severity
from scanside_appliance.cli.watch import add_watch_commands
from scanside_appliance.defects import raised_at
from scanside_runtime.errors import ScansideError

if TYPE_CHECKING:
    from scanside_runtime.analysis import Analysis
    from scanside_runtime.followup.patient_record import EarlierLookup
    from scanside_runtime.measures.severity_model import SeverityModel
    from scanside_runtime.settings import Settings

SETTINGS_FILE = Path("/etc/scanside/scanside.toml")
BOX_ROOT = Path("/var/lib/scanside")
FROM_MILD_TO_GRAVE = (0, 6, 3, 4, 5, 1)

app = typer.Typer(
    name="scanside",
    help="Measures lung infection (POI, iHU) on chest CT. Research use only, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(bundles, name="bundle")
app.add_typer(cohort, name="cohort")
app.add_typer(severity, name="severity")
app.command()(history)
add_watch_commands(app)


class EngineName(StrEnum):
    """What runs the networks."""

    auto = "auto"
    openvino = "openvino"
    onnxruntime = "onnxruntime"


class PrecisionName(StrEnum):
    """What the layers are computed in."""

    auto = "auto"
    int8 = "int8"
    bf16 = "bf16"
    fp32 = "fp32"


@dataclass(frozen=True, slots=True)
class BoxOptions:
    """Where this box keeps its things."""

    root: Path
    settings_file: Path | None

    def settings(self) -> Settings:
        """The settings in force. Raises SettingsUnusable."""
        from scanside_runtime.settings import load_settings

        return load_settings(self.settings_file or (SETTINGS_FILE if SETTINGS_FILE.exists() else None))

    def past(self, earlier: Path | None) -> tuple[EarlierLookup | None, SeverityModel | None]:
        """Where earlier results are, and this box's severity model. Raises InputNotFound, SeverityModelUnusable."""
        from scanside_appliance.results.archive import lookup
        from scanside_appliance.site_model import model_in_force

        return lookup(self.root, earlier), model_in_force(self.root)


@dataclass(frozen=True, slots=True)
class Request:
    """How to analyse, beside which study."""

    settings: Settings
    engine: EngineName
    precision: PrecisionName
    bundle: Path | None
    earlier: EarlierLookup | None
    site_model: SeverityModel | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the result goes and in what form."""

    output: Path | None
    dicom: bool
    as_json: bool


def main() -> None:
    """Run the command line; the one place where any defect becomes exit code 1 and one line instead of a traceback."""
    _print_whatever_the_terminal()
    try:
        app()
    except ScansideError as error:
        _complain(error.code, f"{error.message} {error.advice}")
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  # the outermost of the program: nothing above it could say what happened
        _complain(ScansideError.code, f"{raised_at(error)}. {ScansideError.advice}")
        sys.exit(ScansideError.exit_code)


def _print_whatever_the_terminal() -> None:
    """A letter that the terminal doesn't know must not cost a result."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"scanside {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return version("scanside")
    except PackageNotFoundError:
        return "unknown (run from its sources)"


@app.callback()
def box(
    context: typer.Context,
    root: Annotated[
        Path, typer.Option("--root", metavar="DIR", envvar="SCANSIDE_ROOT", help="Folder of the box's own folders.")
    ] = BOX_ROOT,
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings", metavar="FILE", envvar="SCANSIDE_SETTINGS", help=f"Settings file. [{SETTINGS_FILE}]"
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Measures lung infection (POI, iHU) on chest CT. Research use only, not a medical device."""
    context.obj = BoxOptions(root, settings)


@app.command()
def analyze(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder, a zip or a DICOM file.")],
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where result, page and DICOM objects go.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result document.")] = False,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Choose this study.")] = None,
    series: Annotated[str | None, typer.Option(metavar="UID", help="Choose this series.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Each study into its own sub-folder of the output.")] = False,
    no_dicom: Annotated[bool, typer.Option("--no-dicom", help="Leave DICOM objects out.")] = False,
    engine: Annotated[EngineName, typer.Option(help="What runs the networks.")] = EngineName.auto,
    precision: Annotated[PrecisionName, typer.Option(help="What the layers are computed in.")] = PrecisionName.auto,
    bundle: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of another model bundle.")] = None,
    earlier: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of earlier results, for the trend. [the box's results]")
    ] = None,
) -> None:
    """Measure one study: POI, iHU, volumes, zones, severity flag, and what changed since the patient's last scan.

    Exit code: 0 analysed, 1 defect, 2 wrong usage, 3 refused, 4 model bundle unusable, 5 the box, 6 held for a person.
    """
    if every and (study or series):
        raise typer.BadParameter("--all takes every study; leave --study and --series out")
    delivery = Delivery(output, not no_dicom, as_json)
    try:
        request = Request(context.obj.settings(), engine, precision, bundle, *context.obj.past(earlier))
    except ScansideError as error:
        raise typer.Exit(_deliver(_refused(error), delivery)) from error
    if every:
        raise typer.Exit(_analyze_all(path, request, delivery))
    raise typer.Exit(_deliver(_analyzed(path, request, study, series), delivery))


def _refused(error: ScansideError) -> Analysis:
    """What can be said before there is an analysis: a document with the reason in it."""
    from scanside_runtime.analysis import Analysis, Reason
    from scanside_runtime.provenance import Provenance

    reason = Reason(error.code, error.message, error.advice)
    return Analysis(Provenance(settings_sha256=None), exit_code=error.exit_code, reason=reason)


def _analyze_all(path: Path, request: Request, delivery: Delivery) -> int:
    """Every study at the path; the exit code is the worst."""
    codes = []
    for uid in _study_uids(path, request.settings):
        folder = delivery.output / _folder_name(uid) if delivery.output and uid else delivery.output
        codes.append(_deliver(_analyzed(path, request, uid, None), replace(delivery, output=folder)))
    return max(codes, key=FROM_MILD_TO_GRAVE.index)


def _study_uids(path: Path, settings: Settings) -> list[str | None]:
    """All studies; where there is none or nothing can be read, one None, so that the analysis says why."""
    from scanside_runtime.dicom.reader import StudyReader
    from scanside_runtime.dicom.series import studies

    try:
        with StudyReader(settings.reading) as reader:
            return [uid for uid, _ in studies(reader.find(path))] or [None]
    except ScansideError:
        return [None]


def _folder_name(uid: str) -> str:
    """The UID where it is a valid one (digits and dots), else its hash: a header must not choose a path."""
    from hashlib import sha256

    from pydicom.uid import UID

    return uid if UID(uid).is_valid else sha256(uid.encode()).hexdigest()[:32]


def _analyzed(path: Path, request: Request, study: str | None, series: str | None) -> Analysis:
    from scanside_runtime.analysis import analyze as analyze_study

    with _progress() as report:
        return analyze_study(
            path,
            study_uid=study,
            series_uid=series,
            engine=request.engine.value,
            precision=request.precision.value,
            bundle=request.bundle,
            settings=request.settings,
            earlier=request.earlier,
            site_model=request.site_model,
            progress=report,
        )


def _deliver(analysis: Analysis, delivery: Delivery) -> int:
    """Write where that is asked for, print, give the exit code. What can't be written is printed all the same."""
    from scanside_appliance.results.output import write_output
    from scanside_runtime.errors import BoxFailed

    code = analysis.exit_code
    if delivery.output is None:
        document = analysis.document()
    else:
        try:
            document = write_output(analysis, delivery.output, dicom=delivery.dicom)
        except BoxFailed as error:
            _complain(error.code, f"{error.message} {error.advice}")
            document, code = _unwritten(analysis, error), error.exit_code
    _print_document(document, delivery)
    return code


def _unwritten(analysis: Analysis, error: ScansideError) -> dict[str, Any]:
    document = analysis.document()
    flag = {"code": error.code, "level": "caution", "message": error.message}
    return {**document, "flags": [*document["flags"], flag]}


def _print_document(document: dict[str, Any], delivery: Delivery) -> None:
    from scanside_appliance.results.output import PAGE, document_json
    from scanside_appliance.results.summary import summary

    if delivery.as_json:
        typer.echo(document_json(document))
        return
    typer.echo(summary(document))
    if delivery.output is not None and document["artefacts"]:
        typer.echo(f"{'page':<10}{delivery.output / PAGE}")


@app.command()
def demo(
    context: typer.Context,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where result, truth and page go.")] = Path("demo-out"),
    as_json: Annotated[bool, typer.Option("--json", help="Print found and true values as JSON.")] = False,
) -> None:
    """Analyse a phantom of known truth and say how near the result comes.

    Exit code: 0 within 1 percentage point of POI and 15 HU of iHU, else 1; the analysis' own code where it fails.
    """
    from scanside_appliance.demo import comparison_lines, run_demo
    from scanside_appliance.results.output import document_json
    from scanside_appliance.results.summary import summary

    with _progress() as report:
        shown = run_demo(output, context.obj.settings(), report)
    if as_json:
        typer.echo(document_json(shown.facts()))
    else:
        typer.echo("\n".join([summary(shown.document), "", *comparison_lines(shown.rows), str(shown.page)]))
    raise typer.Exit(shown.exit_code)


@app.command()
def selftest(
    context: typer.Context,
    engine: Annotated[EngineName, typer.Option(help="What runs the networks.")] = EngineName.auto,
    precision: Annotated[PrecisionName, typer.Option(help="What the layers are computed in.")] = PrecisionName.auto,
    bundle: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of another model bundle.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Compare what this box computes on the bundle's sample with what the exporter computed.

    Exit code: 0 the masks agree, 4 they do not, or the bundle can't be used.
    """
    import json
    from dataclasses import asdict

    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.engine import choose_engine
    from scanside_runtime.model.selftest import run_selftest

    choice = choose_engine(engine.value, precision.value, context.obj.settings().inference.threads)
    found = run_selftest(open_bundle(bundle), choice)
    if as_json:
        typer.echo(json.dumps({"engine": choice.name, **asdict(found)}))
    else:
        typer.echo(f"lungs {found.lungs_dice:.4f}, infection {found.infection_dice:.4f} (Dice; 1 is the same)")
        typer.echo(f"{choice.name}, {found.precision}: this box computes what the exporter computed")


@app.command()
def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A reason code, for example GEOMETRY_MISSING_SLICES.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Say what a reason code means, how it is found, and what to do now."""
    import json
    from dataclasses import asdict

    from scanside_appliance.explain import explanation, known_codes

    found = explanation(code)
    if found is None:
        raise typer.BadParameter(f"no such code; known: {', '.join(known_codes())}")
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        typer.echo(f"{found.code} ({found.kind})")
        typer.echo(f"{found.message}\n\nhow it is found   {found.measured}\nwhat to do now    {found.advice}")


@contextmanager
def _progress() -> Iterator[Any]:
    """A callback (stage, done, total) that draws a bar on stderr; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)


def _complain(code: str, text: str) -> None:
    typer.echo(f"scanside: {code}: {text}", err=True)
