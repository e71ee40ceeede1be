"""An upgrade killed before each command of install.sh that finds another state than the one before it.

A first run goes to its end and takes a print of the machine before each command: what lies where the installer writes,
and the services. Where two commands in a row find the same, killing before the second leaves what killing before the
first left. Each further run begins with what the kill before it left, and what the runs are spared changes nothing or
is always the same: the sums of the release, its self-test, and pip, whose work is put in place as links. A run that
finds nothing left to do at the place where it was to be killed comes to its end, and the next begins anew. Stopped, it
all goes on where it was.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.sweeps.bare_root import WORKS, Machine, Tally, as_next

KILL = 128 + 9
NEXT = "0.1.1-next"
OTHER_UNIT = "\n# of the next release\n"
NEW, MADE, SPARED = f"/opt/scanside/releases/{NEXT}", "/root/made", "/root/spared"
PRINTS = "/root/prints"
SPARE = {
    "sha256sum": "exit 0",
    "env": f"exec cp -alf {MADE}/. {NEW}",
    "setpriv": 'case "$*" in *" selftest") exit 0 ;; esac; exec /usr/bin/setpriv "$@"',
}
KEEP = {"env": f'/usr/bin/env "$@" && cp -al {NEW}/. {MADE}'}
RECORDED = f"""
prints() {{
    find /opt/scanside /etc/systemd/system /etc/sysusers.d /etc/tmpfiles.d /etc/scanside /etc/passwd /etc/group \\
        /usr/local/bin /usr/share/bash-completion -maxdepth 4 -not -path '*/lib/*' -printf '%p %y %i %m %u %s %l\\n'
    find /var/lib/scanside -maxdepth 1 -name '*before-upgrade*' -printf '%p %i %m %u %s\\n'
    systemctl show --property ActiveState,MainPID,NeedDaemonReload scanside-watch scanside-receive scanside-serve
}}
PATH={SPARED}:$PATH
set -T
trap 'echo "$(prints 2>/dev/null | cksum) $LINENO" >>{PRINTS}' DEBUG
. "$(dirname "$0")/install.sh"
"""
KILLED = """
count() {{ [ "$1" = {line} ] || return 0; echo >>{prints}; [ "$(wc -l <{prints})" -lt {times} ] || kill -9 $$; }}
PATH={spared}:$PATH
set -T
trap 'count $LINENO' DEBUG
. "$(dirname "$0")/install.sh"
"""


def killed_upgrades(machine: Machine, tally: Tally, kept: Path) -> None:
    """kept: what is still to be done, beside the root."""
    if not kept.exists():
        kept.write_text(json.dumps(_recorded(machine, tally)))
    plan = json.loads(kept.read_text())
    while plan["left"]:
        line, times = plan["left"].pop(0)
        plan["kills"] += _is_killed(machine, tally, line, times, plan["old"])
        kept.write_text(json.dumps(plan))
    whole = f"killed at {plan['kills']} places among {plan['commands']} commands: before all that find another state"
    tally.check(plan["kills"] > 20, whole, "too few")
    _name(machine, plan["old"])
    done = machine.run(f"/root/{NEXT}/install.sh")
    current = machine.run("readlink /opt/scanside/current").stdout
    tally.check(done.returncode == 0 and NEXT in current, "then the upgrade is whole", done.stdout + done.stderr)


def _recorded(machine: Machine, tally: Tally) -> dict[str, object]:
    """The upgrade undisturbed, and where it is to be killed; then the machine is as it was before it."""
    old, newer = machine.run("readlink /opt/scanside/current").stdout.strip(), as_next(machine.root, NEXT, OTHER_UNIT)
    machine.run(f"rm -rf {MADE}; mkdir {MADE}")
    done = _sourced(machine, newer, RECORDED, KEEP)
    _, *before = [line.rpartition(" ") for line in Path(machine.root, PRINTS[1:]).read_text().splitlines()]
    places = list(_places((prints, int(line)) for prints, _, line in before))  # the first is our own, to read it
    said = f"an upgrade has {len(before)} commands, of which {len(places)} find another state"
    tally.check(done.returncode == 0, said, done.stdout + done.stderr)
    _set_back(machine, old)
    return {"old": old, "commands": len(before), "kills": 0, "left": places}


def _places(before: Iterable[tuple[str, int]]) -> Iterator[tuple[int, int]]:
    """The line of a command, and which of those that come from this line it is."""
    came, last = Counter[int](), ""
    for prints, line in before:
        came[line] += 1
        if prints != last:
            yield line, came[line]
        last = prints


def _is_killed(machine: Machine, tally: Tally, line: int, times: int, old: str) -> bool:
    began = time.monotonic()
    _name(machine, old)
    script = KILLED.format(line=line, times=times, prints=PRINTS, spared=SPARED)
    ended = _sourced(machine, f"/root/{NEXT}", script, SPARE)
    works = machine.run(
        f"systemctl reset-failed scanside-watch; {WORKS}"
    )  # ten starts in a quarter of an hour are many
    why = f"ended with {ended.returncode}: {ended.stderr} {works.stdout} {works.stderr}"
    how = "killed" if ended.returncode == KILL else "nothing left to do"
    what = f"line {line}, command {times} of it: {how}, {time.monotonic() - began:.0f} s"
    tally.check(ended.returncode in (0, KILL) and works.returncode == 0, what, why)
    if ended.returncode == 0:
        _set_back(machine, old)
    return ended.returncode == KILL


def _sourced(machine: Machine, release: str, script: str, programs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """programs: found before the system's own. They are no part of what is counted, as functions would be."""
    spared = Path(machine.root, SPARED[1:])
    spared.mkdir(exist_ok=True)
    for name in SPARE:
        (spared / name).unlink(missing_ok=True)
    for name, does in programs.items():
        (spared / name).write_text(f"#!/bin/sh\n{does}\n")
        (spared / name).chmod(0o755)
    Path(machine.root, f"{release[1:]}/killed.sh").write_text(script)
    return machine.run(f"rm -f {PRINTS}; bash {release}/killed.sh", 3600.0)


def _set_back(machine: Machine, old: str) -> None:
    """As before an upgrade that came to its end."""
    machine.run(f"systemctl stop scanside-watch; rm -rf {NEW} /var/lib/scanside/*.before-upgrade")
    machine.run(f"cp {old}/systemd/*.service /etc/systemd/system; systemctl daemon-reload")
    _name(machine, old)


def _name(machine: Machine, release: str) -> None:
    machine.run(f"ln -sfn {release} /opt/scanside/current.new; mv -fT /opt/scanside/current.new /opt/scanside/current")
