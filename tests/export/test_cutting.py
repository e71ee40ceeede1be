"""What a cut costs: the figures behind the coverage settings."""

from __future__ import annotations

import numpy as np
import pytest

from scanside_export.evaluation.cutting import ENDS, SIDES, cut_at_the_ends, cut_at_the_sides, losses


@pytest.fixture(scope="module")
def lungs() -> np.ndarray:
    """Two ellipsoids side by side, (z, y, x) bool, clear of every border."""
    z, y, x = np.ogrid[:24, :40, :80]
    return np.any([((z - 12) / 9) ** 2 + ((y - 20) / 15) ** 2 + ((x - at) / 14) ** 2 <= 1 for at in (20, 60)], axis=0)


def test_the_more_lung_an_end_slice_shows_the_more_is_lost(lungs: np.ndarray) -> None:
    for end in ENDS:
        cuts = sorted((cut.share, cut.lost_percent) for cut in cut_at_the_ends(lungs) if cut.where == end)
        lost = [percent for _, percent in cuts]
        assert lost == sorted(lost)
        assert lost[0] == 0.0


def test_a_cut_through_the_widest_slice_loses_nearly_half(lungs: np.ndarray) -> None:
    widest = [cut.lost_percent for cut in cut_at_the_ends(lungs) if cut.share == 1.0]
    assert all(40.0 < percent < 50.0 for percent in widest)


def test_the_further_in_the_field_of_view_ends_the_more_outline_lies_on_it(lungs: np.ndarray) -> None:
    for side in SIDES:
        cuts = [cut for cut in cut_at_the_sides(lungs) if cut.where == side]
        assert len(cuts) >= 2
        lost = [cut.lost_percent for cut in cuts]
        assert lost == sorted(lost)
        assert cuts[-1].share > cuts[0].share


def test_losses_are_told_between_shares(lungs: np.ndarray) -> None:
    table = losses(list(cut_at_the_ends(lungs)), ENDS, (0.0, 0.2, 0.6, 1.0))
    assert [row["above"] for row in table] == [0.0, 0.2, 0.6]
    worst = [row["worst_percent"] for row in table]
    assert worst == sorted(worst)
    assert all(row["median_percent"] <= row["worst_percent"] for row in table)
