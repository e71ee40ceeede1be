"""What is said of the choice of a series: why this one, what was passed over, and what may have been meant instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydicom.uid import UID

from scanside_runtime.dicom import ranking
from scanside_runtime.dicom.candidates import Judged, PassedSeries, is_localizer
from scanside_runtime.dicom.contents import is_ct
from scanside_runtime.dicom.errors import GeometryNotAxial
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.errors import Refused
from scanside_runtime.findings import Finding, figures
from scanside_runtime.plural import told


def why_chosen(judged: Judged) -> str:
    """One sentence on the first of the candidates, one on the order where there are several, one on the others."""
    others = [ranking.called(one.slices) for one in judged.candidates[1:]]
    refused = [f"{ranking.called(judged.groups[uid])}: {why.code}" for uid, why in judged.refusals.items()]
    start = "The best of the axial series" if others else "The only axial series that can be measured"
    passed = f" Passed over: {'; '.join(others + refused)}." if others or refused else ""
    order = "not called another part, complete, original, chest, soft kernel, near 5 mm, more slices"
    ranked = f" Order: {order}." if others else ""
    return f"{start}: {ranking.called(judged.candidates[0].slices)}.{ranked}{passed}"


def passed_over(judged: Judged) -> Iterator[PassedSeries]:
    """The CT series that were not taken, with the parts of the one that was."""
    chosen, *others = judged.candidates
    yield from chosen.passed_over
    first = chosen.slices[0]
    localizers = sum(is_localizer(header) for header in judged.groups[first.series_uid])
    if localizers:
        why = told("{count} localizer(s) in the series", count=localizers)
        yield PassedSeries(first.series_uid, first.series_description, why)
    for other in others:
        first, why = other.slices[0], ranking.why_behind(chosen.slices, other.slices)
        as_well = "" if ranking.called_another_part(other.slices) else "it would do as well, but "
        yield PassedSeries(first.series_uid, first.series_description, as_well + why)
    for uid, refusal in judged.refusals.items():
        yield PassedSeries(uid, judged.groups[uid][0].series_description, f"{refusal.code}: {refusal.message}")


def other_objects(headers: Iterable[SliceHeader]) -> Iterator[PassedSeries]:
    """The series of the study that hold no CT slices: secondary captures, dose pages, our own results."""
    others = {header.series_uid: header for header in headers if not is_ct(header)}
    for uid, header in sorted(others.items()):
        yield PassedSeries(uid, header.series_description, f"no CT slices: {UID(header.sop_class_uid).name}")


def damaged_notes(judged: Judged) -> tuple[Finding, ...]:
    """A chest series that was passed over because it is damaged may be the one that was meant."""
    damaged = {uid: why.message for uid, why in judged.refusals.items() if _is_damage(why)}
    for one in judged.candidates[1:]:
        broken = next((header for header in one.slices if header.damage), None)
        if broken is not None:
            damaged[broken.series_uid] = f"the pixels of {broken.file.name} are cut off: {broken.damage}."
    return tuple(
        Finding("SERIES_PASSED_OVER", "caution", f"Series {uid} was passed over: {why}")
        for uid, why in damaged.items()
        if not ranking.called_another_part(judged.groups[uid])
    )


def shared_uid_notes(slices: Sequence[SliceHeader], headers: Iterable[SliceHeader]) -> tuple[Finding, ...]:
    """Slices that no UID of their own names: positions tell them apart, but nothing can refer to them."""
    contents: dict[str, set[tuple[object, ...]]] = {}
    for header in headers:
        content = (header.pixels_sha256 or header.sha256, header.image_position_patient)
        contents.setdefault(header.sop_instance_uid, set()).add(content)
    shared = sum(not one.sop_instance_uid or len(contents[one.sop_instance_uid]) > 1 for one in slices)
    if not shared:
        return ()
    message = (
        f"{shared} of {len(slices)} slices carry a SOP Instance UID that others carry too, or none. "
        "Their positions tell them apart."
    )
    return (Finding("INPUT_SHARED_UID", "caution", message, figures(shared=shared, slices=len(slices))),)


def _is_damage(why: Refused) -> bool:
    return not (isinstance(why, GeometryNotAxial) or why.code.startswith("SERIES_"))
