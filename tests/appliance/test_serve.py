"""Results in a browser: what is to be seen is seen behind the password, and a hostile client gets nothing else."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import select
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("h11", reason="the extra serve is not installed")

from kit.analysis_samples import analysed
from kit.served_box import PASSWORD, Shown, all_of, answer_of, basic, shown, shown_here
from kit.tls import certificate_for_loopback
from scanside_appliance.files.layout import BoxLayout, patient_key, study_key
from scanside_appliance.page.report import render_page
from scanside_appliance.serve.answers import FOR_PEOPLE, WORDS, refusal
from scanside_appliance.serve.connection import REQUEST_S
from scanside_appliance.serve.errors import BoxServePassword
from scanside_appliance.serve.files import opened
from scanside_appliance.serve.password import FILE, Password, set_password
from scanside_appliance.serve.server import LONGEST_S as LONGEST_ANSWER_S
from scanside_appliance.serve.slow_down import ADDRESSES, FREE, LONGEST_S, SlowDown
from scanside_runtime.errors import SettingsUnusable
from scanside_runtime.settings.load import settings_digest, settings_of
from scanside_runtime.settings.serve import ServeSettings

PATIENT, STUDY = patient_key("P1", None, ""), study_key("1.2.1")
PAGE = f"/{PATIENT}/{STUDY}/1/report.html"
SECRET = "scanside.db"
ALONE = "; frame-ancestors 'none'"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    root = tmp_path_factory.mktemp("serve") / "box"
    with shown(root) as one:
        results = one.layout.results
        (results / ".hidden.html").write_text("hidden")
        (results / "notes.txt").write_text("a person's")
        (results / PATIENT / STUDY / "1" / "linked.html").symlink_to(one.layout.database)
        (results / PATIENT / ("0" * 16)).symlink_to(one.layout.root / "archive")
        (results / PATIENT / STUDY / "2").mkdir()
        (results / PATIENT / STUDY / "2" / "folder.html").mkdir()
        yield one


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A hash that costs nothing."""
    monkeypatch.setattr("scanside_appliance.serve.password.COST", {"n": 16, "r": 8, "p": 1})
    return monkeypatch


def test_list_and_page_are_shown_as_they_lie_on_the_disk(server: Shown) -> None:
    for path in ("/", "/index.html", "/?from=bookmark"):
        assert server.get(path).body == server.layout.worklist.read_bytes()
    (month,) = server.layout.worklist_pages.iterdir()
    assert server.get(f"/worklist/{month.name}").body == month.read_bytes()
    found = server.get(PAGE)
    assert (found.status, found.body) == (200, server.layout.results.joinpath(PAGE[1:]).read_bytes())
    assert found.headers["content-type"] == "text/html; charset=utf-8"


def test_a_picture_of_the_archive_is_handed_over_as_a_file(server: Shown) -> None:
    found = server.get(PAGE.replace("report.html", "seg.dcm"))
    assert (found.status, len(found.body)) == (200, 400_000)
    assert found.headers["content-disposition"] == 'attachment; filename="seg.dcm"'


def test_every_answer_is_strict_and_none_is_kept(server: Shown) -> None:
    for found in (server.get("/"), server.get("/nothing"), server.get("/", password=None), server.get("/", "POST")):
        said = found.headers
        assert (said["cache-control"], said["x-content-type-options"]) == ("no-store", "nosniff")
        assert (said["referrer-policy"], said["x-frame-options"]) == ("no-referrer", "DENY")
        assert said["content-security-policy"].startswith("default-src 'none'")
        assert said["content-security-policy"].endswith(ALONE)
        assert not {"server", "last-modified", "etag", "access-control-allow-origin"} & said.keys()


def test_the_policy_of_the_header_is_the_one_of_the_page_and_a_page_without_one_may_do_nothing(server: Shown) -> None:
    stated = server.get("/").headers["content-security-policy"]
    page = server.layout.worklist.read_text("utf-8").replace("&#39;", "'")
    assert f'content="{stated.removesuffix(ALONE)}"' in page
    assert "script-src 'sha256-" in stated
    assert server.get(PAGE).headers["content-security-policy"] == f"default-src 'none'{ALONE}"


