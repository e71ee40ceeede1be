"""Both networks: shapes, sizes, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from scanside_export.networks.resnet34 import WIDTHS, ResNet34
from scanside_export.networks.unet import ResNet34UNet, UNet, build
from scanside_runtime.model.contract import ModelContract


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_infection_network_answers_each_pixel_of_a_stack_of_any_odd_depth(depth: int) -> None:
    with torch.inference_mode():
        assert build("infection", depth, 1).eval()(torch.zeros(3, depth, 64, 32)).shape == (3, 1, 64, 32)


@pytest.mark.parametrize("matrix", [(32, 32), (96, 160)])
@pytest.mark.parametrize("network", ["lungs", "infection"])
def test_any_multiple_of_32_fits(network: str, matrix: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert build(network, 1, 3).eval()(torch.zeros(1, 1, *matrix)).shape == (1, 3, *matrix)


@pytest.mark.parametrize("network", ["lungs", "infection"])
def test_a_side_that_is_no_multiple_of_32_fits_neither_network_nor_contract(network: str) -> None:
    with torch.inference_mode(), pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        build(network, 1, 1).eval()(torch.zeros(1, 1, 48, 64))
    with pytest.raises(ValueError, match="32"):
        ModelContract("lungs", ("a",), (-1000.0, 200.0), 1.0, (48, 64))


def test_encoder_has_the_published_size() -> None:
    """ResNet34 for three channels has 21,797,672 parameters, 513,000 of them in its classifier, which is left out."""
    assert sum(p.numel() for p in ResNet34(3).parameters()) == 21_797_672 - 513_000


def test_encoder_halves_five_times() -> None:
    with torch.inference_mode():
        features = ResNet34(3).eval()(torch.zeros(1, 3, 64, 96))
    sizes = [(width, 64 // 2**n, 96 // 2**n) for n, width in enumerate(WIDTHS, start=1)]
    assert [tuple(feature.shape[1:]) for feature in features] == sizes


@pytest.mark.parametrize("model", [UNet(), ResNet34UNet(1)], ids=["lungs", "infection"])
def test_a_stack_is_answered_alike_alone_and_in_an_odd_batch(model: torch.nn.Module) -> None:
    batch = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together, alone = model.eval()(batch), model(batch[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_an_unknown_network_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        build("liver", 1, 1)
