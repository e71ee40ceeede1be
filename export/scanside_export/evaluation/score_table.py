"""Figures of an evaluation as Markdown, for the model card and for whoever reads a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scanside_export.evaluation.score_summary import bootstrap_ci95

GROUPS = {
    "by_source": "by source",
    "by_slab_mm": "by slab thickness in mm",
    "by_infection_ml": "by infection volume in ml",
}


def table(figures: Mapping[str, Any]) -> str:
    """What `evaluate volumes`, `evaluate slices` or `cross-validate` gave, as Markdown without headings."""
    parts = [_means(figures)]
    if "volumes" in figures:
        parts += [_series(figures["volumes"]), *(_groups(figures[key], title) for key, title in GROUPS.items())]
    return "\n\n".join(parts)


def _means(figures: Mapping[str, Any]) -> str:
    of = f"series of {figures['patients']} patients" if "patients" in figures else "slices"
    rows = [
        ("n", f"{figures['n']} {of}"),
        ("Dice, mean", _number(figures["dice_mean"]) + _interval(_ci95(figures))),
        ("Dice, SD and median", f"{_number(figures['dice_sd'])}, {_number(figures['dice_median'])}"),
        ("sensitivity, precision", f"{_number(figures['sensitivity_mean'])}, {_number(figures['precision_mean'])}"),
    ]
    if "thresholds" in figures:
        thresholds = ", ".join(f"{one:g}" for one in figures["thresholds"])
        rows.append(("thresholds, each chosen on the other folds", thresholds))
    if "volumes" in figures:
        rows += _of_volumes(figures)
    return markdown(("what", "measured"), rows)


def _ci95(figures: Mapping[str, Any]) -> Sequence[float] | None:
    """Over patients; slices whose patients are not known stand for themselves."""
    if "slices" in figures:
        return bootstrap_ci95({row["name"]: [row["dice"]] for row in figures["slices"]})
    return figures.get("dice_ci95")


def _of_volumes(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    poi, readers = figures["poi"], figures["readers"]
    limits = f"{_number(poi['lower_points'], '+.2f')} to {_number(poi['upper_points'], '+.2f')}"
    return [
        ("Dice, pooled", _number(figures["dice_pooled"])),
        ("Dice by a threshold instead", _number(figures["baseline_dice_mean"])),
        (
            f"Dice against reader A, reader B; between them (n {readers['n']})",
            ", ".join(_number(readers[key]) for key in ("dice_reader_a", "dice_reader_b", "dice_between")),
        ),
        (
            "infection of all series in ml: found, drawn by readers",
            ", ".join(_number(figures.get(key), ".0f") for key in ("found_ml", "reference_ml")),
        ),
        (
            "infection volume error in %, mean and median",
            f"{_number(figures['volume_error_percent_mean'], '+.1f')}, "
            f"{_number(figures['volume_error_percent_median'], '+.1f')}",
        ),
        ("lungs, Dice", _number(figures["lungs_dice_mean"])),
        ("lung volume error in %", _number(figures["lung_volume_error_percent_mean"], "+.1f")),
        ("called lung far from the lungs, ml, worst series", _number(figures.get("lung_elsewhere_ml_max"), ".1f")),
        (
            f"POI error in points (n {poi['n']}): bias, absolute, limits of agreement",
            f"{_number(poi['bias_points'], '+.2f')}, {_number(poi['absolute_error_points'], '.2f')}, {limits}",
        ),
    ]


def _series(volumes: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            one["name"],
            " / ".join(_number(value) for value in one["dice"]),
            _number(one["lungs_dice"]),
            _number(one["poi_percent"], ".1f"),
            " / ".join(_number(value, ".1f") for value in one["poi_percent_readers"]),
        )
        for one in volumes
    ]
    return markdown(("series", "Dice by reader", "lungs", "POI %", "POI % by reader"), rows)


def _groups(groups: Mapping[str, Mapping[str, Any]], title: str) -> str:
    rows = [
        (name, str(group["n"]), _number(group["dice_mean"]) + _interval(group["dice_ci95"]))
        for name, group in groups.items()
    ]
    return markdown((title, "n", "Dice"), rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells without line breaks."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _number(value: float | None, form: str = ".3f") -> str:
    return "not measured" if value is None else format(value, form)


def _interval(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f" (95 % interval {ends[0]:.3f} to {ends[1]:.3f})"
