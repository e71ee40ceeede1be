"""Folders that studies left empty in the inbox go, or each scan would walk through years of them."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class EmptyFolders:
    """Removes a folder that was empty at two looks and not touched between: a sender may have made it just now."""

    inbox: Path
    _empty: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Remove what was empty before already. A folder in which something appears meanwhile stays."""
        empty = dict(_empty_folders(self.inbox))
        for name in sorted(empty.items() & self._empty.items(), reverse=True):
            with suppress(OSError):
                os.rmdir(name[0])
        self._empty = empty


def _empty_folders(inbox: Path) -> list[tuple[str, int]]:
    """(path, mtime in ns) of each folder below the inbox that holds nothing."""
    found = []
    for folder, folders, files in os.walk(inbox):
        if not folders and not files and folder != os.fspath(inbox):
            with suppress(OSError):
                found.append((folder, os.stat(folder).st_mtime_ns))
    return found
