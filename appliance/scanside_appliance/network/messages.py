"""What the child that sends is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.settings.send import SendSettings


@dataclass(frozen=True, slots=True)
class SendOrder:
    """Send these files of a folder, in this order; answered by `ObjectSent` for each, at last by `AllSent`."""

    folder: Path
    names: tuple[str, ...]
    settings: SendSettings


@dataclass(frozen=True, slots=True)
class ObjectSent:
    """The archive has taken an object, or had it already."""

    name: str
    sop_uid: str


@dataclass(frozen=True, slots=True)
class AllSent:
    """Nothing is left to send. committed: UIDs that the archive has promised to keep (PS3.4 Annex J)."""

    committed: tuple[str, ...]
