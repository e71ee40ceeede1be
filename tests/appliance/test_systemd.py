"""The units: systemd accepts them, and they say what the program needs."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scanside_appliance.doctor.work import UNITS as DOCTOR_LOOKS_FOR
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.serve.password import FILE as PASSWORD_FILE
from scanside_appliance.serve.password import set_password
from scanside_appliance.service.signals import STOP_S
from scanside_runtime.errors import BoxFailed, ModelUnusable, ScansideError
from scanside_runtime.settings.box import JobSettings
from scanside_runtime.settings.load import load_settings
from scanside_runtime.settings.serve import LOCAL_NETWORKS, THIS_MACHINE

UNITS = Path(__file__).parents[2] / "systemd"
SERVICE = UNITS / "scanside-watch.service"
ALL = sorted(one for one in UNITS.iterdir() if one.suffix in (".service", ".timer", ".target"))


@pytest.fixture
def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys as they are written
    parser.read(SERVICE)
    return parser["Service"]


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not here")
    program = tmp_path / "scanside"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in ALL:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/scanside/current/bin/scanside", str(program)))
    units = [str(tmp_path / unit.name) for unit in ALL]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False, timeout=300
    )
    complaints = [line for line in done.stderr.splitlines() if "scanside" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


@pytest.mark.parametrize("unit", [one for one in ALL if one.suffix == ".service"], ids=lambda one: one.name)
def test_what_a_service_may_do_is_little(unit: Path) -> None:
    """`systemd-analyze security` weighs what is open from 0 to 10."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not here")
    look = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)]
    done = subprocess.run(look, capture_output=True, text=True, check=False, timeout=300)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd does not look at files")
    assert done.returncode == 0, done.stdout


def test_all_units_belong_to_one_target_that_starts_with_the_machine() -> None:
    target = (UNITS / "scanside.target").read_text()
    assert "WantedBy=multi-user.target" in target
    for unit in ALL:
        text = unit.read_text()
        if unit.suffix == ".timer":
            assert "Persistent=yes" in text and unit.with_suffix(".service") in ALL
        if "[Install]" in text and unit.name != "scanside.target":
            assert "WantedBy=scanside.target" in text and "PartOf=scanside.target" in text


def test_the_installer_enables_what_the_doctor_looks_for() -> None:
    script = (UNITS / "install.sh").read_text()
    enabled = script.partition('enabled="')[2].partition('"')[0].replace("$unit", SERVICE.name).split()
    assert sorted(enabled) == sorted(DOCTOR_LOOKS_FOR)


def test_the_service_leaves_its_readers_the_calls_that_lock_them_in(service: configparser.SectionProxy) -> None:
    assert {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"} <= set(
        SERVICE.read_text().partition("SystemCallFilter=@system-service ")[2].splitlines()[0].split()
    )
    assert "MemoryDenyWriteExecute" not in service  # OpenVINO writes the code that it runs


