"""What a network was trained on, written inside its file and read back before anything is measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CONTRACT_KEY = "scanside_contract"
"""Name of the entry in ONNX `metadata_props` and OpenVINO `rt_info`."""

CONTRACT_SCHEMA = "scanside.contract/1"
_SLAB_KEY = "section_mm"
"""What schema 1 calls `slab_mm`; bundles that are out there hold it so."""


@dataclass(frozen=True, slots=True)
class ModelContract:
    """The shape that a network expects of the world; `runtime.stacks` is the one place that acts on it.

    network: "lungs" or "infection".
    classes: names of the output channels, in order.
    window_hu: (low, high), mapped linearly to 0..1 and clipped.
    pixel_mm: in-plane size of an input pixel.
    matrix: (rows, columns) of the input.
    slab_mm: thickness to which thin series are averaged.
    thin_below_mm: a series with thinner slabs than this is averaged, others are used as they are.
    stack_depth: slabs in an input, odd; 1 is plain 2D.
    stack_step_mm: distance between neighbouring slabs of a stack.
    threshold: probability from which a voxel belongs to the class (networks with one channel).
    """

    network: str
    classes: tuple[str, ...]
    window_hu: tuple[float, float]
    pixel_mm: float
    matrix: tuple[int, int]
    slab_mm: float = 5.0
    thin_below_mm: float = 3.0
    stack_depth: int = 1
    stack_step_mm: float = 5.0
    threshold: float = 0.5
    training_digest: str = ""
    licence: str = ""
    validation: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.stack_depth < 1 or self.stack_depth % 2 == 0:
            raise ValueError(f"stack_depth must be odd, got {self.stack_depth}")
        rows, columns = self.matrix
        if min(rows, columns) < 32 or rows % 32 or columns % 32:
            raise ValueError(f"matrix must be divisible by 32, got {self.matrix}")
        low, high = self.window_hu
        if not low < high:
            raise ValueError(f"window_hu must ascend, got {self.window_hu}")
        if not 0.0 < self.threshold < 1.0:
            raise ValueError(f"threshold must lie between 0 and 1, got {self.threshold}")
        if not all(length > 0.0 for length in (self.pixel_mm, self.slab_mm, self.stack_step_mm)):
            raise ValueError("pixel_mm, slab_mm and stack_step_mm must be above 0")

    def to_json(self) -> str:
        """The text that goes into the model file."""
        values = asdict(self)
        values[_SLAB_KEY] = values.pop("slab_mm")
        return json.dumps({"schema": CONTRACT_SCHEMA, **values}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelContract:
        """Read the text back.

        Raises ValueError when it is no contract of this schema.
        """
        try:
            values = json.loads(text)
            schema = values.pop("schema", None)
            if schema != CONTRACT_SCHEMA:
                raise ValueError(f"contract schema {schema!r}, expected {CONTRACT_SCHEMA!r}")
            values["slab_mm"] = values.pop(_SLAB_KEY)
            for name in ("classes", "window_hu", "matrix"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (TypeError, KeyError, IndexError, AttributeError, RecursionError) as problem:
            raise ValueError(f"not a contract: {problem}") from problem
