"""What is known already goes from the inbox when its bytes have proved it: never on the word of a child alone."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from kit.dicom_samples import make_slice, picture, transcode, write
from kit.watch_box import PYTHON, Box, study
from scanside_appliance.files.alike import ends_alike, may_be_dicom
from scanside_appliance.jobs import intake
from scanside_appliance.service.header_reading import HeaderReading
from scanside_appliance.service.service import watch
from scanside_runtime.dicom.headers import is_dicom
from scanside_runtime.settings.load import load_settings
from sweeps.box import HERE, Slice, write_settings

TAKEN_OVER = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
import fake_probe
from dataclasses import replace
honest, taken_over = fake_probe.facts, []
def facts(inbox, name):
    found = replace(honest(inbox, name), data_sha256="d" * 64)
    taken_over.extend(["it is"] if "takes-over" in name else [])
    return replace(found, sha256={{sha256!r}} or found.sha256) if taken_over and "genuine" in name else found
fake_probe.facts = facts
fake_probe.main()
"""
"""Of every file it says that it holds one data set. Once it has read `takes-over`, it gives `genuine` a false sum."""


def run(box: Box, sha256: str) -> None:
    settings = write_settings(box.root)
    plan = box.plan(lambda: load_settings(settings))
    watch(replace(plan, probe=(*PYTHON, "-c", TAKEN_OVER.format(sha256=sha256))))


@pytest.mark.parametrize("is_sum_false", [True, False])
def test_a_child_that_calls_a_file_known_that_is_not_costs_nobody_that_file(box: Box, is_sum_false: bool) -> None:
    first = Slice(1, 1)
    box.put(first)
    run(box, "")
    (known,) = (path.stem for path in (box.root / "archive").rglob("*.dcm"))
    sha256 = next(one for one in box.sums if one.startswith(known))
    box.put(Slice(2, 1, text="of the attacker"), folder="a-takes-over")
    box.put(Slice(1, 2, text="of another picture"), folder="genuine")
    run(box, sha256 if is_sum_false else "")
    assert len(box.of(1)[-1]["inputs"]) == 2
    assert box.is_sound()
    assert not box.places("inbox") and not box.places("work")


SAYS_OTHER = TAKEN_OVER.replace(
    "replace(found, sha256={sha256!r} or found.sha256)", 'replace(found, kind="other", study_uid="", sop_uid="")'
).format()
"""It says of a good slice, and of what breaks off, that they are no DICOM."""


def test_a_child_that_was_taken_over_can_not_have_good_slices_put_aside(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "may_be_dicom", lambda copy: b"notes" not in copy.read_bytes())
    box.put(Slice(2, 1, text="of the attacker"), folder="a-takes-over")
    box.put(*study(1), folder="genuine")
    (box.inbox / "genuine" / "notes.txt").write_text("notes")
    settings = write_settings(box.root)
    watch(replace(box.plan(lambda: load_settings(settings)), probe=(*PYTHON, "-c", SAYS_OTHER)))
    assert [len(one["inputs"]) for one in box.of(1)][-1:] == [3]
    assert len(box.places("quarantine/INPUT_NOT_DICOM")) == 1
    assert not box.places("inbox") and not box.places("work")


def test_whoever_calls_a_file_the_same_data_set_as_another_picture_reads_no_more(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(Slice(1, 1))
    run(box, "")
    distrusted: set[str] = set()
    monkeypatch.setattr(HeaderReading, "distrust", lambda _, belied: distrusted.update(belied))
    box.put(Slice(1, 2, text="of another picture"), folder="genuine")
    run(box, "")
    assert len(box.of(1)[-1]["inputs"]) == 2
    assert distrusted == {"genuine/002.dcm"}


def test_a_file_looks_like_dicom_by_its_first_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, make_slice(3), ExplicitVRLittleEndian)
    old, big, text = tmp_path / "old", tmp_path / "big", tmp_path / "text"
    old.write_bytes(b"\x08\x00\x05\x00CS")
    big.write_bytes(b"\x00\x08\x00\x05CS")
    text.write_bytes(b"no DICM" * 50)
    every = (path, old, big, text)
    assert [may_be_dicom(one) for one in every] == [True, True, True, False]
    assert [is_dicom(io.BytesIO(one.read_bytes())) for one in every] == [True, True, True, False], "so does the reader"


def written(folder: Path, ds: Dataset, syntax: str) -> Path:
    ds.file_meta.TransferSyntaxUID = syntax
    path = folder / f"{len(list(folder.iterdir()))}.dcm"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    path.write_bytes(buffer.getvalue())
    return path


def test_files_end_alike_by_the_bytes_of_their_picture_however_their_headers_are_written(tmp_path: Path) -> None:
    explicit = written(tmp_path, make_slice(3), ExplicitVRLittleEndian)
    implicit = written(tmp_path, make_slice(3), ImplicitVRLittleEndian)
    other = written(tmp_path, make_slice(3, picture(4)), ImplicitVRLittleEndian)
    cut = tmp_path / "cut"
    cut.write_bytes(explicit.read_bytes()[:-1])
    assert ends_alike(explicit, implicit) and ends_alike(implicit, explicit)
    assert not any(ends_alike(explicit, one) or ends_alike(one, explicit) for one in (other, cut))


def test_what_has_no_picture_ends_alike_by_its_whole_data_set_and_what_can_not_be_told_does_not(tmp_path: Path) -> None:
    report = make_slice(3)
    del report.PixelData
    one = written(tmp_path, report, ExplicitVRLittleEndian)
    report.file_meta.SourceApplicationEntityTitle = "CT1"
    same = written(tmp_path, report, ExplicitVRLittleEndian)
    report.PatientID = "P2"
    other = written(tmp_path, report, ExplicitVRLittleEndian)
    for name, content in (("nothing", b""), ("text", b"x" * 500)):
        (tmp_path / name).write_bytes(content)
    assert ends_alike(one, same) and not ends_alike(one, other)
    assert not any(ends_alike(tmp_path / name, one) or ends_alike(one, tmp_path / name) for name in ("nothing", "text"))
    assert not ends_alike(tmp_path / "text", tmp_path / "text")


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_picture_is_found_in_every_order_of_bytes(tmp_path: Path, syntax: str) -> None:
    write(tmp_path / "plain", [make_slice(3), make_slice(4)])
    one, other = sorted(transcode(tmp_path / "plain", tmp_path / "coded", syntax).iterdir())
    again = tmp_path / "again"
    ds = pydicom.dcmread(one)
    again.write_bytes(one.read_bytes().replace(b"PYDICOM", b"ANOTHER", 1))
    assert ds.file_meta is not None
    assert ends_alike(again, one)
    assert not ends_alike(other, one)
