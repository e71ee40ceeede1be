"""What a box lives through in one run: prepared once, copied for each fault, and how it ends undisturbed.

`Everyday`, with cheap children: a known study gets a late slice, one of its slices once more, and a stray slice of
somebody else; a new study, a file that is no image, a study whose analysis crashes, a slice with another content; a
refused study for which a person has chosen another series, a study that is measured again because a person wants it,
results that go to an archive, a patient's earlier scan that comes after the later one, and junk beyond its quota.
`measured.Measured` has the real ones.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout, patient_key, study_key
from scanside_appliance.inbox.porter import PORTER
from scanside_appliance.jobs.book.file import existing_book
from scanside_appliance.jobs.release import Decisions
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.service import log_to_stderr, watch
from scanside_appliance.upkeep.redo import redo
from scanside_runtime.errors import ScansideError
from scanside_runtime.settings.load import load_settings

from . import forked
from .box import HERE, Slice, lost, outcome, put, unsound_results, write_settings
from .injected import Fault, Ran

PYTHON = (sys.executable, "-S")
AT_ONCE = {"quiet_s": 0.01, "patience_s": 5.0, "scan_s": 0.005}
"""With a patience as short as the quiet time, one failed look and the next were a file that changes for ever."""
LIMIT_S = 240.0
"""What takes so long hangs, on however busy a machine."""


class Story(ABC):
    """A prepared box, and the run that is disturbed.

    program_role: what the program itself is; its children have roles of their own.
    expected: what the first run came to of which the calls were counted, and no more was done to it.
    """

    program_role = "daemon"

    def __init__(self, folder: Path) -> None:
        self.folder, self.base, self.root = folder, folder / "base", folder / "box"
        self.sums: set[str] = set()
        self.expected: Any = None
        self.prepare()

    def is_as_meant(self) -> None:  # noqa: B027  # most stories say nothing more
        """Raises AssertionError where the undisturbed run is not what the story tells of."""

    @abstractmethod
    def prepare(self) -> None:
        """Make `base`, and say in `sums` what may not be lost."""

    @abstractmethod
    def settings(self, root: Path) -> None:
        """Write the settings of a run."""

    @abstractmethod
    def program(self, root: Path) -> Callable[[], None]:
        """What is run."""

    @abstractmethod
    def outcome(self, root: Path) -> Any:
        """What a run came to: equal for equal histories."""

    @abstractmethod
    def broken(self, ran: Ran) -> list[str]:
        """What is wrong as soon as a disturbed run has ended, whatever may come next."""

    @abstractmethod
    def differences(self, role: str, fault: Fault) -> list[str]:
        """What is not as after an undisturbed run, when the box was started again."""

    def fresh(self) -> None:
        """The box as it is before the run."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.base, self.root)
        self.settings(self.root)

    def beside(self, name: str) -> Story:
        """The same in another folder, so that two run side by side."""
        other: Story = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.root = self.folder / name
        return other

    def calls(self, role: str) -> Ran:
        """How often each call comes in an undisturbed run."""
        self.fresh()
        ran = self._undisturbed(self.root, role)
        if self.expected is None:
            self.expected = self.outcome(self.root)
            self.is_as_meant()
        return ran

    def disturbed(self, role: str, fault: Fault) -> tuple[Ran, list[str]]:
        """A run with a fault, the next start, and what the fault broke."""
        self.fresh()
        ran = self._run(role, fault, self.root)
        if not ran.at:
            return ran, []
        found = ["it hangs"] if ran.hangs else ["it leaves a process behind"] if ran.left else []
        found += self.broken(ran)
        if not found and self.is_settled(ran, role, fault):
            return ran, []
        again = self._run("", None, self.root)
        if not self.ends_well(again.code) or again.hangs:
            found.append(f"the next start ended with {again.code}: {self.said(self.root)[-300:]}")
        return ran, [*found, *self.differences(role, fault)]

    def is_settled(self, ran: Ran, role: str, fault: Fault) -> bool:  # others look at it
        """Whether the run itself came to the end of an undisturbed one, and a next start need not be tried."""
        return False

    def ends_well(self, code: int) -> bool:
        """Whether the next start may end in this way."""
        return code == 0

    def said(self, root: Path) -> str:
        """What daemons said there, since the box was fresh."""
        return root.with_suffix(".log").read_text(errors="replace")

    def _run(self, role: str, fault: Fault | None, root: Path) -> Ran:
        root.with_suffix(".log").unlink(missing_ok=True)
        said = str(root.with_suffix(".log"))
        return forked.run(role, fault, self.program(root), is_a=self.program_role, said=said, limit_s=LIMIT_S)

    def _undisturbed(self, root: Path, role: str = "") -> Ran:
        done = self._run(role, None, root)
        if done.code != 0:
            raise SystemExit(f"an undisturbed run ended with {done.code}: {self.said(root)}")
        return done


