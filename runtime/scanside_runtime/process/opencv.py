"""How many threads OpenCV has in a process of ours."""

from __future__ import annotations

import os

_THREADS = "OPENCV_FOR_THREADS_NUM"
"""OpenCV reads it when it first computes: nobody has to import it for this."""


def one_opencv_thread() -> None:
    """For a program or a child of ours, at its start: the engine has the cores.

    A plane is soon done, and two threads on one wait for each other. Whoever uses `analyze` in a program of his own
    keeps OpenCV as it is.
    """
    os.environ.setdefault(_THREADS, "1")
