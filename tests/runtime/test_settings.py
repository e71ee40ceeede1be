"""Settings: defaults that work, and no typo that passes."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from scanside_runtime.errors import SettingsUnusable
from scanside_runtime.settings.box import JobSettings
from scanside_runtime.settings.fitting import fitting
from scanside_runtime.settings.load import load_settings, settings_digest, settings_of
from scanside_runtime.settings.tables import MeasureSettings, MotionSettings, QualitySettings, ReadingSettings, Settings


def written(folder: Path, text: str) -> Path:
    path = folder / "scanside.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_are_those_of_the_documentation() -> None:
    settings = load_settings(None)
    assert (settings.measures.floor_percent, settings.measures.floor_ml) == (0.5, 1.0)
    assert (settings.severity.severe_from, settings.severity.watch_from) == ("CT-3", "CT-2")
    assert settings.inference.threads == 0


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "")) == Settings()


def test_what_the_file_says_replaces_the_default_and_nothing_else(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "[measures]\nfloor_ml = 2\n[inference]\nthreads = 3\n"))
    assert settings.measures == MeasureSettings(floor_percent=0.5, floor_ml=2.0)
    assert type(settings.measures.floor_ml) is float
    assert settings.inference.threads == 3
    assert settings.severity == Settings().severity


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[measures]\nfloor_procent = 1.0", "measures.floor_procent"),
        ("[meassures]\nfloor_ml = 1.0", "meassures"),
        ("floor_ml = 1.0", "floor_ml"),
        ("measures = 3", "measures"),
        ("[measures]\nfloor_ml = '1'", "measures.floor_ml"),
        ("[measures]\nfloor_ml = true", "measures.floor_ml"),
        ("[measures]\nfloor_ml = -1", "measures.floor_ml"),
        ("[measures]\nfloor_ml = nan", "measures.floor_ml"),
        ("[measures]\nfloor_ml = inf", "measures.floor_ml"),
        ("[measures]\nfloor_percent = 101.0", "measures.floor_percent"),
        ("[quality]\nblood_hu = nan", "quality.blood_hu"),
        ("[quality]\nmetal_hu = nan", "quality.metal_hu"),
        ("[quality]\nmetal_hu = inf", "quality.metal_hu"),
        ("[quality]\nmetal_hu = 3071", "quality.metal_hu"),
        ("[measures]\nfloor_ml = " + "9" * 400, "measures.floor_ml"),
        ("[inbox]\npatience_s = 1", "inbox.patience_s"),
        ("[inference]\nthreads = 1.5", "inference.threads"),
        ("[inference]\nthreads = -1", "inference.threads"),
        ("[severity]\nsevere_from = 'CT-5'", "severity.severe_from"),
        ("[severity]\nsevere_from = 'CT-1'", "severity.watch_from"),
        ("[severity", "scanside.toml"),
    ],
)
def test_a_key_or_value_that_is_not_known_is_refused_by_name(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(SettingsUnusable) as caught:
        load_settings(written(tmp_path, text))
    assert f"setting {key} " in caught.value.message
    assert (caught.value.code, caught.value.exit_code) == ("BOX_SETTINGS", 5)


NUMBERS = [
    pytest.param(kind, name, id=f"{section}.{name}")
    for section, kind in get_type_hints(Settings).items()
    for name, type_ in get_type_hints(kind).items()
    if type_ in (int, float)
]


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e12, -1e12])
def test_no_number_of_the_settings_is_none_or_without_bounds(kind: Any, name: str, value: float) -> None:
    with pytest.raises(SettingsUnusable, match=rf"^The setting \w+\.{name} can't be used: it must ") as caught:
        kind(**{name: value})
    assert "at most" in caught.value.message or "between" in caught.value.message


def test_a_bound_is_named_with_the_key() -> None:
    with pytest.raises(SettingsUnusable, match=r"motion\.moved_from can't be used: it must lie between 0 and 1\."):
        MotionSettings(moved_from=1.1)
    with pytest.raises(SettingsUnusable, match=r"metal_ml can't be used: it must be above 0 and at most 1000\."):
        QualitySettings(metal_ml=0.0)
    assert MotionSettings(moved_from=1.0).moved_from == 1.0


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsUnusable, match=r"absent\.toml"):
        load_settings(tmp_path / "absent.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scanside.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsUnusable, match="not TOML"):
        load_settings(tmp_path / "scanside.toml")


def test_the_digest_follows_the_values_and_not_the_way_they_were_written(tmp_path: Path) -> None:
    same = load_settings(written(tmp_path, "[severity]\nwatch_from = 'CT-2'\n[measures]\nfloor_ml = 1"))
    other = load_settings(written(tmp_path, "[measures]\nfloor_ml = 1.5"))
    assert settings_digest(same) == settings_digest(Settings())
    assert settings_digest(other) != settings_digest(Settings())


def test_a_list_of_texts_replaces_the_default_and_survives_the_way_to_the_worker(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "[patient]\nplaceholder_ids = ['GAST', 'GUEST']\n"))
    assert settings.patient.placeholder_ids == ("GAST", "GUEST")
    assert settings_of(json.loads(json.dumps(asdict(settings)))) == settings


@pytest.mark.parametrize("value", ["'GAST'", "[1]", "['']", "['a', ['b']]"])
def test_what_is_no_list_of_texts_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsUnusable, match=r"patient\.placeholder_ids"):
        load_settings(written(tmp_path, f"[patient]\nplaceholder_ids = {value}\n"))


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "{b = " * 100_000, "[disk]\na = " + "[" * 9999])
def test_a_file_that_is_nested_without_end_is_a_setting_that_can_not_be_used(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsUnusable, match=r"nested too deeply|not TOML"):
        load_settings(written(tmp_path, text))


def test_no_study_is_allowed_that_an_analysis_has_no_memory_or_time_for() -> None:
    assert fitting(Settings()) == Settings()
    small = fitting(Settings(jobs=JobSettings(memory_limit_mb=1024, time_limit_s=100.0))).reading
    assert (small.max_voxels_m, small.study_seconds) == (109, 50.0)
    assert fitting(Settings(reading=ReadingSettings(max_voxels_m=3000))).reading.max_voxels_m == 466
