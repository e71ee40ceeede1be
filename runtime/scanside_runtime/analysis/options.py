"""How studies are analysed: one frozen object, handed through and spelled out nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from scanside_runtime.followup.patient_record import EarlierLookup
from scanside_runtime.measures.severity_model import SeverityModel
from scanside_runtime.model.proof import Proof
from scanside_runtime.model.tuning import Tuning
from scanside_runtime.settings.tables import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """How to analyse, whatever the study; "auto" and None leave the choice to Scanside.

    engine: "auto", "openvino", "onnxruntime". precision: "auto", "int8", "bf16", "fp32".
    bundle: folder of another model bundle.
    earlier: finds the patient's earlier results by ID and issuer; without it there is no progression.
    site_model: the severity model of this box; one that the settings name goes before it, the bundle's comes after it.
    tuning: what was found fastest on this box; proof: what its last self-test found; both for "auto".
    """

    settings: Settings = field(default_factory=Settings)
    engine: str = "auto"
    precision: str = "auto"
    bundle: Path | None = None
    earlier: EarlierLookup | None = None
    site_model: SeverityModel | None = None
    tuning: Tuning | None = None
    proof: Proof | None = None
