"""Is the trend right? Random phantom patients of six scans each, through the whole analysis, against their truth.

    python benchmarks/courses.py [--patients 4]

The lesions of a patient grow and shrink from scan to scan as in the paper's Figure 5; the fourth scan is the third
state once more. A step counts as clear when its true change is at least half the measurement error away from that error.
Nothing is asserted; the last line is JSON: how many steps were right, of all and of the clear ones.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import typer

from scanside_runtime.analysis import analyze
from scanside_runtime.bundle import open_bundle
from scanside_runtime.dicom_writer import SeriesTags, write_series
from scanside_runtime.measurement_error import measurement_error
from scanside_runtime.phantom import PhantomSpec, make_phantom, random_spec
from scanside_runtime.progression import compare
from scanside_runtime.scans import Measures, Scan
from scanside_runtime.settings import Settings

FIRST_SEED = 1_700_000_000
SIZES = (0.6, 0.85, 1.1, 1.1, 0.8, 0.5)
DENSER_HU = (0.0, 30.0, 90.0, 90.0, 0.0, -30.0)


@dataclass(frozen=True, slots=True)
class Tally:
    """How a step came out: found and true trend, and how far the true change is from the error that decides."""

    measure: str
    found: str
    true: str
    clear: bool

    def __str__(self) -> str:
        return f"{self.measure}:{self.found}" + ("" if self.found == self.true else f"(is {self.true})")


def course_specs(seed: int) -> list[PhantomSpec]:
    """Six states of one patient in sections of 10 mm, each scan with positions of its own."""
    spec = random_spec(seed, section_mm=10.0, matrix=192)
    rng = np.random.default_rng(seed)
    return [replace(state(spec, *step), first_centre_mm=-40.0 + float(rng.uniform(0.0, 10.0))) for step in steps()]


def steps() -> Iterator[tuple[float, float]]:
    yield from zip(SIZES, DENSER_HU, strict=True)


def state(spec: PhantomSpec, size: float, denser_hu: float) -> PhantomSpec:
    lesions = tuple(
        replace(
            one,
            radii_mm=(size * one.radii_mm[0], size * one.radii_mm[1], size * one.radii_mm[2]),
            mean_hu=one.mean_hu + (denser_hu if one.mean_hu < -200.0 else 0.0),
        )
        for one in spec.lesions
    )
    return replace(spec, lesions=lesions)


def scanned(spec: PhantomSpec, number: int) -> tuple[Scan, Measures]:
    """What was measured, and what is true."""
    phantom = make_phantom(spec)
    with tempfile.TemporaryDirectory() as folder:
        tags = SeriesTags(study_date=f"202004{number + 1:02d}", study_uid=f"1.2.{number + 1}")
        write_series(phantom.hu, phantom.spacing_mm, Path(folder), section_mm=spec.section_mm, tags=tags)
        scan = Scan.from_document(analyze(Path(folder)).document())
    truth = phantom.truth
    return scan, Measures(truth.poi_percent, truth.ihu_hu, truth.infection_volume_ml, truth.lung_volume_ml)


def tallies(seed: int) -> Iterator[Tally]:
    error = measurement_error(open_bundle(), Settings().progression)
    scans = [scanned(spec, number) for number, spec in enumerate(course_specs(seed))]
    for (before, true_before), (after, true_after) in pairwise(scans):
        if not (before.measured and after.measured):
            continue
        found = compare(before, after, error)
        true = compare(replace(before, whole=true_before), replace(after, whole=true_after), error)
        yield tally("poi", found.trend, true.trend, true.whole.poi_change_points, error.poi_points)
        if "not_comparable" not in (found.density_trend, true.density_trend):
            yield tally("ihu", found.density_trend, true.density_trend, true.whole.ihu_change_hu, error.ihu_hu)


def tally(measure: str, found: str, true: str, change: float | None, error: float) -> Tally:
    return Tally(measure, found, true, clear=abs(abs(change or 0.0) - error) >= 0.5 * error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--patients", type=int, default=4)
    patients = parser.parse_args().patients
    seeds = [seed for seed in range(FIRST_SEED, FIRST_SEED + 10 * patients) if random_spec(seed).lesions][:patients]
    found: list[Tally] = []
    for seed in seeds:
        mine = list(tallies(seed))
        found += mine
        typer.echo(f"{seed}: {' '.join(map(str, mine))}")
    typer.echo(json.dumps({measure: summary([t for t in found if t.measure == measure]) for measure in ("poi", "ihu")}))


def summary(found: list[Tally]) -> dict[str, int]:
    clear = [one for one in found if one.clear]
    right = sum(one.found == one.true for one in found)
    return {
        "steps": len(found),
        "right": right,
        "clear_steps": len(clear),
        "clear_right": sum(one.found == one.true for one in clear),
        "opposite": sum({one.found, one.true} == {"rising", "falling"} for one in found),
    }


if __name__ == "__main__":
    main()
