"""From the data folders to one folder of training cases: read once, lesions inserted, arrays that load by mapping."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from scanside_export.data import cases
from scanside_export.data.adapters.forms import read_form
from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN, Case, known_lungs
from scanside_export.data.drawn_lungs import drawn_lung_cases
from scanside_export.data.lesions import insert, pleural_consolidation, random_lesions
from scanside_export.data.lung_reference import reference_lungs
from scanside_export.data.packing import is_packed, load_packed
from scanside_export.data.volumes import real_volume
from scanside_export.errors import CasesUnusable, LabelsUnusable
from scanside_runtime.phantom.make import Lesion, make_phantom, random_spec
from scanside_runtime.progress import Progress

DIGEST = "digest.json"


@dataclass(frozen=True, slots=True)
class Background:
    """A real volume that may carry inserted lesions: which lungs are near-healthy, whole or from a slice to a slice."""

    path: str
    sides: tuple[int, ...] = (RIGHT, LEFT)
    slices: tuple[int, int] | None = None


BACKGROUNDS = (
    Background("nsclc-r01-001_thorax_2mm.npz"),
    Background("extra/lidc-idri-0001_2.5mm.npz"),
    Background("extra/lidc-idri-0003_2.5mm.npz"),
    Background("extra/cptac-lscc-c3n-00247_3mm.npz"),
    Background("extra/cmb-crc-msb-01068_2.5mm.npz"),
    Background("lidc-idri-0314_chest_2mm.npz", sides=(LEFT,)),
    Background("pyradiomics-lung1_5mm.npz", sides=(RIGHT,), slices=(2, 30)),
)
"""What `../ct/README.md` of the data calls near-healthy; the held-out patients are not among them."""


@dataclass(frozen=True, slots=True)
class Material:
    """Where training cases come from.

    data: the folder with infection-3d, infection-2d, lung-2d and ct. sources: (form, folder) of other labelled sets.
    variants: copies of each background with other lesions. phantoms: drawn thoraxes.
    permissive: of `data` only what may be used for anything, the near-healthy scans of ct.
    references: a folder of lungs drawn by eye on series of `data`, used as well.
    """

    data: Path | None
    sources: Sequence[tuple[str, Path]] = ()
    variants: int = 5
    phantoms: int = 150
    seed: int = 1000
    permissive: bool = False
    references: Path | None = None


def prepare(material: Material, out: Path, jobs: int = 1, progress: Progress | None = None) -> str:
    """Write every training case below `out`, by so many processes; returns the digest over all of them.

    progress: called with what was written, and how many of the parts are done. Raises LabelsUnusable where a folder is
    not of its form, or where two cases have one name.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / DIGEST).unlink(missing_ok=True)  # it speaks of whole cases: written last
    sums: dict[str, str] = {}
    parts = _parts(material)
    if progress is not None:
        progress("no case yet", 0, len(parts))
    for done, written in enumerate(_written(parts, out, jobs), start=1):
        for key, summary in written:
            if key in sums:
                raise LabelsUnusable(folder=out, why=f"two cases are called {key}")
            sums[key] = summary
        if progress is not None:
            progress(f"{len(sums)} cases written", done, len(parts))
    seed, sums_sorted = material.seed, sorted(sums.values())
    digest = hashlib.sha256("\n".join(sums_sorted).encode()).hexdigest()
    (out / DIGEST).write_text(json.dumps({"sha256": digest, "cases": len(sums), "seed": seed}))
    return digest


def load(folder: Path) -> list[Case]:
    """The cases that `prepare` wrote, mapped and not read; or those that `pack` wrote, read.

    Raises CasesUnusable where there is none.
    """
    if is_packed(folder):
        return load_packed(folder)
    found = [_load(path) for path in sorted(folder.glob("*/*/case.json"))]
    if not found:
        raise CasesUnusable(why=f"in {folder} is none")
    return found


