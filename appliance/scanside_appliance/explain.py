"""What a reason code means, read from the error tree and the table of findings themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scanside_appliance.found_by import found_by
from scanside_runtime import errors
from scanside_runtime.errors import ScansideError
from scanside_runtime.findings import KINDS, FindingKind

PLACE = re.compile(r"\{\w+\}")


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code. kind: whether it ends the analysis or is a flag; message: what differs is an ellipsis.

    measured: how it is found, settings by their names in the file.
    """

    code: str
    kind: str
    exit_code: int
    message: str
    measured: str
    advice: str


def explanation(code: str) -> Explanation | None:
    """What a code means, in any case of letters; None if there is no such code."""
    return next((known for known in explanations() if known.code == code.upper()), None)


def known_codes() -> list[str]:
    """Every code, sorted."""
    return sorted(known.code for known in explanations())


def explanations() -> list[Explanation]:
    """Every code that a result or the command line can carry: errors in the order of their module, then flags.

    Raises KeyError for a code of no known family.
    """
    by_code: dict[str, list[type[ScansideError]]] = {}
    for error in _errors():
        by_code.setdefault(error.code, []).append(error)
    return [_of_errors(kinds) for kinds in by_code.values()] + [_of_finding(code, kind) for code, kind in KINDS.items()]


def _errors() -> Iterator[type[ScansideError]]:
    """What can be raised: the root stands for a defect, its direct children are families and never raised."""
    families = set(ScansideError.__subclasses__())
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, ScansideError) and value not in families:
            yield value


def _of_errors(kinds: Sequence[type[ScansideError]]) -> Explanation:
    """One code, which more than one error may carry."""
    messages = (PLACE.sub("…", " ".join(inspect.cleandoc(error.__doc__ or "").split())) for error in kinds)
    advice = dict.fromkeys(error.advice for error in kinds)
    first = kinds[0]
    return Explanation(
        code=first.code,
        kind=f"exit code {first.exit_code}",
        exit_code=first.exit_code,
        message=" Or: ".join(messages),
        measured=found_by(first.code),
        advice=" ".join(advice),
    )


def _of_finding(code: str, kind: FindingKind) -> Explanation:
    withholds = "withhold" in kind.levels
    text = f"flag: {' or '.join(kind.levels)}" + (", withheld ends with exit code 3" if withholds else "")
    measured = kind.measured or found_by(code)
    return Explanation(code, text, 3 if withholds else 0, kind.meaning, measured, kind.advice)
