"""The work: does it run, what keeps it from working, what waits for a person, when was the last study."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, fields

from scanside_appliance.doctor.conditions import Condition, Examined, bad, caution, good, of_error
from scanside_appliance.jobs.book_file import existing_book
from scanside_appliance.jobs.database_errors import database_errors
from scanside_appliance.jobs.errors import BoxDatabaseMissing
from scanside_appliance.jobs.store import Job, State
from scanside_appliance.service.queue_view import box_facts
from scanside_appliance.upkeep.care import LastBackup, LastVerified, days_since, last_done
from scanside_runtime.errors import BoxFailed
from scanside_runtime.settings.tables import Settings

UNITS = ("scanside-watch.service", "scanside.target", "scanside-verify.timer")
UNIT = UNITS[0]
ASK_S = 10.0


@dataclass(frozen=True, slots=True)
class Book:
    """What the book says. error: why it can't be read; last, failed: the newest job that was done, or put aside."""

    there: bool = False
    error: BoxFailed | None = None
    last: Job | None = None
    failed: Job | None = None
    held: int = 0
    numbers: dict[State, int] = field(default_factory=dict)


def read_book(box: Examined) -> Book:
    """Read once for all that looks into it; nothing is made where there is none."""
    try:
        with database_errors(box.layout.database), existing_book(box.layout) as store:
            store.check()
            done, failed = store.jobs([State.done]), store.jobs([State.quarantined])
            studies = [job for job in failed if job.study]
            held = len(store.jobs([State.held])) + len(store.held_results())
            return Book(True, None, _newest(done), _newest(studies), held, store.numbers())
    except BoxDatabaseMissing:
        return Book()
    except BoxFailed as error:
        return Book(True, error)


def _newest(jobs: list[Job]) -> Job | None:
    return max(jobs, key=lambda job: job.finished_at or "", default=None)


def book(_: Examined, read: Book) -> Condition:
    """The database, read whole."""
    if read.error:
        return of_error("book", read.error)
    if not read.there:
        return good("book", "none yet: it is made at the first start of `scanside watch`")
    return good("book", f"whole, {sum(read.numbers.values())} job(s)")


def running(box: Examined) -> Condition:
    """Whether the daemon runs, and its own last word."""
    facts = box_facts(box.layout, lambda: box.settings)
    if facts["trouble"]:
        return bad("watch", str(facts["trouble"]), "See `scanside status`, and what the line itself says.")
    if not facts["running"]:
        return caution("watch", "it does not run: nothing that arrives is measured", f"systemctl start {UNIT}")
    found = f"{facts['headline']} ({facts['engine'] or 'starting'}), proved {facts['selftest_at'] or 'not yet'}"
    if facts["doubted"]:
        words = f"{found}; {len(facts['doubted'])} result(s) were computed by what failed the next self-test"
        return bad("watch", words, "`scanside status` names them; `scanside redo` measures them again.")
    return good("watch", found)


def unit(box: Examined) -> Condition:
    """Whether the system starts it after a power cut, and reads the stored files each week."""
    try:
        asked = {
            one: subprocess.run(
                [box.systemctl, "is-enabled", one], capture_output=True, text=True, timeout=ASK_S, check=False
            ).stdout.strip()
            for one in UNITS
        }
    except (OSError, subprocess.TimeoutExpired):
        return caution("unit", "systemd does not answer", "Start `scanside watch` by what starts services here.")
    missing = [one for one, said in asked.items() if said != "enabled"]
    if missing:
        words = ", ".join(f"{one}: {asked[one] or 'not installed'}" for one in missing)
        advice = f"systemctl enable --now {' '.join(missing)}: else it does not start after a power cut."
        return caution("unit", words, advice)
    return good("unit", f"{UNIT} starts with the machine")


def studies(_: Examined, read: Book) -> Condition:
    """The last study, and what waits for a person."""
    last = "none yet" if read.last is None else f"the last ended {read.last.finished_at} ({read.last.verdict})"
    if read.held:
        return caution(
            "studies", f"{last}; {read.held} wait for a person", "`scanside queue`, then `scanside release`."
        )
    return good("studies", last)


def failures(_: Examined, read: Book) -> Condition:
    """The last study that was put aside."""
    if read.failed is None:
        return good("put aside", "no study")
    found = f"{read.numbers.get(State.quarantined, 0)} job(s), the last {read.failed.finished_at}: {read.failed.code}"
    return caution("put aside", found, f"`scanside explain {read.failed.code}`; the files lie in quarantine.")


def backup(box: Examined) -> Condition:
    """When the last one was made. A clock that jumped makes an age that can't be: then it is named, not judged."""
    advice = "`scanside backup DIR`, with DIR on a stick; docs/backup.md."
    try:
        noted = last_done(LastBackup, box.layout.last_backup)
        days = 0.0 if noted is None else days_since(noted.at, box.clock)
    except (OSError, ValueError):
        return caution("backup", f"{box.layout.last_backup.name} can't be read", advice)
    if noted is None:
        return caution("backup", "none was ever made", advice)
    found = f"{noted.files} files to {noted.target}, {days:.0f} day(s) ago"
    is_due = 0.0 < box.settings.care.backup_days < days
    return caution("backup", found, advice) if is_due else good("backup", found)


def verified(box: Examined) -> Condition:
    """When all stored files were last read, and what came of it."""
    advice = "`scanside verify` reads all of it and names what differs; docs/watch.md."
    try:
        noted = last_done(LastVerified, box.layout.last_verified)
        days = 0.0 if noted is None else days_since(noted.at, box.clock)
    except (OSError, ValueError):
        return caution("files kept", f"{box.layout.last_verified.name} can't be read", advice)
    if noted is None:
        return good("files kept", "not verified yet: a timer does it each week")
    found = f"verified {days:.0f} day(s) ago"
    if noted.differences:
        return bad("files kept", f"{found}: {noted.differences} not as written", advice)
    is_due = 0.0 < box.settings.care.verify_days < days
    return caution("files kept", found, advice) if is_due else good("files kept", f"{found}: all as written")


def configuration(box: Examined) -> Condition:
    """Where the settings come from, and each that is not the default."""
    if box.settings_error is not None:
        return of_error("settings", box.settings_error)
    source = "the defaults" if box.settings_file is None else str(box.settings_file)
    changed = [f"{name} = {value}" for name, value in differing(box.settings)]
    return good("settings", "; ".join([source, *changed]))


def differing(settings: Settings) -> list[tuple[str, object]]:
    """The settings that are not the default, by their whole names."""
    found: list[tuple[str, object]] = []
    for table in fields(Settings):
        mine, usual = getattr(settings, table.name), getattr(Settings(), table.name)
        found += [
            (f"{table.name}.{one.name}", getattr(mine, one.name))
            for one in fields(mine)
            if getattr(mine, one.name) != getattr(usual, one.name)
        ]
    return found
