"""What the doctor sees: each thing that can ail a box is made to ail it, and is named with what to do."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from kit.selftest_samples import write_bundle_with_sample
from scanside_appliance.bundles.record import BundleChange, put_in_force
from scanside_appliance.cli.main import app
from scanside_appliance.clock import Clock
from scanside_appliance.doctor import folders, machine, model, network, work
from scanside_appliance.doctor.conditions import Condition, Examined, Health
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_runtime.process.cell import CellStrength
from scanside_runtime.settings.box import DiskSettings, JobSettings
from scanside_runtime.settings.serve import ServeSettings
from scanside_runtime.settings.tables import BundleSettings, Settings

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def box(tmp_path: Path) -> Examined:
    """A box that was started once and has measured one study."""
    layout = BoxLayout(tmp_path / "box")
    layout.make()
    layout.inbox.chmod(0o2770)
    with Store(layout.database) as store:
        store.add_job(
            State.done, "2026-11-01T10:00:00", study="a" * 16, verdict="analysed", finished_at="2026-11-01T10:01:00"
        )
    (tmp_path / "fstab").write_text("")
    return Examined(layout, Settings(), fstab=tmp_path / "fstab", systemctl="/nowhere/systemctl")


def a_full_disk(box: Examined, patch: pytest.MonkeyPatch) -> Condition:
    patch.setattr("shutil.disk_usage", lambda _: Usage(100, 95, 5))
    return machine.disk(box)


def a_disk_that_is_nearly_full(box: Examined, patch: pytest.MonkeyPatch) -> Condition:
    patch.setattr("shutil.disk_usage", lambda _: Usage(100, 85, 15))
    return machine.disk(replace(box, settings=Settings(disk=DiskSettings(stop_percent=90.0))))


def no_inodes(box: Examined, patch: pytest.MonkeyPatch) -> Condition:
    real = os.statvfs(box.layout.root)
    full = namedtuple("Full", "f_files f_favail")(real.f_files or 1000, 1)
    patch.setattr("os.statvfs", lambda _: full)
    return machine.inodes(box)


def a_kernel_without_landlock(box: Examined, patch: pytest.MonkeyPatch) -> Condition:
    patch.setattr(machine, "cell_strength", lambda: CellStrength(0, True))
    return machine.cell(box)


def a_clock_of_before_the_software(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return machine.clock(replace(box, clock=Clock(wall=lambda: 0.0)), None)


def a_clock_of_before_the_last_study(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return machine.clock(box, "2099-01-01T00:00:00")


def less_memory_than_an_analysis_may_take(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return machine.memory(replace(box, settings=Settings(jobs=JobSettings(memory_limit_mb=1_000_000))))


def an_inbox_that_everybody_may_write(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    box.layout.inbox.chmod(0o2777)
    return folders.inbox(box)


def an_inbox_whose_group_is_not_handed_on(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    box.layout.inbox.chmod(0o0770)
    return folders.inbox(box)


def a_root_on_a_disk_that_was_mounted_read_only(box: Examined, monkeypatch: pytest.MonkeyPatch) -> Condition:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    return folders.root(box)


def an_inbox_that_is_gone(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    box.layout.inbox.rmdir()
    return folders.inbox(box)


def a_share_that_is_not_mounted(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    box.fstab.write_text(f"# shares\n//scanner/export {box.layout.inbox} cifs ro 0 0\nUUID=1 / ext4 errors=ro 0 1\n")
    return folders.mounts(box)


def a_bundle_whose_key_is_not_trusted(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    folder = box.layout.root / "bundles" / "0123456789abcdef"
    write_bundle_with_sample(folder)
    (folder / "manifest.sig").write_text("no signature")
    put_in_force(box.layout.root, BundleChange("2026-11-01", "install", folder.name, None, "tiny 1", "signed"))
    return model.bundle(box)


def a_bundle_that_was_put_aside(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    put_in_force(
        box.layout.root, BundleChange("2026-11-01", "put aside", None, "0123456789abcdef", "own", "too far off")
    )
    return model.bundle(box)


def a_book_that_is_damaged(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    box.layout.database.write_bytes(b"no database" * 1000)
    return work.book(box, work.read_book(box))


def studies_in_a_book_that_is_damaged(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    box.layout.database.write_bytes(b"no database" * 1000)
    return work.studies(box, work.read_book(box))


def studies_put_aside_in_a_book_that_is_damaged(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    box.layout.database.write_bytes(b"no database" * 1000)
    return work.failures(box, work.read_book(box))


def a_daemon_that_does_not_run(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return work.running(box)


def a_system_that_does_not_start_it(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return work.unit(box)


def a_container_without_systemd(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return work.unit(with_systemctl(box, "echo 'System has not been booted with systemd as init system' >&2\nexit 1\n"))


def a_box_that_was_never_installed_as_a_service(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    unknown = "UnitFileState=\nActiveState=inactive\nSubState=dead"
    return work.unit(with_systemctl(box, told([unknown] * len((*work.UNITS, *work.MAYBE)))))


def with_systemctl(box: Examined, commands: str) -> Examined:
    program = box.fstab.with_name("systemctl")
    program.write_text(f"#!/bin/sh\n{commands}")
    program.chmod(0o755)
    return replace(box, systemctl=str(program))


def told(blocks: Sequence[str]) -> str:
    return "cat <<'END'\n" + "\n".join(one.strip() + "\n" for one in blocks) + "END\n"


def systemctl_that_says(box: Examined, watch: str, receive: str = "UnitFileState=disabled") -> Examined:
    fine = "UnitFileState=enabled\nActiveState=active\n"
    return with_systemctl(box, told((watch, fine, fine, receive, "UnitFileState=disabled\n")))


def a_service_that_the_system_has_given_up(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return work.unit(systemctl_that_says(box, "UnitFileState=enabled\nActiveState=failed\nSubState=failed"))


def a_receiver_that_ends_again_and_again(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    again = "UnitFileState=enabled\nActiveState=activating\nSubState=auto-restart"
    return work.unit(systemctl_that_says(box, "UnitFileState=enabled\nActiveState=active", again))


def a_service_that_does_not_start_with_the_machine(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return work.unit(systemctl_that_says(box, "UnitFileState=disabled\nActiveState=active\nSubState=running"))


def a_book_of_another_user(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    os.chown(box.layout.database, 12_345, 12_345)
    return folders.root(box)


def a_key_of_another_user(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return with_a_file_of_another_user(box, "private", "pseudonym.key")


def a_severity_model_of_another_user(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return with_a_file_of_another_user(box, "severity", "models.json")


def with_a_file_of_another_user(box: Examined, folder: str, name: str) -> Condition:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    (box.layout.root / folder).mkdir(exist_ok=True)
    (box.layout.root / folder / name).touch()
    os.chown(box.layout.root / folder / name, 12_345, 12_345)
    return folders.root(box)


def no_backup(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return work.backup(box)


def a_backup_of_last_year(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    box.layout.last_backup.write_text('{"at": "2025-11-01T10:00:00+00:00", "target": "/stick", "files": 12}')
    return work.backup(replace(box, clock=Clock(wall=lambda: datetime(2026, 11, 1, 10, tzinfo=UTC).timestamp())))


def a_backup_of_next_year(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    box.layout.last_backup.write_text('{"at": "2027-11-01T10:00:00+00:00", "target": "/stick", "files": 12}')
    return work.backup(replace(box, clock=Clock(wall=lambda: datetime(2026, 11, 1, 10, tzinfo=UTC).timestamp())))


def a_study_that_was_put_aside(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    with Store(box.layout.database) as store:
        store.add_job(State.quarantined, "2026-11-02T10:00:00", study="b" * 16, code="BOX_ANALYSIS_DIED")
    return work.failures(box, work.read_book(box))


def a_study_that_waits_for_a_person(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    with Store(box.layout.database) as store:
        store.add_job(State.held, "2026-11-02T10:00:00", study="b" * 16, code="PATIENT_MIXED")
    return work.studies(box, work.read_book(box))


def results_for_other_machines_that_nobody_may_show(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    return network.shown(replace(box, settings=Settings(serve=ServeSettings(host="0.0.0.0"))))


def results_that_cross_the_network_in_the_clear(box: Examined, _: pytest.MonkeyPatch) -> Condition:
    settings = Settings(serve=ServeSettings(host="192.168.1.5", insecure_network=True))
    return network.shown(replace(box, settings=settings))


AILMENTS: dict[Callable[[Examined, pytest.MonkeyPatch], Condition], tuple[Health, str]] = {
    a_full_disk: (Health.bad, "nothing more is taken in"),
    a_disk_that_is_nearly_full: (Health.caution, "taking ends at 90 %"),
    no_inodes: (Health.bad, "room for 1 more"),
    a_kernel_without_landlock: (Health.caution, "no Landlock"),
    a_clock_of_before_the_software: (Health.bad, "before this software was made"),
    a_clock_of_before_the_last_study: (Health.bad, "before the last study"),
    less_memory_than_an_analysis_may_take: (Health.caution, "1000000 MB"),
    an_inbox_that_everybody_may_write: (Health.bad, "everybody may write"),
    an_inbox_whose_group_is_not_handed_on: (Health.caution, "not handed on"),
    a_root_on_a_disk_that_was_mounted_read_only: (Health.bad, "Read-only file system"),
    an_inbox_that_is_gone: (Health.bad, "No such file"),
    a_share_that_is_not_mounted: (Health.bad, "not mounted"),
    a_bundle_whose_key_is_not_trusted: (Health.bad, "MODEL_UNTRUSTED"),
    a_bundle_that_was_put_aside: (Health.caution, "too far off"),
    a_book_that_is_damaged: (Health.bad, "BOX_DATABASE"),
    studies_in_a_book_that_is_damaged: (Health.caution, "not known"),
    studies_put_aside_in_a_book_that_is_damaged: (Health.caution, "not known"),
    a_daemon_that_does_not_run: (Health.caution, "does not run"),
    a_system_that_does_not_start_it: (Health.caution, "systemd does not answer"),
    a_container_without_systemd: (Health.caution, "systemd does not answer"),
    a_box_that_was_never_installed_as_a_service: (Health.caution, "no service of this system"),
    a_service_that_the_system_has_given_up: (Health.bad, "scanside-watch.service: it ended again and again"),
    a_receiver_that_ends_again_and_again: (Health.bad, "scanside-receive.service: it ended again and again"),
    a_service_that_does_not_start_with_the_machine: (Health.caution, "scanside-watch.service: disabled"),
    a_book_of_another_user: (Health.bad, "scanside.db belong to another user"),
    a_key_of_another_user: (Health.bad, "private belong to another user"),
    a_severity_model_of_another_user: (Health.bad, "severity belong to another user"),
    no_backup: (Health.caution, "none was ever made"),
    a_backup_of_last_year: (Health.caution, "12 files to /stick, 365 days ago"),
    a_backup_of_next_year: (Health.caution, "dated 2027-11-01, which is to come"),
    a_study_that_was_put_aside: (Health.caution, "BOX_ANALYSIS_DIED"),
    a_study_that_waits_for_a_person: (Health.caution, "1 wait for a person"),
    results_for_other_machines_that_nobody_may_show: (Health.caution, "BOX_SERVE_OPEN"),
    results_that_cross_the_network_in_the_clear: (Health.caution, "192.168.1.5:8040, without TLS"),
}


@pytest.mark.parametrize("ail", AILMENTS, ids=lambda ail: ail.__name__)
def test_what_ails_a_box_is_named_with_what_to_do(
    ail: Callable[[Examined, pytest.MonkeyPatch], Condition], box: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    health, words = AILMENTS[ail]
    found = ail(box, monkeypatch)
    assert (found.health, words in str(found.found)) == (health, True), found
    assert found.advice


def test_a_root_that_is_not_there_may_be_one_before_its_first_start(
    box: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = replace(box, layout=BoxLayout(box.layout.root / "new"))
    for look in (machine.disk, machine.inodes):
        assert str(look(new).advice).startswith("Is this the first start? Run the release's install.sh")
    broken = OSError(5, "Input/output error")
    monkeypatch.setattr("shutil.disk_usage", lambda _: (_ for _ in ()).throw(broken))
    assert str(machine.disk(box).advice) == "Check that the disk is mounted."


def test_a_box_that_is_well_is_said_to_be(box: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(100, 20, 80))
    book = work.read_book(box)
    looks = [
        *(machine.disk(box), machine.inodes(box), machine.memory(box), machine.clock(box, "2026-11-01T10:01:00")),
        *(folders.root(box), folders.inbox(box), folders.mounts(box), model.bundle(box)),
        *(work.book(box, book), work.studies(box, book), work.failures(box, book), work.configuration(box)),
    ]
    assert {one.subject for one in looks if one.health is not Health.good} == set()
    assert not any(one.advice for one in looks)


def test_settings_that_are_not_the_default_are_listed_with_where_they_come_from(box: Examined) -> None:
    file = box.layout.root / "scanside.toml"
    changed = replace(box, settings_file=file, settings=Settings(bundles=BundleSettings(keys="/keys")))
    assert str(work.configuration(changed).found) == f"{file}; bundles.keys = /keys"


def run(box: Examined, *arguments: str, settings: str = "") -> Any:
    file = box.layout.root / "scanside.toml"
    file.write_text(settings)
    return CliRunner().invoke(app, ["--root", str(box.layout.root), "--settings", str(file), "doctor", *arguments])


def test_the_command_tells_all_in_a_document_and_ends_with_5_where_something_is_bad(
    box: Examined, request: pytest.FixtureRequest
) -> None:
    well = run(box, "--json")
    document = json.loads(well.stdout)
    assert (well.exit_code, document["schema"], document["health"]) == (0, "scanside.doctor/1", "caution")
    assert {"disk", "clock", "bundle", "self-test", "watch"} <= {one["subject"] for one in document["conditions"]}
    request.getfixturevalue("no_selftest")
    box.layout.inbox.chmod(0o777)
    ill = run(box)
    assert (ill.exit_code, bool(re.search(r"^BAD +inbox ", ill.stdout, re.MULTILINE))) == (5, True)


@pytest.mark.usefixtures("no_selftest")
def test_what_is_shown_to_other_machines_has_a_line_of_its_own_and_what_is_shown_to_none_has_not(
    box: Examined,
) -> None:
    own = run(box, "--json", settings="[serve]\nport = 8041\n")
    other = run(box, "--json", settings='[serve]\nhost = "0.0.0.0"\ntls_certificate = "a.pem"\ntls_key = "a.key"\n')
    lines = [
        [(one["health"], one["found"]) for one in json.loads(shown.stdout)["conditions"] if one["subject"] == "serve"]
        for shown in (own, other)
    ]
    assert lines == [[], [("good", "0.0.0.0:8040, with TLS")]]


@pytest.mark.usefixtures("no_selftest")
def test_settings_that_can_t_be_used_do_not_keep_it_from_looking_at_the_rest(box: Examined) -> None:
    found = run(box, settings="[inbox]\nquiet = 3\n")
    assert found.exit_code == 5
    assert re.search(r"^BAD +settings +BOX_SETTINGS", found.stdout, re.MULTILINE)
    assert re.search(r"^ok +bundle ", found.stdout, re.MULTILINE)


@pytest.mark.usefixtures("no_selftest")
def test_the_support_file_holds_nothing_of_a_patient(box: Examined) -> None:
    with Store(box.layout.database) as store:
        job = store.add_job(State.held, "2026-11-02", study="c" * 16, code="PATIENT_MIXED", reason="MUSTERMANN^ERIKA")
        assert job.reason == "MUSTERMANN^ERIKA"
    secrets = ("c" * 16, "a" * 16, "MUSTERMANN", "P-4711")
    box.layout.status.write_text(
        json.dumps({"analysing": "a" * 16, "headline": "P-4711", "waiting": [{"study": "MUSTERMANN"}]})
    )
    file = box.layout.root / "support.zip"
    run(box, "--support", str(file))
    with zipfile.ZipFile(file) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
        assert {"doctor.json", "settings.json", "software.json"} <= set(archive.namelist())
    assert not [secret for secret in secrets if secret.encode() in content]
