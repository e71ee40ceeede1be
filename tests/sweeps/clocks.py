"""The wall clock jumps in the middle of a study, by ten years and by minus forty days.

    python -m tests.sweeps.clocks          (needs gcc)

A library of some lines stands in for faketime: put before the daemon, it adds to the wall clock what a file says. The
results must be those of an undisturbed run.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .box import Slice, lost, outcome, put, said, start, unsound_results, write_settings
from .fulldisk import results, wait

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(which, now);
    long offset = 0;
    FILE *file = which == CLOCK_REALTIME ? fopen(getenv("CLOCK_OFFSET"), "r") : NULL;
    if (file) { if (fscanf(file, "%ld", &offset) == 1) now->tv_sec += offset; fclose(file); }
    return answer;
}
"""
DAY_S = 86_400
HELD_BACK = {"quiet_s": 3600.0, "patience_s": 3600.0, "scan_s": 0.1}
LET_GO = {"quiet_s": 0.2, "patience_s": 3600.0}
"""No study is taken until it is let go: how fast files follow one another decides nothing."""
UNDER_WAY = ("claiming", "queued", "running", "publishing", "archiving", "quarantining")
JUMPS = {"none": 0, "ten years on": 3652 * DAY_S, "forty days back": -40 * DAY_S}


def build(folder: Path) -> Path:
    (folder / "shim.c").write_text(SHIM)
    library = folder / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, folder / "shim.c", "-ldl"], check=True)
    return library


def status(root: Path) -> dict[str, Any]:
    path = root / "status.json"
    return json.loads(path.read_text()) if path.exists() else {}


def use(root: Path, daemon: subprocess.Popen[bytes], **settings: Any) -> None:
    """The daemon has read these settings."""
    before = said(root).count("settings read again")
    write_settings(root, **settings)
    daemon.send_signal(signal.SIGHUP)
    wait(lambda: said(root).count("settings read again") > before)


def rests(root: Path) -> bool:
    """Nothing is on its way."""
    now = status(root)
    return not now["inbox_files"] and not any(now["jobs"][one] for one in UNDER_WAY)


def run(folder: Path, library: Path, jump_s: int) -> tuple[dict[str, object], list[str], str | None]:
    """The outcome, what broke, and what the status says of the clock."""
    root, offset = folder / "box", folder / "offset"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    offset.write_text("0")
    write_settings(root, **HELD_BACK)
    daemon = start(root, LD_PRELOAD=str(library), CLOCK_OFFSET=str(offset))
    try:
        sums = put(root / "inbox", [Slice(1, n) for n in (1, 2, 3)])
        broken = [] if wait(lambda: status(root).get("inbox_files") == 3) else ["not seen"]
        offset.write_text(str(jump_s))
        sums |= put(root / "inbox", [Slice(1, 4)])
        broken += [] if wait(lambda: status(root).get("inbox_files") == 4) else ["the late slice not seen"]
        use(root, daemon, **LET_GO)
        broken += [] if wait(lambda: results(root) == 1 and rests(root)) else ["no result"]
        use(root, daemon, **HELD_BACK)
        sums |= put(root / "inbox", [Slice(1, 5), *(Slice(2, n) for n in (1, 2, 3))])
        broken += [] if wait(lambda: status(root).get("inbox_files") == 4) else ["not seen"]
        offset.write_text("0")
        use(root, daemon, **LET_GO)
        broken += [] if wait(lambda: results(root) == 3 and rests(root)) else ["no revision"]
        trouble = status(root)["clock"]
    finally:
        daemon.terminate()
        daemon.wait()
    return outcome(root), [*broken, *lost(root, sums), *unsound_results(root)], trouble


def main() -> None:
    if shutil.which("gcc") is None:
        raise SystemExit("this needs gcc")
    broken: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = build(folder)
        expected, problems, _ = run(folder, library, 0)
        broken += problems
        for jump, seconds in JUMPS.items():
            found, problems, trouble = run(folder, library, seconds)
            broken += problems + ([] if found == expected else [f"{jump}: another outcome"])
            noticed = bool(trouble)
            broken += [] if noticed == bool(seconds) else [f"{jump}: the status says the wrong thing of the clock"]
            same = "the same results" if found == expected else "OTHER RESULTS"
            print(f"{jump}: {same}, noticed: {noticed}", flush=True)
    print(*broken, f"{len(broken)} violations", sep="\n")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
