"""Time: every duration is monotonic; the wall clock is only ever shown, and watched for nonsense."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

SOFTWARE_MADE = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""No honest clock of a box that runs this software stands before."""
DAY_S = 86_400.0
JUMP_S = 120.0
"""The wall clock may differ from the monotonic one by so much between two looks; a slewed clock stays far below."""


def boot_id() -> str:
    """Which start of the machine this is: a monotonic time means nothing after the next one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def time_text(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC; "unknown" where they are no possible year's."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return "unknown"


def _jumped(seconds: float) -> str:
    """Far jumps in days: nobody reads millions of seconds."""
    if abs(seconds) >= DAY_S:
        return f"the box's clock jumped by {seconds / DAY_S:+.0f} days while it ran"
    return f"the box's clock jumped by {seconds:+.0f} s while it ran"


@dataclass(frozen=True, slots=True)
class Clock:
    """Both clocks. Tests put theirs in place of the machine's."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    boot: str = field(default_factory=boot_id)

    def now_text(self) -> str:
        """The wall clock as ISO 8601 in UTC, for people; "unknown" where it shows no possible year."""
        return time_text(self.wall())

    def stands_too_early(self) -> str | None:
        """In words, where the wall clock can't be right: a battery was empty, or nobody set it. Else None."""
        if self.wall() >= SOFTWARE_MADE:
            return None
        return f"the box's clock stands at {self.now_text()[:10]}, before this software was made"


@dataclass(slots=True)
class ClockWatch:
    """Notices a wall clock that can't be right. It changes no decision: what it says is shown and flagged."""

    clock: Clock
    trouble: str | None = None
    _wall: float = field(init=False)
    _monotonic: float = field(init=False)

    def __post_init__(self) -> None:
        self._remember()

    def look(self) -> str | None:
        """What is wrong with the wall clock, or None. A jump is remembered until the daemon ends."""
        moved = self.clock.wall() - self._wall
        passed = self.clock.monotonic() - self._monotonic
        if abs(moved - passed) > JUMP_S:
            self.trouble = _jumped(moved - passed)
        self._remember()
        return self.clock.stands_too_early() or self.trouble

    def _remember(self) -> None:
        self._wall, self._monotonic = self.clock.wall(), self.clock.monotonic()
