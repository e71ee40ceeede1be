"""The bars of speed: what was measured against each, a row as soon as it is known; `table` gives them all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from runs import Found, Studies, answer, middle

COHORT_STUDIES, CORES = 6, 2
_rows: list[str] = []


def table() -> str:
    """All that was measured, in the order in which it was."""
    return "\n".join(["| what | bar | measured |", "|---|---|---|", *_rows])


def row(what: str, bar: str, measured: str, met: bool | None) -> None:
    """met: None where nothing could be measured."""
    said = {True: measured, False: f"{measured}: **not met**", None: "not measured"}[met]
    _rows.append(f"| {what} | {bar} | {said} |")


def least(what: str, value: float | None, bar: float, unit: str = " times") -> None:
    """A figure that must be as large as the bar or larger."""
    row(what, f"at least {bar:g}{unit}", f"{value or 0.0:.2f}{unit}", None if value is None else value >= bar)


def known(what: str, value: float | None) -> None:
    """A ratio that no bar is set for."""
    row(what, "none", f"{value or 0.0:.2f} times", None if value is None else True)


def most(what: str, value: float | None, bar: float, unit: str = " times", more: str = "") -> None:
    """A figure that must be as small as the bar or smaller."""
    row(what, f"at most {bar:g}{unit}", f"{value or 0.0:.2f}{unit}{more}", None if value is None else value <= bar)


def ratio(one: float | None, other: float | None) -> float | None:
    """None where either is missing."""
    return None if one is None or not other else one / other


def against_lungmask(ours: Sequence[Found], theirs: Sequence[Found]) -> None:
    """Rounds of both."""
    cpu, wall = (ratio(middle(theirs, key), middle(ours, key)) for key in ("cpu_s", "wall_s"))
    least("whole `analyze` with page and DICOM objects against lungmask: processor time", cpu, 15.0, " times less")
    least("the same: wall time", wall, 12.0, " times less")
    most("peak memory of that", middle(ours, "peak_mb"), 450.0, " MB")


def against_torch(ours: Sequence[Found], theirs: Sequence[Found]) -> None:
    """Rounds of both."""
    found = ratio(middle(theirs, "cpu_s"), middle(ours, "cpu_s"))
    least("inference in INT8 against our own networks in PyTorch FP32", found, 8.0, " times less")


def reading(ours: Sequence[Found], loop: Sequence[Found], itk: Sequence[Found]) -> None:
    """Rounds of each."""
    cpu_s = middle(ours, "cpu_s")
    most("reading, its process started, against a plain pydicom loop", ratio(cpu_s, middle(loop, "cpu_s")), 1.0)
    most("reading, its process started, against SimpleITK", ratio(cpu_s, middle(itk, "cpu_s")), 1.5)


def against_benchmark_app(pairs: Sequence[tuple[float | None, float | None]]) -> None:
    """Of each network our processor time of a slab and theirs."""
    ours, theirs = ([one[side] for one in pairs] for side in (0, 1))
    is_whole = all(one is not None for one in (*ours, *theirs))
    both = [sum(one or 0.0 for one in side) for side in (ours, theirs)]
    most(
        "networks against `benchmark_app`, processor time of a slab through both",
        ratio(*both) if is_whole else None,
        1.1,
    )


def slices(thick: Found, thin: Found, long: Found) -> None:
    """Whole runs of the three studies."""
    for what, other, bar in (
        ("295 slices of 5 mm against 59", long, 5.3),
        ("236 slices of 1.25 mm against 59 of 5 mm", thin, 2.0),
    ):
        most(f"{what}: processor time", ratio(other.get("cpu_s"), thick.get("cpu_s")), bar)
        known("the same: wall time", ratio(other.get("wall_s"), thick.get("wall_s")))
    most("peak memory of 236 thin slices", thin.get("peak_mb"), 700.0, " MB")


def stages(studies: Studies, rounds: int) -> Iterator[str]:
    """A warm study against its own networks, and the share of page and DICOM objects."""
    folder = str(studies.thick())
    warm = [answer("bar_jobs/warm study", folder) for _ in range(rounds)]
    study, network = (middle(warm, key) for key in ("cpu_s", "network_cpu_s"))
    most("warm study to document against its own network time, processor time", ratio(study, network), 1.6)
    known("the same: wall time", ratio(middle(warm, "wall_s"), middle(warm, "network_wall_s")))
    made = [answer("bar_jobs/output", folder) for _ in range(rounds)]
    analysis, first, again = (middle(made, key) for key in ("analysis_cpu_s", "first_cpu_s", "again_cpu_s"))
    shares = [None if one is None else 100.0 * one for one in (ratio(first, analysis), ratio(again, analysis))]
    most("page and all DICOM objects, of the analysis, with the imports of their libraries", shares[0], 25.0, " %")
    most("the same without these imports", shares[1], 25.0, " %")
    if None not in (study, network, analysis, first, again):
        yield (
            f"Processor time of 59 slices: a warm study {study:.2f} s, its networks {network:.2f}; a first analysis "
            f"in its process {analysis:.2f} s, page, pictures and DICOM objects {first:.2f} s, once more {again:.2f} s."
        )


def cohort(studies: Studies, rounds: int) -> Iterator[str]:
    """Wall times, in turn: they mean something on a machine that does nothing else."""
    folders = [str(studies.thick(seed)) for seed in range(COHORT_STUDIES)]
    found: dict[str, list[Found]] = {"1": [], "2": [], "dask": []}
    for _ in range(rounds + 1):
        for way, before in found.items():
            before.append(answer("bar_jobs/cohort", way, *folders))
    wall_s, cpu_s = ({way: middle(before, key) for way, before in found.items()} for key in ("wall_s", "cpu_s"))
    least(f"`cohort run`, {COHORT_STUDIES} studies, two processes against one", ratio(wall_s["1"], wall_s["2"]), 1.7)
    known("the same if both cores were busy throughout", ratio(wall_s["1"], (cpu_s["2"] or 0.0) / CORES))
    most("Dask with two workers against two processes", ratio(wall_s["dask"], wall_s["2"]), 1.1)
    most("the same: processor time", ratio(cpu_s["dask"], cpu_s["2"]), 1.1)
    for folder in folders[1:]:
        shutil.rmtree(folder)
    told = (f"{way} {wall_s[way] or 0.0:.1f} s ({cpu_s[way] or 0.0:.1f} s of processor time)" for way in found)
    yield f"Wall time of the table, medians of {rounds + 1} rounds in turn: {', '.join(told)}"


def tune(_: Studies, __: int) -> Iterator[str]:
    """That it rejects a planted engine is shown by `tests/runtime/test_tuning.py`."""
    found = answer("bar_jobs/tune")
    most("`tune`: how long it takes", found.get("seconds"), 120.0, " s")
    off = ratio(found.get("chosen_ms"), found.get("best_ms"))
    ways = (
        f" (a slab {found['chosen_ms']:.1f} ms, the best of {found['ways']:.0f} ways {found['best_ms']:.1f})"
        if found
        else ""
    )
    most("its choice against the best by exhaustive search", off, 1.05, more=ways)
    yield "`tune` was tried as it is; the search adds one thread alone, and twice as many slabs as cores."
