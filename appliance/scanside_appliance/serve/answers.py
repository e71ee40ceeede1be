"""What is answered to a request: who may read, and which headers go along. No name of a patient is in any of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from scanside_appliance.languages.catalogue import ENGLISH, direction, to_translate
from scanside_appliance.languages.words import page_words
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
    401: to_translate("The password of this box, please. The user name does not matter."),
    404: to_translate("There is nothing here."),
    405: "Here one can only look: GET and HEAD.",
    408: "The request took too long.",
    429: to_translate("Too many wrong passwords from this computer. Wait a minute, then try again."),
    431: "The request is too large.",
    503: to_translate("The box can't check passwords now. Whoever runs it finds the reason in its log."),
}
FOR_PEOPLE = (401, 404, 429, 503)
"""What somebody at a browser comes upon is a page in his language; the rest is told to programs."""
STYLE = "body{margin:12vh auto;max-width:34em;padding:0 1em;font:18px/1.5 system-ui,sans-serif;color:#17202b}"
STYLE_SUM = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


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


def refusal(status: int, wait_s: float = 0.0, language: str = ENGLISH) -> tuple[Headers, bytes]:
    """Headers and words of an answer that hands nothing over."""
    kind, policy = "text/plain", NOTHING
    body = f"{WORDS[status]}\n".encode()
    if status in FOR_PEOPLE:
        kind, policy, body = "text/html", f"{NOTHING}; style-src 'sha256-{STYLE_SUM}'", _page(WORDS[status], language)
    more = {
        401: [("WWW-Authenticate", 'Basic realm="Scanside", charset="UTF-8"')],
        405: [("Allow", ", ".join(METHODS))],
        429: [("Retry-After", str(int(wait_s) + 1))],
    }.get(status, [])
    about = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
    return [*ALWAYS, *about, ("Content-Security-Policy", f"{policy}; frame-ancestors 'none'"), *more], body


def _page(text: str, language: str) -> bytes:
    """The words, and the way back to the list."""
    _ = page_words(language)
    said, back = html.escape(_(text)), html.escape(_("Worklist"))
    return (
        f'<!doctype html><html lang="{language}" dir="{direction(language)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Scanside</title>'
        f'<style>{STYLE}</style></head><body><main><h1>Scanside</h1><p>{said}</p><p><a href="/">{back}</a></p></main>'
        "</body></html>\n"
    ).encode()
