"""The watched folder: headers per file, a scan of a large inbox, and from the last file to the page.

The last two belong together: the ratio of their means is what the watched folder adds to `scanside analyze`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from scanside_appliance.inbox.facts import Prober
from scanside_appliance.inbox.readiness import Inbox
from scanside_appliance.inbox.scan import scan
from scanside_runtime.model.bundle import DEFAULT_BUNDLE
from scanside_runtime.phantom.dicom_writer import SeriesTags, write_series
from scanside_runtime.phantom.make import Phantom, demo_spec, make_phantom
from scanside_runtime.settings.box import InboxSettings
from scanside_runtime.settings.reading import ReadingSettings

needs_bundle = pytest.mark.skipif(not (DEFAULT_BUNDLE / "manifest.json").is_file(), reason="no model bundle is here")
PROGRAM = (sys.executable, "-c", "from scanside_appliance.cli.main import main; main()")
QUIET_S = 5.0


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(demo_spec())


def write(phantom: Phantom, folder: Path, study: int = 0) -> Path:
    tags = SeriesTags(study_uid=f"1.2.826.0.1.3680043.10.{study}")
    write_series(phantom.hu, phantom.spacing_mm, folder, origin_mm=phantom.origin_mm, slice_thickness_mm=5.0, tags=tags)
    return folder


def test_headers_and_hashes_59_files_of_512x512(benchmark: BenchmarkFixture, phantom: Phantom, tmp_path: Path) -> None:
    files = sorted(write(phantom, tmp_path).rglob("*.dcm"))
    prober = Prober(time.monotonic)
    prober.probe(files[0], ReadingSettings())
    benchmark(lambda: [prober.probe(file, ReadingSettings()) for file in files])
    prober.close()


def test_scan_and_sort_out_20000_files(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"{number:05d}").touch()
    inbox = Inbox(InboxSettings())

    def look() -> None:
        inbox.look(scan(tmp_path), time.monotonic())
        list(inbox.sort_out(time.monotonic())[0])

    benchmark.pedantic(look, rounds=3, warmup_rounds=1)


@needs_bundle
def test_scanside_analyze_59x512x512(benchmark: BenchmarkFixture, phantom: Phantom, tmp_path: Path) -> None:
    folder = write(phantom, tmp_path / "in")
    command = [*PROGRAM, "analyze", str(folder), "--output", str(tmp_path / "out")]
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=3, warmup_rounds=1)


@needs_bundle
def test_from_the_last_file_to_the_page_less_quiet_time_59x512x512(
    benchmark: BenchmarkFixture, phantom: Phantom, tmp_path: Path
) -> None:
    root, settings = tmp_path / "box", tmp_path / "box.toml"
    settings.write_text(f"[inbox]\nquiet_s = {QUIET_S}\n")
    daemon = subprocess.Popen([*PROGRAM, "--root", str(root), "--settings", str(settings), "watch"])
    studies = iter(range(1, 100))

    def send() -> tuple[tuple[Path], dict[str, int]]:
        """All files arrive at once: what is measured begins with the rename."""
        study = next(studies)
        folder = write(phantom, tmp_path / f"study{study}", study)
        return (folder,), {}

    def until_the_page_is_there(folder: Path) -> None:
        before = len(list(root.glob("results/[!.]*/*/*/report.html")))
        folder.rename(root / "inbox" / folder.name)
        while len(list(root.glob("results/[!.]*/*/*/report.html"))) == before:
            time.sleep(0.02)

    try:
        while not (root / "status.json").exists():
            time.sleep(0.1)
        benchmark.pedantic(until_the_page_is_there, setup=send, rounds=3, warmup_rounds=1)
    finally:
        daemon.terminate()
        daemon.wait()
    benchmark.extra_info["quiet_s_to_subtract"] = QUIET_S
