"""Does the anatomy lie as the header says? Mirrored, upside-down and wrongly turned pictures exchange sides and zones.

Measured on the 15 real chests of the development data. Lying right, none contradicts its header. Flipped left to
right, 12 are found (in two the heart is not off the midline, in one the right lung is small); upside down, 15; both,
15 (12 of them as both); front to back, 13. Where it can't be told, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.findings import Finding
from scanside_runtime.quality.overview import PIXEL_MM, Floats, Overview, hull
from scanside_runtime.volume import Bools, Masks

ORIENTATION = "QUALITY_ORIENTATION"
MIDDLE = ((0.2, 0.55), (0.35, 0.65))
"""Shares of the lungs' height, from the base, between which the heart lies."""
HEART_MM = 4.0
LARGER_SHARE = 0.53
"""Both together are believed: the heart lies so far to the patient's right of the spine, and the lung called left holds
so much of both at its height."""
LUMEN_HU = -800.0
LUMEN_MM2 = (40.0, 600.0)
BESIDE_MM = 30.0
END = (0.03, 0.28)
TRACHEA_SEEN, TRACHEA_MISSED = 0.4, 0.1
"""Shares of the slabs near one end and the other that show a trachea."""
IN_FRONT_MM = 20.0
STRIP_MM = 30.0
SPINE_HU = 80.0
SPINE_QUANTILE = 0.35
"""What is dense in most slabs is the spine; contrast medium in heart and vessels is dense in some only."""


def check_orientation(overview: Overview, masks: Masks, *, cut: bool) -> tuple[Finding, ...]:
    """`caution` where heart, trachea or spine contradict the header: then sides and zones can't be believed.

    `withhold` where the lungs stand upside down and are cut off too (`cut`): then no one knows which end it is.
    """
    upside_down, mirrored, on_the_face = contradictions(overview, masks)
    seen = (
        (upside_down, "the trachea lies at the lower end of the lungs"),
        (mirrored, "the heart lies on the right, and the larger lung on the left"),
        (on_the_face, "the spine lies in front"),
    )
    said = ", and ".join(what for is_so, what in seen if is_so)
    if not said:
        return ()
    message = (
        f"By the header {said}: the pictures may be mirrored, upside down or wrongly turned, or the organs lie "
        "mirrored (situs inversus). Sides and zones are not given, and there are no DICOM objects, which would "
        "have to name them; look at the pictures."
    )
    return (Finding(ORIENTATION, "withhold" if upside_down and cut else "caution", message),)


def contradictions(overview: Overview, masks: Masks) -> tuple[bool, bool, bool]:
    """Upside down, mirrored, on the face: each where the anatomy plainly says so.

    Fluid counts as the lung that it was taken from: beside it the heart would seem to lie on its side.
    """
    overview = replace(overview, lungs=overview.lungs | overview.fluid)
    slabs = np.flatnonzero(overview.lungs.any(axis=(1, 2)))
    spine = _spine(overview, slabs)
    upside_down = _upside_down(overview, slabs)
    upwards = slabs[::-1] if upside_down else slabs
    mirrored = spine is not None and _mirrored(overview, masks, upwards, spine[1])
    return upside_down, mirrored, spine is not None and spine[0] <= -IN_FRONT_MM


def _part(slabs: npt.NDArray[np.intp], share: tuple[float, float]) -> npt.NDArray[np.intp]:
    return slabs[int(share[0] * len(slabs)) : max(1, int(np.ceil(share[1] * len(slabs))))]


def _middle_x(lungs: Bools) -> float:
    """The column midway between the lungs' outer edges, in the median of the slabs."""
    edges = [np.flatnonzero(plane.any(axis=0))[[0, -1]] for plane in lungs if plane.any()]
    return float(np.median([edge.mean() for edge in edges]))


def _upside_down(overview: Overview, slabs: npt.NDArray[np.intp]) -> bool:
    """The trachea shows in many slabs near the lower end, in hardly any near the upper one."""
    middle = _middle_x(overview.lungs)
    low = _trachea_share(overview, _part(slabs, END), middle)
    high = _trachea_share(overview, _part(slabs[::-1], END), middle)
    return low >= TRACHEA_SEEN and high <= TRACHEA_MISSED


def _trachea_share(overview: Overview, slabs: Iterable[np.intp], middle: float) -> float:
    return float(np.mean([_has_trachea(overview.hu[k], overview.lungs[k], middle) for k in slabs]))


def _has_trachea(hu: Floats, lung: Bools, middle: float) -> bool:
    """A lumen between the lungs, of the trachea's size and near the midline."""
    free = cv2.erode((~lung).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    air = (hu < LUMEN_HU) & hull(lung) & free
    _, _, stats, centres = cv2.connectedComponentsWithStats(air.astype(np.uint8), connectivity=8)
    area_mm2 = stats[1:, cv2.CC_STAT_AREA] * PIXEL_MM**2
    beside_mm = np.abs(centres[1:, 0] - middle) * PIXEL_MM
    return bool(np.any((area_mm2 >= LUMEN_MM2[0]) & (area_mm2 <= LUMEN_MM2[1]) & (beside_mm < BESIDE_MM)))


def _spine(overview: Overview, slabs: npt.NDArray[np.intp]) -> tuple[float, float] | None:
    """How far behind the middle of the lungs the spine lies, in mm, and its column; None where it is not seen."""
    middle, reach = _middle_x(overview.lungs), STRIP_MM / PIXEL_MM
    first = max(0, int(middle - reach))
    strip = overview.hu[_part(slabs, (0.05, 0.95)), :, first : int(middle + reach) + 1]
    dense = np.quantile(strip, SPINE_QUANTILE, axis=0) > SPINE_HU  # (y, x)
    if not dense.any():
        return None
    y, x = np.nonzero(dense)
    depth = np.flatnonzero(overview.lungs.any(axis=(0, 2)))
    return float(y.mean() - depth.mean()) * PIXEL_MM, float(first + x.mean())


def _mirrored(overview: Overview, masks: Masks, upwards: npt.NDArray[np.intp], spine_x: float) -> bool:
    """The heart lies to the right of the spine, and the lung called left is the larger beside it."""
    heart_mm = np.mean([_soft_offset_mm(overview, _part(upwards, share), spine_x) for share in MIDDLE])
    beside = [z for k in _part(upwards, MIDDLE[0]) for z in overview.slices_of(int(k))]
    right, left = (int(areas[beside].sum()) for areas in masks.areas_with_fluid)
    return bool(heart_mm <= -HEART_MM and left >= LARGER_SHARE * (right + left))


def _soft_offset_mm(overview: Overview, slabs: Iterable[np.intp], spine_x: float) -> float:
    """How far to the patient's left of the spine what is soft between the lungs lies, in the mean."""
    columns = np.zeros(overview.hu.shape[2])
    for k in slabs:
        soft = hull(overview.lungs[k]) & ~overview.lungs[k] & (overview.hu[k] > -30.0)
        columns += np.count_nonzero(soft, axis=0)
    if not columns.any():
        return 0.0
    return float(np.average(np.arange(len(columns)) - spine_x, weights=columns)) * PIXEL_MM
