"""Two ways to run a network on a CPU behind one method; precision and threads are stated, never left to a default."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from scanside_runtime.model.errors import ModelEngine, ModelPrecision

log = logging.getLogger("scanside")
Bytes = bytes | memoryview
Floats = npt.NDArray[np.float32]

ENGINES = ("openvino", "onnxruntime")

STORED_AS = {"int8": "int8", "bf16": "fp16", "fp32": "fp16"}
"""Which file of a bundle a precision computes from."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """What was asked for, made definite.

    name: "openvino" or "onnxruntime". precision: "int8", "bf16" or "fp32". threads: 1 and more.
    streams: so many slabs are computed side by side, each on its share of the threads. A core a slab costs a tenth to a
    quarter less processor time than all cores on each slab, which wait for each other at every layer.
    """

    name: str
    precision: str
    threads: int
    streams: int = 1

    @property
    def title(self) -> str:
        """For people: engine and precision."""
        return f"{self.name} {self.precision}"

    @property
    def stored_as(self) -> str:
        """The bundle's file for this precision: "int8" or "fp16"."""
        return STORED_AS[self.precision]


class Engine(Protocol):
    """A loaded network."""

    @property
    def computed_in(self) -> str:
        """What the layers are computed in, an INT8 network's remaining layers included: "int8+fp32", "bf16", "fp32"."""

    @property
    def version(self) -> str:
        """The engine's own version."""

    def infer(self, batch: Floats) -> Floats:
        """(n, depth, rows, columns) float32 in 0..1 → logits (n, classes, rows, columns) float32.

        Raises ModelEngine when the network does not take the batch.
        """


MOST_STREAMS = 4
"""A slab that is computed takes some 30 MB."""


def choose_engine(name: str, precision: str, threads: int) -> EngineChoice:
    """Make "auto" definite: OpenVINO, INT8, all cores that this process may use, each with a slab of its own.

    Raises ModelPrecision for bf16 without OpenVINO or without a processor that has it.
    """
    name = "openvino" if name == "auto" else name
    precision = "int8" if precision == "auto" else precision
    if precision == "bf16":
        if name != "openvino":
            raise ModelPrecision(precision=precision, engine=name, why="only OpenVINO computes in bf16")
        if not {"avx512_bf16", "amx_bf16"} & set(processor_flags()):
            raise ModelPrecision(precision=precision, engine=name, why="the processor has no bf16 instructions")
    threads = threads or cores()
    return EngineChoice(name, precision, threads, min(threads, MOST_STREAMS))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def load_engine(model: bytes, choice: EngineChoice, compiled: Bytes | None = None) -> Engine:
    """Load a network from its bytes. Raises ModelEngine when the engine is missing or refuses the file.

    compiled: the same network as this engine compiled it in this way; where it is refused, it is compiled anew.
    """
    makers: dict[str, type[OpenVinoEngine | OnnxRuntimeEngine]]
    makers = {"openvino": OpenVinoEngine, "onnxruntime": OnnxRuntimeEngine}
    with _stating_the_engine(choice.name):
        return makers[choice.name](model, choice, compiled)


@contextmanager
def _stating_the_engine(name: str) -> Iterator[None]:
    """What an engine raises becomes ModelEngine; lines that only name places in its code are left out."""
    try:
        yield
    except _engine_errors() as problem:
        said = [line.strip() for line in str(problem).splitlines() if not line.startswith("Exception from ")]
        raise ModelEngine(engine=name, why=" ".join(said).strip(" .") or type(problem).__name__) from problem


def _engine_errors() -> tuple[type[Exception], ...]:
    """What engines raise; ONNX Runtime's own errors have no parent in common but Exception."""
    native = sys.modules.get("onnxruntime.capi.onnxruntime_pybind11_state")
    members = () if native is None else vars(native).values()
    own = (kind for kind in members if isinstance(kind, type) and issubclass(kind, Exception))
    return (ImportError, RuntimeError, ValueError, *own)