def test_a_page_of_scanside_keeps_its_own_policy(tmp_path: Path) -> None:
    page = render_page(analysed(tmp_path).document())
    folder = tmp_path / PAGE[1:]
    folder.parent.mkdir(parents=True)
    folder.write_text(page, encoding="utf-8")
    with opened(tmp_path, PAGE) as file:
        assert file and file.policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
        assert file.bytes == len(page.encode())


def test_a_result_s_page_may_not_run_a_script_whatever_it_says_of_itself(server: Shown) -> None:
    page = server.layout.result(PATIENT, STUDY, 1) / "odd.html"
    page.write_text(server.layout.worklist.read_text("utf-8"), encoding="utf-8")
    found = server.get(PAGE.replace("report.html", "odd.html"))
    assert (found.status, found.headers["content-security-policy"]) == (200, f"default-src 'none'{ALONE}")


def spellings() -> list[str]:
    """Ways to a file beside the folder of results, as they are tried on every server."""
    ups = (
        "../", "..%2f", "%2e%2e/", "%2e%2e%2f", ".%2e/", "..%5c", "..\\", "%252e%252e%252f", "..%252f", "....//",
        "..;/", "..%00/", "%c0%ae%c0%ae/", "%c0%ae%c0%ae%c0%af", "%uff0e%uff0e%u2215", "\uff0e\uff0e/", "..%c1%9c",
        "%e0%80%ae%e0%80%ae/", "/../", "//../", "./../", "x/../../",
    )  # fmt: skip
    return [f"/{up}{SECRET}" for up in ups] + [f"/{PATIENT}/{STUDY}/1/{up * 4}{SECRET}" for up in ups]


@pytest.mark.parametrize(
    "path",
    [
        *spellings(),
        *("/..", "/.", "//", "//index.html", "/index.html/", "/index.html%00.txt", "/INDEX.HTML", "/index.html;x", "*"),
        *("/.hidden.html", "/notes.txt", "/.unfinished/", f"/{PATIENT}/", f"/{PATIENT}", "/worklist", "/worklist/"),
        *(f"/{PATIENT}/{STUDY}/1/linked.html", f"/{PATIENT}/{'0' * 16}/1/report.html"),
        *(f"/{PATIENT}/{STUDY}/2/folder.html", f"/{PATIENT}/{STUDY}/01/report.html", f"/{PATIENT}/{STUDY}/1/x.py"),
        *("file:///etc/passwd", "http://box/etc/passwd", "/etc/passwd", "/proc/self/environ", "/serve.toml"),
        "/" + "a" * 8000,
    ],
)
def test_nothing_else_is_found_however_it_is_spelt(server: Shown, path: str) -> None:
    raw = f"GET {path} HTTP/1.1\r\nHost: box\r\nAuthorization: {basic(PASSWORD)}\r\n\r\n".encode()
    found = server.say(raw)
    assert found.status in (400, 404)
    assert found.body == refusal(found.status)[1]
    assert server.get(quote(path) if path.startswith("/") else "/x").status in (200, 404)


def test_whoever_has_no_password_learns_nothing_not_even_what_is_there(server: Shown) -> None:
    for path in ("/", PAGE, "/nothing", "/../x"):
        found = server.get(path, password=None)
        assert (found.status, found.headers["www-authenticate"]) == (401, 'Basic realm="Scanside", charset="UTF-8"')
    for stated in ("Basic", "Basic !!!", "Bearer x", "Basic " + "A" * 4000, basic(PASSWORD)[:-4], "Digest a=b"):
        assert server.get("/", password=None, Authorization=stated).status == 401


@pytest.mark.parametrize("status", FOR_PEOPLE)
def test_what_a_person_at_a_browser_comes_upon_is_a_page_in_the_words_of_the_site(status: int) -> None:
    headers, page = refusal(status, language="pt")
    stated, text = dict(headers), page.decode()
    style = re.search(r"<style>(.*?)</style>", text)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert (
        stated["Content-Security-Policy"] == f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
    )
    assert stated["Content-Type"] == "text/html; charset=utf-8"
    assert '<html lang="pt"' in text
    assert '<a href="/">Lista de trabalho</a>' in text
    assert WORDS[status] not in text, "it is translated"


def test_the_page_that_asks_for_the_password_is_in_the_language_of_the_site(
    tmp_path: Path, quick: pytest.MonkeyPatch
) -> None:
    with shown_here(tmp_path / "box", language="fr") as server:
        assert b"mot de passe" in server.get("/", password=None).body


