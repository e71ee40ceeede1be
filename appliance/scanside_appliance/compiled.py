"""Where a person who analyses on request keeps networks compiled: one file among the user's own caches.

What is kept decides what is computed, so it is believed only where nobody else can have written it: a file of this user
alone in a folder that no other may write, with its sum. A box keeps none: its service compiles once and stays warm, and
what it computes with is what the bundle's signature stands for, whatever its user could write.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import mmap
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scanside_appliance.files.atomic import replace_file
from scanside_appliance.files.beneath import opened_file, opened_folder
from scanside_appliance.tuned import user_cache
from scanside_runtime.model.engine import Bytes

log = logging.getLogger("scanside")
NAME = "networks.compiled"
TAKEN = ".taken-by-"
_SUM_BYTES = hashlib.sha256().digest_size
_HEAD_BYTES = 512
_LEFT_BEHIND_S = 3600.0
_START_TIME = 22 - 3  # counted from the field behind the name


def compiled_networks(root: Path) -> CompiledFile | None:
    """This user's; None where this user is the box, whose root may be written."""
    return None if os.access(root, os.W_OK) else CompiledFile(user_cache() / "compiled")


@dataclass(frozen=True, slots=True)
class CompiledFile:
    """One set of compiled networks in one file: SHA-256 of the rest, JSON of a fixed length, and the networks.

    See `CompiledNetworks`. Whatever is wrong with it is a word in the log, and the networks are compiled. An engine may
    end over them: who takes them leaves a mark until its own orderly end, and where its process is gone and the mark is
    there, they are thrown away.
    """

    folder: Path

    def read(self, key: str) -> Mapping[str, Bytes] | None:
        """The networks of this key, where they are this user's own and whole."""
        try:
            self._throw_away_what_ended_another()
            found = _unpacked(self._content(), key)
            if found is not None:
                self._mark_as_taken()
            return found
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            log.warning("networks are compiled anew, as %s can't be used: %s", self.folder / NAME, problem)
            return None

    def write(self, key: str, compiled: Mapping[str, Bytes]) -> None:
        """Keep these, readable for this user alone, instead of what was there."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with opened_folder(self.folder) as folder:
                _check_own(folder, stat.S_IWGRP | stat.S_IWOTH)
            self._clear_left_behind()
            replace_file(self.folder / NAME, _packed(key, compiled), lambda handle: os.fchmod(handle, 0o600))
        except (OSError, ValueError) as problem:
            log.info("compiled networks are not kept in %s: %s", self.folder, problem)

    def _content(self) -> memoryview:
        """The very file that was looked at, mapped: read into memory it would cost twice what the networks take.

        Raises OSError, and ValueError for a stranger's or an empty one.
        """
        with opened_folder(self.folder) as folder, opened_file(folder, NAME) as handle:
            _check_own(folder, stat.S_IWGRP | stat.S_IWOTH)
            _check_own(handle, stat.S_IRWXG | stat.S_IRWXO)
            return memoryview(mmap.mmap(handle, 0, prot=mmap.PROT_READ))

    def _mark_as_taken(self) -> None:
        mark = self.folder / f"{TAKEN}{_process(str(os.getpid()))}"
        mark.touch()
        atexit.register(mark.unlink, missing_ok=True)

    def _throw_away_what_ended_another(self) -> None:
        for mark in self.folder.glob(f"{TAKEN}*"):
            if not _runs(mark.name.removeprefix(TAKEN)):
                log.warning("networks are compiled anew, as a process ended with those in %s", self.folder / NAME)
                (self.folder / NAME).unlink(missing_ok=True)
                mark.unlink(missing_ok=True)

    def _clear_left_behind(self) -> None:
        """What a process wrote that was ended meanwhile."""
        for part in self.folder.glob(f".{NAME}.*.part"):
            if time.time() - part.lstat().st_mtime > _LEFT_BEHIND_S:
                part.unlink(missing_ok=True)


def _runs(process: str) -> bool:
    """Whether this very process is there: in a container every run has the same number."""
    number = process.partition("-")[0]
    return number.isdecimal() and _process(number) == process


def _process(number: str) -> str | None:
    """The process of this number, and when it began: `starttime` of proc_pid_stat(5). None where there is none."""
    try:
        fields = Path("/proc", number, "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return f"{number}-{fields[_START_TIME]}"


def _check_own(handle: int, others: int) -> None:
    """Raises ValueError for a file or folder of somebody else, or that others may use in these ways."""
    found = os.fstat(handle)
    if found.st_uid != os.geteuid() or found.st_mode & others:
        raise ValueError("it, or its folder, is not this user's alone")


def _packed(key: str, compiled: Mapping[str, Bytes]) -> bytes:
    head = json.dumps({"key": key, "bytes": {name: len(data) for name, data in compiled.items()}}).encode()
    parts = (head.ljust(_HEAD_BYTES), *compiled.values())
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return b"".join((digest.digest(), *parts))


def _unpacked(content: memoryview, key: str) -> dict[str, memoryview] | None:
    """The networks; None where they are others'. Raises ValueError and its like for what is not whole."""
    if hashlib.sha256(content[_SUM_BYTES:]).digest() != content[:_SUM_BYTES]:
        raise ValueError("its sum differs")
    end = _SUM_BYTES + _HEAD_BYTES
    head = json.loads(bytes(content[_SUM_BYTES:end]))
    if head["key"] != key:
        log.info("networks are compiled anew: those that were kept are of another bundle, engine or processor")
        return None
    networks = {}
    for name, length in head["bytes"].items():
        networks[name] = content[end : end + length]
        end += length
    return networks
