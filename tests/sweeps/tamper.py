"""Every single byte that somebody changes is found: `python -m tests.sweeps.tamper [--samples 1000]`.

Each sample changes one byte of one thing, asks whoever must notice, and puts the byte back:

- a delivered bundle's zip: `bundle install` refuses it; a byte that only the zip's own bookkeeping has may pass, then
  what was installed is the very bundle that its maker signed
- an installed bundle's files, manifest and signature, and a manifest made anew with the hashes of exchanged weights
- a page of the book, a row of the audit, an archived file, a file of a result: `scanside verify`

The bundle that Scanside brings along is not read again for each byte: tests/runtime/test_bundle.py changes that one.
A byte of the book is told apart where no answer of it is another one: an empty page, a remark in its schema. Ends
with 1 where a change went unnoticed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sqlite3
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kit.bundle_samples import listed
from kit.selftest_samples import write_bundle_with_sample
from scanside_appliance.bundles.install import install
from scanside_appliance.bundles.record import bundle_in_force, bundles_folder
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.upkeep import verify as verify_module
from scanside_appliance.upkeep.verify import verify
from scanside_runtime.errors import ScansideError
from scanside_runtime.model.bundle import MANIFEST, Bundle, open_bundle
from scanside_runtime.model.proof import WayTried
from scanside_runtime.model.signature import SIGNATURE, new_key, sign

from .box import Slice, put, run_once, write_settings

STUDIES = 3


@dataclass
class Tampered:
    """How many bytes were changed, how many of that were found, and how many changed nothing that anybody reads."""

    tried: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    idle: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def note(self, what: str, at: str, *, found: bool, idle: bool = False) -> None:
        self.tried[what] += 1
        self.found[what] += found
        self.idle[what] += idle and not found
        if not found and not idle:
            self.missed.append(f"{what}: {at}")

    def lines(self) -> list[str]:
        return [
            f"{what:<40} {number:5} changed, {self.found[what]:5} found, {self.idle[what]:4} in bytes that nobody reads"
            for what, number in self.tried.items()
        ]


def prove(_: Bundle) -> WayTried:
    """Whether weights compute right is another test's."""
    return WayTried("onnxruntime", "fp32", "", "fp32", 1.0, 1.0)


@dataclass(frozen=True)
class Stage:
    """A box with results, an installed bundle, and the zip that it came in."""

    root: Path
    keys: Path
    archive: Path

    @property
    def installed(self) -> Path:
        found = bundle_in_force(self.root, self.keys)
        assert found is not None
        return found

    def differs(self) -> bool:
        """Whether `verify` finds anything wrong."""
        try:
            return bool(verify(BoxLayout(self.root), lambda *_: None, self.keys).differences)
        except ScansideError:
            return True


class OwnBundle:
    """In place of the 85 MB that Scanside brings along."""

    def verify(self) -> None:
        """It is whole."""


def stage(folder: Path) -> Stage:
    verify_module.open_bundle = lambda one: OwnBundle() if one is None else open_bundle(one)
    root, keys, made = folder / "box", folder / "keys.d", folder / "made"
    (root / "inbox").mkdir(parents=True)
    write_settings(root)
    for number in range(STUDIES):
        put(root / "inbox", [Slice(number, n) for n in (1, 2)])
    run_once(root)
    secret, public = new_key()
    keys.mkdir()
    (keys / "maker.pem").write_bytes(public)
    write_bundle_with_sample(made)
    (made / SIGNATURE).write_bytes(sign((made / MANIFEST).read_bytes(), secret))
    archive = folder / "tiny.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(one for one in made.rglob("*") if one.is_file()):
            out.write(path, path.relative_to(made))
    install(archive, root, keys, prove)
    staged = Stage(root, keys, archive)
    assert not staged.differs(), verify(BoxLayout(root), lambda *_: None, keys).lines()
    return staged


@contextmanager
def one_byte(path: Path, at: int, change: int) -> Iterator[None]:
    """A byte is another one for the time of the block; the file's time stays as it was."""
    before, times = path.read_bytes(), path.stat()
    data = bytearray(before)
    data[at] ^= change
    with path.open("r+b") as file:
        file.write(data)
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def some(path: Path, number: int, chance: random.Random) -> list[tuple[int, int]]:
    size = path.stat().st_size
    places = range(size) if number >= size else sorted(chance.sample(range(size), number))
    return [(at, chance.randrange(1, 256)) for at in places]


def delivered(staged: Stage, number: int, chance: random.Random, tally: Tampered) -> None:
    """On its way: nothing but what the maker signed is ever installed."""
    signed = hashlib.sha256((staged.installed / MANIFEST).read_bytes()).hexdigest()
    for at, change in some(staged.archive, number, chance):
        with tempfile.TemporaryDirectory() as empty, one_byte(staged.archive, at, change):
            try:
                done = install(staged.archive, Path(empty), staged.keys, prove)
                bundle = open_bundle(bundle_in_force(Path(empty), staged.keys))
                bundle.verify()
                tally.note("delivered zip", f"byte {at}", found=False, idle=done.sha256 == bundle.sha256 == signed)
            except ScansideError:
                tally.note("delivered zip", f"byte {at}", found=True)


