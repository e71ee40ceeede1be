"""The child that goes into the inbox for the daemon.

`python -m scanside_appliance.inbox.porter_process INBOX WORK HINTS`, the last of which is the handle of a queue.

A share that hangs holds this process, and nobody else. It is locked in: inbox and work are all that it can reach.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from scanside_appliance.inbox.errands import ERRANDS, Answer, Errands, StillAtIt
from scanside_runtime.process.cell import keep_to_files
from scanside_runtime.process.child_side import Channel

SIGN_EVERY_S = 1.0


class Told:
    """Says the answers. A sign of life is worth one only where nothing else was said for a while."""

    def __init__(self, channel: Channel) -> None:
        self._channel, self._last = channel, 0.0

    def say(self, answer: Answer) -> None:
        """Tell the daemon."""
        now = time.monotonic()
        if isinstance(answer, StillAtIt) and now < self._last + SIGN_EVERY_S:
            return
        self._last = now
        self._channel.send(answer)


def main() -> None:
    """Answer until the daemon closes the pipe."""
    channel = Channel.open()
    os.umask(0o027)
    inbox, work = map(Path, sys.argv[1:3])
    keep_to_files(writable=[inbox, work])
    errands = Errands(inbox, work, Told(channel).say, int(sys.argv[3]))
    for errand in channel.questions(ERRANDS):
        errands.do(errand)


if __name__ == "__main__":
    main()
