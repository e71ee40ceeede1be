"""`scanside results`: where the report of a patient, of a day, or the last one lies."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import AsJson, open_store
from scanside_appliance.languages.catalogue import to_translate

MANY = to_translate("{number} reports match, so none is opened: say more, for example the day of the scan.")
WITHOUT_BOOK = to_translate("{error} Until then reports are found by what lies in {folder}.")
NEWEST = to_translate("{number} reports of one patient are found, and the newest is opened.")


def results(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PATIENT|DATE|last",
            help="Patient's ID or name, a day, or `last`; in a terminal also beginnings of words of name and day.",
        ),
    ],
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Every revision, not only the one that counts.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser, too: a patient's newest.")] = False,
) -> None:
    """Find the page of a patient, of a day, or the last one.

    Prints the paths of reports, oldest scan first; a revision that was refused hides none that was measured. In a
    terminal the patient stands before each path. In a pipe and as JSON only what fits to the letter is found.

    Example: scanside results last --open

    Exit code: 0 printed, 3 there is none.
    """
    seen = sys.stdout.isatty() and not as_json
    found = _found(context, " ".join(words), every=every, in_words=seen)
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))
    else:
        typer.echo("\n".join(map(_line if seen else _path, found)))
    if seen and any(one["cautions"] for one in found):
        _say_what_care_means()
    if show:
        _open(found)


def _say_what_care_means() -> None:
    from scanside_appliance.results.with_care import READ_WITH_CARE

    typer.echo(spoken()(READ_WITH_CARE), err=True)


def _open(found: Sequence[Mapping[str, Any]]) -> None:
    """The newest, unless more than one patient was found: none is opened in place of another."""
    patients = {(one["patient_id"], one["patient_name"]) for one in found}
    is_one = len(found) == 1 or (len(patients) == 1 and found[0]["patient_id"])
    if len(found) > 1:
        typer.echo(spoken()(NEWEST if is_one else MANY, number=len(found)), err=True)
    if is_one:
        typer.launch(found[-1]["report"])


def _found(context: typer.Context, wanted: str, *, every: bool, in_words: bool) -> list[dict[str, Any]]:
    """From the book where there is one: of 20 000 documents none has to be read then."""
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.jobs.book.errors import BoxDatabaseMissing
    from scanside_appliance.results.finder import found_results
    from scanside_appliance.worklist.finding import listed_results
    from scanside_runtime.errors import BoxFailed

    layout = BoxLayout(context.obj.root)
    if not every:
        try:
            with open_store(context) as store:
                return listed_results(layout, store, wanted, in_words=in_words)
        except BoxDatabaseMissing:  # a folder of results
            pass
        except BoxFailed as error:
            advised = spoken().with_advice(error)
            typer.echo(f"{error.code}: {spoken()(WITHOUT_BOOK, error=advised, folder=layout.results)}", err=True)
    return found_results(layout.results, wanted, every=every, in_words=in_words)


def _path(one: Mapping[str, Any]) -> str:
    return str(one["report"])


def _line(one: Mapping[str, Any]) -> str:
    from scanside_appliance.files.names import harmless
    from scanside_appliance.page.formatting import moment, person
    from scanside_appliance.results.with_care import poi_text

    poi = one["poi_percent"]
    measured = "not measured" if poi is None else f"POI {poi_text(poi, care=bool(one['cautions']))}"
    said = (person(one["patient_name"]), one["patient_id"] or "", moment(one["date"] or ""), measured)
    return "  ".join(harmless(part) for part in said if part) + f"\n    {one['report']}"
