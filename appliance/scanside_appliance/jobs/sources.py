"""What was copied out of the inbox goes from it, once the book has the copy: this very file, and no other.

Where it can't be removed (a share that is read-only), it stays, and the box remembers that it has it.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from itertools import groupby

from scanside_appliance.files.beneath import looks_like, opened_folder
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.signature import Signature
from scanside_appliance.jobs.store import Store, TakenSource

AT_ONCE = 500
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class TakenSources:
    """Raises OSError where the inbox itself can't be reached, sqlite3.Error."""

    def __init__(self, layout: BoxLayout, store: Store) -> None:
        self._layout, self._store = layout, store
        self._fresh: list[TakenSource] = []
        self._why = ""

    def add(self, sources: Iterable[TakenSource]) -> None:
        """The book's transaction that has the copies has these, too."""
        self._fresh = list(sources)
        self._store.add_taken(self._fresh)

    def others(self, listing: Iterable[tuple[str, Signature | None]]) -> Iterator[tuple[str, Signature | None]]:
        """What a scan saw without what is taken."""
        any_left = self._store.number_taken() > 0
        for name, seen in listing:
            if not any_left or seen is None or not self._store.is_taken(_row(name, seen)):
                yield name, seen

    def left(self) -> str | None:
        """What could not be removed, in words."""
        count = self._store.number_taken()
        return f"{count} file(s) were taken and can't be removed from the inbox ({self._why})" if count else None

    def remove_fresh(self) -> None:
        """Remove what was added last."""
        fresh, self._fresh = self._fresh, []
        self._forget(self._removed(fresh))

    def remove(self) -> None:
        """Remove what is left, as far as it can be."""
        while some := self._store.taken(AT_ONCE):
            removed = self._removed(some)
            self._forget(removed)
            if len(removed) < len(some):
                return

    def _forget(self, sources: list[bytes]) -> None:
        if sources:
            with self._store.transaction():
                self._store.forget_taken(sources)

    def _removed(self, rows: Iterable[TakenSource]) -> list[bytes]:
        """Those that lie in the inbox no more."""
        removed: list[bytes] = []
        for folder, some in groupby(sorted(rows, key=_folder), key=_folder):
            together = list(some)
            try:
                with opened_folder(self._layout.inbox, folder) as handle:
                    removed += [one.source for one in together if self._is_removed(handle, one)]
            except OSError as error:
                if error.errno in _NO_FOLDER:
                    removed += [one.source for one in together]
                self._why = error.strerror or "it can't be reached"
        return removed

    def _is_removed(self, folder: int, row: TakenSource) -> bool:
        try:
            _take_out(folder, row)
        except OSError as error:
            self._why = error.strerror or "it can't be removed"
            return False
        return True


def _row(name: str, seen: Signature) -> TakenSource:
    return TakenSource(os.fsencode(name), seen.size, seen.mtime_ns, seen.inode)


def _folder(row: TakenSource) -> str:
    return os.fsdecode(row.source.rpartition(b"/")[0])


def _take_out(folder: int, row: TakenSource) -> None:
    """It is put out of the way first, so that nothing that takes its name meanwhile is removed in its place."""
    name, hidden = os.fsdecode(row.source.rpartition(b"/")[2]), f".{hashlib.sha256(row.source).hexdigest()[:16]}.taken"
    if _is(folder, name, row):
        os.rename(name, hidden, src_dir_fd=folder, dst_dir_fd=folder)
    if _is(folder, hidden, row):
        os.unlink(hidden, dir_fd=folder)
    elif looks_like(folder, hidden) is not None:
        _give_back(folder, hidden, name)


def _is(folder: int, name: str, row: TakenSource) -> bool:
    found = looks_like(folder, name)
    return found is not None and Signature.of(found) == Signature(row.size, row.mtime_ns, row.inode)


def _give_back(folder: int, hidden: str, name: str) -> None:
    """Another file had the name by then: it gets it again, or another one where it is taken once more."""
    try:
        os.link(hidden, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.unlink(hidden, dir_fd=folder)
    except OSError:
        os.rename(hidden, f"sent-again-{os.urandom(4).hex()}", src_dir_fd=folder, dst_dir_fd=folder)
