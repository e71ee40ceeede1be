"""How far two measurements of an unchanged patient may lie apart: only what exceeds it is a change.

A bundle carries limits of agreement, `limits_of_agreement` in the `validation` of its manifest:
{"of", "poi_points": {bias, lower, upper}, "ihu_hu": {the same}, "source": text}. "of" says what they are of: "change",
a measured change between two scans of a patient against the true one (as `benchmarks/courses.py --limits` writes them),
or "measurement", one measurement against the truth, which is meant where "of" is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scanside_runtime.model.errors import ModelBundleDamaged
from scanside_runtime.settings.tables import ProgressionSettings


@dataclass(frozen=True, slots=True)
class MeasurementError:
    """The largest difference between two scans that is still no change. source: where the figures come from."""

    poi_points: float
    ihu_hu: float
    source: str


def measurement_error(limits: Any, settings: ProgressionSettings, title: str) -> MeasurementError:
    """From a bundle's limits of agreement; until a bundle carries them (None), what the settings say.

    title: the bundle's, named as the source where the limits name none.

    Of limits of a change, the wider side counts: an unchanged patient may seem to have changed by so much. Of limits of
    one measurement, bias is taken to be the same in both scans, and a difference of two has the square root of two
    times the spread of one (Bland JM, Altman DG, Stat Methods Med Res 1999; 8: 135-160). Raises ModelBundleDamaged.
    """
    if limits is None:
        return MeasurementError(settings.poi_points, settings.ihu_hu, settings.source)
    try:
        largest = _LARGEST[limits.get("of", "measurement")]
        return MeasurementError(largest(limits["poi_points"]), largest(limits["ihu_hu"]), _source(limits, title))
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        why = f"its limits_of_agreement can't be used ({problem!r})"
        raise ModelBundleDamaged(name="manifest.json", why=why) from problem


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


def _source(limits: Mapping[str, Any], title: str) -> str:
    return str(limits.get("source") or f"validation of {title}")
