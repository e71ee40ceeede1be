"""Two engines, one method: the same logits, and what they computed in is stated."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper

from kit.bundle_samples import SIDE, infection_network, lungs_network
from scanside_runtime.model.engine import EngineChoice, OpenVinoEngine, choose_engine, load_engine, processor_flags
from scanside_runtime.model.errors import ModelEngine, ModelPrecision

ENGINES = ("openvino", "onnxruntime")
RUNTIME = Path(__file__).parents[2] / "runtime"


def batch(depth: int, count: int = 3) -> npt.NDArray[np.float32]:
    """Smooth noise over the whole window, (count, depth, 96, 96) float32."""
    coarse = np.random.default_rng(depth).random((count, depth, SIDE // 8, SIDE // 8), dtype=np.float32)
    return np.repeat(np.repeat(coarse, 8, axis=2), 8, axis=3)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(("make", "depth"), [(lungs_network, 1), (infection_network, 3)])
def test_both_engines_give_the_same_logits(precision: str, make: Callable[[str], bytes], depth: int) -> None:
    stored = make(EngineChoice("openvino", precision, 1).stored_as)
    answers = [load_engine(stored, EngineChoice(name, precision, 1)).infer(batch(depth)) for name in ENGINES]
    assert answers[0].std() > 1.0
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-4)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_slabs_side_by_side_are_answered_as_one_after_the_other(name: str, precision: str) -> None:
    choices = [EngineChoice(name, precision, threads, streams) for threads, streams in ((1, 1), (2, 2), (4, 3))]
    engines = [load_engine(lungs_network(choices[0].stored_as), choice) for choice in choices]
    alone, *beside = [engine.infer(batch(1, 7)) for engine in engines]
    for answer in beside:
        np.testing.assert_array_equal(answer, alone)


@pytest.mark.parametrize("name", ENGINES)
def test_logits_come_for_any_number_of_stacks_and_each_stack_alone_gives_the_same(name: str) -> None:
    engine = load_engine(lungs_network(), EngineChoice(name, "fp32", 1))
    stacks = batch(1, 5)
    whole = engine.infer(stacks)
    assert (whole.shape, whole.dtype) == ((5, 3, SIDE, SIDE), np.dtype(np.float32))
    for number in range(5):
        np.testing.assert_array_equal(engine.infer(stacks[number : number + 1])[0], whole[number])


@pytest.mark.parametrize("name", ENGINES)
def test_logits_are_kept_when_the_engine_is_used_again(name: str) -> None:
    engine = load_engine(lungs_network(), EngineChoice(name, "fp32", 1))
    first = engine.infer(batch(1))
    kept = first.copy()
    engine.infer(np.zeros_like(batch(1)))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", ENGINES)
def test_precision_and_version_are_stated(name: str) -> None:
    fp32 = load_engine(lungs_network("fp16"), EngineChoice(name, "fp32", 1))
    int8 = load_engine(lungs_network("int8"), EngineChoice(name, "int8", 1))
    assert (fp32.computed_in, int8.computed_in) == ("fp32", "int8+fp32")
    assert fp32.version[0].isdigit()


def test_fp32_keeps_what_bf16_would_lose() -> None:
    """Steps of 1/1024 beside 0.5: bf16 has 8 bits, and some processors would take it by themselves."""
    ramp = np.full((1, 3, SIDE, SIDE), 0.5, np.float32) + np.arange(SIDE, dtype=np.float32) / np.float32(1024)
    for name in ENGINES:
        logits = load_engine(infection_network(), EngineChoice(name, "fp32", 1)).infer(ramp)
        assert len(np.unique(logits[0, 0, 0])) >= SIDE - 1


def test_what_is_not_chosen_is_made_definite() -> None:
    choice = choose_engine("auto", "auto", 0)
    assert (choice.name, choice.precision, choice.stored_as) == ("openvino", "int8", "int8")
    assert choice.threads == len(os.sched_getaffinity(0))
    assert choose_engine("onnxruntime", "fp32", 3) == EngineChoice("onnxruntime", "fp32", 3, streams=3)


def test_each_core_has_a_slab_of_its_own_up_to_four() -> None:
    assert [choose_engine("auto", "auto", threads).streams for threads in (1, 2, 4, 5, 16)] == [1, 2, 4, 4, 4]


def test_every_precision_is_stored_as_int8_or_fp16() -> None:
    stored = {precision: EngineChoice("openvino", precision, 1).stored_as for precision in ("int8", "bf16", "fp32")}
    assert stored == {"int8": "int8", "bf16": "fp16", "fp32": "fp16"}


def test_bf16_with_onnx_runtime_is_refused() -> None:
    with pytest.raises(ModelPrecision) as caught:
        choose_engine("onnxruntime", "bf16", 1)
    assert (caught.value.code, caught.value.exit_code) == ("MODEL_PRECISION", 4)


def test_bf16_is_refused_on_a_processor_that_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanside_runtime.model.engine.processor_flags", lambda: ("avx2", "avx512f"))
    with pytest.raises(ModelPrecision, match="bf16 instructions"):
        choose_engine("openvino", "bf16", 1)


def test_bf16_is_stated_where_the_processor_has_it() -> None:
    if not {"avx512_bf16", "amx_bf16"} & set(processor_flags()):
        pytest.skip("this processor has no bf16 instructions")
    engine = load_engine(lungs_network(), choose_engine("openvino", "bf16", 1))
    assert engine.computed_in == "bf16"


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("data", [b"", b"hello", lungs_network()[:-200]])
def test_bytes_that_an_engine_does_not_know_end_in_one_code(name: str, data: bytes) -> None:
    with pytest.raises(ModelEngine) as caught:
        load_engine(data, EngineChoice(name, "fp32", 1))
    assert (caught.value.code, caught.value.exit_code) == ("MODEL_ENGINE", 4)
    assert name in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ENGINES)
def test_a_batch_that_the_network_does_not_take_ends_in_the_same_code(name: str) -> None:
    engine = load_engine(lungs_network(), EngineChoice(name, "fp32", 1))
    with pytest.raises(ModelEngine, match=name):
        engine.infer(batch(3))


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("answers_in", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("size", [("rows", "columns"), (SIDE, SIDE)])
def test_rows_and_columns_may_be_left_open_and_answers_be_of_half_precision(
    name: str, answers_in: int, size: tuple[int | str, int | str]
) -> None:
    shapes = ((TensorProto.FLOAT, "stack"), (answers_in, "logits"))
    stack, logits = (helper.make_tensor_value_info(called, kind, ["n", 1, *size]) for kind, called in shapes)
    graph = helper.make_graph(
        [helper.make_node("Cast", ["stack"], ["logits"], to=answers_in)], "half", [stack], [logits]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    answer = load_engine(model.SerializeToString(), EngineChoice(name, "fp32", 1)).infer(batch(1))
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, batch(1), atol=1e-3)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_network_that_was_compiled_earlier_answers_alike_and_says_the_same_of_itself(precision: str) -> None:
    choice = EngineChoice("openvino", precision, 1)
    first = load_engine(lungs_network(choice.stored_as), choice)
    assert isinstance(first, OpenVinoEngine)
    compiled = first.newly_compiled()
    assert compiled is not None
    second = load_engine(b"", choice, compiled)  # the network itself is not looked at
    assert isinstance(second, OpenVinoEngine)
    assert second.newly_compiled() is None
    assert (second.version, second.computed_in) == (first.version, first.computed_in)
    np.testing.assert_array_equal(second.infer(batch(1)), first.infer(batch(1)))


@pytest.mark.parametrize("compiled", [b"", b"hello", b"\0" * 4096])
def test_what_an_engine_does_not_take_of_earlier_is_compiled_anew(compiled: bytes) -> None:
    engine = load_engine(lungs_network(), EngineChoice("openvino", "fp32", 1), compiled)
    assert isinstance(engine, OpenVinoEngine)
    assert engine.newly_compiled()


def test_a_missing_engine_ends_in_the_same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelEngine, match="onnxruntime"):
        load_engine(lungs_network(), EngineChoice("onnxruntime", "fp32", 1))


def by_a_process_of_its_own(program: str, tmp_path: Path) -> str:
    """What a program prints that is given the lungs' network as a file."""
    (tmp_path / "lungs.onnx").write_bytes(lungs_network())
    loading = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from scanside_runtime.model.engine import EngineChoice, load_engine\n"
        "def load(name='openvino'):\n"
        "    return load_engine(Path(sys.argv[1]).read_bytes(), EngineChoice(name, 'fp32', 1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", loading + program, str(tmp_path / "lungs.onnx")],
        env={**os.environ, "PYTHONPATH": str(RUNTIME), "XDG_CACHE_HOME": str(tmp_path / "caches")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_openvino_runs_without_its_telemetry_and_without_what_converts_models(tmp_path: Path) -> None:
    program = "load()\nprint(*(name for name, module in sys.modules.items() if module is not None))\n"
    loaded = by_a_process_of_its_own(program, tmp_path).split()
    assert "openvino" in loaded
    assert not [name for name in loaded if name.startswith(("openvino_telemetry", "openvino.tools.ovc"))]


def test_onnx_runtime_keeps_and_reports_nothing_of_this_machine(tmp_path: Path) -> None:
    assert by_a_process_of_its_own("print(load('onnxruntime').computed_in)", tmp_path) == "fp32\n"
    assert not (tmp_path / "caches").exists()


def test_a_signal_is_heard_when_networks_have_been_given_up(tmp_path: Path) -> None:
    program = (
        "lungs, infection = load(), load()\n"
        "del lungs\n"
        "del infection\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('heard'))\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    assert by_a_process_of_its_own(program, tmp_path) == "heard\n"
