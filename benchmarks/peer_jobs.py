"""One job of `benchmarks/peers.py`, in a process of its own: `python benchmarks/peer_jobs.py JOB FOLDER`.

Prints one line of JSON: wall and processor time of what counts, children included, after imports and a first round that
does not. Of whole programs the parent measures the process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

STARTED_S = 3.0
SLABS = 16
"""Through each network, in the jobs that measure inference alone."""


def used() -> float:
    """Processor time of this process and its children, seconds."""
    own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    alive = sum(_used_by(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime + alive


def _used_by(pid: str) -> float:
    """Processor time of a process that runs still, of all its threads: to the nanosecond, where `stat` counts ticks."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def counted(work: Callable[[], Any], warm: bool = True) -> dict[str, float]:
    """Wall and processor time of a piece of work, the second time that it is done where `warm`."""
    if warm:
        work()
    cpu, wall = used(), time.perf_counter()
    work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": used() - cpu}


def batches(seed: int = 0) -> dict[str, Any]:
    """Slabs of noise in the shape of each network's input: what they show does not change how long it takes."""
    from scanside_runtime.model.bundle import open_bundle

    rng, bundle = np.random.default_rng(seed), open_bundle()
    contracts = {name: bundle.network(name, "fp16")[1] for name in ("lungs", "infection")}
    shapes = {name: (SLABS, one.stack_depth, *one.matrix) for name, one in contracts.items()}
    return {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}


def by_engine(name: str, precision: str) -> Callable[[Path], dict[str, float]]:
    """Both networks on an engine as Scanside runs it."""

    def job(_: Path) -> dict[str, float]:
        from scanside_runtime.model.bundle import open_bundle
        from scanside_runtime.model.engine import choose_engine
        from scanside_runtime.model.networks import load_networks

        networks, slabs = load_networks(open_bundle(), choose_engine(name, precision, 0)), batches()
        both = ((networks.lungs.engine, slabs["lungs"]), (networks.infection.engine, slabs["infection"]))
        return counted(lambda: [engine.infer(batch) for engine, batch in both])

    return job


def by_torch(_: Path) -> dict[str, float]:
    """Both networks in PyTorch FP32 on all cores."""
    import torch

    from scanside_export.networks.shipped_weights import read_network
    from scanside_runtime.model.bundle import open_bundle

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    both = [(read_network(open_bundle(), name)[0], torch.from_numpy(batch)) for name, batch in batches().items()]

    def work() -> None:
        with torch.inference_mode():
            for network, batch in both:
                for start in range(0, SLABS, 4):
                    network(batch[start : start + 4])

    return counted(work)


def lungmask(folder: Path) -> dict[str, float]:
    """Its R231 from files to a mask of the lungs alone: random weights (the time is the same), no post-processing."""
    import SimpleITK
    from lungmask import mask
    from lungmask.resunet import UNet

    network = UNet(n_classes=3, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False)
    mask.get_model = lambda *_: network.eval()
    inferer = mask.LMInferer(force_cpu=True, volume_postprocessing=False, tqdm_disable=True)
    image = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    return counted(lambda: inferer.apply(image), warm=False)


def reader(folder: Path) -> dict[str, float]:
    """Headers, checks and HU in Scanside's guarded child, which is started before: it serves one study."""
    from scanside_runtime.dicom.reader import StudyReader
    from scanside_runtime.dicom.series import choose_series
    from scanside_runtime.settings.reading import ReadingSettings

    limits = ReadingSettings()

    def read(child: StudyReader) -> None:
        found = child.find(folder)
        series = choose_series(found, study_uid=None, series_uid=None, limits=limits, no_chests={})
        child.read_volume(series, None)

    with StudyReader(limits) as first:
        read(first)
    with StudyReader(limits) as child:
        time.sleep(STARTED_S)
        return counted(lambda: read(child), warm=False)


def pydicom_loop(folder: Path) -> dict[str, float]:
    """What a script does: read, sort, rescale; no check, no limit, no process of its own."""
    from pydicom import dcmread

    def work() -> None:
        slices = sorted((dcmread(path) for path in folder.iterdir()), key=lambda ds: float(ds.ImagePositionPatient[2]))
        np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices])

    return counted(work)


def simpleitk(folder: Path) -> dict[str, float]:
    """SimpleITK's series reader."""
    import SimpleITK

    def work() -> None:
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(names))

    return counted(work)


def imports() -> dict[str, float]:
    """Imports all that the jobs import, so that it is compiled before one counts."""
    for name in (
        "torch",
        "lungmask.mask",
        "SimpleITK",
        "onnxruntime",
        "scanside_appliance.results.output",
        "distributed",
    ):
        with suppress(ImportError):
            import_module(name)
    return {}


JOBS: dict[str, Callable[..., dict[str, float]]] = {
    "imports": imports,
    "scanside INT8": by_engine("openvino", "int8"),
    "scanside FP32": by_engine("openvino", "fp32"),
    "ONNX Runtime INT8": by_engine("onnxruntime", "int8"),
    "ONNX Runtime FP32": by_engine("onnxruntime", "fp32"),
    "PyTorch FP32": by_torch,
    "lungmask": lungmask,
    "scanside reader": reader,
    "pydicom loop": pydicom_loop,
    "SimpleITK": simpleitk,
}


if __name__ == "__main__":
    json.dump(JOBS[sys.argv[1]](*map(Path, sys.argv[2:])), sys.stdout)
