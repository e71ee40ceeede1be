"""The two biomarkers, POI and iHU, with volumes, six zones, zone score and extent grade.

POI is the share of the lung that is infected, iHU the mean density of what is infected. Everything is counted in whole
voxels and whole HU, slice by slice, and becomes ml, percent and mean HU at the very end: zones add up to their lung
and both lungs to the whole, whatever the order of the sums. Numbers are rounded only where they are shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from scanside_runtime.settings.tables import MeasureSettings
from scanside_runtime.volume import Fluid, Hu, Mask, Masks, Volume

Counts = npt.NDArray[np.int64]  # (z, 4): voxels of lung, of infection in it, sum of their HU, those that are dense

DEFAULT_FLOOR = MeasureSettings()
EXTENT_BASIS = "worse_lung"
HIGH_OPACITY_HU = -200
"""Infection from here on is consolidation rather than ground glass: the percentage of high opacity of Chaganti S et
al., Radiol Artif Intell 2020; 2: e200048 (PHO)."""
THIRDS = ("lower", "middle", "upper")  # from the feet up


@dataclass(frozen=True, slots=True)
class Region:
    """What is measured in the whole, in a lung, in a zone.

    poi_percent: 100 * infection / lung; None without lung. ihu_hu: mean HU of the infection; None without infection.
    high_opacity_percent: as POI, of the infection at `HIGH_OPACITY_HU` and denser alone; consolidation_ml its volume.
    All are None where it is not certain which place it is.
    """

    poi_percent: float | None
    ihu_hu: float | None
    lung_volume_ml: float | None
    infection_volume_ml: float | None
    high_opacity_percent: float | None
    consolidation_ml: float | None


@dataclass(frozen=True, slots=True)
class Zone(Region):
    """A third of a lung's height; score 0 to 4, None without lung."""

    score: int | None


Place = TypeVar("Place", bound=Region)


