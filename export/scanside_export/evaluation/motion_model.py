"""Fits the motion detector of the runtime, and measures it on series that it was not made with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scanside_export.data.motion import KINDS, Kind
from scanside_export.data.motion_cases import HEART_HEIGHT, MOVED, SLIGHTLY, STILL, Marks, motion_case
from scanside_export.data.volumes import real_volume
from scanside_runtime.model.networks import Networks
from scanside_runtime.model.segment import segment
from scanside_runtime.quality.motion import OFFSET, WEIGHTS, motion_features
from scanside_runtime.quality.overview import Overview, make_overview
from scanside_runtime.volume import Masks, Volume

Numbers = npt.NDArray[np.float64]

DEVELOPED_ON = (
    "nsclc-r01-001_thorax_2mm.npz",
    "lidc-idri-0314_chest_2mm.npz",
    "4dlung-113_gated40_3mm.tar.xz",
    "extra/lidc-idri-0001_2.5mm.npz",
    "extra/lidc-idri-0003_2.5mm.npz",
    "extra/cptac-lscc-c3n-00247_3mm.npz",
    "pyradiomics-lung1_5mm.npz",
    "extra/cmb-crc-msb-01068_2.5mm.npz",
)
MEASURED_ON = (
    "lung-dx-a0001_chest-5mm_two-kernels.tar.xz",
    "pyradiomics-lung2_5mm.npz",
    "extra/lidc-idri-0002_2.5mm.npz",
    "extra/tcga-thca-de-a4ma_2.5mm.npz",
)
"""Real series of the folder `ct`: arrays, and archives of DICOM files."""

PENALTY = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The slabs of one series in which some moved.

    features: (n, 3) float64. marks: (n,) int8. height: (n,) 0 at the base of the lungs to 1 at the apex.
    """

    series: str
    kind: Kind
    features: Numbers
    marks: Marks
    height: Numbers

    def in_reach(self) -> npt.NDArray[np.bool_]:
        """Slabs that count: judged, and at a height at which this kind of motion was made."""
        low, high = HEART_HEIGHT if self.kind == "cardiac" else (0.0, 1.0)
        judged = np.isfinite(self.features).all(axis=1) & (self.marks != SLIGHTLY)
        return np.asarray(judged & ((self.marks == MOVED) | ((self.height >= low) & (self.height <= high))))


def real_volumes(data: Path, names: Iterable[str]) -> Iterator[tuple[str, Volume]]:
    """Series of the folder `ct` by name."""
    for name in names:
        yield name, real_volume(data / "ct" / name)


def seen_in(name: str, volume: Volume, networks: Networks, seeds: Iterable[int]) -> Iterator[Seen]:
    """The series as it is, then with breathing and with heartbeat, through the whole of the deployed segmentation."""
    masks = segment(volume, networks)
    yield seen(name, "respiratory", volume, masks, np.zeros(len(volume.hu), dtype=np.int8))
    for seed in seeds:
        for kind in KINDS:
            case = motion_case(name, volume.hu, masks.lungs, volume.spacing_mm, kind, seed)
            moving = Volume(case.hu, volume.affine.copy(), volume.spacing_mm, volume.slice_thickness_mm)
            yield seen(name, kind, moving, segment(moving, networks), case.marks)


def seen(name: str, kind: Kind, volume: Volume, masks: Masks, marks: Marks) -> Seen:
    """What the detector sees in one series, beside what was done to it."""
    overview = make_overview(volume, masks)
    lung = overview.lungs.any(axis=(1, 2))
    inside = np.flatnonzero(lung)
    height = (np.arange(len(overview)) - inside[0]) / max(1, inside[-1] - inside[0])
    return Seen(name, kind, motion_features(overview), _slab_marks(overview, marks), np.clip(height, 0.0, 1.0))


