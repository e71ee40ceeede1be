"""The same slice by a share and by the network is one slice; anything else that differs makes two."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from kit.dicom_samples import make_series, make_slice, write
from kit.watch_box import Box
from scanside_appliance.inbox.data_set import data_set_sum
from scanside_appliance.inbox.facts import PROBE
from scanside_appliance.service.service import watch
from scanside_runtime.settings.load import load_settings
from sweeps.box import write_settings


def file_of(ds: Dataset, **meta: Any) -> bytes:
    for name, value in meta.items():
        setattr(ds.file_meta, name, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def a_slice(**changes: Any) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "T-D3000", "Chest"
    ds = make_slice(3, **changes)
    ds.AnatomicRegionSequence = Sequence([item])
    return ds


def sum_of(content: bytes) -> str:
    return data_set_sum(content, str(pydicom.dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID))


def by_the_network(ds: Dataset) -> Dataset:
    """As another writer spells it: implicit VR, sequences of undefined length, lengths of groups."""
    other = pydicom.dcmread(io.BytesIO(file_of(ds, TransferSyntaxUID=ImplicitVRLittleEndian)))
    other.AnatomicRegionSequence.is_undefined_length = True
    other.AnatomicRegionSequence[0].is_undefined_length_sequence_item = True
    return other


def test_another_writer_of_the_same_data_set_makes_no_difference() -> None:
    ds = a_slice(PixelPaddingValue=-2000)
    share = file_of(ds, TransferSyntaxUID=ExplicitVRLittleEndian, ImplementationVersionName="SCANNER")
    again = file_of(ds, TransferSyntaxUID=ExplicitVRLittleEndian, SourceApplicationEntityTitle="CT1")
    network = file_of(by_the_network(a_slice(PixelPaddingValue=-2000)))
    assert share != again and len(network) != len(share)
    assert sum_of(share) == sum_of(again) == sum_of(network) != ""


@pytest.mark.parametrize(
    "change",
    [
        {"RescaleIntercept": "-1023"}, {"PatientID": "P2"}, {"InstanceNumber": "77"}, {"BurnedInAnnotation": "NO"},
        {"SliceLocation": "1.0"},
    ],
    ids=str,
)  # fmt: skip
def test_another_value_is_another_data_set(change: dict[str, str]) -> None:
    assert sum_of(file_of(a_slice())) != sum_of(file_of(a_slice(**change)))


def test_every_bit_behind_the_meta_information_counts() -> None:
    content = file_of(a_slice(Rows=12, Columns=10, PixelData=bytes(240)), TransferSyntaxUID=ExplicitVRLittleEndian)
    start = 144 + int.from_bytes(content[140:144], "little")
    before, reserved = sum_of(content), list[int]()
    for at in range(start, len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << (at % 8)
        if data_set_sum(bytes(changed), ExplicitVRLittleEndian) == before:
            reserved.append(at)
            assert pydicom.dcmread(io.BytesIO(changed)) == pydicom.dcmread(io.BytesIO(content))
    assert len(reserved) < 20  # behind the VR of long elements (PS3.5 7.1.2), and around an item


def test_the_same_bytes_of_another_kind_are_another_value() -> None:
    ds = a_slice(PixelPaddingValue=-2000)
    explicit = file_of(ds, TransferSyntaxUID=ExplicitVRLittleEndian)
    at = explicit.index(b"\x28\x00\x20\x01SS")
    unsigned = explicit[: at + 4] + b"US" + explicit[at + 6 :]
    assert sum_of(explicit) != sum_of(unsigned)
    compressed = data_set_sum(explicit, "1.2.840.10008.1.2.4.70")
    assert compressed != sum_of(explicit) != data_set_sum(explicit, DeflatedExplicitVRLittleEndian)


def test_where_there_is_doubt_there_is_no_sum() -> None:
    content = file_of(a_slice(), TransferSyntaxUID=ExplicitVRLittleEndian)
    assert data_set_sum(content, "") == ""
    assert data_set_sum(content + b"\0", ExplicitVRLittleEndian) == ""
    assert data_set_sum(content[132:], ExplicitVRLittleEndian) == ""
    assert data_set_sum(content[:140] + b"\xff\xff\xff\xff" + content[144:], ExplicitVRLittleEndian) == ""


def run(box: Box) -> None:
    path = write_settings(box.root, **box.settings)
    watch(replace(box.plan(lambda: load_settings(path)), probe=PROBE))


def put(box: Box, folder: str, slices: list[Dataset]) -> None:
    write(box.inbox / folder, slices)


def from_the_scanner(slices: list[Dataset]) -> list[Dataset]:
    for ds in slices:
        ds.file_meta.SourceApplicationEntityTitle = "CT1"
        ds.file_meta.ImplementationVersionName = "OTHER"
    return slices


def test_a_study_that_came_by_the_share_and_comes_by_the_network_is_known(box: Box) -> None:
    put(box, "share", make_series(3))
    run(box)
    put(box, "network", from_the_scanner(make_series(3)))
    run(box)
    (job,) = json.loads(box.scanside("queue", "--all", "--json").output)
    assert (job["state"], len(box.places("archive")), list(box.inbox.rglob("*.dcm"))) == ("done", 3, [])
    pixels = make_series(3)
    pixels[1].PixelData = np.full(len(pixels[1].PixelData) // 2, 7, np.int16).tobytes()
    put(box, "other", from_the_scanner(pixels))
    run(box)
    assert "INPUT_CONFLICT" in {one["code"] for one in json.loads(box.scanside("queue", "--json").output)}


def test_both_ways_at_once_make_one_study_of_each_slice_once(box: Box) -> None:
    put(box, "share", make_series(3))
    put(box, "network", from_the_scanner(make_series(3)))
    run(box)
    (job,) = json.loads(box.scanside("queue", "--all", "--json").output)
    assert (job["state"], len(box.places("archive")), list(box.inbox.rglob("*.dcm"))) == ("done", 3, [])


def test_what_is_gone_from_the_archive_is_put_back_by_the_other_way(box: Box, tmp_path: Path) -> None:
    put(box, "share", make_series(3))
    run(box)
    first, *_ = sorted(box.root.glob("archive/*/*/*.dcm"))
    first.unlink()
    put(box, "network", from_the_scanner(make_series(3)))
    run(box)
    assert len(box.places("archive")) == 3
    assert box.scanside("verify").exit_code == 0, box.scanside("verify").output
