"""Root works on another user's box as that user: what it makes is his, and no link of his leads root anywhere."""

from __future__ import annotations

import codecs
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kit.archives import LOOPBACK, free_port
from kit.dicom_samples import make_slice
from kit.sent_box import job_with_result
from kit.stick import Stick, made_stick, prove
from kit.tls import certificate_for_loopback
from kit.watch_box import Box, study
from scanside_appliance.backup.make import back_up
from scanside_appliance.backup.restore import restore
from scanside_appliance.bundles.record import bundles_folder
from scanside_appliance.cli.main import app
from scanside_appliance.clock import Clock
from scanside_appliance.doctor import model
from scanside_appliance.doctor.conditions import Examined, Health
from scanside_appliance.files import answering, owner
from scanside_appliance.files.layout import BoxLayout, BoxRoot, study_key
from scanside_appliance.files.owner import as_owner, as_root
from scanside_appliance.jobs import bundle_prover
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.referral.pseudonym import Pseudonyms
from scanside_appliance.service.housekeeping import Housekeeping
from scanside_runtime.errors import BoxFailed
from scanside_runtime.model.bundle import DEFAULT_BUNDLE, open_bundle
from scanside_runtime.model.errors import ModelKeyRights
from scanside_runtime.model.signature import new_key, trusted_keys
from scanside_runtime.settings.send import SendSettings
from scanside_runtime.settings.tables import BundleSettings, Settings
from sweeps.box import HERE, environment

USER = 12_345
COMMANDS = f"""
import json, os, sys
from functools import partial
from scanside_appliance.inbox import facts
facts.Prober = partial(facts.Prober, command=(sys.executable, "-S", {str(HERE / "fake_probe.py")!r}))
from scanside_appliance.cli.main import main
ended = []
for words in json.loads(sys.argv[1]):
    if not (child := os.fork()):
        sys.argv = ["scanside", *words]
        main()
    ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ended))
"""
WORKER = """
import os
from scanside_appliance.jobs import worker
class Told:
    def open():
        print(*os.getresuid(), *os.getresgid())
        raise SystemExit
worker.Channel = Told
worker.main()
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act for another user")
OPEN = all(one.stat().st_mode & stat.S_IXOTH for one in DEFAULT_BUNDLE.parents)
reads_own_bundle = pytest.mark.skipif(not OPEN, reason="this copy lies in a folder that other users may not enter")


def progress(*_: object) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where other users may look, too, which they may not in pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="owner-"))
    path.chmod(0o755)
    before = os.umask(0o022)
    yield path
    os.umask(before)
    shutil.rmtree(path)


@pytest.fixture
def measured(box: Box) -> Box:
    """With a study."""
    box.put(*study(1))
    box.run()
    return box


def give(folder: Path) -> Path:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
    return folder


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def python_of_others() -> str:
    """A Python of this version that other users may start, with these sources."""
    for one in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        with suppress(OSError):
            ask = [one, "-S", "-c", "import scanside_appliance.cli.main"]
            if not subprocess.run(ask, user=USER, env=environment(), capture_output=True, check=False).returncode:
                return one
    pytest.skip("no other user may start Python here, or read these sources")


def test_a_book_that_root_makes_anew_and_whatever_else_it_does_there_stays_the_box_s_users(
    folder: Path, measured: Box
) -> None:
    python = python_of_others()
    root = give(shutil.copytree(measured.root, folder / "box"))
    (root / "scanside.db").write_bytes(b"no book")
    commands = [["rebuild"], ["redo", study_key("1.2.1")], ["serve", "--set-password"]]
    done = subprocess.run(
        [python, "-S", "-c", COMMANDS, json.dumps([["--root", str(root), *one] for one in commands])],
        capture_output=True,
        text=True,
        input="a password that is long\n",
        env=environment(),
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [0, 0, 0], done.stdout + done.stderr
    made = {"scanside.db", "scanside.db.aside-1", "private"}
    assert made <= {path.name for path in root.iterdir()}
    assert owners(root) == {USER}


def test_what_the_owner_may_not_touch_root_does_not_touch_for_him_and_has_its_own_rights_afterwards(
    folder: Path,
) -> None:
    secret, box = folder / "secret", folder / "box"
    secret.write_text("root's")
    secret.chmod(0o600)
    box.mkdir()
    (box / "link").symlink_to(secret)
    give(box)
    before = (os.getegid(), os.getgroups())
    with as_owner(box):
        with pytest.raises(PermissionError):
            (box / "link").write_text("overwritten")
        with as_root():
            assert secret.read_text() == "root's"
        with pytest.raises(PermissionError):
            secret.read_text()
    assert (secret.read_text(), os.geteuid(), os.getegid(), os.getgroups()) == ("root's", 0, *before)


def test_a_worker_that_root_starts_as_the_owner_has_no_way_back_to_root(folder: Path) -> None:
    """It reads foreign pixels: what is only his effective user he could change back."""
    (folder / "box").mkdir()
    command = [python_of_others(), "-S", "-c", WORKER]
    with as_owner(give(folder / "box")):
        told = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True).stdout
    assert told.split() == [str(USER)] * 6


def test_a_backup_that_only_root_can_read_becomes_a_box_of_its_user(folder: Path, measured: Box) -> None:
    stick = folder / "stick"
    back_up(BoxLayout(measured.root), None, stick, progress)
    for path in (stick, *stick.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    (folder / "second").mkdir()
    restore(stick, BoxLayout(give(folder / "second")), progress)
    assert {"scanside.db", "archive", "results"} <= {path.name for path in (folder / "second").iterdir()}
    assert owners(folder / "second") == {USER}


@pytest.fixture
def box_with_a_link(folder: Path, measured: Box) -> Path:
    """A user's box whose book is a link to one that only root may read."""
    secret = shutil.copytree(measured.root, folder / "secret") / "scanside.db"
    secret.parent.chmod(0o700)
    root = give(shutil.copytree(measured.root, folder / "box"))
    (root / "scanside.db").unlink()
    (root / "scanside.db").symlink_to(secret)
    os.chown(root / "scanside.db", USER, USER, follow_symlinks=False)
    return root


