"""An inbox on a share that hangs: it costs a child, never the loop, and when it answers again the box goes on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kit.watch_box import Box, study, wait_for
from scanside_appliance.files import copies as copy_files
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox import porter
from scanside_appliance.inbox.errands import (
    Done,
    Errands,
    FetchCopies,
    Fetched,
    GiveBack,
    Known,
    LookAround,
    SettleCopies,
    StillAtIt,
    TakeAway,
    TakenAway,
)
from scanside_appliance.inbox.porter import Porter
from scanside_runtime.process.cell import cell_strength
from sweeps.box import LONGEST_S, put, start, write_settings


class Now:
    """A clock that is set."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@contextmanager
def sent(root: Path, now: Any = time.monotonic) -> Iterator[Porter]:
    """The real child, in a box with an empty inbox."""
    layout = BoxLayout(root)
    layout.make()
    found = Porter(layout, now)
    try:
        yield found
    finally:
        found.close()


def answers(sent_one: Porter, errand: Any) -> list[Any]:
    """What came of an errand."""
    heard: list[Any] = []
    sent_one.do(errand, heard.append, LONGEST_S)
    assert not sent_one.busy
    return heard


def pid_of(one: Porter) -> int:
    assert one._child is not None
    return one._child._process.pid


def known(path: Path, inbox: Path) -> Known:
    return Known(str(path.relative_to(inbox)), Signature.of(path.lstat()))


def test_the_porter_lists_copies_removes_and_gives_back(tmp_path: Path) -> None:
    with sent(tmp_path) as one:
        inbox, work = tmp_path / "inbox", tmp_path / "work"
        (inbox / "a").mkdir()
        odd = inbox / "a" / os.fsdecode(b"\xff\n1")
        odd.write_bytes(b"one")
        (entries, done) = answers(one, LookAround())
        assert entries.names == (f"a/{odd.name}",)
        (work / "arriving-1").mkdir()
        wanted = ((known(odd, inbox), "part"), (Known("b", Signature(1, 1, 1)), "other"))
        fetched, gone, done = answers(one, FetchCopies(Path("arriving-1"), wanted))
        assert ((work / "arriving-1" / "part").read_bytes(), gone, done) == (b"one", Fetched("b", gone=True), Done())
        assert fetched.copied.sha256 == hashlib.sha256(b"one").hexdigest()
        taken, done = answers(one, TakeAway((known(odd, inbox),)))
        assert (taken.names, taken.why, list((inbox / "a").iterdir())) == ((f"a/{odd.name}",), "", [])
        assert answers(one, GiveBack(((Path("arriving-1/part"), "returned-1"),))) == [Done()]
        assert [path.read_bytes() for path in (inbox / "returned-1").iterdir()] == [b"one"]


@pytest.mark.skipif(not cell_strength().landlock, reason="this kernel has no Landlock")
def test_the_porter_reaches_inbox_and_work_and_nothing_else(tmp_path: Path) -> None:
    with sent(tmp_path) as one:
        (tmp_path / "results" / "secret").write_bytes(b"x")
        (done,) = answers(one, GiveBack(((Path("../results/secret"), "returned-1"),)))
        assert done.why == "Permission denied"
        (tmp_path / "work" / "results").symlink_to(tmp_path / "results")
        (done,) = answers(one, SettleCopies(Path("results"), (("secret", "seen"),)))
        assert done.why == "Permission denied"


def test_a_file_that_a_killed_porter_left_hidden_is_seen_again_before_the_next_one_of_its_name_goes(
    tmp_path: Path,
) -> None:
    inbox, said = tmp_path / "inbox", list[Any]()
    inbox.mkdir()
    (inbox / f".{hashlib.sha256(b'1').hexdigest()[:16]}.taken").write_bytes(b"never seen")
    (inbox / "1").write_bytes(b"taken")
    Errands(inbox, tmp_path, said.append).do(TakeAway((known(inbox / "1", inbox),)))
    assert said[-2:] == [TakenAway(("1",)), Done()]
    (left,) = inbox.iterdir()
    assert (left.read_bytes(), left.name.startswith(".")) == (b"never seen", False)


