"""The same result has the same UIDs; another result has others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import UID

from kit.analysis_samples import analysed
from scanside_appliance.dicom_out.identity import object_uids
from scanside_appliance.results.output import write_output


def uids(document: dict[str, Any]) -> set[str]:
    return {getattr(object_uids(document, role), one) for role in ("seg", "sr", "sc") for one in ("series", "instance")}


def test_time_and_revision_make_no_other_uids_and_what_is_said_does(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    again = {**document, "timing_ms": {"total": 1.0}, "artefacts": ["result.json"]}
    again["provenance"] = {**document["provenance"], "revision": 2, "supersedes": "1", "settings_sha256": "ab"}
    other = {**document, "biomarkers": {**document["biomarkers"], "poi_percent": 1.0}}
    assert uids(again) == uids(document)
    assert not uids(other) & uids(document)
    assert len(uids(document)) == 6
    assert all(UID(uid).is_valid for uid in uids(document))


def test_a_study_that_is_analysed_twice_has_one_segmentation(tmp_path: Path) -> None:
    analysis = analysed(tmp_path / "study")
    for name in ("one", "two"):
        write_output(analysis, tmp_path / name)
    one, two = (pydicom.dcmread(tmp_path / name / "seg.dcm") for name in ("one", "two"))
    assert (one.SOPInstanceUID, one.SeriesInstanceUID) == (two.SOPInstanceUID, two.SeriesInstanceUID)
    of_the_moment = {"ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime"}
    differing = {element.keyword for element in one if element != two[element.tag]}
    assert differing <= {*of_the_moment, "ContributingEquipmentSequence"}  # it says when highdicom was used
