"""One lesion of each pattern, inserted in 3D, averaged to 5 mm, and shown side by side."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from scanside_export.data.cases import Case, known_lungs
from scanside_export.data.lesions import LesionSpec, Pattern, insert
from scanside_export.data.volumes import averaged
from scanside_export.evaluation.examples import Picture, in_lung_window, write_png
from scanside_runtime.phantom.make import make_phantom, random_spec
from scanside_runtime.volume import Bools, Hu, Spacing

WIDTH_PX = 300
SLAB_MM = 5.0
HU_OF = {"ground_glass": -560.0, "crazy_paving": -600.0, "consolidation": 20.0}
RADII_MM = (22.0, 30.0, 30.0)


def draw_patterns(background: Case | None, seed: int, out: Path) -> None:
    """Write a PNG: the slab as it is, each pattern under the pleura, ground glass along vessels.

    background: a near-healthy case; without it a phantom. Raises BoxOutput when the picture can't be written.
    """
    hu, lungs, spacing_mm = _phantom(seed) if background is None else _healthy(background)
    z = int(np.argmax(lungs.sum(axis=(1, 2))))
    tiles = [_tile(hu, z, spacing_mm, "as it is")]
    for pattern in get_args(Pattern):
        lesion = LesionSpec(_under_the_pleura(lungs, z), RADII_MM, HU_OF[pattern], 40.0, pattern)
        sick, _ = insert(hu, lungs, spacing_mm, [lesion], np.random.default_rng(seed))
        tiles.append(_tile(sick, z, spacing_mm, pattern.replace("_", " ")))
    wide = LesionSpec(_middle_of_a_lung(lungs, z), (30.0, 45.0, 45.0), -480.0, 40.0, "ground_glass", along_vessels=True)
    sick, _ = insert(hu, lungs, spacing_mm, [wide], np.random.default_rng(seed))
    tiles.append(_tile(sick, z, spacing_mm, "along vessels"))
    write_png(np.hstack(tiles), out)


def _phantom(seed: int) -> tuple[Hu, Bools, Spacing]:
    phantom = make_phantom(random_spec(seed, slice_thickness_mm=2.5, matrix=256))
    return phantom.hu, phantom.lungs & ~phantom.infection, phantom.spacing_mm


def _healthy(case: Case) -> tuple[Hu, Bools, Spacing]:
    return np.asarray(case.hu), known_lungs(case.lungs), case.spacing_mm


def _under_the_pleura(lungs: Bools, z: int) -> tuple[int, int, int]:
    """At the back of the right lung: x ascends to the patient's left."""
    rows, columns = np.nonzero(lungs[z, :, : lungs.shape[2] // 2])
    return z, int(np.quantile(rows, 0.85)), int(np.median(columns))


def _middle_of_a_lung(lungs: Bools, z: int) -> tuple[int, int, int]:
    rows, columns = np.nonzero(lungs[z, :, : lungs.shape[2] // 2])
    return z, int(np.median(rows)), int(np.quantile(columns, 0.6))


def _tile(hu: Hu, z: int, spacing_mm: Spacing, title: str) -> Picture:
    by = max(1, round(SLAB_MM / spacing_mm[0]))
    slab = averaged(hu[z // by * by : z // by * by + by], by)[0]
    grey = in_lung_window(np.rint(slab).astype(np.int16))
    size = (WIDTH_PX, round(WIDTH_PX * grey.shape[0] * spacing_mm[1] / (grey.shape[1] * spacing_mm[2])))
    tile = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    cv2.putText(tile, title, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255, 1, cv2.LINE_AA)
    return tile
