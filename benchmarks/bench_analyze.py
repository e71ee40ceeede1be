"""How long a study takes: 59 slices of 512 x 512, the demo's phantom. Run by `make bench`; nothing is asserted."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kit.reading import LIMITS, choose_series, find_series, read_volume
from scanside_appliance.page.report import render_page
from scanside_appliance.pictures.draw import draw_pictures
from scanside_appliance.results.dicom_seg import series_segmentation
from scanside_appliance.results.output import write_output
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.result import Analysis
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.dicom.series import Series
from scanside_runtime.measures.biomarkers import measure
from scanside_runtime.model.bundle import DEFAULT_BUNDLE, open_bundle
from scanside_runtime.model.engine import choose_engine, instruction_set
from scanside_runtime.model.errors import ModelPrecision
from scanside_runtime.model.networks import load_networks
from scanside_runtime.model.segment import segment
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.phantom.make import Phantom, demo_spec, make_phantom
from scanside_runtime.quality.gate import judge
from scanside_runtime.settings.tables import Settings
from scanside_runtime.volume import Masks, Volume

needs_bundle = pytest.mark.skipif(not (DEFAULT_BUNDLE / "manifest.json").is_file(), reason="no model bundle is here")


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    return make_phantom(demo_spec())


@pytest.fixture(scope="session")
def folder(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series")
    write_series(
        phantom.hu,
        phantom.spacing_mm,
        path,
        origin_mm=phantom.origin_mm,
        slice_thickness_mm=phantom.spec.slice_thickness_mm,
    )
    return path


@pytest.fixture(scope="session")
def series(folder: Path) -> Series:
    return choose_series(find_series(folder))


@pytest.fixture(scope="session")
def volume(series: Series) -> Volume:
    return read_volume(series)


@pytest.fixture(scope="session")
def masks(phantom: Phantom, volume: Volume) -> Masks:
    """The true masks: the stages after segmentation cost the same whoever drew them."""
    lungs = (volume.with_mask(phantom.right_lung), volume.with_mask(phantom.left_lung))
    return Masks(*lungs, volume.with_mask(phantom.infection))


@pytest.fixture(scope="session")
def analysis(folder: Path) -> Analysis:
    return analyze(folder)


@needs_bundle
def test_whole_analyze_59x512x512(benchmark: BenchmarkFixture, folder: Path) -> None:
    benchmark.pedantic(analyze, args=(folder,), rounds=3)


def test_headers_59_files(benchmark: BenchmarkFixture, folder: Path) -> None:
    benchmark(lambda: choose_series(find_series(folder)))


@pytest.mark.benchmark(group="headers and pixels 59x512x512: in this process, and in the child with its start")
@pytest.mark.parametrize("where", ["in process", "in a child"])
def test_read_59x512x512(benchmark: BenchmarkFixture, folder: Path, where: str) -> None:
    def here() -> Volume:
        return read_volume(choose_series(find_series(folder)))

    def in_a_child() -> Volume:
        with StudyReader(LIMITS) as reader:
            return reader.read_volume(choose_series(reader.find(folder)))

    benchmark.pedantic(here if where == "in process" else in_a_child, rounds=5)


def test_decode_59x512x512(benchmark: BenchmarkFixture, series: Series) -> None:
    benchmark(read_volume, series)


@needs_bundle
def test_load_both_networks(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(lambda: load_networks(open_bundle(), choose_engine("auto", "auto", 0)), rounds=3)


@needs_bundle
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("precision", ["int8", "fp32", "bf16"])
@pytest.mark.benchmark(group="segment 59x512x512: the ratios are against onnxruntime fp32 in the same run")
def test_segment_59x512x512(benchmark: BenchmarkFixture, volume: Volume, engine: str, precision: str) -> None:
    try:
        choice = choose_engine(engine, precision, 0)
    except ModelPrecision as missing:
        pytest.skip(str(missing))
    networks = load_networks(open_bundle(), choice)
    benchmark.extra_info |= {"isa": instruction_set(), "computed_in": networks.infection.engine.computed_in}
    benchmark.pedantic(segment, args=(volume, networks), rounds=3)


@pytest.mark.benchmark(group="the gate 59x512x512: its bar is 15 % of the whole analysis without it")
def test_gate_59x512x512(benchmark: BenchmarkFixture, volume: Volume, masks: Masks) -> None:
    benchmark(judge, volume, masks, "STANDARD", Settings())


def test_measure_59x512x512(benchmark: BenchmarkFixture, volume: Volume, masks: Masks) -> None:
    benchmark(measure, volume, masks)


def test_pictures_59x512x512(benchmark: BenchmarkFixture, volume: Volume, masks: Masks) -> None:
    benchmark(draw_pictures, volume, masks)


def test_segmentation_object_59x512x512x3(benchmark: BenchmarkFixture, series: Series, masks: Masks) -> None:
    benchmark(series_segmentation, series, masks, algorithm_version="bench", software_version="bench")


@needs_bundle
def test_page_12_slices(benchmark: BenchmarkFixture, analysis: Analysis, volume: Volume, masks: Masks) -> None:
    benchmark(render_page, analysis.document(), draw_pictures(volume, masks))


@needs_bundle
def test_whole_output_59x512x512(benchmark: BenchmarkFixture, analysis: Analysis, tmp_path: Path) -> None:
    benchmark(write_output, analysis, tmp_path)
