"""Each limit of the guards at both ends of what a person may set it to: an answer, or no chest, never a crash."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import get_type_hints

import numpy as np
import pytest

from kit.analysis_samples import SPACING_MM, chest_hu, chest_masks
from scanside_runtime.dicom.errors import SeriesNotChest
from scanside_runtime.errors import SettingsUnusable
from scanside_runtime.quality.gate import set_apart_and_judge
from scanside_runtime.settings.tables import Settings
from scanside_runtime.volume import Masks, Volume

TABLES = ("coverage", "anatomy", "missing_lung", "quality", "motion")
DEFAULT = Settings()


def ends() -> Iterator[tuple[str, str, float]]:
    """Table, name and value of every limit at each end of its bounds."""
    for table in TABLES:
        for name, kind in get_type_hints(type(getattr(DEFAULT, table)), include_extras=True).items():
            (bounds,) = kind.__metadata__
            yield table, name, math.nextafter(bounds.low, math.inf) if bounds.above else bounds.low
            yield table, name, bounds.high


def chests() -> Iterator[tuple[Volume, Masks]]:
    """A sound one, and one with half of a lung infected."""
    dz, dy, dx = SPACING_MM
    volume = Volume(chest_hu(), np.diag([dx, dy, dz, 1.0]), SPACING_MM, None)
    sound = chest_masks(volume)
    half = sound.right_lung.array.copy()
    half[len(half) // 2 :] = False
    for masks in (sound, replace(sound, infection=volume.with_mask(half))):
        yield volume, replace(masks, infection_bounds_ml=(1.0, 2.0), unseen_areas=masks.infection.areas)


@pytest.mark.parametrize(("table", "name", "value"), list(ends()))
def test_a_limit_at_an_end_of_its_bounds_is_answered(table: str, name: str, value: float) -> None:
    try:
        settings = replace(DEFAULT, **{table: replace(getattr(DEFAULT, table), **{name: value})})
    except SettingsUnusable:
        pytest.skip("it does not fit the others")
    for volume, masks in chests():
        try:
            _, said = set_apart_and_judge(volume, masks, None, settings)
        except SeriesNotChest:
            continue
        assert all(math.isfinite(value) for finding in said for value in finding.values.values())
