"""A picture of the best, the median and the worst case: as it is, with the reference, with what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.errors import BoxOutput
from scanside_runtime.volume import Bools

WIDTH_PX = 360
REFERENCE_BGR, FOUND_BGR, TEXT_BGR = (80, 200, 80), (60, 120, 255), (255, 255, 255)
WINDOW_HU = (-1000.0, 200.0)

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """title: what stands above it. grey: (y, x) uint8. reference, found: (y, x) bool."""

    title: str
    grey: Picture
    reference: Bools
    found: Bools


def in_lung_window(hu: npt.NDArray[np.int16]) -> Picture:
    """HU as grey values, (y, x) uint8."""
    low, high = WINDOW_HU
    return np.asarray(np.clip((hu.astype(np.float32) - low) / (high - low) * 255.0, 0.0, 255.0), dtype=np.uint8)


def best_median_worst(reached: Sequence[float]) -> list[tuple[str, int]]:
    """Which of the scores are the best, the median and the worst; fewer than three scores give fewer."""
    order = sorted(range(len(reached)), key=lambda number: -reached[number])
    wanted = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    seen: dict[int, str] = {}
    for name, number in wanted.items():
        seen.setdefault(number, name)
    return [(name, number) for number, name in seen.items()]


def draw_examples(examples: Sequence[Example], path: Path) -> None:
    """Write a PNG with one row for each example. Raises BoxOutput when it can't be written."""
    rows = [_row(example) for example in examples]
    height, width = sum(len(row) for row in rows), max(row.shape[1] for row in rows)
    sheet = np.zeros((height, width, 3), np.uint8)
    top = 0
    for row in rows:
        sheet[top : top + len(row), : row.shape[1]] = row
        top += len(row)
    write_png(sheet, path)


def write_png(picture: Picture, path: Path) -> None:
    """Write a picture. Raises BoxOutput when it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    except OSError as problem:
        raise BoxOutput(folder=path.parent, why=problem.strerror) from problem


def _row(example: Example) -> Picture:
    plain = np.asarray(cv2.cvtColor(_resized(example.grey), cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    tiles = [plain, _outlined(plain, example.reference, REFERENCE_BGR), _outlined(plain, example.found, FOUND_BGR)]
    for tile, text in zip(tiles, (example.title, "reference", "found"), strict=True):
        cv2.putText(tile, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, TEXT_BGR, 1, cv2.LINE_AA)
    return np.hstack(tiles)


def _resized(plane: Picture, interpolation: int = cv2.INTER_AREA) -> Picture:
    rows, columns = plane.shape
    size = (WIDTH_PX, max(1, round(WIDTH_PX * rows / columns)))
    return np.asarray(cv2.resize(plane, size, interpolation=interpolation), dtype=np.uint8)


def _outlined(picture: Picture, mask: Bools, colour: tuple[int, int, int]) -> Picture:
    large = _resized(mask.astype(np.uint8), cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(picture.copy(), contours, -1, colour, 1), dtype=np.uint8)
