"""What a reason code means, read from the error tree itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from scanside_runtime.errors import ScansideError


def explanation(code: str) -> dict[str, str | int] | None:
    """Code, exit code, message (values that differ from case to case in braces) and advice; None if there is none."""
    for error in _tree(ScansideError):
        if error.code == code.upper():
            message = inspect.cleandoc(error.__doc__ or "")
            return {"code": error.code, "exit_code": error.exit_code, "message": message, "advice": error.advice}
    return None


def known_codes() -> list[str]:
    """Every code of the tree, sorted."""
    return sorted({error.code for error in _tree(ScansideError)})


def _tree(root: type[ScansideError]) -> Iterator[type[ScansideError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)
