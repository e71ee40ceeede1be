"""Damages good files at random and reads them: nothing may come of it but our own errors.

`python -m tests.sweeps.fuzz_reader [--minutes 20] [--seed 0]` (`make fuzz`). A worker process mutates, reads headers,
chooses a series and decodes, thousands of times; it lives within the reader's own limits. Where it ends (a decoder
that aborts, no memory, no time), the same bytes go through `StudyReader`, as a study would, and must come out as a
refusal. What is neither is a finding: it is printed, and its bytes are kept.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from scanside_runtime.dicom.decode import read_volume
from scanside_runtime.dicom.index import find_series
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.dicom.reader_child import limits_of
from scanside_runtime.dicom.series import choose_series
from scanside_runtime.errors import ScansideError
from scanside_runtime.phantom.dicom_writer import Storage, write_series
from scanside_runtime.settings.reading import ReadingSettings

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
)
LIMITS = ReadingSettings(memory_mb=640, file_seconds=20.0, study_seconds=60.0)
HANGS_AFTER_S = 300.0
WITHOUT_END = 10**9
SLICES = 10
# Lengths and markers that parsers stumble over: undefined length, item, delimiters, sequences, JPEG and JPEG 2000.
DICTIONARY = (
    b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xfe\xff\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0",
    b"\xfe\xff\xdd\xe0", b"SQ\x00\x00", b"OB\x00\x00", b"UN\x00\x00", b"UT\x00\x00", b"\xe0\x7f\x10\x00",
    b"\xff\xd8", b"\xff\xc3", b"\xff\xc4", b"\xff\xda", b"\xff\xd9", b"\xff\xf7", b"\xff\xf8", b"\xff\x4f\xff\x51",
    b"\xff\x93", b"\x7f\xff", b"\x80\x00", b"1.2.840.10008.1.2.4.70", b"\\\\\\\\", b"1e400", b"nan",
)  # fmt: skip


def seed_files(folder: Path) -> list[list[Path]]:
    """A small series in each transfer syntax."""
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 500, (SLICES, 24, 20)).astype(np.int16)
    return [
        write_series(hu, (11.0, 4.0, 5.0), folder / syntax, stored=Storage(transfer_syntax=syntax))
        for syntax in SYNTAXES
    ]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to six changes: bits, bytes, words of the dictionary, pieces lost, doubled or moved."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(changed)) if changed else 0
        length = min(rng.choice((1, 2, 4, 8, 64, 512)), len(changed) - at)
        match rng.randrange(6):
            case 0 if changed:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at : at + length] = rng.randbytes(length)
            case 2:
                word = rng.choice(DICTIONARY)
                changed[at : at + len(word)] = word
            case 3:
                del changed[at : at + length]
            case 4:
                changed[at:at] = changed[at : at + length]
            case _:
                changed = changed[: rng.randrange(len(changed) + 1)]
    return bytes(changed)


def make_case(folder: Path, seeds: list[list[Path]], number: int, seed: int) -> None:
    """Case `number` of a run: a whole series of which one file is damaged; the same numbers, the same bytes."""
    rng = random.Random(seed * 1_000_003 + number)
    series = rng.choice(seeds)
    victim = rng.randrange(len(series))
    for old in folder.iterdir():
        old.unlink()
    for index, path in enumerate(series):
        data = path.read_bytes()
        (folder / path.name).write_bytes(mutated(data, rng) if index == victim else data)


def read_in_process(folder: Path) -> str:
    """What the reader's process does, without a process of its own: the code that comes of it, or "read"."""
    try:
        read_volume(choose_series(find_series(folder, LIMITS), limits=LIMITS), LIMITS)
    except ScansideError as error:
        return error.code
    return "read"


def read_as_a_study(folder: Path) -> str:
    """What a study would go through."""
    try:
        with StudyReader(LIMITS) as reader:
            reader.read_volume(choose_series(reader.find(folder), limits=LIMITS))
    except ScansideError as error:
        return error.code
    return "read"


