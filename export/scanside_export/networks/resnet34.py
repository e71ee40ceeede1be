"""ResNet34 as an encoder (He et al., CVPR 2016, arXiv 1512.03385, table 1)."""

from __future__ import annotations

from torch import Tensor, nn

from scanside_export.networks.blocks import conv_bn_relu

WIDTHS = (64, 64, 128, 256, 512)
"""Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input's size."""

BLOCKS = (3, 4, 6, 3)
"""Blocks at 1/4, 1/8, 1/16 and 1/32."""


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions and a short cut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_bn_relu(inputs, outputs, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, h/stride, w/stride)."""
        return self.relu(self.second(self.first(x)) + self.shortcut(x))  # type: ignore[no-any-return]


def _layer(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [BasicBlock(outputs, outputs) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(inputs, outputs, stride), *rest)


class ResNet34(nn.Module):
    """The five feature maps of a ResNet34, from a stack of any depth."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth, deepest = WIDTHS
        self.stem = nn.Sequential(
            nn.Conv2d(depth, half, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True)
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _layer(half, quarter, BLOCKS[0], stride=1)
        self.layer2 = _layer(quarter, eighth, BLOCKS[1], stride=2)
        self.layer3 = _layer(eighth, sixteenth, BLOCKS[2], stride=2)
        self.layer4 = _layer(sixteenth, deepest, BLOCKS[3], stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """(n, depth, h, w) → (n, 64, h/2, w/2), then 64 channels at 1/4, 128 at 1/8, 256 at 1/16, 512 at 1/32."""
        half = self.stem(x)
        quarter = self.layer1(self.pool(half))
        eighth = self.layer2(quarter)
        sixteenth = self.layer3(eighth)
        return half, quarter, eighth, sixteenth, self.layer4(sixteenth)
