"""A backup holds all that a box knows, is made while it works, and makes another box the same."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from kit.watch_box import Box, study
from scanside_appliance.backup.errors import BackupFileSize, BackupTarget, BackupUnusable, BoxNotEmpty
from scanside_appliance.backup.make import BackedUp, back_up
from scanside_appliance.backup.restore import check_backup, restore
from scanside_appliance.backup.stock import FILES, MANIFEST, read_stock
from scanside_appliance.files.durable_files import opened_file
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox.hints import _C, _CREATED
from scanside_appliance.jobs.book.rows import TakenSource
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.referral.pseudonym import KEY_FILE, Pseudonyms
from scanside_appliance.serve.password import Password, set_password
from scanside_appliance.service.errors import BoxRunning
from scanside_appliance.service.root_lock import only_one
from sweeps.box import Slice


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(autouse=True)
def worked(box: Box) -> Box:
    """Two studies measured, and a file that was put aside."""
    box.put(*study(1))
    box.put(*study(2))
    (box.inbox / "note.txt").write_text("no DICOM file")
    box.run()
    return box


def backed_up(box: Box, stick: Path) -> BackedUp:
    return back_up(BoxLayout(box.root), None, stick, silent)


def worklist(box: Box) -> Any:
    """What the box says of its studies, without where it lies."""
    answer = box.scanside("queue", "--all", "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.output.replace(str(box.root), "ROOT"))


def test_another_box_with_the_backup_in_it_is_the_same_box(box: Box, tmp_path: Path) -> None:
    assert backed_up(box, tmp_path / "stick").missing == ()
    other = Box(tmp_path / "other")
    restore(tmp_path / "stick", BoxLayout(other.root), silent)
    assert worklist(other) == worklist(box)
    assert other.results() == box.results()
    other.sums = box.sums
    assert other.is_sound()
    other.put(*study(3))
    other.run()
    assert len(other.results()) == 3


def test_patients_keep_their_pseudonyms_and_key_and_password_stay_their_owners_alone(box: Box, tmp_path: Path) -> None:
    before = Pseudonyms.of_box(BoxLayout(box.root)).patient("P-17", None, "")
    set_password(BoxLayout(box.root), "one of ten letters")
    backed_up(box, tmp_path / "stick")
    other = BoxLayout(tmp_path / "other")
    restore(tmp_path / "stick", other, silent)
    assert Password(other).is_right(b"one of ten letters")
    assert stat.S_IMODE(other.private.stat().st_mode) == 0o700
    assert Pseudonyms.of_box(other).patient("P-17", None, "") == before
    assert stat.S_IMODE((other.private / KEY_FILE).stat().st_mode) == 0o600


def test_a_second_backup_copies_only_what_is_new(box: Box, tmp_path: Path) -> None:
    first = backed_up(box, tmp_path / "stick")
    assert first.copied == first.files > 6
    box.put(*study(3))
    box.run()
    second = backed_up(box, tmp_path / "stick")
    assert second.copied == second.files - first.files > 0
    assert backed_up(box, tmp_path / "stick").copied == 0


def test_a_file_that_was_changed_on_the_box_is_copied_again_and_one_that_is_gone_from_the_stick_too(
    box: Box, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    backed_up(box, stick)
    page = next(box.root.glob("results/[!.]*/*/*/result.json"))
    copy = stick / FILES / page.relative_to(box.root)
    copy.unlink()
    assert backed_up(box, stick).copied == 1
    assert copy.read_bytes() == page.read_bytes()


@pytest.mark.parametrize("what", ["a result", "the book", "the manifest"])
def test_a_changed_byte_is_found_where_it_lies_and_never_gets_into_a_box(box: Box, tmp_path: Path, what: str) -> None:
    stick, layout = tmp_path / "stick", BoxLayout(tmp_path / "other")
    backed_up(box, stick)
    files = {
        "a result": next((stick / FILES).rglob("result.json")),
        "the book": next(stick.glob("*.db")),
        "the manifest": stick / MANIFEST,
    }
    content = bytearray(files[what].read_bytes())
    content[len(content) // 2] ^= 0xFF
    files[what].write_bytes(content)
    if what == "the manifest":
        with pytest.raises(BackupUnusable):
            check_backup(stick, silent)
    else:
        _, wrong = check_backup(stick, silent)
        assert len(wrong) == 1 and files[what].name in next(iter(wrong))
    with pytest.raises(BackupUnusable):
        restore(stick, layout, silent)
    assert not layout.database.exists()


def test_what_the_book_names_and_the_disk_lacks_is_named(box: Box, tmp_path: Path) -> None:
    page = next(box.root.glob("results/[!.]*/*/*/result.json"))
    page.unlink()
    assert backed_up(box, tmp_path / "stick").missing == (str(page.relative_to(box.root)),)
    answer = box.scanside("backup", str(tmp_path / "stick"))
    assert (answer.exit_code, "missing: results/" in answer.output) == (5, True)


def test_a_backup_that_is_cut_short_leaves_the_one_before_whole(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = tmp_path / "stick"
    first = backed_up(box, stick)
    box.put(*study(3))
    box.run()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("scanside_appliance.backup.make._forget_what_is_old", full)
        patched.setattr("scanside_appliance.backup.make._copied_book", full)
        with pytest.raises(BackupTarget, match="No space left"):
            backed_up(box, stick)
    stock, wrong = check_backup(stick, silent)
    assert (stock.at, wrong) == (first.at, {})
    assert backed_up(box, stick).missing == ()


def test_a_backup_that_is_cut_short_keeps_the_older_copy_of_what_was_changed(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, stick = box.root / "bundles" / "changes.json", tmp_path / "stick"
    record.parent.mkdir()
    record.write_text("one change")
    backed_up(box, stick)
    for text in ("one change and another", "three changes"):
        record.write_text(text)
        with monkeypatch.context() as patch:
            patch.setattr("scanside_appliance.backup.make.replace_file", refuse)
            with pytest.raises(BackupTarget):
                backed_up(box, stick)
        assert check_backup(stick, silent)[1] == {}
    restore(stick, BoxLayout(tmp_path / "older"), silent)
    assert (tmp_path / "older" / "bundles" / "changes.json").read_text() == "one change"
    assert backed_up(box, stick).missing == ()
    restore(stick, BoxLayout(tmp_path / "newer"), silent)
    assert (tmp_path / "newer" / "bundles" / "changes.json").read_text() == "three changes"
    assert list(stick.rglob(".*")) == []


def refuse(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "no space")


def test_a_restore_that_is_cut_short_goes_on(box: Box, tmp_path: Path) -> None:
    stick, other = tmp_path / "stick", Box(tmp_path / "other")
    backed_up(box, stick)
    lost = next((stick / FILES).rglob("result.json"))
    aside = lost.rename(tmp_path / "aside")
    with pytest.raises(BackupUnusable, match="No such file"):
        restore(stick, BoxLayout(other.root), silent)
    aside.rename(lost)
    restore(stick, BoxLayout(other.root), silent)
    assert worklist(other) == worklist(box)


def test_a_box_that_has_a_book_is_never_written_over(box: Box, tmp_path: Path) -> None:
    backed_up(box, tmp_path / "stick")
    before = (box.root / "scanside.db").read_bytes()
    with pytest.raises(BoxNotEmpty):
        restore(tmp_path / "stick", BoxLayout(box.root), silent)
    assert (box.root / "scanside.db").read_bytes() == before


def test_a_folder_with_something_else_in_it_is_no_place_for_a_backup(box: Box, tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "holiday.jpg").write_text("x")
    with pytest.raises(BackupUnusable, match="something else"):
        backed_up(box, tmp_path / "stick")
    assert (tmp_path / "stick" / "holiday.jpg").exists()


@pytest.mark.parametrize("name", ["../out", "/etc/passwd"])
def test_a_manifest_that_leads_out_of_the_backup_is_refused(box: Box, tmp_path: Path, name: str) -> None:
    stick = tmp_path / "stick"
    backed_up(box, stick)
    document = json.loads((stick / MANIFEST).read_bytes())
    document["files"][name] = next(iter(document["files"].values()))
    (stick / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(BackupUnusable, match="leads out"):
        read_stock(stick)


def test_a_backup_is_its_owners_alone_and_a_restored_box_its_groups(box: Box, tmp_path: Path) -> None:
    before, stick, other = os.umask(0o022), tmp_path / "stick", Box(tmp_path / "other")
    try:
        assert box.scanside("backup", str(stick)).exit_code == 0
        assert other.scanside("restore", str(stick)).exit_code == 0
    finally:
        assert os.umask(before) == 0o022
    modes = {path.stat().st_mode & 0o777 for path in stick.rglob("*")}
    assert modes == {0o600, 0o700}
    assert not [path for path in other.root.rglob("*") if path.stat().st_mode & 0o007]


def test_the_commands_tell_a_person_what_was_done_and_the_settings_come_along(box: Box, tmp_path: Path) -> None:
    stick = str(tmp_path / "stick")
    settings = tmp_path / "scanside.toml"
    settings.write_text("[disk]\nreserve_mb = 0\n")
    made = box.scanside("--settings", str(settings), "backup", stick)
    assert (made.exit_code, " files, " in made.output) == (0, True)
    checked = box.scanside("backup", stick, "--check", "--json")
    assert json.loads(checked.output)["wrong"] == []
    other = Box(tmp_path / "other")
    done = other.scanside("restore", stick)
    assert (done.exit_code, "its settings were" in done.output) == (0, True)
    assert Path(stick, "scanside.toml").read_text() == settings.read_text()
    shutil.rmtree(stick)
    assert isinstance(other.scanside("backup", stick, "--check").exception, BackupUnusable)


def test_what_is_left_of_a_lost_book_does_not_get_into_the_one_that_is_put_back(box: Box, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    with sqlite3.connect(box.root / "scanside.db") as book:
        backed_up(box, stick)
        book.execute("CREATE TABLE later (n)")
        book.commit()
        left = (box.root / "scanside.db-wal").read_bytes()
    book.close()
    assert left
    other = BoxLayout(tmp_path / "other")
    other.make()
    (other.root / "scanside.db-wal").write_bytes(left)
    restore(stick, other, silent)
    with sqlite3.connect(other.database) as put_back:
        assert not put_back.execute("SELECT * FROM sqlite_master WHERE name = 'later'").fetchall()
    put_back.close()


def test_what_a_failing_disk_no_longer_reads_is_named_and_all_else_is_copied(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = next(box.root.glob("results/[!.]*/*/*/report.html"))

    def failing(path: Path) -> Any:
        if path == page:
            raise OSError(5, "Input/output error")
        return opened_file(path)

    whole = backed_up(box, tmp_path / "earlier")
    os.utime(page)
    monkeypatch.setattr("scanside_appliance.backup.make.opened_file", failing)
    name = str(page.relative_to(box.root))
    first = backed_up(box, tmp_path / "stick")
    assert (first.missing, first.files) == ((name,), whole.files - 1)
    again = backed_up(box, tmp_path / "earlier")
    assert (again.missing, again.files) == ((name,), whole.files)
    assert check_backup(tmp_path / "earlier", silent)[1] == {}


@pytest.mark.parametrize("large", ["book", "slice"])
def test_a_stick_whose_file_system_takes_no_file_as_large_is_told_from_one_that_fails(
    box: Box, tmp_path: Path, large: str
) -> None:
    """FAT, and 4 GB."""
    if large == "slice":
        box.put(Slice(3, 1, "x" * 10**6))
        box.run()
    book = (box.root / "scanside.db").stat().st_size
    of_before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (book - 1 if large == "book" else 2 * book, of_before[1]))
    try:
        with pytest.raises(BackupFileSize) as told:
            backed_up(box, tmp_path / "stick")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, of_before)
    assert "exFAT" in told.value.advice
    assert backed_up(box, tmp_path / "stick").missing == ()
    assert check_backup(tmp_path / "stick", silent)[1] == {}


def test_a_stick_that_takes_no_shared_memory_takes_the_book_and_lets_it_be_read(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT through FUSE, and a stick that is read-only: what SQLite keeps beside an open book is not to be had there."""
    stick = tmp_path / "stick"
    monkeypatch.setattr("scanside_appliance.backup.make.os.urandom", bytes)

    def takes_none(*_: object) -> None:
        for book in (".scanside-book.part", "scanside-00000000.db"):
            link = stick / f"{book}-shm"
            link.unlink(missing_ok=True)
            link.symlink_to(link)

    with Store(BoxLayout(box.root).database) as store:
        store.add_taken([TakenSource(b"study1/001.dcm", 1, 1, 1)])
    assert back_up(BoxLayout(box.root), None, stick, takes_none).missing == ()
    monkeypatch.undo()
    copy = stick / read_stock(stick).book
    assert copy.read_bytes()[18:20] == b"\1\1"  # no log: sqlite.org/fileformat2.html 1.3.3
    assert [one.name for one in stick.glob("*scanside*.db*")] == [copy.name]
    with Store(copy, make=False, as_it_lies=True) as book:
        assert book.problems() == []
        assert book.number_taken() == 0  # another box's inbox is another one
    assert check_backup(stick, silent)[1] == {}
    restore(stick, BoxLayout(tmp_path / "other"), silent)
    with Store(BoxLayout(tmp_path / "other").database, make=False) as restored:
        assert restored.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_nothing_is_made_beside_the_copy_of_the_book_and_a_log_of_one_that_was_cut_short_goes_before_it(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / ".scanside-book.part-wal").write_bytes(b"of a book that nobody has any more")
    made, copy_to = list[bytes](), Store.copy_to

    def heard(store: Store, path: Path, *, elsewhere: bool) -> None:
        assert not list(stick.glob(".scanside-book.part*"))
        queue = _C.inotify_init1(os.O_NONBLOCK)
        _C.inotify_add_watch(queue, bytes(stick), _CREATED)
        copy_to(store, path, elsewhere=elsewhere)
        made.append(os.read(queue, 2**16))
        os.close(queue)

    with Store(BoxLayout(box.root).database) as store:
        store.add_taken([TakenSource(b"study1/001.dcm", 1, 1, 1)])
    monkeypatch.setattr(Store, "copy_to", heard)
    backed_up(box, stick)
    (names,) = made
    assert names.count(b".scanside-book.part") == 1