def test_to_go_back_after_a_crash_sums_each_file_of_the_inbox_once_with_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, work, said = tmp_path / "inbox", tmp_path / "work", list[Any]()
    for folder in (inbox, work / "arriving-1", work / "arriving-2"):
        folder.mkdir(parents=True)
    for number in range(8):
        (inbox / f"IM{number}").write_bytes(b"%07d" % number)
    (inbox / "of-another-size").write_bytes(b"x")
    copies = [work / f"arriving-{one}" / str(number) for one in (1, 2) for number in (3, 6, 9)]
    for copy in copies:
        copy.write_bytes(b"%07d" % int(copy.name))
    read, open_below = list[str](), copy_files.opened_below
    monkeypatch.setattr(copy_files, "opened_below", lambda root, name: (read.append(name), open_below(root, name))[1])
    order = GiveBack(tuple((copy.relative_to(work), f"returned-{copy.parent.name}") for copy in copies))
    Errands(inbox, work, said.append).do(order)
    assert sorted(read) == [f"IM{number}" for number in range(8)]
    assert (said[-1], said.count(StillAtIt()) >= len(read)) == (Done(), True)
    assert not any(copy.exists() for copy in copies)
    found = sorted(str(path.relative_to(inbox)) for path in inbox.rglob("returned-*/*"))
    assert found == ["returned-arriving-1/9", "returned-arriving-2/9"]


def test_one_file_that_can_not_go_back_keeps_no_other_from_it(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "work").mkdir()
    for name in ("1", "2"):
        (tmp_path / "work" / name).write_bytes(b"x")
    said = list[Any]()
    order = GiveBack(((Path("1"), "no/folder"), (Path("2"), "returned-1")))
    Errands(tmp_path / "inbox", tmp_path / "work", said.append).do(order)
    assert (said[-1].number, (tmp_path / "work" / "1").exists()) == (errno.ENOENT, True)
    assert (tmp_path / "inbox" / "returned-1" / "2").exists()


def test_an_inbox_of_many_files_is_told_part_by_part_and_heard_whole(tmp_path: Path) -> None:
    with sent(tmp_path) as one:
        for number in range(1203):
            (tmp_path / "inbox" / str(number)).touch()
        *parts, done = answers(one, LookAround())
    assert (done, [len(part.names) for part in parts]) == (Done(), [500, 500, 203])


def test_a_porter_that_is_held_is_left_waiting_said_and_heard_when_it_is_let_go(tmp_path: Path) -> None:
    now = Now()
    with sent(tmp_path, now) as one:
        answers(one, LookAround())
        os.kill(pid_of(one), signal.SIGSTOP)
        heard: list[Any] = []
        assert not one.do(LookAround(), heard.append, 0.1)
        assert not one.do(LookAround(), heard.append, 0.1)  # it is on its way: nobody else is sent
        assert one.silent_s == 0.0
        now.ahead_s += porter.SILENT_S + 1
        assert not one.attend(0.0)
        assert one.silent_s > porter.SILENT_S
        os.kill(pid_of(one), signal.SIGCONT)
        assert one.attend(LONGEST_S)
        assert (heard, one.silent_s) == ([Done()], 0.0)


def test_after_a_while_another_porter_tries_and_the_silence_is_told_on(tmp_path: Path) -> None:
    now = Now()
    with sent(tmp_path, now) as one:
        answers(one, LookAround())
        first = pid_of(one)
        os.kill(first, signal.SIGSTOP)
        heard: list[Any] = []
        one.do(LookAround(), heard.append, 0.0)
        now.ahead_s += porter.ANEW_S + 1
        assert one.attend(0.0)
        assert heard[0].why == "it does not answer"
        assert one.silent_s > porter.SILENT_S
        assert answers(one, LookAround()) == [Done()]
        assert (pid_of(one) != first, one.silent_s) == (True, 0.0)


def test_a_porter_that_is_killed_on_its_way_is_said_and_the_next_one_goes(tmp_path: Path) -> None:
    with sent(tmp_path) as one:
        answers(one, LookAround())
        os.kill(pid_of(one), signal.SIGSTOP)
        heard: list[Any] = []
        one.do(LookAround(), heard.append, 0.0)
        os.kill(pid_of(one), signal.SIGKILL)
        assert one.attend(LONGEST_S)
        assert heard[0].why == "the process that goes into the inbox ended by SIGKILL"
        assert answers(one, LookAround()) == [Done()]


