"""A name for a patient that is always the same on this box, and that nobody can go back from without the box's key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from scanside_appliance.files.atomic import sync_directory
from scanside_appliance.files.durable_files import lies_at
from scanside_appliance.files.layout import PRIVATE_MODE, BoxLayout
from scanside_appliance.files.owner import as_owner
from scanside_appliance.referral.errors import BoxPackKey

KEY_FILE = "pseudonym.key"
KEY_BYTES = 32
PSEUDONYM_BYTES = 10
"""80 bits: 16 letters of base 32, and no two patients of any hospital meet by chance."""


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Made of one key."""

    key: bytes

    @classmethod
    def of_box(cls, layout: BoxLayout) -> Pseudonyms:
        """With the box's key, which is made where there is none yet. Raises BoxPackKey, BoxRoot."""
        path = layout.private / KEY_FILE
        try:
            with as_owner(layout.root):
                if not lies_at(path):
                    layout.private.mkdir(mode=PRIVATE_MODE, exist_ok=True)
                    _make_key(path)
                found, key = path.stat(), path.read_bytes()
        except OSError as error:
            raise BoxPackKey(why=error.strerror or error) from error
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise BoxPackKey(why="others may read it")
        if len(key) != KEY_BYTES:
            raise BoxPackKey(why=f"it has {len(key)} bytes")
        return cls(key)

    def patient(self, patient_id: str | None, issuer: str | None, study_uid: str) -> str:
        """16 letters and digits; a study without a patient's ID has one of its own."""
        said = f"patient\n{issuer or ''}\n{patient_id}" if patient_id else f"study\n{study_uid}"
        return base64.b32encode(self._digest(said)[:PSEUDONYM_BYTES]).decode("ascii")

    def uid(self, original: str) -> str:
        """The UID that stands for another one (PS3.15 E.3.9: consistent within and between packs of this box)."""
        number = int.from_bytes(self._digest(f"uid\n{original}")[:16], "big")
        return f"2.25.{number}"

    def _digest(self, said: str) -> bytes:
        return hmac.digest(self.key, said.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _make_key(path: Path) -> None:
    """Complete under its name or not there, its owner's alone from the first byte; of two that make one, one wins."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)
        except FileExistsError:
            return
    finally:
        part.unlink()
    sync_directory(path.parent)
