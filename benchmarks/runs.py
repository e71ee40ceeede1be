"""What the benchmarks that compare have in common: processes that are measured, and studies to measure them on.

Every job runs in a process of its own, as an installed program does: modules compiled before (`.peers/pycache`), the
networks as the engine compiled them kept from the first start on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.phantom.make import Phantom, demo_spec, make_phantom

HERE = Path(__file__).parent
PEERS = HERE.parent / ".peers"
COMMAND = "from scanside_appliance.cli.main import main; main()"
Found = dict[str, float]


@dataclass(frozen=True, slots=True)
class Studies:
    """Folders of DICOM files of one phantom patient, made when they are asked for.

    thick: 59 slices of 5 mm. The others are made of its slices, with noise of their own.
    """

    scratch: Path
    patient: Phantom

    @classmethod
    def in_folder(cls, scratch: Path) -> Studies:
        """The demo's patient."""
        return cls(scratch, make_phantom(demo_spec()))

    def thick(self, seed: int = 0) -> Path:
        """59 slices of 5 mm; each seed is a study of its own."""
        return self._written(f"thick-{seed}", 1, 5.0, seed)

    def thin(self) -> Path:
        """The same lungs in 236 slices of 1.25 mm."""
        return self._written("thin", 4, 1.25, 0)

    def long(self) -> Path:
        """295 slices of 5 mm, a patient five times as tall: what a slice costs, without that another is like it."""
        return self._written("long", 5, 5.0, 0)

    def settings(self) -> Path:
        """Settings by which lungs of any size are measured."""
        path = self.scratch / "settings.toml"
        path.write_text("[anatomy]\nlargest_ml = 100000.0\n")
        return path

    def _written(self, name: str, times: int, spacing_mm: float, seed: int) -> Path:
        folder, spacing = self.scratch / name, (spacing_mm, *self.patient.spacing_mm[1:])
        if not folder.exists():
            noise = np.random.default_rng(seed)
            hu = np.repeat(self.patient.hu, times, axis=0)
            for plane in hu:
                plane += noise.integers(-1, 2, plane.shape, dtype=np.int16)
            write_series(hu, spacing, folder, origin_mm=self.patient.origin_mm, slice_thickness_mm=spacing_mm)
        return folder


def analyze_command(folder: Path, out: Path, *before: str) -> list[str]:
    """`scanside analyze` with page, pictures and DICOM objects. before: options of `scanside` itself."""
    return [sys.executable, "-c", COMMAND, *before, "analyze", str(folder), "--output", str(out), "--json"]


def environment() -> dict[str, str]:
    """Ours, with the peers, and with modules that are kept compiled."""
    paths = [os.environ.get("PYTHONPATH", ""), str(PEERS)]
    kept = {"PYTHONPYCACHEPREFIX": str(PEERS / "pycache"), "XDG_CACHE_HOME": str(PEERS / "cache")}
    ours = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, **kept, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def whole(command: Sequence[str]) -> Found:
    """A process from its start to its end, children included; nothing where it fails."""
    run = [sys.executable, "-S", str(HERE / "one_run.py"), *command]
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout or "{}"))


def answer(job: str, *arguments: str) -> Found:
    """What a job of `peer_jobs.py` or `bar_jobs.py` says of itself; nothing where it fails."""
    module, _, name = job.rpartition("/")
    command = [sys.executable, str(HERE / f"{module or 'peer_jobs'}.py"), name, *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else {}


def middle(rounds: Sequence[Found], key: str) -> float | None:
    """The median of one figure; None where a round has none."""
    return median(one[key] for one in rounds) if rounds and all(key in one for one in rounds) else None


def lowest(rounds: Sequence[Found], key: str) -> float | None:
    """The least of one figure; None where a round has none."""
    return min(one[key] for one in rounds) if rounds and all(key in one for one in rounds) else None
