"""The model card of a bundle: what the networks are for, what they saw, how good they are, whose they are."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanside_export.evaluation.held_out_table import held_out_table
from scanside_export.evaluation.score_table import markdown, table
from scanside_runtime.model.contract import ModelContract

TEMPLATE = Path(__file__).with_suffix(".md")
"""The card with {places} for what differs from bundle to bundle."""

VALIDATED = {
    "volumes": "Whole product on volumes that training did not see (`evaluate volumes`)",
    "cross_validation": "Cross-validation by patient, of the recipe that is named above (`cross-validate`)",
    "slices": "Infection network alone on single slices (`evaluate slices`)",
    "cross_validated_slices": "The same by cross-validation: slices that their fold's training did not see",
}
"""Parts of a bundle's validation, each the JSON of one command."""

NOT_MEASURED = "Not measured for this bundle."

SOURCES = Path(__file__).with_name("sources.toml")
"""What a card says of each source, with attribution."""

PARITY = (
    *("form", "precision", "lungs_dice_min", "infection_dice_mean", "infection_dice_min"),
    *("poi_difference_mean_points", "severity_flips", "holds"),
)
"""What of `check` stands in the card."""


@dataclass(frozen=True, slots=True)
class Release:
    """A bundle's name and version, how good it is known to be, how it was trained (Markdown), on what and on whom not.

    validation: the parts that the card names, each the JSON of its command. sources: what any stage drew from.
    failures: a picture of the worst slices, as `evaluate held-out --picture` draws it.
    """

    name: str
    version: str
    minimum_software: str
    validation: Mapping[str, Any]
    notes: str = ""
    left_out: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    failures: Path | None = None


FAILURES = "failures.png"
FAILURES_SHOWN = f"""
The worst slices of three real patients with drawn lesions: as they are, what was drawn, what was found
(Lung-PET-CT-Dx A0001, Li P et al. 2020, doi 10.7937/TCIA.2020.NNC2-0461, CC BY 4.0; LIDC-IDRI-0002, CC BY 3.0;
TCGA-THCA DE-A4MA, doi 10.7937/K9/TCIA.2016.9ZFRVF1B, CC BY 3.0; lesions drawn in, averaged to thick slices):

![Three slices with lesions that were missed in part]({FAILURES})
"""
MEASURED = ("volumes", "slices", "held_out", "cross_validation", "parity", "limits_of_agreement")
"""Names, before `.json`, of the files that hold a bundle's figures."""


def read_figures(folder: Path) -> dict[str, Any]:
    """The figures that lie in a folder, by name. Raises ValueError with the file that is not JSON."""
    found = {name: folder / f"{name}.json" for name in MEASURED}
    return {name: _read_json(path) for name, path in found.items() if path.exists()}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:  # a command that was refused left it empty
        raise ValueError(f"{path} is no JSON: {problem}") from problem


def find_failures(folder: Path) -> Path | None:
    """The picture of failures in a folder, where there is one."""
    return folder / FAILURES if (folder / FAILURES).exists() else None


def model_card(release: Release, contracts: Mapping[str, ModelContract]) -> str:
    """The card as Markdown."""
    said = tomllib.loads(SOURCES.read_text(encoding="utf-8"))
    return TEMPLATE.read_text(encoding="utf-8").format(
        name=release.name,
        version=release.version,
        depth=contracts["infection"].stack_depth,
        licence=licence_of(contracts),
        trained_on="\n".join(said.get(source, f"- {source}.") for source in sorted(release.sources)),
        contracts="\n".join(_row(network, contract) for network, contract in contracts.items()),
        notes=release.notes.strip(),
        left_out=", ".join(sorted(release.left_out)) or "nobody",
        validation="\n\n".join(_validated(release.validation)),
        failures="" if release.failures is None else FAILURES_SHOWN,
    )


def licence_of(contracts: Mapping[str, ModelContract]) -> str:
    """Every licence that one of the networks is under; what another one names among its own stands there alone."""
    each = {contract.licence for contract in contracts.values()}
    return "; ".join(sorted(one for one in each if not any(one in other for other in each - {one})))


def _validated(validation: Mapping[str, Any]) -> list[str]:
    """What was measured, part by part, and what was not."""
    slices = validation.get("cross_validation", {}).get("single_slices")
    validation = {**validation, **({"cross_validated_slices": slices} if slices else {})}
    parts = []
    for key, title in VALIDATED.items():
        measured = table(validation[key]) if key in validation else NOT_MEASURED
        parts.append(f"### {title}\n\n{measured}")
    drawn = held_out_table(validation["held_out"]) if "held_out" in validation else NOT_MEASURED
    parts.append(f"### Real patients whom no training sees, disease drawn in (`evaluate held-out`)\n\n{drawn}")
    parity = "\n".join(_forms(validation["parity"])) if "parity" in validation else NOT_MEASURED
    return [*parts, f"### Each deployed form against torch\n\n{parity}"]


def _forms(results: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [[f"{one[key]:.4f}" if isinstance(one[key], float) else str(one[key]) for key in PARITY] for one in results]
    return [markdown(PARITY, rows)]


def _row(network: str, contract: ModelContract) -> str:
    low, high = contract.window_hu
    rows, columns = contract.matrix
    return (
        f"- `{network}`: window {low:g} to {high:g} HU, pixels of {contract.pixel_mm:g} mm, matrix {rows} x {columns}, "
        f"stack of {contract.stack_depth} slices {contract.stack_step_mm:g} mm apart, thin series averaged to "
        f"{contract.slab_mm:g} mm, threshold {contract.threshold:g}, "
        f"training data {contract.training_digest[:16]}"
    )
