"""What came by the network goes into the inbox byte for byte: written beside its name, synced, named, synced again.

A file's name is made of hashes of its UID and its bytes: sent twice it is there once, and two contents of one UID are
two files, which the inbox knows how to deal with.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from scanside_appliance.files.atomic import replace_file, sync_directory
from scanside_appliance.files.layout import study_key
from scanside_appliance.jobs.retention import look
from scanside_runtime.settings.box import DiskSettings

LONGEST_KEEP_S = 30.0
FOLDER_MODE, FILE_MODE = 0o2770, 0o660
"""What is received must stay writable for the inbox's group, as what anybody sends."""


class DiskNearlyFull(Exception):
    """There is no room for another object; the sender keeps it and tries again."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where objects go, and when there is no room for them."""

    inbox: Path
    disk: DiskSettings
    now: Callable[[], float] = time.monotonic
    _under_way: dict[int, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Which study a file belongs to is told by the inbox, which parses; here all lie side by side."""
        return self.inbox / "received"

    def begin(self) -> None:
        """Make the folder, and remove what a receiver that was killed had not named yet. Raises OSError."""
        self.folder.mkdir(exist_ok=True)
        if stat.S_IMODE(self.folder.stat().st_mode) != FOLDER_MODE:
            with suppress(PermissionError):  # systemd lets no service set the bit; what it makes has its own group
                self.folder.chmod(FOLDER_MODE)
        for part in self.folder.glob(".*.part"):
            part.unlink()

    def keep(self, sop_uid: str, content: bytes) -> Path:
        """The object's file, safe on the disk when this returns. Raises DiskNearlyFull, OSError.

        While one waits for a share that hangs, no other is sent after it.
        """
        if any(self.now() - began > LONGEST_KEEP_S for began in [*self._under_way.values()]):
            raise OSError(errno.ETIMEDOUT, "the inbox does not answer")
        thread = threading.get_ident()
        self._under_way[thread] = self.now()
        try:
            return self._kept(sop_uid, content)
        finally:
            del self._under_way[thread]

    def _kept(self, sop_uid: str, content: bytes) -> Path:
        if look(self.inbox, self.disk).full:
            raise DiskNearlyFull
        target = self.folder / f"{study_key(sop_uid)}-{hashlib.sha256(content).hexdigest()[:16]}.dcm"
        if _is_there(target, content):
            sync_directory(self.folder)  # which may have failed when it came first
        else:
            self.folder.mkdir(exist_ok=True)
            replace_file(target, content, lambda handle: os.fchmod(handle, FILE_MODE))
        return target


def _is_there(path: Path, content: bytes) -> bool:
    """Whether the very bytes lie there already: a sender that lost our answer sends once more."""
    try:
        return os.path.getsize(path) == len(content) and path.read_bytes() == content
    except OSError:
        return False
