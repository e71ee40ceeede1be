"""Is the trend right? Random phantom patients of six scans each, through the whole analysis, against their truth.

    python benchmarks/courses.py [--patients 4] [--bundle DIR] [--limits FILE]

The lesions of a patient grow and shrink from scan to scan as in the paper's Figure 5; the fourth scan is the third
state once more. A step counts as clear when its true change is at least half the measurement error away from it.
Nothing is asserted; the last line is JSON: how many steps were right, of all and of the clear ones, and how far
measured changes lay from true ones. --limits writes the latter as the bundle's manifest carries it (`validation`,
`limits_of_agreement`); the defaults of `[progression]` in the settings are these, rounded up.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import typer

from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.options import Options
from scanside_runtime.followup.measurement_error import measurement_error
from scanside_runtime.followup.progression import compare
from scanside_runtime.followup.scan import Measures, Scan
from scanside_runtime.metrics import limits_of_agreement
from scanside_runtime.model.bundle import Bundle, open_bundle
from scanside_runtime.phantom.dicom_writer import SeriesTags, write_series
from scanside_runtime.phantom.make import PhantomSpec, make_phantom, random_spec
from scanside_runtime.settings.tables import Settings

FIRST_SEED = 1_700_000_000
SIZES = (0.6, 0.85, 1.1, 1.1, 0.8, 0.5)
DENSER_HU = (0.0, 30.0, 90.0, 90.0, 0.0, -30.0)


@dataclass(frozen=True, slots=True)
class Tally:
    """How a step came out: trends and changes, found and true; clear: the true change is far from what decides."""

    measure: str
    found: str
    true: str
    found_change: float
    true_change: float
    clear: bool

    def __str__(self) -> str:
        wrong = "" if self.found == self.true else f", is {self.true}"
        return f"{self.measure} {self.found_change:+.1f} ({self.true_change:+.1f}) {self.found}{wrong};"


def is_sick(seed: int) -> bool:
    """Several lesions: in a patient with next to no disease every step is stable."""
    return len(random_spec(seed).lesions) >= 5


def course_specs(seed: int) -> list[PhantomSpec]:
    """Six states of one patient in slabs of 10 mm, each scan with positions of its own."""
    spec = random_spec(seed, slice_thickness_mm=10.0, matrix=192)
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


def scanned(spec: PhantomSpec, number: int, bundle: Bundle) -> tuple[Scan, Measures]:
    """What was measured, and what is true."""
    phantom = make_phantom(spec)
    with tempfile.TemporaryDirectory() as folder:
        tags = SeriesTags(study_date=f"202004{number + 1:02d}", study_uid=f"1.2.{number + 1}")
        write_series(
            phantom.hu, phantom.spacing_mm, Path(folder), slice_thickness_mm=spec.slice_thickness_mm, tags=tags
        )
        scan = Scan.from_document(analyze(Path(folder), Options(bundle=bundle.folder)).document())
    truth = phantom.truth
    return scan, Measures(truth.poi_percent, truth.ihu_hu, truth.infection_volume_ml, truth.lung_volume_ml)


def tallies(seed: int, bundle: Bundle) -> Iterator[Tally]:
    error = measurement_error(bundle.limits_of_agreement, Settings().progression, bundle.title)
    scans = [scanned(spec, number, bundle) for number, spec in enumerate(course_specs(seed))]
    for (before, true_before), (after, true_after) in pairwise(scans):
        if not (before.measured and after.measured):
            continue
        found = compare(before, after, error)
        true = compare(replace(before, whole=true_before), replace(after, whole=true_after), error)
        changes = found.whole.poi_change_points, true.whole.poi_change_points
        yield tally("poi", (found.trend, true.trend), changes, error.poi_points)
        if "not_comparable" not in (found.density_trend, true.density_trend):
            changes = found.whole.ihu_change_hu, true.whole.ihu_change_hu
            yield tally("ihu", (found.density_trend, true.density_trend), changes, error.ihu_hu)


def tally(measure: str, trends: tuple[str, str], changes: tuple[float | None, float | None], error: float) -> Tally:
    found, true = (change or 0.0 for change in changes)
    return Tally(measure, *trends, found, true, clear=abs(abs(true) - error) >= 0.5 * error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--patients", type=int, default=4)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--limits", type=Path)
    options = parser.parse_args()
    bundle, found = open_bundle(options.bundle), list[Tally]()
    sick = (seed for seed in range(FIRST_SEED, FIRST_SEED + 50 * options.patients) if is_sick(seed))
    for seed in islice(sick, options.patients):
        mine = list(tallies(seed, bundle))
        found += mine
        typer.echo(f"{seed}: {' '.join(map(str, mine))}")
    summaries = {measure: summary([t for t in found if t.measure == measure]) for measure in ("poi", "ihu")}
    typer.echo(json.dumps({"bundle": f"{bundle.name} {bundle.version}", "cpu_s": cpu_s(), **summaries}))
    if options.limits:
        options.limits.write_text(json.dumps(limits(summaries, bundle, options.patients), indent=2) + "\n")


def cpu_s() -> int:
    """Processor time of this process and of the readers that it started."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(one.ru_utime + one.ru_stime for one in spent))


def limits(summaries: dict[str, dict[str, object]], bundle: Bundle, patients: int) -> dict[str, object]:
    """`limits_of_agreement` of the manifest."""
    return {
        "of": "change",
        "poi_points": summaries["poi"]["change_off"],
        "ihu_hu": summaries["ihu"]["change_off"],
        "source": f"{bundle.name} {bundle.version} against true changes, {patients} phantom patients of six scans",
    }


def summary(found: list[Tally]) -> dict[str, object]:
    clear = [one for one in found if one.clear]
    right = sum(one.found == one.true for one in found)
    return {
        "steps": len(found),
        "right": right,
        "clear_steps": len(clear),
        "clear_right": sum(one.found == one.true for one in clear),
        "opposite": sum({one.found, one.true} == {"rising", "falling"} for one in found),
        "change_off": asdict(limits_of_agreement([t.found_change for t in found], [t.true_change for t in found])),
    }


if __name__ == "__main__":
    main()
