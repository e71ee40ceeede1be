"""Ctrl-C and SIGTERM while a command is at work that can be gone on with: it keeps what it can, and says so."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from scanside_export.errors import Stopped

_ASKS = (signal.SIGINT, signal.SIGTERM)


class Asked:
    """Called, it answers whether the command was asked to stop; by which signal, None as long as it was not."""

    by: signal.Signals | None = None

    def __call__(self) -> bool:
        """As a training asks after each step."""
        return self.by is not None

    def ended(self, said: str) -> typer.Exit:
        """The command's end, told in a line; as a shell has it of a signal: 130 of Ctrl-C, 143 of SIGTERM."""
        typer.echo(said, err=True)
        return typer.Exit(128 + (self.by or signal.SIGINT))


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """What is heard meanwhile is only noted. Asked once more, the program ends at once, as it would without this."""
    with _heard(Asked()) as asked:
        try:
            yield asked
        except Stopped as stopped:
            said = f"stopped after a whole step: the same command goes on from {stopped.checkpoint}"
            raise asked.ended(said) from stopped


@contextmanager
def ended_at_once(said: str) -> Iterator[None]:
    """What is at work ends where it is, unless it is within `asked_to_stop`; said: what becomes of what it leaves."""

    def end() -> None:
        raise KeyboardInterrupt

    with _heard(Asked(), end) as asked:
        try:
            yield
        except KeyboardInterrupt as ended:
            raise asked.ended(said) from ended


@contextmanager
def _heard(asked: Asked, then: Callable[[], None] = lambda: None) -> Iterator[Asked]:
    """Once; what the caller had ignored (nohup, a shell's `&`) stays ignored."""
    before = {one: signal.getsignal(one) for one in _ASKS if signal.getsignal(one) != signal.SIG_IGN}

    def give_back() -> None:
        for one, handler in before.items():
            signal.signal(one, handler)

    def heard(number: int, _: FrameType | None) -> None:
        asked.by = signal.Signals(number)
        give_back()
        then()

    for one in before:
        signal.signal(one, heard)
    try:
        yield asked
    finally:
        give_back()
