"""What the first result of a process needs: libraries that take a third of a second to import."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def made_ready_beside() -> Iterator[None]:
    """They are imported in a thread, while another process finds and reads the study and this one waits for it.

    What fails there fails again, and is said, where it is needed. Templates are not compiled here: it would cost 7 MB
    at the peak.
    """
    with ThreadPoolExecutor(max_workers=1) as beside:
        beside.submit(import_module, "scanside_appliance.results.output")
        yield