def test_the_user_name_does_not_matter(server: Shown) -> None:
    assert server.get("/", password=None, Authorization=basic(PASSWORD, "")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_nothing_but_get_and_head_is_answered(server: Shown, method: str) -> None:
    found = server.get("box:443" if method == "CONNECT" else "/", method)
    assert (found.status, found.headers["allow"]) == (405, "GET, HEAD")


def test_head_says_what_get_says_without_the_body(server: Shown) -> None:
    for path, password in (("/", PASSWORD), (PAGE, PASSWORD), ("/nothing", PASSWORD), ("/", None)):
        whole, head = (server.get(path, method, password=password) for method in ("GET", "HEAD"))
        assert (head.status, head.headers, head.body) == (whole.status, whole.headers, b"")


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1"},
        {"Range": "bytes=" + ",".join(f"{n}-" for n in range(900))},
        {"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If_None_Match": "*"},
        {"If_Range": '"x"', "Range": "bytes=5-"},
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        {"Expect": "100-continue"},
        {"X_Forwarded_For": "127.0.0.1", "X_Original_URL": "/etc/passwd"},
    ],
)
def test_what_else_is_asked_for_changes_nothing(server: Shown, headers: dict[str, str]) -> None:
    found = server.get(PAGE, **headers)
    assert (found.status, found.body) == (200, server.layout.results.joinpath(PAGE[1:]).read_bytes())


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n X: folded\r\nX y: z\r\n\r\n",
        b"\r\n" * 500 + b"\xff" * 500 + b"\r\n\r\n",
    ],
)
def test_what_no_browser_says_is_refused_in_words(server: Shown, raw: bytes) -> None:
    found = server.say(raw)
    assert found.status == 400
    assert found.body == b"This is no request that a browser makes.\n"


def test_headers_without_end_are_cut_off(server: Shown) -> None:
    flood = b"GET / HTTP/1.1\r\nHost: box\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 90) for n in range(400))
    assert server.say(flood).status == 431
    assert server.say(b"GET /" + b"a" * 40_000).status == 431
    assert server.get("/").status == 200


