"""Which software this is: the version that was installed, and the commit that it was built from."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COMMIT_FILE = Path(__file__).with_name("commit.txt")
"""Written into the wheel by the build (`hatch_build.py`); a checkout has none."""
CHECKOUT = Path(__file__).parents[2]

UNINSTALLED = "unknown"
_NUMBERS = re.compile(r"v?(\d+(?:\.\d+)*)")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def software_version() -> str:
    """The installed version, or "unknown" when run from sources that are not installed."""
    try:
        return version("scanside")
    except PackageNotFoundError:
        return UNINSTALLED


def is_older_than(minimum: str) -> bool:
    """Whether this software is older than a version, number by number: 0.10 is newer than 0.9, 1.0 is 1.

    What was not installed has no version, and is taken to be new enough. Raises ValueError where `minimum` is none.
    """
    needed, here = version_numbers(minimum), version_numbers(software_version(), missing=())
    return bool(here) and here < needed


def version_numbers(text: str, missing: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """By which versions are compared: 0.10 is newer than 0.9, 1.0 is 1. `missing` for what is none, else ValueError."""
    match = _NUMBERS.match(text)
    if match is None:
        if missing is None:
            raise ValueError(f"{text!r} is no version")
        return missing
    numbers = [int(part) for part in match[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


@cache
def built_from() -> str:
    """The commit that the installed package was built from; "" for a checkout, which changes while it is worked in."""
    return _as_commit(_text(COMMIT_FILE)) or ""


@cache
def source_commit() -> str | None:
    """The commit that this software was built from, or that is checked out; None where neither is known.

    Files of a checkout may have been changed since. Asked once, without git and without another process.
    """
    return _as_commit(_text(COMMIT_FILE)) or checkout_commit(CHECKOUT)


def checkout_commit(root: Path) -> str | None:
    """What HEAD of the git checkout at `root` stands for, in a linked work tree too; None where there is no such."""
    git = root / ".git"
    linked = _text(git).partition("gitdir: ")[2]
    if linked:
        git = root / linked
    shared = git / (_text(git / "commondir") or ".")
    head = _text(git / "HEAD")
    name = head.partition("ref: ")[2]
    if not name:
        return _as_commit(head)
    packed = (line.partition(" ") for line in _text(shared / "packed-refs").splitlines())
    stated = [_text(git / name), _text(shared / name), *(commit for commit, _, ref in packed if ref == name)]
    return next(filter(None, map(_as_commit, stated)), None)


def _text(path: Path) -> str:
    """What a small file says; nothing where it can't be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _as_commit(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None
