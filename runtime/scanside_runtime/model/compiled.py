"""Networks as an engine compiled them, kept from one start of the program to the next where there is a place for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Protocol

from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import Bytes, EngineChoice
from scanside_runtime.model.tuning import this_box

COMPILED_FOR = "one stack"
"""As `engine` has a network compiled; another word whenever that changes, as what was kept is then another network."""


class CompiledNetworks(Protocol):
    """A place that keeps one set of compiled networks.

    They save time and nothing else: it loses them rather than raise.
    """

    def read(self, key: str) -> Mapping[str, Bytes] | None:
        """What was kept under this key, by network; None where that is nothing, or nothing that can be trusted."""

    def write(self, key: str, compiled: Mapping[str, Bytes]) -> None:
        """Keep these instead of what was kept before."""


def key_of(bundle: Bundle, choice: EngineChoice) -> str:
    """What compiled networks hold for: these networks, this way to compute, this engine and this processor."""
    held_for = {"box": asdict(this_box(bundle)), "choice": asdict(choice), "compiled_for": COMPILED_FOR}
    return hashlib.sha256(json.dumps(held_for, sort_keys=True).encode()).hexdigest()
