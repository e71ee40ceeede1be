"""The picture of a training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from scanside_export.training.curves import draw_curves, read_log

LOG = "step,loss,seconds\n50,2.5,10\n100,1.5,20\n150,1.2,30\n100,1.4,9\n150,1.0,19\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_steps_done_twice_after_an_interruption_count_once_the_later_row(tmp_path: Path) -> None:
    assert read_log(written(tmp_path, LOG)) == {50: 2.5, 100: 1.4, 150: 1.0}


def test_the_curve_is_a_picture_with_something_drawn_in_colour(tmp_path: Path) -> None:
    draw_curves(written(tmp_path, LOG), tmp_path / "curves.png")
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture is not None
    assert (np.ptp(picture.astype(int), axis=2) > 60).sum() > 100


def test_another_training_gives_another_picture(tmp_path: Path) -> None:
    for name, text in (("a", LOG), ("b", LOG.replace("2.5", "9.5"))):
        draw_curves(written(tmp_path, text), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
