"""What the README and the pages of docs/ say is so: commands parse, examples run, settings and links are there."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
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
import scanside_export.errors
from kit.selftest_samples import write_bundle_with_sample
from kit.small_demo import small_demo_spec
from kit.watch_box import Box, study
from scanside_appliance.explain import known_codes
from scanside_appliance.jobs.book.rows import State
from scanside_runtime.errors import ScansideError
from scanside_runtime.phantom.dicom_writer import SeriesTags, write_series
from scanside_runtime.phantom.make import Lesion, make_phantom
from scanside_runtime.settings.load import settings_of
from scanside_runtime.settings.tables import Settings
from sweeps.box import Slice, environment

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
GENERATED = {"cli.md", "reason-codes.md", "settings.md", "modules.md"}
DOCUMENTS = {
    "README.md": REPOSITORY / "README.md",
    **{path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))},
}
PROGRAMS: dict[str, Any] = {
    "scanside": typer.main.get_command(scanside_appliance.cli.main.app),
    "scanside-export": typer.main.get_command(scanside_export.cli.main.app),
}
NUMBER = re.compile(r"\b[0-9a-f]{16}\b|\b[0-9a-f]{12}\b|[+-]?\d+(?:\.\d+)*|█+ *")  # a digest is one too, and a bar
FLAG_WORD = re.compile(r"\b(?:none|WATCH|SEVERE)\b(?= \(extent)")


def text_of(page: str) -> str:
    return DOCUMENTS[page].read_text(encoding="utf-8")


def blocks(language: str, page: str = "README.md") -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


def command_lines() -> list[str]:
    """Every line in a fenced block of a page that starts one of the programs."""
    lines = "\n".join(block for page in DOCUMENTS for block in blocks("(?:sh|console)", page)).splitlines()
    starts = re.compile(r"(?:\$ )?(?=scanside(?:-export)? )")
    return list(dict.fromkeys(starts.sub("", line, count=1) for line in lines if starts.match(line)))


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
            arguments = [p for p in command.params if p.param_type_name == "argument"]
            free = [p.name for p in arguments if p.name not in given or p.nargs < 0]
            if not free:
                return f"one argument too many: {word}"
            given.add(free[0])
    missing = {p.name for p in command.params if p.required} - given
    return f"missing: {missing}" if missing or hasattr(command, "commands") else None


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_of_the_pages_parses(line: str) -> None:
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
    spans = re.findall(r"`(scanside(?:-export)?(?: [^`\n]+)?)`", text_of(name))
    wrong = {span: misused(words_of(span)) for span in spans}
    assert {span: why for span, why in wrong.items() if why and not why.startswith("missing")} == {}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text_of(name)) if "://" not in target]
    assert [target for target in targets if not leads_somewhere(DOCUMENTS[name], target)] == []


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a file is there, and the heading in it that is named behind `#`."""
    file, _, heading = target.partition("#")
    path = page.parent / file if file else page
    return path.exists() and (not heading or heading in headings(path.read_text(encoding="utf-8")))


def headings(text: str) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    titles = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_a_link_that_leads_nowhere_would_be_noticed() -> None:
    wrong = ("docs/none.md", "docs/figures.md#none", "#none")
    assert [target for target in wrong if leads_somewhere(DOCUMENTS["README.md"], target)] == []


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (DOCUMENTS[name].parent / target.partition("#")[0]).resolve()
        for name in DOCUMENTS
        for target in re.findall(r"\]\(([^)\s]+)\)", text_of(name))
    }
    assert {name for name, path in DOCUMENTS.items() if path not in linked} <= {"README.md"}


def test_every_file_that_the_pages_name_in_the_sources_exists() -> None:
    folders = "runtime|appliance|export|tests|benchmarks|systemd|docs"
    named = {
        one
        for name in DOCUMENTS
        for one in re.findall(rf"(?<![\w/.-])((?:{folders})/[\w./-]+\.\w+)\b", _in_full(text_of(name)))
    }
    assert len(named) > 70
    assert {path for path in named if not (REPOSITORY / path).exists()} == set()


def _in_full(text: str) -> str:
    """docs/developing.md says `R/` and `A/` for the two packages that it speaks of most."""
    return text.replace("`R/", "`runtime/scanside_runtime/").replace("`A/", "`appliance/scanside_appliance/")


def test_the_drawing_of_the_house_shows_every_wing() -> None:
    drawing = text_of("developing.md").partition("```\n")[2].partition("```")[0]
    packages = [REPOSITORY / root / f"scanside_{root}" for root in ("runtime", "appliance", "export")]
    wings = {f"{path.parent.name}/" for package in packages for path in package.glob("*/*.py")}
    assert wings == set(re.findall(r"(?m)^  (?:[\w, ]*, )?(\w+/)(?: |$)", drawing))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_code_that_a_page_names_is_one(name: str) -> None:
    named = re.findall(r"`((?:INPUT|SERIES|GEOMETRY|COVERAGE|QUALITY|PATIENT|MODEL|BOX)_[A-Z_]+)`", text_of(name))
    assert set(named) <= {*known_codes(), *(kind.code for kind in errors())}


def test_the_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    shown = {int(code) for code in re.findall(r"^\| (\d) \|", text_of("README.md"), re.MULTILINE)}
    assert shown == {0, 2} | {kind.exit_code for kind in errors()}


