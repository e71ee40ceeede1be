"""May two scans be compared? Only like with like: else a change of the scan would pass for a change of the patient."""

from __future__ import annotations

from collections.abc import Callable

from scanside_runtime.dicom.values.kernel import Sharpness, sharpness
from scanside_runtime.followup.person_names import is_one_person_by_name
from scanside_runtime.followup.scan import Scan

THIN_BELOW_MM = 3.0
"""Thinner slices are averaged to thick ones before the networks see them (`ModelContract.thin_below_mm`)."""
THICKNESS_RATIO = 1.25
"""Thick slices are of one class when the thicker is at most this much of the thinner: 5 and 6 mm, not 5 and 7 mm."""

_NO_CONTRAST = {"", "NO", "NONE", "N", "0", "WITHOUT", "UNENHANCED", "NATIVE", "PLAIN"}


def obstacles(before: Scan, after: Scan) -> tuple[str, ...]:
    """Why two scans must not be compared, in words; empty where they may be.

    - POI was measured in both, by the same networks;
    - birth date, sex and given name do not differ where both state them, and under an ID that is given to many, or
      where one was released to stand by itself, the birth date is the same;
    - one class of slice thickness: both below 3 mm, or both from 3 mm on and within a factor of 1.25;
    - one class of kernel: both soft, both sharp, or both of a kind that is not known with name and scanner the same;
    - contrast medium in both or in neither;
    - the same part of the lungs: cut at the same end or at none, gaps between slices in both or in neither;
    - pleural fluid is counted in both or in neither.
    """
    checks: tuple[Callable[[Scan, Scan], str | None], ...] = (
        _unmeasured,
        _other_person,
        _other_networks,
        _other_thickness,
        _other_kernel,
        _other_contrast,
        _other_coverage,
        _other_fluid,
    )
    return tuple(why for check in checks if (why := check(before, after)))


def _unmeasured(before: Scan, after: Scan) -> str | None:
    if after.measured and before.measured:
        return None
    return f"POI was not measured in the {'earlier' if after.measured else 'later'} scan"


def _other_person(before: Scan, after: Scan) -> str | None:
    a, b = before.person, after.person
    conflict = a.conflicts(b)
    if conflict is None and not is_one_person_by_name(a.name, b.name):
        conflict = f"name {a.name} and {b.name}"
    if conflict:
        return f"the patient is stated differently ({conflict})"
    return None if a.is_proven(b) else _unproven(before, after)


def _unproven(before: Scan, after: Scan) -> str | None:
    """Where an ID is no proof, and no birth date is one."""
    if before.person.is_anybody or after.person.is_anybody:
        return f'the patient ID "{after.person.patient_id}" is given to many, and no birth date says whose they are'
    apart = before.is_set_apart or after.is_set_apart
    return "one of them was released to stand by itself" if apart else None


def _other_networks(before: Scan, after: Scan) -> str | None:
    if before.bundle == after.bundle or before.bundle is None or after.bundle is None:
        return None
    return f"other networks measured them ({before.bundle} and {after.bundle}): analyse the earlier study again"


def _other_thickness(before: Scan, after: Scan) -> str | None:
    a, b = before.slice_thickness_mm, after.slice_thickness_mm
    if a is None or b is None or min(a, b) <= 0.0:
        return "a slice thickness is not stated"
    thin = (round(a, 2) < THIN_BELOW_MM, round(b, 2) < THIN_BELOW_MM)
    if all(thin) or (not any(thin) and round(max(a, b) / min(a, b), 3) <= THICKNESS_RATIO):
        return None
    return f"the slices are {a:g} mm and {b:g} mm thick"


def _other_kernel(before: Scan, after: Scan) -> str | None:
    classes = sharpness(before.kernel), sharpness(after.kernel)
    known = Sharpness.UNSTATED not in classes
    alike = (before.kernel, before.scanner) == (after.kernel, after.scanner)
    if alike or (known and classes[0] == classes[1]):
        return None
    names = [kernel or "not stated" for kernel in (before.kernel, after.kernel)]
    return f"the kernels are {names[0]} and {names[1]}"


def _other_contrast(before: Scan, after: Scan) -> str | None:
    given = _has_contrast(before), _has_contrast(after)
    return None if given[0] == given[1] else "contrast medium was given for one of them only"


def _has_contrast(scan: Scan) -> bool:
    stated = (scan.contrast_bolus_agent or "").strip().upper() not in _NO_CONTRAST
    return stated or any("CONTRAST" in code for code in scan.flags)


def _other_coverage(before: Scan, after: Scan) -> str | None:
    cuts = [{code for code in scan.flags if code.startswith("COVERAGE_")} for scan in (before, after)]
    if cuts[0] != cuts[1]:
        return "the lungs are cut off differently"
    gaps = ["GEOMETRY_GAPS" in scan.flags for scan in (before, after)]
    return None if gaps[0] == gaps[1] else "one of them has gaps between its slices"


def _other_fluid(before: Scan, after: Scan) -> str | None:
    """Fluid is no infection where it was surely told, and counts as one where it was not: neither is a change."""
    for apart, other in ((before, after), (after, before)):
        counts_fluid = not other.fluid_ml and (other.fluid_ml is None or "QUALITY_POSSIBLE_EFFUSION" in other.flags)
        if apart.fluid_ml and counts_fluid:
            return "a possible effusion was set apart in one of them only"
    return None