class BoxStory(Story):
    """The daemon works off what lies in the inbox, and ends."""

    @abstractmethod
    def plan(self, root: Path) -> Plan:
        """How the daemon runs."""

    def program(self, root: Path) -> Callable[[], None]:
        return partial(watched, self.plan(root))

    def outcome(self, root: Path) -> Any:
        return outcome(root)

    def broken(self, ran: Ran) -> list[str]:
        return [*lost(self.root, self.sums, sent_twice=self.sums), *unsound_results(self.root)]

    def is_settled(self, ran: Ran, role: str, fault: Fault) -> bool:
        return role != "daemon" and ran.code == 0 and not self.differences(role, fault)

    def differences(self, role: str, fault: Fault) -> list[str]:
        found = [*lost(self.root, self.sums), *unsound_results(self.root)]
        ended = outcome(self.root)
        if unlike := [*islice(self.unlike(role, fault, ended["results"]), 4)]:
            found.append(f"other results than of an undisturbed run: {unlike}")
        if ended["areas"] != self.expected["areas"]:
            found.append(f"files end elsewhere than in an undisturbed run: {ended['areas'] - self.expected['areas']}")
        if ended["sent"] != self.expected["sent"]:
            found.append(f"other results are sent than in an undisturbed run: {ended['sent']}")
        return found

    def unlike(self, role: str, fault: Fault, results: dict[str, Any]) -> Iterator[str]:  # others look at it
        """In what results differ from those of an undisturbed run."""
        return differing(self.expected["results"], results)


def differing(expected: Any, ended: Any, at: str = "") -> Iterator[str]:
    """Where two documents differ, and in what."""
    if isinstance(expected, dict) and isinstance(ended, dict):
        for name in {**expected, **ended}:
            yield from differing(expected.get(name), ended.get(name), f"{at}/{name}")
    elif expected != ended:
        yield f"{at}: {str(ended)[:300]} for {str(expected)[:300]}"


def newest(results: dict[str, Any]) -> dict[str, Any]:
    """By study, without the number of the revision."""
    found = {}
    unnumbered = {"revision": None, "supersedes": None}
    for place, document in sorted(results.items(), key=lambda one: int(Path(one[0]).name)):
        counted = unnumbered if "revision" in document else {}
        provenance = {**document["provenance"], **unnumbered}
        found[str(Path(place).parent)] = {**document, **counted, "provenance": provenance}
    return found


def watched(plan: Plan) -> None:
    """The daemon as a program of its own."""
    log_to_stderr()
    try:
        watch(plan)
    except ScansideError as error:
        print(error.code, error.message, file=sys.stderr)
        sys.exit(error.exit_code)


class Everyday(BoxStory):
    """All that the daemon does, with cheap children."""

    porter: Sequence[str] = ()

    def prepare(self) -> None:
        inbox = self.base / "inbox"
        self.sums = put(inbox, [Slice(1, n) for n in (1, 2, 3)])
        self.sums |= put(inbox, [Slice(5, n, "HEAD") for n in (1, 2)])
        self.sums |= put(inbox, [Slice(6, n, "SEND") for n in (1, 2)])
        self.sums |= put(inbox, [Slice(7, 1)])
        (inbox / "junk.bin").write_bytes(b"no image" * 140_000)
        write_settings(self.base, archive="archive")
        self._undisturbed(self.base)
        layout = BoxLayout(self.base)
        with existing_book(layout) as store:
            Decisions(layout, store).release(study_key("1.2.5"), "2")
            redo(layout, store, Clock(), study_key("1.2.6"))
        self.sums |= put(inbox, [Slice(1, 4)])
        put(inbox, [Slice(1, 2)], "again")
        self.sums |= put(inbox, [Slice(1, 9, patient="Q1")], "stray")
        self.sums |= put(inbox, [Slice(2, n, "SEND") for n in (1, 2, 3)])
        self.sums |= put(inbox, [Slice(3, 1, "CRASH")])
        self.sums |= put(inbox, [Slice(8, 1, "EARLIER", patient="P7")])
        self.sums |= put(inbox, [Slice(4, 1), Slice(4, 2), Slice(4, 2, "other")])
        (inbox / "notes.txt").write_text("no image")
        self.sums.add(hashlib.sha256(b"no image").hexdigest())

    def is_as_meant(self) -> None:
        later = f"{patient_key('P7', None, '')}/{study_key('1.2.7')}/2"
        assert self.expected["results"][later]["earlier"] == [study_key("1.2.8")]

    def settings(self, root: Path) -> None:
        write_settings(root, **AT_ONCE, archive="archive", quarantine_quota_mb=1, reserve_mb=1, memory_limit_mb=4096)

    def plan(self, root: Path) -> Plan:
        return Plan(
            root,
            lambda: load_settings(root.with_suffix(".toml")),
            once=True,
            worker=(*PYTHON, str(HERE / "fake_worker.py")),
            probe=(*PYTHON, str(HERE / "fake_probe.py")),
            sender=(*PYTHON, str(HERE / "fake_sender.py")),
            porter=self.porter,  # none: the daemon goes into the inbox itself, and what it does there is swept
            worklist=(),  # another child, which touches nothing that is swept
            hint=False,
        )


class Carried(Everyday):
    """The same, with the child that goes into the inbox."""

    porter = PORTER
