"""In place of the child that reads headers: a file's first line is JSON with its facts. Starts in a blink."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from scanside_appliance.inbox.facts import Facts, Probe
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.start import end_with
from scanside_runtime.process.typed import typed


def facts(path: Path) -> Facts:
    data = path.read_bytes()
    seen = os.stat(path)
    known = {"sha256": hashlib.sha256(data).hexdigest(), "size": seen.st_size, "mtime_ns": seen.st_mtime_ns}
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
            channel.send(facts(question.path))
        except OSError as error:
            channel.send(Facts("out_of_reach", why=str(error.strerror)))


if __name__ == "__main__":
    main()
