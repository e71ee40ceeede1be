"""A release on a bare system without network: `python -m tests.sweeps.install RELEASE.tar --root DIR [--suite trixie]`.

Wants root, debootstrap and systemd-nspawn. In a fresh root, booted: installed by one command with a green doctor;
installed again, nothing changes; a study put into the inbox is measured by the service; a damaged book is made anew by
root, and the service goes on; an upgrade that is killed wherever it changed something leaves a release that works; one
whose service fails is left, and one whose networks fail in the service's sandbox alone; removed, the data stay.
Ends with 1 where any of it is not so.

Debian 12 unless another suite is named (`trixie`; `noble` for Ubuntu 24.04, with --mirror). --short leaves the killed
upgrades out; --killed leaves out all else, and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import re
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.sweeps.bare_root import RELEASE, WORKS, Machine, Tally, as_next, booted, make_root, unpack
from tests.sweeps.killed_upgrades import killed_upgrades

BLIND = """
[Service]
InaccessiblePaths={lib}/scanside_runtime/default_bundle/golden
"""
DRAWN = (
    "from pathlib import Path; from scanside_runtime.phantom.make import demo_spec, make_phantom; "
    "from scanside_runtime.phantom.dicom_writer import write_series; p = make_phantom(demo_spec()); "
    "write_series(p.hu, p.spacing_mm, Path('{folder}'), origin_mm=p.origin_mm)"
)
SEND_ONE = """
from pathlib import Path
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.ae import ApplicationEntity
entity = ApplicationEntity('CT1')
entity.add_requested_context(CTImageStorage, [ExplicitVRLittleEndian])
line = entity.associate('127.0.0.1', 11112, ae_title='SCANSIDE')
statuses = [line.send_c_store(path).Status for path in sorted(Path('/tmp/study').iterdir())[:3]]
line.release()
raise SystemExit(statuses != [0, 0, 0])
"""


def first_time(machine: Machine, tally: Tally) -> None:
    began = time.monotonic()
    done = machine.run(f"{RELEASE}/install.sh")
    tally.check(
        done.returncode == 0 and "BAD" not in done.stdout,
        f"installed with a doctor that finds nothing bad, {time.monotonic() - began:.0f} s",
        done.stdout + done.stderr,
    )
    compiled = machine.run("ls /opt/scanside/current/lib/python3*/site-packages/scanside_runtime/__pycache__/*.pyc")
    tally.check(compiled.returncode == 0, "modules are compiled, which the service itself can't keep", compiled.stderr)
    before = machine.state()
    again = machine.run(f"{RELEASE}/install.sh")
    after = machine.state()
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    tally.check(again.returncode == 0 and not changed, "installed again, nothing changes", f"{changed} {again.stderr}")


def technician(machine: Machine, tally: Tally, tar: Path) -> None:
    """Every command of the technician's page, block by block, as it stands there; a stick with release and study."""
    stick = Path(machine.root, "media/stick")
    stick.mkdir(parents=True, exist_ok=True)
    shutil.copy(tar, stick)
    page = (Path(__file__).parents[2] / "docs/start-technician.md").read_text(encoding="utf-8")
    for number, block in enumerate(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL), 1):
        if "/media/stick/study" in block:
            machine.run(f'/opt/scanside/current/bin/python -c "{DRAWN.format(folder="/media/stick/study")}"', 120.0)
        if "results last" in block:
            machine.wait_for("ls /var/lib/scanside/results/*/*/*/report.html", 300.0)
        done = machine.run(f"set -e\n{block}")
        tally.check(done.returncode == 0, f"step {number}: {block.splitlines()[-1]}", done.stdout + done.stderr)
    shown = machine.run("scanside worklist; scanside receive --help >/dev/null && systemctl is-active scanside-receive")
    tally.check("active" in shown.stdout, "what the page promises is there", shown.stdout + shown.stderr)


