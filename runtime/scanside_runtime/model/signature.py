"""Who vouches for a bundle: an Ed25519 signature (RFC 8032) of its manifest, which names every file with its hash.

A key pair is made and a bundle signed by the exporter; a box holds the public keys that it trusts, one PEM file each.
"""

from __future__ import annotations

import base64
import hashlib
import os
import pwd
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.errors import ModelUnusable
from scanside_runtime.model.errors import ModelKeyRights, ModelKeyUnusable, ModelUntrusted

SIGNATURE = "manifest.sig"
"""Beside the manifest: one line, the key's ID and the signature in base64."""
KEY_SUFFIX = ".pem"
MOST_KEY_BYTES = 4096
_PURPOSE = b"scanside bundle manifest\n"
"""Stands before the manifest in what is signed: a signature that was made for anything else is none of a bundle."""
_LINE = re.compile(rb"([0-9a-f]{16}) ([A-Za-z0-9+/]{86}==)\n?")


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key: the name of its file, its ID, its 32 bytes."""

    name: str
    key_id: str
    public: bytes


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The keys of a box. unusable: why others are not among them.

    A key that is meant to be there and is not must not look like a bundle that nobody signed; nor does it take
    anything from what another one signed.
    """

    keys: tuple[TrustedKey, ...] = ()
    unusable: tuple[ModelUnusable, ...] = ()


def key_id(public: bytes) -> str:
    """What people compare: 16 hexadecimal digits of the SHA-256 of the 32 bytes."""
    return hashlib.sha256(public).hexdigest()[:16]


def new_key() -> tuple[bytes, bytes]:
    """A key pair as PEM: the private key (PKCS #8, not encrypted) and the public one."""
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    secret = private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    public = private.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    return secret, public


def sign(manifest: bytes, private_pem: bytes) -> bytes:
    """The content of `manifest.sig`. Raises ValueError where the key is no Ed25519 key in PEM."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        private = forms.load_pem_private_key(private_pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as problem:
        raise ValueError(problem) from problem
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("it is no Ed25519 key")
    signature = base64.b64encode(private.sign(_PURPOSE + manifest)).decode()
    return f"{key_id(private.public_key().public_bytes_raw())} {signature}\n".encode()


def public_key(pem: bytes, name: str) -> TrustedKey:
    """A public key from PEM. Raises ValueError where it is no Ed25519 key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = forms.load_pem_public_key(pem)
    except UnsupportedAlgorithm as problem:
        raise ValueError(problem) from problem
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is no Ed25519 key")
    raw = key.public_bytes_raw()
    return TrustedKey(name, key_id(raw), raw)


def trusted_keys(folder: Path) -> TrustedKeys:
    """The keys in a folder, by name; none where there is no folder. To revoke a key is to remove its file."""
    keys, unusable = list[TrustedKey](), list[ModelUnusable]()
    for one in key_files(folder):
        try:
            keys.append(_trusted(one))
        except (ModelKeyRights, ModelKeyUnusable) as error:
            unusable.append(error)
    return TrustedKeys(tuple(keys), tuple(unusable))


def kept_from(folder: Path) -> list[ModelKeyRights]:
    """The keys that this user may not read, and nothing is looked at of the others: for the daemon."""
    found = []
    for one in key_files(folder):
        try:
            _pem(one)
        except ModelKeyRights as error:
            found.append(error)
        except ModelKeyUnusable:
            continue
    return found


def key_files(folder: Path) -> list[Path]:
    """By name; the folder itself where it can't be looked into, as what is to be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == KEY_SUFFIX)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return [folder]


def _trusted(path: Path) -> TrustedKey:
    try:
        return public_key(_pem(path), path.stem)
    except ValueError as problem:
        raise ModelKeyUnusable(path=path, why="it holds no public Ed25519 key in PEM") from problem


def _pem(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_KEY_BYTES)
    except PermissionError as error:
        raise ModelKeyRights(path=path, user=_this_user(), why=error.strerror, command=_opening(path)) from error
    except OSError as error:
        raise ModelKeyUnusable(path=path, why=error.strerror or "it can't be read") from error


def _opening(path: Path) -> str:
    """The command that opens what is closed first on the way to a key, or to the folder of keys: no more than it needs.

    A folder on the way is gone through, that of the keys is listed.
    """
    way = path.resolve()
    keys = path.parent.resolve() if path.suffix == KEY_SUFFIX else way
    folders = reversed(way.parents)
    closed = next((one for one in folders if not os.access(one, os.X_OK, effective_ids=True)), way)
    rights = "a+rx" if closed == keys else "a+r" if closed == way else "a+x"
    return shlex.join(("chmod", rights, str(closed)))


def _this_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def check_signature(manifest: bytes, signature: bytes, trusted: TrustedKeys) -> TrustedKey:
    """The key that signed these bytes. Nothing of the manifest is looked at before.

    Raises ModelUntrusted; ModelKeyRights where a key that this user may not read may be the one.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    line = _LINE.fullmatch(signature)
    if line is None or base64.b64encode(base64.b64decode(line[2])) != line[2]:  # one spelling and no other
        raise ModelUntrusted(why=f"{SIGNATURE} holds no signature")
    named = line[1].decode()
    key = next((key for key in trusted.keys if key.key_id == named), None)
    if key is None:
        raise _nobody_s(named, trusted)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(base64.b64decode(line[2]), _PURPOSE + manifest)
    except InvalidSignature as error:
        raise ModelUntrusted(
            why=f"the signature of {key.name} is not of this manifest: one of them was changed"
        ) from error
    return key


def _nobody_s(named: str, trusted: TrustedKeys) -> ModelUnusable:
    """Why a signature of the key with this ID vouches for nothing here."""
    for error in trusted.unusable:
        if isinstance(error, ModelKeyRights):
            return error
    known = ", ".join(f"{key.key_id} ({key.name})" for key in trusted.keys) or "none"
    lost = ", ".join(str(error.values["path"]) for error in trusted.unusable)
    why = f"it was signed with the key {named}; trusted here: {known}"
    if lost:
        why = f"it was signed with the key {named}; trusted here: {known}; can't be used as a key: {lost}"
    return ModelUntrusted(why=why)
