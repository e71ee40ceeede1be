"""Many studies by one process: headers are read once, networks loaded once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kit.analysis_samples import chest_series
from kit.bundle_samples import write_bundle
from kit.cohort_samples import OPTIONS
from kit.reading import choose_series, find_studies
from scanside_appliance.cohort import work
from scanside_appliance.jobs.messages import Order
from scanside_appliance.jobs.worker import analyze_study
from scanside_appliance.studies import analyze_all
from scanside_runtime.analysis.options import Options
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.model import networks
from scanside_runtime.model.networks import KeptNetworks
from scanside_runtime.phantom.dicom_writer import SeriesTags
from scanside_runtime.settings.tables import InferenceSettings, Settings

pytestmark = pytest.mark.usefixtures("warm_readers")

STUDIES = 6
ONE_THREAD = Settings(inference=InferenceSettings(threads=1))


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    for number in range(STUDIES):
        chest_series(tmp_path / "disc" / str(number), tags=SeriesTags(study_uid=f"1.2.{number + 1}"))
    return tmp_path / "disc"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle").folder


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What was done how often."""
    counts: Counter[str] = Counter()

    def counting(module: Any, name: str) -> None:
        real = getattr(module, name)

        def call(*arguments: Any, **named: Any) -> Any:
            counts[name] += 1
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, call)

    counting(networks, "load_engine")
    counting(StudyReader, "find")
    return counts


def test_all_of_six_studies_reads_headers_once_and_loads_each_network_once(
    disc: Path, bundle: Path, counted: Counter[str]
) -> None:
    options = Options(ONE_THREAD, "onnxruntime", bundle=bundle)
    found = list(analyze_all(disc, options))
    assert [(uid, analysis.verdict) for uid, analysis in found] == [
        (f"1.2.{n + 1}", "analysed") for n in range(STUDIES)
    ]
    assert counted == {"find": 1, "load_engine": 2}


def test_a_reader_decodes_what_another_one_found(disc: Path) -> None:
    with StudyReader(ONE_THREAD.reading) as one:
        series = choose_series(one.find(disc), study_uid="1.2.3")
    with StudyReader(ONE_THREAD.reading) as another:
        assert another.read_volume(series).hu.shape == series.grid.shape


def test_the_second_study_of_a_worker_loads_no_network(
    disc: Path, bundle: Path, tmp_path: Path, counted: Counter[str]
) -> None:
    kept = KeptNetworks()
    for number in (0, 1):
        order = Order(
            root=tmp_path,
            files=disc / str(number),
            output=tmp_path / f"out{number}",
            study_uid="1.2.3",
            patient="",
            revision=1,
            supersedes=None,
            incomplete=None,
            clock_trouble=None,
            today="2026-01-01",
            alone=False,
            series_uid=None,
            earlier=(),
            settings=ONE_THREAD,
            bundle=bundle,
        )
        assert analyze_study(order, kept, lambda *_: None).verdict == "analysed"
        assert counted["load_engine"] == 2


def test_a_process_of_a_cohort_loads_each_network_once(
    disc: Path, bundle: Path, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work._OF_THIS_THREAD, "networks", KeptNetworks())
    options = Options(OPTIONS.settings, bundle=bundle)
    rows = [work.measure_study(study, options) for study in find_studies([disc])]
    assert [row["verdict"] for row in rows] == ["analysed"] * STUDIES
    assert counted["load_engine"] == 2
