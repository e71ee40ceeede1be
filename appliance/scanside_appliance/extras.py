"""What the base install leaves out: a command that needs more says which package is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scanside_runtime.errors import BoxFailed


class BoxExtraMissing(BoxFailed):
    """This needs {package}, which is not installed here: it comes with scanside[{extra}]."""

    code = "BOX_EXTRA_MISSING"
    advice = "Install the extra that is named, or ask whoever installed Scanside to."


@contextmanager
def extra(name: str = "cohort") -> Iterator[None]:
    """Around imports of an extra's packages. Raises BoxExtraMissing, naming the package."""
    try:
        yield
    except ImportError as error:
        raise BoxExtraMissing(package=error.name or error, extra=name) from error
