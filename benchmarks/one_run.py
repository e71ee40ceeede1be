"""Runs a command and prints what it took, children included, in JSON: `python benchmarks/one_run.py COMMAND`.

Small, and a process of its own: Linux counts what a process held before it became another program into its peak memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main() -> None:
    """Nothing is printed where the command fails."""
    began = time.perf_counter()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == 0:
        found = {"wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}
        sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
