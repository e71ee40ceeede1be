"""How sure is the network: how far would POI go if it were asked to be surer, or less sure?"""

from __future__ import annotations

from scanside_runtime.findings import Finding, figures
from scanside_runtime.settings.tables import QualitySettings
from scanside_runtime.volume import Masks


def check_uncertainty(masks: Masks, settings: QualitySettings) -> tuple[Finding, ...]:
    """`caution` where POI at three times higher and lower odds differs by more than `settings.uncertain_points`."""
    if masks.infection_bounds_ml is None:
        return ()
    lungs_ml = masks.right_lung.volume_ml + masks.left_lung.volume_ml
    low, high = (100.0 * bound_ml / lungs_ml for bound_ml in masks.infection_bounds_ml)
    if high - low <= settings.uncertain_points:
        return ()
    message = (
        "The network is not sure how far the infection reaches: by itself it gives a POI of "
        f"{low:.1f} % when it is asked to be surer, and {high:.1f} % when less sure."
    )
    return (Finding("QUALITY_UNCERTAIN", "caution", message, figures(low_percent=low, high_percent=high)),)
