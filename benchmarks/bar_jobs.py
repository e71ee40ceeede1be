"""One job of `benchmarks/bars.py`, in a process of its own: `python benchmarks/bar_jobs.py JOB ARGUMENTS`.

Prints one line of JSON. Processor time counts all threads and children.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from peer_jobs import batches, counted, used

Found = dict[str, float]
ROUNDS_OF_SLABS = 4


def warm_study(folder: str) -> Found:
    """Folder to document with networks that are loaded, and what the networks alone take for the same slabs."""
    from scanside_runtime.analysis.analyze import analyze
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.networks import Network, load_networks

    loaded, asked = load_networks(open_bundle()), []

    class Noting:
        """An engine that notes what it is asked."""

        def __init__(self, engine: Any) -> None:
            self.engine, self.computed_in, self.version = engine, engine.computed_in, engine.version

        def infer(self, batch: np.ndarray) -> np.ndarray:
            asked.append((self.engine, batch))
            return np.asarray(self.engine.infer(batch))

    noting = {
        name: Network(Noting(one.engine), one.contract)
        for name, one in (("lungs", loaded.lungs), ("infection", loaded.infection))
    }
    analyze(Path(folder), networks=replace(loaded, **noting)).document()
    study = counted(lambda: analyze(Path(folder), networks=loaded).document(), warm=False)
    network = counted(lambda: [engine.infer(batch) for engine, batch in asked])
    return {**study, "network_cpu_s": network["cpu_s"], "network_wall_s": network["wall_s"]}


def output(folder: str) -> Found:
    """Analysis, then page, pictures and DICOM objects: with the imports of their libraries, and once more without."""
    from scanside_runtime.analysis.analyze import analyze

    analysis = analyze(Path(folder))
    found = {"analysis_cpu_s": used()}
    with tempfile.TemporaryDirectory() as out:

        def write() -> None:
            from scanside_appliance.results.output import write_output

            write_output(analysis, Path(out) / "result")

        found["first_cpu_s"] = counted(write, warm=False)["cpu_s"]
        found["again_cpu_s"] = counted(write, warm=False)["cpu_s"]
    return found


def slabs(network: str) -> Found:
    """Processor and wall time of a slab through one of the networks, as an analysis asks it."""
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.networks import load_networks

    loaded, batch = load_networks(open_bundle()), batches()[network]
    engine = {"lungs": loaded.lungs, "infection": loaded.infection}[network].engine
    found = counted(lambda: [engine.infer(batch) for _ in range(ROUNDS_OF_SLABS)])
    return {key: value / (ROUNDS_OF_SLABS * len(batch)) for key, value in found.items()}


def cohort(way: str, *folders: str) -> Found:
    """A table of studies with a thread each: "1" or "2" processes, or "dask" with two workers."""
    from scanside_appliance.cohort.processes import Processes
    from scanside_appliance.cohort.run import Workers, run_cohort
    from scanside_appliance.cohort.studies import find_studies
    from scanside_runtime.analysis.options import Options
    from scanside_runtime.settings.tables import InferenceSettings, Settings

    settings = Settings(inference=InferenceSettings(threads=1))
    studies = find_studies([Path(folder) for folder in folders], limits=settings.reading)
    with ExitStack() as resources:
        workers: Workers = _cluster(resources) if way == "dask" else Processes(int(way))
        table = Path(resources.enter_context(tempfile.TemporaryDirectory())) / "table.csv"
        before, began = used(), time.perf_counter()
        summary = run_cohort(studies, table, workers, Options(settings))
        wall_s = time.perf_counter() - began
    if summary.verdicts != {"analysed": len(folders)}:
        raise ValueError(f"not all were measured: {summary.verdicts}")
    return {"wall_s": wall_s, "cpu_s": used() - before}


def _cluster(resources: ExitStack) -> Any:
    """A scheduler and two workers that run already, as Scanside finds a cluster."""
    from distributed import LocalCluster

    from scanside_appliance.cohort.cluster import Cluster

    running = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)  # type: ignore[no-untyped-call]
    resources.callback(running.close)
    return Cluster(running.scheduler_address)


def tuned() -> Found:
    """What `tune` takes and finds, and the best of all ways: also one thread alone, and more slabs than cores.

    Its choice and the three quickest of the search are measured once more, in turn: a way's time differs by more than
    ways do.
    """
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.tune import candidates, in_turn, quickest, try_choice, tune

    bundle, began = open_bundle(), time.perf_counter()
    found = tune(bundle)
    seconds = time.perf_counter() - began
    more = {replace(way, threads=1, streams=1) for way in candidates()}
    more |= {replace(way, streams=2 * way.threads) for way in candidates()}
    tried = [*found.tried, *(try_choice(bundle, way) for way in sorted(more, key=str))]
    compared = in_turn(bundle, list(dict.fromkeys([found.choice, *quickest(tried)])))
    (best, *_), times = quickest(compared), {one.choice: one.wall_ms or float("nan") for one in compared}
    return {"seconds": seconds, "ways": float(len(tried)), "best_ms": times[best], "chosen_ms": times[found.choice]}


JOBS: dict[str, Callable[..., Found]] = {
    "warm study": warm_study,
    "output": output,
    "slabs": slabs,
    "cohort": cohort,
    "tune": tuned,
}


if __name__ == "__main__":
    found = JOBS[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write("\n" + json.dumps(found))
