"""What is answered to a request: who may read, and which headers go along. No name of a patient is in any of it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from scanside_appliance.serve.files import NOTHING, Served

Headers = list[tuple[str, str]]
ALWAYS: Headers = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Robots-Tag", "noindex"),
    ("Accept-Ranges", "none"),
    ("Connection", "close"),
]
PASS = re.compile(rb"(?:^|; ?)scanside=([0-9a-f]{64})(?:;|$)")
METHODS = ("GET", "HEAD")
WORDS = {
    400: "This is no request that a browser makes.",
    401: "The password of this box, please. The user name does not matter.",
    404: "There is nothing here. The worklist is at /.",
    405: "Here one can only look: GET and HEAD.",
    408: "The request took too long.",
    429: "Too many wrong passwords from this computer. Wait a minute, then try again.",
    431: "The request is too large.",
    503: "The box can't check passwords now. Whoever runs it finds the reason in its log.",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What counts of a request. password: what was offered, None where nothing was; shown_pass: empty without one."""

    method: str
    path: str
    password: bytes | None
    shown_pass: bytes
    has_body: bool


def request_of(method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Request:
    """Of what a browser sent; a question mark and what follows it count for nothing."""
    fields = {bytes(name).lower(): bytes(value) for name, value in headers}
    path = target.partition(b"?")[0].decode("latin-1")
    has_body = b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0"
    password, found = _password(fields.get(b"authorization", b"")), PASS.search(fields.get(b"cookie", b""))
    return Request(method.decode("latin-1"), path, password, found[1] if found else b"", has_body)


def _password(stated: bytes) -> bytes | None:
    """Of HTTP Basic (RFC 7617)."""
    scheme, _, encoded = stated.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        return None
    return decoded.partition(b":")[2]


def pass_header(given: bytes, *, tls: bool) -> Headers:
    """A cookie until the browser is closed. Without the password it opens nothing."""
    secure = "; Secure" if tls else ""
    return [("Set-Cookie", f"scanside={given.decode()}; Path=/; HttpOnly; SameSite=Strict{secure}")]


def headers_of(file: Served) -> Headers:
    """Of a file that is handed over."""
    more = [("Content-Disposition", f'attachment; filename="{file.attachment}"')] if file.attachment else []
    return [
        *ALWAYS,
        ("Content-Type", file.kind),
        ("Content-Length", str(file.bytes)),
        ("Content-Security-Policy", file.policy),
        *more,
    ]


def refusal(status: int, wait_s: float = 0.0) -> tuple[Headers, bytes]:
    """Headers and words of an answer that hands nothing over."""
    words = f"{WORDS[status]}\n".encode()
    more = {
        401: [("WWW-Authenticate", 'Basic realm="Scanside", charset="UTF-8"')],
        405: [("Allow", ", ".join(METHODS))],
        429: [("Retry-After", str(int(wait_s) + 1))],
    }.get(status, [])
    kind = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(words)))]
    return [*ALWAYS, *kind, ("Content-Security-Policy", f"{NOTHING}; frame-ancestors 'none'"), *more], words
