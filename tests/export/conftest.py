"""What the exporter's tests share. They alone load torch: see the Makefile."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import torch

from kit.export_samples import Exported, run_export, small_infection_network, small_lung_network
from kit.made_once import made_once


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """One thread for torch: sums in one order, and a busy machine is not fought over."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C and SIGTERM as in a terminal: a suite that runs in the background was started with Ctrl-C ignored."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.fixture
def small_infection() -> Iterator[None]:
    """An infection network of few layers and channels."""
    with small_infection_network():
        yield


@pytest.fixture
def small_networks(small_infection: None) -> Iterator[None]:
    """Both networks with few layers and channels, for what is not about their size."""
    with small_lung_network():
        yield


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """What `export`, `quantize` and `bundle` make of two small networks (`small_networks`), once for all tests."""
    return Exported.below(made_once(tmp_path_factory, "export", run_export))
