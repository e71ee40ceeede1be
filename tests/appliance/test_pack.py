"""A referral pack: what a colleague needs, within a size, and nothing that says whose it is."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from typer.testing import CliRunner

from kit.analysis_samples import StubAnalysis, analysed, chest_document, chest_masks
from kit.case_kit import put
from kit.reading import choose_series, find_series, read_volume
from scanside_appliance.cli import main as cli
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.referral.pseudonym import KEY_FILE, Pseudonyms
from scanside_appliance.results.output import write_output
from scanside_runtime.findings import KINDS

pytestmark = pytest.mark.usefixtures("warm_readers")

WORD = "Planted"
BY_VR = {
    "AE": ("StationAETitle", "PlantedAe"), "AS": ("PatientAge", "087Y"), "CS": ("PatientPosition", "PLANTEDCS"),
    "DA": ("PatientBirthDate", "19370219"), "DS": ("PatientWeight", "87.654321"), "DT": ("FrameAcquisitionDateTime",
    "20190307101112.345678"), "FD": ("EventTimeOffset", 87654.321), "FL": ("TableHeight", None), "IS": ("ExposureTime",
    "8765432"), "LO": ("InstitutionName", "PlantedHospital"), "LT": ("AdditionalPatientHistory", "PlantedHistory"),
    "OB": ("EncapsulatedDocument", b"PlantedBytes"), "PN": ("ReferringPhysicianName", "PlantedDoctor^Name"),
    "SH": ("AccessionNumber", "PlantedAcc"), "ST": ("InstitutionAddress", "PlantedStreet 5"), "TM": ("StudyTime",
    "101112.345678"), "UC": ("LongCodeValue", "PlantedLong"), "UI": ("DeviceUID", "1.2.987654321.1"),
    "UR": ("RetrieveURL", "http://planted.example/"), "UT": ("TextValue", "PlantedText"),
}  # fmt: skip
OTHERS = {
    "PatientID": "PlantedId-4711", "PatientName": "PlantedFamily^PlantedGiven", "IssuerOfPatientID": "PlantedIssuer",
    "StudyDate": "20190307", "SeriesDate": "20190307", "AcquisitionDate": "20190307",
    "StudyDescription": "PlantedStudy",
    "SeriesDescription": "PlantedSeries", "ProtocolName": "PlantedProtocol", "Manufacturer": "PlantedMaker",
    "ManufacturerModelName": "PlantedModel", "DeviceSerialNumber": "PlantedSerial", "StationName": "PlantedStation",
    "OperatorsName": "PlantedOperator", "PatientComments": "PlantedComment", "ImageComments": "PlantedImage",
    "ConvolutionKernel": "PLANTEDKERNEL", "PatientSex": "F",
}  # fmt: skip


def planted(ds: Dataset) -> None:
    """What must not come out: in an attribute of every VR, in private tags, in nested sequences, in file meta."""
    for keyword, value in (*BY_VR.values(), *OTHERS.items()):
        if value is not None:
            setattr(ds, keyword, value)
    block = ds.private_block(0x0009, "PlantedCreator", create=True)
    block.add_new(0x01, "LO", "PlantedPrivate")
    block.add_new(0x02, "UN", b"PlantedUnknown")
    inner, outer = Dataset(), Dataset()
    inner.PatientName, inner.PersonTelephoneNumbers = "PlantedNested^Deep", "PlantedPhone"
    outer.RequestAttributesSequence = Sequence([inner])
    ds.OriginalAttributesSequence = Sequence([outer])
    ds.file_meta.SourceApplicationEntityTitle = "PlantedSource"
    ds.file_meta.PrivateInformationCreatorUID, ds.file_meta.PrivateInformation = "1.2.987654321.2", b"PlantedMeta!"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `source`, whose headers are full of planted values, and `result`."""
    folder = tmp_path_factory.mktemp("study")
    analysed(folder / "source")
    for path in (folder / "source").iterdir():
        ds = pydicom.dcmread(path)
        planted(ds)
        ds.save_as(path)
    series = choose_series(find_series(folder / "source"))
    volume = read_volume(series)
    masks = chest_masks(volume)
    document = chest_document(series, volume, masks)
    document["study"] = {
        **document["study"], "patient_id": OTHERS["PatientID"], "patient_name": "PlantedFamily^PlantedGiven",
        "issuer": "PlantedIssuer", "study_date": "2019-03-07", "acquired_at": "2019-03-07T10:11:12",
        "birth_date": "1937-02-19",
    }  # fmt: skip
    said = 'SeriesDescription says "PlantedSeries"; whether this is a chest is decided by the picture.'
    document["flags"].append({"code": "SERIES_LABELLED_OTHERWISE", "level": "caution", "message": said})
    document["severity"] |= {"why": "PlantedWhy 2019-03-07", "model": {"name": "PlantedModelName"}}
    document["contents"] = [{"study_uid": "1.2.3", "patient_name": "PlantedOther", "series": []}]
    write_output(StubAnalysis("analysed", 0, series, volume, masks, document), folder / "result")
    return folder


