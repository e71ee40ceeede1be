"""The command line `scanside`. Each command parses, calls and prints; results go to stdout, all else to stderr.

What a command needs is imported inside it: `scanside --help` answers without loading an engine or an imaging library.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from scanside_appliance.cli.analyze import analyze
from scanside_appliance.cli.box.audit import audit
from scanside_appliance.cli.box.backup import backup, restore
from scanside_appliance.cli.box.bundle import bundles
from scanside_appliance.cli.box.doctor import doctor
from scanside_appliance.cli.box.pack import pack
from scanside_appliance.cli.box.receive import receive
from scanside_appliance.cli.box.results import results
from scanside_appliance.cli.box.send import send
from scanside_appliance.cli.box.serve import serve
from scanside_appliance.cli.box.upkeep import rebuild, redo, verify
from scanside_appliance.cli.box.watch import queue, release, retry, status, watch
from scanside_appliance.cli.box.worklist import worklist
from scanside_appliance.cli.cohort import cohort
from scanside_appliance.cli.demo import demo
from scanside_appliance.cli.explain import explain
from scanside_appliance.cli.history import history
from scanside_appliance.cli.language import speak, spoken, stated_language
from scanside_appliance.cli.options import BOX_ROOT, SETTINGS_FILE, BoxOptions, LanguageName, path_option
from scanside_appliance.cli.progress import complain
from scanside_appliance.cli.selftest import selftest
from scanside_appliance.cli.severity import severity
from scanside_appliance.cli.tune import tune
from scanside_appliance.defects import of_the_disk, raised_at
from scanside_runtime.errors import ScansideError
from scanside_runtime.process.settle import settle_in

app = typer.Typer(
    name="scanside",
    help=(
        "Measures lung infection (POI, iHU) on chest CT. Research use only, not a medical device.\n\n"
        "Begin with `scanside demo`, then `scanside analyze FOLDER --output DIR`. Each command says more with --help."
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(bundles, name="bundle")
app.add_typer(cohort, name="cohort")
app.add_typer(severity, name="severity")
COMMANDS: tuple[Callable[..., None], ...] = (
    *(analyze, demo, worklist, results, history, explain, selftest, doctor),
    *(receive, send, serve, pack, backup, restore, audit, tune),
    *(watch, status, queue, retry, release, redo, rebuild, verify),
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line; the one place where any defect becomes exit code 1 and one line instead of a traceback."""
    settle_in(__name__)
    _print_whatever_the_terminal()
    try:
        app()
    except ScansideError as error:
        complain(error.code, spoken().with_advice(error))
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  # the outermost of the program: nothing above it could say what happened
        disk = of_the_disk(error)
        if disk is None:
            complain(ScansideError.code, f"{raised_at(error)}. {spoken()(ScansideError.advice)}")
            sys.exit(ScansideError.exit_code)
        complain(disk.code, spoken().with_advice(disk))
        sys.exit(disk.exit_code)


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
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("scanside")
    except PackageNotFoundError:
        return "unknown (run from its sources)"


@app.callback()
def box(
    context: typer.Context,
    root: Annotated[
        Path, path_option("--root", metavar="DIR", envvar="SCANSIDE_ROOT", help="Folder of the box's own folders.")
    ] = BOX_ROOT,
    settings: Annotated[
        Path | None,
        path_option("--settings", metavar="FILE", envvar="SCANSIDE_SETTINGS", help=f"Settings file. [{SETTINGS_FILE}]"),
    ] = None,
    language: Annotated[
        LanguageName | None,
        typer.Option(
            "--language",
            envvar="SCANSIDE_LANGUAGE",
            help="What it says to you, and on the page. [the setting site.language, else the terminal's]",
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Measures lung infection (POI, iHU) on chest CT. Research use only, not a medical device."""
    context.obj = BoxOptions(root, settings, language)
    speak(language, stated_language(context.obj.settings_in_use()))
