"""`scanside cohort evaluate`: masks against masks, changes against reports, groups against each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scanside_appliance.cli.options import AsJson, path_argument, path_option
from scanside_appliance.extras import extra
from scanside_runtime.errors import shown

evaluate = typer.Typer(help="Agreement and differences over many studies.", no_args_is_help=True, rich_markup_mode=None)


@evaluate.command()
def masks(
    dir_a: Annotated[Path, path_argument(metavar="DIR_A", help="Masks of one reader: NIfTI, DICOM SEG or PNG.")],
    dir_b: Annotated[Path, path_argument(metavar="DIR_B", help="Masks of the other, with the same names.")],
    segment: Annotated[str, typer.Option(metavar="LABEL", help="Which segment of a DICOM SEG.")] = "Infection",
    as_json: AsJson = False,
) -> None:
    """Compare two sets of masks, paired by name: Dice.

    Mean, SD, median, and each case. PNG pictures of a sub-folder together are one case.

    Exit code: 0 compared, 3 the masks can't be compared.
    """
    from scanside_appliance.cli.progress import long_progress

    with extra():
        from scanside_appliance.statistics.mask_pairs import compare_masks, names_alone
    with long_progress() as report:
        table = compare_masks(dir_a, dir_b, segment, report)
    if as_json:
        typer.echo(json.dumps(table.to_document()))
        return
    for line in names_alone(table):
        typer.echo(shown(line), err=True)
    for case in table.cases:
        typer.echo(f"{case.dice:.4f}  {shown(case.name)}")
    sd = "" if table.dice_sd is None else f" ± {table.dice_sd:.4f}"
    typer.echo(f"n = {table.n}, Dice {table.dice_mean:.4f}{sd} (mean ± SD), median {table.dice_median:.4f}")


@evaluate.command()
def changes(
    context: typer.Context,
    table: Annotated[
        Path, path_argument(metavar="TABLE", help="CSV: patient_id, acquired_at, poi_percent, ihu_hu, phrase.")
    ],
    phrases: Annotated[list[Path] | None, path_option(metavar="FILE", help="A further list of phrases (TOML).")] = None,
    poi_limit: Annotated[float | None, typer.Option(min=0, help="Points of POI that are no change yet.")] = None,
    ihu_limit: Annotated[float | None, typer.Option(min=0, help="HU of iHU that are no change yet.")] = None,
    as_json: AsJson = False,
) -> None:
    """Agreement of POI and iHU changes with report phrases.

    Counts, kappa, standard errors, strength. A phrase speaks of the change since the row before of the same
    patient. Opposite phrases in one report are left out, and so are rows whose patient_id is a placeholder
    (ANONYMOUS, 0 ...; setting patient.placeholder_ids) or empty. Changes count by their sign; beside that stands
    the three-way trend, beyond the measurement error of the bundle.

    Exit code: 0 compared, 3 the table can't be used.
    """
    with extra():
        from scanside_appliance.statistics.changes import change_tables, phrase_counts, read_changes
        from scanside_appliance.statistics.changes_output import lines
        from scanside_appliance.statistics.phrases.report_phrases import phrase_lists
    placeholders = context.obj.settings().patient.placeholder_ids
    found, left_out = read_changes(table, phrase_lists(phrases or ()), placeholders)
    if left_out:
        why = "without a patient's own ID were left out: nobody knows whose course it is"
        typer.echo(f"{left_out} row(s) {why}", err=True)
    limits = _limits(context, poi_limit, ihu_limit)
    tables = [one.to_document() for one in change_tables(found, limits)]
    counted = {"pairs": len(found), "left_out": left_out, "phrases_found": phrase_counts(found)}
    facts = {**counted, "limits": limits, "tables": tables}
    typer.echo(json.dumps(facts) if as_json else "\n".join(lines(facts)))


def _limits(context: typer.Context, poi_limit: float | None, ihu_limit: float | None) -> dict[str, float]:
    """What is asked for, else the measurement error that `scanside history` goes by."""
    from scanside_runtime.followup.measurement_error import measurement_error
    from scanside_runtime.model.bundle import open_bundle

    bundle = open_bundle()
    error = measurement_error(bundle.limits_of_agreement, context.obj.settings().progression, bundle.title)
    return {
        "poi_percent": error.poi_points if poi_limit is None else poi_limit,
        "ihu_hu": error.ihu_hu if ihu_limit is None else ihu_limit,
    }


@evaluate.command()
def groups(
    context: typer.Context,
    table: Annotated[Path, path_argument(metavar="TABLE", help="CSV or Parquet with the label's column.")],
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column with 1 and 0.")],
    measure: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="A number to compare.")] = None,
    category: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="A category to count.")] = None,
    pictures: Annotated[Path | None, path_option(metavar="DIR", help="Where the box plots go (PNG).")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two groups of a table, with box plots.

    Characteristics (chi-squared) and measures (Mann-Whitney). Without --measure and --category: poi_percent,
    ihu_hu, age_years and sex, as far as the table has them.

    Exit code: 0 compared, 3 the table can't be used.
    """
    with extra():
        from scanside_appliance.statistics.group_table import compare_groups, lines
    placeholders = context.obj.settings().patient.placeholder_ids
    facts = compare_groups(table, label, measure, category, pictures, placeholders)
    typer.echo(json.dumps(facts) if as_json else "\n".join(map(shown, lines(facts))))


@evaluate.command()
def printed(
    n: Annotated[int, typer.Option("--n", min=1, max=2000, help="Number of reports.")],
    kappa: Annotated[str, typer.Option(metavar="FIGURE", help="Kappa with all its printed digits, 0.8220.")],
    agreement: Annotated[
        str | None, typer.Option(metavar="FIGURE", help="Observed agreement, 0.9155 or 91.55%.")
    ] = None,
    error: Annotated[str | None, typer.Option(metavar="FIGURE", help="Standard error of kappa, 0.0492.")] = None,
    other: Annotated[int, typer.Option(min=0, max=2000, help="Also try all numbers of reports up to this.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Find the 2 x 2 tables behind a printed kappa.

    Those that give the agreement, kappa and standard error that a paper prints.

    Exit code: 0 there is such a table, 3 there is none (a figure of the row is misprinted).
    """
    with extra():
        from scanside_appliance.statistics.printed_agreement import other_sizes, read_printed, tables_that_print
    row = read_printed(agreement, kappa, error)
    tables = tables_that_print(row, n)
    sizes = other_sizes(row, range(1, other + 1))
    if as_json:
        typer.echo(json.dumps({"n": n, "tables": tables, "other_n": sizes}))
    else:
        typer.echo("\n".join(f"[[{a}, {b}], [{c}, {d}]]" for (a, b), (c, d) in tables) or f"no table with n = {n}")
        if other:
            typer.echo(f"n for which there is one: {', '.join(map(str, sizes)) or 'none'}")
    raise typer.Exit(0 if tables else 3)
