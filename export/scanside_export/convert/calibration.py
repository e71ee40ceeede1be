"""Real slabs for quantisation: drawn across cases by the training's own sampler, without its distortions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scanside_export.convert.quantize import Floats
from scanside_export.data.cases import Case
from scanside_export.data.recipe import Recipe
from scanside_export.data.samples import Sampler

CALIBRATION_SEED = 77
REAL_SOURCES = ("infection-3d", "real", "lung-2d", "infection-2d")


def calibration_stacks(cases: Sequence[Case], recipe: Recipe, count: int) -> list[Floats]:
    """`count` stacks, each (1, depth, rows, columns) float32 in 0..1, from scans only: no phantom."""
    shares = {source: recipe.shares.get(source, 0.0) for source in REAL_SOURCES}
    plain = replace(recipe, shares=shares, augment={}, seed=CALIBRATION_SEED)
    sampler = Sampler(cases, plain)
    return [sampler.draw(number).stack[None] for number in range(count)]
