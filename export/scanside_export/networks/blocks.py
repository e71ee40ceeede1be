"""The pieces that both networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3 × 3 convolution, batch norm, ReLU: (n, inputs, h, w) → (n, outputs, h/stride, w/stride)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Up(nn.Module):
    """One step of the decoder: twice the size, join the encoder's picture of that size, two convolutions."""

    def __init__(self, below: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.convs = nn.Sequential(conv_bn_relu(below + skip, outputs), conv_bn_relu(outputs, outputs))

    def forward(self, below: Tensor, skip: Tensor | None = None) -> Tensor:
        """Below (n, below, h, w), skip (n, skip, 2h, 2w) → (n, outputs, 2h, 2w)."""
        x = self.enlarge(below)
        return self.convs(x if skip is None else torch.cat([x, skip], dim=1))  # type: ignore[no-any-return]