def test_many_who_drip_keep_nobody_out_and_are_ended(tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    with shown_here(tmp_path / "box", connections=32) as server:
        dripping = [server.connect() for _ in range(7)]
        for line in dripping:
            line.sendall(b"GET / HTTP/1.1\r\nHo")
        assert server.get("/").status == 200  # the eighth from this address
        dripping.append(server.connect())
        over = [server.connect() for _ in range(3)]
        assert [all_of(line) for line in over] == [b"", b"", b""]
        for line in dripping:
            line.sendall(b"s")
        assert not select.select(dripping, [], [], 0.1)[0]
        for line in dripping:
            while not select.select([line], [], [], 0.05)[0]:
                server.later(REQUEST_S)
            assert answer_of(all_of(line)).status == 408
        for line in (*dripping, *over):
            line.close()
        assert server.get("/").status == 200


def test_who_does_not_take_his_answer_is_ended_and_holds_no_memory(tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    with shown_here(tmp_path / "box") as server:
        path = PAGE.replace("report.html", "seg.dcm")
        server.layout.results.joinpath(path[1:]).write_bytes(bytes(40_000_000))
        with server.connect() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # else the kernel takes up to 33 MB for him
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(PASSWORD)}\r\n\r\n".encode())
            assert line.recv(1000).startswith(b"HTTP/1.1 200")
            server.later(LONGEST_ANSWER_S)
            assert server.get("/").status == 200  # by now he is ended, and what comes lies in the kernel already
            assert len(all_of(line)) < 20_000_000


def test_who_goes_away_in_the_middle_harms_nobody(server: Shown) -> None:
    for said in (b"", b"GET", f"GET {PAGE.replace('report.html', 'seg.dcm')} HTTP/1.1\r\nHost: x\r\n".encode()):
        with server.connect() as line:
            line.sendall(said + (f"Authorization: {basic(PASSWORD)}\r\n\r\n".encode() if said[3:] else b""))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
    assert server.get("/").status == 200


def test_a_guesser_waits_and_so_does_everybody_at_his_machine(
    tmp_path: Path, quick: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with shown_here(tmp_path / "box") as server:
        assert [server.get("/", password=f"wrong number {n}").status for n in range(FREE)] == [401] * FREE
        server.later(0.25)
        refused = server.get("/")
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        server.later(0.75)
        assert server.get("/").status == 200
    assert [record.getMessage() for record in caplog.records] == [f"serve: {FREE} wrong passwords from 127.0.0.1"]


def test_a_right_password_forgives_its_address_no_wrong_one(tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    with shown_here(tmp_path / "box") as server:
        tries = [*[f"wrong number {n}" for n in range(FREE - 1)], PASSWORD, "one wrong more", PASSWORD]
        assert [server.get("/", password=one).status for one in tries] == [401] * (FREE - 1) + [200, 401, 429]


def test_who_was_let_in_reads_on_while_somebody_beside_him_guesses_who_learns_nothing_by_it(
    tmp_path: Path, quick: pytest.MonkeyPatch
) -> None:
    with shown_here(tmp_path / "box") as server:
        given = server.get("/").headers["set-cookie"].split("; ")
        assert given[1:] == ["Path=/", "HttpOnly", "SameSite=Strict"]
        for n in range(FREE):
            server.get("/", password=f"wrong number {n}", Cookie=given[0])
        again = server.get("/", Cookie=f"theme=dark; {given[0]}")
        assert (again.status, "set-cookie" in again.headers) == (200, False)
        assert server.get("/").status == 429, "a guess that is right must not stand out while its address waits"
        assert server.get("/", Cookie=f"scanside={'0' * 64}").status == 429
        assert server.get("/", password="another guess", Cookie=given[0]).status == 429
        assert server.get("/", password=None, Cookie=given[0]).status == 401
        set_password(server.layout, "another one, as long")
        assert server.get("/", Cookie=given[0]).status == 429, "what let in is not the password any more"


def test_many_guesses_at_once_are_tried_one_after_the_other(tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    with shown_here(tmp_path / "box") as server, ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda n: server.get("/", password=f"wrong number {n}").status, range(10)))
        assert (found.count(401), found.count(429)) == (FREE, 10 - FREE)


def test_the_wait_doubles_has_an_end_and_so_has_the_table() -> None:
    one = SlowDown()
    waits = []
    for _ in range(FREE + 9):
        one.failed("10.0.0.1", 100.0)
        waits.append(one.wait_s("10.0.0.1", 100.0))
        assert one.wait_s("10.0.0.2", 100.0) == 0.0
    assert waits == [*[0.0] * (FREE - 1), 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, *[LONGEST_S] * 4]
    assert one.wait_s("10.0.0.1", 100.0 + LONGEST_S) == 0.0
    one.failed("fd00::1", 100.0)
    assert [one.failed(f"fd00::{n}", 100.0) for n in range(2, 6)] == [2, 3, 4, 5]  # one machine has them all
    for n in range(3 * ADDRESSES):
        one.failed(f"10.1.{n // 250}.{n % 250}", 100.0)
    assert len(one._guessers) == ADDRESSES


def test_no_path_and_no_name_is_logged_and_it_ends_as_it_is_told(tmp_path: Path) -> None:
    with shown(tmp_path / "box") as server:
        for path in ("/", PAGE, "/nothing", "/Phantom"):
            server.get(path)
        assert server.process and server.process.stderr
        server.process.terminate()
        assert (server.process.stderr.read(), server.process.wait(300)) == ("", 0)


def test_the_password_is_kept_as_a_hash_that_is_its_owners_alone(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, quick: pytest.MonkeyPatch
) -> None:

    layout = BoxLayout(tmp_path / "box")
    layout.make()
    quick.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    code, out, said = run("--root", layout.root, "serve", "--set-password")
    assert (code, out, said) == (0, "", "The password is set; it counts at once.\n")
    path = layout.private / FILE
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(layout.private.stat().st_mode)) == (0o600, 0o700)
    assert PASSWORD.encode() not in path.read_bytes()
    kept = Password(layout)
    assert not kept.is_known(PASSWORD.encode())
    assert (kept.is_right(b"x" * 300), kept.is_right(PASSWORD.encode()), kept.is_known(PASSWORD.encode())) == (
        False, True, True,
    )  # fmt: skip
    set_password(layout, "another one, as long")
    assert (kept.is_known(PASSWORD.encode()), kept.is_right(PASSWORD.encode())) == (False, False)
    path.chmod(0o640)
    with pytest.raises(BoxServePassword, match="others may read"):
        Password(layout)


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_a_password_that_is_too_short_or_long_is_not_taken(tmp_path: Path, password: str) -> None:
    layout = BoxLayout(tmp_path)
    with pytest.raises(BoxServePassword, match="10 to 256"):
        set_password(layout, password)
    assert not layout.private.exists()


def test_a_password_that_a_script_hands_over_in_other_bytes_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(BoxServePassword, match="UTF-8"):
        set_password(BoxLayout(tmp_path), b"Schl\xfcssel-der-Station".decode(errors="surrogateescape"))


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"salt": "zz", "hash": ""}', b'{"salt": "00", "hash": "00"}'])
def test_without_a_sound_password_nothing_is_shown(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, content: bytes | None
) -> None:
    layout = BoxLayout(tmp_path / "box")
    layout.make()
    if content is not None:
        (layout.private / FILE).parent.mkdir(parents=True)
        (layout.private / FILE).touch(0o600)
        (layout.private / FILE).write_bytes(content)
    code, _, said = run("--root", layout.root, "serve")
    assert (code, said.split(": ")[1]) == (5, "BOX_SERVE_PASSWORD")


