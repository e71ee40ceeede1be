"""What the README and the reference pages say is so: commands parse, examples run, settings and links are there."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import scanside_appliance.cli.main
import scanside_export.cli.main
from kit.selftest_samples import write_bundle_with_sample
from scanside_appliance.explain import known_codes
from scanside_runtime.phantom.dicom_writer import SeriesTags, write_series
from scanside_runtime.phantom.make import Lesion, demo_spec, make_phantom
from scanside_runtime.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DOCUMENTS = {path.name: path for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]}
PROGRAMS: dict[str, Any] = {
    "scanside": typer.main.get_command(scanside_appliance.cli.main.app),
    "scanside-export": typer.main.get_command(scanside_export.cli.main.app),
}
NUMBER = re.compile(r"\b[0-9a-f]{12}\b|[+-]?\d+(?:\.\d+)*|█+ *")  # a short digest is one too, and a bar
FLAG_WORD = re.compile(r"\b(?:none|WATCH|SEVERE)\b(?= \(extent)")


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def command_lines() -> list[str]:
    """Every line in a fenced block that starts one of the programs."""
    lines = "\n".join(blocks("sh") + blocks("console")).splitlines()
    return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?scanside(-export)? ", line)]


def words_of(line: str) -> list[str]:
    """The words of a command line without comment and redirection."""
    return shlex.split(line.split(" > ")[0], comments=True)


def misused(words: list[str]) -> str | None:
    """What is wrong with a command line, judged by the programs' own parameters."""
    command: Any = PROGRAMS[words[0]]
    given: set[str] = set()
    rest = iter(words[1:])
    for word in rest:
        options = {name: option for option in command.params for name in option.opts if name.startswith("--")}
        if word.startswith("--"):
            if word not in options:
                return f"no option {word}"
            given.add(options[word].name)
            if not isinstance(options[word].default, bool) and next(rest, None) is None:
                return f"{word} stands without a value"
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"no command {word}"
            command, given = command.commands[word], set()
        else:
            free = [p.name for p in command.params if p.param_type_name == "argument" and p.name not in given]
            if not free:
                return f"one argument too many: {word}"
            given.add(free[0])
    missing = {p.name for p in command.params if p.required} - given
    return f"missing: {missing}" if missing or hasattr(command, "commands") else None


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_of_the_readme_parses(line: str) -> None:
    assert misused(words_of(line)) is None


@pytest.mark.parametrize(
    "line",
    [
        "scanside watch --twice",
        "scanside bundle",
        "scanside analyze",
        "scanside analyze a b",
        "scanside analyze a --fast",
        "scanside analyze a --output",
        "scanside-export export --runs r",
    ],
)
def test_a_command_line_that_does_not_exist_would_be_noticed(line: str) -> None:
    assert misused(words_of(line))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_named_in_running_text_exist(name: str) -> None:
    spans = re.findall(r"`(scanside(?:-export)?(?: [^`\n]+)?)`", DOCUMENTS[name].read_text(encoding="utf-8"))
    wrong = {span: misused(words_of(span)) for span in spans}
    assert {span: why for span, why in wrong.items() if why and not why.startswith("missing")} == {}


@pytest.mark.parametrize("name", ["README.md", "developing.md"])
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    text = DOCUMENTS[name].read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    titles = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    dead = [
        target
        for target in targets
        if not (target[1:] in headings if target.startswith("#") else (DOCUMENTS[name].parent / target).exists())
    ]
    assert dead == []


def test_every_file_that_the_pages_name_in_the_sources_exists() -> None:
    text = "".join(DOCUMENTS[name].read_text(encoding="utf-8") for name in ("README.md", "developing.md"))
    named = set(re.findall(r"`((?:runtime|appliance|export|tests|benchmarks)/[\w./]+\.(?:py|j2|toml))`", text))
    assert len(named) > 8
    assert {path for path in named if not (REPOSITORY / path).exists()} == set()


