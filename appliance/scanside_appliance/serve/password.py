"""The one password that results are shown behind: of it only a salted scrypt hash (RFC 7914) is kept.

The file is its owner's alone. It is read again when it changes, so that a new password counts at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from pathlib import Path

from scanside_appliance.files.atomic import replace_file, sync_directory
from scanside_appliance.files.layout import PRIVATE_MODE, BoxLayout
from scanside_appliance.files.signature import Signature
from scanside_appliance.serve.errors import BoxServePassword

FILE = Path("serve", "password")
"""Of the private folder. A folder of its own: the service sees it and nothing beside it, and also a new file in it."""
COST = {"n": 2**15, "r": 8, "p": 3}
"""Some 0.2 s and 32 MB for each try (OWASP's cheat sheet on storing passwords)."""
MEMORY_BYTES = 2**26
SHORTEST, LONGEST = 10, 256
SALT_BYTES, HASH_BYTES = 16, 32


def set_password(layout: BoxLayout, password: str) -> None:
    """From now on this one counts. Raises BoxServePassword where it is too short, too long or can't be kept."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BoxServePassword(why=f"it must have {SHORTEST} to {LONGEST} letters")
    try:
        letters = password.encode()
    except UnicodeEncodeError as error:  # bytes of a script that are no UTF-8
        raise BoxServePassword(why="it must be written in UTF-8") from error
    salt = secrets.token_bytes(SALT_BYTES)
    kept = {"scrypt": COST, "salt": salt.hex(), "hash": _hash(letters, salt).hex()}
    try:
        for folder in (layout.private, (layout.private / FILE).parent):
            folder.mkdir(mode=PRIVATE_MODE, exist_ok=True)
        replace_file(layout.private / FILE, json.dumps(kept).encode(), lambda handle: os.fchmod(handle, 0o600))
        sync_directory(layout.private)
    except OSError as error:
        raise BoxServePassword(why=error.strerror or error) from error


class Password:
    """The box's password, to try others against. What was right once is known again without the cost.

    Raises BoxServePassword where there is none, or others may read it.
    """

    def __init__(self, layout: BoxLayout) -> None:
        self._path = layout.private / FILE
        self._key = secrets.token_bytes(HASH_BYTES)
        self._seen: Signature | None = None
        self._known = b""
        self._salt, self._hash = self._read()

    def is_known(self, offered: bytes) -> bool:
        """Whether it is the one that was right before; costs nothing."""
        if self._signature() != self._seen:
            self._known = b""
        return hmac.compare_digest(self._digest(offered), self._known)

    def pass_of(self, offered: bytes) -> bytes:
        """What a browser is given for a right password: whoever has it was let in with that one, by this process."""
        return hmac.digest(self._key, b"pass\n" + offered, hashlib.sha256).hex().encode()

    def lets_pass(self, offered: bytes, shown: bytes) -> bool:
        """Whether a browser that was let in comes again; costs nothing, and tells who has no pass nothing."""
        return self.is_known(offered) & hmac.compare_digest(shown, self.pass_of(offered))

    def is_right(self, offered: bytes) -> bool:
        """Whether it is the password; costs some 0.2 s, as it shall. Raises BoxServePassword."""
        if self._signature() != self._seen:
            self._salt, self._hash = self._read()
        right = hmac.compare_digest(_hash(offered[: 4 * LONGEST], self._salt), self._hash)
        if right:
            self._known = self._digest(offered)
        return right

    def _digest(self, offered: bytes) -> bytes:
        return hmac.digest(self._key, offered, hashlib.sha256)

    def _signature(self) -> Signature | None:
        try:
            return Signature.of(self._path.stat())
        except OSError:
            return None

    def _read(self) -> tuple[bytes, bytes]:
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                kept = json.loads(file.read(4096))
            salt, hashed = bytes.fromhex(kept["salt"]), bytes.fromhex(kept["hash"])
        except FileNotFoundError as error:
            raise BoxServePassword(why="none is set") from error
        except OSError as error:
            raise BoxServePassword(why=error.strerror or error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise BoxServePassword(why="its file is damaged") from error
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise BoxServePassword(why="others may read its file")
        if kept.get("scrypt") != COST or len(hashed) != HASH_BYTES:
            raise BoxServePassword(why="its file was made by another Scanside")
        self._seen = Signature.of(found)
        return salt, hashed


def _hash(password: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(password, salt=salt, maxmem=MEMORY_BYTES, dklen=HASH_BYTES, **COST)
