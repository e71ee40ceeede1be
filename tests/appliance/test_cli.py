"""The command line: exit codes, results on stdout, all else on stderr, and nothing half written."""

from __future__ import annotations

import ast
import errno
import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
import typer.main

from kit.analysis_samples import REASON, SHAPE, StubAnalysis, analysed, chest_series, refused
from kit.bundle_samples import write_bundle
from kit.selftest_samples import write_bundle_with_sample
from scanside_appliance.demo import compare
from scanside_appliance.explain import known_codes
from scanside_runtime.analysis.options import Options
from scanside_runtime.dicom.errors import GeometryMissingSlices
from scanside_runtime.errors import ScansideError
from scanside_runtime.phantom.dicom_writer import SeriesTags
from scanside_runtime.phantom.make import Truth
from scanside_runtime.quality.gate import explain_withheld

ROOTS = [str(Path(__file__).parents[2] / name) for name in ("runtime", "appliance")]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def analysis(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., StubAnalysis]], None]:
    """Puts an analysis in the place of the real one."""

    def put(analyze: Callable[..., StubAnalysis]) -> None:
        for place in ("scanside_runtime.analysis.analyze", "scanside_appliance.studies"):
            monkeypatch.setattr(f"{place}.analyze", analyze)

    return put


def test_help_loads_neither_engine_nor_imaging_library() -> None:
    program = (
        "import sys\nfrom scanside_appliance.cli.main import main\nsys.argv = ['scanside', '--help']\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'openvino', 'onnxruntime', 'cv2', 'pydicom', 'highdicom', 'torch', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    path = {"PYTHONPATH": ":".join(ROOTS)}
    shown = subprocess.run([sys.executable, "-c", program], env=path, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "analyze" in shown.stdout


def test_a_study_is_read_before_the_libraries_of_its_result_are_imported() -> None:
    program = (
        "import sys\nfrom pathlib import Path\nimport scanside_runtime.analysis.analyze as runtime\n"
        "def stop(*_, **__):\n    sys.exit(41 if 'scanside_appliance.results.output' in early else 0)\n"
        "class Waiting:\n    def __enter__(self):\n        early.update(sys.modules)\n"
        "    def __exit__(self, *_):\n        pass\n"
        "early = set()\nimport scanside_appliance.results.delivery as delivery\n"
        "delivery.made_ready_beside = Waiting\nruntime.analyze = stop\n"
        "from scanside_appliance.cli.main import main\nsys.argv = ['scanside', 'analyze', '/', '--json']\nmain()"
    )
    path = {"PYTHONPATH": ":".join(ROOTS), "HOME": "/nonexistent"}
    ended = subprocess.run([sys.executable, "-c", program], env=path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        *(["analyze"], ["demo"], ["selftest"], ["explain"], ["history"]),
        *(["bundle"], ["bundle", "list"], ["bundle", "verify"]),
        *(["severity"], ["severity", "list"], ["severity", "install"], ["severity", "rollback"]),
        *(["watch"], ["status"], ["queue"], ["retry"], ["release"]),
    ],
)
def test_every_command_has_help(run: Run, command: list[str]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert len(out.splitlines()) > 5


def test_json_prints_one_document_and_nothing_else(run: Run, analysis: Any, tmp_path: Path) -> None:
    sick = analysed(tmp_path)
    analysis(lambda *_, **__: sick)
    code, out, err = run("analyze", tmp_path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(json.dumps(sick.content))


def test_without_json_a_person_reads_the_numbers(run: Run, analysis: Any, tmp_path: Path) -> None:
    sick = analysed(tmp_path)
    analysis(lambda *_, **__: sick)
    _, out, _ = run("analyze", tmp_path)
    assert f"{sick.content['biomarkers']['poi_percent']:.1f} %" in out
    assert f"{sick.content['biomarkers']['ihu_hu']:.0f} HU" in out
    assert "QUALITY_NOISE" in out


def test_without_output_nothing_is_written(
    run: Run, analysis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick = analysed(tmp_path / "series")
    analysis(lambda *_, **__: sick)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run("analyze", tmp_path / "series")
    assert not list((tmp_path / "here").iterdir())


def test_what_holds_patient_data_is_readable_for_its_owner_alone(run: Run, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        run("analyze", tmp_path, "--output", tmp_path / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


def test_output_holds_exactly_what_artefacts_lists(run: Run, analysis: Any, tmp_path: Path) -> None:
    sick = analysed(tmp_path / "series")
    analysis(lambda *_, **__: sick)
    out_dir = tmp_path / "new" / "out"
    _, out, _ = run("analyze", tmp_path / "series", "--output", out_dir, "--json")
    document = json.loads(out)
    assert document == json.loads((out_dir / "result.json").read_text())
    assert sorted(document["artefacts"]) == sorted(path.name for path in out_dir.iterdir())
    assert {"result.json", "report.html", "montage.png", "seg.dcm"} <= set(document["artefacts"])
    assert pydicom.dcmread(out_dir / "seg.dcm").NumberOfFrames == 3 * SHAPE[0]


def test_no_dicom_leaves_the_segmentation_out_and_an_old_one_does_not_stay(
    run: Run, analysis: Any, tmp_path: Path
) -> None:
    sick = analysed(tmp_path / "series")
    analysis(lambda *_, **__: sick)
    run("analyze", tmp_path / "series", "--output", tmp_path / "out")
    _, out, _ = run("analyze", tmp_path / "series", "--output", tmp_path / "out", "--no-dicom", "--json")
    assert "seg.dcm" not in json.loads(out)["artefacts"]
    assert not (tmp_path / "out" / "seg.dcm").exists()


@pytest.mark.parametrize("after_measuring", [False, True])
def test_a_refusal_ends_with_3_and_leaves_neither_segmentation_nor_marked_infection(
    run: Run, analysis: Any, tmp_path: Path, after_measuring: bool
) -> None:
    healthy_looking, refusal = analysed(tmp_path / "a"), refused(tmp_path / "b", after_measuring=after_measuring)
    analysis(lambda *_, **__: healthy_looking)
    run("analyze", tmp_path, "--output", tmp_path / "out")
    analysis(lambda *_, **__: refusal)
    code, out, _ = run("analyze", tmp_path, "--output", tmp_path / "out")
    assert code == 3
    for text in (REASON["code"], REASON["message"], REASON["advice"]):
        assert text in out
    assert not (tmp_path / "out" / "seg.dcm").exists()
    assert "Not measured" in (tmp_path / "out" / "report.html").read_text()


def test_an_output_that_cant_be_written_ends_with_5_and_the_result_is_still_printed(
    run: Run, analysis: Any, tmp_path: Path
) -> None:
    sick = analysed(tmp_path / "series")
    analysis(lambda *_, **__: sick)
    (tmp_path / "file").write_text("in the way")
    code, out, err = run("analyze", tmp_path / "series", "--output", tmp_path / "file", "--json")
    document = json.loads(out)
    assert code == 5
    assert "BOX_OUTPUT" in err
    assert "Traceback" not in err
    assert document["biomarkers"] == json.loads(json.dumps(sick.content["biomarkers"]))
    assert document["artefacts"] == []
    assert document["flags"][-1]["code"] == "BOX_OUTPUT"


def test_options_reach_the_analysis(run: Run, analysis: Any, tmp_path: Path) -> None:
    asked: dict[str, object] = {}

    def analyze(path: Path, options: Options, **chosen: object) -> StubAnalysis:
        asked.update(chosen, path=path, options=options)
        return refused(tmp_path / "series")

    analysis(analyze)
    settings = tmp_path / "mine.toml"
    settings.write_text("[measures]\nfloor_ml = 2.5\n")
    chosen = ["--study", "1.2", "--series", "1.3", "--engine", "onnxruntime", "--precision", "fp32", "--bundle", "b"]
    run("--settings", settings, "analyze", "scan.zip", *chosen)
    assert asked["path"] == Path("scan.zip")
    assert (asked["study_uid"], asked["series_uid"]) == ("1.2", "1.3")
    options = asked["options"]
    assert isinstance(options, Options)
    assert (options.engine, options.precision, options.bundle) == ("onnxruntime", "fp32", Path("b"))
    assert options.settings.measures.floor_ml == 2.5


def test_all_analyses_each_study_into_its_own_folder_and_ends_with_the_worst_code(
    run: Run, analysis: Any, tmp_path: Path
) -> None:
    one, _ = chest_series(tmp_path / "in" / "one", tags=SeriesTags(study_uid="1.2.3"))
    two, _ = chest_series(tmp_path / "in" / "two", tags=SeriesTags(study_uid="1.2.4"))
    sick, refusal = analysed(tmp_path / "a"), refused(tmp_path / "b")
    analysis(lambda *_, study_uid, **__: sick if study_uid == one.study.study_uid else refusal)
    code, out, _ = run("analyze", tmp_path / "in", "--all", "--json", "--output", tmp_path / "out")
    assert code == 3
    assert [json.loads(line)["verdict"] for line in out.splitlines()] == ["analysed", "refused"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {one.study.study_uid, two.study.study_uid}


def test_all_of_a_folder_without_dicom_is_one_refusal(run: Run, analysis: Any, tmp_path: Path) -> None:
    refusal = refused(tmp_path / "series")
    (tmp_path / "empty").mkdir()
    analysis(lambda *_, **__: refusal)
    code, out, _ = run("analyze", tmp_path / "empty", "--all", "--json")
    assert (code, len(out.splitlines())) == (3, 1)


@pytest.mark.parametrize(
    "arguments",
    [["analyze"], ["analyze", "x", "--engine", "abacus"], ["analyze", "x", "--all", "--study", "1"], ["explain", "X"]],
)
def test_wrong_usage_ends_with_2_and_prints_no_result(run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err


def test_earlier_results_that_are_not_there_are_wrong_usage_and_named_by_their_path(run: Run, tmp_path: Path) -> None:
    code, out, err = run("analyze", tmp_path, "--earlier", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert "nowhere" in err
    assert "--earlier" in err


@pytest.mark.parametrize("command", [[], ["analyze"], ["queue"], ["bundle", "list"]])
def test_a_short_option_gives_the_same_help(run: Run, command: list[str]) -> None:
    assert run(*command, "-h") == run(*command, "--help")


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "COMPREPLY"), ("zsh", "#compdef"), ("fish", "complete --command")]
)
def test_each_shell_can_have_its_completion(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str, word: str) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # the shell is named, not found out
    monkeypatch.setattr(typer.main, "get_command", inspect.unwrap(typer.main.get_command))  # asked then
    code, out, _ = run("--show-completion", shell)
    assert code == 0
    assert word in out
    assert "scanside" in out


def test_settings_with_a_typo_end_with_5_and_a_document_that_names_the_key(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[measures]\nflor_ml = 1.0\n")
    code, out, _ = run("--settings", tmp_path / "s.toml", "analyze", tmp_path, "--json")
    document = json.loads(out)
    assert (code, document["verdict"], document["reason"]["code"]) == (5, "refused", "BOX_SETTINGS")
    assert "flor_ml" in document["reason"]["message"]


def test_a_defect_ends_with_1_and_one_line(run: Run, analysis: Any, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> StubAnalysis:
        raise ZeroDivisionError("CANARY")

    analysis(broken)
    code, out, err = run("analyze", tmp_path, "--json")
    assert (code, out) == (1, "")
    assert "BOX_DEFECT: ZeroDivisionError at test_cli.py:" in err
    assert "CANARY" not in err  # a message may quote a header, and stderr may be a log
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("error", "code"), [(errno.EIO, "BOX_DISK"), (errno.EBADF, "BOX_DEFECT")])
def test_what_a_disk_says_is_no_defect(run: Run, analysis: Any, tmp_path: Path, error: int, code: str) -> None:
    def failing(*_: object, **__: object) -> StubAnalysis:
        raise OSError(error, os.strerror(error), "some/file")

    analysis(failing)
    ended, out, err = run("analyze", tmp_path, "--json")
    assert (ended, out) == (5 if code == "BOX_DISK" else 1, "")
    assert code in err


@pytest.mark.parametrize(
    "words", ["--root X status", "--settings X status", "backup X", "restore X", "bundle install X", "analyze X"]
)
def test_a_path_that_the_disk_does_not_give_is_no_wrong_usage(
    run: Run, analysis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    analysis(lambda *_, **__: refused())
    monkeypatch.setattr("os.access", lambda *_, **__: False)  # what it answers where the disk fails
    root = ("--root", tmp_path / "box") if "--root" not in words else ()
    assert run(*root, *(tmp_path if word == "X" else word for word in words.split()))[0] != 2


def test_a_terminal_without_the_letters_of_a_name_still_gets_the_result(tmp_path: Path) -> None:
    """A real process, because only that has an encoding: a folder whose name Latin-1 doesn't know."""
    program = "import sys\nfrom scanside_appliance.cli.main import main\nsys.argv[0] = 'scanside'\nmain()"
    environment = {"PYTHONPATH": ":".join(ROOTS), "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-c", program, "analyze", str(tmp_path / "Łódź")]
    shown = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (shown.returncode, shown.stderr) == (3, b"")
    assert b"INPUT_NOT_FOUND" in shown.stdout


def test_a_number_that_is_none_never_becomes_nan(run: Run, analysis: Any, tmp_path: Path) -> None:
    sick = analysed(tmp_path)
    sick.content["biomarkers"]["ihu_hu"] = float("nan")
    analysis(lambda *_, **__: sick)
    code, out, _ = run("analyze", tmp_path, "--json")
    assert (code, out) == (1, "")


def test_explain_gives_message_and_advice_of_a_code(run: Run) -> None:
    code, out, _ = run("explain", "geometry_missing_slices", "--json")
    assert code == 0
    assert json.loads(out)["advice"] == GeometryMissingSlices.advice


def test_explain_knows_the_flags_of_a_result_too(run: Run) -> None:
    code, out, _ = run("explain", "COVERAGE_BASE_CUT")
    assert code == 0
    assert "caution or withhold" in out
    assert explain_withheld("COVERAGE_BASE_CUT") in out


def test_explain_says_how_a_code_is_found_and_what_to_do_now(run: Run) -> None:
    _, out, _ = run("explain", "QUALITY_HU_CALIBRATION")
    assert "how it is found" in out
    assert "trachea" in out
    assert "what to do now" in out
    assert "Calibrate the scanner" in out


def test_explain_says_everything_that_one_code_can_mean(run: Run) -> None:
    _, out, _ = run("explain", "SERIES_NOT_CHEST")
    assert "By the picture, after segmentation" in out
    assert "the right lung on the right" in out


@pytest.mark.parametrize("code", ["INPUT_REFUSED", "MODEL_UNUSABLE", "BOX_FAILED", "INPUT_HELD"])
def test_explain_leaves_out_families_that_no_result_carries(run: Run, code: str) -> None:
    assert run("explain", code)[0] == 2


CODE = re.compile(r"(?:INPUT|SERIES|GEOMETRY|COVERAGE|QUALITY|PATIENT|MODEL|BOX)_[A-Z_]+")


def test_explain_knows_every_code_that_is_written_anywhere_in_the_box() -> None:
    trees = [ast.parse(path.read_text()) for root in ROOTS for path in Path(root).rglob("*.py")]
    words = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    written = {word for word in words if isinstance(word, str) and CODE.fullmatch(word)}
    families = {family.code for family in ScansideError.__subclasses__()}
    assert len(written) > 40
    assert written - families <= set(known_codes())


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_the_self_test_passes_where_the_box_computes_what_the_exporter_computed(
    run: Run, tmp_path: Path, engine: str, precision: str
) -> None:
    bundle = write_bundle_with_sample(tmp_path).folder
    code, out, _ = run("selftest", "--bundle", bundle, "--engine", engine, "--precision", precision, "--json")
    found = json.loads(out)
    assert (code, found["engine"]) == (0, engine)
    assert found["precision"].startswith(precision)
    assert min(found["lungs_dice"], found["infection_dice"]) >= 0.97


def test_the_self_test_says_in_words_what_it_compared(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("selftest", "--bundle", write_bundle_with_sample(tmp_path).folder, "--precision", "fp32")
    assert (code, len(out.splitlines())) == (0, 2)
    assert "lungs 1.0000, infection 1.0000" in out


def test_a_box_that_computes_something_else_ends_with_4_and_its_code(run: Run, tmp_path: Path) -> None:
    code, out, err = run("selftest", "--bundle", write_bundle_with_sample(tmp_path, same=False).folder)
    assert (code, out) == (4, "")
    assert "MODEL_SELFTEST" in err


def test_the_self_test_of_a_bundle_without_a_sample_ends_with_4(run: Run, tmp_path: Path) -> None:
    write_bundle(tmp_path)
    code, _, err = run("selftest", "--bundle", tmp_path)
    assert code == 4
    assert "MODEL_BUNDLE_DAMAGED" in err


def make_truth(poi_percent: float, ihu_hu: float) -> Truth:
    lung = (1000.0, 10.0 * poi_percent)
    return Truth(poi_percent, ihu_hu, *lung, poi_percent, ihu_hu, *lung, poi_percent, ihu_hu, *lung)


@pytest.mark.parametrize(
    ("poi_percent", "ihu_hu", "within"),
    [(11.0, -505.0, True), (9.0, -535.0, True), (11.01, -520.0, False), (10.0, -504.0, False), (10.0, None, False)],
)
def test_the_demo_holds_found_against_truth_with_one_point_and_15_hu(
    poi_percent: float, ihu_hu: float | None, within: bool
) -> None:
    found = {"poi_percent": poi_percent, "ihu_hu": ihu_hu, "lung_volume_ml": 1000.0, "infection_volume_ml": 100.0}
    assert all(row.within for row in compare(found, make_truth(10.0, -520.0))) is within


def make_bundle(folder: Path, content: bytes = b"weights") -> Path:
    """A bundle of one file, with the manifest that belongs to `weights`."""
    folder.mkdir(parents=True)
    (folder / "lungs.onnx").write_bytes(content)
    listed = {"bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}
    manifest = {"schema": "scanside.bundle/1", "name": "mine", "version": "2", "networks": {}}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": {"lungs.onnx": listed}}))
    return folder


def test_a_whole_bundle_verifies_and_a_changed_one_ends_with_4(run: Run, tmp_path: Path) -> None:
    assert run("bundle", "verify", make_bundle(tmp_path / "good"))[0] == 0
    code, out, err = run("bundle", "verify", make_bundle(tmp_path / "bad", b"wEights"))
    assert (code, out) == (4, "")
    assert "MODEL_" in err


def test_bundles_of_the_box_are_listed_from_its_root(run: Run, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundles" / "second")
    code, out, _ = run("--root", tmp_path, "bundle", "list", "--json")
    assert code == 0
    assert {"folder": str(folder), "name": "mine", "version": "2"}.items() <= json.loads(out)[1].items()
