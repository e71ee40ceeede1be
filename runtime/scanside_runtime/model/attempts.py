"""Which ways to compute were begun to be tested and came to no end: one may end the process, or the whole machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from scanside_runtime.model.engine import EngineChoice
from scanside_runtime.model.proof import Begun, Proof

Keep = Callable[[Proof], None]


class Attempts:
    """before: the last self-test that holds, or one that says nothing yet. keep: writes down what is about to be tried.

    keep must be safe from a power cut, and may raise.
    """

    def __init__(self, before: Proof, keep: Keep) -> None:
        self._before, self._keep = before, keep
        self._begun = {one.name: one for one in before.begun}

    def why_not(self, way: EngineChoice) -> str:
        """Why a way is not tried, empty where it is."""
        one = self._begun.get(way.title)
        if one is None or not one.is_given_up:
            return ""
        return f"its test came to no end, {one.times} times in a row: it may end the process"

    def is_pardoned(self, name: str) -> bool:
        """Whether a way that was given up for that is to be tried once more."""
        return name in self._begun and self._begun[name].is_pardoned

    def begin(self, way: EngineChoice) -> None:
        """Written down before it is tried."""
        before = self._begun.get(way.title)
        self._begun[way.title] = Begun(way.title, 1 + (before.times if before else 0))
        self._keep(replace(self._before, begun=tuple(self._begun.values())))

    def end(self, way: EngineChoice) -> None:
        """It came to an end, whatever it computed."""
        del self._begun[way.title]

    def after(self, *, passed: bool) -> tuple[Begun, ...]:
        """What is remembered after a test. passed: in one way."""
        return tuple(replace(one, passed_since=one.passed_since + passed) for one in self._begun.values())
