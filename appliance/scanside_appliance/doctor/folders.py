"""The folders: the root, who may write into the inbox, and what the system should have mounted."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from scanside_appliance.doctor.conditions import Condition, Examined, bad, caution, good, of_error
from scanside_appliance.files.answering import ANSWER_S, answers
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.file import BESIDE, beside
from scanside_appliance.languages.words import Message, said
from scanside_appliance.service.errors import BoxInboxSilent
from scanside_appliance.site_model import site_model_file
from scanside_runtime.errors import BoxFailed


def root(box: Examined) -> Condition:
    """There, and a box's."""
    try:
        box.layout.check()
        box.layout.check_writable()
    except BoxFailed as error:
        return of_error("root", error)
    missing = [place.name for place in (box.layout.inbox, box.layout.results) if answers(place) and not place.is_dir()]
    if missing:
        found = said("{root}, without {missing}", root=box.layout.root, missing=", ".join(missing))
        return caution("root", found, said("Start `scanside watch`: it makes them."))
    if others := _others(box.layout):
        found = said("{root}: {files} belong to another user", root=box.layout.root, files=", ".join(others))
        advice = f"chown -R --reference={box.layout.root} " + " ".join(str(box.layout.root / one) for one in others)
        return bad("root", found, Message(advice))
    return good("root", Message(str(box.layout.root)))


def _others(layout: BoxLayout) -> list[str]:
    """What the service works with and may not open: not of the user whose box it is."""
    database, owner = layout.database, layout.root.stat().st_uid
    files = (database, *(beside(database, end) for end in BESIDE), layout.worklist_facts, layout.lock)
    seen = [path for path in (*files, *layout.own_folders) if path.exists() and path.stat().st_uid != owner]
    # With what lies in them, but by the folder's name: `chown -R` follows no link that stands for the folder itself.
    whole = (layout.private, site_model_file(layout.root).parent)
    seen += [one for one in whole if one.exists() and any(of.lstat().st_uid != owner for of in (one, *_shown(one)))]
    return [str(path.relative_to(layout.root)) for path in seen]


def _shown(folder: Path) -> Iterator[Path]:
    """Without files in the making. Nothing where this user may not look."""
    return folder.glob("[!.]*")


def inbox(box: Examined) -> Condition:
    """It answers; the scanner's group may write there, and nobody else: who does decides what is measured."""
    if not answers(box.layout.inbox):
        return of_error("inbox", BoxInboxSilent(folder=box.layout.inbox, seconds=ANSWER_S))
    try:
        mode = box.layout.inbox.stat().st_mode
    except OSError as error:
        found = said("{folder}: {why}", folder=box.layout.inbox, why=error.strerror)
        advice = said("Start `scanside watch`: it makes the folder.")
        was_started = box.layout.database.is_file()
        return bad("inbox", found, advice) if was_started else caution("inbox", found, advice)
    found = Message(f"{box.layout.inbox} {stat.filemode(mode)}")
    if mode & stat.S_IWOTH:
        advice = Message(f"chmod 2770 {box.layout.inbox}")
        return bad("inbox", said("{inbox}: everybody may write", inbox=found), advice)
    if not os.access(box.layout.inbox, os.R_OK | os.W_OK | os.X_OK):
        owner = box.layout.root.stat().st_uid
        as_root = Message(f"chown --reference={box.layout.root} {box.layout.inbox}; chmod 2770 {box.layout.inbox}")
        advice = as_root if os.geteuid() == owner else said("Run this command as the box's user or as root.")
        return bad("inbox", said("{inbox}: this user can't use it", inbox=found), advice)
    if mode & stat.S_IWGRP and not mode & stat.S_ISGID:
        advice = said("chmod g+s {inbox}: what the scanner makes there must stay the group's.", inbox=box.layout.inbox)
        return caution("inbox", said("{inbox}: the group is not handed on", inbox=found), advice)
    return good("inbox", found)


def mounts(box: Examined) -> Condition:
    """What fstab says should be mounted at the box's folders or above them is mounted."""
    root = box.layout.root.resolve()
    wanted = [point for point in _mount_points(box.fstab) if _concerns(point, root)]
    gone = [str(point) for point in wanted if answers(point) and not os.path.ismount(point)]
    if gone:
        advice = said("Check the cable, then `mount -a`; studies wait meanwhile.")
        return bad("mounts", said("not mounted: {folders}", folders=", ".join(gone)), advice)
    return good("mounts", Message(", ".join(map(str, wanted))) if wanted else said("nothing of its own"))


def _mount_points(fstab: Path) -> list[Path]:
    try:
        lines = fstab.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    entries = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [Path(entry[1].replace("\\040", " ")) for entry in entries if len(entry) > 1 and entry[1].startswith("/")]


def _concerns(point: Path, root: Path) -> bool:
    return point == root or root in point.parents or (point in root.parents and point != Path("/"))
