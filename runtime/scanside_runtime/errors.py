"""The one error tree and its families: class = stable code and exit code, docstring = message, `advice` = what to do next.

The place that raises passes only the values: `raise GeometryMissingSlices(count=2, position_mm=-41.5)`. Members stand
beside who raises them, in the `errors.py` of a wing or in the one module that raises them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from scanside_runtime.plural import told

_JOINERS = "\u200c\u200d"
"""They join letters or keep them apart in names of Persian and of Indian scripts, and do nothing else."""


def can_be_shown(letter: str) -> bool:
    """Whether it is a letter, sign or space: nothing that a terminal would obey, no half of a letter."""
    return letter.isprintable() or letter in _JOINERS


def shown(text: str | Path) -> str:
    """What others wrote, with whatever a terminal would obey escaped: control and direction marks, bytes of no letter."""
    return "".join(one if can_be_shown(one) else one.encode("unicode_escape").decode("ascii") for one in str(text))


class ScansideError(Exception):
    """Scanside could not go on."""

    code: ClassVar[str] = "BOX_DEFECT"
    exit_code: ClassVar[int] = 1
    advice: ClassVar[str] = (
        "Keep the study and report this as a defect of Scanside; scanside doctor --support FILE writes what to send along."
    )
    _by_code: ClassVar[dict[str, type[ScansideError]]] = {}

    def __init_subclass__(cls) -> None:
        """Each class has a code of its own: a code given twice would mean two things. Raises TypeError."""
        super().__init_subclass__()
        holder = ScansideError._by_code.setdefault(cls.code, cls)
        if holder is not cls:
            raise TypeError(f"{cls.__name__} has the code {cls.code} of {holder.__name__}")

    def __init__(self, **values: object) -> None:
        self.values = values
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The docstring of the class with the values filled in: names of files among them, as they may be shown."""
        foreign = str | Path | BaseException
        values = {name: shown(str(one)) if isinstance(one, foreign) else one for name, one in self.values.items()}
        return told(inspect.cleandoc(type(self).__doc__ or ""), **values)

    @property
    def in_words(self) -> str:
        """What is wrong, and what to do about it."""
        return f"{self.message} {self.advice}"

    @property
    def in_full(self) -> str:
        """The same behind its code, as it stands in a log or a status."""
        return f"{self.code}: {self.in_words}"

    def __reduce__(self) -> tuple[Callable[[], ScansideError], tuple[()]]:
        """Made anew from its values, so that what another process raises arrives here as what it is."""
        return partial(type(self), **self.values), ()


ScansideError._by_code[ScansideError.code] = ScansideError


def registered() -> tuple[type[ScansideError], ...]:
    """Every error of the modules that were imported so far: by module, there in the order of their definition."""
    return tuple(sorted(ScansideError._by_code.values(), key=lambda kind: kind.__module__))


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


class BoxReplaced(BoxFailed):
    """Scanside was replaced while it runs: a process that it started ended {how}."""

    code = "BOX_REPLACED"
    advice = "Start it again, for example with systemctl restart scanside-watch; no study is lost, they wait."


class SettingsUnusable(BoxFailed):
    """The setting {key} can't be used: {why}."""

    code = "BOX_SETTINGS"
    advice = "Correct the settings file, or take the line out: every setting has a default that works."


class BoxDisk(BoxFailed):
    """A disk, stick or share could not be read or written: {why}."""

    code = "BOX_DISK"
    advice = "Try again. If it stays so, look at the disk, stick or share, and at who may read and write there."


class BoxOutput(BoxFailed):
    """The results can't be written to {folder}: {why}."""

    code = "BOX_OUTPUT"
    advice = "Choose a folder that can be written and has space, then analyse the study again."
