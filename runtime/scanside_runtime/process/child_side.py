"""What the daemon's children do first: they end when it ends, keep their stdout clean, and can't eat the memory."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from typing import Any

_PR_SET_PDEATHSIG = 1


class Answers:
    """The stdout that the daemon reads; `print` and C libraries write nowhere from now on."""

    def __init__(self) -> None:
        self._pipe = os.fdopen(os.dup(1), "w", encoding="ascii")
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)

    def send(self, **answer: Any) -> None:
        """One line."""
        self._pipe.write(json.dumps(answer, allow_nan=False) + "\n")
        self._pipe.flush()


def questions() -> Iterator[dict[str, Any]]:
    """The lines that the daemon sends, until it closes the pipe."""
    for line in sys.stdin.buffer:
        yield json.loads(line)


def end_with_the_daemon() -> None:
    """Die when the daemon does, also when it is killed: nobody else would write into a job's folder."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the daemon's to answer


def limit_memory(limit_mb: int) -> None:
    """Private memory beyond this is refused by the kernel, as MemoryError or worse for the child alone."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = limit_mb * 2**20
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would carry pictures and names
