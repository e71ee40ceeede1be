"""How a defect of ours is told: by type and place, never by its message, which may quote a header or a file's name."""

from __future__ import annotations

import traceback
from pathlib import Path


def raised_at(error: BaseException) -> str:
    """For example "KeyError at volume.py:120"."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
