"""One zip for a colleague elsewhere: key slices, masks, numbers and page, under a pseudonym and within a size."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydicom import dcmread

from scanside_appliance.dicom_out.identity import NOTICE, ObjectUids
from scanside_appliance.files.atomic import replace_file
from scanside_appliance.files.layout import PAGE, RESULT
from scanside_appliance.page.report import render_page
from scanside_appliance.pictures.draw import Pictures, draw_pictures, draw_plain_pictures
from scanside_appliance.referral.clean_document import clean_document
from scanside_appliance.referral.clean_slices import CleanSeries
from scanside_appliance.referral.errors import BoxPackTooLarge
from scanside_appliance.referral.pseudonym import Pseudonyms
from scanside_appliance.referral.source import Source
from scanside_appliance.results.dicom_seg import segmentation_bytes
from scanside_runtime.quality.orientation import ORIENTATION
from scanside_runtime.settings.tables import SiteSettings
from scanside_runtime.volume import Masks

MASKS, README, SUMS = "masks.dcm", "README.txt", "SHA256SUMS"
MB = 1_000_000
NO_DATE, NO_TIME = "19800101", "000000"
LINK_BITS_PER_S = 384_000
_ENTRY_BYTES = 250
"""What the zip's own directory takes for a file, and its line in the list of sums."""
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the same study makes the same zip
_TEXT = """A chest CT, packed by Scanside for a colleague. {notice}.

{page}      the page: open it in a browser
{result}      the same numbers for programmes
{masks}slices/          key slices as DICOM images, JPEG-LS without loss, {slices} of {all_slices}
{sums}       SHA-256 of each of these files

The patient is called {pseudonym} here. Names, dates, descriptions and identifiers were left behind; ask the sender
under this name. Whoever adds a name to these files makes them patient data again.
"""
_OF_MASKS = "masks.dcm        lungs and infection as a DICOM Segmentation\n"
_UNMEASURED = "\nIt could not be measured: {why}\nThe slices are as they were scanned, nothing is marked in them.\n"


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that was written. seconds: over a line of 384 kbit/s."""

    path: str
    sha256: str
    size_bytes: int
    seconds: int
    pseudonym: str
    slices: int


def write_pack(
    source: Source, document: Mapping[str, Any], pseudonyms: Pseudonyms, folder: Path, *, limit_mb: float, language: str
) -> Pack:
    """The zip and, beside it, its SHA-256. As many key slices go in as there is room for, the most infected first.

    language: of the page. Raises BoxPackTooLarge where the rest alone is too large, OSError.
    """
    study = document["study"]
    pseudonym = pseudonyms.patient(study["patient_id"], study["issuer"], study["study_uid"])
    clean = CleanSeries(source.series, source.volume, pseudonyms, pseudonym)
    files, slices = _files(clean, source, clean_document(document, pseudonyms, pseudonym), limit_mb * MB, language)
    content = _zipped(files)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pseudonym}-{pseudonyms.uid(study['study_uid'])[-8:]}.zip"
    digest = hashlib.sha256(content).hexdigest()
    replace_file(path, content)
    replace_file(path.with_name(f"{path.name}.sha256"), f"{digest}  {path.name}\n".encode())
    return Pack(str(path), digest, len(content), round(8 * len(content) / LINK_BITS_PER_S), pseudonym, slices)


def _files(
    clean: CleanSeries, source: Source, document: dict[str, Any], limit_bytes: float, language: str
) -> tuple[dict[str, bytes], int]:
    """By name what goes in, and how many slices there was room for."""
    pictures = _pictures(source, document)
    files = {RESULT: _json(document)}
    if source.masks is not None:
        files[MASKS] = _masks(clean, source.masks, document)
    files[PAGE] = _page(document, pictures, language)
    if _packed_bytes(files) > limit_bytes / 2:  # all slices small are worth less to a colleague than a few as they are
        files[PAGE] = _page(document, replace(pictures, tiles=()), language)
    if _packed_bytes(files) > limit_bytes:
        raise BoxPackTooLarge(mb=_packed_bytes(files) / MB, limit=limit_bytes / MB)
    slices = dict(_slices_within(clean, pictures, limit_bytes - _packed_bytes(files)))
    files |= dict(sorted(slices.items()))
    files[README] = _readme(clean, len(slices), document["reason"])
    files[SUMS] = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()
    return files, len(slices)


def _pictures(source: Source, document: Mapping[str, Any]) -> Pictures:
    """Of a refused study nothing is outlined: what was found in it is not believed."""
    sides = all(flag["code"] != ORIENTATION for flag in document["flags"])
    if source.masks is None:
        return draw_plain_pictures(source.volume, sides=sides)
    return draw_pictures(source.volume, source.masks, sides=sides)


def _slices_within(clean: CleanSeries, pictures: Pictures, room_bytes: float) -> Iterator[tuple[str, bytes]]:
    """Key slices as files as long as there is room, those with the most infection first."""
    total = clean.volume.hu.shape[0]
    room_bytes -= 3 * _ENTRY_BYTES + len(_TEXT) + len(_UNMEASURED) + 400
    for one in sorted(pictures.slices, key=lambda one: -(one.percent or 0.0)):
        name, data = f"slices/slice_{one.number:04d}.dcm", clean.file(total - one.number)
        room_bytes -= _packed_bytes({name: data})
        if room_bytes < 0:
            return
        yield name, data


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def _page(document: Mapping[str, Any], pictures: Pictures, language: str) -> bytes:
    """The page in the box's language; the name of the hospital stays here, and a flag is said by its meaning alone."""
    shown = {**document, "flags": [{**flag, "message": ""} for flag in document["flags"]]}
    return render_page(shown, pictures, site=SiteSettings(language=language)).encode(errors="replace")


