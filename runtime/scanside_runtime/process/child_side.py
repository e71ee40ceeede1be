"""The child's end of the protocol: it limits itself, takes questions from stdin, and keeps its answers clean.

channel = Channel.open()
for question in channel.questions((Probe,)):
    channel.send(...)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self, TypeVar

from scanside_runtime.process.messages import Birth, decode, encode, own_hello

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind")


class Channel:
    """What was stdout is the parent's alone: from now on, `print` and C libraries write to stderr.

    The first word is which software this is: whatever ends a child before it is no fault of what it would be asked.
    """

    def __init__(self) -> None:
        self._answers = os.dup(1)
        os.dup2(2, 1)
        self.send(own_hello())

    @classmethod
    def open(cls) -> Self:
        """The channel of this process, within the limits that `Child` started it with."""
        decode(sys.argv[-1], (Birth,)).limits.apply()
        return cls()

    def send(self, *messages: DataclassInstance) -> None:
        """A line each, all at once: whoever waits is woken once."""
        data = b"".join(map(encode, messages))
        while data:
            data = data[os.write(self._answers, data) :]

    def questions(self, kinds: tuple[type[Kind], ...]) -> Iterator[Kind]:
        """What the parent asks, until it closes the pipe. Raises ValueError for what is none of these kinds."""
        for line in sys.stdin.buffer:
            yield decode(line, kinds)
