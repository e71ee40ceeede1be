"""How far two measurements of an unchanged patient may lie apart: only what exceeds it is a change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scanside_runtime.bundle import Bundle
from scanside_runtime.errors import ModelBundleDamaged
from scanside_runtime.settings import ProgressionSettings

LIMITS = "limits_of_agreement"
"""Key in the manifest's `validation`: {"poi_points": {bias, lower, upper}, "ihu_hu": {...}, "source": text}."""


@dataclass(frozen=True, slots=True)
class MeasurementError:
    """The largest difference between two scans that is still no change. source: where the figures come from."""

    poi_points: float
    ihu_hu: float
    source: str


def measurement_error(bundle: Bundle, settings: ProgressionSettings) -> MeasurementError:
    """The bundle's own validation figures; until a bundle carries them, those of the settings.

    A bundle states limits of agreement of one measurement against the truth (`metrics.limits_of_agreement`). Bias is
    the same in both scans and cancels; the random part does not: a difference of two has √2 times the spread of one
    (Bland JM, Altman DG, Stat Methods Med Res 1999; 8: 135-160). Raises ModelBundleDamaged.
    """
    limits = (bundle.manifest.get("validation") or {}).get(LIMITS)
    if limits is None:
        return MeasurementError(settings.poi_points, settings.ihu_hu, settings.source)
    try:
        return MeasurementError(
            _of_a_difference(limits["poi_points"]), _of_a_difference(limits["ihu_hu"]), _source(bundle, limits)
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise ModelBundleDamaged(name="manifest.json", why=f"its {LIMITS} can't be used ({problem!r})") from problem


def _of_a_difference(limits: Mapping[str, float]) -> float:
    half_width = (limits["upper"] - limits["lower"]) / 2.0
    if not 0.0 < half_width < math.inf:
        raise ValueError(f"the limits {limits['lower']} to {limits['upper']} do not ascend")
    return math.sqrt(2.0) * half_width


def _source(bundle: Bundle, limits: Mapping[str, Any]) -> str:
    return str(limits.get("source") or f"validation of {bundle.name} {bundle.version}")
