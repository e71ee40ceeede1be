"""The child's end of the protocol: it limits itself, takes questions from stdin, and keeps its answers clean.

channel = Channel.open()
for question in channel.questions((Probe,)):
    channel.send(...)
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self, TypeVar

from scanside_runtime.process.limits import Limits
from scanside_runtime.process.messages import decode, encode

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind")
_PR_SET_PDEATHSIG = 1


class Channel:
    """What was stdout is the parent's alone: from now on, `print` and C libraries write to stderr."""

    def __init__(self) -> None:
        self._answers = os.dup(1)
        os.dup2(2, 1)

    @classmethod
    def open(cls) -> tuple[Self, Limits]:
        """The channel of this process, within the limits that `Child` started it with: its last argument."""
        channel, limits = cls(), decode(sys.argv[-1], (Limits,))
        limits.apply()
        return channel, limits

    def send(self, message: DataclassInstance) -> None:
        """One line."""
        data = encode(message)
        while data:
            data = data[os.write(self._answers, data) :]

    def questions(self, kinds: tuple[type[Kind], ...]) -> Iterator[Kind]:
        """What the parent asks, until it closes the pipe. Raises ValueError for what is none of these kinds."""
        for line in sys.stdin.buffer:
            yield decode(line, kinds)


def end_with_the_daemon() -> None:
    """Die when the daemon does, also when it is killed: nobody else would write into a job's folder."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the daemon's to answer
