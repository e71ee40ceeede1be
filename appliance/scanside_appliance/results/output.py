"""What an analysis leaves in a folder: the document, the page, the pictures and the DICOM objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanside_appliance.dicom_out.identity import object_uids
from scanside_appliance.dicom_out.objects import CAPTURES, REPORT, SEGMENTATION, ArchiveObjects, Maker
from scanside_appliance.files.atomic import replace_files, writing
from scanside_appliance.files.layout import PAGE, RESULT
from scanside_appliance.page.report import EarlierSlices, render_page
from scanside_appliance.pictures.draw import Pictures, draw_pictures, montage
from scanside_appliance.pictures.files import png_bytes
from scanside_appliance.pictures.slice_archive import open_slice_archive, slice_archive_bytes
from scanside_appliance.results.archive import FolderOfStudy
from scanside_appliance.results.dicom_seg import segmentation_digest, series_segmentation
from scanside_appliance.results.page_options import PLAIN, PageOptions
from scanside_runtime.quality.orientation import ORIENTATION

if TYPE_CHECKING:
    from scanside_runtime.analysis.result import Analysis

MONTAGE, CORONAL, SLICES = "montage.png", "coronal.png", "slices.zip"
OURS = (RESULT, PAGE, MONTAGE, CORONAL, SLICES, SEGMENTATION, REPORT)
NO_OBJECTS = frozenset({"INPUT_SHARED_UID", "QUALITY_ORIENTATION"})
"""With these there are none: nothing can refer to the slices, or labels would say sides that nobody believes."""


def document_json(document: Mapping[str, Any], *, indent: int | None = None) -> str:
    """The document as JSON (RFC 8259) in ASCII, whatever the terminal. Raises ValueError on NaN or infinity."""
    return json.dumps(document, indent=indent, allow_nan=False)


def write_output(analysis: Analysis, folder: Path, *, dicom: bool = True, page: PageOptions = PLAIN) -> dict[str, Any]:
    """Write everything about one study into `folder`; returns the document with `artefacts` filled.

    - All of it appears or nothing: everything is made before the folder is touched, and what an earlier run left stays
      as it was where this one fails. `result.json` comes last, so that what it lists is there.
    - Else what an earlier run left and this one does not make is removed: no refusal lies beside an old Segmentation.
    - A withheld infection is neither drawn nor written as DICOM objects; slices that share a UID have none, nor has a
      study whose sides contradict its header.

    Raises BoxOutput when the folder can't be written.
    """
    found = analysis.document()
    makers = _makers(analysis, found, page, dicom=dicom)
    document = {**found, "artefacts": [RESULT, *makers]}
    contents = _made(makers, document)
    contents[RESULT] = (document_json(document, indent=2) + "\n").encode()
    with writing(folder):
        before = {*OURS, *(path.name for path in folder.glob(CAPTURES))}
        replace_files(folder, contents, gone=sorted(before - contents.keys()))
    return document


def _made(makers: Mapping[str, Maker], document: dict[str, Any]) -> dict[str, bytes]:
    """What each makes: the DICOM objects beside all else, which is drawn and packed while nobody needs Python."""
    objects = {name: make for name, make in makers.items() if name.endswith(".dcm")}
    with ThreadPoolExecutor(max_workers=1) as beside:
        archived = beside.submit(lambda: {name: make(document) for name, make in objects.items()})
        made = {name: make(document) for name, make in makers.items() if name not in objects}
        return {**made, **archived.result()}


def _makers(analysis: Analysis, found: Mapping[str, Any], page: PageOptions, *, dicom: bool) -> dict[str, Maker]:
    """By file name, what makes its bytes from the document. found: that one, without its artefacts."""
    flags = frozenset(flag["code"] for flag in found["flags"])
    pictures = _pictures(analysis, sides=ORIENTATION not in flags)
    makers: dict[str, Maker] = {PAGE: lambda document: _page(document, pictures, page).encode(errors="replace")}
    if pictures is not None:
        makers[MONTAGE] = lambda _: png_bytes(montage(pictures.slices))
        makers[CORONAL] = lambda _: png_bytes(pictures.coronal)
        makers[SLICES] = lambda _: slice_archive_bytes(pictures.tiles)
    if dicom and analysis.verdict == "analysed" and _can_be_referred_to(analysis, flags):
        makers |= _archive_objects(analysis, found["provenance"], pictures)
    return makers


def _archive_objects(analysis: Analysis, provenance: Mapping[str, Any], pictures: Pictures | None) -> dict[str, Maker]:
    """What makes Segmentation, report and key pictures."""
    series, masks = analysis.series, analysis.masks
    if series is None or masks is None or pictures is None:
        raise ValueError("an analysed study without series, masks or pictures: the analysis broke its promise")
    found = segmentation_digest(series, masks, provenance)
    bundle = provenance["bundle"]
    segmentation = partial(
        series_segmentation,
        series,
        masks,
        algorithm_version=f"{bundle['name']} {bundle['version']}",
        software_version=str(provenance["version"]),
        uids=object_uids(found, "seg"),
    )
    return {SEGMENTATION: lambda _: segmentation(), **ArchiveObjects.of(series, pictures, found).makers()}


def _can_be_referred_to(analysis: Analysis, flags: Set[str]) -> bool:
    """DICOM objects name their source slices, each by a UID of its own, and say which lung is the left one."""
    if analysis.series is None:
        return False
    return NO_OBJECTS.isdisjoint({note.code for note in analysis.series.notes} | flags)


def _pictures(analysis: Analysis, *, sides: bool) -> Pictures | None:
    if analysis.volume is None or analysis.masks is None:
        return None
    with_infection = analysis.verdict == "analysed"
    return draw_pictures(analysis.volume, analysis.masks, with_infection=with_infection, sides=sides)


def _page(document: Mapping[str, Any], pictures: Pictures | None, page: PageOptions) -> str:
    earlier = _earlier(document, page.folder_of_study)
    return render_page(document, pictures, page.comparison, page.site, earlier)


def _earlier(document: Mapping[str, Any], folder_of_study: FolderOfStudy | None) -> EarlierSlices | None:
    """The pictures of the scan that this one was compared with, else of the latest that it could be compared with."""
    change = document["progression"]
    if change is not None and change["trend"] == "not_comparable":
        change = change["last_comparable"]
    if change is None or folder_of_study is None:
        return None
    study = document["study"]
    folder = folder_of_study(study["patient_id"], study["issuer"], change["previous_study_uid"])
    archive = None if folder is None else open_slice_archive(folder / SLICES)
    return None if archive is None else EarlierSlices(change["previous_acquired_at"], archive)
