"""Does this box compute what the exporter computed? The bundle's golden stacks, answered here and compared."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
import numpy.typing as npt

from scanside_runtime.errors import ModelUnusable
from scanside_runtime.metrics import dice
from scanside_runtime.model.attempts import Attempts, Keep
from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import ENGINES, EngineChoice, choose_engine
from scanside_runtime.model.errors import ModelBundleDamaged, ModelEngine, ModelPrecision, ModelSelfTest
from scanside_runtime.model.networks import KeptNetworks, LoadedNetworks, Network
from scanside_runtime.model.proof import Proof, WayTried, proved_box

GOLDEN = "golden/phantom.npz"
LEAST_DICE = {"int8": 0.97, "bf16": 0.98, "fp32": 0.995}


@dataclass(frozen=True, slots=True)
class Compared:
    """This box's answer to the golden stacks against the exporter's, in FP32.

    dice: by network, of the class that agrees least. poi_points: what POI of the stacks is off.
    """

    dice: dict[str, float]
    poi_points: float


def prove(
    bundle: Bundle,
    preferred: EngineChoice,
    before: Proof | None = None,
    networks: KeptNetworks | None = None,
    keep: Keep = lambda _: None,
) -> Proof:
    """The self-test of a box: the way in which it computes, and where that is wrong the next one that is right.

    preferred: the way that it would take by itself. before: its last proof; while it holds, the way that it found right
    is tested whatever is preferred now, as it computed all that was measured since, and what it found wrong is tried
    after all others. networks: keeps the networks of the way that is right. keep: writes down what is about to be
    tried, for the `before` of the next test: a way that ends the process is tried twice, then no more for a while.

    Every file of the bundle is compared with its hash first. Raises ModelBundleDamaged, what else makes a bundle
    unusable in every way, and what `keep` raises.
    """
    bundle.verify()
    if before is not None and not before.holds(bundle):
        before = None
    attempts = Attempts(before or Proof(_now(), proved_box(bundle), None), keep)
    known = {one.name: one for one in before.wrong if not attempts.is_pardoned(one.name)} if before else {}
    tried = partial(_tried, bundle, networks or KeptNetworks(), attempts)
    ways = sorted(_ways(preferred), key=lambda way: way.title in known)
    used = [way for way in ways if before and before.passed and before.passed.is_way_of(way)]
    used_wrong = _until_right(used, tried)[0] if used != ways[:1] else []
    left = [way for way in ways if not any(one.is_way_of(way) for one in used_wrong)]
    wrong, passed = _until_right(left, tried)
    wrong = [*used_wrong, *wrong]
    known |= {one.name: one for one in wrong}
    if passed is not None:
        known.pop(passed.name, None)
    used_was_wrong = any(one.is_way_of(way) for one in wrong for way in used if not attempts.why_not(way))
    at, begun = passed.at if passed else _now(), attempts.after(passed=passed is not None)
    return Proof(at, proved_box(bundle), passed, tuple(known.values()), used_was_wrong, begun)


def _until_right(
    ways: Iterable[EngineChoice], tried: Callable[[EngineChoice], WayTried]
) -> tuple[list[WayTried], WayTried | None]:
    """Try ways in turn up to the first that is right: those that were wrong, and it."""
    wrong: list[WayTried] = []
    for way in ways:
        found = tried(way)
        if not found.why_not:
            return wrong, found
        wrong.append(found)
    return wrong, None


def prove_way(bundle: Bundle, way: EngineChoice, networks: KeptNetworks | None = None) -> WayTried:
    """Answer the golden stacks in one way. Raises ModelSelfTest where that is wrong, and what loading raises."""
    return run_selftest((networks or KeptNetworks()).take(bundle, way))


def _tried(bundle: Bundle, networks: KeptNetworks, attempts: Attempts, way: EngineChoice) -> WayTried:
    """One way, unless it was given up.

    Raises ModelUnusable for what no other way mends; after anything else that is raised, the way came to no end.
    """
    if why_not := attempts.why_not(way):
        return WayTried(way.name, way.precision, _now(), why_not=why_not)
    attempts.begin(way)
    try:
        found = prove_way(bundle, way, networks)
    except (ModelSelfTest, ModelEngine, ModelPrecision) as error:
        found = WayTried(way.name, way.precision, _now(), why_not=error.message)
    except ModelUnusable:
        attempts.end(way)
        raise
    attempts.end(way)
    return found


def _ways(preferred: EngineChoice) -> Iterable[EngineChoice]:
    """The preferred way, then the other precisions of its engine, then those of the other engine."""
    yield preferred
    for name in sorted(ENGINES, key=lambda one: one != preferred.name):
        for precision in LEAST_DICE:
            if (name, precision) != (preferred.name, preferred.precision):
                try:
                    yield choose_engine(name, precision, preferred.threads)
                except ModelPrecision:
                    continue


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def run_selftest(networks: LoadedNetworks) -> WayTried:
    """Answer the golden stacks of the networks' bundle.

    Raises ModelSelfTest when the masks are not the exporter's, ModelBundleDamaged where there are no golden stacks.
    """
    way, computed_in = networks.choice, networks.infection.engine.computed_in
    least = LEAST_DICE[way.precision]
    found = compare(networks, golden_stacks(networks.bundle)).dice
    for name, value in found.items():
        if value < least:
            raise ModelSelfTest(why=_differs(name, value, least))
    return WayTried(way.name, way.precision, _now(), computed_in, found["lungs"], found["infection"])


def compare(networks: LoadedNetworks, golden: Mapping[str, npt.NDArray[np.uint8]]) -> Compared:
    """Answer golden stacks, and say how far the answers are off theirs."""
    both = (("lungs", networks.lungs), ("infection", networks.infection))
    answers = {name: decided(network, golden[f"{name}_stack"]) for name, network in both}
    found_dice = {name: _agreement(answer, golden[f"{name}_mask"]) for name, answer in answers.items()}
    found, wanted = (
        _poi_percent(masks["lungs"], masks["infection"], networks)
        for masks in (answers, {name: golden[f"{name}_mask"] for name in answers})
    )
    return Compared(found_dice, found - wanted)


def _poi_percent(lungs: npt.NDArray[np.uint8], infection: npt.NDArray[np.uint8], networks: LoadedNetworks) -> float:
    """The two networks look at the same slabs with pixels of their own size; nothing where there is no lung."""
    areas = (
        np.count_nonzero(mask) * network.contract.pixel_mm**2
        for mask, network in ((lungs, networks.lungs), (infection, networks.infection))
    )
    lung_mm2, infected_mm2 = areas
    return 100.0 * infected_mm2 / lung_mm2 if lung_mm2 else 0.0


def _agreement(found: npt.NDArray[np.uint8], golden: npt.NDArray[np.uint8]) -> float:
    """Dice of the class that agrees least: swapped sides must not pass. 0 for a golden sample with nothing in it."""
    classes = np.unique(golden[golden > 0])
    return min((dice(found == number, golden == number) for number in classes), default=0.0)


def decided(network: Network, stack: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Classes of golden stacks: (n, depth, rows, columns) uint8, 255 for 1.0 → (n, rows, columns) uint8."""
    logits = network.engine.infer(stack.astype(np.float32) / np.float32(255.0))
    if logits.shape[1] == 1:
        return np.asarray(logits[:, 0] >= 0.0, dtype=np.uint8)
    return np.asarray(logits.argmax(axis=1), dtype=np.uint8)


def golden_stacks(bundle: Bundle) -> dict[str, npt.NDArray[np.uint8]]:
    """`lungs_stack`, `infection_stack` and the masks of both. Raises ModelBundleDamaged."""
    try:
        with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError) as problem:
        raise ModelBundleDamaged(name=GOLDEN, why="it is no archive of arrays") from problem


def _differs(network: str, dice: float, least: float) -> str:
    computed = f"the network {network} does not compute here what it computed when it was exported"
    return f"{computed} (Dice {dice:.3f}, at least {least})"
