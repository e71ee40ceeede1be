"""What the guards measure beside the limits from which they speak: in healthy, in sick and in the sickest chests.

The sickest patient must not be the one that is refused: disease is drawn into real chests until little is left.
A guard gives its figure with its finding. So each chest is judged once as the product does, and once with every limit
moved to where its guard always speaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scanside_export.data.cases import Case, known_lungs
from scanside_export.data.lesions import insert, random_lesions
from scanside_export.data.prepare import BACKGROUNDS, Background, near_healthy
from scanside_export.data.volumes import labelled_case
from scanside_export.errors import LabelsUnusable
from scanside_export.evaluation.held_out import PATIENTS
from scanside_export.evaluation.precision_agreement import RealSeries, real_series
from scanside_runtime.dicom.errors import SeriesNotChest
from scanside_runtime.model.networks import Networks
from scanside_runtime.model.segment import segment
from scanside_runtime.quality.anatomy import lung_fill
from scanside_runtime.quality.effusion import set_fluid_apart
from scanside_runtime.quality.gate import judge, set_apart_and_judge
from scanside_runtime.quality.overview import make_overview
from scanside_runtime.settings.tables import Settings
from scanside_runtime.volume import Masks, Volume

DEFAULT = Settings()
LITTLE = 1e-3
PROBED = Settings(
    coverage=replace(DEFAULT.coverage, caution_share=0.0, edge_share=0.0),
    anatomy=replace(DEFAULT.anatomy, uneven_share=0.5, lone_share=0.0),
    # Air is counted piece by piece: crumbs would add up to what no piece has.
    missing_lung=replace(
        DEFAULT.missing_lung,
        apex_mm=LITTLE, third_share=0.5, air_ml=5.0, fluid_ml=LITTLE, fluid_in_lung_ml=LITTLE, fluid_taken_ml=LITTLE,
    ),
    quality=replace(
        DEFAULT.quality,
        air_highest_hu=-1023.0, soft_lowest_hu=3069.0, soft_highest_hu=3070.0, blood_hu=0.0, noise_hu=LITTLE,
        metal_ml=LITTLE, metal_share=LITTLE, uncertain_points=LITTLE, partly_seen_ml=LITTLE,
    ),
    motion=replace(DEFAULT.motion, caution_share=LITTLE, withhold_share=1.0),
)  # fmt: skip
"""Each guard speaks, and says what it measured."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One setting, and the figure that is held against it.

    figure: of a finding, as CODE.value; scale: what makes the setting's unit of it. least: what lies below it is found,
    not above. itself: a figure that is as large as the limit is found, too.
    """

    setting: str
    figure: str
    least: bool = False
    scale: float = 1.0
    itself: bool = False

    @property
    def value(self) -> float:
        """Where it lies in the product."""
        table, name = self.setting.split(".")
        return float(getattr(getattr(DEFAULT, table), name))

    def beyond(self, figure: float) -> bool:
        """Whether the guard speaks of this figure."""
        return figure < self.value if self.least else figure > self.value or (self.itself and figure == self.value)


FROM_PERCENT = 0.01
LIMITS = (
    Limit("coverage.caution_share", "COVERAGE_BASE_CUT.area_percent", scale=FROM_PERCENT, itself=True),
    Limit("coverage.caution_share", "COVERAGE_APEX_CUT.area_percent", scale=FROM_PERCENT, itself=True),
    Limit("coverage.edge_share", "COVERAGE_FIELD_OF_VIEW.outline_percent", scale=FROM_PERCENT),
    Limit("anatomy.least_fill", "fill", least=True),
    Limit("anatomy.most_fill", "fill"),
    Limit("anatomy.uneven_share", "uneven_percent", least=True, scale=FROM_PERCENT),
    Limit("missing_lung.apex_mm", "QUALITY_PART_MISSING.apex_mm"),
    Limit("missing_lung.third_share", "QUALITY_PART_MISSING.third_percent", least=True, scale=FROM_PERCENT),
    Limit("missing_lung.air_ml", "QUALITY_AIR_OUTSIDE.air_ml", itself=True),
    Limit("missing_lung.fluid_ml", "QUALITY_POSSIBLE_EFFUSION.beside_ml", itself=True),
    Limit("missing_lung.fluid_in_lung_ml", "QUALITY_POSSIBLE_EFFUSION.outlined_ml", itself=True),
    Limit("missing_lung.fluid_taken_ml", "fluid_taken_ml", itself=True),
    Limit("quality.air_highest_hu", "QUALITY_HU_CALIBRATION.air_hu"),
    Limit("quality.soft_lowest_hu", "QUALITY_HU_CALIBRATION.soft_hu", least=True),
    Limit("quality.soft_highest_hu", "QUALITY_HU_CALIBRATION.soft_hu"),
    Limit("quality.blood_hu", "QUALITY_CONTRAST.blood_hu"),
    Limit("quality.noise_hu", "QUALITY_NOISE.scatter_hu"),
    Limit("quality.metal_ml", "QUALITY_METAL.metal_ml", itself=True),
    Limit("quality.metal_share", "QUALITY_METAL.lungs_percent", scale=FROM_PERCENT, itself=True),
    Limit("quality.uncertain_points", "uncertain_points"),
    Limit("quality.partly_seen_ml", "QUALITY_PARTLY_SEEN.unseen_ml", itself=True),
    Limit("motion.caution_share", "QUALITY_MOTION.lung_slices_percent", scale=FROM_PERCENT, itself=True),
)

GROUPS = ("near-healthy", "sick", "drawn")
DRAWN_SHARES = (0.2, 0.35, 0.5, 0.65, 0.85)
"""Of the lungs: how much disease is drawn into each near-healthy chest."""
SEED = 7200


@dataclass(frozen=True, slots=True)
class Judged:
    """One chest: what was said of it, by code with its level, and the figures by `Limit.figure`."""

    name: str
    group: str
    poi_percent: float
    said: Mapping[str, str]
    figures: Mapping[str, float]

    def document(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


NEAR_HEALTHY = tuple(one.path for one in (*BACKGROUNDS, *PATIENTS) if len(one.sides) == 2)
"""Real series in the folder `ct` of which both lungs are near-healthy."""


def chests_at(data: Path) -> list[RealSeries]:
    """Every real chest below a folder. Raises LabelsUnusable where there is none."""
    if found := list(real_series(data)):
        return found
    raise LabelsUnusable(folder=data, why="there is no series in ct, infection-3d or infection-8mm")


def guarded_chests(data: Path, networks: Networks) -> Iterator[Judged]:
    """Every real chest, then disease drawn into the near-healthy ones, in slabs of about 5 mm.

    Raises LabelsUnusable, OSError.
    """
    healthy = {data / "ct" / name: number for number, name in enumerate(NEAR_HEALTHY)}
    for one in chests_at(data):
        volume = one.read()
        group = "near-healthy" if one.path in healthy else "sick"
        yield judged(one.name, group, volume, segment(volume, networks))
    for path, number in healthy.items():
        if path.is_file():
            yield from _drawn(near_healthy(path, Background(path.name)), number, networks)


def _drawn(clean: Case, number: int, networks: Networks) -> Iterator[Judged]:
    for share in DRAWN_SHARES:
        sick = as_sick_as(clean, share, np.random.default_rng([SEED, number, round(100 * share)]))
        volume = labelled_case(sick).volume
        yield judged(sick.name, "drawn", volume, segment(volume, networks))


def as_sick_as(clean: Case, share: float, rng: np.random.Generator) -> Case:
    """A near-healthy case with lesions drawn into it until they fill that share of the lungs."""
    lungs = known_lungs(clean.lungs)
    hu, infection = clean.hu, np.zeros_like(lungs)
    while (filled := np.count_nonzero(infection) / np.count_nonzero(lungs)) < share:
        burden = min(1.0, 2.0 * (share - filled) + 0.05)
        lesions = random_lesions(lungs, clean.spacing_mm, rng, burden, clean.hu)
        hu, drawn = insert(hu, lungs, clean.spacing_mm, lesions, rng)
        infection |= drawn
    name = f"{clean.name.removesuffix('_clean')}_{round(100 * share)}"
    return replace(clean, name=name, hu=hu, infection=(infection,))


def judged(name: str, group: str, volume: Volume, outlined: Masks) -> Judged:
    """One chest past all guards, as the networks outlined it; one that is taken for no chest has no figures."""
    try:
        masks, said = set_apart_and_judge(volume, outlined, None, DEFAULT)
    except SeriesNotChest as problem:
        return Judged(name, group, 0.0, {problem.code: "withhold"}, {})
    lungs_ml = masks.right_lung.volume_ml + masks.left_lung.volume_ml
    poi_percent = 100.0 * masks.infection.volume_ml / lungs_ml
    levels = {finding.code: finding.level for finding in said}
    return Judged(name, group, poi_percent, levels, _figures(volume, outlined, masks))


def _figures(volume: Volume, outlined: Masks, masks: Masks) -> dict[str, float]:
    """What every guard measures. outlined: by the networks; masks: the same without what is surely fluid."""
    said = judge(volume, masks, None, PROBED)
    found = {f"{one.code}.{name}": value for one in said for name, value in one.values.items()}
    apart = set_fluid_apart(volume, outlined, make_overview(volume, outlined), PROBED.missing_lung)
    sides = [mask.volume_ml for mask in (masks.right_lung, masks.left_lung)]
    low, high = (found.get(f"QUALITY_UNCERTAIN.{end}_percent", 0.0) for end in ("low", "high"))
    return found | {
        "fill": lung_fill(volume, masks),
        "uneven_percent": 100.0 * min(sides) / sum(sides),
        "uncertain_points": high - low,
        "fluid_taken_ml": 0.0 if apart.fluid is None else apart.fluid.volume_ml,
    }


CHEST_HEAD = f"{'chest':<40}{'group':<14}{'POI':>6}  what is said (! withheld)"


def chest_row(one: Judged) -> str:
    """One chest below `CHEST_HEAD`."""
    said = ", ".join(f"{code}{'!' * (level == 'withhold')}" for code, level in one.said.items() if level != "note")
    return f"{one.name:<40}{one.group:<14}{one.poi_percent:6.1f}  {said or '-'}"


def limit_table(chests: Sequence[Judged]) -> list[str]:
    """For each limit and group: the lowest and highest figure, and how many of how many the guard speaks of."""
    groups = [group for group in GROUPS if any(one.group == group for one in chests)]
    lines = ["setting                        limit" + "".join(f"{group:>34}" for group in groups)]
    for limit in LIMITS:
        cells = (_spread(limit, [one for one in chests if one.group == group]) for group in groups)
        lines.append(f"{limit.setting:<28}{limit.value:>8g}" + "".join(f"{cell:>34}" for cell in cells))
    withheld = [one.name for one in chests if "withhold" in one.said.values()]
    return [*lines, f"withheld: {len(withheld)} of {len(chests)}{': ' * bool(withheld)}{', '.join(withheld)}"]


def _spread(limit: Limit, chests: Sequence[Judged]) -> str:
    figures = [limit.scale * one.figures[limit.figure] for one in chests if limit.figure in one.figures]
    if not figures:
        return f"0 of {len(chests)}"
    beyond = sum(map(limit.beyond, figures))
    return f"{min(figures):.4g} to {max(figures):.4g}, {beyond} of {len(chests)}"
