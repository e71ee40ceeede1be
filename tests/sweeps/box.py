"""A box to break: small studies, a daemon with cheap children, and the rules that must hold whatever happens to it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REASON = "reason.txt"
REPOSITORY = HERE.parents[1]
AREAS = ("inbox", "work", "archive", "quarantine")
QUICK = """
[inbox]
quiet_s = {quiet_s}
scan_s = {scan_s}
patience_s = {patience_s}
[jobs]
attempts = 2
retry_after_s = 0.0
time_limit_s = {time_limit_s}
memory_limit_mb = {memory_limit_mb}
warm_s = {warm_s}
[disk]
stop_percent = {stop_percent}
clean_to_percent = {clean_to_percent}
clean_archive = {clean_archive}
least_age_h = {least_age_h}
quarantine_quota_mb = {quarantine_quota_mb}
inbox_quota_mb = {inbox_quota_mb}
reserve_mb = {reserve_mb}
[send]
host = "{archive}"
"""
LARGEST = 2**28
LONGEST_S = 300.0
"""What takes so long hangs, on however busy a machine: a run is killed then, and its exit code says so."""
DEFAULTS = {
    "quiet_s": 0.05,
    "patience_s": 0.05,
    "time_limit_s": LONGEST_S,
    "warm_s": 600.0,
    "memory_limit_mb": 512,
    "stop_percent": 99.9,
    "clean_to_percent": 99.0,
    "clean_archive": "false",
    "least_age_h": 0,
    "quarantine_quota_mb": 1024,
    "inbox_quota_mb": 1024,
    "reserve_mb": 0,
    "archive": "",
}


@dataclass(frozen=True)
class Slice:
    """A file of a fake study."""

    study: int
    number: int
    text: str = ""
    patient: str = ""
    whole: bool = True
    sop_uid: str = ""

    def content(self) -> bytes:
        facts = {
            "study_uid": f"1.2.{self.study}",
            "sop_uid": self.sop_uid or f"1.2.{self.study}.{self.number}",
            "patient_id": self.patient or f"P{self.study}",
            "issuer": None,
            "along_mm": 5.0 * self.number,
        }
        body = f"{json.dumps(facts)}\n{self.text}\n" + "pixels " * 400
        return body.encode() + (b"END" if self.whole else b"")


def put(inbox: Path, slices: Iterable[Slice], folder: str = "") -> set[str]:
    """Write slices into the inbox; their hashes."""
    sums = set()
    for one in slices:
        target = inbox / (folder or f"study{one.study}") / f"{one.number:03d}{'x' if one.text == 'other' else ''}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(one.content())
        sums.add(hashlib.sha256(one.content()).hexdigest())
    return sums


def write_settings(root: Path, **changes: Any) -> Path:
    """A settings file beside the root; unless it is said, a look is taken as often as a study may be quiet."""
    path = root.with_suffix(".toml")
    values = {**DEFAULTS, "scan_s": changes.get("quiet_s", DEFAULTS["quiet_s"]), **changes}
    path.write_text(QUICK.format(**values))
    return path


def command(root: Path, *, once: bool = True, worker_prefix: Sequence[str] = ()) -> list[str]:
    """The daemon with cheap children, as a command of its own."""
    return [sys.executable, "-S", str(HERE / "daemon.py"), str(root), "once" if once else "on", *worker_prefix]


def environment(**more: str) -> dict[str, str]:
    """The checkout's own sources first; no site, so that a start takes a tenth of a second."""
    site = [path for path in sys.path if path.endswith("site-packages")]
    paths = [str(REPOSITORY / root) for root in ("runtime", "appliance")] + site
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", **more}


