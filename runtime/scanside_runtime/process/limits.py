"""What the kernel allows a child. It limits itself before the first question is read, and so before foreign bytes."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Literal

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """Soft limits (getrlimit(2)), never above the hard ones that the box sets.

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

    def apply(self, shared_bytes: int = 0) -> None:
        """Limit this process. shared_bytes: of what it shares with its parent, allowed beside its own memory."""
        what = resource.RLIMIT_AS if self.counted == "mapped" else resource.RLIMIT_DATA
        _limit(what, self.memory_mb * MIB + shared_bytes)
        _limit(resource.RLIMIT_CORE, 0)
        if self.processor_s is not None:
            _limit(resource.RLIMIT_CPU, self.processor_s)
        if self.file_mb is not None:
            _limit(resource.RLIMIT_FSIZE, self.file_mb * MIB)


def _limit(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
