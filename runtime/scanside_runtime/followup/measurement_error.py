"""How far two measurements of an unchanged patient may lie apart: only what exceeds it is a change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.errors import ModelBundleDamaged
from scanside_runtime.settings import ProgressionSettings

LIMITS = "limits_of_agreement"
"""Key in the manifest's `validation`: {"of", "poi_points": {bias, lower, upper}, "ihu_hu": {the same}, "source": text}.

"of" says what the limits are of: "change", a measured change between two scans of a patient against the true one (as
`benchmarks/courses.py --limits` writes them), or "measurement", one measurement against the truth, which is meant where
"of" is missing.
"""


@dataclass(frozen=True, slots=True)
class MeasurementError:
    """The largest difference between two scans that is still no change. source: where the figures come from."""

    poi_points: float
    ihu_hu: float
    source: str


def measurement_error(bundle: Bundle, settings: ProgressionSettings) -> MeasurementError:
    """The bundle's own validation figures; until a bundle carries them, those of the settings.

    Of limits of a change, the wider side counts: an unchanged patient may seem to have changed by so much. Of limits of
    one measurement, bias is taken to be the same in both scans, and a difference of two has the square root of two
    times the spread of one (Bland JM, Altman DG, Stat Methods Med Res 1999; 8: 135-160). Raises ModelBundleDamaged.
    """
    limits = (bundle.manifest.get("validation") or {}).get(LIMITS)
    if limits is None:
        return MeasurementError(settings.poi_points, settings.ihu_hu, settings.source)
    try:
        largest = _LARGEST[limits.get("of", "measurement")]
        return MeasurementError(largest(limits["poi_points"]), largest(limits["ihu_hu"]), _source(bundle, limits))
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise ModelBundleDamaged(name="manifest.json", why=f"its {LIMITS} can't be used ({problem!r})") from problem


def _of_a_change(limits: Mapping[str, float]) -> float:
    return max(abs(end) for end in _ascending(limits))


def _of_a_measurement(limits: Mapping[str, float]) -> float:
    lower, upper = _ascending(limits)
    return math.sqrt(2.0) * (upper - lower) / 2.0


_LARGEST = {"change": _of_a_change, "measurement": _of_a_measurement}


def _ascending(limits: Mapping[str, float]) -> tuple[float, float]:
    lower, upper = float(limits["lower"]), float(limits["upper"])
    if not 0.0 < upper - lower < math.inf:
        raise ValueError(f"the limits {lower} to {upper} do not ascend")
    return lower, upper


def _source(bundle: Bundle, limits: Mapping[str, Any]) -> str:
    return str(limits.get("source") or f"validation of {bundle.name} {bundle.version}")
