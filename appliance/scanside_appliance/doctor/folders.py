"""The folders: the root, who may write into the inbox, and what the system should have mounted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from scanside_appliance.doctor.conditions import Condition, Examined, bad, caution, good, of_error
from scanside_runtime.errors import BoxFailed


def root(box: Examined) -> Condition:
    """There, and a box's."""
    try:
        box.layout.check()
    except BoxFailed as error:
        return of_error("root", error)
    missing = [place.name for place in (box.layout.inbox, box.layout.results) if not place.is_dir()]
    if missing:
        return caution(
            "root", f"{box.layout.root}, without {', '.join(missing)}", "Start `scanside watch`: it makes them."
        )
    return good("root", str(box.layout.root))


def inbox(box: Examined) -> Condition:
    """The scanner's group may write there, and nobody else: who writes there decides what is measured."""
    try:
        mode = box.layout.inbox.stat().st_mode
    except OSError as error:
        found, advice = f"{box.layout.inbox}: {error.strerror}", "Start `scanside watch`: it makes the folder."
        was_started = box.layout.database.is_file()
        return bad("inbox", found, advice) if was_started else caution("inbox", found, advice)
    found = f"{box.layout.inbox} {stat.filemode(mode)}"
    if mode & stat.S_IWOTH:
        return bad("inbox", f"{found}: everybody may write", f"chmod 2770 {box.layout.inbox}")
    if not os.access(box.layout.inbox, os.R_OK | os.W_OK | os.X_OK):
        return bad("inbox", f"{found}: this user can't use it", "Run this command as the box's user or as root.")
    if mode & stat.S_IWGRP and not mode & stat.S_ISGID:
        advice = f"chmod g+s {box.layout.inbox}: what the scanner makes there must stay the group's."
        return caution("inbox", f"{found}: the group is not handed on", advice)
    return good("inbox", found)


def mounts(box: Examined) -> Condition:
    """What fstab says should be mounted at the box's folders or above them is mounted."""
    root = box.layout.root.resolve()
    wanted = [point for point in _mount_points(box.fstab) if _concerns(point, root)]
    gone = [str(point) for point in wanted if not os.path.ismount(point)]
    if gone:
        return bad(
            "mounts", f"not mounted: {', '.join(gone)}", "Check the cable, then `mount -a`; studies wait meanwhile."
        )
    return good("mounts", ", ".join(map(str, wanted)) or "nothing of its own")


def _mount_points(fstab: Path) -> list[Path]:
    try:
        lines = fstab.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    entries = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [Path(entry[1].replace("\\040", " ")) for entry in entries if len(entry) > 1 and entry[1].startswith("/")]


def _concerns(point: Path, root: Path) -> bool:
    return point == root or root in point.parents or (point in root.parents and point != Path("/"))
