"""What the networks are asked to make small: cross entropy and one minus the soft Dice of the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 50.0
"""Pixels added above and below the Dice fraction, so that a batch without disease is no cliff."""


def infection_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """logits, target (n, 1, h, w), known (n, h, w) → scalar."""
    weight = known[:, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum") / weight.sum()
    return 3.0 * entropy + _dice_loss(torch.sigmoid(logits) * weight, target * weight)


def lung_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """logits, target (n, 3, h, w), known (n, h, w) → scalar."""
    entropy = (functional.cross_entropy(logits, target, reduction="none") * known).sum() / known.sum().clamp(min=1.0)
    chance, weight = torch.softmax(logits, dim=1), known[:, None]
    sides = [_dice_loss(chance[:, n : n + 1] * weight, target[:, n : n + 1] * weight) for n in (1, 2)]
    return 3.0 * entropy + 0.5 * (sides[0] + sides[1])


def _dice_loss(chance: Tensor, target: Tensor) -> Tensor:
    overlap = (chance * target).sum()
    return 1.0 - (2.0 * overlap + SMOOTH) / (chance.sum() + target.sum() + SMOOTH)
