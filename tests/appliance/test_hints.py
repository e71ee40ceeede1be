"""inotify as a hint: what a sender makes costs no more than it must, and what he sends is looked at soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kit.watch_box import wait_for
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox import hints
from scanside_appliance.inbox.errands import LookAround
from scanside_appliance.inbox.hints import SETTLING_S, Hints, Watches
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.inbox.scan import scan


class Clock:
    """Set by hand."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@pytest.fixture
def queue() -> Iterator[Hints]:
    with closing(Hints(Clock())) as found:
        yield found


def watched(queue: Hints) -> int:
    """How many folders the kernel watches for it."""
    return Path(f"/proc/self/fdinfo/{queue.number}").read_text().count("inotify wd:")


def look(inbox: Path, watches: Watches) -> None:
    for _ in scan(inbox, watches.watch):
        pass
    watches.looked()


def test_a_senders_link_costs_no_watch_and_a_folder_that_is_gone_has_none(tmp_path: Path, queue: Hints) -> None:
    watches = Watches(queue.number)
    (tmp_path / "inbox" / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "inbox" / "root").symlink_to("/usr")
    (tmp_path / "inbox" / "sub" / "again").symlink_to(tmp_path / "inbox")
    look(tmp_path / "inbox", watches)
    assert watched(queue) == 3
    (tmp_path / "inbox" / "sub" / "deep").rename(tmp_path / "moved out")
    look(tmp_path / "inbox", watches)
    assert watched(queue) == 2


def test_no_number_of_folders_costs_more_than_so_many_watches(
    tmp_path: Path, queue: Hints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "MOST_WATCHED", 4)
    for number in range(9):
        (tmp_path / str(number)).mkdir()
    watches = Watches(queue.number)
    for _ in range(2):
        look(tmp_path, watches)
        assert watched(queue) == 4


def test_what_is_sent_is_heard_of_through_the_porter_and_many_things_together_are_one_hint(tmp_path: Path) -> None:
    layout, clock = BoxLayout(tmp_path), Clock()
    layout.make()
    with closing(Hints(clock)) as queue, closing(Porter(layout, time.monotonic, hints=queue.number)) as porter:
        answers: list[Any] = []
        assert porter.do(LookAround(), answers.append, 30.0)
        assert not queue.heard()
        (layout.inbox / "1").write_bytes(b"x")
        wait_for(queue.heard)
        (layout.inbox / "2").write_bytes(b"x")
        assert (queue.heard(), queue.fileno(), queue.deaf) == (False, None, True)
        clock.ahead_s += SETTLING_S
        assert queue.heard()
