"""The fastest way to compute is taken only where it is right, and only while box, engines and bundle stay."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kit.selftest_samples import write_bundle_with_sample
from scanside_runtime.model import tune as module
from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import MOST_STREAMS, EngineChoice, cores
from scanside_runtime.model.errors import ModelSelfTest
from scanside_runtime.model.networks import KeptNetworks
from scanside_runtime.model.tune import candidates, try_choice, try_older, tune, why_wrong
from scanside_runtime.model.tuning import Tried, Tuning, fastest, this_box, tuning_of

INT8, FP32 = EngineChoice("openvino", "int8", cores(), 1), EngineChoice("onnxruntime", "fp32", cores(), 1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "TURNS", 1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle_with_sample(tmp_path_factory.mktemp("bundle"))


def tuning(bundle: Bundle, choice: EngineChoice = FP32) -> Tuning:
    return Tuning("2026-01-01T00:00:00+00:00", this_box(bundle), choice, (Tried(choice, 1.0, 2.0, 1.0, 1.0, 0.0),))


def test_a_way_is_measured_in_a_process_of_its_own_and_found_right(bundle: Bundle) -> None:
    tried = try_choice(bundle, INT8)
    assert tried.why_not == ""
    assert tried.lungs_dice == pytest.approx(1.0, abs=0.03)
    assert tried.wall_ms is not None
    assert tried.wall_ms > 0.0
    assert tried.computed_in == "int8+fp32"


def test_a_process_that_ends_without_an_answer_leaves_its_way_out(bundle: Bundle) -> None:
    tried = try_choice(bundle, replace(INT8, name="no engine"))
    assert tried.why_not
    assert fastest([tried]) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"lungs_dice": 0.9}, "Dice"),
        ({"infection_dice": 0.5}, "Dice"),
        ({"poi_points": -0.6}, "POI"),
        ({"poi_points": float("nan")}, "POI"),
        ({"lungs_dice": None}, "no answer"),
    ],
)
def test_what_does_not_agree_with_fp32_is_out(changes: dict[str, float | None], why: str) -> None:
    right = Tried(INT8, 1.0, 1.0, 0.999, 0.99, 0.3)
    assert why_wrong(right) == ""
    assert why in why_wrong(replace(right, **changes))


def test_the_fastest_way_that_is_right_is_taken_and_of_equals_the_one_that_costs_least() -> None:
    wrong = Tried(INT8, 1.0, 1.0, why_not="Dice")
    quick, cheap, slow = Tried(INT8, 10.0, 30.0), Tried(FP32, 10.4, 20.0), Tried(FP32, 20.0, 5.0)
    assert fastest([wrong, slow, quick, cheap]) is cheap
    assert fastest([wrong, slow, quick]) is quick
    assert fastest([wrong]) is None


def test_an_engine_that_computes_something_else_is_never_chosen_however_fast(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: what OpenVINO answers in INT8 comes at once, and is off."""
    measured = module.try_choice

    def planted(bundle: Bundle, choice: EngineChoice, held_to: str | None = None) -> Tried:
        if choice.name == "openvino":
            off = Tried(choice, 0.001, 0.001, 1.0, 0.6, 3.0)
            return replace(off, why_not=why_wrong(off))
        return measured(bundle, choice, held_to)

    monkeypatch.setattr(module, "try_choice", planted)
    monkeypatch.setattr(module, "candidates", lambda threads: [INT8, FP32])
    found = tune(bundle)
    assert found.choice == FP32
    assert [bool(one.why_not) for one in found.tried] == [True, False]


