"""A large file on a slow share is read to its end, one that never ends is not, and neither keeps others from it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest

from kit.child_programs import BEGINS
from kit.reading import LIMITS
from kit.watch_box import wait_for
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox import facts as facts_of_files
from scanside_appliance.inbox import probe_process
from scanside_appliance.inbox.facts import LONGEST_READ_S, LONGEST_WAIT_S, SLOWEST_MB_S, Facts, Prober, StillReading
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.inbox.readiness import Inbox
from scanside_appliance.service.header_reading import HeaderReading
from scanside_appliance.service.inbox_look import InboxLook
from scanside_runtime.process.messages import encode
from scanside_runtime.settings.box import InboxSettings
from sweeps.box import LONGEST_S

MIB = 2**20
FOUND = Facts("other", sha256="1" * 64, size=100, mtime_ns=1)
READER = f"""{BEGINS}
import json, sys
for line in sys.stdin.buffer:
    name = json.loads(line)["Probe"]["name"]
    words = open(f"{{sys.argv[1]}}/{{name}}") if "slow" in name else [{encode(FOUND).decode()!r}]
    for word in words:
        print(word, end="", flush=True)
"""


class Share:
    """A clock, and children whose words about a file that is called `slow` are given line by line."""

    def __init__(self, root: Path) -> None:
        self.root, self.now = root, 1000.0
        self.inbox = Inbox(InboxSettings(quiet_s=60.0, patience_s=900.0))

    def prober(self) -> Prober:
        return Prober(lambda: self.now, [sys.executable, "-S", "-c", READER, str(self.root)])

    def slow(self, name: str) -> IO[bytes]:
        """What it says of this file."""
        os.mkfifo(self.root / name)
        return os.fdopen(os.open(self.root / name, os.O_RDWR), "wb", 0)

    def lies_there(self, *names: str) -> None:
        for at in (self.now - 10, self.now):
            self.inbox.look([(name, Signature(100, 1, 7)) for name in names], at)

    def known(self) -> dict[str, str]:
        return {name: facts.why or facts.kind for name, facts in self.inbox._table.facts("kind <> ''", {})}


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    found = Share(tmp_path)
    yield found
    found.inbox.close()


def heard(prober: Prober, words: IO[bytes], *signs: StillReading | Facts) -> tuple[str, Facts] | None:
    for sign in signs:
        words.write(encode(sign))
    return prober.poll(LONGEST_S)


def test_a_file_that_comes_slowly_is_read_for_as_long_as_it_comes(share: Share) -> None:
    with closing(share.prober()) as prober, share.slow("slow") as words:
        prober.begin(share.root, "slow", LIMITS)
        for number in range(1, 21):
            share.now += LONGEST_READ_S - 1
            assert heard(prober, words, StillReading(10 * MIB * number)) is None
            assert prober.silent_s == 0.0
        assert prober.lasts_s > 4 * LONGEST_WAIT_S
        assert heard(prober, words, FOUND) == ("slow", FOUND)


@pytest.mark.parametrize(
    ("says", "most_s"),
    [(1, LONGEST_WAIT_S), (10**15, LONGEST_WAIT_S), (8 * MIB, LONGEST_WAIT_S + LIMITS.max_file_mb / SLOWEST_MB_S)],
)
def test_a_file_that_drips_without_end_is_given_up_whatever_is_said_of_it(
    share: Share, says: int, most_s: float
) -> None:
    with closing(share.prober()) as prober, share.slow("slow") as words:
        prober.begin(share.root, "slow", LIMITS)
        read, answer = 0, None
        while answer is None:
            share.now, read = share.now + LONGEST_READ_S - 1, read + says
            answer = heard(prober, words, StillReading(read)) or prober.poll(0.0)
        assert answer[1].kind == "out_of_reach"
        assert share.now - 1000.0 < most_s + 2 * LONGEST_READ_S


def reading(share: Share) -> HeaderReading:
    probers = share.prober(), share.prober()
    return HeaderReading(share.root, share.inbox, probers, lambda: share.now, lambda: None)


def begun(share: Share, headers: HeaderReading) -> None:
    """A child is with the next file."""
    headers.read(LIMITS, 0.0)
    assert headers.filenos()


def read_on(share: Share, headers: HeaderReading, *known: str) -> None:
    def is_known() -> bool:
        headers.read(LIMITS, 0.01)
        return set(known) <= set(share.known())

    wait_for(is_known)


def test_a_file_that_takes_long_keeps_no_other_from_being_read_and_is_read_to_its_end(share: Share) -> None:
    share.lies_there("slow", "b", "c")
    with closing(reading(share)) as headers, share.slow("slow") as words:
        begun(share, headers)
        assert share.known() == {}
        share.now += LONGEST_READ_S + 1
        headers.has_news()
        read_on(share, headers, "b", "c")
        assert headers.silent_s == 0.0
        words.write(encode(FOUND))
        wait_for(headers.has_news)
        assert share.known() == dict.fromkeys(("slow", "b", "c"), "other")


def comes(headers: HeaderReading, words: IO[bytes]) -> None:
    """Of the file that is being read first, something has come."""
    words.write(encode(StillReading(MIB)))
    wait_for(lambda: headers.has_news() or headers._quick.has_come)


def test_of_two_that_take_long_the_second_waits_for_another_time(share: Share) -> None:
    share.lies_there("slow", "slow2", "c")
    with closing(reading(share)) as headers, share.slow("slow") as words, share.slow("slow2") as others:
        begun(share, headers)
        share.now += LONGEST_READ_S + 1
        headers.has_news()
        begun(share, headers)
        comes(headers, others)
        share.now += LONGEST_READ_S + 1
        read_on(share, headers, "slow2", "c")
        assert headers.silent_s == 0.0
        words.write(encode(FOUND))
        read_on(share, headers, "slow")
        assert share.known()["slow2"] == "it comes slowly, and so does another one that is read first"
        assert share.known()["slow"] == "other"


@pytest.mark.parametrize(("belied", "goes_on"), [("before", False), ("meanwhile", True), ("nobody's", True)])
def test_who_lied_of_a_file_reads_no_other_and_who_did_not_goes_on(share: Share, belied: str, goes_on: bool) -> None:
    share.lies_there("before", "slow", "meanwhile")
    with closing(reading(share)) as headers, share.slow("slow") as words:
        read_on(share, headers, "before")
        begun(share, headers)
        share.now += LONGEST_READ_S + 1
        headers.has_news()
        read_on(share, headers, "meanwhile")
        headers.distrust({belied})
        assert bool(headers.filenos()) is goes_on
        words.write(encode(FOUND))
        read_on(share, headers, "slow")


def test_what_a_child_read_is_remembered_as_long_as_it_reads(share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_of_files, "MOST_READ", 2)
    with closing(share.prober()) as prober:
        for name, known in (("a", ["a"]), ("b", []), ("c", ["c"])):
            prober.begin(share.root, name, LIMITS)
            assert prober.poll(LONGEST_S) == (name, FOUND)
            assert [one for one in "abc" if prober.has_read(one)] == known


def test_an_inbox_whose_reads_hang_is_said_as_silent_until_something_comes(share: Share) -> None:
    share.lies_there("slow", "slow2", "c")
    porter = Porter(BoxLayout(share.root), lambda: share.now, ())
    with closing(reading(share)) as headers, share.slow("slow"), share.slow("slow2") as words:
        look = InboxLook(share.root, share.inbox, porter, headers, lambda: share.now, lambda listing: listing)
        for _ in range(2):
            begun(share, headers)
            assert look.trouble() is None
            share.now += LONGEST_READ_S + 1
            headers.has_news()
        assert headers.silent_s == 2 * (LONGEST_READ_S + 1)
        share.now += LONGEST_WAIT_S
        headers.has_news()
        assert share.known() == dict.fromkeys(("slow", "slow2"), "it does not answer")
        trouble = look.trouble()
        assert trouble is not None and trouble.code == "BOX_INBOX_SILENT"
        words.write(encode(FOUND))
        wait_for(headers.has_news)
        assert look.trouble() is None
        assert share.known()["slow2"] == "other"


def test_signs_of_life_are_said_once_a_second_and_count_what_has_come() -> None:
    now, said = [0.0], list[StillReading]()
    signs = probe_process.SignsOfLife(said.append, lambda: now[0])
    for _ in range(6):
        now[0] += 0.5
        signs.heard(MIB)
    assert said == [StillReading(2 * MIB), StillReading(4 * MIB), StillReading(6 * MIB)]


@pytest.mark.parametrize("size_mb", [1, 70])
def test_a_file_is_told_block_by_block_however_large_it_is(tmp_path: Path, size_mb: int) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(size_mb * MIB)
    blocks = list[int]()
    probe_process.facts_of(tmp_path, "file", LIMITS, blocks.append)
    assert sum(blocks) == size_mb * MIB
    assert max(blocks) <= MIB
