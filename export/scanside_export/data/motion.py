"""Motion artefacts by construction: what a slice shows when lungs or heart move while the tube goes round.

The slice is scanned view by view, in parallel beams over half a turn, while the patient moves from one state to
another; what the views disagree about is reconstructed by filtered backprojection and added to the untouched slice.
So contours double, and streaks run along the views at which the scan began and ended, while noise and sharpness of the
series stay its own. (Wang, Vannier: Med Phys 1993;20:1641 for why; Kak, Slaney: Principles of Computerized Tomographic
Imaging, 1988, ch. 3 for how.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import HU_MAX, HU_MIN, Bools, Floats, Hu, Spacing

Kind = Literal["respiratory", "cardiac"]

KINDS: tuple[Kind, ...] = ("respiratory", "cardiac")

GRID_MM = 1.2
"""Pixel of the simulated scanner; what it adds is no finer than the edges that move."""
VIEWS = 180
STATES = 12
"""The patient's way through one half turn is cut into this many still states."""
CHANGED_HU = 100.0
"""Lung that got denser by more can be taken for infection."""
HEART_MM = 45.0
"""How far from its middle the heart's motion fades."""


@dataclass(frozen=True, slots=True)
class Motion:
    """What moves, how far within one half turn, where the tube starts, and how the state runs from -1 to 1.

    amplitude_mm: for breathing the path of the lung's base towards the feet, of which a third goes to the front; for
    the heart the path of its border. phase: 0 to 1, the part of the cycle in which the scan falls: at 0 the motion is
    fastest, at 0.25 it turns.
    """

    kind: Kind
    amplitude_mm: float
    start_deg: float
    phase: float


def random_motion(kind: Kind, rng: np.random.Generator) -> Motion:
    """Motion that is plainly seen.

    Quiet breathing moves the diaphragm some 10 to 20 mm in two seconds, so 8 to 16 mm in a slow half turn; the heart's
    wall moves up to some 10 mm in a beat (Ritchie et al., Radiology 1994;190:847; Wang et al., Phys Med Biol 1995).
    """
    low, high = (8.0, 16.0) if kind == "respiratory" else (5.0, 10.0)
    return Motion(kind, float(rng.uniform(low, high)), float(rng.uniform(0.0, 180.0)), float(rng.uniform(-0.1, 0.1)))


def moved(hu: Hu, lungs: Bools, spacing_mm: Spacing, z: int, motion: Motion) -> Hu:
    """One slice of a volume, scanned while the patient moves, (y, x) int16.

    hu: (z, y, x) int16. lungs: (z, y, x) bool.
    """
    still = hu[z].astype(np.float32)
    grid = _Grid.over(still.shape, spacing_mm)
    courses = np.array_split(np.arange(VIEWS), STATES)
    sinogram = np.zeros((VIEWS, grid.side), dtype=np.float32)
    for number, views in enumerate(courses):
        at = motion.phase + ((number + 0.5) / STATES - 0.5) / 2
        state = _displaced(hu, lungs, spacing_mm, z, motion, float(np.sin(2 * np.pi * at)) / 2)
        change = grid.onto(state - still)
        for view in views:
            sinogram[view] = grid.projected(change, motion.start_deg + view * 180.0 / VIEWS)
    artefact = grid.back(_backprojected(grid, _ramp_filtered(sinogram), motion.start_deg), still.shape)
    return np.asarray(np.rint(np.clip(still + artefact, HU_MIN, HU_MAX)), dtype=np.int16)


def changed_ml(before: Hu, after: Hu, lung: Bools, spacing_mm: Spacing) -> float:
    """How much lung of one slice got so much denser, ml."""
    denser = (after.astype(np.int32) - before > CHANGED_HU) & lung
    return float(np.count_nonzero(denser)) * float(np.prod(spacing_mm)) / 1000.0


def _displaced(hu: Hu, lungs: Bools, spacing_mm: Spacing, z: int, motion: Motion, state: float) -> Floats:
    """The slice with the patient in a state from -0.5 to 0.5 of his way, (y, x) float32."""
    if motion.kind == "respiratory":
        return _breathing(hu, lungs, spacing_mm, z, motion.amplitude_mm * state)
    return _beating(hu, lungs, spacing_mm, z, motion.amplitude_mm * state)


def _breathing(hu: Hu, lungs: Bools, spacing_mm: Spacing, z: int, way_mm: float) -> Floats:
    """Most at the base, little at the apex; the front of the chest goes along, the back lies on the couch."""
    inside = np.flatnonzero(lungs.any(axis=(1, 2)))
    height = float(np.clip((z - inside[0]) / max(1, inside[-1] - inside[0]), 0.0, 1.0))
    share = 1.0 - 0.85 * height
    level = float(np.clip(z + share * way_mm / spacing_mm[0], 0, len(hu) - 1))
    low = int(level)
    part = level - low
    plane = (1 - part) * hu[low].astype(np.float32) + part * hu[min(low + 1, len(hu) - 1)]
    rows, columns = plane.shape
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    front = np.clip(1.0 - y / rows, 0.0, 1.0)
    return _sampled(plane, y + front * (0.33 * way_mm / spacing_mm[1]), x)