def test_a_stick_without_room_for_the_book_is_not_called_the_box_s_full_disk(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    monkeypatch.setattr(Store, "copy_to", Mock(side_effect=full))
    with pytest.raises(BackupTarget, match="No space left on device"):
        backed_up(box, tmp_path / "stick")


def test_no_backup_is_made_in_the_box_itself(box: Box) -> None:
    with pytest.raises(BackupTarget, match="in the box itself"):
        backed_up(box, box.root / "results" / "backup")
    assert not (box.root / "results" / "backup").exists()


@pytest.mark.usefixtures("no_selftest")
@pytest.mark.parametrize(
    ("devices", "mounted"),
    [({}, False), ({"stick": -1}, True), ({"stick": -1, "system": -1}, False)],
    ids=["not mounted", "mounted", "not mounted, and the box has a partition of its own"],
)
def test_a_stick_that_is_not_mounted_is_noticed(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: dict[str, int], mounted: bool
) -> None:
    """Its folder is made on the disk that fails, and everybody believes in a backup."""
    stick, stat = tmp_path / "stick", Path.stat
    names = {stick: "stick", Path("/"): "system"}

    def seen(one: Path, **how: bool) -> os.stat_result:
        found = stat(one, **how)
        return os.stat_result((*found[:2], devices.get(names.get(one, ""), found.st_dev), *found[3:]))

    monkeypatch.setattr(Path, "stat", seen)
    made = box.scanside("backup", str(stick))
    assert (made.exit_code, "is the stick mounted?" in made.output) == (0, not mounted)
    monkeypatch.undo()
    assert ("the box's own disk" in box.scanside("doctor").output) is not mounted


def test_whoever_made_it_the_box_s_user_can_read_when_it_was_made(box: Box, tmp_path: Path) -> None:
    assert box.scanside("backup", str(tmp_path / "stick")).exit_code == 0
    assert BoxLayout(box.root).last_backup.stat().st_mode & 0o777 == 0o644


def test_names_are_on_the_stick_before_the_manifest_vouches_for_them(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick, synced = tmp_path / "stick", []
    monkeypatch.setattr("scanside_appliance.backup.make.sync_directory", synced.append)
    backed_up(box, stick)
    assert {path.parent for path in (stick / FILES).rglob("*") if path.is_file()} <= set(synced)
    assert stick / FILES in synced and stick in synced


def test_a_file_that_was_altered_on_the_box_does_not_replace_the_good_copy_on_the_stick(
    box: Box, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    backed_up(box, stick)
    altered = next(box.root.glob("archive/*/*/*.dcm"))
    name = str(altered.relative_to(box.root))
    good = altered.read_bytes()
    altered.write_bytes(b"not what was written")
    done = backed_up(box, stick)
    assert (done.altered, done.missing) == ((name,), ())
    assert (stick / FILES / name).read_bytes() == good
    assert check_backup(stick, silent)[1] == {}
    told = box.scanside("backup", str(stick))
    assert told.exit_code == 5 and f"the copy of before stays: {name}" in told.output


@pytest.mark.parametrize("what", ["manifest", "file"])
def test_a_pipe_on_the_stick_is_not_waited_for(box: Box, tmp_path: Path, what: str) -> None:
    stick = tmp_path / "stick"
    backed_up(box, stick)
    target = stick / MANIFEST if what == "manifest" else next((stick / FILES).rglob("*.dcm"))
    target.unlink()
    os.mkfifo(target)
    if what == "file":
        assert "it is no file" in check_backup(stick, silent)[1].values()
    with pytest.raises(BackupUnusable, match="it is no file"):
        restore(stick, BoxLayout(tmp_path / "other"), silent)


def test_nothing_is_restored_into_a_box_in_which_a_service_works(box: Box, tmp_path: Path) -> None:
    backed_up(box, tmp_path / "stick")
    other = BoxLayout(tmp_path / "other")
    other.make()
    with only_one(other), pytest.raises(BoxRunning):
        restore(tmp_path / "stick", other, silent)
    assert not other.database.exists()