def work(scratch: Path, first: int, seed: int, ends_at: float, cases: int) -> None:
    """Cases from `first` on until the time is over, or there were enough; says each number before it, and what came."""
    limits_of(LIMITS).apply()
    seeds = [sorted((scratch / "seeds" / syntax).iterdir()) for syntax in SYNTAXES]
    number = first
    while time.time() < ends_at and number < cases:
        sys.stdout.write(f"{number} ")
        sys.stdout.flush()
        make_case(scratch / "case", seeds, number, seed)
        sys.stdout.write(read_in_process(scratch / "case") + "\n")
        number += 1


def fuzz(seconds: float, seed: int, keep: Path, cases: int = WITHOUT_END) -> tuple[Counter[str], list[str]]:
    """How often each code came in so much time, or so many cases, and the findings; the bytes of each are kept."""
    codes: Counter[str] = Counter()
    findings: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        seed_files(folder / "seeds")
        (folder / "case").mkdir()
        number, ends_at = 0, time.time() + seconds
        while time.time() < ends_at and number < cases:
            lines, how = run_worker(folder, number, seed, ends_at, cases)
            codes.update(line.split()[1] for line in lines if " " in line.strip())
            number += len(lines)
            if how is None:
                continue
            code = judged_again(folder / "case")
            codes[f"{code} after {how}"] += 1
            if code.startswith("FINDING"):
                findings.append(f"case {number - 1} of seed {seed}: {code} ({how})")
                keep_case(folder / "case", keep / f"{seed}-{number - 1}")
    return codes, findings


def run_worker(folder: Path, first: int, seed: int, ends_at: float, cases: int) -> tuple[list[str], str | None]:
    """The lines of one worker, and how it ended; None where its time was over, or its cases were done."""
    command = [sys.executable, __file__, "--worker", *map(str, (folder, first, seed, ends_at, cases))]
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the same sources as here
        worker = subprocess.Popen(command, stdout=said, stderr=complained, env=environment)
        how = wait_or_kill(worker, said.fileno(), ends_at)
        said.seek(0)
        complained.seek(0)
        lines, last_words = said.read().splitlines(), complained.read().strip().splitlines()[-1:]
    if worker.returncode == 0:
        return lines, None
    return lines, how or f"{' '.join(last_words)[:120]} ({worker.returncode})"


def wait_or_kill(worker: subprocess.Popen[bytes], said: int, ends_at: float) -> str | None:
    """Waits for the end of a worker; one that says nothing for long hangs and is killed."""
    size, since = -1, time.time()
    while worker.poll() is None:
        time.sleep(0.05)
        if os.fstat(said).st_size != size:
            size, since = os.fstat(said).st_size, time.time()
        if time.time() - since > HANGS_AFTER_S or time.time() > ends_at + HANGS_AFTER_S:
            worker.kill()
            worker.wait()
            return "a hang"
    return None


def judged_again(folder: Path) -> str:
    """What a study with these bytes comes to: a code of ours, or a finding."""
    try:
        return read_as_a_study(folder)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
        return f"FINDING {type(error).__name__}: {error}"


def keep_case(case: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in case.iterdir():
        (target / file.name).write_bytes(file.read_bytes())


def main() -> int:
    """The command; 1 where there are findings."""
    if "--worker" in sys.argv:
        folder, first, seed, ends_at, cases = sys.argv[-5:]
        pydicom.config.logger.setLevel("CRITICAL")
        work(Path(folder), int(first), int(seed), float(ends_at), int(cases))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="where the bytes of findings go")
    wanted = parser.parse_args()
    codes, findings = fuzz(60 * wanted.minutes, wanted.seed, wanted.keep)
    for code, count in codes.most_common():
        sys.stdout.write(f"{count:>8} {code}\n")
    sys.stdout.write("".join(f"{finding}\n" for finding in findings))
    sys.stdout.write(f"{sum(codes.values())} cases, {len(findings)} findings\n")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
