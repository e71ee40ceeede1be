"""In place of the child that analyses: its result is the list of what it was given. Some words in a file change it.

CRASH ends it by a signal, HANG makes it wait, HUNGRY makes it eat memory, DEFECT is an exception with a name in it,
SEVERE and RISING are what it finds, REFUSED is a refusal, BOX a full disk, CONFLICT somebody else under a known ID.
Files that name several patients are refused, as the analysis does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

from scanside_appliance.files.atomic import replace_file
from scanside_runtime.process.child_side import Answers, end_with_the_daemon, questions

KEPT: list[bytes] = []


def analyze(order: dict[str, Any], answers: Answers) -> dict[str, Any]:
    contents = {file: file.read_bytes() for file in sorted(Path(order["files"]).iterdir())}
    text = b"".join(contents.values())
    answers.send(progress=["reading", len(contents), len(contents)])
    if b"CRASH" in text:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"HANG" in text:
        time.sleep(3600)
    if b"HUNGRY" in text:
        KEPT.append(b"x" * 2**30)
        time.sleep(3600)
    if b"BOX" in text:
        return {"exit_code": 5, "code": "BOX_OUTPUT", "reason": "no space"}
    if b"DEFECT" in text:
        return {"exit_code": 1, "code": "BOX_DEFECT", "reason": "in a defect (ValueError at fake_worker.py:1)"}
    code, exit_code, verdict = None, 0, "analysed"
    if b"REFUSED" in text:
        code, exit_code, verdict = "SERIES_SINGLE_SLICE", 3, "refused"
    if len(set(re.findall(rb'"patient_id": "([^"]*)"', text))) > 1:
        code, exit_code, verdict = "PATIENT_MIXED", 3, "refused"
    if b"CONFLICT" in text and order["earlier"]:
        code, exit_code, verdict = "PATIENT_CONFLICT", 6, "held"
    document = {
        "verdict": verdict,
        "alone": order["alone"],
        "inputs": sorted(hashlib.sha256(content).hexdigest() for content in contents.values()),
        "revision": order["revision"],
        "supersedes": order["supersedes"],
        "incomplete": order["incomplete"],
        "earlier": order["earlier"],
    }
    replace_file(Path(order["output"]) / "report.html", b"<p>a page</p>")
    replace_file(Path(order["output"]) / "result.json", json.dumps(document).encode())
    found = {"severity": "severe" if b"SEVERE" in text else "none", "trend": "rising" if b"RISING" in text else None}
    return {"exit_code": exit_code, "verdict": verdict, "code": code, **found}


def main() -> None:
    answers = Answers()
    os.umask(0o027)
    end_with_the_daemon()
    for question in questions():
        if question["do"] == "selftest":
            answers.send(engine="fake")
            continue
        try:
            answers.send(**analyze(question, answers))
        except OSError as error:
            answers.send(exit_code=5, code="BOX_OUTPUT", reason=str(error.strerror))


if __name__ == "__main__":
    main()
