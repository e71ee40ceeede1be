"""Figures of held-out patients: as plain values for JSON and the model card, and as a table to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from scanside_export.evaluation.held_out import HeldOutScore, HeldOutScores
from scanside_export.evaluation.score_table import markdown


def held_out_document(scores: HeldOutScores) -> dict[str, Any]:
    """Means, worst ones and every row; keys end in their unit."""
    return {
        "lesions": [
            _lesions(slab_mm, [score for score in scores.lesions if _class_mm(score) == slab_mm])
            for slab_mm in sorted({_class_mm(score) for score in scores.lesions})
        ],
        "near_healthy": {
            "n": len(scores.near_healthy),
            "poi_percent_max": max(score.poi_percent for score in scores.near_healthy),
            "lungs_dice_min": min(score.lungs_dice for score in scores.near_healthy),
            "rows": _rows(scores.near_healthy),
        },
        "consolidation": {
            "n": len(scores.consolidation),
            "lungs_dice_min": min(score.lungs_dice for score in scores.consolidation),
            "lung_volume_error_percent_worst": max(
                (score.lung_volume_error_percent for score in scores.consolidation), key=abs
            ),
            "rows": _rows(scores.consolidation),
        },
    }


def _lesions(slab_mm: int, scores: Sequence[HeldOutScore]) -> dict[str, Any]:
    errors = np.array([score.poi_error_points for score in scores])
    return {
        "slab_mm": slab_mm,
        "n": len(scores),
        "dice_mean": float(np.mean([score.dice for score in scores])),
        "dice_min": min(score.dice for score in scores),
        "poi_bias_points": float(errors.mean()),
        "poi_absolute_error_points": float(np.abs(errors).mean()),
        "rows": _rows(scores),
    }


def _class_mm(score: HeldOutScore) -> int:
    """5 or 10: slabs are averaged from whole slices, so they are only about as thick as was asked for."""
    return 5 if score.slab_mm < 7.5 else 10


def _rows(scores: Sequence[HeldOutScore]) -> list[dict[str, Any]]:
    return [asdict(score) for score in scores]


def held_out_table(figures: Mapping[str, Any]) -> str:
    """The figures as Markdown, without headings."""
    healthy, dense = figures["near_healthy"], figures["consolidation"]
    rows = [row for part in figures["lesions"] for row in _lesion_rows(part)]
    rows += [
        (f"near-healthy, all thicknesses (n {healthy['n']}): highest POI in %", f"{healthy['poi_percent_max']:.2f}"),
        ("the same: lowest Dice of the lungs", f"{healthy['lungs_dice_min']:.3f}"),
        (f"40 % of a lung consolidated (n {dense['n']}): lowest Dice of that lung", f"{dense['lungs_dice_min']:.3f}"),
        ("the same: worst error of its volume in %", f"{dense['lung_volume_error_percent_worst']:+.1f}"),
    ]
    return markdown(("held-out patients", "measured"), rows)


def _lesion_rows(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    where = f"drawn lesions, slabs of some {part['slab_mm']} mm (n {part['n']})"
    return [
        (f"{where}: Dice, mean and worst", f"{part['dice_mean']:.3f}, {part['dice_min']:.3f}"),
        (
            "the same: POI error in points, bias and absolute",
            f"{part['poi_bias_points']:+.2f}, {part['poi_absolute_error_points']:.2f}",
        ),
    ]
