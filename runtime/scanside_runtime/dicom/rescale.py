"""Are the rescaled values HU? Neither the spelling of RescaleType nor slope and intercept decide it: the picture does.

In HU air is -1000 and soft tissue near 40, wherever they lie. Of 15 real series (eleven whole chests, two that are cut,
two with couch) at least 23 % of what is no padding is air or lung.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from scanside_runtime.dicom.errors import InputNotHu, InputRescaleJumps
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.findings import Finding
from scanside_runtime.volume import HU_MAX, HU_MIN, Hu

# Mean HU of neighbouring slices of a chest differ by some 10 to 40, at 10 mm too; a slope that is 15 % off moves the
# mean of a slice (near -450) by 90, an intercept of 0 in the place of -1024 by a thousand.
JUMP_HU = 80.0

AIR_BELOW_HU, LEAST_AIR_SHARE = -600, 0.02
TISSUE_HU, LEAST_TISSUE_SHARE = (-150, 150), 0.05
CONTRASTS_HU = 700.0
"""Nine tenths of a picture spread as far as this when air and tissue are in it."""
MOST_AT_THE_TOP_SHARE = 0.05

HU_TYPES = (None, "HU")
# Other quantities that a CT object may hold (DICOM PS3.3 C.11.1.1.2), and words for them; letters only.
_MAPS = re.compile(r"MGML|MG|PCT|PERCENT|OD|ED|EDW|Z|ZEFF|HUMOD|.*(IODINE|JOD|DENSITY|EFFECTIVE|PERFUSION|BLOOD).*")

Way = tuple[float, ...]


def is_map(rescale_type: str | None) -> bool:
    """RescaleType names another quantity than HU: iodine, electron density, effective atomic number."""
    return _MAPS.fullmatch(re.sub(r"[^A-Z]+", "", (rescale_type or "").upper())) is not None


def check_hu(slices: Sequence[SliceHeader], hu: Hu) -> tuple[Finding, ...]:
    """Air and soft tissue measure what they measure in HU; a note where RescaleType is spelled otherwise.

    Of every fourth pixel of every other slice, padding left out. Raises InputNotHu where the picture has the contrasts
    of air and tissue and no air (signed values declared unsigned, an intercept that was lost), or where RescaleType
    does not say HU and the picture has no air or no soft tissue.
    """
    seen = hu[::2, ::4, ::4]
    seen = seen[seen > HU_MIN]
    spelled = next((one.rescale_type for one in slices if one.rescale_type not in HU_TYPES), None)
    fault = _fault(seen, doubted=spelled is not None) if seen.size else None
    if fault is not None:
        raise InputNotHu(why=fault if spelled is None else f'RescaleType says "{spelled}", and {fault}')
    if spelled is None:
        return ()
    message = f'RescaleType says "{spelled}"; air and soft tissue measure what they measure in HU.'
    return (Finding("INPUT_RESCALE_TYPE", "note", message),)


def _fault(seen: Hu, *, doubted: bool) -> str | None:
    """Why some thousand values of a picture are no HU; None where they are, as far as it shows."""
    airless = float((seen < AIR_BELOW_HU).mean()) < LEAST_AIR_SHARE
    if airless and (doubted or float(np.subtract(*np.percentile(seen, (95, 5)))) > CONTRASTS_HU):
        return _no_air(seen)
    tissue = float(((seen > TISSUE_HU[0]) & (seen < TISSUE_HU[1])).mean())
    return "nothing measures as soft tissue does" if doubted and tissue < LEAST_TISSUE_SHARE else None


def _no_air(seen: Hu) -> str:
    at_the_top = float((seen >= HU_MAX).mean())
    if at_the_top > MOST_AT_THE_TOP_SHARE:
        return (
            f"nothing measures as air does, and {100 * at_the_top:.0f} % of the picture lies at the top of the scale, "
            "as when signed values are declared unsigned (PixelRepresentation)"
        )
    return f"nothing measures as air does; the lowest hundredth is at {np.percentile(seen, 1):.0f}, air is -1000"


def check_rescale(slices: Sequence[SliceHeader], hu: Hu) -> tuple[Finding, ...]:
    """Nothing where all slices share one slope and intercept, a note where they differ and their HU agree.

    slices: feet to head. hu: (z, y, x), each slice rescaled by its own. Raises InputRescaleJumps where two neighbours
    of different rescale differ by more than 80 HU in the mean, and would agree better if they shared one: then header
    and pixels contradict each other, and nobody knows which is right.
    """
    ways = [header.rescale or (1.0, 0.0) for header in slices]
    changes = [z for z in range(len(ways) - 1) if not _alike(ways[z], ways[z + 1])]
    if not changes:
        return ()
    means = hu.mean(axis=(1, 2), dtype=np.float64)  # (z,)
    for z in changes:
        jump_hu = abs(float(means[z + 1] - means[z]))
        shared_jump_hu = abs(_by_another_way(float(means[z + 1]), ways[z + 1], ways[z]) - float(means[z]))
        if jump_hu > JUMP_HU and shared_jump_hu < jump_hu:
            raise InputRescaleJumps(slice=z + 1, slices=len(slices), jump_hu=jump_hu)
    message = f"{_count_of(ways)} different ways to HU along the series; each slice was taken by its own."
    return (Finding("INPUT_RESCALE_VARIES", "note", message),)


def _alike(one: Way, other: Way) -> bool:
    """The same numbers, though one is written with fewer digits: 16 bits differ by less than 0.1 HU."""
    return bool(np.allclose(one, other, rtol=1e-6, atol=1e-6))


def _count_of(ways: Sequence[Way]) -> int:
    kept: list[Way] = []
    for way in ways:
        if not any(_alike(way, other) for other in kept):
            kept.append(way)
    return len(kept)


def _by_another_way(hu: float, way: Way, other: Way) -> float:
    """What the stored value behind a HU would be by another (slope, intercept)."""
    return (hu - way[1]) / way[0] * other[0] + other[1]