@contextmanager
def running(box: Box, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that has begun, with the real porter; it says after a second that the inbox does not answer."""
    write_settings(box.root, **settings)
    daemon = start(box.root, SILENT_S="1.0")
    try:
        wait_for(lambda: (box.root / "status.json").exists())
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait(LONGEST_S)


def said(box: Box) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(box.scanside("status", "--json").output)
    return shown


def child_named(daemon: subprocess.Popen[bytes], module: str) -> int:
    """The daemon's child that runs this module."""
    for pid in Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split():
        if module in Path(f"/proc/{pid}/cmdline").read_text():
            return int(pid)
    raise AssertionError(module)


@contextmanager
def held_porter(box: Box, daemon: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stopped, as by a share that hangs."""
    pid = child_named(daemon, "porter_process")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def hung_share(share: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whoever asks anything of the share waits in the kernel."""
    share.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        share.send_signal(signal.SIGCONT)


@contextmanager
def shared(inbox: Path, behind: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The inbox is a share (FUSE) of another folder, served by a process of its own."""
    if shutil.which("bindfs") is None or os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("needs bindfs, /dev/fuse and root")
    behind.mkdir()
    inbox.mkdir(parents=True)
    options = "attr_timeout=0,entry_timeout=0,negative_timeout=0"
    with subprocess.Popen(["bindfs", "-f", "-o", options, behind, inbox], stderr=subprocess.DEVNULL) as share:
        try:
            wait_for(lambda: os.path.ismount(inbox))
            yield share
        finally:
            subprocess.run(["umount", "-l", inbox], check=True)
            share.kill()


def check_that_it_goes_on(box: Box, daemon: subprocess.Popen[bytes], send: Any, hung: Any) -> None:
    """A study is with the worker when the inbox stops to answer; another one is sent then."""
    send(study(1, text="WAIT"))
    wait_for(lambda: "analysing" in said(box)["headline"])
    with hung:
        wait_for(lambda: "BOX_INBOX_SILENT" in (said(box)["trouble"] or ""))
        shown = box.scanside("status")
        assert shown.exit_code == 5
        assert f"The inbox {box.inbox} has not answered for" in shown.output
        box.root.with_suffix(".go").touch()
        wait_for(lambda: box.of(1))
    send(study(2))
    wait_for(lambda: box.of(2) and box.scanside("status").exit_code == 0)
    assert daemon.poll() is None


def test_a_porter_that_hangs_holds_no_study_that_is_taken_and_afterwards_all_goes_on(box: Box) -> None:
    box.root.mkdir()
    with running(box) as daemon:
        check_that_it_goes_on(box, daemon, lambda slices: box.put(*slices), held_porter(box, daemon))
    assert box.is_sound()


def test_a_share_that_hangs_in_the_kernel_holds_no_study_that_is_taken_and_afterwards_all_goes_on(box: Box) -> None:
    behind = box.root.parent / "behind"
    with shared(box.inbox, behind) as share, running(box) as daemon:
        check_that_it_goes_on(box, daemon, lambda slices: put(behind, slices), hung_share(share))
        wait_for(lambda: not list(behind.rglob("*.dcm")))  # taken long ago, and removed in its turn
    assert len(box.places("archive")) == 6


def test_a_daemon_whose_inbox_hangs_ends_when_it_is_told_to(box: Box) -> None:
    behind = box.root.parent / "behind"
    with shared(box.inbox, behind) as share, running(box) as daemon:
        put(behind, study(1))
        with hung_share(share):
            wait_for(lambda: "BOX_INBOX_SILENT" in (said(box)["trouble"] or ""))
            daemon.terminate()
            daemon.wait(LONGEST_S)
    assert daemon.returncode == 0


def test_a_porter_that_is_killed_again_and_again_loses_nothing_and_every_study_is_measured(box: Box) -> None:
    box.root.mkdir()
    with running(box, quiet_s=0.2, patience_s=0.2) as daemon:
        for number in range(1, 5):
            box.put(*study(number, slices=5))
            for _ in range(4):
                with suppress(AssertionError, OSError):  # none runs just now
                    os.kill(child_named(daemon, "porter_process"), signal.SIGKILL)
                time.sleep(0.1)
        wait_for(lambda: [len(one[-1]["inputs"]) for one in map(box.of, range(1, 5)) if one] == [5, 5, 5, 5])
        wait_for(lambda: not box.places("inbox") and not box.places("work"))
    assert box.is_sound()
