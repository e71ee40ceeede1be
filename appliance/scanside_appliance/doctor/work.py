"""The work: does it run, what keeps it from working, what waits for a person, when was the last study."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from scanside_appliance.doctor.conditions import Condition, Examined, bad, caution, good, of_error
from scanside_appliance.jobs.book.audit import outdated
from scanside_appliance.jobs.book.database_errors import database_errors
from scanside_appliance.jobs.book.errors import BoxDatabaseMissing
from scanside_appliance.jobs.book.file import existing_book
from scanside_appliance.jobs.book.rows import Job, State
from scanside_appliance.languages.words import Message, Written, said
from scanside_appliance.service.queue_view import box_facts
from scanside_appliance.service.queue_words import REDO, VERDICTS, headline, lack_an_earlier_scan
from scanside_appliance.upkeep.book_shape import check_book
from scanside_appliance.upkeep.care import LastBackup, LastVerified, is_to_come, last_done_ago
from scanside_runtime.errors import BoxFailed
from scanside_runtime.settings.tables import Settings

UNITS = ("scanside-watch.service", "scanside.target", "scanside-verify.timer")
UNIT = UNITS[0]
MAYBE = ("scanside-receive.service", "scanside-serve.service")
"""Off until somebody wants them."""
ASK_S = 10.0


@dataclass(frozen=True, slots=True)
class Book:
    """What the book says. error: why it can't be read; last, failed: the newest job that was done, or put aside.

    outdated: studies that an earlier scan came after, and that could not be measured again.
    """

    there: bool = False
    error: BoxFailed | None = None
    last: Job | None = None
    failed: Job | None = None
    held: int = 0
    numbers: dict[State, int] = field(default_factory=dict)
    outdated: Sequence[str] = ()


def read_book(box: Examined) -> Book:
    """Read once for all that looks into it; nothing is made where there is none."""
    try:
        with database_errors(box.layout.database), existing_book(box.layout) as store:
            check_book(box.layout, store)
            done, failed = store.jobs([State.done]), store.jobs([State.quarantined])
            studies = [job for job in failed if job.study]
            held = len(store.jobs([State.held])) + len(store.held_results())
            return Book(True, None, _newest(done), _newest(studies), held, store.numbers(), outdated(store))
    except BoxDatabaseMissing:
        return Book()
    except BoxFailed as error:
        return Book(True, error)


def _newest(jobs: list[Job]) -> Job | None:
    return max(jobs, key=lambda job: job.finished_at or "", default=None)


def book(_: Examined, read: Book) -> Condition:
    """The database, read whole, each row against its sum."""
    if read.error:
        return of_error("book", read.error)
    if not read.there:
        return good("book", said("none yet: it is made at the first start of `scanside watch`"))
    return good("book", said("whole, {number} job(s)", number=sum(read.numbers.values())))


def running(box: Examined) -> Condition:
    """Whether the daemon runs, and its own last word."""
    facts = box_facts(box.layout, lambda: box.settings)
    if facts["trouble"]:
        advice = said("See `scanside status`, and what the line itself says.")
        return bad("watch", Written(str(facts["trouble"])), advice)
    if not facts["running"]:
        found = said("it does not run: nothing that arrives is measured")
        return caution("watch", found, Message(f"systemctl start {UNIT}"))
    found = said(
        "{now} ({engine}), proved {moment}",
        now=headline(facts),
        engine=facts["engine"] or said("starting"),
        moment=facts["selftest_at"] or said("not yet"),
    )
    if facts["doubted"]:
        doubted = said(
            "{found}; {number} result(s) were computed by what failed the next self-test",
            found=found,
            number=len(facts["doubted"]),
        )
        return bad("watch", doubted, said("`scanside status` names them; `scanside redo` measures them again."))
    return good("watch", found)


def unit(box: Examined) -> Condition:
    """Whether the system starts it after a power cut, reads the stored files each week, and has not given up."""
    try:
        states = _states(box.systemctl)
    except (OSError, ValueError, subprocess.SubprocessError):
        advice = said("Start `scanside watch` by what starts services here.")
        return caution("unit", said("systemd does not answer"), advice)
    if not any(states[name].file for name in UNITS):
        advice = said("The release's install.sh makes it one; docs/watch.md. By hand it ends with the terminal.")
        return caution("unit", said("it is no service of this system"), advice)
    if ended := [name for name, state in states.items() if state.ended]:
        names = " ".join(ended)
        advice = said(
            "`journalctl -u {unit}` says why. When that is put right: systemctl reset-failed {units}; "
            "systemctl restart {units}",
            unit=ended[0],
            units=names,
        )
        return bad("unit", said("{units}: it ended again and again", units=names), advice)
    missing = [name for name in UNITS if states[name].file != "enabled"]
    if missing:
        found = Message(", ".join(f"{one}: {states[one].file or '-'}" for one in missing))
        names = " ".join(missing)
        advice = said("systemctl enable --now {unit}: else it does not start after a power cut.", unit=names)
        return caution("unit", found, advice)
    return good("unit", said("{unit} starts with the machine", unit=UNIT))


@dataclass(frozen=True, slots=True)
class UnitState:
    """What systemd says of a unit: whether it is enabled, and how it is."""

    file: str
    active: str
    sub: str

    @property
    def ended(self) -> bool:
        """Given up, or about to be tried once more."""
        return self.active == "failed" or self.sub == "auto-restart"


def _states(systemctl: str) -> dict[str, UnitState]:
    """By unit; that of one that is not installed has no state of a file.

    Raises OSError, SubprocessError, ValueError where systemd does not answer: in a container systemctl ends with 1.
    """
    ask = [systemctl, "show", "--property=UnitFileState,ActiveState,SubState", *UNITS, *MAYBE]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=ASK_S, check=True)
    facts = [dict(line.split("=", 1) for line in block.splitlines()) for block in done.stdout.strip().split("\n\n")]
    told = [UnitState(*(one.get(key, "") for key in ("UnitFileState", "ActiveState", "SubState"))) for one in facts]
    return dict(zip((*UNITS, *MAYBE), told, strict=True))


def studies(_: Examined, read: Book) -> Condition:
    """The last study, and what waits for a person."""
    if read.error:
        return _not_known("studies")
    last = said("none yet")
    if read.last is not None:
        last = said("the last ended {moment} ({verdict})", moment=read.last.finished_at, verdict=_verdict(read.last))
    if read.held:
        found = said("{last}; {number} wait for a person", last=last, number=read.held)
        return caution("studies", found, said("`scanside queue`, then `scanside release`."))
    return good("studies", last)


def courses(_: Examined, read: Book) -> Condition:
    """Which studies have a course that lacks an earlier scan, or has it as it was."""
    return caution("courses", lack_an_earlier_scan(read.outdated), REDO)


def _not_known(subject: str) -> Condition:
    return caution(subject, said("not known: the book can't be read"), said("See what is said of the book."))


def _verdict(job: Job) -> Message:
    return Message(VERDICTS.get(job.verdict or "", job.verdict or ""))


def failures(_: Examined, read: Book) -> Condition:
    """The last study that was put aside."""
    if read.error:
        return _not_known("put aside")
    if read.failed is None:
        return good("put aside", said("no study"))
    number, job = read.numbers.get(State.quarantined, 0), read.failed
    found = said("{number} job(s), the last {moment}: {code}", number=number, moment=job.finished_at, code=job.code)
    return caution("put aside", found, said("`scanside explain {code}`; the files lie in quarantine.", code=job.code))


def backup(box: Examined) -> Condition:
    """When the last one was made. A clock that jumped makes an age that can't be: then it is named, not judged."""
    advice = said("`scanside backup DIR`, with DIR on a stick; docs/backup.md.")
    try:
        last = last_done_ago(LastBackup, box.layout.last_backup, box.clock)
    except (OSError, ValueError):
        return caution("backup", said("{file} can't be read", file=box.layout.last_backup.name), advice)
    if last is None:
        return caution("backup", said("none was ever made"), advice)
    noted, days = last
    found = said(
        "{files} files to {folder}, {days:.0f} day(s) ago",
        files=noted.files,
        folder=noted.target,
        days=days,
    )
    if is_to_come(noted.at, box.clock):
        dated = said(
            "{files} files to {folder}, dated {date}, which is to come by the box's clock",
            files=noted.files,
            folder=noted.target,
            date=noted.at[:10],
        )
        return caution("backup", dated, advice)
    if noted.on_own_disk:
        return caution("backup", said("{backup}, on the box's own disk: lost with it", backup=found), advice)
    is_due = 0.0 < box.settings.care.backup_days < days
    return caution("backup", found, advice) if is_due else good("backup", found)


