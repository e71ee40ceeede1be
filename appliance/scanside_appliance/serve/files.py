"""What may be read: a closed grammar of names below the folder of results, opened by handles, no link followed.

Names on the box are made of hashes and numbers, so that no path that is right has anything to decode: one with a per
cent sign, a dot at the front, two dots or any letter beyond these names nothing.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scanside_appliance.files.beneath import opened_below

KINDS = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "zip": "application/zip",
    "dcm": "application/dicom",
}
SHOWN = ("html", "json", "png")
"""Others are handed over as files: no browser opens them by itself."""
ROOT = re.compile(r"/(?:index\.html)?")
LIST = re.compile(r"/(worklist/(?:\d{4}-\d\d|undated)(?:-part\d{1,4})?\.html)")
RESULT = re.compile(r"/([0-9a-f]{16}/[0-9a-f]{16}/[1-9]\d{0,5}/[a-z][a-z0-9_]{0,39}\.(?:" + "|".join(KINDS) + "))")
HEAD_BYTES = 4096
SUM = r"'sha256-[A-Za-z0-9+/]{43}='"
POLICY = re.compile(
    rf"default-src 'none'; img-src data:; style-src {SUM}; (script-src {SUM}; )?base-uri 'none'; form-action 'none'"
)
NOTHING = "default-src 'none'"
STATED = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"<>]*)">')


@dataclass(frozen=True, slots=True)
class Served:
    """An open file, as it is handed over. handle: at its first byte; policy: what a browser may do with it."""

    handle: int
    bytes: int
    kind: str
    policy: str
    attachment: str | None


@contextmanager
def opened(results: Path, path: str) -> Iterator[Served | None]:
    """What a path of the address names; None where that is nothing."""
    name = _name(path)
    if name is None:
        yield None
        return
    try:
        with opened_below(results, name) as handle:
            yield _served(handle, name)
    except OSError:
        yield None


def _name(path: str) -> str | None:
    if ROOT.fullmatch(path):
        return "index.html"
    found = LIST.fullmatch(path) or RESULT.fullmatch(path)
    return found and found[1]


def _served(handle: int, name: str) -> Served:
    ending = name.rpartition(".")[2]
    is_list = name == "index.html" or name.startswith("worklist/")
    policy = _policy(os.pread(handle, HEAD_BYTES, 0), scripts=is_list) if ending == "html" else NOTHING
    attachment = None if ending in SHOWN else name.rpartition("/")[2]
    return Served(handle, os.fstat(handle).st_size, KINDS[ending], f"{policy}; frame-ancestors 'none'", attachment)


def _policy(head: bytes, *, scripts: bool) -> str:
    """The page's own, where it is one that Scanside's pages have; only lists have a script. Else nothing is allowed."""
    found = STATED.search(head.decode("utf-8", "replace"))
    stated = POLICY.fullmatch(html.unescape(found[1])) if found else None
    return stated[0] if stated and (scripts or not stated[1]) else NOTHING
