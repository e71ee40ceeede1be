"""What the networks are asked to make small: cross entropy and one minus soft Dice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 50.0
"""Pixels added above and below the Dice fraction, so that a slice without disease is no cliff."""

MISSED = 0.6
"""Share of a missed pixel in the infection's Tversky fraction, a false one has the rest: drawing too little is the
failure seen (Salehi et al., MLMI 2017)."""


def infection_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """logits, target (n, 1, h, w), known (n, h, w) → scalar.

    Overlap counts for the batch and for each slice: in a batch alone, large lesions drown the small ones.
    """
    weight = known[:, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum") / weight.sum()
    chance, wanted = torch.sigmoid(logits) * weight, target * weight
    overlaps = _tversky_loss(chance, wanted, (0, 1, 2, 3)) + _tversky_loss(chance, wanted, (1, 2, 3))
    return 3.0 * entropy + 0.5 * overlaps


def lung_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """logits, target (n, 3, h, w), known (n, h, w) → scalar."""
    entropy = (functional.cross_entropy(logits, target, reduction="none") * known).sum() / known.sum().clamp(min=1.0)
    chance, weight = torch.softmax(logits, dim=1), known[:, None]
    sides = [_dice_loss(chance[:, n : n + 1] * weight, target[:, n : n + 1] * weight) for n in (1, 2)]
    return 3.0 * entropy + 0.5 * (sides[0] + sides[1])


def _dice_loss(chance: Tensor, target: Tensor) -> Tensor:
    overlap = (chance * target).sum()
    return 1.0 - (2.0 * overlap + SMOOTH) / (chance.sum() + target.sum() + SMOOTH)


def _tversky_loss(chance: Tensor, target: Tensor, over: tuple[int, ...]) -> Tensor:
    """One minus the Tversky fraction over the given dimensions, the mean of the others."""
    overlap = (chance * target).sum(over)
    wrong = (1.0 - MISSED) * (chance.sum(over) - overlap) + MISSED * (target.sum(over) - overlap)
    return (1.0 - (overlap + SMOOTH) / (overlap + wrong + SMOOTH)).mean()