def verified(box: Examined) -> Condition:
    """When all stored files were last read, and what came of it."""
    advice = said("`scanside verify` reads all of it and names what differs; docs/watch.md.")
    try:
        last = last_done_ago(LastVerified, box.layout.last_verified, box.clock)
    except (OSError, ValueError):
        return caution("files kept", said("{file} can't be read", file=box.layout.last_verified.name), advice)
    if last is None:
        return good("files kept", said("not verified yet: a timer does it each week"))
    noted, days = last
    found = said("verified {days:.0f} day(s) ago", days=days)
    if noted.differences:
        wrong = said("{found}: {number} not as written", found=found, number=noted.differences)
        return bad("files kept", wrong, advice)
    is_due = 0.0 < box.settings.care.verify_days < days
    whole = said("{found}: all as written", found=found)
    return caution("files kept", found, advice) if is_due else good("files kept", whole)


def configuration(box: Examined) -> Condition:
    """Where the settings come from, and each that is not the default."""
    if box.settings_error is not None:
        return of_error("settings", box.settings_error)
    source = said("the defaults") if box.settings_file is None else Message(str(box.settings_file))
    changed = "; ".join(f"{name} = {value}" for name, value in differing(box.settings))
    return good("settings", said("{source}; {changed}", source=source, changed=changed) if changed else source)


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