def test_the_quickest_are_measured_in_turn_and_a_way_that_was_wrong_once_is_out(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INT8 is quicker in one turn, and wrong in the next."""
    asked: list[EngineChoice] = []
    times = {INT8: [30.0, 10.0, 12.0], FP32: [20.0, 5.0, 5.0]}

    def noted(bundle: Bundle, choice: EngineChoice, held_to: str | None = None) -> Tried:
        wall_ms = times[choice][asked.count(choice)]
        asked.append(choice)
        return Tried(choice, wall_ms, wall_ms, why_not="Dice" if len(asked) == 6 else "")

    monkeypatch.setattr(module, "try_choice", noted)
    monkeypatch.setattr(module, "TURNS", 2)
    monkeypatch.setattr(module, "candidates", lambda threads: [INT8, FP32])
    said: list[Tried] = []
    found = tune(bundle, say=said.append)
    assert asked == [INT8, FP32, FP32, INT8, FP32, INT8]
    assert [one.choice for one in said] == asked
    assert found.choice == FP32
    assert {one.choice: (one.wall_ms, one.why_not) for one in found.tried} == {INT8: (12.0, "Dice"), FP32: (5.0, "")}


def test_a_way_that_was_measured_once_is_taken_only_where_none_of_the_finalists_is_right(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FP32 is nearly as quick and cheaper, but no finalist; then INT8 is wrong in its turn."""
    why_not = ["", "", ""]

    def planted(bundle: Bundle, choice: EngineChoice, held_to: str | None = None) -> Tried:
        return Tried(choice, 10.0, 9.0, why_not=why_not.pop(0)) if choice == INT8 else Tried(FP32, 10.1, 1.0)

    monkeypatch.setattr(module, "try_choice", planted)
    monkeypatch.setattr(module, "FINALISTS", 1)
    monkeypatch.setattr(module, "candidates", lambda threads: [INT8, FP32])
    assert tune(bundle).choice == INT8
    why_not[:] = ["", "Dice"]
    assert tune(bundle).choice == FP32


def test_networks_that_answer_otherwise_than_the_exporter_leave_no_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "candidates", lambda threads: [INT8])
    with pytest.raises(ModelSelfTest, match="Dice"):
        tune(write_bundle_with_sample(tmp_path, same=False))


def test_an_older_processor_is_tried_with_openvino_alone(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[EngineChoice, str | None]] = []

    def noted(bundle: Bundle, choice: EngineChoice, held_to: str | None = None) -> Tried:
        asked.append((choice, held_to))
        return Tried(choice)

    monkeypatch.setattr(module, "try_choice", noted)
    try_older(bundle, "avx2", 2)
    assert {choice.name for choice, _ in asked} == {"openvino"}
    assert {choice.precision for choice, _ in asked} == {"int8", "fp32"}
    assert {held_to for _, held_to in asked} == {"AVX2"}


def test_each_engine_and_precision_is_tried_with_a_slab_a_core_and_all_cores_on_one() -> None:
    ways = candidates(2)
    assert {(way.name, way.precision) for way in ways} >= {
        ("openvino", "int8"), ("openvino", "fp32"), ("onnxruntime", "int8"), ("onnxruntime", "fp32")
    }  # fmt: skip
    assert {way.streams for way in ways} == {1, 2}
    assert {way.streams for way in candidates(1)} == {1}
    assert len(set(ways)) == len(ways)


def test_a_tuning_is_read_back_as_it_was_written(bundle: Bundle) -> None:
    found = tuning(bundle)
    assert tuning_of(json.dumps(found.to_document())) == found


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": "other"},
        {"choice": {"name": "cuda", "precision": "int8", "threads": 1, "streams": 1}},
        {"choice": {"name": "openvino", "precision": "int8", "threads": 0, "streams": 1}},
        {"choice": {"name": "openvino", "precision": "int8", "threads": 2, "streams": MOST_STREAMS + 1}},
        {"choice": {"name": "openvino", "precision": "int8", "threads": "2", "streams": 1}},
        {"choice": None},
        {"box": []},
        {"tried": [3]},
    ],
)
def test_what_is_no_tuning_is_none(bundle: Bundle, damage: dict[str, object]) -> None:
    assert tuning_of(json.dumps({**tuning(bundle).to_document(), **damage})) is None
    assert tuning_of(b"\xff[") is None


@pytest.mark.parametrize(
    "other", [{"processor": "another"}, {"flags": ()}, {"cores": 99}, {"engines": {}}, {"bundle_sha256": "0" * 64}]
)
def test_a_tuning_is_stale_when_anything_that_it_rests_on_is_another(bundle: Bundle, other: dict[str, object]) -> None:
    found = tuning(bundle)
    assert found.holds(bundle, 0)
    assert not found.holds(bundle, cores() + 1)
    changed = {**found.to_document()["box"], **other}
    document = {**found.to_document(), "box": changed}
    stale = tuning_of(json.dumps(document))
    assert stale is not None
    assert not stale.holds(bundle, 0)


def test_a_tuning_decides_for_auto_while_it_holds_and_never_for_what_is_named(bundle: Bundle) -> None:
    kept, found = KeptNetworks(), tuning(bundle)
    stale = replace(found, box=replace(found.box, processor="another"))
    assert kept.load(bundle.folder, "auto", "auto", 0, found).choice == FP32
    assert kept.load(bundle.folder, "auto", "auto", 0, stale).choice.name == "openvino"
    assert kept.load(bundle.folder, "auto", "int8", 0, found).choice.precision == "int8"
    assert kept.load(bundle.folder, "openvino", "auto", 0, found).choice.name == "openvino"
