"""What is done in the inbox: look, copy, remove, give back. Each may wait for a share, so the porter's child does them.

An errand is a question; its answers are what was found on the way, and `Done` at its end. Nothing here knows the book:
what an errand did and nobody heard of is found by the next one.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from scanside_appliance.files.atomic import sync_directory, sync_file
from scanside_appliance.files.beneath import looks_like, opened_folder
from scanside_appliance.files.copies import Copied, SourceChanged, copy_below, put_back, sum_below
from scanside_appliance.files.durable_files import file_sha256, lies_at
from scanside_appliance.files.layout import ARRIVING
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.empty_folders import EmptyFolders
from scanside_appliance.inbox.hints import Watches
from scanside_appliance.inbox.scan import scan

AT_ONCE = 500
"""So many names at most go in one message."""
BYTES_AT_ONCE = 2**16
"""After so many bytes of names a message is full: JSON may make six of each, and one name may have 16 KB."""
Named = TypeVar("Named")
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class Known:
    """A file in the inbox by its name, as it was seen."""

    name: str
    seen: Signature


@dataclass(frozen=True, slots=True)
class LookAround:
    """What lies in the inbox? Answered by `Entries`."""


@dataclass(frozen=True, slots=True)
class FetchCopies:
    """Copy these files into a folder below work, each to the name beside it. Answered by `Fetched`, one a file."""

    folder: Path
    files: tuple[tuple[Known, str], ...]


@dataclass(frozen=True, slots=True)
class SettleCopies:
    """Sync these copies in a folder below work, then give them their names; what has its name already keeps it."""

    folder: Path
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TakeAway:
    """Remove these very files, and no others that took their names. Answered by `TakenAway`."""

    files: tuple[Known, ...]


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Bring files from below work, each into a folder of the inbox. Copies of what lies there still are removed.

    One that can't be brought there keeps no other from it.
    """

    files: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, slots=True)
class TidyFolders:
    """Remove folders that were empty at the look before, and are still."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Some of what lies there: names and signatures as `scan` gives them, the numbers of each in their order."""

    names: tuple[str, ...]
    numbers: tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """copied: None where the file is not what it was; gone: it is not there any more."""

    name: str
    copied: Copied | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class TakenAway:
    """What lies in the inbox no more, or is another file; of the rest, why the last one stays."""

    names: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class StillAtIt:
    """A sign of life within an errand."""


@dataclass(frozen=True, slots=True)
class Done:
    """The last answer. number: of the error (errno) that ended the errand, 0 for none."""

    number: int = 0
    why: str = ""

    def check(self) -> None:
        """Raises OSError."""
        if self.number:
            raise OSError(self.number, self.why)


Errand = LookAround | FetchCopies | SettleCopies | TakeAway | GiveBack | TidyFolders
Answer = Entries | Fetched | TakenAway | StillAtIt | Done
ERRANDS: tuple[type[Errand], ...] = (LookAround, FetchCopies, SettleCopies, TakeAway, GiveBack, TidyFolders)
ANSWERS: tuple[type[Answer], ...] = (Entries, Fetched, TakenAway, StillAtIt, Done)


def together(things: Iterable[Named], name_bytes: Callable[[Named], int]) -> Iterator[list[Named]]:
    """As many at a time as go in one message; neither side of a pipe takes one that has no end."""
    some, size = list[Named](), 0
    for thing in things:
        some.append(thing)
        size += name_bytes(thing)
        if len(some) == AT_ONCE or size >= BYTES_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


