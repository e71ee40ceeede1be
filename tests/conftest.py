"""What all tests share: reproducible properties, and the way to the real data."""

from __future__ import annotations

import fcntl
import functools
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main
import typer.testing
from hypothesis import HealthCheck, settings

from kit.nursery import Nursery

if TYPE_CHECKING:
    from kit.watch_box import Box

# The same examples on each run, no deadline and no look at the clock: a busy machine must not turn a property red.
settings.register_profile(
    "house", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")
os.environ["XDG_CACHE_HOME"] = str(
    Path(tempfile.gettempdir(), f"scanside-caches-of-tests-{os.getuid()}")
)  # not one's own
os.environ["LC_ALL"] = "C.UTF-8"  # the terminal's own language has no say in what tests read
# Whatever the shell says: else each of hundreds of children compiles anew what the first one has compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A program's commands are made of their annotations at each of its calls, in twice the time of a short command.
command_of = functools.cache(typer.main.get_command)
for place, name in ((typer.main, "get_command"), (typer.testing, "_get_command")):
    setattr(place, name, command_of)

LONG = (
    *("test_real_chests", "test_course", "test_watch_real", "test_sweeps", "test_made_cases", "test_cohort_run"),
    *("test_accuracy", "test_keep_network", "test_cross_validate", "test_train", "test_parity", "test_export_onnx"),
)
"""What takes longest begins first: at the end of a run no process works on while the other has nothing left."""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """One process at a time imports a file of tests: all begin with the same one, and each would compile it."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    with collector.path.open() as file:
        with suppress(OSError):  # a share that can't lock what is open for reading: then each compiles for itself
            fcntl.flock(file, fcntl.LOCK_EX)
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(LONG)))
    gc.freeze()  # who looks for garbage need not go through all that five thousand tests are made of


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real CT data, from SCANSIDE_DATA or beside the checkout; skips where it is not laid out."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SCANSIDE_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data is not here: {folder}")
    return folder


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where children come from that are not started for their own sake."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def warm_readers(nursery: Nursery) -> Iterator[None]:
    """Readers begin at once, for modules in which many studies are read and none is about how a reader begins."""
    with nursery.used():
        yield


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`scanside` as the shell starts it: arguments in; exit code, stdout and stderr out."""
    from scanside_appliance.cli import main as cli

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["scanside", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def no_selftest(monkeypatch: pytest.MonkeyPatch) -> None:
    """`scanside doctor` without computing: it takes two seconds, and few tests are about that."""
    from scanside_appliance.doctor import model
    from scanside_appliance.doctor.conditions import good
    from scanside_appliance.languages.words import said

    monkeypatch.setattr(model, "selftest", lambda _: good("self-test", said("not yet")))


@pytest.fixture
def box(tmp_path: Path, nursery: Nursery) -> Iterator[Box]:
    """A watched folder with cheap children, forked from ones that have begun."""
    from kit.watch_box import Box
    from sweeps.box import environment

    before = os.umask(0o022)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        with nursery.used():
            yield Box(tmp_path / "box")
    os.umask(before)
