"""The self-test of a box: made in one way whoever asks, and what it found, in `selftest.json` below the root."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scanside_appliance.files.atomic import replace_json, writing
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.tuned import LARGEST_BYTES, read_tuning
from scanside_runtime.model.proof import Proof, preferred_way, proof_of

if TYPE_CHECKING:
    from scanside_runtime.model.bundle import Bundle
    from scanside_runtime.model.networks import KeptNetworks


def read_proof(root: Path) -> Proof | None:
    """The last self-test; None where there was none, or none that can be read: the next one begins anew."""
    proof = _read(root)
    return proof if proof is not None and proof.came_to_an_end else None


def _read(root: Path) -> Proof | None:
    """The same, also one that was cut short."""
    try:
        with BoxLayout(root).proof.open("rb") as file:
            return proof_of(file.read(LARGEST_BYTES))
    except OSError:
        return None


def prove_box(
    root: Path, bundle: Bundle, threads: int, *, networks: KeptNetworks | None = None, keep: bool = False
) -> Proof:
    """Let this box prove a bundle in the way in which it computes, or in the next one that is right.

    keep: write it down for what analyses on this box, and before it what is about to be tried.
    Raises ModelUnusable for a bundle that is damaged, with `keep` BoxOutput where the disk fails.
    """
    from scanside_runtime.model.selftest import prove

    kept: Callable[[Proof], None] = partial(_keep, root) if keep and os.access(root, os.W_OK) else lambda _: None
    proof = prove(bundle, preferred_way(bundle, threads, read_tuning(root)), _read(root), networks, kept)
    kept(proof)
    return proof


def _keep(root: Path, proof: Proof) -> None:
    with writing(root):
        replace_json(BoxLayout(root).proof, proof.to_document())