def test_a_book_that_is_a_link_leads_a_backup_by_root_nowhere(folder: Path, box_with_a_link: Path) -> None:
    with pytest.raises(BoxFailed):
        back_up(BoxLayout(box_with_a_link), None, folder / "stick", progress)
    assert not (folder / "stick").exists()


def test_a_book_that_is_a_link_leads_root_who_sends_nowhere(box_with_a_link: Path) -> None:
    sending = pytest.importorskip("scanside_appliance.network.sending")
    with pytest.raises(BoxFailed):
        sending.Sending(box_with_a_link, SendSettings()).deliveries()


def test_root_backs_up_another_users_box_whose_book_stays_his(folder: Path, measured: Box) -> None:
    root = give(shutil.copytree(measured.root, folder / "box"))
    assert not back_up(BoxLayout(root), None, folder / "stick", progress).missing
    assert (owners(root), owners(folder / "stick")) == ({USER}, {0})


def test_links_in_another_users_box_lead_a_backup_by_root_to_nothing_that_is_root_s(
    folder: Path, measured: Box
) -> None:
    """A folder that is a link, and a file that becomes one after it was listed."""
    root, secret = give(shutil.copytree(measured.root, folder / "box")), folder / "secret"
    (secret / "below").mkdir(parents=True, mode=0o700)
    (secret / "below" / "key").write_text("root's")
    secret.chmod(0o700)
    (root / "severity").symlink_to(secret / "below")
    page = next(root.glob("results/*/*/*/result.json"))

    def swapped(_: str, number: int, __: int) -> None:
        if number == 1:
            page.unlink()
            page.symlink_to(secret / "below" / "key")

    done = back_up(BoxLayout(root), None, folder / "stick", swapped)
    assert str(page.relative_to(root)) in done.missing and "severity" in done.missing
    assert not [path for path in (folder / "stick").rglob("*") if path.is_file() and path.read_bytes() == b"root's"]


