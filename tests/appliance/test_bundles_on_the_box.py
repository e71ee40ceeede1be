"""Bundles on a box: the service puts aside what fails, commands bring and take, root installs for the box's user."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kit.selftest_samples import write_bundle_with_sample
from kit.stick import Stick, made_stick
from scanside_appliance.bundles import record
from scanside_appliance.bundles.errors import ModelArchive
from scanside_appliance.bundles.record import (
    alone,
    bundle_in_force,
    bundles_folder,
    read_record,
    step_back,
)
from scanside_appliance.cli.main import app
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs import bundle_prover
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import BoxSelfTest
from scanside_appliance.service.daemon import Daemon, Plan
from scanside_runtime.settings.tables import Settings


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    return made_stick(tmp_path)


def test_a_bundle_in_force_that_fails_where_it_stands_is_put_aside_at_the_start_and_the_box_goes_on(
    tmp_path: Path,
) -> None:
    """It passed when it was installed; since then the machine under it changed."""
    root, trouble = started(tmp_path, 'ModelSelfTest(why="too far off")')
    assert bundle_in_force(root, tmp_path) is None and trouble is None
    last = read_record(root).changes[-1]
    assert (last.action, last.before) == ("put aside", INSTALLED) and last.why.startswith("MODEL_SELFTEST: ")


def test_a_bundle_whose_key_root_took_from_the_box_s_user_stays_in_force_and_the_command_that_mends_it_is_told(
    tmp_path: Path,
) -> None:
    """Put aside it would not come back by that command, and older networks would measure."""
    told = 'ModelKeyRights(path="maker.pem", user="scanside", why="closed", command="chmod a+r maker.pem")'
    root, trouble = started(tmp_path, told)
    assert read_record(root).in_force == INSTALLED
    assert "MODEL_KEY_RIGHTS" in str(trouble) and "`chmod a+r maker.pem`" in str(trouble)


INSTALLED = "0123456789abcdef"


def started(tmp_path: Path, error: str) -> tuple[Path, str | None]:
    """A box's root and trouble after a start at which the installed bundle's self-test ends with this error."""
    root, folder = tmp_path / "box", tmp_path / "box" / "bundles" / INSTALLED
    write_bundle_with_sample(folder, same=False)
    record.put_in_force(root, record.BundleChange("2026-01-01", "install", folder.name, None, "tiny 1", "signed"))
    layout, settings = BoxLayout(root), Settings()
    layout.make()
    with Store(layout.database) as store:
        worker = sys.executable, "-c", FAILS_ONCE.replace("ERROR", error)
        daemon = Daemon(Plan(root, Settings, worker=worker), layout, store, settings)
        try:
            daemon.start()
        finally:
            daemon.close()
        return root, daemon.trouble


FAILS_ONCE = """
import json, sys
from pathlib import Path
from scanside_runtime.model.errors import ModelKeyRights, ModelSelfTest
from scanside_runtime.process.messages import Failed, encode, own_hello
print(encode(own_hello()).decode(), end="", flush=True)
for line in sys.stdin:
    asked = json.loads(line)["SelfTestOrder"]
    changes = json.loads(Path(asked["root"], "bundles", "changes.json").read_bytes())["changes"]
    good = '{"SelfTested": {"engine": "fake"}}'
    bad = encode(Failed.of(ERROR)).decode().strip()
    print(good if changes[-1]["bundle"] is None else bad, flush=True)
"""


def test_the_command_installs_lists_and_goes_back(stick: Stick) -> None:
    settings = stick.folder / "scanside.toml"
    settings.write_text(f'[bundles]\nkeys = "{stick.keys}"\n')
    box = ["--root", str(stick.root), "--settings", str(settings), "bundle"]
    archive = str(stick.zip("1.0"))
    installed = CliRunner().invoke(app, [*box, "install", archive, "--json"])
    assert (installed.exit_code, json.loads(installed.stdout)["title"]) == (0, "tiny 1.0")
    listed = json.loads(CliRunner().invoke(app, [*box, "list", "--json"]).stdout)
    assert [one["in_force"] for one in listed] == [False, True]
    verified = CliRunner().invoke(app, [*box, "verify", "--json"])
    assert json.loads(verified.stdout)["name"] == "tiny"
    gone_back = CliRunner().invoke(app, [*box, "rollback"])
    assert (gone_back.exit_code, "Scanside brings along is in force" in gone_back.stdout) == (0, True)


@pytest.mark.parametrize(("how", "why"), [("os.abort()", "by SIGABRT"), ("sys.exit(1)", "with exit code 1")])
def test_what_ends_the_engine_at_the_proof_ends_the_command_with_a_code_and_leaves_what_is_in_force(
    stick: Stick, monkeypatch: pytest.MonkeyPatch, how: str, why: str
) -> None:
    """OpenVINO does that where the disk does not give its own files: the command was gone without a word."""
    settings = stick.folder / "scanside.toml"
    settings.write_text(f'[bundles]\nkeys = "{stick.keys}"\n')
    stick.install(stick.zip("1.0"))
    monkeypatch.setattr(bundle_prover, "WORKER", (sys.executable, "-c", ENDS.format(how=how)))
    box = ["--root", str(stick.root), "--settings", str(settings), "bundle", "install"]
    found = CliRunner().invoke(app, [*box, str(stick.zip("1.1")), "--json"])
    assert isinstance(found.exception, BoxSelfTest) and found.exception.exit_code == 5
    assert f"it ended {why}" in str(found.exception)
    assert (stick.in_force(), len([*bundles_folder(stick.root).glob("*/")])) == ("1.0", 1)


ENDS = """
import os, sys
from scanside_runtime.process.messages import encode, own_hello
print(encode(own_hello()).decode(), end="", flush=True)
sys.stdin.readline()
{how}
"""


def test_what_root_installs_the_box_s_user_can_read_whatever_the_umask(stick: Stick) -> None:
    archive, before = stick.zip("1.0"), os.umask(0o077)
    settings = stick.folder / "scanside.toml"
    settings.write_text(f'[bundles]\nkeys = "{stick.keys}"\n')
    try:
        stick.root.mkdir(mode=0o755)
        arguments = ["--root", str(stick.root), "--settings", str(settings), "bundle", "install", str(archive)]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in bundles_folder(stick.root).rglob("*")}
    assert modes == {0o644, 0o755}


def test_going_back_waits_for_an_installation_and_leaves_what_it_brought(stick: Stick) -> None:
    stick.install(stick.zip("1.0"))
    failed = read_record(stick.root).in_force
    stick.install(stick.zip("1.1"))
    change = step_back(stick.root, "put aside", "1.0 fails", of=failed)
    assert (change.action, stick.in_force()) == ("install", "1.1")
    with ThreadPoolExecutor(1) as other, alone(bundles_folder(stick.root)):
        waiting = other.submit(step_back, stick.root, "rollback", "asked for")
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        assert stick.in_force() == "1.1"
    assert (waiting.result(10.0).action, stick.in_force()) == ("rollback", "1.0")


def test_a_pipe_on_the_stick_is_no_zip_and_is_not_waited_for(stick: Stick) -> None:
    os.mkfifo(stick.folder / "pipe.zip")
    with pytest.raises(ModelArchive, match="no file"):
        stick.install(stick.folder / "pipe.zip")