def test_every_code_that_the_readme_names_is_one() -> None:
    named = set(re.findall(r"`((?:INPUT|SERIES|GEOMETRY|COVERAGE|QUALITY|PATIENT|MODEL|BOX)_[A-Z_]+)`", README))
    assert len(named) > 15
    assert named <= set(known_codes())


def test_the_settings_of_the_readme_are_all_settings_with_their_defaults() -> None:
    (shown,) = blocks("toml")
    assert tomllib.loads(shown) == asdict(Settings())


def generator() -> ModuleType:
    """docs/generate.py, which is a program and lies in no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", REPOSITORY / "docs" / "generate.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_pages_are_what_make_docs_would_write() -> None:
    pages = generator().pages()
    assert set(pages) == {"cli.md", "reason-codes.md", "settings.md"}
    for name, text in pages.items():
        assert (REPOSITORY / "docs" / name).read_text(encoding="utf-8") == text, "stale: run `make docs`"


def test_the_reference_pages_hold_every_command_and_every_code() -> None:
    pages = generator().pages()
    assert all(f"| `{code}` |" in pages["reason-codes.md"] for code in known_codes())
    assert all(f" `{name} {short}`" in pages["cli.md"] for name, group in PROGRAMS.items() for short in group.commands)


Shell = Callable[[str], str]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples are typed: a phantom's series as folder, zip, one slice, and a later one; tiny networks."""
    folder = tmp_path_factory.mktemp("desk")
    phantom = make_phantom(
        replace(demo_spec(), matrix=96, slice_thickness_mm=10.0, increment_mm=10.0, stomach_gas=False)
    )
    write_series(phantom.hu, phantom.spacing_mm, folder / "scan", origin_mm=phantom.origin_mm, slice_thickness_mm=10.0)
    shutil.make_archive(str(folder / "scan"), "zip", folder / "scan")
    worse = make_phantom(replace(phantom.spec, lesions=tuple(grown(lesion) for lesion in phantom.spec.lesions)))
    later = SeriesTags(study_date="20200409")
    write_series(worse.hu, worse.spacing_mm, folder / "scan-later", origin_mm=worse.origin_mm, tags=later)
    shutil.copyfile(min((folder / "scan").rglob("*.dcm")), folder / "one-slice.dcm")
    write_bundle_with_sample(folder / "bundle", name="scanside-chest", version="0.1.0")
    return folder


def grown(lesion: Lesion) -> Lesion:
    z, y, x = (1.25 * radius for radius in lesion.radii_mm)
    return replace(lesion, radii_mm=(z, y, x))


@pytest.fixture
def shell(desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs one command of the README at the desk: the program, `ls`, or `echo $?`; gives what it prints."""
    monkeypatch.chdir(desk)
    monkeypatch.setattr("scanside_runtime.model.bundle.DEFAULT_BUNDLE", desk / "bundle")
    status = [0]

    def call(line: str) -> str:
        words = words_of(line)
        if words[0] == "ls":
            return "\n".join(sorted(path.name for path in (desk / words[1]).iterdir()))
        if words == ["echo", "$?"]:
            return str(status[0])
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            scanside_appliance.cli.main.main()
        status[0] = int(ended.value.code or 0)
        return capsys.readouterr().out

    return call


def steps(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block with the lines that it is said to print."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *printed = part.rstrip().splitlines()
        yield command, printed


def pattern(printed: list[str]) -> re.Pattern[str]:
    """What an output must look like: any numbers, any severity word, `...` for anything."""
    escaped = re.escape(flattened("\n".join(printed)))
    return re.compile(escaped.replace(re.escape("..."), ".*"), re.DOTALL)


def flattened(text: str) -> str:
    return FLAG_WORD.sub("FLAG", NUMBER.sub("0", text)).strip()


@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: block.partition("\n")[0])
def test_the_examples_print_what_the_readme_shows(shell: Shell, block: str) -> None:
    for command, printed in steps(block):
        assert pattern(printed).fullmatch(flattened(shell(command))), command
