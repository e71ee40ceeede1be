"""A result is whole, with a sound document, or it is not there: on the command line and in the watched folder."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.analysis_samples import SPACING_MM, analysed, chest_hu, refused
from kit.bundle_samples import write_bundle
from kit.watch_box import Box, study
from scanside_appliance.files import atomic
from scanside_appliance.jobs.result_folder import unsound
from scanside_appliance.jobs.worker import Order, analyze_study
from scanside_appliance.results.output import write_output
from scanside_runtime.errors import BoxOutput
from scanside_runtime.model.networks import KeptNetworks
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.settings.tables import InferenceSettings, Settings

Run = Callable[..., tuple[int, str, str]]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, the disk takes nothing any more."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    return lambda: monkeypatch.setattr(atomic, "replace_file", refuse)


def test_writing_looks_at_no_slice_again(tmp_path: Path) -> None:
    sick = analysed(tmp_path / "series")
    shutil.rmtree(tmp_path / "series")
    document = write_output(sick, tmp_path / "out")  # type: ignore[arg-type]
    assert {"seg.dcm", "sr.dcm", "sc_01.dcm"} <= set(document["artefacts"])


def test_the_document_is_printed_with_the_trouble_in_it_when_it_cant_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: Callable[[], None]
) -> None:
    sick = analysed(tmp_path / "series")
    monkeypatch.setattr("scanside_runtime.analysis.analyze.analyze", lambda *_, **__: sick)
    full()
    code, out, err = run("analyze", tmp_path / "series", "--json", "--output", tmp_path / "out")
    document = json.loads(out)
    assert code == 5
    assert "BOX_OUTPUT" in err
    assert document["biomarkers"] == json.loads(json.dumps(sick.content["biomarkers"]))
    assert (document["flags"][-1]["code"], document["artefacts"]) == ("BOX_OUTPUT", [])


@pytest.mark.parametrize("written", range(5))
def test_a_disk_that_fills_up_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    write_output(refused(tmp_path / "a"), tmp_path / "out")  # type: ignore[arg-type]
    sick, before = analysed(tmp_path / "b"), contents(tmp_path / "out")
    really, calls = atomic.replace_file, iter(range(written))

    def full(target: Path, content: bytes) -> None:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        really(target, content)

    monkeypatch.setattr(atomic, "replace_file", full)
    with pytest.raises(BoxOutput, match="No space left"):
        write_output(sick, tmp_path / "out")  # type: ignore[arg-type]
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("renamed", range(5))
def test_wherever_writing_is_cut_short_no_document_speaks_of_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int
) -> None:
    folder = tmp_path / "out"
    write_output(refused(tmp_path / "a"), folder)  # type: ignore[arg-type]
    sick, (really, calls) = analysed(tmp_path / "b"), (Path.replace, iter(range(renamed)))

    def cut(source: Path, target: Path) -> Path:
        if target.parent == folder and next(calls, None) is None:
            raise OSError(errno.EIO, "Input/output error")
        return really(source, target)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(BoxOutput):
        write_output(sick, folder)  # type: ignore[arg-type]
    assert not (folder / "result.json").exists()


def test_what_else_lies_in_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "out" / "mine").mkdir(parents=True)
    (tmp_path / "out" / "notes.txt").write_text("call the ward")
    document = write_output(analysed(tmp_path / "series"), tmp_path / "out")  # type: ignore[arg-type]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*document["artefacts"], "mine", "notes.txt"}


def test_the_worker_blames_the_box_and_leaves_nothing_when_the_result_cant_be_written(
    tmp_path: Path, full: Callable[[], None]
) -> None:
    write_series(chest_hu(), SPACING_MM, tmp_path / "files")
    (tmp_path / "out").mkdir()
    order = Order(
        tmp_path, tmp_path / "files", tmp_path / "out", "", "", 1, None, None, None, "2026-01-01", False, None, (),
        Settings(inference=InferenceSettings(threads=1)), write_bundle(tmp_path / "bundle").folder,
    )  # fmt: skip
    full()
    with pytest.raises(BoxOutput):
        analyze_study(order, KeptNetworks(), lambda *_: None)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_answer_without_a_document_is_no_result_and_its_study_is_put_aside(box: Box) -> None:
    box.put(*study(1, text="UNWRITTEN"))
    box.put(*study(2))
    box.run()
    (put_aside,) = json.loads(box.scanside("queue", "--json").output)
    assert (put_aside["state"], put_aside["code"], put_aside["verdict"]) == ("quarantined", "BOX_ANALYSIS_DIED", None)
    assert "without a result (there is no result.json)" in put_aside["reason"]
    assert (len(box.of(1)), len(box.of(2))) == (0, 1)
    assert [len(box.places(area)) for area in ("archive", "quarantine/BOX_ANALYSIS_DIED")] == [3, 3]
    assert list((box.root / "results" / ".unfinished").iterdir()) == []
    assert box.is_sound()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"verdict": "analysed", "provenance": {"revision": 2}}', None),
        ('{"verdict": "analysed", "provenance": {"revision": 1}}', "revision 1, the job 'analysed', revision 2"),
        ('{"verdict": "refused", "provenance": {"revision": 2}}', "says 'refused'"),
        ('{"verdict": "analysed"}', "no result document"),
        ('["analysed"]', "no result document"),
        ("[" * 100_000, "no result document"),
        ('{"verdict": "analysed", "prov', "no result document"),
    ],
)
def test_a_document_vouches_for_its_own_job_alone(tmp_path: Path, text: str, says: str | None) -> None:
    (tmp_path / "result.json").write_text(text)
    found = unsound(tmp_path, "analysed", 2)
    assert found is None if says is None else says in str(found)


def test_a_verdict_that_ends_no_study_makes_no_result(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"verdict": null, "provenance": {"revision": 1}}')
    assert "says None" in str(unsound(tmp_path, None, 1))
