"""In place of the child that analyses: its result is the list of what it was given. Some words in a file change it.

CRASH ends it by a signal, HANG makes it wait for ever, WAIT until there is a file ROOT.go, HUNGRY makes it eat
memory, KEEPS keep some. DEFECT is an exception with a name in it, SEVERE and RISING are what it finds, REFUSED is a
refusal, BOX a full disk, HEAD a refusal unless its second series was chosen, CONFLICT somebody else under a known ID,
UNWRITTEN a refusal in the middle of writing: a page, and no document; SEND has an object for an archive; EARLIER is
scanned before all that is known of the patient, ONLY a CRASH where anything is. CRASH and HEAD mean the series that
nobody chose. Files that name several patients are refused, as the analysis does. The self-test passes, unless
ROOT.selftest says WRONG, OTHER (another way was taken) or DIES.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import time

from scanside_appliance.files.atomic import replace_file
from scanside_appliance.jobs.messages import (
    NOT_COMPLETE,
    Defect,
    EarlierResult,
    Ended,
    Order,
    SelfTested,
    SelfTestOrder,
    StageReached,
)
from scanside_runtime.errors import BoxOutput, ScansideError
from scanside_runtime.followup.document import RESULT_SCHEMA
from scanside_runtime.model.errors import ModelSelfTest
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.messages import Failed
from scanside_runtime.process.start import end_with

KEPT: list[bytes] = []
SHOWN = {"description": "chest", "slices": 60, "slice_thickness_mm": 5.0, "kernel": None}


def analyze(order: Order, channel: Channel) -> Ended | Defect:
    contents = {file: file.read_bytes() for file in sorted(order.files.iterdir())}
    text = b"".join(contents.values())
    channel.send(StageReached("reading", len(contents), len(contents)))
    compared = () if order.alone else order.earlier
    if (b"CRASH" in text or (b"ONLY" in text and compared)) and order.series_uid is None:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"HANG" in text:
        (order.output / "hangs").touch()
        time.sleep(3600)
    (order.output / "read").touch() if b"WAIT" in text else None
    while b"WAIT" in text and not order.root.with_suffix(".go").exists():
        time.sleep(0.02)
    if b"HUNGRY" in text:
        KEPT.append(b"x" * 2**30)
        time.sleep(3600)
    if b"KEEPS" in text:
        KEPT.append(b"x" * 200 * 2**20)
    if b"BOX" in text:
        raise BoxOutput(folder="results", why="no space")
    if b"DEFECT" in text:
        return Defect("ValueError at fake_worker.py:1")
    code, exit_code, verdict = _outcome(text, order)
    severity, trend = "severe" if b"SEVERE" in text else "none", "rising" if b"RISING" in text else None
    document = {
        "schema": RESULT_SCHEMA,
        "verdict": verdict,
        "reason": code and {"code": code},
        "flags": _flags(order),
        "series": order.series_uid and {"uid": order.series_uid, "chosen_because": "It was chosen by a person."},
        "study": _study(text),
        "severity": {"flag": severity},
        "progression": trend and {"trend": trend},
        "alone": order.alone,
        "pid": os.getpid(),
        "series_uid": order.series_uid,
        "contents": [{"series": [{"number": n, "uid": f"1.2.3.{n}", **SHOWN} for n in (1, 2)]}],
        "inputs": sorted(hashlib.sha256(content).hexdigest() for content in contents.values()),
        "revision": order.revision,
        "supersedes": order.supersedes,
        "provenance": {"revision": order.revision, "bundle": None},
        "incomplete": order.incomplete,
        "for_earlier_scan": order.for_earlier_scan,
        "earlier": [str(one.folder) for one in compared],
        "earlier_sums": [one.sha256 for one in compared],
    }
    replace_file(order.output / "report.html", b"<p>a page</p>")
    if b"SEND" in text:
        replace_file(order.output / "seg.dcm", b"an object")
    if b"UNWRITTEN" in text:
        return Ended(3, "INPUT_UNREADABLE", "it can't be read")
    replace_file(order.output / "result.json", json.dumps(document).encode())
    outdated = tuple(map(_study_uid, order.earlier)) if b"EARLIER" in text else ()
    return Ended(exit_code, code, verdict=verdict, severity=severity, trend=trend, outdated=outdated)


def _study_uid(result: EarlierResult) -> str:
    return str(json.loads((result.folder / "result.json").read_bytes())["study"]["study_uid"])


def _flags(order: Order) -> list[dict[str, str]]:
    alone = [{"code": "PATIENT_RELEASED"}] if order.alone else []
    message = f"{NOT_COMPLETE}{order.incomplete}."
    return [*alone, {"code": "INPUT_INCOMPLETE", "message": message}] if order.incomplete else alone


def _study(text: bytes) -> dict[str, str | None] | None:
    if not text.startswith(b"{"):  # a real image
        return None
    stated = json.loads(text.split(b"\n")[0])
    names = ("study_uid", "patient_id", "issuer")
    return {**dict.fromkeys(("acquired_at", "study_date", "sex")), **{name: stated[name] for name in names}}


def _outcome(text: bytes, order: Order) -> tuple[str | None, int, str]:
    """Reason code, exit code and verdict."""
    if b"REFUSED" in text:
        return "SERIES_SINGLE_SLICE", 3, "refused"
    if b"HEAD" in text and order.series_uid != "1.2.3.2":
        return "SERIES_NOT_CHEST", 3, "refused"
    if len(set(re.findall(rb'"patient_id": "([^"]*)"', text))) > 1:
        return "PATIENT_MIXED", 3, "refused"
    if b"CONFLICT" in text and order.earlier and not order.alone:
        return "PATIENT_CONFLICT", 6, "held"
    return None, 0, "analysed"


def prove(order: SelfTestOrder) -> SelfTested | Failed:
    said = order.root.with_suffix(".selftest")
    word = said.read_text() if said.exists() else ""
    if word == "DIES":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "WRONG":
        return Failed.of(ModelSelfTest(why="Dice 0.500, at least 0.97"))
    if word == "OTHER":
        return SelfTested("fake fp32", "fake int8: Dice 0.500", used_was_wrong=True)
    return SelfTested("fake")


def main() -> None:
    channel = Channel()
    os.umask(0o027)
    end_with(os.getppid())
    for question in channel.questions((SelfTestOrder, Order)):
        if isinstance(question, SelfTestOrder):
            channel.send(prove(question))
            continue
        try:
            channel.send(analyze(question, channel))
        except ScansideError as error:
            channel.send(Failed.of(error))
        except OSError as error:
            channel.send(Failed.of(BoxOutput(folder="results", why=str(error.strerror))))


if __name__ == "__main__":
    main()
