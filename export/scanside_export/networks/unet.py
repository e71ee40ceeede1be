"""The two networks of Scanside, each on a page.

Infection: ResNet34-UNet on 2.5D stacks (Li et al., medRxiv 2020.04.17.20070219). Lungs: a plain 2D UNet (Ronneberger
et al., MICCAI 2015). Rows and columns of an input are multiples of 32.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from scanside_export.networks.blocks import Up, conv_bn_relu
from scanside_export.networks.resnet34 import WIDTHS, ResNet34

RISING = (256, 128, 64, 32, 16)
"""Channels of the infection network's decoder, at 1/16, 1/8, 1/4, 1/2 and the whole of the input's size."""

LUNG_WIDTHS = (16, 32, 64, 128, 192, 256)
"""Channels of the lung network at the input's size and at each half of it."""


class ResNet34UNet(nn.Module):
    """A stack of slabs in, one logit for each pixel of the middle slab out."""

    def __init__(self, depth: int = 3, classes: int = 1) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth, deepest = WIDTHS
        self.encoder = ResNet34(depth)
        at16, at8, at4, at2, at1 = RISING
        self.up16 = Up(deepest, sixteenth, at16)
        self.up8 = Up(at16, eighth, at8)
        self.up4 = Up(at8, quarter, at4)
        self.up2 = Up(at4, half, at2)
        self.up1 = Up(at2, 0, at1)
        self.head = nn.Conv2d(at1, classes, 1)

    def forward(self, stack: Tensor) -> Tensor:
        """(n, depth, h, w) float in 0..1 → (n, classes, h, w) logits."""
        half, quarter, eighth, sixteenth, deepest = self.encoder(stack)
        x = self.up16(deepest, sixteenth)
        x = self.up8(x, eighth)
        x = self.up4(x, quarter)
        x = self.up2(x, half)
        return self.head(self.up1(x))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """One slab in, logits of background, right lung and left lung out."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        widths = LUNG_WIDTHS
        entries = (1, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(conv_bn_relu(inputs, width), conv_bn_relu(width, width))
            for inputs, width in zip(entries, widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        rising = tuple(reversed(widths))
        self.up = nn.ModuleList(Up(below, width, width) for below, width in pairwise(rising))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, plane: Tensor) -> Tensor:
        """(n, 1, h, w) float in 0..1 → (n, classes, h, w) logits."""
        skips = []
        x = plane
        for number, down in enumerate(self.down):
            x = down(x if number == 0 else self.pool(x))
            skips.append(x)
        for up, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = up(x, skip)
        return self.head(x)  # type: ignore[no-any-return]


def build(network: str, depth: int, classes: int) -> nn.Module:
    """The network of that name with fresh weights. Raises KeyError for an unknown name."""
    makers: dict[str, Callable[[], nn.Module]]
    makers = {"infection": lambda: ResNet34UNet(depth, classes), "lungs": lambda: UNet(classes)}
    # torch's stubs leave out the form of `to` that takes a memory format alone.
    return makers[network]().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
