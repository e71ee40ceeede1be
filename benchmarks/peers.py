"""Scanside beside what a user would take instead, on one study in one run, and every bar: `make bench-peers`, Markdown.

    python benchmarks/peers.py [--rounds 2] [--only PART,PART] [--into docs/speed.md]

Jobs run in turn and round after round, so that what else the machine does meets all alike; medians are printed. On two
quiet cores it takes some seven minutes. lungmask and SimpleITK come from `.peers`, which `make bench-peers` installs;
what is not there is left out.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bars
from runs import HERE, Found, Studies, analyze_command, answer, lowest, middle, whole

from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import instruction_set
from scanside_runtime.model.tuning import this_box

INFERENCE = ("scanside INT8", "scanside FP32", "ONNX Runtime INT8", "ONNX Runtime FP32", "PyTorch FP32")
READING = ("scanside reader", "pydicom loop", "SimpleITK")
GMAC = {"lungs": 3.67, "infection": 9.76}
"""Multiply-adds of a slab through each network, counted over its convolutions."""
FEW, MANY = 8, 72
"""Slabs that `benchmark_app` is asked for: the difference is what slabs cost, without its start."""
BEGIN, END = "<!-- bench-peers -->", "<!-- end of bench-peers -->"
Rows = list[tuple[str, list[Found]]]
Part = Callable[[Studies, int], Iterator[str]]


def main() -> None:
    """Measure and print, each part as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default=",".join(PARTS), help="some of these parts, and no others: %(default)s")
    told = f"a page, made where there is none, that gets all of it between {BEGIN} and {END}"
    parser.add_argument("--into", type=Path, help=told)
    asked = parser.parse_args()
    if asked.into:
        try:
            asked.into.touch()  # told before all is measured, not after
        except OSError as error:
            parser.error(f"--into {asked.into}: {error.strerror}")
    with tempfile.TemporaryDirectory() as scratch:
        studies = Studies.in_folder(Path(scratch))
        said = list(_measured(studies, asked.only.split(","), asked.rounds))
    if asked.into:
        before, _, rest = asked.into.read_text().partition(BEGIN)
        told = "\n\n".join(said)
        asked.into.write_text(f"{before}{BEGIN}\n{told}\n{END}{rest.partition(END)[2]}")


def _measured(studies: Studies, parts: Sequence[str], rounds: int) -> Iterator[str]:
    """Each piece of the page, which is printed as soon as it is known."""
    yield _said(_fingerprint(studies.thick()))
    answer("imports")  # modules are compiled here, and in no job that counts
    whole(analyze_command(studies.thick(), studies.scratch / "out"))  # as are the networks
    for name in parts:
        yield from map(_said, PARTS[name](studies, rounds))
    yield _said(f"### Bars\n\n{bars.table()}")


def _said(text: str) -> str:
    sys.stdout.write(f"{text}\n\n")
    sys.stdout.flush()
    return text


def _whole(studies: Studies, rounds: int) -> Iterator[str]:
    found: Rows = [("scanside analyze", []), ("lungmask", [])]
    for _ in range(rounds):
        found[0][1].append(whole(analyze_command(studies.thick(), studies.scratch / "out")))
        found[1][1].append(whole([sys.executable, str(HERE / "peer_jobs.py"), "lungmask", str(studies.thick())]))
    bars.against_lungmask(found[0][1], found[1][1])
    yield f"### Whole: page, pictures and DICOM objects, against lungs alone\n\n{_table(found)}"


def _inference(studies: Studies, rounds: int) -> Iterator[str]:
    found = _in_turn(INFERENCE, studies, rounds)
    bars.against_torch(dict(found)["scanside INT8"], dict(found)["PyTorch FP32"])
    yield f"### Both networks, 16 slabs each, loaded\n\n{_table(found)}"


def _reading(studies: Studies, rounds: int) -> Iterator[str]:
    found = _in_turn(READING, studies, rounds + 1)
    bars.reading(*(dict(found)[name] for name in READING))
    yield f"### Files to HU, once warm\n\n{_table(found)}"


def _in_turn(names: Sequence[str], studies: Studies, rounds: int) -> Rows:
    found: Rows = [(name, []) for name in names]
    for _ in range(rounds):
        for name, before in found:
            before.append(answer(name, str(studies.thick())))
    return found


