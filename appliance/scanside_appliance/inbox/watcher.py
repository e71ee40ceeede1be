"""inotify as a hint that a scan is worth while. It may miss, overflow or be absent: the periodic scan is the truth."""

from __future__ import annotations

import os
import threading
from pathlib import Path

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse", "afs", "ceph", "glusterfs")
DEBOUNCE_MS = 500


class InboxWatcher:
    """Writes a byte into a pipe when something happens below a folder; silent on a network share."""

    def __init__(self, folder: Path, wake: int) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(folder, wake), name="hint", daemon=True)
        self._thread.start()

    def _run(self, folder: Path, wake: int) -> None:
        if is_network(file_system(folder)):  # asked here, as a share may not answer
            return
        from watchfiles import watch  # not at the top: `--once` has no use for it

        try:
            for _ in watch(folder, watch_filter=None, debounce=DEBOUNCE_MS, step=100, stop_event=self._stop):
                os.write(wake, b"h")
        except (OSError, RuntimeError):  # no watches left, or the pipe is closed: the scan goes on without
            return

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=6.0)


def file_system(folder: Path, table: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system on which a folder lies, "" where that can't be told."""
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = folder.resolve()
    best, found = -1, ""
    for line in lines:
        mount, _, after = line.partition(" - ")
        point = Path(mount.split()[4].encode().decode("unicode_escape"))
        if real.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), after.split()[0]
    return found


def is_network(kind: str) -> bool:
    """Whether events of other machines would not be seen there."""
    return kind.partition(".")[0] in NETWORK
