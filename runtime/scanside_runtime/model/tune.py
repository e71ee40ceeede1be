"""Measures each way to compute on this box with the real networks, and leaves out what does not answer as it should.

Every way is tried in a process of its own: none finds caches of another, and one that crashes is only left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import ENGINES, EngineChoice, choose_engine, cores
from scanside_runtime.model.errors import ModelPrecision, ModelSelfTest
from scanside_runtime.model.selftest import LEAST_DICE
from scanside_runtime.model.tuning import Tried, Tuning, fastest, this_box

SECONDS = 3.0
"""For how long each way is measured."""
LONGEST_S = 60.0
FINALISTS, TURNS = 3, 3
"""So many of the quickest are measured once more, in turn."""
MOST_POI_POINTS = 0.5
"""So far may POI of the golden stacks, which are drawn very sick, be off what FP32 says: INT8 is off by 0.3."""
HELD_TO = {"avx2": "AVX2", "avx2_vnni": "AVX2_VNNI", "avx512": "AVX512_CORE"}
"""What an older box has, and how oneDNN, which computes for OpenVINO, is told to use no more."""


def tune(bundle: Bundle, threads: int = 0, say: Callable[[Tried], None] | None = None) -> Tuning:
    """Try every way, the quickest once more in turn: what else a box does slows one way, and not the next.

    say: called with each way when it was tried, with the quickest in each turn.
    Raises ModelSelfTest where no way computes what the exporter computed.
    """
    tried = _all_tried(bundle, candidates(threads), None, say)
    finalists = in_turn(bundle, quickest(tried), say)
    again = {one.choice: one for one in finalists}
    tried = [again.get(one.choice, one) for one in tried]
    best = fastest(finalists) or fastest(tried)  # who was measured once may have had a quiet moment
    if best is None:
        raise ModelSelfTest(why="; ".join(f"{one.choice.title}: {one.why_not}" for one in tried))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Tuning(at, this_box(bundle), best.choice, tuple(tried))


def quickest(tried: Iterable[Tried]) -> list[EngineChoice]:
    """The finalists, the quickest first: of what is right."""
    return [one.choice for one in sorted((one for one in tried if not one.why_not), key=_wall_ms)[:FINALISTS]]


def in_turn(bundle: Bundle, ways: Sequence[EngineChoice], say: Callable[[Tried], None] | None = None) -> list[Tried]:
    """Each way several times, turn after turn, so that what else the box does meets all alike; of each the quickest."""
    found = _all_tried(bundle, ways, None, say)
    for _ in range(TURNS - 1):
        found = [_better(*both) for both in zip(found, _all_tried(bundle, ways, None, say), strict=True)]
    return found


def try_older(bundle: Bundle, isa: str, threads: int = 0, say: Callable[[Tried], None] | None = None) -> list[Tried]:
    """What a box with fewer instructions would do: OpenVINO held to `avx2`, `avx2_vnni` or `avx512`.

    ONNX Runtime can't be held to fewer, and bf16 needs more than any of them has.
    """
    ways = [way for way in candidates(threads) if way.name == "openvino" and way.precision != "bf16"]
    return _all_tried(bundle, ways, HELD_TO[isa], say)


def candidates(threads: int = 0) -> list[EngineChoice]:
    """Both engines in each precision that they have here: all cores on a slab, or a slab a core."""
    ways = []
    for name in ENGINES:
        for precision in LEAST_DICE:
            try:
                beside = choose_engine(name, precision, threads or cores())
            except ModelPrecision:
                continue
            ways += [beside] if beside.streams == 1 else [beside, replace(beside, streams=1)]
    return ways


def try_choice(bundle: Bundle, choice: EngineChoice, held_to: str | None = None) -> Tried:
    """Measure one way in a process of its own. held_to: oneDNN's name of the instructions that it may use at most."""
    command = [sys.executable, "-P", "-m", "scanside_runtime.model.tune_process"]
    question = json.dumps({"bundle": str(bundle.folder.absolute()), "choice": asdict(choice), "seconds": SECONDS})
    limit = {} if held_to is None else {"ONEDNN_MAX_CPU_ISA": held_to}
    environment = {**os.environ, **limit, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, input=question, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=True
        )
        measured = Tried(choice, **json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return Tried(choice, why_not=f"it took more than {LONGEST_S:.0f} s")
    except (subprocess.CalledProcessError, ValueError, TypeError, OSError) as problem:
        return Tried(choice, why_not=f"it ended without an answer ({type(problem).__name__})")
    return replace(measured, why_not=measured.why_not or why_wrong(measured))


def why_wrong(tried: Tried) -> str:
    """What of a way's answers is not as it should be; empty where all is."""
    least = LEAST_DICE[tried.choice.precision]
    if tried.lungs_dice is None or tried.infection_dice is None or tried.poi_points is None:
        return "it gave no answer"
    if min(tried.lungs_dice, tried.infection_dice) < least:
        return f"Dice {tried.lungs_dice:.3f} and {tried.infection_dice:.3f}, at least {least}"
    if not abs(tried.poi_points) <= MOST_POI_POINTS:
        return f"POI is off by {tried.poi_points:.2f} points, at most {MOST_POI_POINTS}"
    return ""


def _all_tried(
    bundle: Bundle, ways: Iterable[EngineChoice], held_to: str | None, say: Callable[[Tried], None] | None
) -> list[Tried]:
    tried = []
    for way in ways:
        tried.append(try_choice(bundle, way, held_to))
        if say is not None:
            say(tried[-1])
    return tried


def _better(one: Tried, again: Tried) -> Tried:
    """The quicker of two measurements; wrong where either was."""
    wrong = [tried for tried in (one, again) if tried.why_not]
    return wrong[0] if wrong else min(one, again, key=_wall_ms)


def _wall_ms(tried: Tried) -> float:
    return tried.wall_ms or 0.0