def scanside(root: Path, *arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["--root", str(root), *map(str, arguments)])


def packed(study: Path, root: Path, *more: object) -> Path:
    root.mkdir(exist_ok=True)
    where = ("--source", study / "source", "--output", root / "packs")
    done = scanside(root, "pack", study / "result", *where, *more, "--json")
    assert done.exit_code == 0, done.output + repr(done.exception)
    return Path(json.loads(done.output)[0]["path"])


def members(pack: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(pack) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pictures_of(page: bytes) -> Iterator[bytes]:
    yield from map(base64.b64decode, re.findall(rb"base64,([A-Za-z0-9+/=]+)", page))


def test_no_planted_value_is_found_in_any_byte(study: Path, tmp_path: Path) -> None:
    pack = packed(study, tmp_path)
    files = members(pack)
    everything = [pack.name.encode(), pack.read_bytes(), *map(str.encode, files), *files.values()]
    everything += pictures_of(files["report.html"])
    original = pydicom.dcmread(next((study / "source").iterdir()))
    identifying = {
        "planted", "19370219", "1937-02-19", "20190307", "2019-03-07", "101112", "10:11:12", "087y", "87.654321",
        "8765432", "987654321", "87654.321", str(original.StudyInstanceUID), str(original.SeriesInstanceUID),
        str(original.SOPInstanceUID), str(original.FrameOfReferenceUID),
    }  # fmt: skip
    for needle in identifying:
        for spelled in (needle.encode(), needle.encode("utf-16-le")):
            assert not [data[:40] for data in everything if spelled in data.lower()], needle


def test_the_values_were_there_to_be_found(study: Path) -> None:
    source = b"".join(path.read_bytes() for path in (study / "source").iterdir())
    text = [str(value).encode() for _, value in BY_VR.values() if isinstance(value, str)]
    bare = (b"PlantedPrivate", b"PlantedUnknown", b"PlantedNested", b"PlantedMeta!")
    assert all(value in source for value in (*text, *bare))
    assert WORD.encode() in (study / "result" / "result.json").read_bytes()
    assert WORD.encode() in (study / "result" / "seg.dcm").read_bytes()


def test_what_is_kept_of_a_header_is_a_closed_list(study: Path, tmp_path: Path) -> None:
    files = members(packed(study, tmp_path))
    slices = [pydicom.dcmread(io.BytesIO(data)) for name, data in files.items() if name.startswith("slices/")]
    assert slices
    for one in slices:
        assert one.PatientIdentityRemoved == "YES"
        assert one.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        assert not [element for element in one.iterall() if element.tag.is_private]
        filled = {element.keyword for element in one if element.value not in (None, "", [])}
        assert filled == {
            "BitsAllocated", "BitsStored", "BodyPartExamined", "BurnedInAnnotation", "Columns",
            "DeidentificationMethod",
            "DeidentificationMethodCodeSequence", "FrameOfReferenceUID", "HighBit", "ImageOrientationPatient",
            "ImagePositionPatient", "ImageType", "InstanceNumber", "LongitudinalTemporalInformationModified",
            "Manufacturer", "Modality", "PatientID", "PatientIdentityRemoved", "PatientName",
            "PhotometricInterpretation", "PixelData", "PixelRepresentation", "PixelSpacing", "RescaleIntercept",
            "RescaleSlope", "RescaleType", "Rows", "SOPClassUID", "SOPInstanceUID", "SamplesPerPixel",
            "SeriesInstanceUID", "SeriesNumber", "SliceThickness", "StudyInstanceUID", "WindowCenter", "WindowWidth",
        }  # fmt: skip


def test_slices_and_masks_are_those_of_the_study_voxel_for_voxel(study: Path, tmp_path: Path) -> None:
    files = members(packed(study, tmp_path))
    volume = read_volume(choose_series(find_series(study / "source")))
    masks = chest_masks(volume)
    total = volume.hu.shape[0]
    seg = pydicom.dcmread(io.BytesIO(files["masks.dcm"]))
    by_slice = {
        (int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
         item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID): frame
        for item, frame in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True)
    }  # fmt: skip
    names = [name for name in files if name.startswith("slices/")]
    assert names
    for name in names:
        one = pydicom.dcmread(io.BytesIO(files[name]))
        z = total - int(one.InstanceNumber)
        hu = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        np.testing.assert_array_equal(hu, volume.hu[z])
        np.testing.assert_allclose(one.ImagePositionPatient, (volume.affine @ [0, 0, z, 1])[:3])
        for number, mask in enumerate((masks.left_lung, masks.right_lung, masks.infection), start=1):
            np.testing.assert_array_equal(by_slice[number, one.SOPInstanceUID] > 0, mask.array[z])


