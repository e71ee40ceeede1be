"""Batches of drawn samples, the next ones built while the last one is learned."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scanside_export.data.samples import Sample, Sampler

Batch = tuple[Tensor, Tensor, Tensor]
"""stack (n, depth, h, w), target (n, classes, h, w) and known (n, h, w), all float32."""


def batches(sampler: Sampler, steps: range, workers: int = 0) -> Iterator[Batch]:
    """The recipe's batches of these steps, the same ones however many processes draw them.

    workers: 0 draws in a thread beside the learning, enough for a CPU; a GPU wants several processes.
    """
    # OpenCV's threads don't survive the fork of a worker, and a worker that asks them for help waits for ever. Drawing
    # needs none of them, and without them each pixel is computed in the same way whoever draws.
    cv2.setNumThreads(1)
    return _by_processes(sampler, steps, workers) if workers else _by_thread(sampler, steps)


def _by_thread(sampler: Sampler, steps: range) -> Iterator[Batch]:
    def draw(step: int) -> Batch:
        return _stacked([sampler.draw(number) for number in _numbers(sampler, step)])

    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(draw, steps.start)
        for step in steps:
            batch = coming.result()
            coming = pool.submit(draw, min(step + 1, steps.stop - 1))
            yield batch


def _by_processes(sampler: Sampler, steps: range, workers: int) -> Iterator[Batch]:
    numbers = [list(_numbers(sampler, step)) for step in steps]
    return iter(
        DataLoader(
            _Drawn(sampler),
            batch_sampler=numbers,
            num_workers=workers,
            collate_fn=_stacked,
            worker_init_fn=_one_core,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=8,
            # The cases are mapped files and the sampler keeps plans: a forked worker has both at once.
            multiprocessing_context="fork",
        )
    )


class _Drawn(Dataset[Sample]):
    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def __getitem__(self, number: int) -> Sample:
        return self.sampler.draw(number)


def _numbers(sampler: Sampler, step: int) -> range:
    size = sampler.recipe.batch
    return range(step * size, (step + 1) * size)


def _stacked(samples: Sequence[Sample]) -> Batch:
    stack, target, known = (
        torch.from_numpy(np.stack([getattr(sample, name) for sample in samples]))
        for name in ("stack", "target", "known")
    )
    return stack, target, known


def _one_core(_worker: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C, `timeout` and `kill -- -GROUP` ask the whole group: the training decides when it ends, and needs its
    # batches until then. A worker notices by itself, in seconds, that the training is gone.
    os.setpgid(0, 0)
