"""What `scanside --help` and each command's help say: whole sentences, exit codes, examples that the command takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from scanside_appliance.cli.main import app

PROGRAM = typer.main.get_command(app)


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


ALL = dict(commands(PROGRAM))
LEAVES = [words for words, command in ALL.items() if not hasattr(command, "commands")]
GROUPS = [words for words, command in ALL.items() if hasattr(command, "commands")]


@pytest.mark.parametrize("words", GROUPS, ids=lambda words: " ".join(("scanside", *words)))
def test_a_list_of_commands_cuts_no_sentence_off_in_a_narrow_terminal(words: tuple[str, ...]) -> None:
    with ALL[words].make_context("scanside", ["--"], resilient_parsing=True, terminal_width=80) as context:
        shown = ALL[words].get_help(context).partition("Commands:")[2].strip().splitlines()
    assert len(shown) == len(ALL[words].commands)
    assert [line for line in shown if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_each_command_says_what_it_does_in_a_line_and_its_exit_codes_last(words: tuple[str, ...]) -> None:
    first, *_, last = re.split(r"\n\n", (ALL[words].help or "").strip())
    assert first.endswith(".") and "\n" not in first
    assert last.startswith("Exit code: 0 ")


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_an_example_is_one_that_the_command_takes(words: tuple[str, ...]) -> None:
    for example in re.findall(r"^Example: scanside (.*)$", ALL[words].help or "", re.MULTILINE):
        typed = shlex.split(example)
        assert tuple(typed[: len(words)]) == words
        with ALL[words].make_context("x", typed[len(words) :], resilient_parsing=False):
            pass
