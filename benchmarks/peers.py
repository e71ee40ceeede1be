"""Scanside beside what a user would take instead, on one volume in one run: `make bench-peers` prints Markdown.

    python benchmarks/peers.py [--rounds 3] [--folder DIR]

Every job runs in a process of its own, all of them in turn and round after round, so that what else the machine does
meets all alike; medians are printed. Processor time counts all threads and children. lungmask and SimpleITK come from
`.peers`, which `make bench-peers` installs; what is not there is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import instruction_set
from scanside_runtime.model.tuning import this_box
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.phantom.make import demo_spec, make_phantom

HERE = Path(__file__).parent
PEERS = HERE.parent / ".peers"
INFERENCE = ("scanside INT8", "scanside FP32", "ONNX Runtime INT8", "ONNX Runtime FP32", "PyTorch FP32")
READING = ("scanside reader", "pydicom loop", "SimpleITK")
GMAC = {"lungs": 3.67, "infection": 9.76}
"""Multiply-adds of a slab through each network, counted over its convolutions."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="a series of DICOM files; the demo's phantom where none is named")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or _phantom(Path(scratch) / "series")
        say(_fingerprint(folder))
        for title, rows in _measured(folder, Path(scratch), asked.rounds):
            say(f"\n{title}\n\n{_table(rows)}")
    say(f"\n{_ceiling()}")


def say(text: str) -> None:
    """A line as soon as it is known."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _measured(folder: Path, scratch: Path, rounds: int) -> list[tuple[str, list[tuple[str, list[dict[str, float]]]]]]:
    """Titles, and the rounds of each job; the first job is what the others are compared with."""
    whole: dict[str, list[dict[str, float]]] = {"scanside analyze": [], "lungmask": []}
    jobs: dict[str, list[dict[str, float]]] = {name: [] for name in (*INFERENCE, *READING)}
    for _ in range(rounds):
        whole["scanside analyze"].append(_whole(_analyze(folder, scratch / "out")))
        whole["lungmask"].append(_whole(_job("lungmask", folder)))
        for name, found in jobs.items():
            found.append(_answer(_job(name, folder)))
    return [
        ("Whole: page, pictures and DICOM objects, against lungs alone", list(whole.items())),
        ("Both networks, 16 slabs each, loaded", [(name, jobs[name]) for name in INFERENCE]),
        ("Files to HU, once warm", [(name, jobs[name]) for name in READING]),
    ]


def _phantom(folder: Path) -> Path:
    phantom = make_phantom(demo_spec())
    thickness_mm = phantom.spec.slice_thickness_mm
    write_series(phantom.hu, phantom.spacing_mm, folder, origin_mm=phantom.origin_mm, slice_thickness_mm=thickness_mm)
    return folder


def _analyze(folder: Path, out: Path) -> list[str]:
    program = "from scanside_appliance.cli.main import main; main()"
    return [sys.executable, "-c", program, "analyze", str(folder), "--output", str(out), "--json"]


def _job(name: str, folder: Path) -> list[str]:
    return [sys.executable, str(HERE / "peer_jobs.py"), name, str(folder)]


def _environment() -> dict[str, str]:
    paths = [os.environ.get("PYTHONPATH", ""), str(PEERS)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _whole(command: Sequence[str]) -> dict[str, float]:
    """A process from its start to its end; nothing where it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=_environment(), capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        return {}
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": time.perf_counter() - began, "cpu_s": cpu_s}


def _answer(command: Sequence[str]) -> dict[str, float]:
    """What a job says of itself; nothing where it fails."""
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else {}


def _table(rows: Sequence[tuple[str, list[dict[str, float]]]]) -> str:
    """CPU before wall: it is what a busy machine measures well."""
    lines = ["| what | CPU s | wall s | CPU against the first | wall against the first |", "|---|---|---|---|---|"]
    first: dict[str, float] | None = None
    for name, rounds in rows:
        found = {key: median(one[key] for one in rounds) for key in ("cpu_s", "wall_s")} if all(rounds) else None
        if found is None:
            lines.append(f"| {name} | not here | | | |")
            continue
        first = first or found
        ratios = (f"{found[key] / first[key]:.2f}" for key in ("cpu_s", "wall_s"))
        lines.append(f"| {name} | {found['cpu_s']:.2f} | {found['wall_s']:.2f} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def _fingerprint(folder: Path) -> str:
    box = this_box(open_bundle())
    engines = ", ".join(f"{name} {version}" for name, version in box.engines.items())
    load = os.getloadavg()[0]
    machine = f"{box.cores} cores of {box.processor or 'an unnamed processor'} ({instruction_set()})"
    return f"{machine}; {engines}; {len(list(folder.iterdir()))} slices; {load:.1f} processes waited at the start."


def _ceiling() -> str:
    """OpenVINO's own benchmark of the bare networks, a slab a core: what the engine gives when nothing else is done."""
    lines = ["OpenVINO's `benchmark_app` on the bare INT8 networks, a slab a core", ""]
    lines += ["| network | multiply-adds a slab | slabs/s | GMAC/s, all cores |", "|---|---|---|---|"]
    for name, gmac in GMAC.items():
        found = _benchmark_app(name)
        told = "not here | " if found is None else f"{found:.1f} | {gmac * found:.0f}"
        lines.append(f"| {name} | {gmac:.2f} G | {told} |")
    return "\n".join(lines)


def _benchmark_app(network: str) -> float | None:
    bundle = open_bundle()
    contract: Any = bundle.network(network, "int8")[1]
    cores = str(len(os.sched_getaffinity(0)))
    shape = f"[1,{contract.stack_depth},{contract.matrix[0]},{contract.matrix[1]}]"
    options = ["-d", "CPU", "-t", "5", "-nstreams", cores, "-nthreads", cores, "-infer_precision", "f32"]
    program = str(Path(sys.executable).with_name("benchmark_app"))
    model = str(bundle.folder / bundle.manifest["networks"][network]["int8"])
    try:
        done = subprocess.run(
            [program, "-m", model, "-shape", shape, "-hint", "none", *options],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    told = re.search(r"Throughput:\s*([0-9.]+) FPS", done.stdout)
    return None if told is None else float(told[1])


if __name__ == "__main__":
    main()