def installed(staged: Stage, number: int, chance: random.Random, tally: Tampered) -> None:
    files = sorted(path for path in staged.installed.rglob("*") if path.is_file())
    for path in files:
        for at, change in some(path, max(number // len(files), 1), chance):
            with one_byte(path, at, change):
                tally.note("installed bundle", f"{path.name} byte {at}", found=staged.differs())


def new_hashes(staged: Stage, tally: Tampered) -> None:
    """Weights exchanged, and the manifest made to fit them: only the signature knows."""
    folder = staged.installed
    with tempfile.TemporaryDirectory() as kept:
        shutil.copytree(folder, Path(kept, "before"))
        manifest = json.loads((folder / MANIFEST).read_bytes())
        for name in manifest["files"]:
            data = bytearray((folder / name).read_bytes())
            data[len(data) // 2] ^= 1
            (folder / name).write_bytes(data)
            manifest["files"][name] = listed(bytes(data))
            (folder / MANIFEST).write_text(json.dumps(manifest))
            tally.note("manifest with new hashes", name, found=staged.differs())
        shutil.rmtree(folder)
        shutil.copytree(Path(kept, "before"), folder)


def content_of(book: Path) -> str:
    """Everything that the box reads of the book. What SQL keeps as remarks in its schema nobody reads."""
    with closing(sqlite3.connect(f"file:{book}?mode=ro&immutable=1", uri=True)) as sql:
        names = [name for (name,) in sql.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        shape = [row for name in names for row in sql.execute(f"PRAGMA table_info('{name}')")]
        rows = [f"{name} {row}" for name in names for row in sql.execute(f"SELECT * FROM {name}")]
        return "\n".join([*map(str, shape), *rows])


def pages(staged: Stage, number: int, chance: random.Random, tally: Tampered) -> None:
    """Bytes of the book's file, anywhere in it."""
    book = BoxLayout(staged.root).database
    with closing(sqlite3.connect(book)) as sql:
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = content_of(book)
    for at, change in some(book, number, chance):
        with one_byte(book, at, change):
            found = staged.differs()
            other = [] if found else _other_lines(book, before)
            tally.note("book", f"byte {at}: {other[:1]}", found=found, idle=not other)
        for beside in ("-wal", "-shm"):
            book.with_name(book.name + beside).unlink(missing_ok=True)


def _other_lines(book: Path, before: str) -> list[str]:
    """What of the book's content is another one now."""
    try:
        return sorted(set(content_of(book).splitlines()) ^ set(before.splitlines()))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return [str(error)]


def audit(staged: Stage, number: int, chance: random.Random, tally: Tampered) -> None:
    """A letter of a value of a row, by SQL: the file is sound, the chain is not."""
    book = BoxLayout(staged.root).database
    with closing(sqlite3.connect(book, isolation_level=None)) as sql:
        triggers = sql.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            sql.execute(f"DROP TRIGGER {name}")
        rows = sql.execute("SELECT n, at, event, study, facts, sha256 FROM audit").fetchall()
        for _ in range(number):
            n, *values = chance.choice(rows)
            column = chance.randrange(len(values))
            if not (text := values[column]):
                continue
            at = chance.randrange(len(text))
            other = text[:at] + chr((ord(text[at]) + chance.randrange(1, 90)) % 126) + text[at + 1 :]
            name = ("at", "event", "study", "facts", "sha256")[column]
            sql.execute(f"UPDATE audit SET {name} = ? WHERE n = ?", (other, n))
            tally.note("row of the audit", f"{name} of {n} at {at}", found=staged.differs())
            sql.execute(f"UPDATE audit SET {name} = ? WHERE n = ?", (text, n))
        for _, statement in triggers:
            sql.execute(statement)


def stored(staged: Stage, what: str, pattern: str, number: int, chance: random.Random, tally: Tampered) -> None:
    """Bytes of archived files, and of the files of results."""
    files = sorted(staged.root.glob(pattern))
    for _ in range(number):
        path = chance.choice(files)
        with one_byte(path, chance.randrange(path.stat().st_size), chance.randrange(1, 256)):
            tally.note(what, str(path.relative_to(staged.root)), found=staged.differs())


def sweep(folder: Path, number: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Tampered:
    """So many changed bytes of each kind."""
    staged, chance, tally = stage(folder), random.Random(seed), Tampered()
    new_hashes(staged, tally)
    for story in (delivered, installed, pages, audit):
        story(staged, number, chance, tally)
        say(tally.lines()[-1])
    stored(staged, "archived file", "archive/*/*/*.dcm", number, chance, tally)
    stored(staged, "file of a result", "results/*/*/*/*.*", number, chance, tally)
    assert not staged.differs(), "what was changed was not put back"
    assert bundles_folder(staged.root).is_dir()
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000, help="So many changed bytes of each kind.")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = sweep(Path(folder), asked.samples, asked.seed, lambda line: print(line, flush=True))
    print(*tally.lines(), *tally.missed, sep="\n")
    print(f"{tally.tried.total()} changes, {tally.found.total()} found, {len(tally.missed)} went unnoticed")
    raise SystemExit(bool(tally.missed))


if __name__ == "__main__":
    main()
