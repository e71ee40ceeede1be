"""Whose a box is: root works on another user's box as that user.

What root made there the box's own service could not open, and a link that its user planted would lead root anywhere.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scanside_appliance.files.layout import BoxRoot


@dataclass(frozen=True, slots=True)
class Owner:
    """A user with his groups. The folder's group counts for a user whom the system does not know."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def become_owner(root: Path) -> None:
    """From here on, for good, with all children to come. For anybody but root nothing changes. Raises BoxRoot."""
    owner = _other_owner(root)
    if owner is not None:
        try:
            os.setgroups(owner.groups)
            os.setresgid(owner.gid, owner.gid, owner.gid)
            os.setresuid(owner.uid, owner.uid, owner.uid)
        except OSError as error:
            raise _not_allowed(root, owner, error) from error
        if not os.access(__file__, os.R_OK):  # Python would find none of the modules that are still to come
            raise BoxRoot(root=root, why=f"user {owner.uid}, whose it is, may not read {Path(__file__).parents[1]}")


@contextmanager
def as_owner(root: Path) -> Iterator[None]:
    """The same until the block ends, where what lies outside of the box is root's to read (`as_root`).

    A child that is started meanwhile begins with `stay_owner`: it could go back to root. Raises BoxRoot.
    """
    with _acting_as(_other_owner(root), root):
        yield


def owner_of(root: Path) -> Callable[[], AbstractContextManager[None]]:
    """`as_owner` for many short blocks: whose the box is is looked up once."""
    return partial(_acting_as, _other_owner(root), root)


@contextmanager
def _acting_as(owner: Owner | None, root: Path) -> Iterator[None]:
    if owner is None:
        yield
        return
    gid, groups = os.getegid(), os.getgroups()
    try:
        os.setgroups(owner.groups)
        os.setegid(owner.gid)
        os.seteuid(owner.uid)
    except OSError as error:
        raise _not_allowed(root, owner, error) from error
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def stay_owner() -> None:
    """For a child that was started within `as_owner`: from here on, for good."""
    uid, gid = os.geteuid(), os.getegid()
    if uid and not os.getuid():
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)


@contextmanager
def as_root() -> Iterator[None]:
    """What root named and lies outside of the box is root's to read, also within `as_owner`; and so are ports."""
    uid = os.geteuid()
    if os.getuid() or not uid:
        yield
        return
    os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(uid)


def _other_owner(root: Path) -> Owner | None:
    """The user whose box this is; None where this is no work of root's, or root's own box, or no box yet."""
    if os.geteuid():
        return None
    try:
        folder = root.stat()
    except OSError:
        return None
    if not folder.st_uid:
        return None
    try:
        known = pwd.getpwuid(folder.st_uid)
    except KeyError:
        return Owner(folder.st_uid, folder.st_gid, (folder.st_gid,))
    return Owner(known.pw_uid, known.pw_gid, tuple(os.getgrouplist(known.pw_name, known.pw_gid)))


def _not_allowed(root: Path, owner: Owner, error: OSError) -> BoxRoot:
    return BoxRoot(root=root, why=f"it belongs to user {owner.uid}, whom root may not act for here: {error.strerror}")