def _slab_marks(overview: Overview, marks: Marks) -> Marks:
    """A slab moved when all its slices did, and is still when none did."""
    of_slabs = np.full(len(overview), SLIGHTLY, dtype=np.int8)
    for slab in range(len(overview)):
        here = marks[overview.slices_of(slab)]
        if (here == here[0]).all():
            of_slabs[slab] = here[0]
    return of_slabs


def fit(cases: Iterable[Seen]) -> tuple[Numbers, float]:
    """Weights (3,) and offset of the logistic model, both classes weighing the same."""
    features, moved = _stacked(cases)
    centre, scale = features.mean(axis=0), features.std(axis=0)
    design = np.column_stack([np.ones(len(features)), (features - centre) / scale])
    weight = np.where(moved, 0.5 / moved.mean(), 0.5 / (1.0 - moved.mean()))
    penalty = PENALTY * np.diag([0.0] + [1.0] * features.shape[1])
    solution = np.zeros(design.shape[1])
    for _ in range(50):  # Newton's method; it stands still long before
        probability = 1.0 / (1.0 + np.exp(-design @ solution))
        gradient = design.T @ (weight * (probability - moved)) + penalty @ solution
        curvature = (design * (weight * probability * (1 - probability))[:, None]).T @ design + penalty
        solution -= np.linalg.solve(curvature, gradient)
    weights = solution[1:] / scale
    return weights, float(solution[0] - weights @ centre)


def _stacked(cases: Iterable[Seen]) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    chosen = [(case.features[case.in_reach()], case.marks[case.in_reach()] == MOVED) for case in cases]
    return np.concatenate([features for features, _ in chosen]), np.concatenate([marks for _, marks in chosen])


def left_out_scores(cases: list[Seen]) -> list[Numbers]:
    """Log odds of every slab that counts, case by case, by the model fitted without its series."""
    scores = []
    for case in cases:
        weights, offset = fit([other for other in cases if other.series != case.series])
        scores.append(case.features[case.in_reach()] @ weights + offset)
    return scores


def shipped_scores(cases: list[Seen]) -> list[Numbers]:
    """Log odds of every slab that counts, case by case, by the model of the runtime."""
    return [case.features[case.in_reach()] @ np.array(WEIGHTS) + OFFSET for case in cases]


def area_under_curve(scores: Numbers, moved: npt.NDArray[np.bool_]) -> float:
    """The chance that a moved slab scores higher than a still one, ties counting half (Mann and Whitney)."""
    _, rank, count = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = (np.cumsum(count) - (count - 1) / 2)[rank]
    positives = int(moved.sum())
    return float((mean_rank[moved].sum() - positives * (positives + 1) / 2) / (positives * (len(moved) - positives)))


def figures(cases: list[Seen], scores: list[Numbers], moved_from: float) -> dict[str, float | int]:
    """AUC of both kinds together and each, found share of moved slabs, false alarms on untouched ones."""
    log_odds = np.log(moved_from / (1.0 - moved_from))
    found: dict[str, float | int] = {}
    for name, kinds in (("all", KINDS), *((kind, (kind,)) for kind in KINDS)):
        chosen = [(case, score) for case, score in zip(cases, scores, strict=True) if case.kind in kinds]
        if not chosen:
            continue
        marks = np.concatenate([case.marks[case.in_reach()] == MOVED for case, _ in chosen])
        joined = np.concatenate([score for _, score in chosen])
        found[f"{name}_auc"] = round(area_under_curve(joined, marks), 4)
        found[f"{name}_moved_slabs"] = int(marks.sum())
        found[f"{name}_found_percent"] = round(100.0 * float((joined[marks] >= log_odds).mean()), 1)
    pairs = zip(cases, scores, strict=True)
    still = np.concatenate([score[case.marks[case.in_reach()] == STILL] for case, score in pairs])
    found["untouched_slabs"] = len(still)
    found["false_alarm_percent"] = round(100.0 * float((still >= log_odds).mean()), 2)
    return found
