"""Who vouches for a bundle: an Ed25519 signature (RFC 8032) of its manifest, which names every file with its hash.

A key pair is made and a bundle signed by the exporter; a box holds the public keys that it trusts, one PEM file each.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.model.errors import ModelUntrusted

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


def trusted_keys(folder: Path) -> tuple[TrustedKey, ...]:
    """The keys in a folder, by name; none where there is no folder. To revoke a key is to remove its file.

    Raises ModelUntrusted where a file can't be read or holds no key: a key that is meant to be there and is not must
    not look like a bundle that nobody signed.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == KEY_SUFFIX)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise ModelUntrusted(why=f"the keys in {folder} can't be read ({error.strerror})") from error
    return tuple(map(_trusted, paths))


def _trusted(path: Path) -> TrustedKey:
    try:
        with path.open("rb") as file:
            return public_key(file.read(MOST_KEY_BYTES), path.stem)
    except OSError as error:
        raise ModelUntrusted(why=f"the key {path} can't be read ({error.strerror})") from error
    except ValueError as problem:
        raise ModelUntrusted(why=f"{path} holds no public Ed25519 key in PEM") from problem


def check_signature(manifest: bytes, signature: bytes, trusted: Sequence[TrustedKey]) -> TrustedKey:
    """The key that signed these bytes. Nothing of the manifest is looked at before. Raises ModelUntrusted."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    line = _LINE.fullmatch(signature)
    if line is None or base64.b64encode(base64.b64decode(line[2])) != line[2]:  # one spelling and no other
        raise ModelUntrusted(why=f"{SIGNATURE} holds no signature")
    named = line[1].decode()
    key = next((key for key in trusted if key.key_id == named), None)
    if key is None:
        known = ", ".join(f"{key.key_id} ({key.name})" for key in trusted) or "none"
        raise ModelUntrusted(why=f"it was signed with the key {named}; trusted here: {known}")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(base64.b64decode(line[2]), _PURPOSE + manifest)
    except InvalidSignature as error:
        raise ModelUntrusted(
            why=f"the signature of {key.name} is not of this manifest: one of them was changed"
        ) from error
    return key