def read_digest(folder: Path, left_out: Collection[str] = ()) -> str:
    """The digest of what `prepare` wrote, less the cases that a training leaves out.

    Raises CasesUnusable where `prepare` did not come to its end, or other cases lie beside what it wrote.
    """
    try:
        facts = json.loads((folder / DIGEST).read_text())
    except FileNotFoundError as error:
        raise CasesUnusable(why=f"prepare did not come to its end in {folder}") from error
    whole, there = str(facts["sha256"]), len(list(folder.glob("*/*/case.json")))
    if there and there != facts["cases"]:
        raise CasesUnusable(why=f"prepare wrote {facts['cases']} into {folder}, and {there} lie there")
    if not left_out:
        return whole
    return hashlib.sha256("\n".join([whole, *sorted(left_out)]).encode()).hexdigest()


Part = Callable[[], Iterable[Case]]
"""Some of the cases, read or drawn when it is called; no part needs another."""


def _parts(material: Material) -> list[Part]:
    parts: list[Part] = [partial(read_form, form, folder) for form, folder in material.sources]
    if material.data is not None:
        parts += _shared_parts(material.data, material)
        if material.references is not None:
            parts.append(partial(drawn_lung_cases, material.references, material.data))
    seeds = range(material.seed, material.seed + material.phantoms)
    return parts + [partial(_phantom_cases, seeds[start : start + 5]) for start in range(0, len(seeds), 5)]


def _shared_parts(data: Path, material: Material) -> Iterator[Part]:
    """The slow ones first."""
    if not material.permissive:
        yield partial(cases.infection_volumes, data / "infection-3d")
    for number, background in enumerate(BACKGROUNDS):
        rng = np.random.default_rng([material.seed, number])
        yield partial(_with_lesions, data / "ct" / background.path, background, material.variants, rng)
    if not material.permissive:
        yield partial(cases.infection_slices, data / "infection-2d")
        yield partial(cases.lung_slices, data / "lung-2d")


def _written(parts: Sequence[Part], out: Path, jobs: int) -> Iterator[list[tuple[str, str]]]:
    """Name and checksum of each case, part by part."""
    if jobs == 1:
        yield from (_write(out, part) for part in parts)
        return
    # A forked process would wait for ever for the threads that OpenCV had before the fork.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_end_with_the_parent) as pool:
        yield from pool.map(partial(_write, out), parts)


def _end_with_the_parent() -> None:
    """A process whose parent was ended by a signal would wait for its next part for ever."""

    def wait() -> None:
        if parent := parent_process():
            parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def _write(out: Path, part: Part) -> list[tuple[str, str]]:
    # NumPy's pool of threads gains nothing on these small products; beside other processes it waits for cores instead.
    with threadpool_limits(1, user_api="blas"):
        return [(f"{case.source}/{case.name}", _store(case, out)) for case in part()]


def _with_lesions(path: Path, background: Background, variants: int, rng: np.random.Generator) -> Iterator[Case]:
    """A real volume as it is, and `variants` copies with other lesions inserted at native resolution."""
    clean = near_healthy(path, background)
    yield clean
    for variant in range(variants):
        yield sick_copy(clean, variant, rng)


def near_healthy(path: Path, background: Background) -> Case:
    """The near-healthy part of a real volume, its lungs by the reference; a sick lung's half is marked as not known."""
    volume = real_volume(path)
    hu, spacing_mm = np.asarray(volume.hu), volume.spacing_mm
    lungs = reference_lungs(hu, spacing_mm)
    near = np.flatnonzero((lungs > 0).any(axis=(1, 2)))
    keep = slice(max(0, near[0] - 8), near[-1] + 9) if background.slices is None else slice(*background.slices)
    hu, lungs = hu[keep], lungs[keep].copy()
    for side in {RIGHT, LEFT} - set(background.sides):
        forget(lungs, side)
    name = path.name.removesuffix(".npz").removesuffix(".tar.xz")
    return Case(f"{name}_clean", "real", hu, spacing_mm, lungs, (np.zeros(hu.shape, np.bool_),))


