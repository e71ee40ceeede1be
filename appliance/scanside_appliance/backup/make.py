"""A backup is made while the box works: only what is new is copied, and the book last, so that it misses no file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from scanside_appliance.backup.errors import BackupFileSize, BackupTarget, BackupUnusable
from scanside_appliance.backup.stock import FILES, MANIFEST, SETTINGS, Copied, Stock, files_of, older_copy, read_stock
from scanside_appliance.clock import Clock
from scanside_appliance.files.atomic import replace_file, sync_directory
from scanside_appliance.files.durable_files import file_sha256, lies_at, opened_file
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.owner import as_owner, owner_of
from scanside_appliance.jobs.book.audit import head
from scanside_appliance.jobs.book.database_errors import database_errors
from scanside_appliance.jobs.book.file import existing_book
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.book.stored_files import files_anywhere
from scanside_appliance.upkeep.book_shape import check_book
from scanside_appliance.upkeep.care import LastBackup, note_done
from scanside_runtime.progress import Progress
from scanside_runtime.version import software_version

BLOCK = 2**20
SYSTEM = Path("/")
"""A stick that is not mounted lies here, though the box may have a partition of its own."""
LOOKS = 5
"""Between two looks the box may move a file that the book names: so often it is looked for again."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup came to.

    missing: what the book names and lies nowhere, and what can't be read, by path. altered: what is not what the book
    has any more, where the copy of before still is: that one stays. on_own_disk: where a stick that is not mounted
    would lie, or should.
    """

    at: str
    files: int
    copied: int
    copied_mb: float
    missing: tuple[str, ...]
    altered: tuple[str, ...] = ()
    on_own_disk: bool = False


def back_up(layout: BoxLayout, settings: Path | None, target: Path, progress: Progress) -> BackedUp:
    """Bring the backup in `target` up to what the box knows now; it may work meanwhile.

    settings: the file in force. Raises BackupTarget, BackupUnusable where something else lies there, BoxFailed where
    the book can't be read or is not what was written: it would take the place of the good one in the backup.
    """
    if target.resolve().is_relative_to(layout.root.resolve()):
        raise BackupTarget(folder=target, why="it lies in the box itself")
    with _target_errors(target):
        before = _before(target)
    with _target_errors(target), _opened_book(layout) as store, database_errors(layout.database):
        check_book(layout, store)
        target.mkdir(parents=True, exist_ok=True)
        work = _Copying(layout, target, dict(before.files) if before else {}, dict(_named(store, layout)), progress)
        work.look()
        book, missing = _book_and_its_files(store, work, layout, target)
        work.settle()
        if settings is not None:
            replace_file(target / SETTINGS, settings.read_bytes())
        stock = Stock(
            at=Clock().now_text(),
            host=platform.node(),
            software=software_version(),
            book=book.name,
            book_sha256=file_sha256(book),
            settings=settings is not None,
            audit_head=last.sha256 if (last := head(store)) else None,
            files=work.found,
        )
        replace_file(target / MANIFEST, (json.dumps(asdict(stock)) + "\n").encode())
        _forget_what_is_old(target, book)
        on_own_disk = target.stat().st_dev in {own.stat().st_dev for own in (layout.root, SYSTEM)}
        _note(layout, LastBackup(stock.at, str(target), len(stock.files), on_own_disk))
    copied_mb = round(work.copied_bytes / 2**20, 1)
    return BackedUp(stock.at, len(stock.files), work.copied, copied_mb, missing, work.altered, on_own_disk)


@contextmanager
def _opened_book(layout: BoxLayout) -> Iterator[Store]:
    """Opened, with SQLite's log, and closed as the box's owner; between them root writes what it reads into its own."""
    with as_owner(layout.root):
        store = existing_book(layout)
    try:
        yield store
    finally:
        with as_owner(layout.root), store:
            pass


def _before(target: Path) -> Stock | None:
    """The backup that lies there. A folder with anything else in it is no place for one."""
    if target.is_dir() and not _holds_files_alone(target):
        raise BackupUnusable(folder=target, why="there is something else in it; name an empty folder or a new one")
    if (target / MANIFEST).exists():
        return read_stock(target)
    if target.is_dir() and not all(map(_is_ours, target.iterdir())):
        raise BackupUnusable(folder=target, why="there is something else in it; name an empty folder or a new one")
    return None


def _holds_files_alone(target: Path) -> bool:
    """No link, pipe or device among what is written there: root would write, and remove, where a link leads."""
    left = [one.path for one in _entries(target) if one.name == FILES or one.name.lstrip(".").startswith("scanside")]
    while left:
        path = Path(left.pop())
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            left += [one.path for one in _entries(path) if not one.is_file(follow_symlinks=False)]
        elif not stat.S_ISREG(mode):
            return False
    return True


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return list(found)


def _is_ours(path: Path) -> bool:
    """What a first backup that was cut short left behind."""
    return path.name == FILES or path.name.startswith(("scanside-", "."))


def _book_and_its_files(store: Store, work: _Copying, layout: BoxLayout, target: Path) -> tuple[Path, tuple[str, ...]]:
    """A copy of the book, and what of it lies nowhere, after all that it names was looked for."""
    for _ in range(LOOKS):
        book = _copied_book(store, layout.database.stat().st_size, target)
        with Store(book, make=False, as_it_lies=True) as copy:
            missing = tuple(dict.fromkeys([*_missing(copy, work.found, layout), *sorted(work.unread)]))
        if not missing:
            break
        work.look()
    return book, missing


def _copied_book(store: Store, size: int, target: Path) -> Path:
    part, book = target / ".scanside-book.part", target / f"scanside-{os.urandom(4).hex()}.db"
    for left in target.glob(f"{part.name}*"):  # of one cut short, perhaps with a log: replayed it would damage this one
        left.unlink()
    try:
        store.copy_to(part, elsewhere=True)
    except sqlite3.OperationalError as error:
        _check_takes(part, size, error)
        raise
    part.rename(book)
    sync_directory(target)
    return book


def _check_takes(part: Path, size: int, error: sqlite3.OperationalError) -> None:
    """SQLite says that a disk failed or is full, and not which: a stick with no room, or for files of less, says so.

    Raises OSError.
    """
    part.unlink(missing_ok=True)
    if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    with part.open("wb") as file:
        try:
            file.truncate(size)
        finally:
            part.unlink()


def _missing(book: Store, found: dict[str, Copied], layout: BoxLayout) -> Iterator[str]:
    """The paths that the book names, and whose bytes are not in the backup."""
    for path, sha256 in _named(book, layout):
        if path not in found or found[path].sha256 != sha256:
            yield path


def _named(book: Store, layout: BoxLayout) -> Iterator[tuple[str, str]]:
    """Path below the root and SHA-256 of every file that the book has outside of the inbox, results included."""
    for row in files_anywhere(book):
        yield f"{row.place}/{row.name}", row.sha256
    for job in book.jobs((State.archiving, State.done)):
        folder = job.published_in(layout).relative_to(layout.root)
        for name, sha256 in book.result(job.id).items():
            yield f"{folder}/{name}", sha256


class _Unread(Exception):
    """A file of the box can't be read: the others are copied all the same."""


