"""highdicom is answered as by its own tables, and no process parses them as a whole."""

from __future__ import annotations

import json
import pkgutil
from pathlib import Path
from typing import Any

import highdicom.base
import highdicom.image
import pytest
from highdicom import _standard_utils as tables
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage, SecondaryCaptureImageStorage, SegmentationStorage

from kit.analysis_samples import analysed
from scanside_appliance.dicom_out.standard_tables import is_attribute_in_iod, module_table
from scanside_appliance.results.output import write_output

OURS = (CTImageStorage, SegmentationStorage, ComprehensiveSRStorage, SecondaryCaptureImageStorage)


def whole_table() -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = json.loads(
        pkgutil.get_data("highdicom", "_standard/module_attribute_map.json") or b""
    )
    return table


def test_each_module_of_our_objects_and_their_source_is_as_in_the_whole_table() -> None:
    whole, modules = whole_table(), tables.get_iod_module_map()
    for sop_class_uid in OURS:
        for module in modules[tables.get_sop_class_iod_map()[sop_class_uid]]:
            assert module_table()[module["key"]] == whole[module["key"]]
    assert "multi-frame-functional-groups" in module_table()
    assert "no-such-module" not in module_table()
    with pytest.raises(KeyError):
        module_table()["no-such-module"]


@pytest.mark.parametrize(("attribute", "held"), [("ContentDate", True), ("NumberOfFrames", False), ("Rows", True)])
def test_an_attribute_of_a_slice_is_answered_as_before(attribute: str, held: bool) -> None:
    assert is_attribute_in_iod(attribute, CTImageStorage) is held
    assert is_attribute_in_iod("PixelData", CTImageStorage, ["IconImageSequence"]) is True
    assert is_attribute_in_iod("PixelData", ComprehensiveSRStorage, ["IconImageSequence"]) is False


def test_the_objects_of_a_result_are_made_without_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[int] = []
    parse = json.loads
    monkeypatch.setattr(json, "loads", lambda text, **options: parsed.append(len(text)) or parse(text, **options))
    for asking in (tables, highdicom.base, highdicom.image):
        monkeypatch.setattr(asking, "get_module_attribute_map", whole_table)
    document = write_output(analysed(tmp_path / "series"), tmp_path / "out")  # type: ignore[arg-type]
    assert {"seg.dcm", "sr.dcm", "sc_01.dcm"} <= set(document["artefacts"])
    assert max(parsed, default=0) < 500_000
