"""Make lung_reference_ml.json: lung volumes of the real chests by thresholds and components, no network.

Run from the repository's root, with the shared data beside it:
    .venv/bin/python tests/golden/make_lung_reference.py ../shared/data/ct [pictures/]
Each outline was looked at as a montage (the second argument writes them). Dense disease is left out by this method, so
only near-healthy lungs are compared with it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from kit.reading import choose_series, find_series, read_volume
from kit.real_series import CHESTS, dicom_folder
from scanside_export.data.lung_reference import reference_lungs

TARGET = Path(__file__).with_name("lung_reference_ml.json")


def montage(hu: np.ndarray, sides: np.ndarray, count: int = 12) -> np.ndarray:
    inside = np.flatnonzero(sides.any(axis=(1, 2)))
    tiles = []
    for z in np.linspace(inside[0], inside[-1], count).astype(int):
        grey = np.clip((hu[z].astype(np.float32) + 1000) / 1400 * 255, 0, 255).astype(np.uint8)
        tile = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        for side, colour in ((1, (0, 200, 255)), (2, (0, 255, 0))):
            outline, _ = cv2.findContours((sides[z] == side).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(tile, outline, -1, colour, 1)
        tiles.append(cv2.resize(tile, (360, 300)))
    return np.vstack([np.hstack(tiles[row : row + 6]) for row in range(0, count, 6)])


def main() -> None:
    data = Path(sys.argv[1])
    pictures = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    reference: dict[str, dict[str, float]] = {}
    for chest in CHESTS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = dicom_folder(data / chest.file, Path(scratch) / "series", chest.thickness_mm)
            volume = read_volume(choose_series(find_series(folder)))
        sides = reference_lungs(volume.hu, volume.spacing_mm)
        voxels = {"right": int((sides == 1).sum()), "left": int((sides == 2).sum())}
        reference[chest.file] = {side: round(count * volume.voxel_ml, 1) for side, count in voxels.items()}
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(pictures / f"{Path(chest.file).stem}.png"), montage(volume.hu, sides))
    TARGET.write_text(json.dumps(reference, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