def test_the_numbers_go_along_and_the_words_do_not(study: Path, tmp_path: Path) -> None:
    files = members(packed(study, tmp_path))
    clean = json.loads(files["result.json"])
    before = json.loads((study / "result" / "result.json").read_text())
    assert clean["biomarkers"] == before["biomarkers"]
    assert clean["severity"]["flag"] == before["severity"]["flag"]
    assert [flag["code"] for flag in clean["flags"]] == [flag["code"] for flag in before["flags"]]
    assert {name for name, value in clean["study"].items() if value is not None} == {"patient_id", "study_uid"}
    assert clean["study"]["patient_id"] in files["report.html"].decode()


def test_the_page_says_that_it_was_measured_again_for_an_earlier_scan_as_the_boxs_own_does(
    study: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(study, tmp_path / "again")
    document = json.loads((again / "result" / "result.json").read_text())
    document["provenance"]["for_earlier_scan"] = True
    (again / "result" / "result.json").write_text(json.dumps(document))
    pages = [members(packed(one, tmp_path / "box"))["report.html"].decode() for one in (study, again)]
    said = "Measured again because an earlier scan of this patient came later or has changed."
    assert [said in page for page in pages] == [False, True]


def test_a_patient_keeps_his_pseudonym_on_a_box_and_has_another_one_elsewhere(study: Path, tmp_path: Path) -> None:
    first, second, other = (packed(study, tmp_path / name) for name in ("a", "a", "b"))
    assert first == second
    assert first.name != other.name
    here = Pseudonyms.of_box(BoxLayout(tmp_path / "a"))
    assert here.patient("P", None, "1.2") == here.patient("P", None, "1.3")
    assert len({here.patient("P", "A", ""), here.patient("P", "B", ""), here.patient(None, None, "1"),
                here.patient(None, None, "2")}) == 4  # fmt: skip


def test_the_same_study_makes_the_same_pack(study: Path, tmp_path: Path) -> None:
    first = packed(study, tmp_path).read_bytes()
    assert packed(study, tmp_path).read_bytes() == first


def test_of_what_the_profile_removes_or_replaces_only_dummies_are_there(study: Path, tmp_path: Path) -> None:
    table = pytest.importorskip(
        "dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c", reason="dicom-anonymizer is not installed"
    )
    pack = packed(study, tmp_path)
    dummies = {"None", "", "0", pack.name.partition("-")[0], "19800101", "000000"}
    listed = set(table.ALL_TAGS)
    assert len(listed) > 600
    for name, data in members(pack).items():
        if name.endswith(".dcm"):
            ds = pydicom.dcmread(io.BytesIO(data))
            every = [one for one in (*ds.iterall(), *ds.file_meta) if one.VR != "SQ"]
            found = [one for one in every if (one.tag.group, one.tag.element) in listed]
            values = {one.keyword: str(one.value) for one in found if one.VR != "UI"}
            assert {keyword: value for keyword, value in values.items() if value not in dummies} == {}, name
            uids = {str(one.value) for one in found if one.VR == "UI"}
            assert all(uid.startswith("2.25.") for uid in uids), name


def test_the_key_is_its_owners_alone_and_a_key_that_others_read_is_not_used(study: Path, tmp_path: Path) -> None:
    packed(study, tmp_path)
    key = tmp_path / "private" / KEY_FILE
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.stat().st_size == 32
    key.chmod(0o640)
    done = scanside(tmp_path, "pack", study / "result", "--source", study / "source", "--output", tmp_path)
    assert getattr(done.exception, "code", None) == "BOX_PACK_KEY"


def test_the_sums_in_the_pack_and_beside_it_are_right(study: Path, tmp_path: Path) -> None:
    pack = packed(study, tmp_path)
    digest, name = Path(f"{pack}.sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(pack.read_bytes()).hexdigest(), pack.name)
    files = members(pack)
    listed = dict(reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert listed == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def test_a_pack_is_no_larger_than_asked_for(study: Path, tmp_path: Path) -> None:
    for number, limit in enumerate((0.1, 0.13, 4.0)):
        assert packed(study, tmp_path / str(number), "--limit-mb", limit).stat().st_size <= limit * 1e6


@pytest.mark.parametrize("keyword", ["BurnedInAnnotation", "RecognizableVisualFeatures"])
def test_pictures_with_burned_in_text_are_not_packed(study: Path, tmp_path: Path, keyword: str) -> None:
    shutil.copytree(study / "source", tmp_path / "source")
    put(sorted((tmp_path / "source").iterdir()), 5, **{keyword: "YES"})
    done = scanside(tmp_path, "pack", study / "result", "--source", tmp_path / "source", "--output", tmp_path)
    assert getattr(done.exception, "code", None) == "PATIENT_BURNED_IN"
    assert not list(tmp_path.glob("*.zip"))


def test_slices_that_the_result_was_not_made_from_are_not_packed(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "source", tmp_path / "source")
    put(sorted((tmp_path / "source").iterdir()), 5, ImageComments="changed")
    done = scanside(tmp_path, "pack", study / "result", "--source", tmp_path / "source", "--output", tmp_path)
    assert getattr(done.exception, "code", None) == "PATIENT_OTHER_SLICES"


def rewritten(study: Path, folder: Path, **changes: Any) -> Path:
    """A result without DICOM objects that says something else."""
    shutil.copytree(study / "result", folder, ignore=shutil.ignore_patterns("*.dcm"))
    document = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**document, **changes}))
    return folder