def test_other_machines_are_served_with_tls_or_when_a_person_says_so(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    layout = BoxLayout(tmp_path / "box")
    layout.make()
    set_password(layout, PASSWORD)
    code, _, said = run("--root", layout.root, "serve", "--host", "0.0.0.0")
    assert code == 5
    assert said.startswith("scanside: BOX_SERVE_OPEN: ")
    (tmp_path / "tls.toml").write_text('[serve]\ntls_certificate = "/no.pem"\ntls_key = "/no.key"\n')
    code, _, said = run("--root", layout.root, "--settings", tmp_path / "tls.toml", "serve")
    assert (code, said.split(": ")[1]) == (5, "BOX_SERVE_TLS")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, said = run("--root", layout.root, "serve", "--port", taken.getsockname()[1])
    assert (code, said.split(": ")[1]) == (5, "BOX_SERVE_PORT")


def test_with_a_certificate_the_line_is_encrypted_and_who_speaks_plain_gets_nothing(
    tmp_path: Path, quick: pytest.MonkeyPatch
) -> None:
    certificate, key = certificate_for_loopback(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    files = {"tls_certificate": str(certificate), "tls_key": str(key)}
    with shown_here(tmp_path / "box", tls=trusting, **files) as server:
        first = server.get("/")
        assert first.body == server.layout.worklist.read_bytes()
        assert first.headers["set-cookie"].endswith("; Secure")
        for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b""):
            with socket.create_connection(("127.0.0.1", server.port), timeout=300) as line:
                line.sendall(said)
                line.shutdown(socket.SHUT_WR)
                assert b"HTTP" not in all_of(line)
        old = ssl.create_default_context(cafile=str(certificate))
        with pytest.warns(DeprecationWarning):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=300) as line:
            old.wrap_socket(line, server_hostname="127.0.0.1")
        assert server.get(PAGE).status == 200


def test_whoever_is_on_no_network_of_the_settings_is_not_listened_to(tmp_path: Path) -> None:
    with shown_here(tmp_path / "box", networks=("192.168.7.0/24",)) as server:
        assert server.get("/").status == 0


@pytest.mark.parametrize(
    ("address", "comes"),
    [
        ("127.0.0.1", True), ("192.168.1.9", True), ("10.1.2.3", True), ("172.20.0.1", True), ("8.8.8.8", False),
        ("172.32.0.1", False), ("::1", True), ("fe80::1%eth0", True), ("2001:db8::1", False), ("::ffff:10.0.0.1", True),
        ("::ffff:8.8.8.8", False),
    ],
)  # fmt: skip
def test_only_private_networks_are_let_in_unless_told_otherwise(address: str, comes: bool) -> None:
    assert ServeSettings().lets_in(address) is comes


@pytest.mark.parametrize(
    ("name", "value"),
    [("host", "box.local"), ("host", ""), ("networks", ["10.0.0.1/8"]), ("tls_key", "x"), ("port", 0)],
)
def test_settings_that_mean_nothing_are_refused(name: str, value: object) -> None:
    with pytest.raises(SettingsUnusable, match=f"serve.{name}"):
        settings_of({"serve": {name: value}})


def test_to_whom_results_are_shown_changes_no_digest_of_the_settings() -> None:
    assert settings_digest(settings_of({"serve": {"port": 9000}})) == settings_digest(settings_of({}))