def sick_copy(clean: Case, variant: int, rng: np.random.Generator) -> Case:
    """A near-healthy case with lesions inserted; every second variant has a large consolidation in one lung as well."""
    healthy = known_lungs(clean.lungs)
    lesions = random_lesions(healthy, clean.spacing_mm, rng, float(rng.random()), clean.hu)
    if variant % 2:
        sides = [side for side in (RIGHT, LEFT) if (clean.lungs == side).any()]
        lung = clean.lungs == sides[variant // 2 % len(sides)]
        lesions.append(pleural_consolidation(lung, clean.spacing_mm, float(rng.uniform(0.08, 0.5)), rng))
    sick, infection = insert(clean.hu, healthy, clean.spacing_mm, lesions, rng)
    name = f"{clean.name.removesuffix('_clean')}_{variant}"
    return replace(clean, name=name, hu=sick, infection=(infection,))


def forget(lungs: npt.NDArray[np.uint8], side: int) -> None:
    """The half of the body with the sick lung is marked as not known, and what of that lung reaches over the border."""
    x = np.nonzero(lungs == (LEFT if side == RIGHT else RIGHT))[2]
    border = int(x.min() if side == RIGHT else x.max())
    half = lungs[:, :, :border] if side == RIGHT else lungs[:, :, border + 1 :]
    half[...] = UNKNOWN
    lungs[lungs == side] = UNKNOWN


def _phantom_cases(seeds: Iterable[int]) -> Iterator[Case]:
    return map(_phantom_case, seeds)


def _phantom_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    spec = random_spec(seed, slice_thickness_mm=float(rng.choice([3.0, 5.0, 5.0, 8.0, 10.0])), matrix=256)
    if seed % 3:
        spec = replace(spec, lesions=(*spec.lesions, _large_consolidation(rng)))
    # A full stomach has been taken for consolidated lung.
    spec = replace(spec, stomach_food=bool(rng.random() < 0.5))
    phantom = make_phantom(spec)
    lungs = (phantom.right_lung * RIGHT + phantom.left_lung * LEFT).astype(np.uint8)
    return Case(f"phantom_{seed}", "phantom", phantom.hu, phantom.spacing_mm, lungs, (phantom.infection,))


def _large_consolidation(rng: np.random.Generator) -> Lesion:
    """A dense lesion, often of a good part of one lung: without such, dense lung is taken for chest wall or liver.

    Two of three phantoms carry one.
    """
    radius_mm = float(rng.uniform(18.0, 75.0))
    z, y, x = (float(value) for value in radius_mm * rng.uniform(0.8, 1.3, 3))
    return Lesion(
        kind="consolidation",
        side="right" if rng.random() < 0.5 else "left",
        height=float(rng.uniform(0.1, 0.7)),
        azimuth_deg=float(rng.uniform(0.0, 130.0)),
        reach=float(rng.uniform(0.8, 1.05)),
        radii_mm=(z, y, x),
        mean_hu=float(rng.uniform(-10.0, 60.0)),
        edge=float(rng.uniform(0.06, 0.22)),
        softness_mm=float(rng.uniform(1.0, 4.0)),
    )


def _store(case: Case, out: Path) -> str:
    folder = out / case.source / case.name
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[Any]] = {"hu": case.hu, "lungs": case.lungs}
    arrays |= {f"infection{n}": mask for n, mask in enumerate(case.infection)}
    summary = hashlib.sha256()
    for name, array in arrays.items():
        summary.update(np.ascontiguousarray(array).tobytes())
        np.save(folder / f"{name}.npy", array)
    facts = {
        "spacing_mm": case.spacing_mm,
        "readers": len(case.infection),
        "slice_thickness_mm": case.slice_thickness_mm,
    }
    (folder / "case.json").write_text(json.dumps(facts))
    return f"{case.source}/{case.name} {summary.hexdigest()}"


def _load(path: Path) -> Case:
    folder, facts = path.parent, json.loads(path.read_text())
    hu, lungs = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("hu", "lungs"))
    readers = tuple(np.load(folder / f"infection{n}.npy", mmap_mode="r") for n in range(facts["readers"]))
    dz, dy, dx = facts["spacing_mm"]
    thickness_mm = facts.get("slice_thickness_mm")
    return Case(folder.name, folder.parent.name, hu, (dz, dy, dx), lungs, readers, thickness_mm)
