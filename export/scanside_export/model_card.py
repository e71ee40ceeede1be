"""The model card of a bundle: what the networks are for, what they saw, how good they are, whose they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from scanside_export.score_table import table
from scanside_runtime.contract import ModelContract

TEMPLATE = Path(__file__).with_suffix(".md")
"""The card with {places} for what differs from bundle to bundle."""

VALIDATED = {
    "volumes": "Whole product on volumes that training did not see (`evaluate volumes`)",
    "cross_validation": "Cross-validation by patient, the same recipe (`cross-validate`)",
    "slices": "Infection network alone on single slices (`evaluate slices`)",
}
"""Parts of a bundle's validation, each the JSON of one command."""

PARITY = (
    *("form", "precision", "lungs_dice_min", "infection_dice_mean", "infection_dice_min"),
    *("poi_difference_mean_points", "holds"),
)
"""What of `check` stands in the card."""


def model_card(
    name: str,
    version: str,
    contracts: Mapping[str, ModelContract],
    validation: Mapping[str, Any],
    notes: str,
    left_out: Collection[str] = (),
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
        left_out=", ".join(sorted(left_out)) or "nobody",
        validation="\n\n".join(_validated(validation)),
    )


def _validated(validation: Mapping[str, Any]) -> list[str]:
    """What was measured, part by part, and what was not."""
    parts = []
    for key, title in VALIDATED.items():
        measured = table(validation[key]) if key in validation else "Not measured for this bundle."
        parts.append(f"### {title}\n\n{measured}")
    parity = "Not measured for this bundle."
    if "parity" in validation:
        head = ["| " + " | ".join(PARITY) + " |", "|---" * len(PARITY) + "|"]
        parity = "\n".join([*head, *_forms(validation["parity"])])
    return [*parts, f"### Each deployed form against torch\n\n{parity}"]


def _forms(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "| " + " | ".join(f"{one[key]:.4f}" if isinstance(one[key], float) else str(one[key]) for key in PARITY) + " |"
        for one in results
    ]


def _row(network: str, contract: ModelContract) -> str:
    low, high = contract.window_hu
    rows, columns = contract.matrix
    return (
        f"- `{network}`: window {low:g} to {high:g} HU, pixels of {contract.pixel_mm:g} mm, matrix {rows} x {columns}, "
        f"stack of {contract.stack_depth} sections {contract.stack_step_mm:g} mm apart, thin series averaged to "
        f"{contract.section_mm:g} mm, threshold {contract.threshold:g}, "
        f"training data {contract.training_digest[:16]}"
    )