@dataclass(frozen=True, slots=True)
class Zones:
    """Upper, middle and lower third of each lung."""

    right_upper: Zone
    right_middle: Zone
    right_lower: Zone
    left_upper: Zone
    left_middle: Zone
    left_lower: Zone

    def by_name(self) -> dict[str, Zone]:
        """Zones by the names of their fields."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True)
class Biomarkers:
    """All that is measured in one study; None means not measured.

    six_zone_score: 0 to 24, the sum over the zones that hold lung. ct_extent_grade: CT-0 to CT-4.
    worse_lung_percent: what the grade is read from, POI of the worse lung, 0 below the floors.
    fluid_ml: what was outlined as lung and set apart as pleural fluid, counted neither as lung nor as infection.
    poi_with_fluid_percent, worse_lung_with_fluid_percent: POI, and that of the worse lung, if it were consolidation;
    None without such fluid. fluid_hu: its density.
    lung_width_mm: from the right lung's right edge to the left one's left: the size of the chest, whatever the breath.
    """

    whole: Region
    left: Region
    right: Region
    zones: Zones
    six_zone_score: int | None
    ct_extent_grade: str | None
    ct_extent_basis: str | None
    worse_lung_percent: float | None = None
    lung_width_mm: float | None = None
    fluid_ml: float | None = None
    poi_with_fluid_percent: float | None = None
    worse_lung_with_fluid_percent: float | None = None
    fluid_hu: float | None = None

    def to_document(self) -> dict[str, Any]:
        """The block `biomarkers` of the result document, numbers as measured; what decides stands in `severity`."""
        document = asdict(self)
        for decides in ("worse_lung_percent", "worse_lung_with_fluid_percent", "fluid_hu"):
            del document[decides]
        return {**document.pop("whole"), **document}


def measure(volume: Volume, masks: Masks, floor: MeasureSettings = DEFAULT_FLOOR) -> Biomarkers:
    """Measures lungs and infection on the native grid.

    - Infection counts only within the lungs.
    - Thirds: each lung has its own height, from the lower face of its first slice to the upper face of its last,
      cut into three equal parts in mm; a slice belongs, whole, to the third that holds its centre.
    - Zone score: 0 none, then 1 to 4 for (0, 25), [25, 50), [50, 75), [75, 100] % of the zone.
    - Extent grade by `extent_grade`, read from the worse lung.
    - A zone or lung counts as affected only when its infection reaches both floors, percent and ml: 0.5 % of a large
      lung is still several ml, and 0.5 % of a sliver of lung is a voxel or two. The floors touch score and grade;
      percent, HU and volumes are never touched.
    """
    right, left = (_count(volume.hu, lung, masks.infection) for lung in (masks.right_lung, masks.left_lung))
    ml = volume.voxel_ml
    zones = Zones(**_zones("right", right, ml, floor), **_zones("left", left, ml, floor))
    right_lung, left_lung = _region(right, ml), _region(left, ml)
    worse_percent = _worse_lung_percent((left_lung, right_lung), floor)
    with_fluid = _percents_with_fluid(right_lung, left_lung, masks.fluid)
    return Biomarkers(
        whole=_region(np.concatenate((right, left)), ml),
        left=left_lung,
        right=right_lung,
        zones=zones,
        six_zone_score=_total(zones),
        ct_extent_grade=None if worse_percent is None else extent_grade(worse_percent),
        ct_extent_basis=EXTENT_BASIS,
        worse_lung_percent=worse_percent,
        lung_width_mm=_width_mm(volume, masks),
        fluid_ml=0.0 if masks.fluid is None else masks.fluid.volume_ml,
        poi_with_fluid_percent=with_fluid and with_fluid[0],
        worse_lung_with_fluid_percent=with_fluid and with_fluid[1],
        fluid_hu=None if masks.fluid is None or with_fluid is None else masks.fluid.hu,
    )


def _percents_with_fluid(right: Region, left: Region, fluid: Fluid | None) -> tuple[float, float] | None:
    """POI and POI of the worse lung if the fluid that was set apart were infected lung; None without any."""
    if fluid is None or not fluid.volume_ml:
        return None
    sides = ((right, fluid.right.volume_ml), (left, fluid.left.volume_ml))
    lungs = [((lung.infection_volume_ml or 0.0) + ml, (lung.lung_volume_ml or 0.0) + ml) for lung, ml in sides]
    infected_ml, lungs_ml = (sum(parts) for parts in zip(*lungs, strict=True))
    return 100.0 * infected_ml / lungs_ml, max(100.0 * infected / lung for infected, lung in lungs if lung)


def withheld(biomarkers: Biomarkers) -> Biomarkers:
    """The same study with each value that rests on infection taken out; lung volumes stay."""
    zones = biomarkers.zones
    return Biomarkers(
        whole=_without_infection(biomarkers.whole),
        left=_without_infection(biomarkers.left),
        right=_without_infection(biomarkers.right),
        zones=Zones(**{name: replace(_without_infection(zone), score=None) for name, zone in zones.by_name().items()}),
        six_zone_score=None,
        ct_extent_grade=None,
        ct_extent_basis=None,
        worse_lung_percent=None,
        lung_width_mm=biomarkers.lung_width_mm,
        fluid_ml=biomarkers.fluid_ml,
    )


def _width_mm(volume: Volume, masks: Masks) -> float | None:
    """How far the lungs reach across the patient: columns with 1 ml of lung or more, so that specks do not count."""
    columns = np.count_nonzero(masks.lungs_within(masks.lungs_box), axis=(0, 1))  # (x,)
    inside = np.flatnonzero(columns * volume.voxel_ml >= 1.0)
    return float(inside[-1] - inside[0] + 1) * volume.spacing_mm[2] if inside.size else None


def without_sides(biomarkers: Biomarkers) -> Biomarkers:
    """The same study where it is not certain which side and which end is which: sides and zones are None.

    What does not change when they are exchanged stays: the whole, the score of all zones, the grade of the worse lung.
    """
    unknown = Region(None, None, None, None, None, None)
    nowhere = Zone(None, None, None, None, None, None, score=None)
    zones = Zones(**dict.fromkeys(biomarkers.zones.by_name(), nowhere))
    return replace(biomarkers, left=unknown, right=unknown, zones=zones)


def extent_grade(poi_percent: float) -> str:
    """The visual "CT 0-4" grade of lung involvement, here from a measured percentage of one lung.

    CT-0 none, CT-1 below 25 %, CT-2 from 25 %, CT-3 from 50 %, CT-4 above 75 %. Each lung is judged by itself and the
    worse one gives the grade. Source: Morozov SP et al., MosMedData, 2020 (arXiv:2005.06465), and the Moscow Health
    Department's guidance on radiology of COVID-19 (2020) that it follows. The source leaves exactly 50 % open; it is
    read as the graver one.
    """
    if poi_percent <= 0.0:
        return "CT-0"
    if poi_percent > 75.0:
        return "CT-4"
    return "CT-3" if poi_percent >= 50.0 else "CT-2" if poi_percent >= 25.0 else "CT-1"


def points_to_next_grade(poi_percent: float) -> float | None:
    """How far a lung is below CT-2, CT-3 or CT-4, whichever is next; None in CT-4."""
    starts = {"CT-0": 25.0, "CT-1": 25.0, "CT-2": 50.0, "CT-3": 75.0}
    start = starts.get(extent_grade(poi_percent))
    return None if start is None else start - poi_percent


def zone_score(poi_percent: float) -> int:
    """0 none, then 1 to 4 for (0, 25), [25, 50), [50, 75), [75, 100] %."""
    return 0 if poi_percent <= 0.0 else min(4, 1 + int(poi_percent // 25.0))


def _count(hu: Hu, lung: Mask, infection: Mask) -> Counts:
    """Voxels of lung, of infection in it, the sum of their HU, how many of them are dense, by slice; (z, 4) int64."""
    counts = np.zeros((hu.shape[0], 4), dtype=np.int64)
    for z in range(lung.box[0].start, lung.box[0].stop):
        here = slice(z, z + 1), *lung.box[1:]
        inside = lung.within(here)
        infected = hu[here][inside & infection.within(here)]  # (voxels,) int16
        dense = np.count_nonzero(infected >= HIGH_OPACITY_HU)
        counts[z] = np.count_nonzero(inside), infected.size, infected.sum(dtype=np.int64), dense
    return counts


def _thirds(counts: Counts) -> list[Counts]:
    """The slices of one lung by third, from the feet up: slice k of n has its centre at (2k + 1) / 2n of the height."""
    inside = np.flatnonzero(counts[:, 0])
    if not inside.size:
        return [counts[:0]] * 3
    first, n = inside[0], inside[-1] - inside[0] + 1
    third = (6 * np.arange(n) + 3) // (2 * n)  # no centre lies on a cut: 6k + 3 is odd
    return [counts[first : first + n][third == i] for i in range(3)]


def _region(counts: Counts, voxel_ml: float) -> Region:
    lung, infected, hu_sum, dense = (int(total) for total in counts.sum(axis=0))
    return Region(
        poi_percent=100.0 * infected / lung if lung else None,
        ihu_hu=hu_sum / infected if infected else None,
        lung_volume_ml=lung * voxel_ml,
        infection_volume_ml=infected * voxel_ml,
        high_opacity_percent=100.0 * dense / lung if lung else None,
        consolidation_ml=dense * voxel_ml,
    )


def _zones(side: str, counts: Counts, voxel_ml: float, floor: MeasureSettings) -> dict[str, Zone]:
    regions = (_region(third, voxel_ml) for third in _thirds(counts))
    return {f"{side}_{name}": _scored(region, floor) for name, region in zip(THIRDS, regions, strict=True)}


def _scored(region: Region, floor: MeasureSettings) -> Zone:
    affected = _affected_percent(region, floor)
    return Zone(**asdict(region), score=None if affected is None else zone_score(affected))


def _affected_percent(region: Region, floor: MeasureSettings) -> float | None:
    """POI for score and grade: 0 below the floor, None without lung."""
    if region.poi_percent is None or region.infection_volume_ml is None:
        return None
    reached = region.poi_percent >= floor.floor_percent and region.infection_volume_ml >= floor.floor_ml
    return region.poi_percent if reached else 0.0


def _total(zones: Zones) -> int | None:
    scores = [zone.score for zone in zones.by_name().values() if zone.score is not None]
    return sum(scores) if scores else None


def _worse_lung_percent(lungs: tuple[Region, Region], floor: MeasureSettings) -> float | None:
    return max((percent for lung in lungs if (percent := _affected_percent(lung, floor)) is not None), default=None)


def _without_infection(region: Place) -> Place:
    return replace(
        region,
        poi_percent=None,
        ihu_hu=None,
        infection_volume_ml=None,
        high_opacity_percent=None,
        consolidation_ml=None,
    )
