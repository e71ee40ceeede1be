"""What the losses reward, punish and leave out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scanside_export.training.losses import infection_loss, lung_loss

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

CERTAIN = 20.0
KNOWN = torch.ones(2, 32, 32)


def lungs() -> Tensor:
    """Background, right and left lung of two slices, (2, 3, 32, 32)."""
    target = torch.zeros(2, 3, 32, 32)
    target[:, 1, 8:24, 2:14] = 1.0
    target[:, 2, 8:24, 18:30] = 1.0
    target[:, 0] = 1.0 - target[:, 1] - target[:, 2]
    return target


def infection() -> Tensor:
    target = torch.zeros(2, 1, 32, 32)
    target[:, :, 10:20, 5:12] = 1.0
    return target


def certain(target: Tensor) -> Tensor:
    return CERTAIN * (2.0 * target - 1.0)


def test_a_perfect_answer_costs_next_to_nothing() -> None:
    assert float(lung_loss(certain(lungs()), lungs(), KNOWN)) < 1e-3
    assert float(infection_loss(certain(infection()), infection(), KNOWN)) < 1e-3


def test_slices_without_disease_answered_with_none_cost_next_to_nothing() -> None:
    nothing = torch.zeros(2, 1, 32, 32)
    assert float(infection_loss(certain(nothing), nothing, KNOWN)) < 1e-3


def test_missing_all_disease_costs_more_than_missing_half() -> None:
    half = infection()
    half[:, :, 15:] = 0.0
    none = torch.zeros_like(half)
    costs = [float(infection_loss(certain(answer), infection(), KNOWN)) for answer in (infection(), half, none)]
    assert costs[0] < costs[1] < costs[2]


def test_lungs_with_sides_swapped_cost_as_much_as_no_lungs() -> None:
    swapped = lungs()[:, [0, 2, 1]]
    none = torch.zeros_like(swapped)
    none[:, 0] = 1.0
    cost = float(lung_loss(certain(swapped), lungs(), KNOWN))
    assert cost > 1.0
    assert cost == pytest.approx(float(lung_loss(certain(none), lungs(), KNOWN)), rel=0.25)


@pytest.mark.parametrize(("loss", "target"), [(lung_loss, lungs()), (infection_loss, infection())])
def test_pixels_that_no_one_knows_teach_nothing(loss: Loss, target: Tensor) -> None:
    known = KNOWN.clone()
    known[:, :, 16:] = 0.0
    logits = torch.zeros_like(target, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(logits, target, known), logits)
    assert not gradient[..., 16:].any()
    assert gradient[..., :16].any()


def test_a_batch_of_which_nothing_is_known_costs_a_finite_amount() -> None:
    assert torch.isfinite(lung_loss(torch.zeros(2, 3, 32, 32), lungs(), torch.zeros(2, 32, 32)))


def test_infection_missed_costs_more_than_as_much_drawn_in_vain() -> None:
    target = infection()
    missed, in_vain = target.clone(), target.clone()
    missed[:, :, 10:13] = 0.0
    in_vain[:, :, 20:23, 5:12] = 1.0
    costs = [float(infection_loss(0.1 * certain(drawn), target, KNOWN)) for drawn in (missed, in_vain)]
    assert costs[0] > costs[1]


def test_a_small_lesion_beside_a_large_one_still_counts() -> None:
    target = torch.zeros(2, 1, 64, 64)
    target[0, :, 2:62, 2:62] = 1.0
    target[1, :, 30:42, 30:42] = 1.0
    drawn = target.clone()
    drawn[1] = 0.0
    known = torch.ones(2, 64, 64)
    missed = float(infection_loss(certain(drawn), target, known) - infection_loss(certain(target), target, known))
    entropy_alone = 3.0 * CERTAIN * 144 / target.numel()
    assert missed - entropy_alone > 0.1
