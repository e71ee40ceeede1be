"""Torch = ONNX = IR = INT8, through the deployed runtime, in Dice and in POI. A failing gate fails the export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from scanside_export.convert.to_ir import IrEngine
from scanside_export.networks.checkpoint import Trained
from scanside_runtime.measures.biomarkers import Biomarkers, measure
from scanside_runtime.measures.severity import assess_extent
from scanside_runtime.metrics import dice
from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import EngineChoice, Floats, choose_engine
from scanside_runtime.model.networks import Network, Networks, load_networks
from scanside_runtime.model.segment import segment
from scanside_runtime.plural import told
from scanside_runtime.volume import Masks, Volume

LUNGS_DICE = {"fp32": 0.999, "int8": 0.99}
INFECTION_DICE = {"fp32": 0.999, "int8": 0.985}
POI_LIMITS_POINTS = {"fp32": 0.02, "int8": 0.15}


@dataclass(frozen=True, slots=True, eq=False)
class TorchEngine:
    """The network as it was trained, behind the runtime's own interface."""

    model: nn.Module
    computed_in: str = "fp32"
    version: str = torch.__version__

    @torch.inference_mode()
    def infer(self, batch: Floats) -> Floats:
        """See `scanside_runtime.model.engine.Engine`."""
        return np.asarray(self.model(torch.from_numpy(batch)).numpy(), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Parity:
    """One deployed form against torch, over all volumes: the worst Dice, the mean POI difference.

    severity_flips: volumes whose severity flag, by extent, is another one. found_nothing: torch itself outlines no lung
    in one of them, or no infection in any; two empty masks are equal, which proves nothing.
    """

    form: str
    precision: str
    lungs_dice_min: float
    infection_dice_min: float
    infection_dice_mean: float
    poi_difference_mean_points: float
    severity_flips: int = 0
    found_nothing: bool = False

    @property
    def holds(self) -> bool:
        """Within the gate of its precision."""
        return not any(self.misses())

    def misses(self) -> Iterator[str]:
        """What is not within the gate of its precision, in words; NaN is within none."""
        if self.found_nothing:
            yield "torch itself outlines no lung in a volume, or no infection in any: nothing was held against it"
        if not self.lungs_dice_min >= (least := LUNGS_DICE[self.precision]):
            yield f"lungs Dice {self.lungs_dice_min:.4f} in the worst volume, {least} is the least"
        if not self.infection_dice_mean >= (least := INFECTION_DICE[self.precision]):
            yield f"infection Dice {self.infection_dice_mean:.4f} in the mean, {least} is the least"
        if not self.poi_difference_mean_points <= (most := POI_LIMITS_POINTS[self.precision]):
            yield f"POI {self.poi_difference_mean_points:.3f} points off in the mean, {most} is the most"
        if self.severity_flips:
            yield told("another severity flag in {count} volume(s), 0 is the most", count=self.severity_flips)

    def document(self) -> dict[str, Any]:
        """Plain values, the verdict included."""
        return {**asdict(self), "holds": self.holds}


def torch_networks(trained: Mapping[str, Trained]) -> Networks:
    """Both networks in torch."""
    lungs, infection = (trained[name] for name in ("lungs", "infection"))
    return Networks(
        Network(TorchEngine(lungs.model), lungs.contract), Network(TorchEngine(infection.model), infection.contract)
    )


def deployed_forms(bundle: Bundle) -> dict[tuple[str, str], Callable[[], Networks]]:
    """Every form in which a bundle can run, by (name, precision)."""

    def loader(choice: EngineChoice) -> Callable[[], Networks]:
        return lambda: load_networks(bundle, choice)

    pairs = [(engine, precision) for engine in ("openvino", "onnxruntime") for precision in ("fp32", "int8")]
    return {(engine, precision): loader(choose_engine(engine, precision, 0)) for engine, precision in pairs}


def compare(
    volumes: Sequence[Volume], reference: Networks, forms: Mapping[tuple[str, str], Callable[[], Networks]]
) -> list[Parity]:
    """Each form against the reference on whole volumes."""
    expected = [segment(volume, reference) for volume in volumes]
    return [_against(volumes, expected, name, precision, make()) for (name, precision), make in forms.items()]


def _against(
    volumes: Sequence[Volume], expected: Sequence[Masks], name: str, precision: str, networks: Networks
) -> Parity:
    found = [segment(volume, networks) for volume in volumes]
    pairs = list(zip(expected, found, strict=True))
    infection = [dice(old.infection.array, new.infection.array) for old, new in pairs]
    measured = [(measure(v, old), measure(v, new)) for v, (old, new) in zip(volumes, pairs, strict=True)]
    differences = [abs(_poi(new) - _poi(old)) for old, new in measured]
    return Parity(
        form=name,
        precision=precision,
        lungs_dice_min=min(dice(old.lungs, new.lungs) for old, new in pairs),
        infection_dice_min=min(infection),
        infection_dice_mean=float(np.mean(infection)),
        poi_difference_mean_points=float(np.mean(differences)),
        severity_flips=sum(assess_extent(old).flag != assess_extent(new).flag for old, new in measured),
        found_nothing=not all(old.lungs.any() for old in expected) or not any(old.infection.voxels for old in expected),
    )


def _poi(found: Biomarkers) -> float:
    return found.whole.poi_percent or 0.0


def ir_forms(folder: Path, trained: Mapping[str, Trained]) -> dict[tuple[str, str], Callable[[], Networks]]:
    """Both networks from the OpenVINO IR files that `export` and `quantize` wrote beside the ONNX files."""

    def loader(stored_as: str) -> Callable[[], Networks]:
        def load() -> Networks:
            lungs, infection = (
                Network(IrEngine(folder / f"{name}.{stored_as}.xml"), trained[name].contract)
                for name in ("lungs", "infection")
            )
            return Networks(lungs, infection)

        return load

    return {("ir", "fp32"): loader("fp16"), ("ir", "int8"): loader("int8")}
