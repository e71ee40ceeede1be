"""How a daemon is to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scanside_appliance.clock import Clock
from scanside_appliance.inbox.facts import PROBE
from scanside_appliance.inbox.porter import PORTER
from scanside_appliance.jobs.worker_client import WORKER
from scanside_appliance.network.sender_client import SENDER
from scanside_appliance.service.systemd import alive
from scanside_appliance.worklist.writer_client import WRITER
from scanside_runtime.settings.tables import Settings


@dataclass(frozen=True, slots=True)
class Plan:
    """How the daemon is to run. Tests put a clock and children of their own in."""

    root: Path
    read_settings: Callable[[], Settings]
    once: bool = False
    settings_file: Path | None = None
    bundle: Path | None = None
    clock: Clock = field(default_factory=Clock)
    worker: Sequence[str] = WORKER
    probe: Sequence[str] = PROBE
    porter: Sequence[str] = PORTER
    sender: Sequence[str] = SENDER
    worklist: Sequence[str] = WRITER
    hint: bool = True
    progressed: Callable[[], None] = alive

    def waits(self, settings: Settings) -> Settings:
        """How long is waited: with `once` an analysis that failed is tried again at once."""
        return replace(settings, jobs=replace(settings.jobs, retry_after_s=0.0)) if self.once else settings