@pytest.mark.filterwarnings(
    # pynetdicom 3.0 leaves a socket that was refused to the garbage collector (transport.py, connect)
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
def test_root_sends_with_files_for_tls_that_only_it_can_read(folder: Path) -> None:
    sending = pytest.importorskip("scanside_appliance.network.sending")
    (folder / "result").mkdir()
    make_slice(1).save_as(folder / "result" / "sc_1.dcm", enforce_file_format=True)
    root = folder / "box"
    job_with_result(root, folder / "result")
    give(root)
    certificate, _ = certificate_for_loopback(folder / "tls")
    certificate.chmod(0o600)
    nobody = SendSettings(host=LOOPBACK, port=free_port(), called_ae="PACS", tls_ca=str(certificate))
    look_up_encodings()
    box = sending.Sending(root, nobody)
    assert box.send_waiting() == []  # what was there before the archive was set
    job_with_result(root, folder / "result", study="fedcba9876543210")
    give(root)
    (sent,) = box.send_waiting()
    assert sent["code"] == "BOX_SEND_UNREACHABLE"
    assert owners(root) == {USER}


def test_a_link_in_another_users_box_leads_a_restore_by_root_nowhere(folder: Path, measured: Box) -> None:
    back_up(BoxLayout(measured.root), None, folder / "stick", progress)
    (folder / "elsewhere").mkdir()
    (folder / "second").mkdir()
    (folder / "second" / "results").symlink_to(folder / "elsewhere")
    with pytest.raises(BoxRoot):
        restore(folder / "stick", BoxLayout(give(folder / "second")), progress)
    assert not list((folder / "elsewhere").iterdir())


def look_up_encodings() -> None:
    """Zipfile's, the boot id's and TLS's, where Python itself lies where that user may not look."""
    for name in ("cp437", "ascii", "idna"):
        codecs.lookup(name)


@reads_own_bundle
def test_a_bundle_that_root_installs_and_its_record_are_the_box_s_users(folder: Path) -> None:
    stick: Stick = made_stick(folder)
    stick.root.mkdir()
    give(stick.root)
    archive = stick.zip("1.0")
    archive.chmod(0o600)
    look_up_encodings()
    done = stick.install(archive)
    assert done.receipt is not None
    assert (bundles_folder(stick.root) / "changes.json").is_file()
    assert owners(stick.root) == {USER}


@reads_own_bundle
def test_a_bundle_is_installed_by_settings_that_only_root_can_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick: Stick = made_stick(folder)
    stick.root.mkdir()
    give(stick.root)
    settings = folder / "scanside.toml"
    settings.write_text(f'[bundles]\nkeys = "{stick.keys}"\n')
    settings.chmod(0o600)
    look_up_encodings()
    monkeypatch.setattr(bundle_prover, "prove_bundle", lambda _, bundle, __: prove(open_bundle(bundle)))
    box = ["--root", str(stick.root), "--settings", str(settings)]
    done = CliRunner().invoke(app, [*box, "bundle", "install", str(stick.zip("1.0"))])
    assert (done.exit_code, stick.in_force(), owners(stick.root)) == (0, "1.0", {USER}), done.output


@reads_own_bundle
def test_a_key_that_root_copied_and_the_box_s_user_can_t_read_is_told_with_the_command_that_mends_it(
    folder: Path,
) -> None:
    stick: Stick = made_stick(folder)
    stick.root.mkdir()
    give(stick.root)
    archive, key = stick.zip("1.0"), stick.keys / "maker.pem"
    key.chmod(0o600)
    look_up_encodings()
    with pytest.raises(ModelKeyRights) as told:
        stick.install(archive)
    assert f"{key} can't be read by the user {USER}" in told.value.message
    box = Examined(BoxLayout(stick.root), replace(Settings(), bundles=BundleSettings(keys=str(stick.keys))))
    looked = model.bundle(box)
    assert (looked.health, told.value.message in str(looked.found)) == (Health.caution, True)
    subprocess.run(told.value.message.split("`")[1], shell=True, check=True)
    assert stick.install(archive).signed_by == "maker"
    assert model.bundle(box).health == Health.good
    stick.keys.chmod(0o700)
    with as_owner(stick.root), pytest.raises(ModelKeyRights, match=f"chmod a.rx {stick.keys}"):
        stick.in_force()


@pytest.mark.parametrize(
    ("closed", "mode", "rights"),
    [("a", 0o700, "a+x"), ("a/b", 0o744, "a+x"), ("a/b/keys", 0o711, "a+rx"), ("a/b/keys", 0o744, "a+rx")],
)
def test_of_what_is_closed_on_the_way_to_a_key_the_first_is_opened_and_no_more_than_it_needs(
    folder: Path, closed: str, mode: int, rights: str
) -> None:
    keys = folder / "a" / "b" / "keys"
    keys.mkdir(parents=True)
    (keys / "maker.pem").write_bytes(new_key()[1])
    os.chown(folder, USER, USER)
    (folder / closed).chmod(mode)
    with as_owner(folder):
        (told,) = trusted_keys(keys).unusable
    assert told.values["command"] == f"chmod {rights} {folder / closed}"
    subprocess.run(str(told.values["command"]), shell=True, check=True)
    with as_owner(folder):
        assert [one.name for one in trusted_keys(keys).keys] == ["maker"]


def test_the_status_asks_for_the_rights_of_a_key_as_long_as_the_service_can_t_read_it(folder: Path) -> None:
    stick: Stick = made_stick(folder)
    key = stick.keys / "maker.pem"
    key.chmod(0o600)
    layout = BoxLayout(folder / "box")
    layout.make()
    settings = replace(Settings(), bundles=BundleSettings(keys=str(stick.keys)))
    give(layout.root)
    with as_owner(layout.root), Store(layout.database) as store:
        house = Housekeeping(layout, store, Clock(partial(next, count(0.0, 60.0))))
        house.look_after_care(settings)
        (asked,) = house.to_do
        assert f"chmod a+r {key}" in asked
        with as_root():
            key.chmod(0o644)
        house.look_after_care(settings)
        assert house.to_do == []


def test_a_link_in_another_users_box_leads_a_calibration_by_root_nowhere_and_its_model_is_the_user_s(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="the extra cohort is not installed")
    from kit.statistics_samples import write_exams

    table = write_exams(folder / "t.csv")
    table.chmod(0o600)
    (folder / "box").mkdir()
    (folder / "elsewhere").mkdir(mode=0o700)
    (folder / "box" / "severity").symlink_to(folder / "elsewhere")
    give(folder / "box")
    words = ["--root", str(folder / "box"), "cohort", "calibrate", str(table), "--label", "severe", "--resamples", "0"]
    with ExitStack() as this_long:  # the process is needed afterwards
        monkeypatch.setattr(owner, "become_owner", lambda root: this_long.enter_context(as_owner(root)))
        assert CliRunner().invoke(app, [*words, "--apply"]).exit_code
    assert (stat.S_IMODE((folder / "elsewhere").stat().st_mode), [*(folder / "elsewhere").iterdir()]) == (0o700, [])
    (folder / "box" / "severity").unlink()
    with ExitStack() as this_long:
        assert CliRunner().invoke(app, [*words, "--apply"]).exit_code == 0
    assert (folder / "box" / "severity" / "models.json").is_file()
    assert owners(folder / "box") == {USER}


def test_a_key_for_tls_that_only_root_can_read_is_read_and_what_is_received_is_the_users(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pynetdicom", reason="the extra dicom-network is not installed")
    certificate, key = certificate_for_loopback(folder / "tls")
    key.chmod(0o600)
    inbox = folder / "box" / "inbox"
    inbox.mkdir(parents=True)
    give(folder / "box")
    settings = folder / "scanside.toml"
    settings.write_text(
        f'[receive]\nport = {free_port()}\ncallers = ["CT1@{LOOPBACK}"]\nhost = "{LOOPBACK}"\n'
        f'tls_certificate = "{certificate}"\ntls_key = "{key}"\n'
    )
    monkeypatch.setattr(answering, "answers", lambda _: True)  # its child needs a Python that the user may start
    monkeypatch.setattr(signal, "sigwait", lambda _: None)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with ExitStack() as this_long:
        monkeypatch.setattr(owner, "become_owner", lambda root: this_long.enter_context(as_owner(root)))
        done = CliRunner().invoke(app, ["--root", str(folder / "box"), "--settings", str(settings), "receive"])
    assert (done.exit_code, [path.name for path in inbox.iterdir()]) == (0, ["received"]), done.exception
    assert owners(folder / "box") == {USER}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask  # whoever is started from here on can be ended


def test_the_key_of_pseudonyms_that_root_makes_is_the_box_s_users(folder: Path) -> None:
    (folder / "box").mkdir()
    Pseudonyms.of_box(BoxLayout(give(folder / "box")))
    assert (folder / "box" / "private" / "pseudonym.key").is_file()
    assert owners(folder / "box") == {USER}
