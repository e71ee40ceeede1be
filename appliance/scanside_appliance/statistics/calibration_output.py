"""A calibration for people: lines for a terminal, pictures for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scanside_appliance.files.atomic import replace_file, writing
from scanside_appliance.statistics.calibration import Exams, Model
from scanside_appliance.statistics.plots import box_picture, roc_picture

ROC, BOXES = "roc.png", "boxes.png"
NAMES = {("poi_percent",): "POI", ("ihu_hu",): "iHU", ("poi_percent", "ihu_hu"): "POI and iHU"}


def write_pictures(exams: Exams, models: Sequence[Model], folder: Path) -> list[str]:
    """ROC curves and box plots into a folder; gives their paths. Raises BoxOutput."""
    curves = [(f"{NAMES[one.features]}: {one.area.value:.3f}", one.positive, one.score) for one in models]
    pictures = {ROC: roc_picture(curves), BOXES: box_picture(exams.label, exams.positive, exams.measures)}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in pictures.items():
            replace_file(folder / name, content)
    return [str(folder / name) for name in pictures]


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """The facts of `cohort calibrate` in words."""
    for model in facts["models"]:
        yield from _model_lines(model)
    for refusal in facts["not_fitted"]:
        yield f"not fitted: {refusal}"
    for reason, rows in facts["left_out"].items():
        if rows:
            yield f"left out: {rows} row(s), {reason.replace('_', ' ')}"
    if facts["nobodys"]:
        yield f"{facts['nobodys']} row(s) without a patient's own ID: each counts as a patient of its own"
    for picture in facts["pictures"]:
        yield f"picture: {picture}"
    if "site_model" in facts:
        site = facts["site_model"]
        yield f"site model: {site['name']}, severe from a probability of {site['cut_off']:.4f}"
    if "applied" in facts:
        change = facts["applied"]
        yield f"in force: {change['after']}; before: {change['before'] or 'none of its own'}"
        yield "back: scanside severity rollback"


def _model_lines(model: dict[str, Any]) -> Iterator[str]:
    patients = f"{model['patients']} patients, {model['patients_with_events']} of them severe"
    yield f"{NAMES[tuple(model['features'])]}: {model['n']} exams, {model['events']} severe ({patients})"
    interval, plain = (_interval(model[key]) for key in ("auc_ci95", "auc_ci95_delong"))
    yield f"  AUC          {model['auc']:.4f}, 95 % {interval} (plain DeLong {plain})"
    yield f"  cut-off      severe {model['severe_when']} {model['cut_off']:.4g} {_unit(model)} (Youden)"
    for name in ("sensitivity", "specificity"):
        count, n = model[f"{name}_counts"]
        yield f"  {name}  {100 * model[name]:.2f} % ({count}/{n}), 95 % {_percent(model[f'{name}_ci95'])} (exact)"
    yield from _odds_lines(model)
    if model["by_patient"] is not None:
        yield _patient_line(model["by_patient"])
    elif model["patients"] < model["n"]:
        yield "  by patient   not measured: the intervals take every exam for a patient of its own, and are too short"
    if model["sensitivity_optimism"] is not None:
        yield (
            "  optimism     the cut-off was chosen on these exams: sensitivity looks "
            f"{_points(model['sensitivity_optimism'])}, specificity {_points(model['specificity_optimism'])} too high"
        )


def _odds_lines(model: dict[str, Any]) -> Iterator[str]:
    if model["aic"] is None:
        yield "  odds ratio   not finite: the groups do not overlap"
        return
    one = len(model["features"]) == 1
    ratios, intervals, ps, sds = (
        [model[key]] if one else model[key] for key in ("odds_ratio_per_sd", "odds_ratio_ci95", "p_value", "sd")
    )
    for name, ratio, interval, p, sd in zip(model["features"], ratios, intervals, ps, sds, strict=True):
        yield f"  odds ratio   {ratio:.2f} per SD of {name} ({sd:.3g}), 95 % {_interval(interval, 2)}, p {_p(p)}"
    yield f"  AIC          {model['aic']:.2f}"


def _patient_line(found: dict[str, Any]) -> str:
    return (
        f"  by patient   AUC {_interval(found['auc_ci95'])}, sensitivity {_percent(found['sensitivity_ci95'])}, "
        f"specificity {_percent(found['specificity_ci95'])} ({found['resamples']} draws of patients)"
    )


def _unit(model: dict[str, Any]) -> str:
    return {"percent": "%", "HU": "HU"}.get(model["cut_off_unit"], "probability")


def _interval(interval: Sequence[float], digits: int = 4) -> str:
    return f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def _percent(interval: Sequence[float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
