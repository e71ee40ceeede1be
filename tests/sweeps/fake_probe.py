"""In place of the child that reads headers: a file's first line is JSON with its facts. Starts in a blink.

A file that is called `locked` can't be read.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from scanside_appliance.files.beneath import opened_below
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.facts import Facts, Probe
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.start import end_with
from scanside_runtime.process.typed import typed

LARGEST = 2**24


def facts(inbox: Path, name: str) -> Facts:
    with opened_below(inbox, name) as handle, os.fdopen(os.dup(handle), "rb") as file:
        seen = Signature.of(os.fstat(handle))
        if "locked" in name:
            return Facts("out_of_reach", why="Permission denied")
        if seen.size > LARGEST:
            return Facts("too_large", size=seen.size, mtime_ns=seen.mtime_ns, why="it is too large")
        data = file.read()
    known = {"sha256": hashlib.sha256(data).hexdigest(), "size": seen.size, "mtime_ns": seen.mtime_ns}
    try:
        stated = json.loads(data.split(b"\n")[0])
    except ValueError:
        return Facts("other", **known)
    whole = data.endswith(b"END")
    return typed(Facts, {"kind": "image", "whole": whole, "stack": stated["study_uid"], **stated, **known})


def main() -> None:
    channel = Channel()
    end_with(os.getppid())
    for question in channel.questions((Probe,)):
        try:
            channel.send(facts(question.inbox, question.name))
        except OSError as error:
            channel.send(Facts("out_of_reach", why=str(error.strerror)))


if __name__ == "__main__":
    main()
