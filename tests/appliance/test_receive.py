"""What comes by the network is in the inbox, byte for byte, before the sender is told so; no stranger is let in."""

from __future__ import annotations

import errno
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, SecondaryCaptureImageStorage

from kit.archives import LOOPBACK, free_port, program
from kit.tls import certificate_for_loopback
from kit.watch_box import wait_for
from scanside_appliance.network.errors import BoxReceivePort, BoxReceiveTls, BoxReceiveUnset
from scanside_appliance.network.received import Receiver
from scanside_runtime.errors import SettingsUnusable
from scanside_runtime.settings.box import DiskSettings
from scanside_runtime.settings.receive import ReceiveSettings

pytest.importorskip("pynetdicom", reason="the extra dicom-network is not installed")

from pynetdicom.ae import ApplicationEntity  # the extra may be missing
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE

from kit.receiving import OUT_OF_RESOURCES, SUCCESS, Listener, box, files_of, sent
from scanside_appliance.network.scp import TRANSFER_SYNTAXES, listening
from sweeps.box import LONGEST_S


def test_an_object_is_in_the_inbox_as_it_was_sent_and_sent_twice_it_is_there_once(tmp_path: Path) -> None:
    (path,) = files_of(tmp_path / "scanner", 1)
    with box(tmp_path) as listener:
        for _ in range(2):
            association = listener.associate()
            assert sent(association, path) == SUCCESS
            association.release()
        (file,) = listener.files()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o2070) == (0o660, 0o2070)
    kept, original = pydicom.dcmread(file), pydicom.dcmread(path)
    assert kept == original and kept.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    assert file.read_bytes()[-len(original.PixelData) :] == original.PixelData


