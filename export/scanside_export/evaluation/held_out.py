"""How the product does on patients whom no training ever sees: as they are, and with disease drawn into them.

What is drawn is known to the voxel, so Dice and POI have a truth here that no reader's hand blurs. It is no evidence
for real disease: the same synthesiser drew what the networks learnt from, in other patients and with other seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN, Case, known_lungs
from scanside_export.data.lesions import insert, pleural_consolidation, random_lesions
from scanside_export.data.prepare import Background, forget, near_healthy
from scanside_export.data.volumes import labelled_case
from scanside_export.evaluation.evaluate import Plane
from scanside_runtime.metrics import dice, poi_percent, volume_error_percent
from scanside_runtime.model.networks import Networks
from scanside_runtime.model.segment import segment

PATIENTS = (
    Background("pyradiomics-lung2_5mm.npz", sides=(RIGHT,)),
    Background("lung-dx-a0001_chest-5mm_two-kernels.tar.xz", sides=(RIGHT,)),
    Background("extra/lidc-idri-0002_2.5mm.npz"),
    Background("extra/tcga-thca-de-a4ma_2.5mm.npz"),
)
"""Held out for ever. Of the first two the left lung is sick: nothing is drawn into it, and nothing is scored there."""

PICTURED = ("lung-dx-a0001", "lidc-idri-0002", "tcga-thca-de-a4ma")
"""Patients under CC BY, whose pictures may be passed on with attribution."""

SLABS_MM = (5.0, 10.0)
CONSOLIDATED_SHARE = 0.4
SEED = 7000


@dataclass(frozen=True, slots=True)
class HeldOutScore:
    """One series in one thickness; only what is known counts.

    poi_percent: found. true_poi_percent: drawn. lung_volume_error_percent: of the scored lungs together.
    """

    name: str
    slab_mm: float
    dice: float
    poi_percent: float
    true_poi_percent: float
    lungs_dice: float
    lung_volume_error_percent: float

    @property
    def poi_error_points(self) -> float:
        """Found minus drawn."""
        return self.poi_percent - self.true_poi_percent


@dataclass(frozen=True, slots=True)
class HeldOutScores:
    """As the patients are, with lesions, with a consolidation; missed: the worst slab of each with lesions."""

    near_healthy: tuple[HeldOutScore, ...]
    lesions: tuple[HeldOutScore, ...]
    consolidation: tuple[HeldOutScore, ...]
    missed: tuple[Plane, ...] = ()

    def worst(self, count: int) -> list[tuple[HeldOutScore, Plane]]:
        """Of the patients whose pictures may be passed on, the series with the lowest Dice, another patient each."""
        ranked = sorted(zip(self.lesions, self.missed, strict=True), key=lambda one: one[0].dice)
        found: dict[str, tuple[HeldOutScore, Plane]] = {}
        for score, plane in ranked:
            if score.name.startswith(PICTURED):
                found.setdefault(score.name.rpartition("_")[0], (score, plane))
        return list(found.values())[:count]


def score_patients(data: Path, variants: int, networks: Networks) -> HeldOutScores:
    """Every patient in every way, in slabs of 5 and 10 mm, as they are in their own thickness too."""
    healthy, lesions, dense = [], [], []
    for clean in held_out_cases(data):
        own = [] if clean.spacing_mm[0] >= min(SLABS_MM) else [None]
        healthy += [score_held_out(clean, slab_mm, networks)[0] for slab_mm in (*own, *SLABS_MM)]
        sick = [with_lesions(clean, variant, variants) for variant in range(variants)]
        lesions += [score_held_out(one, slab_mm, networks) for one in sick for slab_mm in SLABS_MM]
        consolidated = with_consolidation(clean)
        dense += [score_held_out(consolidated, slab_mm, networks)[0] for slab_mm in SLABS_MM]
    scores, missed = zip(*lesions, strict=True)
    return HeldOutScores(tuple(healthy), scores, tuple(dense), missed)


def held_out_cases(data: Path) -> Iterator[Case]:
    """The patients, near-healthy as they are. data: the folder that holds `ct`."""
    for patient in PATIENTS:
        yield near_healthy(data / "ct" / patient.path, patient)


def with_lesions(clean: Case, variant: int, variants: int) -> Case:
    """The patient with lesions as training draws them: few and small in the first variant, many large in the last."""
    rng = np.random.default_rng([SEED, variant])
    healthy = known_lungs(clean.lungs)
    lesions = random_lesions(healthy, clean.spacing_mm, rng, (variant + 1) / variants, clean.hu)
    sick, infection = insert(clean.hu, healthy, clean.spacing_mm, lesions, rng)
    return replace(clean, name=f"{clean.name.removesuffix('_clean')}_{variant}", hu=sick, infection=(infection,))


def with_consolidation(clean: Case) -> Case:
    """The patient with a consolidation of some 40 % of one lung, at the pleura; the other lung is not scored."""
    side = next(side for side in (RIGHT, LEFT) if (clean.lungs == side).any())
    lung = clean.lungs == side
    rng = np.random.default_rng([SEED, 99])
    lesion = pleural_consolidation(lung, clean.spacing_mm, CONSOLIDATED_SHARE, rng)
    sick, infection = insert(clean.hu, lung, clean.spacing_mm, [lesion], rng)
    lungs = clean.lungs.copy()
    forget(lungs, LEFT if side == RIGHT else RIGHT)
    return replace(clean, name=clean.name.removesuffix("_clean"), hu=sick, infection=(infection,), lungs=lungs)


def score_held_out(case: Case, slab_mm: float | None, networks: Networks) -> tuple[HeldOutScore, Plane]:
    """One case through the whole product, averaged to about `slab_mm` (None: as it is), and its worst slab.

    Scored on the slices of the case, as `Labelled` says.
    """
    one = labelled_case(case, slab_mm)
    known = np.asarray(case.lungs[: len(one.lungs)]) != UNKNOWN
    lungs, infection = one.lungs, one.infection[0] & one.lungs
    masks = segment(one.volume, networks)
    found_lungs, found = one.on_slices(masks.lungs) & known, one.on_slices(masks.infection.array) & known
    score = HeldOutScore(
        case.name,
        one.volume.spacing_mm[0],
        dice(found, infection),
        poi_percent(found, found_lungs) or 0.0,
        poi_percent(infection, lungs) or 0.0,
        dice(found_lungs, lungs),
        volume_error_percent(found_lungs, lungs) or 0.0,
    )
    z = int(np.argmax((infection ^ found).sum(axis=(1, 2)).reshape(-1, one.joined).sum(axis=1)))
    return score, Plane(one.volume.hu[z], one.in_slabs(infection)[z], one.in_slabs(found)[z])
