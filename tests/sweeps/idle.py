"""What the box costs while nothing arrives: `scanside watch` as it is, after its warm worker was let go.

python -m tests.sweeps.idle [--seconds 120]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .box import environment
from .endurance import resident_mb
from .fulldisk import wait

WARM_S = 3.0


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, settings = Path(folder) / "box", Path(folder) / "box.toml"
        settings.write_text(f"[jobs]\nwarm_s = {WARM_S}\n")
        program = "from scanside_appliance.cli.main import main; main()"
        arguments = ["--root", str(root), "--settings", str(settings), "watch"]
        daemon = subprocess.Popen([sys.executable, "-c", program, *arguments], env=environment())
        try:
            wait(lambda: (root / "status.json").exists(), 300.0)
            print(f"with its warm worker: {sum(map(resident_mb, family(daemon.pid))):.0f} MB", flush=True)
            wait(lambda: len(family(daemon.pid)) == 1)
            time.sleep(5.0)
            before, began = cpu_s(daemon.pid), time.monotonic()
            time.sleep(asked.seconds)
            used, passed = cpu_s(daemon.pid) - before, time.monotonic() - began
            memory_mb = sum(map(resident_mb, family(daemon.pid)))
        finally:
            daemon.terminate()
            daemon.wait()
    print(f"{100 * used / passed:.2f} % of one core over {passed:.0f} s, {memory_mb:.0f} MB, one process")


if __name__ == "__main__":
    main()
