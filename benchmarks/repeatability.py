"""How far two scans of an unchanged patient come apart: the measurement error behind "rising" and "falling".

    python benchmarks/repeatability.py [--patients 14] [--data ../shared/data] [--bundle DIR]

Each patient is scanned twice and goes through the whole analysis, from DICOM to document. Phantoms: the second scan has
other slice positions, pixels, noise. Real series (where the data are laid out): neighbouring slices are averaged in
pairs, in the second scan one slice later, with noise of its own. Nothing is asserted; the last line is JSON. The
limits must lie within those of `courses.py`, which `[progression]` rests on.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import typer

from scanside_export.data.cases import hu_volume, infection_volume
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.options import Options
from scanside_runtime.followup.progression import LEAST_INFECTION_ML
from scanside_runtime.followup.scan import Measures, Scan
from scanside_runtime.metrics import limits_of_agreement
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.phantom.make import PhantomSpec, make_phantom, random_spec

FIRST_SEED = 1_600_000_000
NOISE_HU = 12.0
REAL = ("coronacases_001", "coronacases_004", "coronacases_006", "coronacases_008", "coronacases_010")
Spacing = tuple[float, float, float]
Pair = tuple[tuple[np.ndarray, Spacing], tuple[np.ndarray, Spacing]]


def phantom_pairs(patients: int) -> Iterator[tuple[str, Pair]]:
    seeds = (seed for seed in range(FIRST_SEED, FIRST_SEED + 10 * patients) if random_spec(seed).lesions)
    for seed, _ in zip(seeds, range(patients), strict=False):
        spec = random_spec(seed)
        yield f"phantom {seed - FIRST_SEED}", (scanned(spec), scanned(rescanned(spec)))


def rescanned(spec: PhantomSpec) -> PhantomSpec:
    """The same patient: two slices and a half lower, pixels a little larger, so that no voxel is the same."""
    start = spec.first_centre_mm - 2.5 * spec.increment_mm
    return replace(spec, first_centre_mm=start, field_of_view_mm=1.03 * spec.field_of_view_mm)


def scanned(spec: PhantomSpec) -> tuple[np.ndarray, Spacing]:
    phantom = make_phantom(spec)
    return phantom.hu, phantom.spacing_mm


def real_pairs(data: Path) -> Iterator[tuple[str, Pair]]:
    with (data / "infection-3d" / "slices.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    for name in REAL:
        case = infection_volume(data / "infection-3d", name, [row for row in rows if row["case"] == name])
        yield name, thick_pair(case.hu, case.spacing_mm)
    yield "ricord-1a-000082", thick_pair(*hu_volume(data / "ct" / "extra" / "ricord-1a-000082_covid_2.5mm.npz"))


def thick_pair(hu: np.ndarray, spacing_mm: Spacing) -> Pair:
    """Slices averaged by two, from the first and from the second one on."""
    rng = np.random.default_rng(20200417)
    thick = (2.0 * spacing_mm[0], spacing_mm[1], spacing_mm[2])
    scans = []
    for start in (0, 1):
        whole = hu[start : start + (len(hu) - start) // 2 * 2].astype(np.float32)
        mean = whole.reshape(-1, 2, *hu.shape[1:]).mean(axis=1) + rng.normal(0.0, NOISE_HU, (1, *hu.shape[1:]))
        scans.append((np.clip(np.rint(mean), -1024, 3071).astype(np.int16), thick))
    return scans[0], scans[1]


def measured(scan: tuple[np.ndarray, Spacing], bundle: Path | None) -> Measures:
    with tempfile.TemporaryDirectory() as folder:
        write_series(scan[0], scan[1], Path(folder))
        return Scan.from_document(analyze(Path(folder), Options(bundle=bundle)).document()).whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--patients", type=int, default=14)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--bundle", type=Path)
    options = parser.parse_args()
    pairs: list[tuple[Measures, Measures]] = []
    for name, (first, second) in all_pairs(options.patients, options.data):
        one, two = measured(first, options.bundle), measured(second, options.bundle)
        typer.echo(f"{name:<20}{shown(one)}   {shown(two)}")
        if one.poi_percent is not None and two.poi_percent is not None:
            pairs.append((one, two))
    typer.echo(json.dumps({"n": len(pairs), **{name: asdict(found) for name, found in limits(pairs).items()}}))


def all_pairs(patients: int, data: Path) -> Iterator[tuple[str, Pair]]:
    if data.is_dir():
        yield from real_pairs(data)
    yield from phantom_pairs(patients)


def shown(found: Measures) -> str:
    numbers = ((found.poi_percent, 2), (found.ihu_hu, 1), (found.infection_volume_ml, 0), (found.lung_volume_ml, 0))
    return " ".join("      -" if value is None else f"{value:7.{digits}f}" for value, digits in numbers)


def limits(pairs: list[tuple[Measures, Measures]]) -> dict[str, object]:
    dense = [pair for pair in pairs if all((one.infection_volume_ml or 0.0) >= LEAST_INFECTION_ML for one in pair)]
    return {
        "poi_points": limits_of_agreement([b.poi_percent for _, b in pairs], [a.poi_percent for a, _ in pairs]),
        "ihu_hu": limits_of_agreement([b.ihu_hu for _, b in dense], [a.ihu_hu for a, _ in dense]),
    }


if __name__ == "__main__":
    main()