@cache
def openvino_core() -> Any:
    """The process's only `openvino.Core`, which is never given up; whoever computes with OpenVINO asks for it here.

    A core's CPU plugin sets an alternate signal stack and unmaps it when the core goes. With two cores, the first of
    which goes first, the second leaves the thread on the unmapped one: the next signal that Python handles (SIGTERM,
    SIGCHLD, SIGALRM) ends the process, or is written over whatever lies there by then, a volume for example.
    """
    # Kept from being imported: what converts models of others, a third of the time, and the telemetry that it starts.
    for name in ("openvino.tools.ovc", "openvino_telemetry"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()


class OpenVinoEngine:
    """Intel's OpenVINO on the CPU (it runs on AMD's as well)."""

    def __init__(self, model: bytes, choice: EngineChoice, compiled: Bytes | None = None) -> None:
        core = openvino_core()
        import openvino

        hint = "bf16" if choice.precision == "bf16" else "f32"
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": choice.threads,
            "NUM_STREAMS": choice.streams,
            "ENABLE_CPU_PINNING": False,  # pinned, every process computes on the first cores, two on the same ones
        }
        imported = None if compiled is None else _imported(core, compiled, options)
        self._is_imported = imported is not None
        self._compiled = imported or core.compile_model(_as_it_is_asked(core.read_model(model)), "CPU", options)
        # Twice as many as are computed at a time: where one ends, the next one is there.
        self._requests = [self._compiled.create_infer_request() for _ in range(2 * choice.streams)]
        self._answer_shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.version = str(openvino.__version__)
        self.computed_in = _stated(choice, str(self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string()))

    def infer(self, batch: Floats) -> Floats:
        """See `Engine`.

        All from one thread: OpenVINO's bindings wait for each other for ever when two threads use them for the first
        time at once.
        """
        with _stating_the_engine("openvino"), ExitStack() as under_way:  # left when nothing is written any more
            answers = np.empty((len(batch), *self._answer_shape(batch)), dtype=np.float32)
            for number, stack in enumerate(batch):
                request = self._requests[number % len(self._requests)]
                if number >= len(self._requests):
                    request.wait()
                self._start(request, stack, answers[number : number + 1])
                if number < len(self._requests):
                    under_way.callback(request.wait)
        return answers

    def _answer_shape(self, batch: Floats) -> tuple[int, ...]:
        """(classes, rows, columns). Where the file leaves them open, only an answer says: one is had for it."""
        if batch.shape[1:] not in self._answer_shapes:
            stated = self._compiled.output().partial_shape
            shape = stated.to_shape() if stated.is_static else self._compiled(batch[:1])[0].shape
            self._answer_shapes[batch.shape[1:]] = tuple(shape)[1:]
        return self._answer_shapes[batch.shape[1:]]

    def _start(self, request: Any, stack: Floats, answer: Floats) -> None:
        """Have a stack answered; the engine reads it, and writes its answer, where they lie."""
        from openvino import Tensor

        request.set_output_tensor(Tensor(answer, shared_memory=True))
        request.start_async([stack[None]], share_inputs=True)

    def newly_compiled(self) -> bytes | None:
        """The network as it was compiled, for `load_engine`; None where it was taken as it had been."""
        with _stating_the_engine("openvino"):
            return None if self._is_imported else self._compiled.export_model().getvalue()


class OnnxRuntimeEngine:
    """Microsoft's ONNX Runtime on the CPU."""

    def __init__(self, model: bytes, choice: EngineChoice, _: Bytes | None = None) -> None:
        # Since 1.32 it reports to Microsoft, and keeps a number of this machine among the user's caches, by itself.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, choice.threads // choice.streams)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._pool = ThreadPoolExecutor(choice.streams)
        self.version = str(onnxruntime.__version__)
        self.computed_in = _stated(choice, "fp32")

    def infer(self, batch: Floats) -> Floats:
        """See `Engine`."""
        with _stating_the_engine("onnxruntime"):
            return np.concatenate(list(self._pool.map(self._answer, batch[:, None])))

    def _answer(self, stack: Floats) -> Floats:
        return np.asarray(self._session.run(None, {self._input: stack})[0], dtype=np.float32)


def _imported(core: Any, compiled: Bytes, options: dict[str, Any]) -> Any | None:
    """What was compiled earlier; None, and a word in the log, where the engine does not take it."""
    from openvino import Tensor

    try:
        return core.import_model(Tensor(np.frombuffer(compiled, dtype=np.uint8)), "CPU", options)
    except RuntimeError as problem:
        log.warning("compiled anew: the engine does not take what was kept (%s)", str(problem).splitlines()[0])
        return None


def _as_it_is_asked(model: Any) -> Any:
    """For one stack, answered in float32.

    Networks of a bundle take any number; for one that is known before, less is computed and less memory taken.
    """
    shape = model.input().partial_shape
    shape[0] = 1
    model.reshape(shape)
    return model if model.output().get_element_type().get_type_name() == "f32" else _answering_in_float32(model)


def _answering_in_float32(model: Any) -> Any:
    from openvino import Type
    from openvino.preprocess import PrePostProcessor

    processor = PrePostProcessor(model)
    processor.output().tensor().set_element_type(Type.f32)
    return processor.build()


def _stated(choice: EngineChoice, rest: str) -> str:
    rest = {"f32": "fp32"}.get(rest, rest)
    return f"int8+{rest}" if choice.precision == "int8" else rest


def processor_flags() -> tuple[str, ...]:
    """Instruction sets of the processor as Linux names them; empty where it does not say."""
    return tuple(_of_processor("flags").split())


def processor_name() -> str:
    """The processor's name as Linux knows it; empty where it does not say."""
    return _of_processor("model name")


def _of_processor(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def instruction_set() -> str | None:
    """The best instruction set for these networks, for provenance: amx, avx512_vnni, avx_vnni, avx512f, avx2."""
    flags = set(processor_flags())
    return next((isa for isa in ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2") if isa in flags), None)
