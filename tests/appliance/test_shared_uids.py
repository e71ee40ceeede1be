"""Slices under one SOP Instance UID: measured by their positions, held on the box, and never referred to."""

from __future__ import annotations

from pathlib import Path

import pydicom

from kit.analysis_samples import SPACING_MM, analysed, chest_hu
from kit.case_kit import put
from kit.reading import choose_series, find_series, read_volume
from scanside_appliance.results.output import write_output
from scanside_runtime.phantom.dicom_writer import Storage, write_series


def test_slices_of_one_uid_leave_pictures_and_a_page_and_no_dicom_objects(tmp_path: Path) -> None:
    analysis = analysed(tmp_path / "own")
    put(write_series(chest_hu(), SPACING_MM, tmp_path / "shared"), SOPInstanceUID="1.2.3")
    shared = choose_series(find_series(tmp_path / "shared"))
    assert "seg.dcm" in write_output(analysis, tmp_path / "out")["artefacts"]
    analysis.series = shared
    written = write_output(analysis, tmp_path / "out")["artefacts"]
    assert ("seg.dcm" in written, "montage.png" in written) == (False, True)
    assert not (tmp_path / "out" / "seg.dcm").exists()


def test_slices_of_one_uid_have_the_pixels_of_their_positions(tmp_path: Path) -> None:
    paths = write_series(chest_hu(), SPACING_MM, tmp_path, stored=Storage(file_names="shuffled"))
    put(paths, SOPInstanceUID="1.2.3")
    assert len({str(pydicom.dcmread(path).SOPInstanceUID) for path in paths}) == 1
    assert (read_volume(choose_series(find_series(tmp_path))).hu == chest_hu()).all()