def withheld_study(study: Path, folder: Path) -> Path:
    said = {"code": "QUALITY_MOTION", "message": "PlantedReason 2019-03-07", "advice": "PlantedAdvice"}
    flag = {"code": "QUALITY_MOTION", "level": "withhold", "message": "PlantedReason"}
    return rewritten(study, folder, verdict="refused", reason=said, flags=[flag], severity=None)


def test_a_withheld_study_is_packed_with_its_reason_and_slices_in_which_nothing_is_marked(
    study: Path, tmp_path: Path
) -> None:
    result, source = withheld_study(study, tmp_path / "result"), study / "source"
    done = scanside(tmp_path, "pack", result, "--source", source, "--output", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    files = members(Path(json.loads(done.output)[0]["path"]))
    assert "masks.dcm" not in files
    clean, kind = json.loads(files["result.json"]), KINDS["QUALITY_MOTION"]
    assert clean["reason"] == {"code": "QUALITY_MOTION", "message": kind.meaning, "advice": kind.advice}
    page, readme = files["report.html"].decode(), files["README.txt"].decode()
    assert html.escape(kind.meaning) in page and kind.meaning in readme and "masks" not in readme
    assert "Slices as they were scanned" in page and "with outlines" not in page
    volume = read_volume(choose_series(find_series(source)))
    slices = [pydicom.dcmread(io.BytesIO(data)) for name, data in files.items() if name.startswith("slices/")]
    assert len(slices) == 6
    for one in slices:
        hu = one.pixel_array + float(one.RescaleIntercept)
        np.testing.assert_array_equal(hu, volume.hu[volume.hu.shape[0] - int(one.InstanceNumber)])
    grey = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in pictures_of(files["report.html"])]
    assert grey and all(np.ptp(one.astype(int), axis=2).max() < 12 for one in grey)  # no outline has a colour
    planted = (b"planted", b"20190307", b"2019-03-07")  # whole dates: four digits stand in a random UID by chance
    assert not [name for name, data in files.items() if any(value in data.lower() for value in planted)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"verdict": "held"},
        {"verdict": "refused", "reason": {"code": "PATIENT_TWO_BODIES"}},
        {
            "verdict": "refused",
            "reason": {"code": "PATIENT_UNDER_AGE"},
            "flags": [{"code": "PATIENT_TWO_BODIES", "level": "withhold", "message": "two"}],
        },
        {"verdict": "refused", "reason": {"code": "GEOMETRY_MISSING_SLICES"}, "series": None},
        {"verdict": "refused", "reason": {"code": "INPUT_TRUNCATED"}, "provenance": {"input_sha256": None}},
    ],
    ids=["no masks", "held", "two bodies", "a child of two bodies", "no series", "no pixels"],
)
def test_what_shows_no_one_or_nobody_for_certain_is_not_packed(
    study: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    result = rewritten(study, tmp_path / "result", **changes)
    done = scanside(tmp_path, "pack", result, "--source", study / "source", "--output", tmp_path)
    assert getattr(done.exception, "code", None) == "PATIENT_NOT_MEASURED"
    assert not list(tmp_path.glob("*.zip"))


def test_a_study_of_the_box_is_packed_from_its_archive_and_found_by_its_pseudonym(study: Path, tmp_path: Path) -> None:
    patient, key = "fedcba9876543210", "0123456789abcdef"
    shutil.copytree(study / "result", tmp_path / "results" / patient / key / "1")
    done = scanside(tmp_path, "pack", OTHERS["PatientID"], "--output", tmp_path)
    assert getattr(done.exception, "code", None) == "BOX_PACK_NO_SOURCE"
    shutil.copytree(study / "source", tmp_path / "archive" / patient / key)
    done = scanside(tmp_path, "pack", OTHERS["PatientID"], "--output", tmp_path)
    assert done.exit_code == 0, done.output
    (pack,) = tmp_path.glob("*.zip")
    asked = scanside(tmp_path, "pack", "--who", pack.name.partition("-")[0])
    assert (asked.exit_code, asked.output.split()[0]) == (0, OTHERS["PatientID"])


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_dicom3tools_finds_no_error_in_the_packs_objects(study: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed(study, tmp_path)) as archive:
        archive.extractall(tmp_path / "out")
    for path in sorted((tmp_path / "out").rglob("*.dcm")):
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert [line for line in said if line.startswith(("Error", "Abort"))] == [], path.name
