"""What the kernel allows a child. It limits itself before the first question is read, and so before foreign bytes."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Literal

MIB = 2**20
WORDS_S = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits (getrlimit(2)), so that a child can't lift them; never above those that the box sets.

    counted: what `memory_mb` counts.
    "mapped": all address space (RLIMIT_AS), for a child that parses foreign bytes. It has one thread and no engine, so
        that what it maps and what it uses are much the same, and a decoder can get nothing beyond in any way.
    "written": private writable memory (RLIMIT_DATA), for the child that runs an engine. Threads and mapped weights take
        many times the address space that is ever used: a limit of that would have to be too wide to protect anything.
    processor_s: processor time of its whole life (RLIMIT_CPU); None for as long as it takes.
    file_mb: the largest file that it may write (RLIMIT_FSIZE); None for any size.

    There is never a core file: it would carry pictures and names.
    """

    memory_mb: int
    counted: Literal["mapped", "written"]
    processor_s: int | None = None
    file_mb: int | None = None

    def apply(self) -> None:
        """Limit this process."""
        own = self.memory_mb * MIB
        _limit(self.memory, own, own)
        _limit(resource.RLIMIT_CORE, 0, 0)
        if self.processor_s is not None:  # at the hard limit it is killed without a word
            _limit(resource.RLIMIT_CPU, self.processor_s, self.processor_s + WORDS_S)
        if self.file_mb is not None:
            _limit(resource.RLIMIT_FSIZE, self.file_mb * MIB, self.file_mb * MIB)

    @property
    def memory(self) -> int:
        """The resource that `memory_mb` limits."""
        return resource.RLIMIT_AS if self.counted == "mapped" else resource.RLIMIT_DATA


def _limit(what: int, soft: int, hard: int) -> None:
    allowed = resource.getrlimit(what)[1]
    if allowed != resource.RLIM_INFINITY:
        soft, hard = min(soft, allowed), min(hard, allowed)
    resource.setrlimit(what, (soft, hard))