def a_damaged_book(machine: Machine, tally: Tally) -> None:
    """The book is spoilt; the technician makes it anew as root, and the service goes on with it."""
    machine.run("systemctl stop scanside-watch && echo no book >/var/lib/scanside/scanside.db")
    waits = machine.run("systemctl start scanside-watch; scanside status")
    tally.check(waits.returncode != 0 and "BOX_DATABASE" in waits.stdout, "a damaged book is said", waits.stdout)
    anew = machine.run("systemctl stop scanside-watch && scanside rebuild && systemctl start scanside-watch")
    tally.check(anew.returncode == 0, "root makes it anew, the service starts", anew.stdout + anew.stderr)
    machine.run("scanside redo $(basename $(dirname $(dirname $(dirname $(scanside results last)))))")
    again = machine.wait_for("ls /var/lib/scanside/results/*/*/2/report.html && scanside status", 300.0)
    tally.check(again, "and measures again", machine.run("scanside status; journalctl -u scanside-watch").stdout)
    roots = machine.run("find /var/lib/scanside -path /var/lib/scanside/inbox -prune -o -user root -print").stdout
    tally.check(not roots, "nothing of the box is root's", roots)


def units(machine: Machine, tally: Tally) -> None:
    """One target holds them, the timer waits for its hour, and what it starts can do its work in its sandbox."""
    waiting = machine.run("systemctl is-active scanside.target scanside-verify.timer")
    tally.check(waiting.returncode == 0, "target and timer are active", waiting.stdout)
    read = machine.run("systemctl start scanside-verify.service", 300.0)
    why = machine.run("journalctl --no-pager -u scanside-verify | tail -n 5").stdout
    noted = machine.run("cat /var/lib/scanside/verified.json")
    tally.check(read.returncode == 0 and '"differences": 0' in noted.stdout, "the timer's service reads all files", why)


def a_study(machine: Machine, tally: Tally) -> None:
    """The demo's phantom, put into the inbox as a sender would, and measured under the unit's sandbox."""
    make = "cd /tmp && rm -rf demo && scanside demo --output demo >/dev/null 2>&1; ls demo"
    tally.check(machine.run(make).returncode == 0, "the demo runs as root", "")
    settings = Path(machine.root, "etc/scanside/scanside.toml")
    settings.write_text("[inbox]\nquiet_s = 2.0\nscan_s = 1.0\n")
    reloaded = machine.run("systemctl reload scanside-watch")
    tally.check(reloaded.returncode == 0, "settings are read again at a reload", reloaded.stderr)
    machine.run(f'/opt/scanside/current/bin/python -c "{DRAWN.format(folder="/tmp/study")}"', 120.0)
    machine.run("cp -r /tmp/study /var/lib/scanside/inbox/study && chgrp -R scanside-send /var/lib/scanside/inbox/study"
                " && chmod -R g+rwX /var/lib/scanside/inbox/study")  # fmt: skip
    found = machine.wait_for("ls /var/lib/scanside/results/*/*/*/report.html", 300.0)
    tally.check(found, "a study in the inbox is measured by the service", machine.run("scanside status").stdout)


def a_receiver(machine: Machine, tally: Tally) -> None:
    """The service of its own listens, under its sandbox, to the scanner that the settings name."""
    settings = Path(machine.root, "etc/scanside/scanside.toml")
    settings.write_text('[inbox]\nquiet_s = 2.0\nscan_s = 1.0\n[receive]\ncallers = ["CT1@127.0.0.1"]\n')
    started = machine.run("systemctl enable --now scanside-receive")
    tally.check(started.returncode == 0, "the receiver starts", machine.run("journalctl -u scanside-receive").stdout)
    sent = machine.run(f'/opt/scanside/current/bin/python -c "{SEND_ONE}"', 60.0)
    there = machine.run("ls -l /var/lib/scanside/inbox/received/*.dcm /var/lib/scanside/archive/*/*/*.dcm | wc -l")
    tally.check(sent.returncode == 0, "what a scanner sends is taken", sent.stdout + sent.stderr + there.stdout)


