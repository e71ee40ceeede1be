"""Whether a folder of others answers: who asks a share that hangs waits in the kernel, where nothing ends him."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ANSWER_S = 10.0
ASK = "import os, sys; os.statvfs(sys.argv[1]); os.scandir(sys.argv[1]).close()"
"""What a share is asked first, and what it is asked for every file."""
_LEFT: list[subprocess.Popen[bytes]] = []


def answers(folder: Path) -> bool:
    """Whether anything is said of it within `ANSWER_S`, be it that nothing lies there.

    A child asks, which may be left waiting; it holds no pipe of ours. Raises OSError where none can be started.
    """
    asker = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", ASK, folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        asker.wait(ANSWER_S)
    except subprocess.TimeoutExpired:
        asker.kill()
        _LEFT.append(asker)  # it may not end before the share answers
        return False
    return True
