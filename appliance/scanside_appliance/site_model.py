"""The severity model of this box, and the record of how it came to be in force.

One file, `severity/models.json` below the box's root, holds every change with the model that it brought: the last one
says what is in force. Model and record are replaced in one step, so neither can be there without the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from scanside_appliance.files.atomic import replace_json, writing
from scanside_runtime.errors import BoxFailed
from scanside_runtime.measures.errors import SeverityModelUnusable
from scanside_runtime.measures.severity_model import SeverityModel

SITE_MODELS_SCHEMA = "scanside.site-models/1"


class NoEarlierSeverityModel(BoxFailed):
    """This box has no severity model of its own that could be taken back."""

    code = "BOX_NO_SEVERITY_MODEL"
    advice = "Nothing: the bundle's model or the extent grade is in force."


@dataclass(frozen=True, slots=True)
class ModelChange:
    """One change of the model in force.

    at: ISO 8601, UTC, by the box's clock. data: what the model was fitted on, or why it was changed. model: what is in
    force since; None where it is the bundle's own or the extent grade again. before: the name of what was in force.
    """

    at: str
    action: Literal["install", "rollback"]
    before: str | None
    model: SeverityModel | None
    data: str

    @property
    def after(self) -> str | None:
        """The name of what is in force since."""
        return None if self.model is None else self.model.name

    def to_document(self) -> dict[str, Any]:
        """Plain values."""
        model = None if self.model is None else self.model.to_document()
        return {**asdict(self), "after": self.after, "model": model}


def site_model_file(root: Path) -> Path:
    """Where a box keeps its severity models."""
    return root / "severity" / "models.json"


def model_in_force(root: Path) -> SeverityModel | None:
    """The severity model of this box; None where it has none. Raises SeverityModelUnusable."""
    changes = read_changes(root)
    return changes[-1].model if changes else None


def read_changes(root: Path) -> tuple[ModelChange, ...]:
    """Every change, oldest first. Raises SeverityModelUnusable."""
    path = site_model_file(root)
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != SITE_MODELS_SCHEMA:
            raise ValueError(f"its schema is not {SITE_MODELS_SCHEMA}")
        return tuple(_change(one) for one in document["changes"])
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SeverityModelUnusable(name=path, why=error.strerror or "it can't be read") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as problem:
        raise SeverityModelUnusable(name=path, why=problem) from problem


def install_site_model(root: Path, model: SeverityModel, *, data: str) -> ModelChange:
    """Put a model in force. data: what it was fitted on. Raises SeverityModelUnusable, BoxOutput."""
    changes = read_changes(root)
    change = ModelChange(_now(), "install", changes[-1].after if changes else None, model, data)
    _write(root, (*changes, change))
    return change


def rollback_site_model(root: Path) -> ModelChange:
    """Put back what was in force before the last install; once more goes one further back.

    Raises NoEarlierSeverityModel where nothing is installed, SeverityModelUnusable, BoxOutput.
    """
    changes = read_changes(root)
    installed = _stack(changes)
    if not installed:
        raise NoEarlierSeverityModel()
    undone, earlier = installed[-1], installed[:-1]
    model = earlier[-1].model if earlier else None
    change = ModelChange(_now(), "rollback", undone.after, model, f"takes back the change of {undone.at}")
    _write(root, (*changes, change))
    return change


def _stack(changes: Sequence[ModelChange]) -> list[ModelChange]:
    """The installs that were not taken back."""
    stack: list[ModelChange] = []
    for change in changes:
        if change.action == "install":
            stack.append(change)
        else:
            del stack[-1:]
    return stack


def _write(root: Path, changes: Sequence[ModelChange]) -> None:
    path = site_model_file(root)
    document = {"schema": SITE_MODELS_SCHEMA, "changes": [change.to_document() for change in changes]}
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_json(path, document)
        # Whoever installs it, the daemon's own user must read it; there is no patient in it.
        path.parent.chmod(0o755)
        path.chmod(0o644)


def _change(document: dict[str, Any]) -> ModelChange:
    if document["action"] not in ("install", "rollback"):
        raise ValueError(f"action {document['action']!r}")
    model = document["model"]
    return ModelChange(
        at=str(document["at"]),
        action=document["action"],
        before=document["before"],
        model=None if model is None else SeverityModel.from_document(model),
        data=str(document["data"]),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
