"""Big-endian files that are called little-endian, and the reverse: the fault is named, and who can mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from kit.analysis_samples import SPACING_MM, chest_hu
from kit.reading import choose_series, find_series, read_volume
from scanside_runtime.dicom.errors import InputByteOrder, InputUnreadable
from scanside_runtime.dicom.values.byte_order import byte_order_fault
from scanside_runtime.phantom.dicom_writer import Storage, write_series


def written(folder: Path, stored: str, declared: str) -> Path:
    for path in write_series(chest_hu(), SPACING_MM, folder, stored=Storage(transfer_syntax=stored)):
        path.write_bytes(path.read_bytes().replace(stored.encode(), declared.encode().ljust(len(stored), b"\0"), 1))
    return folder


@pytest.mark.parametrize(("stored", "declared", "words"), [
    (ExplicitVRBigEndian, ExplicitVRLittleEndian, "its bytes are big-endian"),
    (ExplicitVRBigEndian, ImplicitVRLittleEndian, "its bytes are big-endian"),
    (ExplicitVRBigEndian, RLELossless, "its bytes are big-endian"),
    (ExplicitVRLittleEndian, ExplicitVRBigEndian, "its bytes are little-endian"),
])  # fmt: skip
def test_the_fault_is_named_with_who_can_mend_it(tmp_path: Path, stored: str, declared: str, words: str) -> None:
    with pytest.raises(InputByteOrder, match=words) as refusal:
        choose_series(find_series(written(tmp_path, stored, declared)))
    assert "must mend it" in refusal.value.advice
    assert "sending them again" in refusal.value.advice


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless],
)
def test_what_agrees_with_itself_is_read(tmp_path: Path, syntax: str) -> None:
    write_series(chest_hu(), SPACING_MM, tmp_path, stored=Storage(transfer_syntax=syntax))
    assert (read_volume(choose_series(find_series(tmp_path))).hu == chest_hu()).all()


def test_a_file_that_is_only_cut_off_is_no_matter_of_byte_order(tmp_path: Path) -> None:
    path = write_series(chest_hu(), SPACING_MM, tmp_path)[0]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputUnreadable):
        choose_series(find_series(tmp_path))


@pytest.mark.parametrize("length", [0, 131, 132, 140, 144, 150, 300])
def test_of_whatever_part_of_a_file_nothing_is_said_that_is_not_there(tmp_path: Path, length: int) -> None:
    data = write_series(chest_hu(), SPACING_MM, tmp_path)[0].read_bytes()
    assert byte_order_fault(data[:length]) is None
