"""What the disk does not give of Scanside itself is told as the disk's: neither as a defect of ours nor of a study."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, cast

import pytest

from scanside_appliance.cli import main
from scanside_appliance.defects import of_the_disk
from scanside_appliance.jobs import worker
from scanside_appliance.page.templates import page_templates
from scanside_runtime.process.messages import Failed

IS_THERE = "scanside_appliance.defects"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ImportError("libx.so: cannot read file data: Input/output error"), "BOX_DISK"),
        (ModuleNotFoundError(f"No module named '{IS_THERE}'", name=IS_THERE), "BOX_DISK"),
        (ModuleNotFoundError("No module named 'scanside_appliance.x'", name="scanside_appliance.x"), "BOX_DEFECT"),
        (ImportError("cannot import name 'x'", name=IS_THERE), "BOX_DEFECT"),
    ],
)
def test_a_module_that_the_disk_does_not_give_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: ImportError, code: str
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(main, "app", fails)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert (ended.value.code, code in capsys.readouterr().err) == (5 if code == "BOX_DISK" else 1, True)


def test_a_module_whose_file_can_not_be_looked_at_is_the_disk_s(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Path.stat

    def fails(path: Path, **more: bool) -> os.stat_result:
        if path.name == "x.py":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return looked(path, **more)

    monkeypatch.setattr(Path, "stat", fails)
    found = of_the_disk(ModuleNotFoundError("No module", name="scanside_appliance.x"))
    assert found is not None and "x.py: Input/output error" in found.message


def test_a_template_that_the_disk_does_not_give_is_the_disk_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jinja's own loader knew no such template then."""

    def fails(*_: object, **__: object) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    environment = page_templates.__wrapped__()
    monkeypatch.setattr(Path, "read_text", fails)
    with pytest.raises(OSError, match="Input/output error"):
        environment.get_template("report.html.j2")


def test_all_templates_are_listed_for_who_reads_them_before_they_are_needed() -> None:
    environment = page_templates()
    assert "report.html.j2" in [environment.get_template(name).name for name in environment.list_templates()]


def test_what_a_disk_says_to_the_worker_is_the_box_s_and_no_defect_of_a_study(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(worker, "analyze_study", fails)
    answer = worker._answered(cast(Any, None), cast(Any, None), cast(Any, None))
    assert isinstance(answer, Failed) and (answer.code, answer.exit_code) == ("BOX_DISK", 5)
