"""How near another precision comes to FP32: the whole product in both, on every real series at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scanside_export.data.cases import infection_volumes
from scanside_export.data.drawn_lungs import in_slabs
from scanside_export.data.volumes import real_volume, volume_of
from scanside_runtime.measures.biomarkers import measure
from scanside_runtime.measures.severity import assess_extent
from scanside_runtime.metrics import dice
from scanside_runtime.model.networks import Networks
from scanside_runtime.model.segment import segment
from scanside_runtime.quality.effusion import set_fluid_apart
from scanside_runtime.quality.overview import make_overview
from scanside_runtime.settings.tables import Settings
from scanside_runtime.volume import Masks, Volume

CHESTS = ("ct/*.npz", "ct/*chest*.tar.xz", "ct/4dlung*.tar.xz", "ct/extra/*.npz", "infection-8mm/study_*.npz")
DRAWN_AS_PICTURES = "infection-3d/*/"
THICKER = {"lidc-idri-0314_chest_2mm": 3, "nsclc-r01-001_thorax_2mm": 5, "ricord-1a-000082_covid_2.5mm": 2}
"""Series that are taken once more, with so many slices averaged to each: at 6, 10 and 5 mm."""
INFECTION_DICE, LUNGS_DICE, POI_POINTS, IHU_HU = 0.985, 0.99, 0.1, 5.0
"""What each series is to reach."""
DEFAULT = Settings()


@dataclass(frozen=True, slots=True)
class RealSeries:
    """A series that is read when its turn comes. joined: neighbouring slices averaged to each."""

    name: str
    path: Path
    joined: int = 1

    def read(self) -> Volume:
        """Raises LabelsUnusable, OSError."""
        if self.path.is_dir():
            (case,) = infection_volumes(self.path.parent, (self.path.name,))
            return volume_of(case.hu, case.spacing_mm)
        return in_slabs(real_volume(self.path), self.joined)


@dataclass(frozen=True, slots=True)
class ProductAnswer:
    """What the product says of a series. ihu_hu: None where nothing is infected. flag: by extent."""

    poi_percent: float
    ihu_hu: float | None
    infection_ml: float
    flag: str


@dataclass(frozen=True, slots=True)
class PrecisionAgreement:
    """One series by the same product in FP32 and in another precision."""

    name: str
    infection_dice: float
    lungs_dice: float
    expected: ProductAnswer
    found: ProductAnswer

    @property
    def poi_points(self) -> float:
        """POI found less what was expected."""
        return self.found.poi_percent - self.expected.poi_percent

    @property
    def ihu_off_hu(self) -> float:
        """The infection's mean density found less what was expected; 0 where one of the two has no infection."""
        found, expected = self.found.ihu_hu, self.expected.ihu_hu
        return 0.0 if found is None or expected is None else found - expected

    def document(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "poi_points": self.poi_points, "ihu_off_hu": self.ihu_off_hu}


def real_series(data: Path) -> Iterator[RealSeries]:
    """Every chest of `ct`, `ct/extra`, `infection-3d` and `infection-8mm` below a folder, three of them thicker too."""
    for path in sorted(path for pattern in (*CHESTS, DRAWN_AS_PICTURES) for path in data.glob(pattern)):
        name = path.name.removesuffix(".npz").removesuffix(".tar.xz")
        yield RealSeries(name, path)
        if name in THICKER:
            yield RealSeries(f"{name}_by_{THICKER[name]}", path, THICKER[name])


def compare_precisions(series: RealSeries, reference: Networks, other: Networks) -> PrecisionAgreement:
    """One series in both. Raises LabelsUnusable, OSError where it can't be read."""
    volume = series.read()
    return agreement(series.name, volume, product_masks(volume, reference), product_masks(volume, other))


def product_masks(volume: Volume, networks: Networks) -> Masks:
    """What an analysis measures: the networks' outlines, fluid set apart."""
    masks = segment(volume, networks)
    return set_fluid_apart(volume, masks, make_overview(volume, masks), DEFAULT.missing_lung)


def agreement(name: str, volume: Volume, expected: Masks, found: Masks) -> PrecisionAgreement:
    """Masks of one volume against each other, and what is measured in them."""
    return PrecisionAgreement(
        name,
        dice(expected.infection.array, found.infection.array),
        dice(expected.lungs, found.lungs),
        _answer(volume, expected),
        _answer(volume, found),
    )


def _answer(volume: Volume, masks: Masks) -> ProductAnswer:
    measured = measure(volume, masks, DEFAULT.measures)
    flag = assess_extent(measured, DEFAULT.severity, DEFAULT.progression.poi_points).flag
    return ProductAnswer(measured.whole.poi_percent or 0.0, measured.whole.ihu_hu, masks.infection.volume_ml, flag)


AGREEMENT_HEAD = f"{'series':<36}{'Dice':>7}{'lungs':>7}{'ml':>8}{'POI':>7}{'off':>8}{'iHU':>7}{'off':>7}  flag"


def agreement_row(one: PrecisionAgreement) -> str:
    """One series below `AGREEMENT_HEAD`: volume, POI and iHU as expected, and how far off they are found."""
    ihu = "-" if one.expected.ihu_hu is None else f"{one.expected.ihu_hu:.0f}"
    flags = dict.fromkeys((one.expected.flag, one.found.flag))
    return (
        f"{one.name:<36}{one.infection_dice:7.4f}{one.lungs_dice:7.4f}{one.expected.infection_ml:8.1f}"
        f"{one.expected.poi_percent:7.2f}{one.poi_points:+8.3f}{ihu:>7}{one.ihu_off_hu:+7.1f}  {', '.join(flags)}"
    )


def agreement_sums(scores: Sequence[PrecisionAgreement]) -> str:
    """How many reach what each series is to reach, and the worst."""
    infection, lungs = ([getattr(one, f"{what}_dice") for one in scores] for what in ("infection", "lungs"))
    poi = [abs(one.poi_points) for one in scores]
    ihu = [abs(one.ihu_off_hu) for one in scores]
    same = sum(one.expected.flag == one.found.flag for one in scores)
    return (
        f"of {len(scores)}: infection Dice mean {np.mean(infection):.4f}, median {np.median(infection):.4f}, worst "
        f"{min(infection):.4f}, {_reached(infection, INFECTION_DICE)} reach {INFECTION_DICE}; lungs Dice worst "
        f"{min(lungs):.4f}, {_reached(lungs, LUNGS_DICE)} reach {LUNGS_DICE}; POI off {max(poi):.3f} points at most, "
        f"{_within(poi, POI_POINTS)} within {POI_POINTS}; iHU off {max(ihu):.1f} HU at most, {_within(ihu, IHU_HU)} "
        f"within {IHU_HU:g}; the same flag in {same}"
    )


def _reached(values: Sequence[float], bar: float) -> int:
    return sum(value >= bar for value in values)


def _within(values: Sequence[float], bar: float) -> int:
    return sum(value <= bar for value in values)