def run_once(root: Path, *prefix: str, worker_prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """`watch --once`, perhaps behind another program."""
    everything = [*prefix, *command(root, worker_prefix=worker_prefix)]
    with subprocess.Popen(
        everything, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            said = process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said = process.communicate()
        return subprocess.CompletedProcess(everything, process.returncode, *said)


def start(root: Path, **more: str) -> subprocess.Popen[bytes]:
    """The daemon, running on; what it says goes into a file, see `said`."""
    with root.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            command(root, once=False), env=environment(**more), stderr=log, stdout=subprocess.DEVNULL
        )


def said(root: Path) -> str:
    """What daemons said so far."""
    return root.with_suffix(".log").read_text()


def contents(root: Path) -> dict[str, list[str]]:
    """Where each content lies, by its hash; not what the box writes itself (reasons, parts of copies), nor giants."""
    found: dict[str, list[str]] = {}
    for area in AREAS:
        for path in (root / area).rglob("*"):
            if path.is_file() and path.stat().st_size < LARGEST and path.name != REASON and path.suffix != ".part":
                found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(str(path.relative_to(root)))
    return found


def lost(root: Path, sums: Iterable[str], *, sent_twice: Iterable[str] = ()) -> list[str]:
    """What breaks "every input file is at any moment in exactly one of inbox, work, archive, quarantine".

    sent_twice: contents of which a second copy may still lie in the inbox: sent again, or copied and not yet removed.
    """
    there = contents(root)
    broken = [f"{one[:12]} is nowhere" for one in sums if one not in there]
    for one, places in there.items():
        waiting = sum(place.startswith("inbox/") for place in places)
        if len(places) != 1 and not (one in sent_twice and waiting and len(places) == 2):
            broken.append(f"{one[:12]} is at {places}")
    return broken


def unsound_results(root: Path) -> list[str]:
    """What breaks "a result is visible if and only if its job is committed and all its files match their hashes"."""
    with closing(sqlite3.connect(root / "scanside.db")) as sql:
        rows = sql.execute("SELECT id, patient, study, revision, state FROM jobs WHERE revision IS NOT NULL").fetchall()
        hashes = {
            job: dict(sql.execute("SELECT name, sha256 FROM result_files WHERE job = ?", (job,))) for job, *_ in rows
        }
    committed = {root / "results" / p / s / str(r): (job, state) for job, p, s, r, state in rows}
    visible = {path for path in (root / "results").glob("[!.]*/*/*") if path.is_dir()}
    problems = []
    for folder in visible:
        job, state = committed.get(folder, (0, "no job"))
        if state not in ("publishing", "archiving", "done", "replaced"):
            problems.append(f"{folder} is visible, its job is {state}")
        elif _sums(folder) != hashes[job]:
            problems.append(f"{folder} is not what was written")
    for folder, (_, state) in committed.items():
        if state in ("archiving", "done") and folder not in visible:
            problems.append(f"{folder} is committed and not visible")
    return problems


def _sums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def _deliveries(root: Path) -> list[tuple[str, int, str]]:
    """Of each result with objects: its study, revision, and whether an archive has it, promised to keep it or not."""
    ask = "SELECT study, revision, deliveries.state FROM deliveries JOIN jobs ON jobs.id = deliveries.job ORDER BY 1, 2"
    with closing(sqlite3.connect(root / "scanside.db")) as sql:
        return [(*which, state.replace("committed", "sent")) for *which, state in sql.execute(ask)]


def outcome(root: Path) -> dict[str, Any]:
    """What a run came to, without times, numbers of jobs and names of files: equal for equal histories."""
    results = {
        str(path.parent.relative_to(root / "results")): json.loads(path.read_text())
        for path in (root / "results").glob("[!.]*/*/*/result.json")
    }
    for document in results.values():
        for name in ("pid", "timing_ms", "earlier_sums"):  # the last ones are of documents with a pid
            document.pop(name, None)
        (document.get("provenance", {}).get("selftest") or {}).pop("at", None)
        document["earlier"] = sorted(Path(one).parent.name for one in document.get("earlier", ()))
    areas = Counter()
    for one, places in contents(root).items():
        parts = Path(places[0]).parts
        areas[(parts[0], parts[1] if parts[0] == "quarantine" else "", one)] += 1
    return {"results": results, "areas": areas, "sent": _deliveries(root)}
