"""A bundle that is not in force yet is proved by a worker of its own.

Apart from the worker's client, which the daemon imports: what a proof says is known where the engines are.
"""

from __future__ import annotations

from pathlib import Path

from scanside_appliance.jobs.errors import BoxSelfTest
from scanside_appliance.jobs.messages import BundleOrder, Defect
from scanside_appliance.jobs.worker_client import LONGEST_START_S, WORKER, proof_of
from scanside_runtime.errors import ScansideError
from scanside_runtime.model.proof import WayTried
from scanside_runtime.process.child import Child, ChildDied
from scanside_runtime.process.limits import Limits
from scanside_runtime.process.messages import Failed
from scanside_runtime.settings.tables import Settings

_PROOFS: tuple[type[WayTried | Failed | Defect], ...] = (WayTried, Failed, Defect)


def prove_bundle(root: Path, folder: Path, settings: Settings) -> WayTried:
    """Let a worker of its own prove a bundle that is not in force yet: waited for.

    What ends the engine (a disk that does not give the engine's own files, among others) ends the worker alone.
    Raises ModelUnusable, BoxFailed (BoxSelfTest where there is no answer).
    """
    try:
        child = Child(WORKER, Limits(settings.jobs.memory_limit_mb, "written"))
    except OSError as error:
        raise BoxSelfTest(why=f"it can't be started ({error.strerror})") from error
    try:
        child.ask(BundleOrder(root, folder, settings.inference.threads))
        answer: WayTried | Failed | Defect | None = child.answer(_PROOFS, LONGEST_START_S)
    except ChildDied as died:
        raise BoxSelfTest(why=f"it ended {died.ending.how}") from died
    finally:
        child.end()
    proof = proof_of(answer)
    if isinstance(proof, ScansideError):
        raise proof
    return proof
