"""What the base install leaves out: a command that needs more says which package is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scanside_runtime.errors import BoxExtraMissing


@contextmanager
def extra() -> Iterator[None]:
    """Around imports of the extra `cohort`. Raises BoxExtraMissing, naming the package."""
    try:
        yield
    except ImportError as error:
        raise BoxExtraMissing(package=error.name or error) from error
