"""The one error tree: class = stable code and exit code, docstring = message, `advice` = what to do next.

The place that raises passes only the values: `raise GeometryMissingSlices(count=2, position_mm=-41.5)`.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class ScansideError(Exception):
    """Scanside could not go on."""

    code: ClassVar[str] = "BOX_DEFECT"
    exit_code: ClassVar[int] = 1
    advice: ClassVar[str] = "Keep the study and report this as a defect of Scanside."

    def __init__(self, **values: object) -> None:
        self.values = values
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The docstring of the class with the values filled in."""
        return inspect.cleandoc(type(self).__doc__ or "").format(**self.values)


class Refused(ScansideError):
    """The study can't be measured."""

    code = "INPUT_REFUSED"
    exit_code = 3
    advice = "Check the study on the scanner's console and export it again."


class ModelUnusable(ScansideError):
    """The model bundle can't be used."""

    code = "MODEL_UNUSABLE"
    exit_code = 4
    advice = "Install the model bundle again."


class BoxFailed(ScansideError):
    """The box itself can't go on."""

    code = "BOX_FAILED"
    exit_code = 5
    advice = "Check disk space and folder permissions, then try again."


class Held(ScansideError):
    """A person must decide."""

    code = "INPUT_HELD"
    exit_code = 6
    advice = "Look at the study and release it by hand."