def errors(kind: type[ScansideError] = ScansideError) -> Iterator[type[ScansideError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from errors(below)


def test_the_figures_of_the_readme_stand_among_all_figures() -> None:
    _, _, table = text_of("README.md").partition("## Ten figures")
    rows = [row.split("|")[3] for row in table.splitlines() if row.startswith("| ")][1:]
    figures = re.compile(r"\d+(?:\.\d+)?")
    assert len(rows) == 10
    assert {figure for row in rows for figure in figures.findall(row)} <= set(figures.findall(text_of("figures.md")))


def test_the_states_of_a_study_all_have_a_meaning_for_the_technician() -> None:
    table = re.findall(r"^\| (`.+?) \|", text_of("watch.md"), re.MULTILINE)
    assert {state.value for state in State} <= {name for cell in table for name in in_backticks(cell)}


def test_the_settings_page_shows_all_settings_with_their_defaults() -> None:
    page = text_of("settings.md")
    shown: dict[str, dict[str, Any]] = {}
    for name, table in re.findall(r"^## \[(\w+)\]\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL):
        rows = re.findall(r"^\| (`.+?`) \| (`.+?`) \| (.+?) \| .+ \|$", table, re.MULTILINE)
        pairs = [pair for names, values, _ in rows for pair in zip(*map(in_backticks, (names, values)), strict=True)]
        shown[name] = tomllib.loads("\n".join(f"{key} = {value}" for key, value in pairs))
    assert shown == json.loads(json.dumps(asdict(Settings())))  # a list of texts is a tuple


def in_backticks(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_settings_that_a_page_shows_as_an_example_can_be_used() -> None:
    examples = [example for name in DOCUMENTS for example in blocks("toml", name)]
    assert examples
    assert all(settings_of(tomllib.loads(example)) != Settings() for example in examples)


def program(path: str) -> ModuleType:
    """A program that lies in no package, as a module."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), REPOSITORY / path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_figures_names_each_command_that_make_figures_runs() -> None:
    named = {line.partition(" #")[0].strip() for block in blocks("sh", "figures.md") for line in block.splitlines()}
    commands = program("benchmarks/figures.py").COMMANDS.values()
    assert len(commands) > 10
    assert set(commands) - named == set()


def test_the_reference_pages_are_what_make_docs_would_write() -> None:
    pages = program("docs/generate.py").pages()
    assert set(pages) == GENERATED
    for name, text in pages.items():
        assert text_of(name) == text, "stale: run `make docs`"


def test_the_reference_pages_hold_every_command_and_every_code() -> None:
    pages = program("docs/generate.py").pages()
    assert all(f"| `{code}` |" in pages["reason-codes.md"] for code in known_codes())
    assert all(f" `{name} {short}`" in pages["cli.md"] for name, group in PROGRAMS.items() for short in group.commands)


Shell = Callable[[str], str]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples are typed: a phantom's series as folder, zip, one slice, and a later one; tiny networks."""
    folder = tmp_path_factory.mktemp("desk")
    phantom = make_phantom(small_demo_spec(stomach_gas=False))
    write_series(phantom.hu, phantom.spacing_mm, folder / "scan", origin_mm=phantom.origin_mm, slice_thickness_mm=10.0)
    shutil.make_archive(str(folder / "scan"), "zip", folder / "scan")
    worse = make_phantom(replace(phantom.spec, lesions=tuple(grown(lesion) for lesion in phantom.spec.lesions)))
    later = SeriesTags(study_date="20200409")
    write_series(worse.hu, worse.spacing_mm, folder / "scan-later", origin_mm=worse.origin_mm, tags=later)
    shutil.copyfile(min((folder / "scan").rglob("*.dcm")), folder / "one-slice.dcm")
    write_bundle_with_sample(folder / "bundle", name="scanside-chest", version="0.1.0")
    make_box(folder / "box-as-it-was")
    return folder


def make_box(root: Path) -> None:
    """A watched folder in which one study is done, one was put aside, and two wait for a person."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        box = Box(root)
        box.put(*study(1), *study(2, text="CRASH"))
        box.run()
        box.put(Slice(1, 2, "other"), *study(3, patient="P1", text="CONFLICT"))
        box.run()


def grown(lesion: Lesion) -> Lesion:
    z, y, x = (1.25 * radius for radius in lesion.radii_mm)
    return replace(lesion, radii_mm=(z, y, x))


@pytest.fixture
def shell(desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs one command of a page at the desk: the program, `ls`, or `echo $?`; gives what it prints."""
    monkeypatch.chdir(desk)
    manifest = hashlib.sha256((desk / "bundle" / "manifest.json").read_bytes()).hexdigest()
    monkeypatch.setattr("scanside_runtime.model.bundle.DEFAULT_BUNDLE", desk / "bundle")
    monkeypatch.setattr("scanside_runtime.model.bundle.SHIPPED_MANIFEST", manifest)
    shutil.rmtree("box", ignore_errors=True)
    shutil.copytree("box-as-it-was", "box")
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


EXAMPLES = [(name, block) for name in DOCUMENTS for block in blocks("console", name)]


@pytest.mark.parametrize(("name", "block"), EXAMPLES, ids=[f"{name}: {block[2:40]}" for name, block in EXAMPLES])
def test_the_examples_print_what_the_pages_show(shell: Shell, name: str, block: str) -> None:
    for command, printed in steps(block):
        assert pattern(printed).fullmatch(flattened(shell(command))), f"{name}: {command}"


@pytest.mark.parametrize("block", blocks("python"), ids=["analyze", "table"])
def test_the_python_of_the_readme_runs(
    desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, block: str
) -> None:
    """In a folder that holds a study in `scan` and results in `results`, one of them a refusal."""
    for study_path, result in (("scan", "first"), ("one-slice.dcm", "refused")):
        shell(f"scanside analyze {study_path} --no-dicom --output {tmp_path / 'results' / result}")
    shutil.copytree(desk / "scan", tmp_path / "scan")
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(block, "<README>", "exec"), {})
    assert re.search(r"\d+\.\d", printed.getvalue())
