"""Where a box, or a person who analyses on request, keeps what `scanside tune` found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanside_appliance.files.atomic import replace_json, writing
from scanside_appliance.files.durable_files import opened_file
from scanside_appliance.files.layout import BoxLayout
from scanside_runtime.model.tuning import Tuning, tuning_of

LARGEST_BYTES = 1 << 20


def tuning_file(root: Path) -> Path:
    """Below the box's root where there is one that this user may write, else among the user's own caches."""
    if os.access(root, os.W_OK):
        return BoxLayout(root).tuning
    return user_cache() / BoxLayout(root).tuning.name


def user_cache() -> Path:
    """The folder of this program among the user's own caches, as the XDG Base Directory Specification has it."""
    stated = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (stated if stated.is_absolute() else Path.home() / ".cache") / "scanside"


def read_tuning(root: Path) -> Tuning | None:
    """What was found here, by the box or by this user; None where nothing was, or nothing that can be read.

    A tuning makes things faster and nothing else: where it is not to be had, the default computes.
    """
    for path in (BoxLayout(root).tuning, tuning_file(root)):
        try:
            with opened_file(path) as file:
                content = file.read(LARGEST_BYTES)
        except OSError:
            continue
        tuning = tuning_of(content)
        if tuning is not None:
            return tuning
    return None


def write_tuning(root: Path, document: Mapping[str, Any]) -> Path:
    """Keep it; returns the file. Raises BoxOutput."""
    path = tuning_file(root)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_json(path, document)
    return path
