"""What lesions are like, in numbers: density, size, place, edge. Synthetic ones are held against real ones by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from scanside_runtime.volume import Bools, Hu, Spacing

PLEURA_MM = 10.0
"""Lung within this of its in-plane border is subpleural."""
EDGE_PX = 3
"""Rings of this width inside and outside a lesion's border tell how steep the edge is."""
SMALLEST_SHARE_PERCENT = 0.02
"""Parts below this share of the lungs are no lesion of their own (a drop of ink in a mask)."""


@dataclass(frozen=True, slots=True)
class LesionFigures:
    """One series. Shares are of the infected voxels, but for `subpleural_lung_percent`, which is of the lungs.

    hu_p5 to hu_p95: percentiles of the infected voxels. largest and median size: percent of the lungs.
    edge_hu: how much denser the inner rim is than the outer one. lower: the lower half of the height.
    """

    poi_percent: float
    lesions: int
    median_size_percent: float
    largest_size_percent: float
    hu_p5: float
    hu_p25: float
    hu_p50: float
    hu_p75: float
    hu_p95: float
    edge_hu: float
    subpleural_percent: float
    subpleural_lung_percent: float
    posterior_percent: float
    lower_percent: float


def lesion_figures(hu: Hu, lungs: Bools, infection: Bools, spacing_mm: Spacing) -> LesionFigures | None:
    """Measure one series, (z, y, x) arrays; infection counts inside the lungs. None where nothing is infected."""
    infected = infection & lungs
    if not infected.any():
        return None
    sizes = _sizes_percent(infected, lungs)
    deep = np.stack([_depth_mm(plane, spacing_mm) for plane in lungs])
    near = lungs & (deep <= PLEURA_MM)
    z, y, _ = np.nonzero(infected)
    lung_z, lung_y, _ = np.nonzero(lungs)
    p5, p25, p50, p75, p95 = (float(value) for value in np.percentile(hu[infected], [5, 25, 50, 75, 95]))
    return LesionFigures(
        poi_percent=100.0 * float(infected.sum() / lungs.sum()),
        lesions=len(sizes),
        median_size_percent=float(np.median(sizes)),
        largest_size_percent=float(sizes.max()),
        hu_p5=p5,
        hu_p25=p25,
        hu_p50=p50,
        hu_p75=p75,
        hu_p95=p95,
        edge_hu=_edge_hu(hu, lungs, infected),
        subpleural_percent=100.0 * float((infected & near).sum() / infected.sum()),
        subpleural_lung_percent=100.0 * float(near.sum() / lungs.sum()),
        posterior_percent=100.0 * float(np.mean(y > np.median(lung_y))),
        lower_percent=100.0 * float(np.mean(z < np.median(lung_z))),
    )


def _sizes_percent(infected: Bools, lungs: Bools) -> npt.NDArray[np.float64]:
    """Sizes of the connected parts, percent of the lungs, those too small left out; at least one."""
    labels, _ = ndimage.label(infected, structure=np.ones((3, 3, 3)))
    sizes = 100.0 * np.bincount(labels.ravel())[1:] / lungs.sum()
    kept = sizes[sizes >= SMALLEST_SHARE_PERCENT]
    return np.asarray(kept if len(kept) else sizes[[np.argmax(sizes)]], dtype=np.float64)


def _depth_mm(plane: Bools, spacing_mm: Spacing) -> npt.NDArray[np.float32]:
    depth = cv2.distanceTransform(plane.astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(depth * (spacing_mm[1] + spacing_mm[2]) / 2, dtype=np.float32)


def _edge_hu(hu: Hu, lungs: Bools, infected: Bools) -> float:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * EDGE_PX + 1,) * 2)
    planes = infected.astype(np.uint8)
    inner = infected & ~np.stack([cv2.erode(plane, kernel) for plane in planes]).astype(bool)
    outer = lungs & ~infected & np.stack([cv2.dilate(plane, kernel) for plane in planes]).astype(bool)
    return float(np.median(hu[inner]) - np.median(hu[outer])) if outer.any() else 0.0


@dataclass(frozen=True, slots=True)
class Quartiles:
    """A measure over several series: quartiles."""

    p25: float
    p50: float
    p75: float


def spreads(series: Sequence[LesionFigures]) -> Mapping[str, Quartiles]:
    """Quartiles of each measure over series. Raises ValueError for none."""
    if not series:
        raise ValueError("there is no series with lesions to measure")
    rows = [asdict(one) for one in series]
    return {
        field.name: Quartiles(
            *(float(value) for value in np.percentile([row[field.name] for row in rows], [25, 50, 75]))
        )
        for field in fields(LesionFigures)
    }


def comparison(real: Sequence[LesionFigures], synthetic: Sequence[LesionFigures]) -> str:
    """Both side by side as a Markdown table: median (quartiles)."""
    head = f"| median (quartiles) over series | real, n {len(real)} | synthetic, n {len(synthetic)} |"
    lines = [head, "|---|---|---|"]
    both = spreads(real), spreads(synthetic)
    for name in both[0]:
        cells = " | ".join(f"{some[name].p50:.4g} ({some[name].p25:.4g} to {some[name].p75:.4g})" for some in both)
        lines.append(f"| {name.replace('_', ' ')} | {cells} |")
    return "\n".join(lines)
