"""Many studies: eight of 59 slices of 512 x 512, on one process and on two. Nothing is asserted.

The ratio of both means is the speed-up, on a box where two cores are free; `extra_info` says what a study costs in
processor time, and the largest memory that a worker has taken.
"""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kit.reading import find_studies
from scanside_appliance.cohort.processes import Processes
from scanside_appliance.cohort.run import run_cohort
from scanside_appliance.cohort.studies import CohortStudy
from scanside_runtime.analysis.options import Options
from scanside_runtime.model.bundle import DEFAULT_BUNDLE
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.phantom.make import demo_spec, make_phantom
from scanside_runtime.settings.tables import InferenceSettings, Settings

STUDIES = 8
needs_bundle = pytest.mark.skipif(not (DEFAULT_BUNDLE / "manifest.json").is_file(), reason="no model bundle is here")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms that differ in their noise, each a study of its own."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(STUDIES):
        phantom = make_phantom(replace(demo_spec(), seed=number))
        place, slice_thickness_mm = folder / str(number), phantom.spec.slice_thickness_mm
        write_series(
            phantom.hu, phantom.spacing_mm, place, origin_mm=phantom.origin_mm, slice_thickness_mm=slice_thickness_mm
        )
    return folder


@pytest.fixture(scope="module")
def studies(archive: Path) -> list[CohortStudy]:
    return find_studies([archive])


def test_find_8_studies_of_59_files(benchmark: BenchmarkFixture, archive: Path) -> None:
    benchmark.pedantic(find_studies, args=([archive],), rounds=3)


@needs_bundle
@pytest.mark.benchmark(group="8 studies of 59x512x512, one thread each: the ratio is the speed-up of two processes")
@pytest.mark.parametrize("processes", [1, 2])
def test_cohort_8x59x512x512(
    benchmark: BenchmarkFixture, studies: list[CohortStudy], tmp_path: Path, processes: int
) -> None:
    options = Options(Settings(inference=InferenceSettings(threads=1)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    benchmark.pedantic(run_cohort, args=(studies, tmp_path / "t.csv", Processes(processes), options), rounds=1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    benchmark.extra_info |= {"cpu_s_a_study": round(spent / len(studies), 2), "peak_mb": after.ru_maxrss // 1024}
