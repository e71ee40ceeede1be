"""Training samples, drawn at random and built through `runtime.stacks`: preprocessing exists once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from scanside_export.data.abdomens import with_abdomen
from scanside_export.data.augment import Augment, moved, rescanned
from scanside_export.data.cases import ELSEWHERE, LEFT, RIGHT, UNKNOWN, Case, known_lungs
from scanside_export.data.couches import with_couch
from scanside_export.data.effusions import with_dense_lung, with_effusion
from scanside_export.data.lesions import insert, large_consolidation, random_lesions
from scanside_export.data.recipe import Recipe
from scanside_export.errors import CasesUnusable
from scanside_runtime.model.stacks import (
    PlaneMap,
    Slabs,
    body_box,
    mask_box,
    neighbours,
    plan_slabs,
    plane_map,
    slab_hu,
    windowed,
)
from scanside_runtime.volume import HU_MIN, Floats

NEIGHBOUR_DROPPED = 0.08
"""How often a stack has only its middle slab, as at the ends of a series."""

FEWEST_SEEDS = 20
"""Stacks with less lung than this, counted on every second slice, fourth row and column, get no fresh lesion."""

OWN_NEIGHBOUR_MM = 2.9
"""Series with thinner slices than this are averaged to a drawn thickness."""

CROPPED = ("infection-3d", "real", "phantom")
"""Sources whose pictures end at the body, or have one couch in all of them: a recipe may draw others."""


AT_DOME = 0.85
"""Slices with less lung than this share of the fullest one show a dome, or lie below it."""

FAR_BELOW_MM = 80.0
"""Farther below the lowest lung no abdomen is asked for."""

DOME_MM = 60.0
DOME_STEP_MM = 8.0
"""Lung as high as this above a slab stands over its abdomen; every so often is looked."""

ORGANS = 0.65
"""How often a picture at or below a dome gets an organ; the others show what the patient has."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What the network sees and what it should say.

    stack: (depth, h, w) float32 in 0..1. target: (classes, h, w) float32. known: (h, w) float32, 0 where no one knows.
    """

    stack: Floats
    target: Floats
    known: Floats


class Sampler:
    """Draws samples by a recipe; the same seed draws the same samples. Raises CasesUnusable where it has no case."""

    def __init__(self, cases: Sequence[Case], recipe: Recipe) -> None:
        self.recipe = recipe
        self.contract = recipe.contract("")
        self.augment = Augment(**recipe.augment)
        useful = [case for case in cases if recipe.shares.get(case.source, 0.0) > 0 and _is_useful(case, recipe)]
        self.by_source = {source: [case for case in useful if case.source == source] for source in recipe.shares}
        if not useful:
            wanted = ", ".join(source for source, share in recipe.shares.items() if share > 0)
            there = ", ".join(sorted({case.source for case in cases})) or "nothing"
            why = f"the recipe draws {recipe.network} from {wanted}; what is there, {there}, has no such label"
            raise CasesUnusable(why=why)
        shares = np.array([recipe.shares[source] if self.by_source[source] else 0.0 for source in recipe.shares])
        self.sources, self.chances = list(recipe.shares), shares / shares.sum()
        self.boxes = {id(case): _box(case, recipe.network) for case in useful}
        self.wanted = {id(case): _wanted_slices(case, recipe.network) for case in useful}
        self.low = {id(case): low_slices(case.lungs, case.spacing_mm[0]) for case in useful if recipe.abdomens}
        self.plan = lru_cache(maxsize=4096)(self._plan)

    def draw(self, number: int) -> Sample:
        """Sample `number` of the recipe's endless row."""
        rng = np.random.default_rng((self.recipe.seed, number))
        cases = self.by_source[self.sources[rng.choice(len(self.sources), p=self.chances)]]
        case = cases[rng.integers(len(cases))]
        thickness_mm = float(rng.choice(self.recipe.slab_mm))
        phase = int(rng.integers(min(len(case.hu), max(1, round(thickness_mm / case.spacing_mm[0])))))
        slabs, stacks = self.plan(len(case.hu) - phase, case.spacing_mm[0], thickness_mm)
        low = self._is_low(case, rng)
        slab = self._slab(case, slabs, phase, low, rng)
        stack = stacks[slab]
        if rng.random() < NEIGHBOUR_DROPPED:
            stack = np.full_like(stack, slab)
        return self._build(case, phase, slabs, stack, low and rng.random() < ORGANS, rng)

    def _plan(self, slices: int, increment_mm: float, thickness_mm: float) -> tuple[Slabs, npt.NDArray[np.intp]]:
        contract = replace(self.contract, slab_mm=thickness_mm, thin_below_mm=OWN_NEIGHBOUR_MM)
        slabs = plan_slabs(slices, increment_mm, None, contract)
        return slabs, neighbours(slabs.centres_mm, contract.stack_step_mm, contract.stack_depth)

    def _is_low(self, case: Case, rng: np.random.Generator) -> bool:
        """Whether a sample is to show the dome of a diaphragm, or what is below it."""
        return bool(self.recipe.abdomens and rng.random() < self.recipe.abdomens and len(self.low[id(case)]))

    def _slab(self, case: Case, slabs: Slabs, phase: int, low: bool, rng: np.random.Generator) -> int:
        """Lungs where they are known; infection in seven of ten where there is some, the others anywhere."""
        wanted = self.low[id(case)] if low else self.wanted[id(case)]
        wanted = wanted[wanted >= phase] - phase
        if len(wanted) and (self.recipe.network == "lungs" or rng.random() < 0.7):
            return int(slabs.owner[wanted[rng.integers(len(wanted))]])
        return int(rng.integers(len(slabs)))

    def _build(
        self, case: Case, phase: int, slabs: Slabs, stack: npt.NDArray[np.intp], organ: bool, rng: np.random.Generator
    ) -> Sample:
        contract = self.contract
        place = plane_map(case.hu.shape[1:], case.spacing_mm[1:], self.boxes[id(case)], contract)
        place, flipped = moved(place, contract.pixel_mm, self.augment, rng)
        weights = slabs.weights[stack]
        fresh = np.zeros(contract.matrix, dtype=np.float32)
        if case.source == "real" and rng.random() < self.recipe.fresh_lesions:
            hu, fresh = self._with_fresh_lesions(case, phase, weights, place, rng)
        else:
            hu = np.stack([place.forward(slab_hu(case.hu[phase:], one), HU_MIN) for one in weights])
        middle = weights[len(weights) // 2]
        filled = np.zeros(contract.matrix, dtype=np.bool_)
        if organ:
            hu, filled = with_abdomen(hu, _room(case, phase, middle, place), contract.pixel_mm, rng)
        hu, gone = self._with_pleura(hu, case.lungs[phase:], middle, place, rng)
        hu, around = self._with_couch(hu, case, rng)
        hu = rescanned(hu, self.augment, rng)
        if self.recipe.network == "lungs":
            target, known = _lung_target(case.lungs[phase:], middle, place, flipped)
            target[0] += (target[1:] * gone).sum(axis=0)
            target[1:] *= 1.0 - gone
            known[around | filled | (gone > 0.5)] = 1.0
        else:
            reader = case.infection[rng.integers(len(case.infection))]
            target = np.maximum(_share(reader[phase:], middle, place), fresh)[None]
            known = np.ones(contract.matrix, dtype=np.float32)
        return Sample(windowed(hu, contract.window_hu), target, known)

    def _with_pleura(
        self, hu: Floats, lungs: npt.NDArray[np.uint8], weights: Floats, place: PlaneMap, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """A stack, now and then with dense lung or with fluid for lung; and how much of each pixel fluid took."""
        dense, fluid = self.recipe.dense_lungs, self.recipe.effusions
        gone = np.zeros(hu.shape[1:], dtype=np.float32)
        if not (dense or fluid) or self.recipe.network != "lungs":
            return hu, gone
        used = np.flatnonzero(weights)
        some = np.asarray(lungs[used])
        sides = np.stack([_share(some == side, weights[used], place) > 0.5 for side in (RIGHT, LEFT)])
        if rng.random() < dense:
            hu = with_dense_lung(hu, sides, self.contract.pixel_mm, rng)
        return with_effusion(hu, sides, self.contract.pixel_mm, rng) if rng.random() < fluid else (hu, gone)

    def _with_couch(self, hu: Floats, case: Case, rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """A stack, now and then with what lies around a patient; and where that is, which is surely no lung."""
        if self.recipe.couches and case.source in CROPPED and rng.random() < self.recipe.couches:
            return with_couch(hu, self.contract.pixel_mm, rng)
        return hu, np.zeros(hu.shape[1:], dtype=np.bool_)

    def _with_fresh_lesions(
        self, case: Case, phase: int, weights: Floats, place: PlaneMap, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """A stack with lesions inserted before its slices are averaged, and how much of each middle pixel is infected.

        weights: (depth, z), each slab's. Returns hu (depth, rows, columns) float32, and (rows, columns) in 0..1.
        """
        slab = np.flatnonzero(weights.any(axis=0))
        planes = [place.forward(np.asarray(case.hu[phase + n], np.float32), HU_MIN) for n in slab]
        hu, shares = np.rint(np.stack(planes)).astype(np.int16), weights[:, slab]
        lungs = np.stack([_lungs_on(case.lungs[phase + n], place) for n in slab])
        infection = np.zeros(hu.shape, dtype=np.bool_)
        if lungs[::2, ::4, ::4].sum() >= FEWEST_SEEDS:
            spacing_mm = (case.spacing_mm[0], self.contract.pixel_mm, self.contract.pixel_mm)
            lesions = random_lesions(lungs, spacing_mm, rng, 0.5 * float(rng.random()), hu)
            if rng.random() < self.recipe.large_consolidations:
                lesions.append(large_consolidation(lungs, rng))
            hu, infection = insert(hu, lungs, spacing_mm, lesions, rng)
        slabs, infected = (np.tensordot(shares, array.astype(np.float32), axes=1) for array in (hu, infection))
        return slabs, infected[len(infected) // 2]


def _is_useful(case: Case, recipe: Recipe) -> bool:
    if recipe.network == "lungs":
        return bool((np.asarray(case.lungs[::4]) != UNKNOWN).any())
    return len(case.infection) > 0


def _box(case: Case, network: str) -> tuple[float, float, float, float]:
    if network == "lungs":
        return body_box(case.hu)
    known = known_lungs(np.asarray(case.lungs))
    rows, columns = case.hu.shape[1:]
    return mask_box(known) or (0.0, 0.0, rows - 1.0, columns - 1.0)


def _wanted_slices(case: Case, network: str) -> npt.NDArray[np.intp]:
    if network == "lungs":
        return np.flatnonzero((np.asarray(case.lungs) != UNKNOWN).any(axis=(1, 2)))
    return np.flatnonzero(np.any([mask.any(axis=(1, 2)) for mask in case.infection], axis=0))


def low_slices(lungs: npt.NDArray[np.uint8], increment_mm: float) -> npt.NDArray[np.intp]:
    """Slices at the dome of a diaphragm and below it, feet first: lungs (z, y, x) in values of `Case.lungs`.

    From the slice with the most lung down, those that have clearly less, as far as anything is known of them.
    """
    coarse = np.asarray(lungs[:, ::4, ::4])
    area = np.count_nonzero(known_lungs(coarse), axis=(1, 2))
    below = np.flatnonzero(area[: int(np.argmax(area))] < AT_DOME * area.max())
    lowest = int(np.argmax(area > 0))
    near = below[below >= lowest - FAR_BELOW_MM / increment_mm]
    return np.asarray(near[(coarse[near] != UNKNOWN).any(axis=(1, 2))])


def _room(case: Case, phase: int, weights: Floats, place: PlaneMap) -> npt.NDArray[np.bool_]:
    """Where lung stands above a slab and none is in it, on the network's plane: below the dome of a diaphragm."""
    used = np.flatnonzero(weights) + phase
    here = np.asarray(case.lungs[used])
    step = max(1, round(DOME_STEP_MM / case.spacing_mm[0]))
    above = np.asarray(case.lungs[used[-1] + 1 : used[-1] + 1 + round(DOME_MM / case.spacing_mm[0]) : step])
    none_here = ((here == 0) | (here == ELSEWHERE)).all(axis=0)
    below_dome = none_here & known_lungs(above).any(axis=0)
    return place.forward(below_dome.astype(np.float32), 0.0) > 0.999


def _share(mask: npt.NDArray[np.bool_], weights: Floats, place: PlaneMap) -> Floats:
    """How much of each pixel of a slab the mask fills, 0..1."""
    return place.forward(slab_hu(mask, weights), 0.0)


def _lungs_on(lungs: npt.NDArray[np.uint8], place: PlaneMap) -> npt.NDArray[np.bool_]:
    """Where more than half of a pixel of the network's plane is known lung; lungs: one slice (rows, columns)."""
    return place.forward(known_lungs(lungs).astype(np.float32), 0.0) > 0.5


def _lung_target(
    lungs: npt.NDArray[np.uint8], weights: Floats, place: PlaneMap, flipped: bool
) -> tuple[Floats, Floats]:
    used = np.flatnonzero(weights)
    lungs, weights = np.asarray(lungs[used]), weights[used]
    right, left = (_share(lungs == side, weights, place) for side in (RIGHT, LEFT))
    if flipped:
        right, left = left, right
    known = 1.0 - _share(lungs == UNKNOWN, weights, place)
    return np.stack([1.0 - right - left, right, left]), (known > 0.999).astype(np.float32)