def _masks(clean: CleanSeries, found: Masks, document: Mapping[str, Any]) -> bytes:
    bundle = document["provenance"]["bundle"]
    masks = (found.left_lung, found.right_lung, found.infection)
    uids = (clean.pseudonyms.uid(f"masks {part} of {clean.series.uid}") for part in ("series", "object"))
    content = segmentation_bytes(
        clean.headers(),
        (mask.array for mask in masks),
        slice_spacing_mm=clean.volume.spacing_mm[0],
        algorithm_version=f"{bundle['name']} {bundle['version']}",
        software_version=str(document["provenance"]["version"]),
        uids=ObjectUids(*uids),
    )
    return _dateless(content, clean.pseudonyms.uid(f"dimensions of {clean.series.uid}"))


def _dateless(content: bytes, dimensions: str) -> bytes:
    """A Segmentation that does not say when it was packed: dummies, where DICOM wants a value, and no free text.

    dimensions: the UID of its dimensions, which would be another one each time.
    """
    ds = dcmread(io.BytesIO(content))
    for keyword in ("ContentDate", "InstanceCreationDate"):
        setattr(ds, keyword, NO_DATE)
    for keyword in ("ContentTime", "InstanceCreationTime"):
        setattr(ds, keyword, NO_TIME)
    for item in (*ds.DimensionOrganizationSequence, *ds.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
    for keyword in ("SeriesDescription", "ContributingEquipmentSequence"):
        if keyword in ds:
            delattr(ds, keyword)
    written = io.BytesIO()
    ds.save_as(written)
    return written.getvalue()


def _readme(clean: CleanSeries, slices: int, reason: Mapping[str, str] | None) -> bytes:
    names = {"notice": NOTICE, "page": PAGE, "result": RESULT, "masks": "" if reason else _OF_MASKS, "sums": SUMS}
    total = clean.volume.hu.shape[0]
    said = _TEXT.format(**names, slices=slices, all_slices=total, pseudonym=clean.pseudonym)
    return (said + (_UNMEASURED.format(why=reason["message"]) if reason else "")).encode()


def _packed_bytes(files: Mapping[str, bytes]) -> int:
    return sum(len(zlib.compress(data, 6)) + _ENTRY_BYTES for data in files.values())


def _zipped(files: Mapping[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _FIRST_DAY), data, compress_type=zipfile.ZIP_DEFLATED)
    return written.getvalue()
