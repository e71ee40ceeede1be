"""What a self-test found: the way to compute that is right on this box, and those that are not, with the evidence."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import EngineChoice, choose_engine
from scanside_runtime.model.errors import ModelSelfTest
from scanside_runtime.model.tuning import Box, Tuning, this_box
from scanside_runtime.process.typed import typed

PROOF_SCHEMA = "scanside.proof/1"
MOST_ATTEMPTS = 2
"""One may have met a power cut."""
PARDONED_AFTER = 30
"""Passed self-tests: a month of days."""


@dataclass(frozen=True, slots=True)
class WayTried:
    """One way to compute, against the golden stacks.

    engine, precision: as `choose_engine` takes them. computed_in: as the engine says. lungs_dice, infection_dice: None
    where it gave no answer. why_not: what is wrong, empty where it computes right. at: ISO 8601, UTC.
    """

    engine: str
    precision: str
    at: str
    computed_in: str = ""
    lungs_dice: float | None = None
    infection_dice: float | None = None
    why_not: str = ""

    @property
    def name(self) -> str:
        """For people: engine and precision."""
        return f"{self.engine} {self.precision}"

    def is_way_of(self, choice: EngineChoice) -> bool:
        """Whether a choice computes in this way, on however many threads."""
        return (self.engine, self.precision) == (choice.name, choice.precision)


@dataclass(frozen=True, slots=True)
class Begun:
    """A way, by its name, whose test was begun so often in a row and came to no end.

    passed_since: how many tests were passed since then, in other ways.
    """

    name: str
    times: int
    passed_since: int = 0

    @property
    def is_given_up(self) -> bool:
        """Whether it is not tried."""
        return self.times >= MOST_ATTEMPTS and self.passed_since < PARDONED_AFTER

    @property
    def is_pardoned(self) -> bool:
        """Whether it was given up, and is tried once more: it may have been the power."""
        return self.times >= MOST_ATTEMPTS and not self.is_given_up


@dataclass(frozen=True, slots=True)
class Proof:
    """The last self-test on a box.

    at: ISO 8601, UTC. box: what it holds for; the number of cores is left out, as it decides no answer. passed: the way
    that is right, None where none is. wrong: the ways that were wrong, now or in an earlier test that holds for the
    same. used_was_wrong: whether the way that had computed until then is wrong now; False where none had. begun: ways
    whose test came to no end.
    """

    at: str
    box: Box
    passed: WayTried | None
    wrong: tuple[WayTried, ...] = ()
    used_was_wrong: bool = False
    begun: tuple[Begun, ...] = ()

    @property
    def came_to_an_end(self) -> bool:
        """Whether it says anything of any way; the first one of a box may have been cut short."""
        return self.passed is not None or bool(self.wrong)

    def holds(self, bundle: Bundle) -> bool:
        """Whether it was made with this bundle on this processor, with these engines."""
        return self.box == proved_box(bundle)

    def choice(self, preferred: EngineChoice) -> EngineChoice:
        """The preferred way, or where that was found wrong, the one that is right. Raises ModelSelfTest for none."""
        passed = self.way()
        if not any(one.is_way_of(preferred) for one in self.wrong):
            return preferred
        return choose_engine(passed.engine, passed.precision, preferred.threads)

    def way(self) -> WayTried:
        """The way that is right. Raises ModelSelfTest where none is."""
        if self.passed is None:
            raise ModelSelfTest(why=self.why)
        return self.passed

    @property
    def why(self) -> str:
        """What is wrong with each way that is wrong."""
        return "; ".join(f"{one.name}: {one.why_not}" for one in self.wrong)

    def to_document(self) -> dict[str, Any]:
        """Plain values, read back by `proof_of`."""
        return {"schema": PROOF_SCHEMA, **asdict(self)}


def proof_of(text: str | bytes) -> Proof | None:
    """Read a proof back; None for what is none of this schema."""
    try:
        document = json.loads(text)
        return typed(Proof, document) if document.get("schema") == PROOF_SCHEMA else None
    except (ValueError, AttributeError, RecursionError):
        return None


def proved_box(bundle: Bundle) -> Box:
    """What a proof holds for."""
    return replace(this_box(bundle), cores=0)


def preferred_way(bundle: Bundle, threads: int, tuning: Tuning | None) -> EngineChoice:
    """How a box computes by itself: as it was tuned, while that holds, else by the default."""
    if tuning is not None and tuning.holds(bundle, threads):
        return tuning.choice
    return choose_engine("auto", "auto", threads)
