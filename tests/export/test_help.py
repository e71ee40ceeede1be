"""What `scanside-export --help` says: a line a command, which no terminal cuts off."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from scanside_export.cli.main import app

PROGRAM: Any = typer.main.get_command(app)


@pytest.mark.parametrize("group", ["", "evaluate", "motion", "lesions"])
def test_a_list_of_commands_cuts_no_sentence_off_in_a_narrow_terminal(group: str) -> None:
    listed = PROGRAM.commands[group] if group else PROGRAM
    with listed.make_context("scanside-export", ["--"], resilient_parsing=True, terminal_width=80) as context:
        shown = listed.get_help(context).partition("Commands:")[2].strip().splitlines()
    assert len(shown) == len(listed.commands)
    assert [line for line in shown if not line.endswith(".") or line.endswith("...")] == []