def test_an_object_whose_name_did_not_reach_the_disk_is_the_groups_and_is_safe_when_it_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, synced, sync = Receiver(tmp_path, DiskSettings(stop_percent=100.0)), [], os.fsync

    def failing_once(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            synced.append(handle)
            if len(synced) == 1:
                raise OSError(errno.EIO, "Input/output error")
        sync(handle)

    receiver.begin()
    monkeypatch.setattr("os.fsync", failing_once)
    with pytest.raises(OSError, match="Input/output error"):
        receiver.keep("1.2.3", b"an object")
    (file,) = receiver.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
    assert receiver.keep("1.2.3", b"an object") == file
    assert len(synced) == 2


def test_two_contents_under_one_uid_are_two_files(tmp_path: Path) -> None:
    (path,) = files_of(tmp_path / "scanner", 1)
    with box(tmp_path) as listener:
        association = listener.associate()
        sent(association, path)
        other = pydicom.dcmread(path)
        other.PatientName = "Other^Person"
        other.save_as(path)
        sent(association, path)
        association.release()
        assert len(listener.files()) == 2


def test_an_echo_is_answered(tmp_path: Path) -> None:
    with box(tmp_path) as listener:
        association = listener.associate()
        assert association.send_c_echo().Status == SUCCESS
        association.release()


def test_every_transfer_syntax_of_ct_is_taken_and_no_other_kind_of_object(tmp_path: Path) -> None:
    with box(tmp_path) as listener:
        for syntax in TRANSFER_SYNTAXES:
            association = listener.associate("CT1", "SCANSIDE", syntax)
            assert syntax in {str(one.transfer_syntax[0]) for one in association.accepted_contexts}
            association.release()
        entity = ApplicationEntity("CT1")
        entity.add_requested_context(SecondaryCaptureImageStorage, [ExplicitVRLittleEndian, JPEG2000Lossless])
        association = entity.associate(LOOPBACK, listener.settings.port, ae_title="SCANSIDE")
        assert not association.is_established or not association.accepted_contexts
        association.abort()


@pytest.mark.parametrize(
    ("calling", "called", "callers"),
    [
        ("STRANGER", "SCANSIDE", (f"CT1@{LOOPBACK}",)),
        ("CT1", "OTHERBOX", (f"CT1@{LOOPBACK}",)),
        ("CT1", "SCANSIDE", ("CT1@192.0.2.7",)),
        ("CT1", "SCANSIDE", ("CT1@192.0.2.7", f"CT2@{LOOPBACK}")),
    ],
)
def test_whoever_is_not_known_by_address_and_title_is_not_let_in(
    tmp_path: Path, calling: str, called: str, callers: tuple[str, ...]
) -> None:
    with box(tmp_path, callers=callers) as listener:
        association = listener.associate(calling, called)
        assert not association.is_established
        assert listener.files() == []


def test_an_association_that_breaks_off_leaves_whole_objects_and_nothing_else(tmp_path: Path) -> None:
    first, second = files_of(tmp_path / "scanner", 2)
    with box(tmp_path) as listener:
        association = listener.associate()
        assert sent(association, first) == SUCCESS
        association.abort()
        with socket.create_connection((LOOPBACK, listener.settings.port)) as rude:
            rude.sendall(b"\x01\x00\x00\x00\xff\xff" + second.read_bytes()[:400])
        time.sleep(0.3)
        again = listener.associate()
        assert sent(again, second) == SUCCESS
        again.release()
        assert len(listener.files()) == 2 and all(pydicom.dcmread(file) for file in listener.files())


@pytest.mark.parametrize("how", ["abort", "closed"])
def test_an_association_that_ends_in_the_middle_of_an_object_leaves_nothing_of_it(tmp_path: Path, how: str) -> None:
    (path,) = files_of(tmp_path / "scanner", 1)
    one = pydicom.dcmread(path)
    asked = C_STORE()
    asked.MessageID, asked.Priority = 1, 2
    asked.AffectedSOPClassUID, asked.AffectedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
    asked.DataSet = BytesIO(path.read_bytes())
    message = C_STORE_RQ()
    message.primitive_to_message(asked)
    with box(tmp_path) as listener:
        association = listener.associate()
        *begun, _ = message.encode_msg(association.accepted_contexts[0].context_id, 128)
        for part in begun:
            association.dul.send_pdu(part)
        wait_for(lambda: association.dul.to_provider_queue.empty())
        association.abort() if how == "abort" else association.dul.socket.close()
        again = listener.associate()
        assert listener.files() == []
        assert sent(again, path) == SUCCESS
        again.release()
        association.kill()
        assert len(listener.files()) == 1 and len(begun) > 4


def test_an_object_that_is_too_large_ends_its_association_and_the_next_is_taken(tmp_path: Path) -> None:
    (path,) = files_of(tmp_path / "scanner", 1)
    large = pydicom.dcmread(path)
    large.add_new(0x00091001, "OB", b"\0" * (3 * 2**20))
    large.add_new(0x00090010, "LO", "PADDING")
    large.save_as(tmp_path / "large.dcm")
    with box(tmp_path, max_object_mb=2) as listener:
        association = listener.associate()
        assert sent(association, tmp_path / "large.dcm") == -1
        assert listener.files() == []
        again = listener.associate()
        assert sent(again, path) == SUCCESS
        again.release()


def test_on_a_disk_that_is_nearly_full_the_sender_is_told_to_keep_it(tmp_path: Path) -> None:
    (path,) = files_of(tmp_path / "scanner", 1)
    with box(tmp_path, DiskSettings(stop_percent=0.0001, clean_to_percent=0.0)) as listener:
        association = listener.associate()
        assert sent(association, path) == OUT_OF_RESOURCES
        association.release()
        assert listener.files() == []


def test_a_disk_that_fails_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = files_of(tmp_path / "scanner", 1)

    def fails(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with box(tmp_path) as listener:
        monkeypatch.setattr("scanside_appliance.network.received.replace_file", fails)
        association = listener.associate()
        assert sent(association, path) == OUT_OF_RESOURCES
        association.release()
        assert listener.files() == []


def test_dcmtks_sender_at_four_associations_at_once_loses_nothing(tmp_path: Path) -> None:
    command = [program("storescu"), "-aet", "CT1", "-aec", "SCANSIDE", "+sd"]
    for part in range(4):
        files_of(tmp_path / "scanner" / str(part), 12, uid=f"1.2.{part}")
    with box(tmp_path) as listener:
        senders = [
            subprocess.Popen([*command, LOOPBACK, str(listener.settings.port), str(tmp_path / "scanner" / str(part))])
            for part in range(4)
        ]
        assert [sender.wait(LONGEST_S) for sender in senders] == [0, 0, 0, 0]
        uids = {str(pydicom.dcmread(file).SOPInstanceUID) for file in listener.files()}
    assert uids == {f"1.2.{part}.{number}" for part in range(4) for number in range(12)}


def test_dcmtks_sender_that_breaks_off_instead_of_saying_good_bye_has_sent_what_was_taken(tmp_path: Path) -> None:
    files = files_of(tmp_path / "scanner", 3, uid="1.2")
    with box(tmp_path) as listener:
        where = [LOOPBACK, str(listener.settings.port), *map(str, files)]
        titles = ["-aet", "CT1", "-aec", "SCANSIDE"]
        assert subprocess.run([program("storescu"), *titles, "--abort", *where], check=False).returncode == 0
        assert len(listener.files()) == 3 and not list(listener.inbox.rglob("*.part"))
        stranger = ["-aet", "CT2", "-aec", "SCANSIDE"]
        assert subprocess.run([program("storescu"), *stranger, *where], check=False).returncode != 0
        assert len(listener.files()) == 3


def test_what_a_receiver_that_was_killed_had_not_named_is_removed_at_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / "inbox" / "received" / ".half.dcm.1234.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    Receiver(tmp_path / "inbox", DiskSettings()).begin()
    assert not left.exists()


def test_without_callers_or_a_free_port_it_does_not_start(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path, DiskSettings())
    with pytest.raises(BoxReceiveUnset), listening(ReceiveSettings(), receiver):
        pass
    with box(tmp_path) as listener, pytest.raises(BoxReceivePort), listening(listener.settings, receiver):
        pass
    missing = replace(ReceiveSettings(), callers=("CT1@10.0.0.1",), tls_certificate="/no.pem", tls_key="/no.key")
    with pytest.raises(BoxReceiveTls), listening(replace(missing, port=free_port()), receiver):
        pass


@pytest.mark.parametrize(
    "values",
    [{"callers": ("CT1",)}, {"callers": ("@1.2.3.4",)}, {"ae_title": "A" * 17}, {"tls_key": "k"}, {"tls_ca": "c"}],
)
def test_settings_that_can_t_be_meant_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsUnusable, match=r"receive\."):
        ReceiveSettings(**values)


def test_the_command_listens_until_it_is_told_to_end(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "box" / "inbox").mkdir(parents=True)
    settings = tmp_path / "scanside.toml"
    settings.write_text(f'[receive]\nport = {port}\ncallers = ["CT1@{LOOPBACK}"]\n')
    arguments = ["--root", str(tmp_path / "box"), "--settings", str(settings), "receive"]
    start = f"import sys; from scanside_appliance.cli.main import main; sys.argv[1:] = {arguments!r}; main()"
    with subprocess.Popen([sys.executable, "-c", start], stderr=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(LONGEST_S, process.kill)
        watchdog.start()
        assert process.stderr is not None and "listens at" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        watchdog.cancel()


def test_where_no_service_may_set_the_groups_bit_it_receives_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = os.chmod

    def restricted(path: Any, mode: int, **named: Any) -> None:
        """As RestrictSUIDSGID= of the unit does."""
        if mode & 0o6000:
            raise PermissionError(1, "Operation not permitted")
        change(path, mode, **named)

    monkeypatch.setattr(os, "chmod", restricted)
    Receiver(tmp_path, DiskSettings()).begin()
    assert (tmp_path / "received").is_dir()


def test_without_an_inbox_it_ends_as_the_box_s_trouble(tmp_path: Path) -> None:
    settings = tmp_path / "scanside.toml"
    settings.write_text(f'[receive]\nport = {free_port()}\ncallers = ["CT1@{LOOPBACK}"]\n')
    arguments = ["--root", str(tmp_path), "--settings", str(settings), "receive"]
    start = f"import sys; from scanside_appliance.cli.main import main; sys.argv[1:] = {arguments!r}; main()"
    told = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=False)
    assert (told.returncode, "BOX_INBOX" in told.stderr) == (5, True), told.stderr


def test_a_unit_of_the_protocol_that_says_it_is_endless_is_not_waited_for(tmp_path: Path) -> None:
    with box(tmp_path) as listener, socket.create_connection((LOOPBACK, listener.settings.port), 30.0) as line:
        line.sendall(b"\x01\x00\xff\xff\xff\xff")
        line.settimeout(5.0)
        assert line.recv(64)[:1] in (b"", b"\x07")
        association = listener.associate()
        assert association.send_c_echo().Status == SUCCESS
        association.release()


@pytest.mark.parametrize("begun", [b"\x01\x00\x00", b"\x01\x00\x00\x00\x10\x00" + b"x" * 10])
def test_a_sender_that_is_gone_in_the_middle_keeps_no_association(tmp_path: Path, begun: bytes) -> None:
    """As one whose power went, or one that drips: nobody says that the line is closed."""
    with box(tmp_path, idle_s=0.5, associations=1) as listener:
        with socket.create_connection((LOOPBACK, listener.settings.port), LONGEST_S) as line:
            line.sendall(begun)
            assert line.recv(64)[:1] in (b"", b"\x07")
        wait_for(lambda: is_answered(listener))


def is_answered(listener: Listener) -> bool:
    association = listener.associate()
    try:
        return association.is_established and association.send_c_echo().get("Status") == SUCCESS
    finally:
        association.release()


def test_who_says_nothing_to_a_receiver_with_tls_keeps_nobody_out(tmp_path: Path) -> None:
    certificate, key = certificate_for_loopback(tmp_path / "tls")
    (path,) = files_of(tmp_path / "scanner", 1)
    trusted = ssl.create_default_context(cafile=str(certificate))
    with box(tmp_path, tls_certificate=str(certificate), tls_key=str(key)) as listener:
        with socket.create_connection((LOOPBACK, listener.settings.port)):
            entity = ApplicationEntity("CT1")
            entity.acse_timeout = entity.connection_timeout = 20.0
            entity.add_requested_context(CTImageStorage, [ExplicitVRLittleEndian])
            where = (LOOPBACK, listener.settings.port)
            association = entity.associate(*where, ae_title="SCANSIDE", tls_args=(trusted, LOOPBACK))
            assert association.is_established
            assert sent(association, path) == SUCCESS
            association.release()
        plain = listener.associate()
        assert not plain.is_established
        assert len(listener.files()) == 1
