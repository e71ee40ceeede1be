"""A trunk with two lungs on an empty field, and things that lie around patients, drawn by construction."""

from __future__ import annotations

import cv2
import numpy as np

from scanside_export.data.volumes import volume_of
from scanside_runtime.volume import Volume

SHAPE = (9, 180, 210)  # deliberately odd, and rows are not columns
PIXEL_MM = 2.0
SPACING_MM = (5.0, PIXEL_MM, PIXEL_MM)
MIDDLE = (105, 80)
TRUNK = (82, 52)
LUNGS = ((65, 80), (145, 80))
LUNG = (28, 38)
AIR, FAT, SOFT, LUNG_HU, FOAM, SHELL = -1000, -100, 40, -850, -880, 150


def oval(middle: tuple[int, int], half: tuple[int, int]) -> np.ndarray:
    """A filled ellipse, (y, x) bool; middle and half axes as (x, y) pixels."""
    plane = np.zeros(SHAPE[1:], np.uint8)
    cv2.ellipse(plane, middle, half, 0, 0, 360, 1, cv2.FILLED)
    return plane > 0


def trunk() -> np.ndarray:
    """Where the trunk is, lungs included: (y, x) bool."""
    return oval(MIDDLE, TRUNK)


def lungs() -> np.ndarray:
    """Where both lungs are, (y, x) bool; the chest wall outside of them is 14 mm thick and more."""
    return oval(LUNGS[0], LUNG) | oval(LUNGS[1], LUNG)


def patient(slices: int = SHAPE[0]) -> np.ndarray:
    """HU (z, y, x) int16 of the trunk alone: fat around muscle, and two lungs."""
    plane = np.full(SHAPE[1:], AIR, np.int16)
    plane[trunk()] = FAT
    plane[oval(MIDDLE, (TRUNK[0] - 4, TRUNK[1] - 4))] = SOFT
    plane[lungs()] = LUNG_HU
    return np.repeat(plane[None], slices, axis=0)


def around(hu: np.ndarray, thing: np.ndarray, value: int) -> np.ndarray:
    """The volume with a thing of that HU in every slice where the trunk is not: thing (y, x) bool."""
    drawn = hu.copy()
    drawn[:, thing & ~trunk()] = value
    return drawn


def band(rows: tuple[int, int], columns: tuple[int, int] = (0, SHAPE[2])) -> np.ndarray:
    """A rectangle, (y, x) bool."""
    plane = np.zeros(SHAPE[1:], bool)
    plane[rows[0] : rows[1], columns[0] : columns[1]] = True
    return plane


def ring(middle: tuple[int, int], half: tuple[int, int], thick_px: int) -> np.ndarray:
    """An ellipse's line, (y, x) bool."""
    return oval(middle, half) & ~oval(middle, (half[0] - thick_px, half[1] - thick_px))


def volume(hu: np.ndarray) -> Volume:
    return volume_of(hu, SPACING_MM)