@pytest.mark.parametrize(
    ("program", "file"),
    [("systemd-tmpfiles", "scanside.tmpfiles.conf"), ("systemd-sysusers", "scanside.sysusers.conf")],
)
def test_systemd_makes_users_and_folders_of_the_rules(tmp_path: Path, program: str, file: str) -> None:
    if shutil.which(program) is None or os.geteuid() != 0:
        pytest.skip(f"{program} is not here, or this is not root")
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", tmp_path / "etc" / name)
    if program == "systemd-tmpfiles":
        make_users(tmp_path)
    done = subprocess.run(made_by(program, tmp_path, file), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if program == "systemd-tmpfiles":
        made = {path.name for path in (tmp_path / "var/lib/scanside").iterdir()}
        assert {"inbox", "work", "archive", "quarantine", "results"} <= made
        assert (tmp_path / "var/lib/scanside/inbox").stat().st_mode & 0o7777 == 0o2770
    else:
        assert "scanside:" in (tmp_path / "etc" / "passwd").read_text()


def made_by(program: str, root: Path, file: str) -> list[str]:
    create = ["--create"] if program == "systemd-tmpfiles" else []
    return [program, *create, f"--root={root}", str(UNITS / file)]


def make_users(root: Path) -> None:
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("systemd-sysusers is not here")
    subprocess.run(made_by("systemd-sysusers", root, "scanside.sysusers.conf"), check=True, capture_output=True)


def test_the_service_leaves_the_worker_its_memory_and_the_daemon_its_time(service: configparser.SectionProxy) -> None:
    assert service["MemoryMax"] == "5G"
    assert service["OOMPolicy"] == "continue"
    assert JobSettings().memory_limit_mb <= 4096 - 512
    assert int(service["TimeoutStopSec"].removesuffix("s")) > STOP_S


def test_the_service_writes_below_its_own_folder_alone_and_has_no_network(service: configparser.SectionProxy) -> None:
    assert Path(service["ReadWritePaths"]) == BoxLayout(Path("/var/lib/scanside")).root
    assert (service["PrivateNetwork"], service["RestrictAddressFamilies"]) == ("yes", "AF_UNIX")
    assert (service["Type"], service["User"], service["UMask"]) == ("notify", "scanside", "0027")


def test_what_trying_again_does_not_mend_is_not_tried_again_and_a_crash_not_for_ever(
    service: configparser.SectionProxy,
) -> None:
    wrong_usage = 2
    codes = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert (service["Restart"], codes) == ("always", {wrong_usage, ModelUnusable.exit_code})
    assert not {BoxFailed.exit_code, ScansideError.exit_code} & codes
    assert re.search(r"^StartLimitBurst=\d+$", SERVICE.read_text(), re.MULTILINE)


def test_the_example_settings_are_valid() -> None:
    assert load_settings(UNITS / "scanside.toml").inbox.quiet_s == 120.0


def test_who_shows_results_can_write_nothing_and_is_called_by_private_networks_alone() -> None:
    text = (UNITS / "scanside-serve.service").read_text()
    unit = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    assert (unit["ProtectSystem"], unit["IPAddressDeny"]) == ("strict", "any")
    assert "ReadWritePaths" not in unit and "BindPaths" not in unit
    allowed = {name: name for name in unit["IPAddressAllow"].split()}
    for name, networks in (("localhost", THIS_MACHINE), ("link-local", ("169.254.0.0/16", "fe80::/10"))):
        allowed |= dict.fromkeys(networks, allowed.pop(name))
    assert allowed.keys() == {*LOCAL_NETWORKS}


def test_who_shows_results_sees_of_the_box_results_and_a_folder_with_the_password_alone(tmp_path: Path) -> None:
    text, layout = (UNITS / "scanside-serve.service").read_text(), BoxLayout(Path("/var/lib/scanside"))
    said = {
        option: " ".join(re.findall(rf"^{option}=(.*)$", text, re.MULTILINE)).split()
        for option in ("TemporaryFileSystem", "BindReadOnlyPaths", "InaccessiblePaths")
    }
    assert said["TemporaryFileSystem"] == [f"{layout.root}:ro"]  # nothing of it is there but what is bound into it
    assert said["BindReadOnlyPaths"] == [str(layout.results), f"-{(layout.private / PASSWORD_FILE).parent}"]
    assert said["InaccessiblePaths"] == [f"-{layout.unfinished}"]
    box = BoxLayout(tmp_path)
    set_password(box, "one of ten letters")
    assert [path.name for path in (box.private / PASSWORD_FILE).parent.iterdir()] == [PASSWORD_FILE.name]


def test_what_opens_the_way_to_an_archive_opens_what_the_service_shuts_and_nothing_else(
    service: configparser.SectionProxy,
) -> None:
    opened = configparser.ConfigParser(interpolation=None)
    opened.optionxform = str  # type: ignore[assignment,method-assign]  # keys as they are written
    opened.read(UNITS / "scanside-watch-send.conf")
    (section,) = opened.sections()
    way = dict(opened[section])
    assert section == "Service"
    assert way.pop("IPAddressAllow") == "192.0.2.10"
    assert way == {
        "PrivateNetwork": "no", "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6", "IPAddressDeny": "any",
    }  # fmt: skip
    assert set(way) <= set(service)
