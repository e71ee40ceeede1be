"""A training recipe: one frozen config for each network, read from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from scanside_export.data.augment import Augment
from scanside_export.errors import RecipeUnusable
from scanside_runtime.model.contract import ModelContract
from scanside_runtime.process.typed import typed


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training, next to the data.

    shares: how often each source of cases is drawn. slab_mm: thicknesses drawn for series that can be averaged.
    fresh_lesions: how often a real background gets lesions that no other sample has.
    large_consolidations: how often one of these fills a good part of a lung.
    couches: how often a picture that was cropped to the body gets a couch and what else lies around a patient.
    abdomens: how often lungs are drawn from slices at and below the dome of a diaphragm, most with a full organ there.
    effusions: how often lungs get pleural fluid in their place, as no lung. dense_lungs: how often a good part of them
    loses its air on the network's plane, in low slices as well, and stays lung.
    threshold: the contract's; chosen after the training, on training cases, for volume as well as for Dice.
    """

    network: str
    classes: tuple[str, ...]
    window_hu: tuple[float, float]
    pixel_mm: float
    matrix: tuple[int, int]
    shares: dict[str, float]
    samples: int
    batch: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    ema: float = 0.998
    seed: int = 20200417
    stack_depth: int = 1
    stack_step_mm: float = 5.0
    slab_mm: tuple[float, ...] = (3.0, 4.0, 5.0, 5.0, 5.0, 6.0, 8.0, 10.0)
    fresh_lesions: float = 0.0
    large_consolidations: float = 0.0
    couches: float = 0.0
    abdomens: float = 0.0
    effusions: float = 0.0
    dense_lungs: float = 0.0
    licence: str = ""
    threshold: float = 0.5
    augment: dict[str, float] = field(default_factory=dict)

    def contract(self, training_digest: str) -> ModelContract:
        """What the trained network expects of the world."""
        return ModelContract(
            network=self.network,
            classes=self.classes,
            window_hu=self.window_hu,
            pixel_mm=self.pixel_mm,
            matrix=self.matrix,
            stack_depth=self.stack_depth,
            stack_step_mm=self.stack_step_mm,
            threshold=self.threshold,
            training_digest=training_digest,
            licence=self.licence,
        )

    def document(self) -> dict[str, Any]:
        """The recipe as plain values, for the log and the checkpoint."""
        return asdict(self)

    @classmethod
    def from_document(cls, values: Mapping[str, Any]) -> Recipe:
        """Back from plain values. Older checkpoints call `slab_mm` by another name."""
        return cls(**{"slab_mm" if name == "section_mm" else name: value for name, value in values.items()})


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises RecipeUnusable for a file that is none; its sentence names the key that is wrong."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeUnusable(path=path, why=error.strerror or error) from error
    except ValueError as problem:  # no TOML, or no UTF-8
        raise RecipeUnusable(path=path, why=problem) from problem
    if wrong := next(_wrong_keys(values), None):
        raise RecipeUnusable(path=path, why=wrong)
    return Recipe(**{name: _typed(path, name, value) for name, value in values.items()})


def _wrong_keys(values: Mapping[str, Any]) -> Iterator[str]:
    """What is said of a key that no recipe has, and of one that every recipe must have and this one has not."""
    needed = {one.name: one.default is MISSING and one.default_factory is MISSING for one in fields(Recipe)}
    yield from (f"there is no key {name}" for name in values if name not in needed)
    yield from (f"{name} is missing" for name, must in needed.items() if must and name not in values)
    augment = values.get("augment", {})
    yield from (f"augment has no key {name}" for name in augment if name not in {one.name for one in fields(Augment)})


def _typed(path: Path, name: str, value: object) -> Any:
    try:
        return typed(get_type_hints(Recipe)[name], value)
    except ValueError as problem:
        raise RecipeUnusable(path=path, why=f"{name}: {problem}") from problem
