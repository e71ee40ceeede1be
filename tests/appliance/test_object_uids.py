"""The same object has the same UIDs; another one has others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from kit.analysis_samples import StubAnalysis, analysed
from scanside_appliance.dicom_out.identity import result_digest
from scanside_appliance.results.dicom_seg import segmentation_digest
from scanside_appliance.results.output import write_output

OBJECTS = ("seg.dcm", "sr.dcm", "sc_01.dcm")


def changed(analysis: StubAnalysis, content: dict[str, Any] | None = None, **attributes: Any) -> StubAnalysis:
    fields = {name: getattr(analysis, name) for name in ("verdict", "exit_code", "series", "volume", "masks")}
    return StubAnalysis(**{**fields, "content": {**analysis.document(), **(content or {})}, **attributes})


def written(analysis: StubAnalysis, folder: Path) -> dict[str, Dataset]:
    write_output(analysis, folder)  # type: ignore[arg-type]  # as far as it may look at one
    return {name: pydicom.dcmread(folder / name) for name in OBJECTS}


def uids(objects: dict[str, Dataset], *names: str) -> set[str]:
    """Of these objects and their series."""
    return {uid for name in names for uid in (objects[name].SOPInstanceUID, objects[name].SeriesInstanceUID)}


def test_time_and_revision_make_no_other_report_and_what_is_said_does(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    again = {**document, "timing_ms": {"total": 1.0}, "artefacts": ["result.json"]}
    of_the_box = {"revision": 2, "supersedes": "1", "for_earlier_scan": True, "settings_sha256": "ab"}
    again["provenance"] = {**document["provenance"], **of_the_box}
    other = {**document, "biomarkers": {**document["biomarkers"], "poi_percent": 1.0}}
    assert result_digest(again) == result_digest(document) != result_digest(other)


def test_a_study_that_is_analysed_twice_has_one_segmentation(tmp_path: Path) -> None:
    analysis = analysed(tmp_path / "study")
    one, two = (written(analysis, tmp_path / name) for name in ("one", "two"))
    assert uids(one, *OBJECTS) == uids(two, *OBJECTS)
    assert len(uids(one, *OBJECTS)) == 6
    assert all(UID(uid).is_valid for uid in uids(one, *OBJECTS))
    of_the_moment = {"ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime"}
    differing = {element.keyword for element in one["seg.dcm"] if element != two["seg.dcm"][element.tag]}
    assert differing <= {*of_the_moment, "ContributingEquipmentSequence"}  # it says when highdicom was used


def test_another_grade_or_course_makes_another_report_of_the_same_masks_and_pictures(tmp_path: Path) -> None:
    analysis = analysed(tmp_path / "study")
    severity = {**analysis.document()["severity"], "flag": "severe", "because": "fast progress"}
    caution = {"code": "QUALITY_MOTION", "level": "caution", "message": "The patient moved."}
    graver = changed(analysis, {"severity": severity, "flags": [caution]})
    one, two = (written(found, tmp_path / name) for name, found in (("one", analysis), ("two", graver)))
    assert uids(one, "seg.dcm", "sc_01.dcm") == uids(two, "seg.dcm", "sc_01.dcm")
    assert not uids(one, "sr.dcm") & uids(two, "sr.dcm")
    assert f"{two['seg.dcm'].SOPInstanceUID}" in str(two["sr.dcm"]), "the report says on which masks it rests"


def other_slice(number: int, **facts: Any) -> Callable[[StubAnalysis], StubAnalysis]:
    def change(analysis: StubAnalysis) -> StubAnalysis:
        assert analysis.series is not None
        slices = list(analysis.series.slices)
        slices[number] = replace(slices[number], **facts)
        return changed(analysis, series=replace(analysis.series, slices=tuple(slices)))

    return change


def other_masks(analysis: StubAnalysis) -> StubAnalysis:
    """One voxel less of the infection."""
    assert analysis.masks is not None
    assert analysis.volume is not None
    array = analysis.masks.infection.array.copy()
    array[tuple(np.argwhere(array)[0])] = False
    return changed(analysis, masks=replace(analysis.masks, infection=analysis.volume.with_mask(array)))


def swapped_lungs(analysis: StubAnalysis) -> StubAnalysis:
    masks = analysis.masks
    assert masks is not None
    return changed(analysis, masks=replace(masks, left_lung=masks.right_lung, right_lung=masks.left_lung))


def made_by(**facts: Any) -> Callable[[StubAnalysis], StubAnalysis]:
    return lambda one: changed(one, {"provenance": {**one.document()["provenance"], **facts}})


def digest(analysis: StubAnalysis) -> str:
    """Of what the UIDs are made of."""
    assert analysis.series is not None
    assert analysis.masks is not None
    return segmentation_digest(analysis.series, analysis.masks, analysis.document()["provenance"])


@pytest.mark.parametrize(
    "change",
    [
        other_masks,
        swapped_lungs,
        made_by(version="0.1.1"),
        made_by(bundle={"name": "sample", "version": "2", "sha256": "ab" * 32}),
        other_slice(0, stated={"PatientName": "Doe^John"}),
        other_slice(0, series_uid="1.2.3"),
        other_slice(0, frame_of_reference_uid="1.2.3"),
        other_slice(0, pixel_spacing_mm=(4.5, 4.5)),
        other_slice(5, sop_instance_uid="1.2.3"),
        other_slice(5, image_position_patient=(-100.0, -80.0, 0.0)),
    ],
)
def test_other_masks_slices_and_software_make_another_segmentation(
    change: Callable[[StubAnalysis], StubAnalysis], tmp_path: Path
) -> None:
    analysis = analysed(tmp_path)
    assert digest(change(analysis)) != digest(analysis) == digest(made_by(revision=2)(analysis))
