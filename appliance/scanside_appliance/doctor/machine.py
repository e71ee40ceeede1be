"""The machine: room on the disk, clock, processor, memory."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from scanside_appliance.doctor.conditions import Condition, Examined, bad, caution, good
from scanside_appliance.jobs.retention import look
from scanside_appliance.languages.words import Message, said
from scanside_appliance.service.queue_words import MAKE_ROOM
from scanside_runtime.model.engine import processor_flags, processor_name
from scanside_runtime.process.cell import cell_strength

CPU_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
NEAR_STOP_POINTS = 10.0
FEW_INODES = 0.05
ENGINE_MB = 1024
"""What the daemon, the reader and the system want beside the worker."""
A_DAY_S = 86_400.0


def disk(box: Examined) -> Condition:
    """How full it is, and how much more it takes."""
    limits = box.settings.disk
    try:
        now = look(box.layout.root, limits)
    except OSError as error:
        found = said("it can't be read: {why}", why=error.strerror)
        return bad("disk", found, _reached(error))
    found = said("{used:.0f} % used, {free:.1f} GB free", used=now.used_percent, free=now.free_mb / 1024)
    if now.full:
        return bad("disk", said("{disk}: nothing more is taken in", disk=found), MAKE_ROOM)
    if now.used_percent > limits.stop_percent - NEAR_STOP_POINTS:
        found = said("{disk}; taking ends at {limit:.0f} %", disk=found, limit=limits.stop_percent)
        return caution("disk", found, MAKE_ROOM)
    return good("disk", found)


def _reached(error: OSError) -> Message:
    """What to do that the root's disk can be asked."""
    if isinstance(error, FileNotFoundError):
        return said(
            "Is this the first start? Run the release's install.sh, or `scanside watch`: the folder is made then. "
            "Else check that the disk is mounted."
        )
    return said("Check that the disk is mounted.")


def inodes(box: Examined) -> Condition:
    """A disk may be full of names while it has room."""
    try:
        system = os.statvfs(box.layout.root)
    except OSError as error:
        found = said("they can't be counted: {why}", why=error.strerror)
        return bad("files", found, _reached(error))
    if not system.f_files:
        return good("files", said("as many as there is room for"))
    free = system.f_favail / system.f_files
    found = said("room for {number} more", number=f"{system.f_favail:,}".replace(",", " "))
    if free < FEW_INODES:
        found = said("{room}, {share:.1f} %", room=found, share=100 * free)
        return bad("files", found, said("Remove folders of many small files from this disk."))
    return good("files", found)


def clock(box: Examined, last_study_at: str | None) -> Condition:
    """A clock that stands before this software was made, or before a study that came in, is wrong."""
    now = box.clock.wall()
    advice = said("Set the clock (`timedatectl set-time`), and replace the battery of the board if it loses time.")
    moment = box.clock.now_text()
    if box.clock.stands_too_early():
        return bad("clock", said("{moment}: before this software was made", moment=moment), advice)
    if last_study_at and (seen := _seconds(last_study_at)) is not None and now < seen - A_DAY_S:
        found = said("{moment}: before the last study, of {last}", moment=moment, last=last_study_at)
        return bad("clock", found, advice)
    return good("clock", Message(moment))


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def cell(_: Examined) -> Condition:
    """How well a process is locked in that reads foreign files."""
    strength = cell_strength()
    if strength.lacks is None:
        return good("cell", said("Landlock {version} and seccomp", version=strength.landlock))
    advice = said(
        "Use a Linux kernel of 5.13 or later with both, started with lsm= naming landlock; until then the service's "
        "own limits hold."
    )
    found = said("{lacks}: what reads foreign files is isolated less well", lacks=strength.lacks)
    return caution("cell", found, advice)


def processor(_: Examined) -> Condition:
    """Which one, how many cores, and what of its instructions the engines use."""
    name, flags = processor_name() or "unknown", processor_flags()
    known = [flag for flag in CPU_FLAGS if flag in flags]
    vectors = ", ".join(known) or said("no vector instructions")
    cores = len(os.sched_getaffinity(0))
    found = said("{name}, {cores} core(s), {vectors}", name=name, cores=cores, vectors=vectors)
    if flags and "avx2" not in flags:
        advice = said("A study takes minutes here; a processor with AVX2 takes seconds.")
        return caution("processor", found, advice)
    return good("processor", found)


def memory(box: Examined) -> Condition:
    """Whether an analysis may take what the settings allow it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    wanted = box.settings.jobs.memory_limit_mb + ENGINE_MB
    limit = box.settings.jobs.memory_limit_mb
    found = said("{total} MB; an analysis may take {limit} MB", total=total, limit=limit)
    if total < wanted:
        advice = said("Lower jobs.memory_limit_mb, or add memory: large studies may end for want of it.")
        return caution("memory", found, advice)
    return good("memory", found)
