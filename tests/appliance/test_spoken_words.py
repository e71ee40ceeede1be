"""What the terminal says, in which language, and how: commands, errors, columns of wide letters, hostile values."""

from __future__ import annotations

import ast
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

import scanside_appliance.cli.main as program
from scanside_appliance.cli.language import choose
from scanside_appliance.explain import errors_of_the_box
from scanside_appliance.jobs.errors import BoxAnalysisDied, InputConflict
from scanside_appliance.languages.words import Message, Written, said, words
from scanside_appliance.page.contents import series_lines
from scanside_appliance.upkeep.verify import Difference, Verified
from scanside_runtime.settings.tables import LANGUAGES

UTF8 = "utf-8"
CLI = Path(program.__file__).parent
RESEARCH = ("cohort.py", "evaluate.py")
"""Commands for who evaluates archives: they speak English, as their tables do."""


@pytest.mark.parametrize(
    ("named", "stated", "environment", "encoding", "language"),
    [
        (None, None, {"LANG": "fr_FR.UTF-8"}, UTF8, "fr"),
        (None, None, {"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "es_ES.UTF-8", "LC_ALL": ""}, UTF8, "es"),
        (None, None, {"LC_ALL": "zh_CN.GB18030", "LANG": "fr_FR.UTF-8"}, "gb18030", "zh"),
        (None, "sw", {"LANG": "fr_FR.UTF-8"}, UTF8, "sw"),
        (None, "en", {"LANG": "fr_FR.UTF-8"}, UTF8, "en"),
        ("pt", "sw", {"LANG": "fr_FR.UTF-8"}, UTF8, "pt"),
        (None, "hi", {"LANG": "C.UTF-8"}, UTF8, "hi"),
        (None, "hi", {"LC_ALL": "C"}, UTF8, "en"),
        (None, "fr", {}, "ascii", "en"),
        ("fr", None, {}, "iso8859-1", "en"),
        (None, "zh", {"TERM": "linux"}, UTF8, "en"),
        (None, "fr", {"TERM": "linux"}, UTF8, "fr"),
        (None, None, {"LANG": "ar_EG.UTF-8"}, UTF8, "en"),
        (None, "xx", {}, UTF8, "en"),
        (None, None, {}, "no such encoding", "en"),
    ],
)
def test_the_language_is_that_of_the_option_then_the_settings_then_the_terminal_where_it_can_be_shown(
    named: str | None, stated: str | None, environment: dict[str, str], encoding: str, language: str
) -> None:
    assert choose(named, stated, environment, encoding) == language


def test_a_command_complains_in_the_language_of_the_settings_and_the_code_stays(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site.toml").write_text('[site]\nlanguage = "fr"\n')
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    code, _, complaint = run("--root", tmp_path / "box", "--settings", tmp_path / "site.toml", "audit")
    assert code == 5
    assert "scanside: BOX_ROOT: Le dossier de la machine" in complaint or "n'existe pas encore" in complaint
    assert run("--root", tmp_path / "box", "--language", "en", "audit")[2] != complaint


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_of_the_status_says_how_the_box_is_in_the_language_and_json_stays_english(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    (tmp_path / "box").mkdir()
    _, told, _ = run("--root", tmp_path / "box", "--language", language, "status")
    assert words(language)("not running") in told
    _, facts, _ = run("--root", tmp_path / "box", "--language", language, "status", "--json")
    assert '"headline": "not running"' in facts


def test_what_was_written_down_in_english_is_found_again_with_its_figures_and_its_advice() -> None:
    french, conflict = words("fr"), InputConflict(count=1)
    written = f"{conflict.message} {conflict.advice}"
    assert french.again(conflict.code, written).startswith("1 coupe porte un UID déjà connu")
    assert french(Written(f"{conflict.code}: {written}")).startswith("INPUT_CONFLICT: 1 coupe porte")
    assert french(Written("2 hole(s) between the slices")) == "2 trous entre les coupes"
    assert french(Written("something nobody wrote")) == "something nobody wrote"
    assert written.startswith("1 slice carries") and words("en").again(conflict.code, written) == written
    older = written.replace("1 slice carries", "1 slice(s) carry")
    assert words("en").again(conflict.code, older) == written
    assert french.again(conflict.code, older) == french.again(conflict.code, written)
    assert french("1,2: size or SHA-256 differ") == "1,2: size or SHA-256 differ"
    assert french(said("{why}", why="size or SHA-256 differ")) == "la taille ou le SHA-256 diffèrent"


def test_numbers_choose_the_form_of_the_word() -> None:
    text = "{number} study(ies) were measured before the self-test failed: {some}; scanside redo measures them again"
    one, many = (words("es")(text, number=number, some="a") for number in (1, 5))
    assert one.startswith("1 estudio se midió") and many.startswith("5 estudios se midieron")
    english = [words("en")(text, number=number, some="a").partition(" before")[0] for number in (1, 5)]
    assert english == ["1 study was measured", "5 studies were measured"]
    assert str(Message(text, {"number": 1})).startswith("1 study was measured")
    died = BoxAnalysisDied(how="by SIGKILL", attempts=3)
    assert "3 fois de suite" in words("fr")(died)


def test_a_message_is_english_for_programs_and_carries_others_within_it() -> None:
    disk = said("{used:.0f} % used, {free:.1f} GB free", used=95.4, free=1.25)
    full = said("{disk}: nothing more is taken in", disk=disk)
    assert str(full) == "95 % used, 1.2 GB free: nothing more is taken in"
    assert words("fr")(full) == "95 % occupés, 1.2 Go libres : plus rien n'est reçu"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_can_be_said_with_values_that_a_hostile_sender_chose(language: str) -> None:
    hostile = "\x1b[31m\u202egpj.exe{name}%s\n"
    for error in errors_of_the_box():
        told = words(language)(error(**_values(error.__doc__ or "", hostile)))
        assert told.isprintable() and "\x1b" not in told and "\u202e" not in told


def _values(text: str, hostile: str) -> dict[str, object]:
    """For each place of a message: a number where one is printed, else the hostile text."""
    return {name: 1.5 if spec else hostile for _, name, spec, _ in string.Formatter().parse(text) if name}


def test_columns_stand_below_each_other_in_letters_that_are_two_cells_wide() -> None:
    series = [
        {"number": 1, "description": "胸部", "slices": 60, "slice_thickness_mm": 5.0, "kernel": "B30f"},
        {"number": 2, "description": "Thorax", "slices": 120, "slice_thickness_mm": 1.0, "kernel": None},
    ]
    for language in LANGUAGES:
        lines = series_lines(series, words(language))
        first, second = (cell_len(line[: line.index(" mm")]) for line in lines[1:])
        assert first == second, language


def test_no_command_prints_a_sentence_that_does_not_go_through_the_catalogue() -> None:
    bare = {
        f"{path.name}:{call.lineno}: {text}"
        for path in sorted(CLI.rglob("*.py"))
        if path.name not in RESEARCH
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "echo" and call.args
        for text in _printed(call.args[0])
    }
    assert bare == set()


def _printed(node: ast.expr) -> Iterator[str]:
    """The words of a text that is printed as it stands: not those that a call makes of another one."""
    if isinstance(node, ast.Call):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) > 1:
        yield node.value
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _printed(child)


def test_a_path_with_braces_is_shown_as_it_is() -> None:
    assert words("fr")(Message("/box/{used}/(s)")) == "/box/{used}/(s)"


def test_what_verify_found_is_said_in_the_reader_s_language_with_the_names_as_they_are() -> None:
    found = [
        Difference("result", "results/a/b/1/result.json", "b", "it is not what was written"),
        Difference("database", "scanside.db", None, "row 5 of jobs is not what was written"),
    ]
    file, row, last = Verified(1, 0, tuple(found)).lines(words("fr"))
    assert file == "result    results/a/b/1/result.json: ce n'est pas ce qui a été écrit"
    assert row == "database  scanside.db: la ligne 5 de jobs n'est pas ce qui a été écrit"
    assert "2" in last


def test_a_reminder_and_a_trouble_of_the_box_are_said_in_the_reader_s_language_one_or_several() -> None:
    late = "the last backup is 9 days old: scanside backup DIR"
    told = words("fr")(Written(f"no backup was ever made in 8 days: scanside backup DIR; {late}; {late}, odd"))
    assert told == (
        "aucune sauvegarde en 8 jours : scanside backup DIR; la dernière sauvegarde a 9 jours : scanside backup DIR; "
        f"{late}, odd"
    )
    assert words("fr").coded("BOX_INBOX: The inbox /in is not there: nothing can be sent.").startswith("BOX_INBOX: Le")
    assert words("en").phrase("1 file(s) break off") == "1 file breaks off"