def _beating(hu: Hu, lungs: Bools, spacing_mm: Spacing, z: int, way_mm: float) -> Floats:
    """The heart grows and shrinks about its middle; what is further away stays."""
    cy, cx = heart_middle(hu[z], lungs[z])
    plane = hu[z].astype(np.float32)
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(np.float32)
    dy, dx = (y - cy) * spacing_mm[1], (x - cx) * spacing_mm[2]
    away = np.sqrt(dy * dy + dx * dx) + 1e-3
    pull = way_mm * np.minimum(away / HEART_MM, 1.0) * np.exp(-(np.maximum(away - HEART_MM, 0.0) ** 2) / (2 * 15.0**2))
    return _sampled(plane, y + pull * dy / away / spacing_mm[1], x + pull * dx / away / spacing_mm[2])


def heart_middle(hu: Hu, lungs: Bools) -> tuple[float, float]:
    """(y, x) of the middle of what is soft between the lungs of one slice, in front of the spine."""
    rows, columns = np.nonzero(lungs)
    top, bottom = int(rows.min()), int(rows.max())
    between = np.zeros(lungs.shape, dtype=np.bool_)
    for row in range(top, top + round(0.65 * (bottom - top)) + 1):
        here = np.flatnonzero(lungs[row])
        if here.size:
            between[row, here[0] : here[-1]] = True
    soft = between & ~lungs & (hu > -50)
    if not soft.any():
        return float(rows.mean()), float(columns.mean())
    soft_rows, soft_columns = np.nonzero(soft)
    return float(soft_rows.mean()), float(soft_columns.mean())


def _sampled(plane: Floats, y: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> Floats:
    sampled = cv2.remap(
        plane, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(sampled, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Grid:
    """The scanner's own square picture, large enough for every view; to_native: grid pixel to native pixel."""

    side: int
    to_native: npt.NDArray[np.float64]

    @classmethod
    def over(cls, shape: tuple[int, ...], spacing_mm: Spacing) -> _Grid:
        extent_mm = (shape[0] * spacing_mm[1], shape[1] * spacing_mm[2])
        side = int(np.ceil(np.hypot(*extent_mm) / GRID_MM)) | 1
        sy, sx = GRID_MM / spacing_mm[1], GRID_MM / spacing_mm[2]
        middle = (side - 1) / 2
        shift = ((shape[1] - 1) / 2 - sx * middle, (shape[0] - 1) / 2 - sy * middle)
        return cls(side, np.array([[sx, 0.0, shift[0]], [0.0, sy, shift[1]]]))

    def onto(self, plane: Floats) -> Floats:
        return self._warped(plane, self.to_native, (self.side, self.side), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

    def back(self, picture: Floats, shape: tuple[int, ...]) -> Floats:
        return self._warped(picture, self.to_native, (shape[1], shape[0]), cv2.INTER_LINEAR)

    def projected(self, picture: Floats, angle_deg: float) -> Floats:
        """Sums along the rays of one view, (side,) float32."""
        return np.asarray(self.turned(picture, angle_deg).sum(axis=0), dtype=np.float32)

    def turned(self, picture: Floats, angle_deg: float) -> Floats:
        middle = (self.side - 1) / 2
        turn = cv2.getRotationMatrix2D((middle, middle), angle_deg, 1.0)
        return self._warped(picture, np.asarray(turn), (self.side, self.side), cv2.INTER_LINEAR)

    @staticmethod
    def _warped(picture: Floats, matrix: npt.NDArray[np.float64], size: tuple[int, int], flags: int) -> Floats:
        return np.asarray(cv2.warpAffine(picture, matrix, size, flags=flags), dtype=np.float32)


def _ramp_filtered(sinogram: Floats) -> Floats:
    """Each view (views, side) through the ramp filter with a Hann window."""
    length = 2 * sinogram.shape[1]
    frequency = np.fft.rfftfreq(length)
    window = frequency * 2 * (0.5 + 0.5 * np.cos(np.pi * frequency / 0.5))
    filtered = np.fft.irfft(np.fft.rfft(sinogram, length, axis=1) * window, length, axis=1)
    return np.asarray(filtered[:, : sinogram.shape[1]], dtype=np.float32)


def _backprojected(grid: _Grid, filtered: Floats, start_deg: float) -> Floats:
    picture = np.zeros((grid.side, grid.side), dtype=np.float32)
    for view, row in enumerate(filtered):
        smeared = np.broadcast_to(row, (grid.side, grid.side)).copy()
        picture += grid.turned(smeared, -(start_deg + view * 180.0 / VIEWS))
    return np.asarray(picture * (np.pi / (2 * VIEWS)), dtype=np.float32)
