"""Ctrl-C and SIGTERM while a command is at work that can be gone on with: it ends what it is at, and keeps that."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_ASKS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Asked:
    """By which signal the command was asked to stop; None as long as it was not."""

    by: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """As a shell has it of a program that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.by if self.by else 0


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """What is heard meanwhile is only noted. Asked once more, the program ends at once, as it would without this.

    What the caller had ignored (nohup, a shell's `&`) stays ignored.
    """
    asked = Asked()
    before = {one: signal.getsignal(one) for one in _ASKS if signal.getsignal(one) != signal.SIG_IGN}

    def give_back() -> None:
        for one, handler in before.items():
            signal.signal(one, handler)

    def heard(number: int, _: FrameType | None) -> None:
        asked.by = signal.Signals(number)
        give_back()

    for one in before:
        signal.signal(one, heard)
    try:
        yield asked
    finally:
        give_back()
