"""The daemon's children that read headers, send, and write the list, and what may never be while one ends or fails."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity

from kit.dicom_samples import make_series, write
from kit.sent_box import job_with_result
from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox.facts import PROBE
from scanside_appliance.network.sender_client import SENDER
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.service import log_to_stderr
from scanside_appliance.worklist.writer_client import WRITER, ListNews, ListWriter
from scanside_runtime.process.start import end_with
from scanside_runtime.settings.tables import SiteSettings

from .box import outcome, unsound_results, write_settings
from .injected import Fault, Ran
from .lived import Lived, plan_of, send
from .stories import AT_ONCE, Everyday, differing, newest, watched

THERE_ALREADY = 0x0111
RECEIVED = ".received"
_PAGES = re.compile(r'href="(worklist/[^"#]+|(?!worklist)[^"#:]+\.html)"')
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\+00:00)?")


class Read(Everyday):
    """A known study gets a late slice, and one of its slices once more; a new study, what is cut off, what is no image.

    Each lies in a folder of its own: what can't be read beside a study makes it incomplete, which stays so where that
    was known already. Headers are read by the real child, which ends, or a call of it fails; what comes of them by a
    cheap one.
    """

    def prepare(self) -> None:
        inbox = self.base / "inbox"
        self.sums = send(inbox, 1, 3)
        self.settings(self.base)
        self._undisturbed(self.base)
        self.sums |= send(inbox, 1, 4) | send(inbox, 2, 2)
        again = [inbox / "study1" / f"{number:03d}.dcm" for number in range(3)]
        for path in again[1:]:
            path.unlink()
        (inbox / "again").mkdir()
        slice_again = again[0].rename(inbox / "again" / again[0].name).read_bytes()
        for name, content in (("cut_off.dcm", slice_again[:300]), ("notes.txt", b"no image")):
            (inbox / name).write_bytes(content)
            self.sums.add(hashlib.sha256(content).hexdigest())

    def is_as_meant(self) -> None:
        assert len(self.expected["results"]) == 3, sorted(self.expected["results"])

    def settings(self, root: Path) -> None:
        write_settings(root, **AT_ONCE, memory_limit_mb=4096)
        with root.with_suffix(".toml").open("a") as file:
            file.write("[reading]\nmemory_mb = 8192\n")

    def plan(self, root: Path) -> Plan:
        return replace(super().plan(root), probe=PROBE)

    def unlike(self, role: str, fault: Fault, results: dict[str, Any]) -> Iterator[str]:
        """What could not be read at once came in a further revision."""
        return differing(newest(self.expected["results"]), newest(results))


class Sent(Lived):
    """Two results wait for an archive, three objects each; the child that sends them ends, or a call of it fails.

    In the end the archive has each object, whole, and the book says so: none is left out, none is refused. An object
    that was there before the book knew of it is sent once more, and the archive says that it has it.
    """

    def prepare(self) -> None:
        self.port = _archive(self.folder)
        box = self.box(self.base)
        (self.base / "made").mkdir(parents=True)
        self.live(self.base, sender=())  # since when the archive is set: what is older is not sent
        for number in (1, 2):
            made = self.base / "made" / str(number)
            uids = {"StudyInstanceUID": f"1.2.{number}", "SeriesInstanceUID": f"1.2.{number}.1"}
            series = make_series(3, **uids)
            for at, one in enumerate(series):
                one.SOPInstanceUID = f"1.2.{number}.1.{at + 1}"
            write(made, series)
            for path, name in zip(sorted(made.iterdir()), ("seg.dcm", "sr.dcm", "sc_01.dcm"), strict=True):
                path.rename(made / name)
            (made / "report.html").write_text("a page")
            (made / "result.json").write_text('{"schema": "scanside.result/1", "verdict": "analysed"}')
            job_with_result(box, made, study=f"{number:016x}")
        self.objects = {f"1.2.{number}.1.{at}" for number in (1, 2) for at in (1, 2, 3)}

    def settings(self, root: Path) -> None:
        write_settings(root, **AT_ONCE, memory_limit_mb=4096, archive="127.0.0.1")
        with root.with_suffix(".toml").open("a") as file:
            file.write(f'port = {self.port}\ncalling_ae = "{root.name.upper()}"\n')
            file.write("retry_after_s = 0.01\nretry_at_most_s = 0.01\ncommitment_s = 0\n[reading]\nmemory_mb = 8192\n")
        self._received(root).unlink(missing_ok=True)

    def _received(self, root: Path) -> Path:
        return self.folder / f"{root.name.upper()}{RECEIVED}"

    def program(self, root: Path) -> Callable[[], None]:
        return partial(watched, plan_of(self.box(root), sender=SENDER))

    def outcome(self, root: Path) -> Any:
        lines = self._received(root).read_text().split()
        return {"sent": outcome(self.box(root))["sent"], "received": Counter(lines)}

    def is_as_meant(self) -> None:
        assert self.expected["received"] == dict.fromkeys(self.objects, 1), self.said(self.root)

    def broken(self, ran: Ran) -> list[str]:
        how = [] if ran.code == 0 else [f"the daemon ended with {ran.code}: {self.said(self.root)[-300:]}"]
        return [*how, *unsound_results(self.box(self.root))]

    def differences(self, role: str, fault: Fault) -> list[str]:
        ended = self.outcome(self.root)
        found = [] if ended["sent"] == self.expected["sent"] else [f"the book says {ended['sent']}"]
        if missing := self.objects - set(ended["received"]):
            found.append(f"the archive has not {missing}")
        if more := {uid: number for uid, number in ended["received"].items() if number > 2}:
            found.append(f"sent again and again: {more}")
        return found


def _archive(folder: Path) -> int:
    """An archive as a process of its own, which notes what each caller sent it; the port that it listens on."""
    told, tell = os.pipe()
    parent = os.getpid()
    if os.fork() == 0:
        try:
            end_with(parent)
            _take(folder, tell)
        finally:
            os._exit(1)
    os.close(tell)
    with os.fdopen(told) as answer:
        return int(answer.readline())


def _take(folder: Path, tell: int) -> None:
    entity = ApplicationEntity()
    entity.add_supported_context(CTImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    handlers = [(evt.EVT_C_STORE, partial(_store, folder))]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    os.write(tell, f"{server.server_address[1]}\n".encode())
    os.close(tell)
    signal.pause()


def _store(folder: Path, event: Any) -> int:
    caller = event.assoc.requestor.ae_title
    assert event.dataset.PixelData, "an object that is not whole"
    with (folder / f"{caller}{RECEIVED}").open("a+") as file:
        file.seek(0)
        before = file.read().split()
        file.write(f"{event.request.AffectedSOPInstanceUID}\n")
    return THERE_ALREADY if event.request.AffectedSOPInstanceUID in before else 0


def _list(box: Path) -> None:
    """The daemon's side alone: a fork of who has the book open could not open it."""
    log_to_stderr()
    news = ListNews((), 0, None, SiteSettings())
    with closing(ListWriter(BoxLayout(box), Clock(), WRITER)) as writer:
        writer.advance(news)
        writer.finish(news)


