"""What a cut costs: whole scans are cut shorter and narrower, slice by slice, and the lost lung is measured.

The settings `coverage.withhold_share` and `coverage.edge_share` rest on these figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from scanside_export.data.volumes import averaged
from scanside_export.evaluation.motion_model import DEVELOPED_ON, MEASURED_ON, real_volumes
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import load_networks
from scanside_runtime.model.segment import segment
from scanside_runtime.quality.coverage import share_on_the_edge
from scanside_runtime.volume import Bools

ENDS = ("base", "apex")
SIDES = ("right", "left", "front", "back")
SLAB_MM = 5.0
STEP_PX = 4
WHOLE_SHARE = 0.1
"""Scans with more lung than this in an end slice are not whole and are left out."""
MOST_LOST_PERCENT = 20.0


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut through one pair of lungs.

    share: what the guard sees: the end slice's area as a share of the largest, or the outline on the edge as a share
    of the whole. lost_percent: how much of the lungs' volume is gone.
    """

    where: str
    share: float
    lost_percent: float


def cut_at_the_ends(lungs: Bools) -> Iterator[Cut]:
    """Every slice becomes the first, and the last; lungs (z, y, x) bool, whole."""
    areas = np.count_nonzero(lungs, axis=(1, 2)).astype(np.float64)
    for where, along in zip(ENDS, (areas, areas[::-1]), strict=True):
        gone = np.cumsum(along) - along
        for area, lost in zip(along, gone, strict=True):
            if area > 0 and lost < 0.5 * areas.sum():
                yield Cut(where, float(area / areas.max()), 100.0 * float(lost / areas.sum()))


def cut_at_the_sides(lungs: Bools) -> Iterator[Cut]:
    """The field of view ends further and further inside the lungs, on each of four sides."""
    whole = int(np.count_nonzero(lungs))
    across = np.asarray(lungs.transpose(0, 2, 1))
    for where, turned in zip(SIDES, (lungs, lungs[:, :, ::-1], across, across[:, :, ::-1]), strict=True):
        first = int(np.flatnonzero(turned.any(axis=(0, 1)))[0])
        for start in range(first, turned.shape[2] // 2, STEP_PX):
            left = turned[:, :, start:]
            edge = np.zeros(left.shape[1:], dtype=np.bool_)
            edge[:, :2] = True
            lost = 100.0 * (1.0 - np.count_nonzero(left) / whole)
            if lost > MOST_LOST_PERCENT:  # a lung that is gone as a whole is another guard's business
                break
            yield Cut(where, share_on_the_edge(left, edge), lost)


def losses(cuts: Iterable[Cut], places: tuple[str, ...], shares: tuple[float, ...]) -> list[dict[str, float]]:
    """Between each two shares the largest and the median loss of the cuts in these places, percent."""
    found = []
    for low, high in pairwise(shares):
        lost = [cut.lost_percent for cut in cuts if cut.where in places and low < cut.share <= high]
        if lost:
            measured = {"worst_percent": float(np.max(lost)), "median_percent": float(np.median(lost))}
            found.append({"above": low, "to": high, "cuts": len(lost), **measured})
    return found


def thick_lungs(data: Path) -> Iterator[Bools]:
    """The lungs of the whole real scans in slices of about 5 mm, as the shipped networks draw them."""
    networks = load_networks(open_bundle(), choose_engine("auto", "auto", 0))
    for _, volume in real_volumes(data, (*DEVELOPED_ON, *MEASURED_ON)):
        lungs = segment(volume, networks).lungs
        by = max(1, round(SLAB_MM / volume.spacing_mm[0]))
        thick = averaged(lungs, by) >= 0.5
        areas = np.count_nonzero(thick, axis=(1, 2))
        if max(areas[0], areas[-1]) <= WHOLE_SHARE * areas.max():
            yield thick
