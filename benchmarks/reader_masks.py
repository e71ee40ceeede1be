"""The paper's table of Dice with our network as the third reader, on the series of infection-3d that two readers drew.

    python benchmarks/reader_masks.py ../shared/data/infection-3d OUT [BUNDLE]
    scanside cohort evaluate masks OUT/reader_a OUT/reader_b
    scanside cohort evaluate masks OUT/network OUT/reader_a

Writes reader_a, reader_b and network below OUT: a folder a series, a PNG a slice, only slices that both readers saw.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from scanside_export.data.cases import infection_volume
from scanside_export.data.volumes import volume_of
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import load_networks
from scanside_runtime.model.segment import segment

Row = dict[str, str]


def write_masks(data: Path, out: Path, bundle: Path | None = None) -> None:
    """Both readers' masks and the network's, of every series that both drew."""
    networks = load_networks(open_bundle(bundle), choose_engine("auto", "auto", 1))
    for name, rows in _read_by_both(data):
        case = infection_volume(data, name, rows)
        found = segment(volume_of(case.hu, case.spacing_mm), networks).infection.array
        known = [row["reader_a_px"] != "0" and row["reader_b_px"] != "0" for row in rows]
        for folder, masks in (("reader_a", case.infection[0]), ("reader_b", case.infection[1]), ("network", found)):
            _write(out / folder / name, masks, known)


def _read_by_both(data: Path) -> Iterator[tuple[str, list[Row]]]:
    with (data / "slices.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    for name in dict.fromkeys(row["case"] for row in rows):
        of_case = [row for row in rows if row["case"] == name]
        if any(row["reader_b_px"] != "0" for row in of_case):
            yield name, of_case


def _write(folder: Path, masks: npt.NDArray[np.bool_], known: list[bool]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, (mask, wanted) in enumerate(zip(masks, known, strict=True)):
        if wanted:
            cv2.imwrite(str(folder / f"{number:03d}.png"), mask.astype(np.uint8) * 255)


if __name__ == "__main__":
    write_masks(*map(Path, sys.argv[1:4]))
