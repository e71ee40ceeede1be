"""A training recipe: one frozen config for each network, read from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scanside_runtime.model.contract import ModelContract


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
    shares: Mapping[str, float]
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
    augment: Mapping[str, float] = field(default_factory=dict)

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
    """Read a recipe. Raises TypeError for a key that no recipe has."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    for name in ("classes", "window_hu", "matrix", "slab_mm"):
        if name in values:
            values[name] = tuple(values[name])
    return Recipe(**values)
