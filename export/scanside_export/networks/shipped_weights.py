"""A bundle's network back in torch, to be trained on: its FP16-stored ONNX holds all that the next stage needs.

Export folds each batch normalisation into the convolution before it. Here it is opened again: the layer gets the mean
and the variance that it would see in training, and the scale and shift that undo them, so that the answer is the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from scanside_export.data.recipe import Recipe
from scanside_export.errors import TrainingUnusable
from scanside_export.networks.to_onnx import FP16
from scanside_export.networks.unet import build
from scanside_runtime.model.bundle import LEFT_OUT, TRAINED_ON, Bundle
from scanside_runtime.model.contract import ModelContract

UNTOLD = ("infection-3d", "infection-2d", "lung-2d", "real", "phantom")
"""What a bundle may have been trained on whose manifest does not say it: all that there was up to 0.4.0."""

BEFORE_IT_WAS_TOLD = (("scanside-chest", "0.1.0"), ("scanside-chest", "0.2.0"))
LEFT_OUT_UNTOLD = ("coronacases_008", "radiopaedia_27_86410_0")
"""Whom these two left out, in training and in quantisation; their manifests don't say it."""


def read_network(bundle: Bundle, network: str) -> tuple[nn.Module, ModelContract]:
    """The network of a bundle, ready to answer (its statistics are not those of data: see `with_statistics`).

    Raises ModelUnusable for a bundle that can't be used, TrainingUnusable for one that another exporter made.
    """
    data, contract = bundle.network(network, "fp16")
    graph = onnx.load_model_from_string(data).graph
    tensors = {tensor.name.removesuffix(FP16): numpy_helper.to_array(tensor) for tensor in graph.initializer}
    model = build(network, contract.stack_depth, len(contract.classes))
    try:
        _fill(model, tensors)
    except (KeyError, RuntimeError) as problem:
        raise TrainingUnusable(folder=bundle.folder, why="its networks are not of this exporter's making") from problem
    return model.eval(), contract


def _fill(model: nn.Module, tensors: Mapping[str, Any]) -> None:
    """Every convolution gets its weights; what a folded normalisation came to is added by that normalisation."""
    normalised = dict(_normalised(model))
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.copy_(_tensor(tensors[f"{name}.weight"]))
            if name in normalised:
                _shift_alone(normalised[name], _tensor(tensors[f"{name}.weight_bias"]))
            elif layer.bias is not None:
                layer.bias.data.copy_(_tensor(tensors[f"{name}.bias"]))


@torch.no_grad()
def with_statistics(model: nn.Module, stacks: Tensor) -> nn.Module:
    """The same function of its input, with each batch normalisation as if it had been trained on these stacks.

    model: as `read_network` gives it. stacks: (n, depth, h, w) float32. Without this, the first step of a training
    would normalise what never was.
    """
    seen: dict[nn.BatchNorm2d, tuple[Tensor, Tensor]] = {}

    def look(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(given[0].float(), dim=(0, 2, 3), correction=0)
        if isinstance(layer, nn.BatchNorm2d):
            seen[layer] = mean, variance

    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    model.eval()(stacks)
    for hook in hooks:
        hook.remove()
    for layer, (mean, variance) in seen.items():
        _set(layer, mean, variance, (variance + layer.eps).sqrt(), layer.bias.detach() + mean)
    return model


def lineage(bundle: Bundle, contract: ModelContract) -> dict[str, Any]:
    """The stage behind a bundle's weights, as a checkpoint keeps it.

    It saw all cases of its sources, less those whom the manifest says it left out.
    """
    recipe = Recipe(
        network=contract.network,
        classes=contract.classes,
        window_hu=contract.window_hu,
        pixel_mm=contract.pixel_mm,
        matrix=contract.matrix,
        shares=dict.fromkeys(map(str, bundle.manifest.get(TRAINED_ON, UNTOLD)), 1.0),
        samples=0,
        stack_depth=contract.stack_depth,
        stack_step_mm=contract.stack_step_mm,
        licence=contract.licence,
        threshold=contract.threshold,
    )
    untold = LEFT_OUT_UNTOLD if (bundle.name, bundle.version) in BEFORE_IT_WAS_TOLD else ()
    left_out = [str(name) for name in bundle.manifest.get(LEFT_OUT, untold)]
    return {"recipe": recipe.document(), "left_out": left_out, "step": 0}


def _normalised(model: nn.Module) -> Iterator[tuple[str, nn.BatchNorm2d]]:
    """Each batch normalisation by the name of the convolution that it follows."""
    for name, group in model.named_modules():
        if isinstance(group, nn.Sequential):
            layers: Mapping[str, nn.Module] = dict(group.named_children())
            for number, layer in layers.items():
                following = layers.get(str(int(number) + 1))
                if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                    yield f"{name}.{number}", following


def _shift_alone(layer: nn.BatchNorm2d, shift: Tensor) -> None:
    """A normalisation that adds `shift` and does nothing else."""
    unit = torch.ones_like(shift)
    _set(layer, torch.zeros_like(shift), unit, unit * math.sqrt(1.0 + layer.eps), shift)


def _set(layer: nn.BatchNorm2d, mean: Tensor, variance: Tensor, scale: Tensor, shift: Tensor) -> None:
    if layer.running_mean is None or layer.running_var is None:
        raise ValueError("a batch normalisation without statistics")
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
    layer.weight.data.copy_(scale)
    layer.bias.data.copy_(shift)


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
