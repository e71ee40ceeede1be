"""The child that reads foreign files: how it is started, and that it may be before anybody asks.

Apart from `reader`, and light: to get ready takes the child as long as its parent takes to import what asks it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from scanside_runtime.process.child import Child, module, one_thread
from scanside_runtime.process.limits import MIB, Limits
from scanside_runtime.settings.reading import ReadingSettings

MODULE = "scanside_runtime.dicom.reader_process"
_SOURCES = Path(__file__).resolve().parents[2]
# To glibc: half a megabyte freed with a slice is taken again for the next one. Given back and asked for anew it costs a
# page fault for each 4 KiB of each array, half of the reader's time.
_KEEPS_FREED_MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(32 * MIB))
# And its memory in pages of 2 MiB where the kernel gives them to who asks: a fault for 512 of the others.
_LARGE_PAGES = "glibc.malloc.hugetlb=1"


class ReaderChild:
    """A child that was started with these limits, and the memory that it shares. Raises OSError where it can't be."""

    def __init__(self, limits: ReadingSettings) -> None:
        self.limits, self._resources = limits, ExitStack()
        with ExitStack() as unless_started:
            self.pixels_fd = os.memfd_create("scanside-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            unless_started.callback(os.close, self.pixels_fd)
            self.child = Child(
                [*module(MODULE), str(self.pixels_fd), json.dumps(asdict(limits))],
                limits_of(limits),
                environment=_environment(),
                pass_fds=[self.pixels_fd],
                keep_stderr=True,
            )
            unless_started.callback(self.child.end)
            self._resources = unless_started.pop_all()

    def end(self) -> None:
        """It, whatever it may have started, and our hold of the memory; safe to call twice."""
        self._resources.close()


_AHEAD: list[ReaderChild] = []


@contextmanager
def reader_ahead(limits: ReadingSettings) -> Iterator[None]:
    """The first reader that is wanted inside gets ready from now on; one that nobody took is ended.

    Where it can't be started, whoever wants one says why.
    """
    try:
        _AHEAD.append(ReaderChild(limits))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        while _AHEAD:
            _AHEAD.pop().end()


def reader_child(limits: ReadingSettings) -> ReaderChild:
    """The one that was started ahead with these limits, else a new one. Raises OSError."""
    return _AHEAD.pop() if _AHEAD and _AHEAD[-1].limits == limits else ReaderChild(limits)


def limits_of(reading: ReadingSettings) -> Limits:
    """Of a process that reads with these settings: an end even if nobody waits any more, two files to write."""
    pixels_mb = math.ceil(2 * reading.max_voxels_m * 1e6 / MIB)
    processor_s = int(2 * reading.study_seconds) + 1
    return Limits(reading.memory_mb, "mapped", processor_s, max(reading.max_archive_mb, pixels_mb))


def _environment() -> dict[str, str]:
    """Ours, with our own sources in front, and what an operator tells glibc last: there the last word counts."""
    path = _joined(str(_SOURCES), "PYTHONPATH")
    tunables = _joined(_LARGE_PAGES, "GLIBC_TUNABLES")
    return {**one_thread(), **_KEEPS_FREED_MEMORY, "GLIBC_TUNABLES": tunables, "PYTHONPATH": path}


def _joined(ours: str, name: str) -> str:
    """Before what the variable holds already; both list with colons."""
    return ":".join(filter(None, (ours, os.environ.get(name))))
