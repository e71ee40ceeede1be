"""Is the body the one that was scanned before? Sizes that no breath changes so much, whatever the headers say."""

from __future__ import annotations

from scanside_runtime.findings import Finding
from scanside_runtime.followup.progression import Progression
from scanside_runtime.followup.scan import Scan
from scanside_runtime.settings.tables import ProgressionSettings


def check_same_body(present: Scan, found: Progression | None, limits: ProgressionSettings) -> tuple[Finding, ...]:
    """A caution where lungs or chest are of another size than in the scan before, or in the last comparable one."""
    if found is None:
        return ()
    changes = [found.change, *([found.last_comparable] if found.last_comparable else [])]
    jumps = [jump for change in changes for jump in _jumps(change.previous, present, limits)]
    if not jumps:
        return ()
    return (Finding("PATIENT_OTHER_BODY", "caution", f"It may be another person: {'; '.join(dict.fromkeys(jumps))}."),)


def _jumps(before: Scan, after: Scan, limits: ProgressionSettings) -> list[str]:
    """What changed too much, in words."""
    when = f"in the scan of {before.acquired_at}"
    volumes_ml = before.whole.lung_volume_ml, after.whole.lung_volume_ml
    widths_mm = before.lung_width_mm, after.lung_width_mm
    jumps = []
    if _ratio(*volumes_ml) > limits.lung_volume_factor:
        jumps.append(f"the lungs hold {volumes_ml[1]:.0f} ml, {when} {volumes_ml[0]:.0f} ml")
    if _ratio(*widths_mm) > 1.0 + limits.lung_width_percent / 100.0:
        jumps.append(f"they are {widths_mm[1]:.0f} mm wide, {when} {widths_mm[0]:.0f} mm")
    return jumps


def _ratio(one: float | None, other: float | None) -> float:
    """The larger by the smaller; 1 where one is not known, or nothing."""
    return max(one, other) / min(one, other) if one and other else 1.0