class Errands:
    """Does them, for one inbox. work: all that is written to beside it. say: hears the answers. hints: of `Watches`."""

    def __init__(self, inbox: Path, work: Path, say: Callable[[Answer], None], hints: int = -1) -> None:
        self._inbox, self._work, self.say = inbox, work, say
        self._watches = Watches(hints)
        self._empty = EmptyFolders(inbox, self._still_at_it)

    def do(self, errand: Errand) -> None:
        """One errand, to its `Done`."""
        try:
            self._do(errand)
        except OSError as error:
            self.say(Done(error.errno or errno.EIO, error.strerror or type(error).__name__))
        else:
            self.say(Done())

    def _do(self, errand: Errand) -> None:
        match errand:
            case LookAround():
                self._look_around()
            case FetchCopies():
                for known, part in errand.files:
                    self.say(self._fetched(known, self._work / errand.folder / part))
            case SettleCopies():
                self._settle(self._work / errand.folder, errand.names)
            case TakeAway():
                self.say(self._taken_away(errand.files))
            case GiveBack():
                self._give_back([(self._work / file, home) for file, home in errand.files])
            case TidyFolders():
                self._empty.look()

    def _still_at_it(self) -> None:
        self.say(StillAtIt())

    def _look_around(self) -> None:
        for some in together(self._seen(), lambda one: len(os.fsencode(one[0]))):
            numbers = ((seen.size, seen.mtime_ns, seen.inode) if seen else None for _, seen in some)
            self.say(Entries(tuple(name for name, _ in some), tuple(numbers)))
        self._watches.looked()

    def _seen(self) -> Iterator[tuple[str, Signature | None]]:
        for one in scan(self._inbox, self._watches.watch):
            self._still_at_it()
            yield one

    def _fetched(self, known: Known, part: Path) -> Fetched:
        try:
            return Fetched(known.name, copy_below(self._inbox, known.name, part, known.seen, self._still_at_it))
        except SourceChanged as error:
            return Fetched(known.name, gone=error.gone)

    def _settle(self, folder: Path, names: Iterable[tuple[str, str]]) -> None:
        """What was cut short is done again: a copy that has its name was synced before it got it."""
        left = [(folder / part, folder / name) for part, name in names if _is_left(folder, part, name)]
        for part, _ in left:
            sync_file(part)
            self._still_at_it()
        for part, target in left:
            part.rename(target)
        sync_directory(folder)

    def _give_back(self, files: Sequence[tuple[Path, str]]) -> None:
        """Raises OSError for the first that could not be brought there, once the others are."""
        self._drop_what_lies_there([file for file, _ in files if file.parent.name.startswith(ARRIVING)])
        failed: OSError | None = None
        for file, home in files:
            self._still_at_it()
            try:
                if lies_at(file):
                    put_back(file, self._inbox, home, self._still_at_it)
            except OSError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _drop_what_lies_there(self, copies: Iterable[Path]) -> None:
        """Remove copies as their bytes are found in the inbox; there each file is summed once, if one is as large."""
        left = self._by_size_and_sum(copies)
        listing = scan(self._inbox) if left else ()
        for name, seen in listing:
            self._still_at_it()
            if seen is None or not (alike := left.get(seen.size)):
                continue
            sha256 = sum_below(self._inbox, name, seen, self._still_at_it)
            for copy in alike.pop(sha256, ()) if sha256 else ():
                copy.unlink()

    def _by_size_and_sum(self, copies: Iterable[Path]) -> dict[int, dict[str, list[Path]]]:
        """What can be read of them; the rest is copies of nothing that is known."""
        found: dict[int, dict[str, list[Path]]] = {}
        for copy in copies:
            self._still_at_it()
            with suppress(OSError):
                size, sha256 = copy.stat().st_size, file_sha256(copy)
                found.setdefault(size, {}).setdefault(sha256, []).append(copy)
        return found

    def _taken_away(self, files: Iterable[Known]) -> TakenAway:
        gone, why = list[str](), ""
        for folder, some in groupby(sorted(files, key=_folder), key=_folder):
            together = list(some)
            try:
                with opened_folder(self._inbox, folder) as handle:
                    stays = {known.name: self._why_it_stays(handle, known) for known in together}
                gone += [name for name, reason in stays.items() if not reason]
                why = next(filter(None, stays.values()), why)
            except OSError as error:
                if error.errno in _NO_FOLDER:
                    gone += [known.name for known in together]
                else:
                    why = error.strerror or "it can't be reached"
        return TakenAway(tuple(gone), why)

    def _why_it_stays(self, folder: int, known: Known) -> str:
        """Nothing where it lies there no more."""
        self._still_at_it()
        try:
            _take_out(folder, known)
        except OSError as error:
            return error.strerror or "it can't be removed"
        return ""


def _is_left(folder: Path, part: str, name: str) -> bool:
    """Whether a copy has no name yet. Raises OSError where there is no such copy, with or without its name."""
    if lies_at(folder / part):
        return True
    if not lies_at(folder / name):
        raise OSError(errno.ENOENT, "a copy is no longer where it was")
    return False


def _folder(known: Known) -> str:
    return known.name.rpartition("/")[0]


def _take_out(folder: int, known: Known) -> None:
    """It is put out of the way first, so that nothing that takes its name meanwhile is removed in its place.

    Another file may lie there already, where a porter was ended in that very moment: it gets its name back before.
    """
    name = known.name.rpartition("/")[2]
    hidden = f".{hashlib.sha256(os.fsencode(known.name)).hexdigest()[:16]}.taken"
    if looks_like(folder, hidden) is not None and not _is(folder, hidden, known.seen):
        _return_name(folder, hidden, name)
    if _is(folder, name, known.seen):
        os.rename(name, hidden, src_dir_fd=folder, dst_dir_fd=folder)
    if _is(folder, hidden, known.seen):
        os.unlink(hidden, dir_fd=folder)
    elif looks_like(folder, hidden) is not None:
        _return_name(folder, hidden, name)


def _is(folder: int, name: str, seen: Signature) -> bool:
    found = looks_like(folder, name)
    return found is not None and Signature.of(found) == seen


def _return_name(folder: int, hidden: str, name: str) -> None:
    """Another file had the name by then: it gets it again, or another one where it is taken once more."""
    try:
        os.link(hidden, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.unlink(hidden, dir_fd=folder)
    except OSError:
        os.rename(hidden, f"sent-again-{os.urandom(4).hex()}", src_dir_fd=folder, dst_dir_fd=folder)