def _engine(_: Studies, rounds: int) -> Iterator[str]:
    """OpenVINO's own benchmark of the bare networks, a slab a core: what the engine gives when nothing else is done.

    The least of many rounds: on a rented machine the same slab takes twice as long while a stranger computes beside it.
    """
    lines = [
        "### The engine as Scanside asks it, beside OpenVINO's `benchmark_app`: INT8, a slab a core, least of rounds",
        "",
        "| network | multiply-adds a slab | CPU ms a slab | `benchmark_app` | GMAC/s a core |",
        "|---|---|---|---|---|",
    ]
    pairs = []
    for name, gmac in GMAC.items():
        found = [(answer("bar_jobs/slabs", name), *_benchmark_app(name)) for _ in range(2 * rounds + 1)]
        ours, few, many = (lowest([one[side] for one in found], "cpu_s") for side in range(3))
        theirs = None if few is None or many is None else (many - few) / (MANY - FEW)
        pairs.append((ours, theirs))
        told = (
            "not here | | "
            if ours is None or theirs is None
            else f"{1e3 * ours:.1f} | {1e3 * theirs:.1f} | {gmac / ours:.0f}"
        )
        lines.append(f"| {name} | {gmac:.2f} G | {told} |")
    bars.against_benchmark_app(pairs)
    yield "\n".join(lines)


def _benchmark_app(network: str) -> tuple[Found, Found]:
    """Whole runs of `FEW` and of `MANY` slabs; nothing where it is not here."""
    bundle = open_bundle()
    contract: Any = bundle.network(network, "int8")[1]
    cores = str(len(os.sched_getaffinity(0)))
    shape = f"[1,{contract.stack_depth},{contract.matrix[0]},{contract.matrix[1]}]"
    options = ["-d", "CPU", "-hint", "none", "-nstreams", cores, "-nthreads", cores, "-infer_precision", "f32"]
    program = str(Path(sys.executable).with_name("benchmark_app"))
    model = str(bundle.folder / bundle.manifest["networks"][network]["int8"])
    if not Path(program).exists():
        return {}, {}
    few, many = (whole([program, "-m", model, "-shape", shape, *options, "-niter", str(n)]) for n in (FEW, MANY))
    return few, many


def _slices(studies: Studies, _: int) -> Iterator[str]:
    found: Rows = []
    for name, make in (("59 of 5 mm", studies.thick), ("236 of 1.25 mm", studies.thin), ("295 of 5 mm", studies.long)):
        command = analyze_command(make(), studies.scratch / "out", "--settings", str(studies.settings()))
        found.append((name, [whole(command)]))
    bars.slices(*(one for _, (one,) in found))
    yield f"### Whole, by slices\n\n{_table(found)}"


def _table(rows: Rows) -> str:
    """CPU before wall: it is what a busy machine measures well."""
    lines = ["| what | CPU s | wall s | CPU against the first | wall against the first | peak MB |"]
    lines.append("|---|---|---|---|---|---|")
    first: tuple[float, float] | None = None
    for name, rounds in rows:
        cpu_s, wall_s = middle(rounds, "cpu_s"), middle(rounds, "wall_s")
        if cpu_s is None or wall_s is None:
            lines.append(f"| {name} | not here | | | | |")
            continue
        first = first or (cpu_s, wall_s)
        peak_mb = max((one.get("peak_mb", 0.0) for one in rounds), default=0.0)
        ratios = f"{cpu_s / first[0]:.2f} | {wall_s / first[1]:.2f}"
        lines.append(f"| {name} | {cpu_s:.2f} | {wall_s:.2f} | {ratios} | {f'{peak_mb:.0f}' if peak_mb else ''} |")
    return "\n".join(lines)


def _fingerprint(folder: Path) -> str:
    box = this_box(open_bundle())
    engines = ", ".join(f"{name} {version}" for name, version in box.engines.items())
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    machine = f"{box.cores} cores of {model[1] if model else box.processor} ({instruction_set()})"
    commit = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return (
        f"{machine}; {engines}; commit {commit.stdout.strip() or 'unknown'}; {len(list(folder.iterdir()))} slices; "
        f"{os.getloadavg()[0]:.1f} processes waited at the start."
    )


PARTS: dict[str, Part] = {
    "whole": _whole,
    "inference": _inference,
    "reading": _reading,
    "engine": _engine,
    "slices": _slices,
    "stages": bars.stages,
    "cohort": bars.cohort,
    "tune": bars.tune,
}


if __name__ == "__main__":
    main()
