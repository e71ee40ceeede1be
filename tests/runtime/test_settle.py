"""What a process of ours has at its start: rare looks for garbage, freed memory kept, one heap, no needless import."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from kit.analysis_samples import chest_series
from kit.bundle_samples import write_bundle
from scanside_runtime import Options, Settings, analyze
from scanside_runtime.process.settle import needed
from scanside_runtime.settings.tables import InferenceSettings

NEVER_USED = ("urllib.request", "ssl", "PIL", "jpeg_ls", "scanside_runtime.settings.tables")
START_OF_THE_READER = f"""
import sys
from scanside_runtime.process.settle import settle_in
settle_in("scanside_runtime.dicom.reader_process")
import scanside_runtime.dicom.reader_process
import numpy
print(*(name for name in {NEVER_USED} if sys.modules.get(name)), "gdcm" in sys.modules, numpy.ndarray.__doc__)
"""
ONE_THREAD = Settings(inference=InferenceSettings(threads=1))


@pytest.mark.usefixtures("warm_readers")
def test_a_volume_goes_with_its_analysis_and_waits_for_no_collector(tmp_path: Path) -> None:
    chest_series(tmp_path / "series")
    options = Options(ONE_THREAD, bundle=write_bundle(tmp_path / "bundle").folder)
    gc.disable()
    try:
        analysis = analyze(tmp_path / "series", options)
        assert analysis.volume is not None
        held = weakref.ref(analysis.volume.hu)
        del analysis
        assert held() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="this is no glibc")
def test_threads_of_a_process_of_ours_share_one_heap() -> None:
    program = (
        "import ctypes, sys, threading\nfrom scanside_runtime.process.settle import settle_in\n"
        "if sys.argv[1:]:\n    settle_in('a module')\n"
        "threads = [threading.Thread(target=ctypes.CDLL(None).malloc, args=(1000,)) for _ in range(4)]\n"
        "for one in threads: one.start()\n"
        "for one in threads: one.join()\n"
        "ctypes.CDLL(None).malloc_stats()\n"
    )

    def heaps(*settled: str) -> int:
        command = [sys.executable, "-c", program, *settled]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, env=environment, capture_output=True, check=True).stderr.count(b"Arena ")

    assert (heaps("settled"), heaps() > 1) == (1, True)


def test_freed_memory_is_kept_in_a_process_that_was_told_to_give_it_back_at_once() -> None:
    program = (
        "import resource\nfrom scanside_runtime.process.system_calls import keep_freed\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(50):\n        bytes(2**20)[0]; bytearray(b'1') * 2**20\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "told = faults()\nkeep_freed(2**25)\nprint(told, faults())\n"
    )
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept < given_back / 4


def test_a_process_of_ours_looks_for_no_garbage_at_its_end() -> None:
    program = (
        "import atexit, gc\natexit.register(lambda: print(len(gc.get_objects())))\n"
        "from scanside_runtime.process.settle import collect_rarely\ncollect_rarely()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100  # of thousands: those that are made after it


def test_the_reader_imports_the_decoder_and_nothing_that_goes_out_or_draws() -> None:
    done = subprocess.run([sys.executable, "-c", START_OF_THE_READER], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "None"]


def test_what_was_left_out_is_there_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "colorsys", None)
    assert needed("colorsys").rgb_to_hsv(1, 0, 0) == (0, 1, 1)
