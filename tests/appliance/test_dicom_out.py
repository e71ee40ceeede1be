"""Report and key pictures as DICOM: the numbers of the document, the source's own study, and never taken for input."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from highdicom.sr import srread

from kit.analysis_samples import StubAnalysis, analysed, refused
from kit.case_kit import put
from kit.reading import LIMITS, choose_series, find_series
from scanside_appliance.dicom_out import concepts
from scanside_appliance.inbox.probe_process import facts_of
from scanside_appliance.pictures.lettering import BAND_PX
from scanside_appliance.results.output import write_output
from scanside_runtime.dicom.errors import SeriesNoCt
from scanside_runtime.measures.biomarkers import measure, without_sides

OBJECTS = ("seg.dcm", "sr.dcm", "sc_01.dcm", "sc_07.dcm")
OWN_NUMBERS = ("poi_percent", "ihu_hu", "lung_volume_ml", "infection_volume_ml", "high_opacity_percent",
               "consolidation_ml")  # fmt: skip
NAMES = {
    "GB18030": ("GB18030", "Wang^XiaoDong=王^小东"),
    "ISO_IR 192": ("UTF-8", "Wang^XiaoDong=王^小東"),
    "ISO 2022 IR 87": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[StubAnalysis, dict[str, Any], Path]:
    """An analysis, its document and its folder; the source lies in `source` beside it."""
    folder = tmp_path_factory.mktemp("result")
    analysis = analysed(folder / "source")
    caution = {"code": "QUALITY_KERNEL", "level": "caution", "message": "The kernel is sharp\x1b[31m\u202e."}
    analysis.content["flags"] = [*analysis.content["flags"], caution]
    return analysis, write_output(analysis, folder / "out"), folder / "out"


def numbers(report: Path) -> dict[str, dict[str, float]]:
    """By tracking identifier, the values by their codes."""
    content = srread(report).content
    return {
        group.tracking_identifier: {one.name.value: one.value for one in group.get_measurements()}
        for group in (*content.get_image_measurement_groups(), *content.get_volumetric_roi_measurement_groups())
    }


def codes_of(block: dict[str, Any]) -> dict[str, float]:
    """What a report must say of a block of the document: its own quantities that were measured."""
    quantities = {q.field: q.concept.value for q in (*concepts.OF_A_LUNG, concepts.SIX_ZONE_SCORE, concepts.ZONE_SCORE)}
    known = (*OWN_NUMBERS, "six_zone_score", "score")
    return {quantities[name]: block[name] for name in known if block.get(name) is not None}


def blocks(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    measured = document["biomarkers"]
    yield "Lungs", measured
    yield from ((f"{side.capitalize()} lung", measured[side]) for side in ("left", "right"))
    yield from ((f"Zone {name.replace('_', ' ')}", zone) for name, zone in measured["zones"].items())


def test_every_number_of_the_report_is_that_of_the_document_and_none_is_missing(
    result: tuple[StubAnalysis, dict[str, Any], Path],
) -> None:
    _, document, folder = result
    found = numbers(folder / "sr.dcm")
    infection = found.pop("Infection")
    assert {name: pytest.approx(codes_of(block), rel=1e-12) for name, block in blocks(document)} == found
    measured = document["biomarkers"]
    named = {"118565006": "infection_volume_ml", "112181": "ihu_hu", "POI": "poi_percent"}
    assert infection == pytest.approx({code: measured[name] for code, name in named.items()}, rel=1e-12)


def test_what_was_not_measured_is_not_in_the_report(tmp_path: Path) -> None:
    analysis = analysed(tmp_path / "source")
    assert analysis.volume is not None
    assert analysis.masks is not None
    analysis.content["biomarkers"] = without_sides(measure(analysis.volume, analysis.masks)).to_document()
    write_output(analysis, tmp_path / "out")
    assert set(numbers(tmp_path / "out" / "sr.dcm")) == {"Lungs", "Infection"}
    analysis.content["biomarkers"] = measure(
        analysis.volume, replace(analysis.masks, infection=analysis.volume.with_mask(analysis.masks.lungs & False))
    ).to_document()
    write_output(analysis, tmp_path / "out")
    without_infection = numbers(tmp_path / "out" / "sr.dcm")
    assert all(not {"IHU", "112181"} & set(values) for values in without_infection.values())


def test_the_report_names_algorithm_source_and_segments_and_is_not_verified(
    result: tuple[StubAnalysis, dict[str, Any], Path],
) -> None:
    analysis, document, folder = result
    report, seg = srread(folder / "sr.dcm"), pydicom.dcmread(folder / "seg.dcm")
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "COMPLETE", "UNVERIFIED", "PRELIMINARY",
    )  # fmt: skip
    text = (folder / "sr.dcm").read_bytes().decode(errors="replace")
    assert f"model bundle sample 1 sha256 {'ab' * 32}" in text
    assert analysis.series is not None
    named = {instance for _, _, instance, _ in report.get_evidence()}
    assert named == {seg.SOPInstanceUID, *(one.sop_instance_uid for one in analysis.series.slices)}
    segments = {
        group.tracking_identifier: group.referenced_segment.referenced_segment_numbers[0]
        for group in report.content.get_volumetric_roi_measurement_groups()
    }
    labels = {one.SegmentNumber: one.SegmentLabel for one in seg.SegmentSequence}
    assert {name: labels[number] for name, number in segments.items()} == {name: name for name in labels.values()}
    assert document["series"]["uid"] in text
    grade = concepts.GRADES[document["biomarkers"]["ct_extent_grade"]].meaning
    assert grade in text


def test_the_report_warns_in_harmless_words(result: tuple[StubAnalysis, dict[str, Any], Path]) -> None:
    texts = [one.TextValue for one in srread(result[2] / "sr.dcm").ContentSequence if one.ValueType == "TEXT"]
    assert any(one.startswith("Research use only, not a medical device.") for one in texts)
    assert r"Caution QUALITY_KERNEL: The kernel is sharp\x1b[31m\u202e." in texts
    assert not any("noisier" in one for one in texts)  # a note is no caution


def test_all_objects_are_of_the_sources_study_in_series_of_their_own(
    result: tuple[StubAnalysis, dict[str, Any], Path],
) -> None:
    analysis, document, folder = result
    made = {name: pydicom.dcmread(folder / name) for name in document["artefacts"] if name.endswith(".dcm")}
    assert len(made) == 9
    assert {one.StudyInstanceUID for one in made.values()} == {document["study"]["study_uid"]}
    assert len({one.SOPInstanceUID for one in made.values()}) == len(made)
    series = {one.SeriesInstanceUID: one.Modality for one in made.values()}
    assert sorted(series.values()) == ["OT", "SEG", "SR"]
    assert analysis.series is not None
    assert analysis.series.uid not in series
    assert len({one.SeriesNumber for one in made.values()}) == 3
    assert {one.PatientName for one in made.values()} == {made["seg.dcm"].PatientName}


def test_a_key_picture_says_what_it_is_made_from_and_carries_the_notice(
    result: tuple[StubAnalysis, dict[str, Any], Path],
) -> None:
    analysis, _, folder = result
    capture = pydicom.dcmread(folder / "sc_01.dcm")
    assert (capture.BurnedInAnnotation, capture.ConversionType, capture.Modality) == ("YES", "WSD", "OT")
    assert "Research use only" in capture.ImageComments
    assert capture.DerivationDescription
    assert analysis.series is not None
    (source,) = (one.ReferencedSOPInstanceUID for one in capture.SourceImageSequence)
    (shown,) = (n for n, one in enumerate(reversed(analysis.series.slices), 1) if one.sop_instance_uid == source)
    assert capture.ImageComments.startswith(f"Slice {shown} of {len(analysis.series.slices)},")
    for band in (capture.pixel_array[:BAND_PX], capture.pixel_array[-BAND_PX:]):  # notice above, place below
        assert band.max() > 200 > np.median(band) == 0


def test_the_infection_is_orange_not_blue(result: tuple[StubAnalysis, dict[str, Any], Path]) -> None:
    pixels = np.concatenate([pydicom.dcmread(result[2] / f"sc_{n:02d}.dcm").pixel_array[:250] for n in range(4, 7)])
    red, blue = pixels[..., 0].astype(int), pixels[..., 2].astype(int)
    assert (red - blue).max() > 60


def test_a_result_among_its_own_source_changes_nothing(
    result: tuple[StubAnalysis, dict[str, Any], Path], tmp_path: Path
) -> None:
    analysis, _, folder = result
    assert analysis.series is not None
    shutil.copytree(folder.parent, tmp_path / "both")
    chosen = choose_series(find_series(tmp_path / "both"))
    assert chosen.uid == analysis.series.uid
    assert len(chosen.slices) == len(analysis.series.slices)
    assert sorted(one.why for one in chosen.passed_over) == [
        "no CT slices: Comprehensive SR Storage",
        "no CT slices: Secondary Capture Image Storage",
        "no CT slices: Segmentation Storage",
    ]


def test_a_result_alone_is_no_study(result: tuple[StubAnalysis, dict[str, Any], Path]) -> None:
    with pytest.raises(SeriesNoCt):
        choose_series(find_series(result[2]))


@pytest.mark.parametrize("name", OBJECTS)
def test_the_inbox_knows_an_object_that_comes_back(
    result: tuple[StubAnalysis, dict[str, Any], Path], name: str
) -> None:
    found = facts_of(result[2], name, LIMITS)
    assert (found.kind, found.study_uid) == ("own", "")


def test_a_capture_of_another_maker_is_no_result_of_ours(
    result: tuple[StubAnalysis, dict[str, Any], Path], tmp_path: Path
) -> None:
    file = Path(shutil.copy(result[2] / "sc_01.dcm", tmp_path / "other.dcm"))
    put([file], Manufacturer="Other")
    assert facts_of(file.parent, file.name, LIMITS).kind == "image"


def test_a_study_that_can_not_be_measured_has_no_objects_and_no_old_ones(tmp_path: Path) -> None:
    write_output(analysed(tmp_path / "source"), tmp_path / "out")
    document = write_output(refused(tmp_path / "again", after_measuring=True), tmp_path / "out")
    assert not [name for name in document["artefacts"] if name.endswith(".dcm")]
    assert not list((tmp_path / "out").glob("*.dcm"))


def test_without_dicom_there_are_no_objects(tmp_path: Path) -> None:
    document = write_output(analysed(tmp_path / "source"), tmp_path / "out", dicom=False)
    assert not [name for name in document["artefacts"] if name.endswith(".dcm")]


@pytest.mark.parametrize("character_set", NAMES)
def test_a_name_in_its_own_script_stays_right_in_every_object(tmp_path: Path, character_set: str) -> None:
    analysis = analysed(tmp_path / "source")
    stated = NAMES[character_set][0] if character_set.startswith("ISO 2022") else character_set
    put(sorted((tmp_path / "source").iterdir()), SpecificCharacterSet=stated, PatientName=NAMES[character_set][1])
    analysis.series = choose_series(find_series(tmp_path / "source"))
    write_output(analysis, tmp_path / "out")
    for name in OBJECTS:
        assert str(pydicom.dcmread(tmp_path / "out" / name).PatientName) == NAMES[character_set][1]


def test_what_designates_a_character_set_is_in_no_text_of_an_object(tmp_path: Path) -> None:
    """A name that is ` $)A张` here and 张 in the archive is two people's there."""
    analysis = analysed(tmp_path / "source")
    name, text = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", b"CT \x1b$)A\xd0\xd8"
    stated = {"PatientName": name, "ReferringPhysicianName": name, "StudyDescription": text}
    put(sorted((tmp_path / "source").iterdir()), SpecificCharacterSet=["", "ISO 2022 IR 58"], **stated)
    analysis.series = choose_series(find_series(tmp_path / "source"))
    write_output(analysis, tmp_path / "out")
    for one in OBJECTS:
        ds = pydicom.dcmread(tmp_path / "out" / one)
        assert [str(ds[keyword].value) for keyword in stated] == [*["Zhang^XiaoDong=张^小东"] * 2, "CT 胸"]


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_dicom3tools_finds_no_error(result: tuple[StubAnalysis, dict[str, Any], Path], name: str) -> None:
    done = subprocess.run(["dciodvfy", str(result[2] / name)], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert [line for line in said if line.startswith(("Error", "Abort"))] == []
    assert any(line in ("Segmentation", "ComprehensiveSR", "SCImage") for line in said)


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="DCMTK is not installed")
def test_dcmtk_prints_the_report(result: tuple[StubAnalysis, dict[str, Any], Path]) -> None:
    done = subprocess.run(["dsrdump", "+Pc", str(result[2] / "sr.dcm")], capture_output=True, text=True, check=True)
    assert "Imaging Measurement Report" in done.stdout
    assert "Infected share of the lung (POI)" in done.stdout
    assert not [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:"))]