class _Copying:
    """The files of the box and their copies. found: what lies in the box now, unread: what can't be read; by path.

    They are listed and read as the box's owner: a link that he planted leads root nowhere. The copies are root's.
    """

    def __init__(
        self, layout: BoxLayout, target: Path, known: dict[str, Copied], named: dict[str, str], progress: Progress
    ) -> None:
        """known: the copies of before; named: the sums that the book has."""
        self._layout, self._target, self._known, self._progress = layout, target / FILES, known, progress
        self._named, self._as_owner = named, owner_of(layout.root)
        self._altered: dict[str, None] = {}
        self.found: dict[str, Copied] = {}
        self.unread: set[str] = set()
        self._folders: set[Path] = set()
        self.copied, self.copied_bytes = 0, 0

    def look(self) -> None:
        """Copy what is new or was changed since the backup before."""
        self.found, self.unread = {}, set()
        with self._as_owner():
            stocktaking = list(files_of(self._layout, self.unread))
        for number, (path, facts) in enumerate(stocktaking, 1):
            one = self._known.get(path)
            if one is None or not self._is_same(path, one, facts):
                one = self._copy(path, facts) or self._copy_before(path)
            if one is not None:
                self.found[path] = self._known[path] = one
            self._progress("files", number, len(stocktaking))

    def _is_same(self, path: str, one: Copied, facts: os.stat_result) -> bool:
        same_source = (one.bytes, one.changed_ns) == (facts.st_size, facts.st_mtime_ns)
        copy = self._target / path
        return same_source and copy.is_file() and copy.stat().st_size == one.bytes

    @property
    def altered(self) -> tuple[str, ...]:
        """What on the box is not what the book has, and lies whole in the backup."""
        return tuple(self._altered)

    def settle(self) -> None:
        """What was copied keeps its name through a power cut, before the manifest vouches for it."""
        above = {folder for one in self._folders for folder in (one, *one.parents)}
        for folder in above:
            if folder.is_relative_to(self._target.parent):
                sync_directory(folder)

    def _copy_before(self, path: str) -> Copied | None:
        """The older copy of what can't be read now: better than none."""
        return self._known.get(path) if path in self.unread and (self._target / path).is_file() else None

    def _copy(self, path: str, facts: os.stat_result) -> Copied | None:
        """Whole under its name or not there; None where the source was moved away meanwhile, or can't be read."""
        target = self._target / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        digest, size = hashlib.sha256(), 0
        try:
            with part.open("wb") as copy:
                for block in _blocks(self._layout.root / path, self._as_owner):
                    digest.update(block)
                    copy.write(block)
                    size += len(block)
                copy.flush()
                os.fsync(copy.fileno())
        except _Unread as problem:
            part.unlink()
            if not isinstance(problem.__cause__, FileNotFoundError):
                self.unread.add(path)
            return None
        if (good := self._good_before(path, digest.hexdigest())) is not None:
            part.unlink()
            self._altered[path] = None
            return good
        self._put_by(target, self._known.get(path), digest.hexdigest())
        part.replace(target)
        self._folders.add(target.parent)
        self.copied, self.copied_bytes = self.copied + 1, self.copied_bytes + size
        return Copied(size, digest.hexdigest(), facts.st_mtime_ns)

    def _put_by(self, copy: Path, before: Copied | None, sha256: str) -> None:
        """A copy that the manifest on the stick speaks of, and that another one is about to take the name of."""
        if before is None or before.sha256 == sha256 or lies_at(older := older_copy(copy, before.sha256)):
            return
        if lies_at(copy):
            copy.rename(older)
            sync_directory(copy.parent)

    def _good_before(self, path: str, sha256: str) -> Copied | None:
        """The copy of before, where it is what the book has, and what lies on the box is not."""
        wanted, before = self._named.get(path), self._known.get(path)
        if wanted in (None, sha256) or before is None or before.sha256 != wanted:
            return None
        try:
            return before if file_sha256(self._target / path) == wanted else None
        except OSError:
            return None


def _blocks(source: Path, as_owner: Callable[[], AbstractContextManager[None]]) -> Iterator[bytes]:
    """What a failing disk says is told apart from what the stick says. Raises _Unread."""
    try:
        with as_owner():
            opened = opened_file(source)
        with opened as file:
            while block := file.read(BLOCK):
                yield block
    except OSError as error:
        raise _Unread from error


def _forget_what_is_old(target: Path, kept: Path) -> None:
    """Books of before with what SQLite left beside them, older copies, and whatever was cut short."""
    old = [path for path in target.glob("scanside-*.db*") if path != kept]
    hidden = [path for path in target.glob(".scanside*.part*")]
    for place, _, names in os.walk(target / FILES):
        hidden += [Path(place, name) for name in names if name.startswith(".")]
    for path in (*old, *hidden):
        path.unlink()


def _note(layout: BoxLayout, last: LastBackup) -> None:
    """For the doctor: when the last one was made, and where."""
    with as_owner(layout.root):
        note_done(layout.last_backup, last)


@contextmanager
def _target_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise BackupFileSize(folder=target) from error
        raise BackupTarget(folder=target, why=error.strerror or error) from error
