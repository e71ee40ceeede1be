"""The three pages to start from: one page each, every command on them exists, and takes what it is given."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from scanside_appliance.cli.main import app

PAGES = Path(__file__).resolve().parents[1] / "docs"
UsageError = typer.BadParameter.__mro__[1]
STARTS = ("start-clinic.md", "start-technician.md", "start-engineer.md")
OF_THE_SYSTEM = {"cd", "tar", "./install.sh", "useradd", "cat", "systemctl", "umask", "cp"}


def blocks(page: str) -> list[str]:
    """What a reader is told to type."""
    return re.findall(r"^```sh\n(.*?)^```", (PAGES / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """Line by line, without what is written into a file."""
    text = re.sub(r"<<'END'\n.*?^END$", "", "\n".join(blocks(page)), flags=re.MULTILINE | re.DOTALL)
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def program(name: str) -> Any:
    if name == "scanside":
        return typer.main.get_command(app)
    from scanside_export.cli.main import app as exporter

    return typer.main.get_command(exporter)


def takes(command: Any, words: list[str]) -> None:
    """Raises the usage error of Typer's own Click where the command has no such word. Nothing is run."""
    if hasattr(command, "commands"):
        assert words and words[0] in command.commands, words
        return takes(command.commands[words[0]], words[1:])
    with command.make_context("x", list(words), resilient_parsing=False):
        return None


@pytest.mark.parametrize("page", STARTS)
def test_a_start_is_one_page(page: str) -> None:
    assert len((PAGES / page).read_text(encoding="utf-8").splitlines()) <= 100


@pytest.mark.parametrize(
    ("page", "words"),
    [(page, words) for page in STARTS for words in commands(page)],
    ids=lambda one: one if isinstance(one, str) else " ".join(one)[:60],
)
def test_each_command_exists_and_takes_what_it_is_given(page: str, words: list[str]) -> None:
    if words[0] not in ("scanside", "scanside-export"):
        assert words[0] in OF_THE_SYSTEM, f"{page}: {words}"
        return
    takes(program(words[0]), words[1:])


@pytest.mark.parametrize("words", ["demo --nothing", "no-such-command", "results", "bundle list --output x"])
def test_a_command_that_does_not_exist_or_takes_no_such_word_is_found_out(words: str) -> None:
    with pytest.raises((AssertionError, UsageError)):
        takes(program("scanside"), words.split())


@pytest.mark.parametrize("page", STARTS)
def test_a_start_leads_to_pages_that_are_there(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", (PAGES / page).read_text(encoding="utf-8")):
        assert (PAGES / target).exists(), target


def test_the_readme_leads_to_all_three() -> None:
    readme = (PAGES.parent / "README.md").read_text(encoding="utf-8")
    assert all(f"docs/{page}" in readme for page in STARTS)