class Listed(Lived):
    """The list of results lies there, and a study came since; the child that writes the list ends, or a call fails.

    Each page is at any moment the old one or the new one, whole, and what the list leads to lies there; who asked for
    it goes on. The next time leaves the list that an undisturbed one leaves, and nothing else beside it.
    """

    def prepare(self) -> None:
        inbox = self.box(self.base) / "inbox"
        self.sums = send(inbox, 1, 2) | send(inbox, 2, 2, "HEAD^A")
        self.live(self.base)
        self._undisturbed(self.base)
        pages = self.box(self.base) / "results" / "worklist"
        assert [path.name for path in pages.iterdir()] == ["undated.html"]
        (pages / "2019-04.html").write_text("<p>a month in which nothing is listed any more</html>")
        self.sums |= send(inbox, 3, 2, "SEVERE^B")
        self.live(self.base)

    def program(self, root: Path) -> Callable[[], None]:
        return partial(_list, self.box(root))

    def outcome(self, root: Path) -> Any:
        results = self.box(root) / "results"
        there = [results / "index.html", *(results / "worklist").iterdir()]
        beside = sorted(path.name for path in results.iterdir() if path.is_file())
        return {**{path.name: _TIME.sub("", path.read_text()) for path in there}, "beside": beside}

    def broken(self, ran: Ran) -> list[str]:
        found = [] if ran.code == 0 else [f"the daemon ended with {ran.code}: {self.said(self.root)[-300:]}"]
        results = self.box(self.root) / "results"
        for page in (results / "index.html", *(results / "worklist").glob("*.html")):
            text = page.read_text()
            if not text.rstrip().endswith("</html>"):
                found.append(f"{page.name} is not whole")
            gone = [link for link in _PAGES.findall(text) if not (page.parent / link).exists()]
            found += [f"{page.name} leads to {gone}"] if gone else []
        return [*found, *unsound_results(self.box(self.root))]

    def is_settled(self, ran: Ran, role: str, fault: Fault) -> bool:
        return not self.differences(role, fault)

    def differences(self, role: str, fault: Fault) -> list[str]:
        ended = self.outcome(self.root)
        names = {*ended, *self.expected}
        return [f"{name} is not as undisturbed" for name in names if ended.get(name) != self.expected.get(name)]
