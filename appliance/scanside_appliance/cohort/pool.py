"""Processes for studies, each with what a child of ours has before it imports what takes time: this imports little."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor

from scanside_runtime.process.settle import settle_in

STUDIES_A_PROCESS = 200
"""After so many studies a process is replaced by a fresh one, so that no leak of a library adds up."""


def process_pool(count: int) -> ProcessPoolExecutor:
    """Processes that start afresh (`spawn`): engines do not survive a fork."""
    return ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        max_tasks_per_child=STUDIES_A_PROCESS,
    )


def _begin() -> None:
    """Ctrl-C is the parent's affair; a parent that is gone leaves nobody working."""
    settle_in(__name__)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
