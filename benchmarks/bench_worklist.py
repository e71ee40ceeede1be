"""The worklist of a box with 20 000 results: written after one more result, and printed in the terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kit.listed_box import ListedBox, listed_box, phantom_results
from scanside_appliance.clock import Clock
from scanside_appliance.worklist.write import write_worklist
from scanside_runtime.settings.tables import SiteSettings

STUDIES = 20_000
PROGRAM = (sys.executable, "-c", "from scanside_appliance.cli.main import main; main()")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListedBox]:
    with listed_box(tmp_path_factory.mktemp("list") / "box") as made:
        made.put_known(phantom_results(STUDIES))
        yield made


def write(box: ListedBox) -> list[str]:
    return write_worklist(box.layout, box.store, SiteSettings(), Clock())


def test_all_pages_of_20000_results(benchmark: BenchmarkFixture, box: ListedBox) -> None:
    benchmark.pedantic(lambda: write(box), rounds=1)


def test_the_list_after_one_more_of_20000_results(benchmark: BenchmarkFixture, box: ListedBox) -> None:
    write(box)
    last, numbers = phantom_results(STUDIES)[-1], count(STUDIES)
    benchmark.pedantic(
        lambda: write(box), setup=lambda: box.put_known([replace(last, number=next(numbers))]), rounds=10
    )
    pages = [box.layout.worklist, *box.layout.worklist_pages.iterdir()]
    benchmark.extra_info["largest_page_bytes"] = max(page.stat().st_size for page in pages)


def test_scanside_worklist_of_20000_results(benchmark: BenchmarkFixture, box: ListedBox) -> None:
    command = [*PROGRAM, "--root", str(box.layout.root), "worklist"]
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=5, warmup_rounds=1)
