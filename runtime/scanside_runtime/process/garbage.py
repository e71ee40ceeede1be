"""How often Python looks for garbage that refers to itself; what nothing refers to goes at once, as ever."""

from __future__ import annotations

import atexit
import gc

NEW_OBJECTS = 1_000_000
"""Objects made and not freed between two looks. A study makes fewer: by Python's own 700 it costs 400 looks."""


def collect_rarely() -> None:
    """For a program or a child of ours, at its start. No volume waits for such a look: none refers to itself.

    At its end Python would look through all that is there, several times: a twelfth of what 60 slices take in all. The
    memory goes with the process, so that nothing is left for it to look at. What is to be removed at the end therefore
    never waits in a cycle (a temporary file would stay): ours are removed by `with` or by name.
    """
    gc.set_threshold(NEW_OBJECTS)
    atexit.register(gc.freeze)
