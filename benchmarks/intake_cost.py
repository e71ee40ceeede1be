"""From the last file to the page, of this checkout and of another one, with the networks, in turns.

    python benchmarks/intake_cost.py OTHER_CHECKOUT [--runs 5]

59 slices of 512 x 512 arrive together, by one rename; the quiet time is 1 s. Both daemons are warm. Of each the best
and the median: seconds until the analysis begins (the quiet time among them), until the page is there, and processor
seconds of daemon and children. The clock says little on a machine that is shared; processor seconds say more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scanside_runtime.phantom.dicom_writer import SeriesTags, write_series
from scanside_runtime.phantom.make import Phantom, demo_spec, make_phantom

HERE = Path(__file__).resolve().parents[1]
PROGRAM = (sys.executable, "-c", "from scanside_appliance.cli.main import main; main()")
SETTINGS = "[inbox]\nquiet_s = 1.0\nscan_s = 1.0\n"
LONGEST_S = 600.0
WHAT = ("begins", "page", "processor")


@dataclass
class Side:
    """A daemon that runs, and what was measured of it: begins, page, processor, each in seconds."""

    name: str
    root: Path
    daemon: subprocess.Popen[bytes]
    measured: list[tuple[float, float, float]] = field(default_factory=list)

    def pages(self) -> int:
        return len(list(self.root.glob("results/[!.]*/*/*/report.html")))

    def has_begun(self) -> bool:
        return any((self.root / "results" / ".unfinished").iterdir())

    def processor_s(self) -> float:
        """Of the daemon, and of all that it started, whether it still runs or not."""
        return sum(_processor_s(pid) for pid in _family(self.daemon.pid))

    def take(self, folder: Path) -> None:
        pages, worked_s, began = self.pages(), self.processor_s(), time.monotonic()
        folder.rename(self.root / "inbox" / folder.name)
        begins_s = _until(lambda: self.has_begun() or self.pages() > pages) - began
        page_s = _until(lambda: self.pages() > pages) - began
        time.sleep(2.0)  # what it does after the page
        self.measured.append((begins_s, page_s, self.processor_s() - worked_s))


def _until(holds: Callable[[], bool]) -> float:
    limit = time.monotonic() + LONGEST_S
    while not holds():
        if time.monotonic() > limit:
            raise SystemExit("it did not happen in time")
        time.sleep(0.01)
    return time.monotonic()


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _family(int(child))


def _processor_s(pid: int) -> float:
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(name: str, checkout: Path, folder: Path) -> Iterator[Side]:
    settings = folder / f"{name}.toml"
    settings.write_text(SETTINGS)
    root = folder / name
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(checkout / one) for one in ("runtime", "appliance"))}
    command = [*PROGRAM, "--root", str(root), "--settings", str(settings), "watch"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as daemon:
        try:
            _until((root / "status.json").exists)
            yield Side(name, root, daemon)
        finally:
            daemon.terminate()


def write(phantom: Phantom, folder: Path, number: int) -> Path:
    tags = SeriesTags(study_uid=f"1.2.826.0.1.3680043.10.{number}")
    write_series(phantom.hu, phantom.spacing_mm, folder, origin_mm=phantom.origin_mm, slice_thickness_mm=5.0, tags=tags)
    return folder


def say(*words: str) -> None:
    sys.stdout.write(f"{' '.join(words)}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    phantom, numbers = make_phantom(demo_spec()), iter(range(1, 10_000))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with running("other", asked.other.resolve(), folder) as other, running("this", HERE, folder) as this:
            for run in range(asked.runs + 1):
                for side in (other, this) if run % 2 else (this, other):
                    number = next(numbers)
                    side.take(write(phantom, folder / f"study{number}", number))
                    say(side.name, *(f"{one:.2f}" for one in side.measured[-1]))
            for side in (other, this):
                for what, values in zip(WHAT, zip(*side.measured[1:], strict=True), strict=True):
                    best, median = min(values), statistics.median(values)
                    say(f"{side.name:6} {what:10} best {best:6.2f} s, median {median:6.2f} s")


if __name__ == "__main__":
    main()
