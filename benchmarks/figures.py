"""Measures docs/figures.md anew: each command of that page, in order. Run by `make figures DATA=... OUT=...`.

    python benchmarks/figures.py DATA OUT [NAME ...]

DATA is a folder with `ct`, `infection-3d`, `infection-8mm` and `infection-2d`. What a command prints lies in
OUT/NAME.txt once it has come to its end; called again, only what is missing there is run. Nothing is asserted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMANDS = {
    "demo": "scanside demo",
    "consolidated": "python -m pytest -qs tests/export/test_accuracy.py -k denominator",
    "real-chests": "python -m pytest -qs tests/sweeps/real_chests.py",
    "kept-out": "scanside-export evaluate volumes --from infection-3d=DATA/infection-3d "
    "--case coronacases_008 --case radiopaedia_27_86410_0",
    "experts": "scanside-export evaluate volumes --from infection-3d=DATA/infection-3d",
    "experts-8mm": "scanside-export evaluate volumes --from infection-8mm=DATA/infection-8mm",
    "held-out": "scanside-export evaluate held-out --data DATA",
    "slices": "scanside-export evaluate slices --images DATA/infection-2d/labelled/images "
    "--masks DATA/infection-2d/labelled/masks",
    "slices-of-one": "scanside-export evaluate slices --images DATA/infection-2d/radiopaedia_14/images "
    "--masks DATA/infection-2d/radiopaedia_14/masks",
    "lungs": "scanside-export evaluate lungs --references tests/data/lungs --data DATA",
    "cuts": "scanside-export cuts --data DATA",
    "fluid": "scanside-export evaluate fluid --data DATA",
    "guards": "scanside-export guards --data DATA",
    "motion": "scanside-export motion measure --data DATA",
    "courses": "python benchmarks/courses.py",
    "repeatability": "python benchmarks/repeatability.py --data DATA",
    "made-cases": "python -m tests.sweeps.made_cases",
    "precision": "scanside-export evaluate precision --data DATA",
}
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """The number of commands that failed: their last words lie in OUT/NAME.part."""
    data, out, *names = sys.argv[1:]
    Path(out).mkdir(parents=True, exist_ok=True)
    return sum(not measured(name, Path(data).resolve(), Path(out).resolve()) for name in names or COMMANDS)


def measured(name: str, data: Path, out: Path) -> bool:
    """Whether the answer is there, from now or from before."""
    answer, part = out / f"{name}.txt", out / f"{name}.part"
    if not answer.exists():
        words = [word.replace("DATA", str(data)) for word in COMMANDS[name].split()]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with part.open("w") as file:
            ours = {**os.environ, "PATH": path, "SCANSIDE_DATA": str(data)}
            ended = subprocess.run(words, cwd=ROOT, env=ours, stdout=file, stderr=sys.stderr)
        if ended.returncode == 0:
            part.rename(answer)
    sys.stdout.write(f"{answer if answer.exists() else part}\n")
    sys.stdout.flush()
    return answer.exists()


if __name__ == "__main__":
    sys.exit(main())
