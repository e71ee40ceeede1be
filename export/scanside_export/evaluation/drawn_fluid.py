"""Pleural fluid drawn behind the lungs of real series, and what the whole product makes of it.

Fluid is no lung and no infection, so POI, grade and flag are to be those of the series as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from scanside_export.data.drawn_lungs import in_slabs
from scanside_export.data.effusions import scan_noise, with_level
from scanside_export.data.volumes import real_volume, volume_of
from scanside_export.errors import LabelsUnusable
from scanside_runtime.followup.measurement_error import measurement_error
from scanside_runtime.measures.biomarkers import measure
from scanside_runtime.measures.severity import FLAGS, Flag, assess_extent, raised_for_fluid
from scanside_runtime.model.networks import LoadedNetworks
from scanside_runtime.model.segment import segment
from scanside_runtime.quality.effusion import check_fluid, set_fluid_apart
from scanside_runtime.quality.overview import make_overview
from scanside_runtime.settings.tables import Settings
from scanside_runtime.volume import Bools, Masks, Volume

SERIES = (
    "ct/extra/lidc-idri-0001_2.5mm.npz",
    "ct/extra/lidc-idri-0002_2.5mm.npz",
    "ct/extra/lidc-idri-0003_2.5mm.npz",
    "ct/extra/cptac-lscc-c3n-00247_3mm.npz",
    "ct/extra/tcga-thca-de-a4ma_2.5mm.npz",
    "ct/extra/cmb-crc-msb-01068_2.5mm.npz",
    "ct/extra/ricord-1a-000082_covid_2.5mm.npz",
    "infection-8mm/study_0260.npz",
)
"""Six that are near healthy, two with COVID-19, the last of them noisy."""
FLUID_HU = (5.0, 10.0, 15.0, 20.0, 25.0)
SIDES = {"right": (0,), "left": (1,), "both": (0, 1)}
SHARE = 1.0 / 3.0
SLAB_MM = 5.0
SEED = 7100
DEFAULT = Settings()


@dataclass(frozen=True, slots=True)
class Reading:
    """What one set of masks says. noted: the graver flag is given because fluid may be consolidation."""

    poi_percent: float
    grade: str
    flag: Flag
    noted: bool


@dataclass(frozen=True, slots=True)
class FluidScore:
    """One drawing: by the networks' outline, and with fluid set apart as the product does, beside the series as it is.

    dry: the series without drawn fluid, as the product reads it, with what it sets apart there.
    outlined_ml: drawn fluid that the networks called lung; apart_ml: what was set apart of it, and apart_lung_ml of
    what was left of the lungs. said: the product speaks of a possible effusion.
    """

    name: str
    fluid_hu: float
    sides: str
    drawn_ml: float
    outlined_ml: float
    apart_ml: float
    apart_lung_ml: float
    dry: Reading
    outlined: Reading
    apart: Reading
    said: bool


def score_fluid(path: Path, networks: LoadedNetworks) -> Iterator[FluidScore]:
    """Each density in each place, in one series; drawn into the lungs that the networks outline without fluid.

    Raises LabelsUnusable where they outline one lung or none.
    """
    volume = real_volume(path)
    volume = in_slabs(volume, max(1, round(SLAB_MM / volume.spacing_mm[0])))
    masks = segment(volume, networks)
    if not (masks.right_lung.voxels and masks.left_lung.voxels):
        raise LabelsUnusable(folder=path, why="the networks outline fewer than two lungs in it: no place for fluid")
    dry = _reading(volume, _set_apart(volume, masks), networks)
    for fluid_hu, sides in product(FLUID_HU, SIDES):
        wet, fluid = _with_fluid(volume, masks, fluid_hu, sides)
        yield _score((path.stem, fluid_hu, sides), dry, wet, fluid, networks)


def _with_fluid(volume: Volume, masks: Masks, fluid_hu: float, sides: str) -> tuple[Volume, Bools]:
    """The series with fluid, and where fluid took lung."""
    rng = np.random.default_rng([SEED, round(fluid_hu), list(SIDES).index(sides)])
    hu, lungs = volume.hu.astype(np.float32), masks.lungs
    noise = scan_noise(hu, lungs, volume.spacing_mm[1])
    fluid = np.zeros(hu.shape, dtype=np.bool_)
    for side in SIDES[sides]:
        lung = (masks.right_lung, masks.left_lung)[side]
        hu, taken = with_level(hu, lungs, lung.array, SHARE, fluid_hu, noise, rng)
        fluid |= taken
    return volume_of(np.rint(hu).astype(np.int16), volume.spacing_mm), fluid


def _score(
    drawing: tuple[str, float, str], dry: Reading, wet: Volume, fluid: Bools, networks: LoadedNetworks
) -> FluidScore:
    masks = segment(wet, networks)
    apart = _set_apart(wet, masks)
    gone = masks.lungs & ~apart.lungs

    def ml(part: Bools) -> float:
        return float(np.count_nonzero(part)) * wet.voxel_ml

    return FluidScore(
        *drawing,
        drawn_ml=ml(fluid),
        outlined_ml=ml(fluid & masks.lungs),
        apart_ml=ml(fluid & gone),
        apart_lung_ml=ml(gone & ~fluid),
        dry=dry,
        outlined=_reading(wet, masks, networks),
        apart=_reading(wet, apart, networks),
        said=bool(check_fluid(make_overview(wet, apart), apart, DEFAULT.missing_lung)),
    )


def _set_apart(volume: Volume, masks: Masks) -> Masks:
    """As the product does, of the series without drawn fluid too: it may bring some of its own."""
    return set_fluid_apart(volume, masks, make_overview(volume, masks), DEFAULT.missing_lung)


def _reading(volume: Volume, masks: Masks, networks: LoadedNetworks) -> Reading:
    """Flag and grade as an analysis gives them."""
    found, bundle = measure(volume, masks, DEFAULT.measures), networks.bundle
    error = measurement_error(bundle.limits_of_agreement, DEFAULT.progression, bundle.title)
    severity = assess_extent(found, DEFAULT.severity, error.poi_points)
    noted = raised_for_fluid(found, DEFAULT.severity, error.poi_points) is not None
    return Reading(found.whole.poi_percent or 0.0, found.ct_extent_grade or "", severity.flag, noted)


FLUID_HEAD = (
    f"{'series':<32}{'HU':>3} {'sides':<6}{'drawn':>6}{'outlined':>9}{'apart':>6}{'lung':>6} ml; "
    "POI, grade, flag: without fluid | outlined | set apart"
)


def fluid_row(one: FluidScore) -> str:
    """One drawing below `FLUID_HEAD`."""
    return (
        f"{one.name:<32}{one.fluid_hu:3.0f} {one.sides:<6}{one.drawn_ml:6.0f}{one.outlined_ml:9.0f}{one.apart_ml:6.0f}"
        f"{one.apart_lung_ml:6.0f}  {_text(one.dry)} | {_text(one.outlined)} | {_text(one.apart)}"
        f"{' said' if one.said else ''}"
    )


def _text(one: Reading) -> str:
    return f"{one.poi_percent:.1f} {one.grade} {one.flag}{'*' if one.noted else ''}"


def fluid_sums(scores: Sequence[FluidScore]) -> str:
    """How often flag and grade rose: by the outline, and with fluid set apart."""
    flags = [_rank(one.outlined) > _rank(one.dry) for one in scores]
    grades = [one.outlined.grade > one.dry.grade for one in scores]
    flags_apart = [_rank(one.apart) > _rank(one.dry) for one in scores]
    grades_apart = [one.apart.grade > one.dry.grade for one in scores]
    noted = sum(rose and one.apart.noted for rose, one in zip(flags_apart, scores, strict=True))
    return (
        f"of {len(scores)}: the flag rises in {sum(flags)} by the outline, in {sum(flags_apart)} with fluid set apart "
        f"({noted} under a note, *); the grade in {sum(grades)}, in {sum(grades_apart)}; "
        f"a possible effusion is said in {sum(one.said for one in scores)}"
    )


def _rank(one: Reading) -> int:
    return FLAGS.index(one.flag)
