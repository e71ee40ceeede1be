"""Templates are compiled once and found again; what was damaged or made of something else is compiled anew."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment, nodes

from scanside_appliance.page.compiled_templates import CompiledTemplates
from scanside_appliance.page.templates import TEMPLATES, page_templates

HOW = Path(__file__)


def filled(folder: Path, text: str = "{{ what }} in {{ 2 * 3 }}", how: Path = HOW) -> tuple[str, bool]:
    """What a fresh environment fills in, and whether it had to compile."""
    compiled = []

    class Noting(Environment):
        def compile(self, *arguments, **more):
            compiled.append(arguments)
            return super().compile(*arguments, **more)

    environment = Noting(loader=DictLoader({"a.txt.j2": text}), bytecode_cache=CompiledTemplates(folder, [how]))
    return environment.get_template("a.txt.j2").render(what="found"), bool(compiled)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a template that was compiled."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert filled(tmp_path) == ("found in 6", True)
    (file,) = Path(cache_from_source(str(tmp_path / "a.txt.j2"))).parent.iterdir()
    return file


def test_a_template_is_compiled_once(tmp_path: Path, kept: Path) -> None:
    assert filled(tmp_path) == ("found in 6", False)


@pytest.mark.parametrize(
    "spoilt", [lambda data: b"", lambda data: data[:-1], lambda data: data[:40] + b"x" + data[41:]]
)
def test_what_is_not_whole_is_compiled_anew(tmp_path: Path, kept: Path, spoilt: Callable[[bytes], bytes]) -> None:
    kept.write_bytes(spoilt(kept.read_bytes()))
    assert filled(tmp_path) == ("found in 6", True)
    assert filled(tmp_path) == ("found in 6", False)


def test_another_text_and_another_way_to_compile_are_compiled_anew(tmp_path: Path, kept: Path) -> None:
    assert filled(tmp_path, "{{ what }}") == ("found", True)
    (tmp_path / "how.py").touch()
    assert filled(tmp_path, "{{ what }}", tmp_path / "how.py") == ("found", True)


def test_where_nothing_may_be_written_each_compiles_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setattr(sys, "pycache_prefix", None)
    for _ in range(2):
        assert filled(tmp_path / "a file") == ("found in 6", True)


@pytest.mark.parametrize("template", page_templates().list_templates())
def test_no_filter_is_given_a_constant_so_that_all_languages_compile_alike(template: str) -> None:
    tree = page_templates().parse((TEMPLATES / template).read_text("utf-8"))
    for one in tree.find_all(nodes.Filter):
        with pytest.raises(nodes.Impossible):
            one.as_const()