def upgrades_that_fail(machine: Machine, tally: Tally) -> None:
    before = machine.run("readlink /opt/scanside/current").stdout
    broken = as_next(machine.root, "0.1.2-broken", "\n[Service]\nExecStart=\nExecStart=/bin/false\n")
    done = machine.run(f"{broken}/install.sh")
    after = machine.run("readlink /opt/scanside/current").stdout
    tally.check(done.returncode != 0 and before == after, "a service that does not come up is left", done.stderr)
    works = machine.run(WORKS)
    tally.check(works.returncode == 0, "and the one before works", works.stdout + works.stderr)
    lib = machine.run("echo /opt/scanside/current/lib/python3*/site-packages").stdout.strip()
    lib = lib.replace("/current/", "/releases/0.1.3-blind/")
    blind = as_next(machine.root, "0.1.3-blind", BLIND.format(lib=lib))
    done = machine.run(f"{blind}/install.sh")
    after = machine.run("readlink /opt/scanside/current").stdout
    left = done.returncode != 0 and before == after and "does not work" in done.stdout
    tally.check(left, "one whose networks fail in the service's sandbox alone is left", done.stdout + done.stderr)
    works = machine.run(f"{WORKS} && scanside selftest && scanside status")
    tally.check(works.returncode == 0, "and the one before works and measures", works.stdout + works.stderr)
    spoilt = as_next(machine.root, "0.1.4-spoilt")
    Path(machine.root, f"{spoilt[1:]}/README.md").unlink()
    done = machine.run(f"{spoilt}/install.sh")
    same = machine.run("readlink /opt/scanside/current").stdout == before
    tally.check(done.returncode != 0 and same, "a release that lost a file is refused", done.stdout)


def removal(machine: Machine, tally: Tally) -> None:
    done = machine.run("/opt/scanside/current/uninstall.sh")
    gone = machine.run("! test -e /opt/scanside && ! test -e /etc/systemd/system/scanside-watch.service")
    kept = machine.run("ls /var/lib/scanside/results/*/*/*/report.html && ls /etc/scanside/scanside.toml")
    tally.check(gone.returncode == 0 == kept.returncode, "removed, and the data stay", done.stdout + done.stderr)


def stories(options: argparse.Namespace, kept: Path) -> list[Callable[[Machine, Tally], None]]:
    """kept: where the killed upgrades were."""
    killed = partial(killed_upgrades, kept=kept)
    if options.page:
        return []
    if options.killed:
        return [killed] if kept.exists() else [first_time, killed]
    first = [first_time, a_study, a_damaged_book, units, a_receiver]
    return [*first, *([] if options.short else [killed]), upgrades_that_fail, removal]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("release", type=Path, help="The tar that make release wrote.")
    parser.add_argument("--root", type=Path, required=True, help="Where the bare Debian goes.")
    parser.add_argument("--suite", default="bookworm", help="As debootstrap knows it.")
    parser.add_argument("--mirror", default="", help="Of an Ubuntu, where it comes from.")
    parser.add_argument("--page", action="store_true", help="The technician's page to the letter, and nothing else.")
    parser.add_argument("--short", action="store_true", help="Without the killed upgrades.")
    parser.add_argument("--killed", action="store_true", help="The killed upgrades alone; they go on where they were.")
    options = parser.parse_args()
    tally = Tally()
    kept = options.root.with_name(f"{options.root.name}.killed.json")
    if not (options.killed and kept.exists()):
        kept.unlink(missing_ok=True)
        make_root(options.root, options.suite, options.mirror)
        if not options.page:
            unpack(options.release, options.root)
    with booted(options.root) as machine:
        if options.page:
            technician(machine, tally, options.release)
        for story in stories(options, kept):
            story(machine, tally)
    print(f"{tally.violations} violations")
    raise SystemExit(bool(tally.violations))


if __name__ == "__main__":
    main()
