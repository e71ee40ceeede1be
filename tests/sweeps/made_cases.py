"""Studies as they go wrong, made by code: what is done to a chest, and the verdict and code that must come of it.

`python -m tests.sweeps.made_cases` makes each, analyses it, and prints verdict, code, seconds and the peak memory of
the reader; `test_made_cases.py` holds them to what the tables say.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
from pathlib import Path

from kit import cases_good, cases_input, cases_persons, cases_pixels, cases_series
from kit.bundle_samples import write_bundle
from kit.case_kit import CASES, judge

TABLES = (cases_good, cases_input, cases_persons, cases_pixels, cases_series)


def main() -> int:
    """All cases as a table, or those whose names are given; 1 where one is not what it must be."""
    wrong = 0
    chosen = [one for one in CASES if one.name in sys.argv[1:] or not sys.argv[1:]]
    with tempfile.TemporaryDirectory() as scratch:
        bundle = write_bundle(Path(scratch, "bundle")).folder
        for number, one in enumerate(chosen):
            folder = Path(scratch, str(number))
            folder.mkdir()
            found = judge(one, folder, bundle)
            right = (found.verdict, found.code) == (one.verdict, one.code) and set(one.flags) <= set(found.flags)
            wrong += not right
            said = found.code or " ".join(found.flags) or "-"
            marks = "right" if right else f"WRONG, must be {one.code or one.flags}"
            sys.stdout.write(f"{one.name:<62} {said:<34} {found.seconds:5.1f} s {marks}\n")
            shutil.rmtree(folder)
    reader_mb, own_mb = (
        resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)
    )
    sys.stdout.write(f"{len(chosen)} cases, {wrong} wrong; at most {reader_mb} MB in the reader, {own_mb} MB here\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
