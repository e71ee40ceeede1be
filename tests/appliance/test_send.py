"""Results reach an archive whole, once, and on record; an archive that is away, refuses or promises is told apart."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from kit.analysis_samples import analysed
from kit.archives import LOOPBACK, free_port, orthanc, peer, send_settings, slow_line, storescp
from kit.sent_box import job_with_result
from kit.tls import certificate_for_loopback
from scanside_appliance.cli import main as cli
from scanside_appliance.results.output import write_output
from scanside_runtime.settings.send import SendSettings
from sweeps.box import LONGEST_S, environment

pytest.importorskip("pynetdicom", reason="the extra dicom-network is not installed")

from pynetdicom import evt  # the extra may be missing

from scanside_appliance.network.errors import BoxSendUnreachable
from scanside_appliance.network.scu import echo
from scanside_appliance.network.weighed import MOST_ANSWER_BYTES, answers_weighed

DUPLICATE, OUT_OF_RESOURCES, CANNOT_UNDERSTAND, COERCED = 0x0111, 0xA700, 0xC000, 0xB000


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result")
    write_output(analysed(folder / "source"), folder / "out")
    return folder / "out"


def objects_in(folder: Path) -> dict[str, pydicom.Dataset]:
    return {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, sorted(folder.glob("*.dcm")))}


def scanside(root: Path, settings: SendSettings, *arguments: str) -> Any:
    file = root / "settings.toml"
    values = {name: getattr(settings, name) for name in SendSettings.__slots__}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    file.write_text("\n".join(["[send]", *lines]))
    return CliRunner().invoke(cli.app, ["--root", str(root), "--settings", str(file), *arguments])


def differing(one: pydicom.Dataset, other: pydicom.Dataset) -> list[str]:
    """The elements, pixels too, that only one of both has, or that are not the same in both."""
    return [str(tag) for tag in sorted({*one.keys(), *other.keys()}) if one.get(tag) != other.get(tag)]


def test_dcmtks_archive_has_every_object_whole_and_once(result: Path, tmp_path: Path) -> None:
    port = free_port()
    with storescp(tmp_path / "archive", port) as files:
        for _ in range(2):
            done = scanside(tmp_path, send_settings(port), "send", str(result), "--json")
            assert done.exit_code == 0, done.output
        kept = {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, files())}
    assert len(kept) == 9
    sent = objects_in(result)
    assert set(json.loads(done.output)[0]["objects"].values()) == set(sent) == set(kept)
    assert not {uid: tags for uid, one in sent.items() if (tags := differing(kept[uid], one))}


def test_orthanc_has_every_object_whole_and_once_and_promises_to_keep_it(result: Path, tmp_path: Path) -> None:
    port, promises = free_port(), free_port()
    settings = send_settings(port, commitment_s=120.0, commitment_port=promises)
    root = box_with_result(tmp_path / "box", result)
    with orthanc(tmp_path / "orthanc", port, promises) as archive:
        for _ in range(2):
            done = scanside(root, settings, "send", "last", "--json")
            assert done.exit_code == 0, done.output
        kept = archive.objects()
    assert json.loads(done.output)[0]["state"] == "committed"
    sent = objects_in(result)
    assert set(kept) == set(sent)
    for uid, one in sent.items():
        assert (kept[uid].StudyInstanceUID, kept[uid].PatientName) == (one.StudyInstanceUID, one.PatientName)
        assert "PixelData" not in one or np.array_equal(kept[uid].pixel_array, one.pixel_array)


def box_with_result(root: Path, result: Path) -> Path:
    """A box whose book has one job, with this result."""
    job_with_result(root, result)
    return root


def test_what_was_sent_is_on_record(result: Path, tmp_path: Path) -> None:
    port = free_port()
    root = box_with_result(tmp_path / "box", result)
    with peer(port):
        assert scanside(root, send_settings(port), "send", "P-17").exit_code == 0
    (delivery,) = json.loads(scanside(root, send_settings(port), "send", "--list", "--json").output)
    assert (delivery["state"], delivery["revision"], delivery["attempts"]) == ("sent", 1, 1)
    assert set(delivery["objects"].values()) == set(objects_in(result))


@pytest.mark.parametrize("status", [DUPLICATE, COERCED])
def test_what_the_archive_has_already_or_coerces_is_there(result: Path, tmp_path: Path, status: int) -> None:
    port = free_port()
    with peer(port, status=status) as archive:
        assert scanside(tmp_path, send_settings(port), "send", str(result)).exit_code == 0
    assert len(archive.stored) == 9


def test_an_archive_that_is_away_is_said_and_tried_again(result: Path, tmp_path: Path) -> None:
    port = free_port()
    root = box_with_result(tmp_path / "box", result)
    done = scanside(root, send_settings(port), "send", "last", "--json")
    (delivery,) = json.loads(done.output)
    assert (done.exit_code, delivery["state"], delivery["code"]) == (5, "waiting", "BOX_SEND_UNREACHABLE")
    with peer(port) as archive:
        done = scanside(root, send_settings(port), "send", "--json")
    assert (done.exit_code, json.loads(done.output)[0]["state"]) == (0, "sent")
    assert len(archive.stored) == 9


def test_an_archive_without_room_is_tried_again_and_one_that_does_not_understand_is_not(
    result: Path, tmp_path: Path
) -> None:
    for status, state in ((OUT_OF_RESOURCES, "waiting"), (CANNOT_UNDERSTAND, "refused")):
        port = free_port()
        root = box_with_result(tmp_path / state, result)
        with peer(port, status=status):
            done = scanside(root, send_settings(port), "send", "last", "--json")
        assert (done.exit_code, json.loads(done.output)[0]["state"]) == (5, state)


def test_an_archive_that_takes_no_segmentation_gets_the_rest(result: Path, tmp_path: Path) -> None:
    port = free_port()
    root = box_with_result(tmp_path / "box", result)
    with peer(port, refuses=("seg",)) as archive:
        done = scanside(root, send_settings(port), "send", "last", "--json")
        assert (done.exit_code, len(archive.stored)) == (5, 8)
        (delivery,) = json.loads(done.output)
        assert (delivery["state"], "Segmentation Storage" in delivery["why"]) == ("refused", True)
        without = send_settings(port, objects=("sr", "sc"))
        assert scanside(root, without, "send", "last").exit_code == 0


def test_the_wrong_name_for_the_archive_is_said_with_its_reason(result: Path, tmp_path: Path) -> None:
    port = free_port()
    network = pytest.importorskip("pynetdicom")
    entity = network.AE("OTHER")
    entity.require_called_aet = True
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", port), block=False)
    try:
        done = scanside(tmp_path, send_settings(port), "send", "--echo")
    finally:
        server.shutdown()
    assert "BOX_SEND_UNREACHABLE" in str(getattr(done.exception, "code", ""))
    assert "Called AE title not recognised" in str(done.exception)


def test_an_archive_that_answers_is_said(tmp_path: Path) -> None:
    port = free_port()
    with peer(port):
        done = scanside(tmp_path, send_settings(port), "send", "--echo")
    assert (done.exit_code, "answers" in done.output) == (0, True)


def test_an_archive_that_says_it_answers_with_2_gb_is_hung_up_on() -> None:
    """After 64 MB it would end by itself."""
    sent_bytes = [0]

    def answer() -> None:
        with suppress(OSError), listener.accept()[0] as line:
            line.recv(2**16)
            line.sendall(b"\x02\x00\x7f\xff\xff\xff")
            while sent_bytes[0] < 2**26:
                line.sendall(bytes(2**20))
                sent_bytes[0] += 2**20

    with socket.create_server((LOOPBACK, 0)) as listener:
        answers = threading.Thread(target=answer)
        answers.start()
        with pytest.raises(BoxSendUnreachable):
            echo(send_settings(listener.getsockname()[1]))
        answers.join(LONGEST_S)
    assert sent_bytes[0] < 2**25


def test_an_archive_that_falls_silent_in_the_middle_of_an_answer_is_not_waited_for() -> None:
    given_up = threading.Event()

    def answer() -> None:
        with listener.accept()[0] as line:
            line.recv(2**16)
            line.sendall(b"\x02\x00\x00")
            given_up.wait(LONGEST_S)

    with socket.create_server((LOOPBACK, 0)) as listener:
        answers = threading.Thread(target=answer)
        answers.start()
        with pytest.raises(BoxSendUnreachable):
            echo(send_settings(listener.getsockname()[1], timeout_s=0.5))
        given_up.set()
        answers.join(LONGEST_S)


def test_answers_without_end_are_broken_off() -> None:
    ended = list[str]()
    event = Mock(assoc=Mock(abort=lambda: ended.append("aborted")), data=bytes(2**20))
    (weigh,) = (handler for what, handler in answers_weighed(1.0) if what is evt.EVT_DATA_RECV)
    for _ in range(MOST_ANSWER_BYTES // 2**20):
        weigh(event)
    assert ended == []
    weigh(event)
    assert ended == ["aborted"]


def test_without_an_archive_there_is_nothing_to_send_to(result: Path, tmp_path: Path) -> None:
    done = scanside(tmp_path, SendSettings(), "send", str(result))
    assert getattr(done.exception, "code", None) == "BOX_SEND_UNSET"


def test_a_result_without_objects_is_said(result: Path, tmp_path: Path) -> None:
    shutil.copy(result / "result.json", tmp_path)
    done = scanside(tmp_path, send_settings(free_port()), "send", str(tmp_path))
    assert getattr(done.exception, "code", None) == "BOX_SEND_NOTHING"


def test_an_object_that_is_longer_on_its_way_than_an_answer_may_take_arrives(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scanside_appliance.network import scu

    class Welcome(scu.ApplicationEntity):
        acse_timeout = property(lambda self: 300.0, lambda self, seconds: None)  # the association itself has time

    monkeypatch.setattr(scu, "ApplicationEntity", Welcome)
    port = free_port()
    with peer(port) as archive, slow_line(port, bytes_per_s=3_600_000) as line:
        began = time.monotonic()
        settings = send_settings(line, timeout_s=0.1, objects=("sc",))
        done = scanside(tmp_path, settings, "send", str(result))
        assert done.exit_code == 0, done.output + repr(done.exception)
    assert len(archive.stored) == 7
    assert time.monotonic() - began > 7 * 0.1


def test_an_archive_with_tls_is_known_by_its_certificate(result: Path, tmp_path: Path) -> None:
    network = pytest.importorskip("pynetdicom")
    certificate, key = certificate_for_loopback(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    entity, stored = network.AE("ARCHIVE"), []
    for sop_class in {str(one.SOPClassUID) for one in objects_in(result).values()}:
        entity.add_supported_context(sop_class)
    handlers = [(network.evt.EVT_C_STORE, lambda event: stored.append(event.dataset.SOPInstanceUID) or 0)]
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, ssl_context=context, evt_handlers=handlers)
    try:
        known = send_settings(port, tls_ca=str(certificate))
        assert scanside(tmp_path, known, "send", str(result)).exit_code == 0
        stranger = certificate_for_loopback(tmp_path / "stranger")[0]
        done = scanside(tmp_path, send_settings(port, tls_ca=str(stranger)), "send", str(result))
        assert getattr(done.exception, "code", None) == "BOX_SEND_UNREACHABLE"
    finally:
        server.shutdown()
    assert len(stored) == 9


def test_without_the_extra_a_person_is_told_what_to_install(tmp_path: Path) -> None:
    without = "import sys; sys.modules['pynetdicom'] = None; from scanside_appliance.cli.main import main; main()"
    command = [sys.executable, "-c", without, "--root", str(tmp_path), "send", "--echo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert (done.returncode, "BOX_EXTRA_MISSING" in done.stderr) == (5, True)
    assert "dicom-network" in done.stderr


def test_a_certificate_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = scanside(tmp_path, send_settings(free_port(), tls_ca=str(tmp_path / "none.pem")), "send", "--echo")
    assert getattr(done.exception, "code", None) == "BOX_SEND_TLS"
