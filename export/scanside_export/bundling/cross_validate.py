"""Cross-validation by patient: train, export, quantise and score each fold through the deployed INT8 runtime.

Each fold's folder holds `runs`, `work`, `bundle` and `evaluation.json`; what is finished is not done again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanside_export.bundling.model_card import Release
from scanside_export.bundling.write_bundle import build_bundle
from scanside_export.convert.export_networks import calibration_stacks, export_networks, quantize_networks
from scanside_export.convert.parity import compare
from scanside_export.data.cases import Case
from scanside_export.data.folds import SCORED_SOURCES, SCORED_VOLUMES, held_out, patient_of
from scanside_export.data.prepare import load, read_digest
from scanside_export.data.recipe import Recipe
from scanside_export.data.volumes import labelled_case
from scanside_export.data.windowed_slices import WindowedSlice
from scanside_export.errors import TrainingUnusable
from scanside_export.evaluation.fold_scores import folds_document, scores_by_threshold
from scanside_export.networks.checkpoint import Trained, drawn_from, never_drawn, read_checkpoint
from scanside_export.training.train import Run, train
from scanside_runtime.model.bundle import Bundle, open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import load_networks

SLAB_MM = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """What is the same for all folds.

    cases: what `prepare` wrote. recipes: by network. start_from: runs of a pre-training that saw no fold's patient.
    slices: labelled pictures; each fold's own block of them is scored beside its volumes.
    lungs: the checkpoint of a finished lung network that is used in all folds; without it each fold trains one.
    stoppable: what each training is done within; it is asked after each step whether to stop.
    """

    cases: Path
    work: Path
    recipes: Mapping[str, Recipe]
    start_from: Path | None = None
    slices: Sequence[WindowedSlice] = ()
    lungs: Path | None = None
    slabs: int = 300
    preset: str = "mixed"
    threads: int = 1
    stoppable: Callable[[], AbstractContextManager[Callable[[], bool]]] = lambda: nullcontext(lambda: False)


def cross_validate(plan: CrossValidation, folds: Iterable[int]) -> dict[str, Any]:
    """Run the folds, or read those that are finished; the figures of `folds_document`.

    Raises TrainingUnusable, ValueError, and Stopped where a training was asked to stop.
    """
    return folds_document([_finished(plan, fold) for fold in folds])


def _finished(plan: CrossValidation, fold: int) -> dict[str, Any]:
    """The rows of one fold, from its file if it has been run."""
    path = plan.work / f"fold_{fold}" / "evaluation.json"
    if not path.exists():
        rows = run_fold(plan, fold)
        path.with_suffix(".part").write_text(json.dumps(rows, indent=2), encoding="utf-8")
        path.with_suffix(".part").replace(path)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def run_fold(plan: CrossValidation, fold: int) -> dict[str, Any]:
    """Train without the fold's patients and pictures, deploy, and score them at each threshold."""
    cases = load(plan.cases)
    away = held_out([case.name for case in cases if case.source in SCORED_SOURCES], fold)
    lungs = {} if plan.lungs is None else {"lungs": read_checkpoint(plan.lungs)}
    drawn = [(recipe, away) for recipe in plan.recipes.values()]
    for recipe, left_out in (*drawn, *((one.recipe, one.left_out) for one in lungs.values())):
        # Before hours of training: what INT8 is to be calibrated on is there.
        calibration_stacks([case for case in cases if case.name not in left_out], recipe, 1)
    trained = _train(plan, fold, cases, away) | lungs
    bundle = _deploy(plan, plan.work / f"fold_{fold}", trained, cases)
    int8, fp32 = (load_networks(bundle, choose_engine("auto", name, plan.threads)) for name in ("int8", "fp32"))
    series = [case for case in cases if case.name in away and case.source in SCORED_VOLUMES]
    volumes = [labelled_case(case, SLAB_MM) for case in series]
    (parity,) = compare([one.volume for one in volumes], fp32, {(f"fold {fold}", "int8"): lambda: int8})
    patients = {patient_of(name) for name in away}
    mine = [one for one in plan.slices if patient_of(f"labelled_{one.name}") in patients]
    return {"by_threshold": scores_by_threshold(volumes, mine, int8), "parity": parity.document()}


def _train(plan: CrossValidation, fold: int, cases: Sequence[Case], away: frozenset[str]) -> dict[str, Trained]:
    runs = plan.work / f"fold_{fold}" / "runs"
    trained = {}
    for network, recipe in plan.recipes.items():
        start = _pre_training(plan, network, cases, away)
        left_out = tuple(sorted(away))
        run = Run(runs / network, read_digest(plan.cases, left_out), plan.threads, start, left_out)
        with plan.stoppable() as stop:
            trained[network] = read_checkpoint(train(cases, recipe, run, stop=stop))
    return trained


def _pre_training(plan: CrossValidation, network: str, cases: Sequence[Case], away: frozenset[str]) -> Path | None:
    """The checkpoint to begin at. Raises TrainingUnusable when it may have seen one of the fold's patients."""
    if plan.start_from is None:
        return None
    path = plan.start_from / network / "checkpoint.pt"
    before = read_checkpoint(path)
    seen = sorted(case.name for case in cases if case.name in away and before.saw(case.name, case.source))
    if seen:
        why = f"it may have seen {seen[0]} and {len(seen) - 1} other case(s) of the fold"
        raise TrainingUnusable(folder=path, why=why)
    return path


def _deploy(plan: CrossValidation, folder: Path, trained: Mapping[str, Trained], cases: Sequence[Case]) -> Bundle:
    """The fold's bundle, as the box would get it, unless it is there; one that was cut off half-built is built anew."""
    ready, part = folder / "bundle", folder / "bundle.part"
    if ready.exists():
        return open_bundle(ready)
    shutil.rmtree(part, ignore_errors=True)
    work = folder / "work"
    list(export_networks(trained, work))
    list(quantize_networks(trained, work, cases, plan.slabs, plan.preset))
    saw, not_saw = drawn_from(trained.values()), never_drawn(trained.values())
    release = Release(f"cross-validation-{folder.name}", "0", "0.1.0", {}, left_out=not_saw, sources=saw)
    contracts = {name: one.contract for name, one in trained.items()}
    build_bundle(work, part, release, contracts)
    part.rename(ready)
    return open_bundle(ready)
