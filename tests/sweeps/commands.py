"""What people do to a box by commands, each of which may be cut off at any call: what may never be, and how it ends."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from kit.stick import made_stick
from scanside_appliance.backup.restore import check_backup
from scanside_appliance.bundles.record import bundle_in_force, read_record
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.audit import note
from scanside_appliance.jobs.book.database import SCHEMA_VERSION
from scanside_appliance.jobs.book.file import existing_book
from scanside_appliance.jobs.book.rows import with_row_sums
from scanside_appliance.upkeep.book_shape import book_problems
from scanside_runtime.errors import ScansideError
from scanside_runtime.model.bundle import open_bundle

from . import forked
from .box import lost, unsound_results
from .injected import Fault, Ran
from .lived import CHOSEN, Command, Lived, plan_of, rows, scanside, tree
from .stories import LIMIT_S, watched

NOTES = (".", "scanside.", "backup.json", "status.json", "metrics.prom", "selftest.json", "reserve.bin")
"""What a box says of itself at its top, the book among it."""
RECORD = "bundles/changes.json"


def _silent(what: str, done: int, total: int) -> None:
    """No progress."""


def _problems_of_book(box: Path) -> list[str]:
    with existing_book(BoxLayout(box)) as store:
        return book_problems(store)


class BackedUp(Command):
    """`backup` onto a stick that has an older one; meanwhile the box got files, and one of its files was changed.

    The box stays as it is. What lies on the stick is at any moment a whole backup, the old one or the new one. The
    command again makes it the new one; what is restored from it is the box, and nothing else is left on the stick.
    """

    program_role = "backup"

    def prepare(self) -> None:
        box = self.first_days()
        (box / "bundles").mkdir()
        (box / RECORD).write_text("one change")
        self.settings(self.base)
        assert self._run("", None, self.base).code == 0
        self.later_days()
        (box / RECORD).write_text("one change and another")
        self.whole = tree(box, without=NOTES)

    def command(self, root: Path) -> Sequence[str | Path]:
        return "backup", root / "stick"

    def harm(self, root: Path) -> Iterator[str]:
        if tree(self.box(root), without=NOTES) != self.whole:
            yield "the box was changed"
        stock, wrong = check_backup(root / "stick", _silent)
        if wrong:
            yield f"the backup of {stock.at} is not whole: {wrong}"

    def outcome(self, root: Path) -> Any:
        stick, again = root / "stick", root / "again"
        shutil.rmtree(again, ignore_errors=True)
        restored = scanside("--root", again, "restore", stick)
        said = str(root.with_suffix(".again"))
        code = forked.run("", None, restored, is_a="restore", said=said, limit_s=LIMIT_S).code
        return {
            "code": code,
            "restored": tree(again, without=NOTES),
            "book": rows(again),
            "beside": sorted(path.name.partition("-")[0] for path in stick.iterdir()),
            "parts": [path.name for path in stick.rglob(".*")],
        }


class Restored(Command):
    """`restore` into a folder in which nothing lies.

    The stick stays as it is. A book is there only when all that it names is, with its bytes. The command again fills
    the box, or says that it is not empty.
    """

    program_role = "restore"

    def prepare(self) -> None:
        box = self.first_days()
        self.later_days()
        (box / "bundles").mkdir()
        (box / RECORD).write_text("one change")
        (box / "private").mkdir(mode=0o700)
        (box / "private" / "key").write_text("a secret")
        self.expected_tree = tree(box, without=NOTES)
        self.settings(self.base)
        made = scanside("--root", box, "--settings", self.base.with_suffix(".toml"), "backup", self.base / "stick")
        said = str(self.base.with_suffix(".log"))
        assert forked.run("", None, made, is_a="backup", said=said, limit_s=LIMIT_S).code == 0
        shutil.rmtree(box)
        self.stick = tree(self.base / "stick")

    def command(self, root: Path) -> Sequence[str | Path]:
        return "restore", root / "stick"

    def harm(self, root: Path) -> Iterator[str]:
        if tree(root / "stick") != self.stick:
            yield "the stick was changed"
        box = self.box(root)
        if (box / "scanside.db").exists():
            if tree(box, without=NOTES) != self.expected_tree:
                yield "there is a book, and not all that it names"
            yield from _problems_of_book(box)

    def ends_well(self, code: int) -> bool:
        return code == 0 or (code == 5 and "BOX_NOT_EMPTY" in self.said(self.root))

    def outcome(self, root: Path) -> Any:
        box = self.box(root)
        private = [oct(path.stat().st_mode & 0o777) for path in (box / "private", box / "private" / "key")]
        beside = sorted(path.name for path in box.glob("scanside.*"))
        return {"tree": tree(box, without=NOTES), "book": rows(box), "private": private, "beside": beside}


class Rebuilt(Command):
    """`rebuild`, where a byte of the book was changed, and a part of it lies in its log still; then the daemon.

    No file of archive, results and quarantine is touched. Under the book's name lies the old one, the new one or none;
    all bytes of the old one are kept. The command again makes the book that an undisturbed one makes, the audit with
    all entries of the old one among it, or says that it is whole.
    """

    program_role = "rebuild"

    def prepare(self) -> None:
        box = self.first_days()
        self.later_days()
        layout = BoxLayout(box)
        kept = self.base / "kept"
        kept.mkdir()
        with existing_book(layout) as store:
            with store.transaction():
                note(store, "released", CHOSEN)  # lies in the log alone
            for path in box.glob("scanside.db*"):
                shutil.copy2(path, kept / path.name)
        for path in kept.iterdir():
            shutil.copy2(path, box / path.name)
        shutil.rmtree(kept)
        book = (box / "scanside.db").read_bytes()
        at = book.index(CHOSEN.encode())
        (box / "scanside.db").write_bytes(book[:at] + b"f" + book[at + 1 :])
        assert _problems_of_book(box)
        self.book = tree(box)["scanside.db"]
        self.whole = tree(box, without=NOTES)

    def command(self, root: Path) -> Sequence[str | Path]:
        return ("rebuild",)

    def harm(self, root: Path) -> Iterator[str]:
        box = self.box(root)
        if tree(box, without=NOTES) != self.whole:
            yield "files of the box were changed"
        if self.book not in tree(box).values():
            yield "the old book is not kept"

    def ends_well(self, code: int) -> bool:
        return code == 0 or (code == 5 and "BOX_DATABASE_WHOLE" in self.said(self.root))

    def outcome(self, root: Path) -> Any:
        box = self.box(root)
        found = {"problems": _problems_of_book(box), "book": rows(box)}
        found["new"] = [path.name for path in box.glob("*.new*")]
        self.live(root)
        return found


class Upgraded(Lived):
    """A daemon's start with a book of the version before.

    The book is at any moment of the one version or of the other, and says what it said; the next start makes it new.
    """

    program_role = "upgrade"

    def prepare(self) -> None:
        box = self.first_days()
        self.later_days()
        with existing_book(BoxLayout(box)) as store:
            sql = store.connection
            indices = sql.execute("SELECT name FROM sqlite_schema WHERE name LIKE '%\\_sum' ESCAPE '\\'").fetchall()
            for (name,) in indices:
                sql.execute(f"DROP INDEX {name}")
            sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
        assert indices
        self.noted = len(rows(box)["audit"])
        self.book = self._said(box)

    def _said(self, box: Path) -> Any:
        """What it said before; a start may note how the box is set up now."""
        said = rows(box)
        return {**said, "audit": [one for one in said["audit"] if one[0] <= self.noted]}

    def program(self, root: Path) -> Callable[[], None]:
        return partial(watched, plan_of(self.box(root)))

    def outcome(self, root: Path) -> Any:
        return {
            "version": _version(self.box(root)),
            "problems": _problems_of_book(self.box(root)),
            **self._said(self.box(root)),
        }

    def broken(self, ran: Ran) -> list[str]:
        box = self.box(self.root)
        found = [*lost(box, self.sums), *unsound_results(box)]
        if self._said(box) != self.book:
            found.append("the book says something else")
        if _version(box) not in (SCHEMA_VERSION - 1, SCHEMA_VERSION):
            found.append(f"the book is of version {_version(box)}")
        return found

    def differences(self, role: str, fault: Fault) -> list[str]:
        ended = self.outcome(self.root)
        return [
            f"{what}: {ended[what]} for {self.expected[what]}" for what in ended if ended[what] != self.expected[what]
        ]


def _version(box: Path) -> int:
    with closing(sqlite3.connect(box / "scanside.db")) as sql:
        with_row_sums(sql)
        (version,) = sql.execute("PRAGMA user_version").fetchone()
        return int(version)


class Decided(Command):
    """`release` of a refused study with another series; then the daemon measures it.

    The decision stands in the book with its entry in the audit, or neither does. Typed again it is taken, or the study
    is under way already: it is measured once.
    """

    program_role = "release"

    def prepare(self) -> None:
        box = self.first_days()
        self.settings(self.base)
        self.waits = self._decision(box)

    def command(self, root: Path) -> Sequence[str | Path]:
        return "release", CHOSEN, "--series", "2"

    def _decision(self, box: Path) -> tuple[list[Any], int]:
        with closing(sqlite3.connect(box / "scanside.db")) as sql:
            jobs = sql.execute("SELECT state, series_uid FROM jobs WHERE study = ? ORDER BY id", [CHOSEN]).fetchall()
            (noted,) = sql.execute("SELECT count(*) FROM audit WHERE event = 'released'").fetchone()
        return jobs, noted

    def harm(self, root: Path) -> Iterator[str]:
        box = self.box(root)
        yield from (*lost(box, self.sums), *unsound_results(box), *_problems_of_book(box))
        jobs, noted = self._decision(box)
        if (len(jobs), noted) not in ((1, 0), (2, 1)):
            yield f"half a decision: {jobs}, {noted} in the audit"

    def ends_well(self, code: int) -> bool:
        return code == 0 or (code == 5 and "BOX_NO_SUCH_STUDY" in self.said(self.root))

    def outcome(self, root: Path) -> Any:
        self.live(root)
        return rows(self.box(root))


class Installed(Command):
    """`bundle install` of a newer bundle, from a stick, where an older one is in force.

    In force is the old one or the new one, whole and signed. The command again puts the new one in force, once; the
    old one is kept to go back to, and nothing else is left.
    """

    program_role = "install"
    fair = (0, 4, 5, -11)
    """The last where an engine asks for the processor's shape and gets no answer: it ends the process (hwloc)."""

    def prepare(self) -> None:
        self.base.mkdir()
        maker = self.folder / "maker"
        maker.mkdir()
        stick = made_stick(maker)
        (self.base / "stick").mkdir()
        for name in ("1.0.0", "2.0.0"):
            shutil.copy2(stick.zip(name), self.base / "stick")
        shutil.copytree(stick.keys, self.base / "keys.d")
        self.box(self.base).mkdir()
        self.settings(self.base)
        first = self._install(self.base, "1.0.0")
        said = str(self.base.with_suffix(".log"))
        assert forked.run("", None, first, is_a="install", said=said, limit_s=LIMIT_S).code == 0, Path(said).read_text()
        for receipt in (self.base / "stick").glob("*.json"):
            receipt.unlink()

    def settings(self, root: Path) -> None:
        super().settings(root)
        with root.with_suffix(".toml").open("a") as file:
            file.write(f'[inference]\nthreads = 1\n[bundles]\nkeys = "{root / "keys.d"}"\n')

    def _install(self, root: Path, name: str) -> Callable[[], None]:
        return scanside("--root", self.box(root), "--settings", root.with_suffix(".toml"), *_install(root, name))

    def command(self, root: Path) -> Sequence[str | Path]:
        return _install(root, "2.0.0")

    def harm(self, root: Path) -> Iterator[str]:
        try:
            bundle = open_bundle(bundle_in_force(self.box(root), root / "keys.d"))
            bundle.verify()
        except ScansideError as error:
            yield f"what is in force can't be used: {error.message}"
            return
        if bundle.version not in ("1.0.0", "2.0.0"):
            yield f"{bundle.title} is in force"

    def outcome(self, root: Path) -> Any:
        bundles, stick = self.box(root) / "bundles", root / "stick"
        return {
            "changes": [(one.action, one.bundle, one.before) for one in read_record(self.box(root)).changes],
            "bundles": tree(bundles, without=("changes.json",)),
            "stick": sorted(path.name for path in stick.iterdir()),
            "receipt": [json.loads(path.read_text())["title"] for path in stick.glob("*.json")],
        }


def _install(root: Path, name: str) -> tuple[str | Path, ...]:
    return "bundle", "install", root / "stick" / f"{name}.zip"
