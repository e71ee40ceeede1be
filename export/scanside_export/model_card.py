"""The model card of a bundle: what the networks are for, what they saw, how good they are, whose they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanside_runtime.contract import ModelContract

TEMPLATE = Path(__file__).with_suffix(".md")
"""The card with {places} for what differs from bundle to bundle."""


def model_card(
    name: str, version: str, contracts: Mapping[str, ModelContract], validation: Mapping[str, Any], notes: str
) -> str:
    """The card as Markdown; notes: how this very bundle was trained."""
    infection = contracts["infection"]
    return TEMPLATE.read_text(encoding="utf-8").format(
        name=name,
        version=version,
        depth=infection.stack_depth,
        licence=infection.licence,
        contracts="\n".join(_row(network, contract) for network, contract in contracts.items()),
        notes=notes.strip(),
        validation=json.dumps(validation, indent=2),
    )


def _row(network: str, contract: ModelContract) -> str:
    low, high = contract.window_hu
    rows, columns = contract.matrix
    return (
        f"- `{network}`: window {low:g} to {high:g} HU, pixels of {contract.pixel_mm:g} mm, matrix {rows} x {columns}, "
        f"stack of {contract.stack_depth} sections {contract.stack_step_mm:g} mm apart, thin series averaged to "
        f"{contract.section_mm:g} mm, threshold {contract.threshold:g}, "
        f"training data {contract.training_digest[:16]}"
    )
