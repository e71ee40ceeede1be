"""The severity model of a box: in force in one step, on record, and reversible."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scanside_appliance.cli.main import app
from scanside_appliance.files import atomic
from scanside_appliance.site_model import (
    NoEarlierSeverityModel,
    install_site_model,
    model_in_force,
    read_changes,
    rollback_site_model,
    site_model_file,
)
from scanside_runtime.errors import BoxOutput
from scanside_runtime.measures.errors import SeverityModelUnusable
from scanside_runtime.measures.severity_model import FittedOn, SeverityModel

FIRST = SeverityModel(
    "first", ("poi_percent",), (0.5,), -5.0, 0.4, FittedOn("inpatients", 531, 79, "2026-11-22"), 0.9, 0.9, "test"
)
SECOND = replace(FIRST, name="second", cut_off=0.6)


def test_a_box_has_no_model_of_its_own_at_first(tmp_path: Path) -> None:
    assert model_in_force(tmp_path) is None
    with pytest.raises(NoEarlierSeverityModel):
        rollback_site_model(tmp_path)


def test_every_change_is_on_record_with_time_from_to_and_data(tmp_path: Path) -> None:
    install_site_model(tmp_path, FIRST, data="a.csv")
    install_site_model(tmp_path, SECOND, data="b.csv")
    changes = read_changes(tmp_path)
    assert [(one.action, one.before, one.after, one.data) for one in changes] == [
        ("install", None, "first", "a.csv"),
        ("install", "first", "second", "b.csv"),
    ]
    assert all(one.at.endswith("+00:00") for one in changes)
    assert model_in_force(tmp_path) == SECOND


def test_each_rollback_goes_one_further_back_and_is_on_record_too(tmp_path: Path) -> None:
    for model in (FIRST, SECOND):
        install_site_model(tmp_path, model, data="x.csv")
    rollback_site_model(tmp_path)
    assert model_in_force(tmp_path) == FIRST
    last = rollback_site_model(tmp_path)
    assert (last.before, last.after, model_in_force(tmp_path)) == ("first", None, None)
    assert len(read_changes(tmp_path)) == 4
    with pytest.raises(NoEarlierSeverityModel):
        rollback_site_model(tmp_path)


def test_an_install_after_a_rollback_can_be_taken_back_to_what_was_there_before(tmp_path: Path) -> None:
    install_site_model(tmp_path, FIRST, data="a.csv")
    install_site_model(tmp_path, SECOND, data="b.csv")
    rollback_site_model(tmp_path)
    install_site_model(tmp_path, replace(SECOND, name="third"), data="c.csv")
    assert rollback_site_model(tmp_path).after == "first"


def test_a_change_that_fails_midway_leaves_what_was_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_site_model(tmp_path, FIRST, data="a.csv")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full_disk)
    with pytest.raises(BoxOutput, match="No space left"):
        install_site_model(tmp_path, SECOND, data="b.csv")
    assert model_in_force(tmp_path) == FIRST
    assert [path.name for path in site_model_file(tmp_path).parent.iterdir()] == ["models.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"schema": "scanside.site-models/1", "changes": [{}]}'])
def test_a_damaged_record_stops_with_its_code_and_is_never_taken_for_none(tmp_path: Path, content: bytes) -> None:
    path = site_model_file(tmp_path)
    path.parent.mkdir()
    path.write_bytes(content)
    for call in (model_in_force, rollback_site_model):
        with pytest.raises(SeverityModelUnusable):
            call(tmp_path)
    assert path.read_bytes() == content


def test_the_commands_install_list_and_take_back(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps(FIRST.to_document()))
    root = ["--root", str(tmp_path / "box"), "severity"]
    run = CliRunner()
    assert "none" in run.invoke(app, [*root, "list"]).output
    assert "none of its own -> first" in run.invoke(app, [*root, "install", str(file)]).output
    listed = json.loads(run.invoke(app, [*root, "list", "--json"]).output)
    assert listed[0]["data"] == FIRST.fitted_on.in_words()
    assert SeverityModel.from_document(listed[0]["model"]) == FIRST
    assert "first -> none of its own" in run.invoke(app, [*root, "rollback"]).output
    assert isinstance(run.invoke(app, [*root, "rollback"]).exception, NoEarlierSeverityModel)
