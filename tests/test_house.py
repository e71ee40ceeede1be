"""The house: who may import whom, what the box carries, and how fast it answers."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from scanside_appliance.explain import WITH_ERRORS

REPOSITORY = Path(__file__).resolve().parents[1]
ROOTS = ("runtime", "appliance", "export")
TRAINING = {"torch", "nncf", "onnx", "scipy", "nibabel", "matplotlib"}
HEAVY = {"torch", "nncf"}
OF_THE_EXPORTER = REPOSITORY / "tests" / "export"
HEAVY_SAMPLES = "export_samples"
"""What takes gigabytes, and the tests and samples that may load it: no process with them tests the box."""
ENGINES = {"openvino", "onnxruntime"}
COHORT = {"scipy", "sklearn", "statsmodels", "pandas", "pyarrow", "dask", "distributed", "nibabel", "matplotlib"}
OF_THE_COHORT = {"statistics", "cluster", "table"}
"""Packages and modules of the appliance that the extra `cohort` is for."""
OF_THE_NETWORK = {"scu", "commitment", "sending", "scp", "weighed"}
"""Modules of the appliance that the extra `dicom-network` is for."""
OF_THE_BROWSERS = {"connection"}
"""The module of the appliance that the extra `serve` is for."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, with the checkout's three roots first."""
    path = os.pathsep.join(str(REPOSITORY / root) for root in ROOTS)
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=600)


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement, whatever way it ends."""
    report = "import atexit, sys; atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr)); "
    done = run(sys.executable, "-c", report + statement)
    assert done.returncode == 0, done.stderr
    names = next(line for line in done.stderr.splitlines() if line.startswith("MODULES "))
    return {name.partition(".")[0] for name in names.split()[1:]}


def sources(*roots: str) -> list[Path]:
    return [path for root in roots for path in sorted((REPOSITORY / root).rglob("*.py"))]


def box_sources(*roots: str) -> list[Path]:
    """What the base install runs: all but what the extras are for."""
    of_extras = OF_THE_COHORT | OF_THE_NETWORK | OF_THE_BROWSERS
    return [path for path in sources(*roots) if not of_extras & {*path.parent.parts[-2:], path.stem}]


def module_name(path: Path) -> str:
    """The dotted name of a file below one of the roots."""
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts[1:])


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def import_statements(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """Of a file, inside functions too."""
    return [node for node in ast.walk(ast.parse(text_of(path))) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(path: Path, among: set[str]) -> set[str]:
    """Which of these top-level names a file imports anywhere. One that names none of them is not parsed."""
    if not any(name in text_of(path) for name in among):
        return set()
    names: set[str] = set()
    for node in import_statements(path):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names & among


def box_tests() -> list[Path]:
    """All tests and samples but those of the exporter."""
    return [p for p in sources("tests") if not p.is_relative_to(OF_THE_EXPORTER) and p.stem != HEAVY_SAMPLES]


def imports(path: Path, name: str) -> list[str]:
    """The import statements of a file that hold a name, as they are written."""
    if name not in text_of(path):
        return []
    return [line for node in import_statements(path) if name in (line := ast.unparse(node))]


def test_no_test_of_the_box_imports_what_trains() -> None:
    assert [path for path in box_tests() if imported(path, HEAVY) or imports(path, HEAVY_SAMPLES)] == []
    skips = re.compile(r'importorskip\(\s*"(torch|nncf)\b')  # it imports what it asks for
    assert [path for path in box_tests() if skips.search(text_of(path))] == []


def test_what_the_boxs_tests_use_of_the_exporter_loads_nothing_that_trains() -> None:
    lines = {line for path in box_tests() for line in imports(path, "scanside_export")}
    assert lines
    assert not modules_after("; ".join(sorted(lines))) & HEAVY


def test_every_module_of_the_box_can_be_imported_without_training() -> None:
    names = [module_name(path) for path in box_sources("runtime", "appliance") if not path.name.startswith("__")]
    assert not modules_after(f"import {', '.join(names)}") & TRAINING


def test_help_answers_without_loading_an_engine() -> None:
    loaded = modules_after("sys.argv = ['scanside', '--help']; from scanside_appliance.cli.main import main; main()")
    assert "scanside_appliance" in loaded
    assert not loaded & (ENGINES | TRAINING)


def test_the_daemon_loads_nothing_that_foreign_bytes_could_crash() -> None:
    loaded = modules_after("import scanside_appliance.service.service, scanside_appliance.service.queue_view")
    assert "sqlite3" in loaded
    assert not loaded & (ENGINES | TRAINING | {"pydicom", "numpy", "cv2", "gdcm", "highdicom"})


@pytest.mark.parametrize("module", ["scanside_appliance.cli.main", "scanside_export.cli.main"])
def test_both_programs_answer_help(module: str) -> None:
    done = run(sys.executable, "-c", f"import sys; sys.argv = ['x', '--help']; from {module} import main; main()")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_the_import_contracts_hold() -> None:
    done = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert done.returncode == 0, done.stdout


def test_the_box_imports_none_of_what_it_does_not_install() -> None:
    barred = TRAINING | COHORT | {"skimage", "scanside_export", "pynetdicom"}
    paths = box_sources("runtime", "appliance")
    assert len(paths) > 300
    assert {path.name: found for path in paths if (found := imported(path, barred))} == {}


def test_what_a_program_of_ours_leaves_out_is_imported_by_none_but_through_needed() -> None:
    assert [path for path in sources(*ROOTS) if imported(path, {"gdcm", "PIL"})] == []


def test_every_module_that_defines_an_error_of_the_box_is_known_to_explain() -> None:
    defining = set()
    for path in [path for path in sources("runtime", "appliance") if " code = " in text_of(path)]:
        classes = [node for node in ast.walk(ast.parse(text_of(path))) if isinstance(node, ast.ClassDef)]
        if any(isinstance(one, ast.Assign) and _names(one) == ["code"] for kind in classes for one in kind.body):
            defining.add(module_name(path))
    assert defining == {"scanside_runtime.errors", *WITH_ERRORS}


def _names(assignment: ast.Assign) -> list[str]:
    return [target.id for target in assignment.targets if isinstance(target, ast.Name)]


def test_the_base_install_is_the_box_alone() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=~!\[; ]", line)[0] for line in project["dependencies"]}
    assert not names & (TRAINING | {"scikit-image", "opencv-python"})
    assert names >= ENGINES


def test_every_dependency_is_given_a_reason() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    block = text.partition("dependencies = [")[2].partition("[project.scripts]")[0]
    required = [line for line in block.splitlines() if line.lstrip().startswith('"')]
    assert len(required) > 15
    assert [line for line in required if not re.search(r"# .+; .+", line)] == []


def test_no_page_or_source_holds_both_sides_of_a_merge() -> None:
    pages = [path for kind in ("*.md", "*.j2", "*.po") for path in REPOSITORY.glob(f"[!.]*/**/{kind}")]
    texts = [*pages, *sources(*ROOTS, "tests"), *REPOSITORY.glob("*.md"), *REPOSITORY.glob("*.toml")]
    mark = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    assert len(pages) > 10
    assert [path for path in texts if mark.search(path.read_bytes())] == []
