"""What a look at the box finds: one condition a line, good, caution or bad, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.languages.words import Message, Written, said
from scanside_runtime.errors import ScansideError, SettingsUnusable
from scanside_runtime.settings.tables import Settings


class Health(StrEnum):
    """How a part of the box is."""

    good = "good"
    caution = "caution"
    bad = "bad"


@dataclass(frozen=True, slots=True)
class Condition:
    """What was found. subject: the part, a word or two; found: in words; advice: what to do, None if all is well."""

    subject: str
    health: Health
    found: Message | Written
    advice: Message | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """What is looked at.

    settings_file: None where the defaults are in force; settings_error: why it can't be used, `settings` are the
    defaults then. fstab, systemctl: whom the system is asked by.
    """

    layout: BoxLayout
    settings: Settings
    settings_file: Path | None = None
    settings_error: SettingsUnusable | None = None
    clock: Clock = field(default_factory=Clock)
    fstab: Path = Path("/etc/fstab")
    systemctl: str = "systemctl"


def good(subject: str, found: Message | Written) -> Condition:
    """Nothing to do."""
    return Condition(subject, Health.good, found)


def caution(subject: str, found: Message | Written, advice: Message) -> Condition:
    """It works, and somebody should look."""
    return Condition(subject, Health.caution, found, advice)


def bad(subject: str, found: Message | Written, advice: Message) -> Condition:
    """It does not work, or soon will not."""
    return Condition(subject, Health.bad, found, advice)


def of_error(subject: str, error: ScansideError) -> Condition:
    """What a command would have ended with."""
    return bad(subject, said("{code}: {error}", code=error.code, error=error), Message(error.advice))
