"""Garbage is looked for rarely: that must cost no memory, and what holds a series must go without it."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from kit.analysis_samples import chest_series
from kit.bundle_samples import write_bundle
from scanside_runtime import Options, Settings, analyze
from scanside_runtime.settings.tables import InferenceSettings

ONE_THREAD = Settings(inference=InferenceSettings(threads=1))


@pytest.mark.usefixtures("warm_readers")
def test_a_volume_goes_with_its_analysis_and_waits_for_no_collector(tmp_path: Path) -> None:
    chest_series(tmp_path / "series")
    options = Options(ONE_THREAD, bundle=write_bundle(tmp_path / "bundle").folder)
    gc.disable()
    try:
        analysis = analyze(tmp_path / "series", options)
        assert analysis.volume is not None
        held = weakref.ref(analysis.volume.hu)
        del analysis
        assert held() is None
    finally:
        gc.enable()
