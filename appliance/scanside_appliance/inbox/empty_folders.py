"""Folders that studies left empty in the inbox go, or each scan would walk through years of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from scanside_appliance.files.beneath import DEEPEST, opened_folder, subfolder


@dataclass(slots=True)
class EmptyFolders:
    """Removes a folder that was empty at two looks and not touched between: a sender may have made it just now.

    progressed: called for each folder, for who waits for a sign of life.
    """

    inbox: Path
    progressed: Callable[[], None] = lambda: None
    _empty: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Remove what was empty before already. A folder in which something appears meanwhile stays."""
        found: dict[str, int] = {}
        with suppress(OSError), opened_folder(self.inbox) as handle:
            self._look_below(handle, "", 0, found)
        self._empty = found

    def _look_below(self, folder: int, above: str, depth: int, found: dict[str, int]) -> bool:
        """Whether the folder holds nothing; below it, what was empty twice is removed."""
        with os.scandir(folder) as entries:
            there = [(one.name, one.is_dir(follow_symlinks=False)) for one in entries]
        for name in [name for name, is_folder in there if is_folder and depth < DEEPEST]:
            with suppress(OSError):
                self._look_at(folder, name, f"{above}{name}", depth + 1, found)
        return not there

    def _look_at(self, folder: int, name: str, path: str, depth: int, found: dict[str, int]) -> None:
        self.progressed()
        handle = subfolder(folder, name)
        try:
            touched = os.fstat(handle).st_mtime_ns
            is_empty = self._look_below(handle, f"{path}/", depth, found)
        finally:
            os.close(handle)
        if is_empty:
            found[path] = touched
            if self._empty.get(path) == touched:
                os.rmdir(name, dir_fd=folder)
