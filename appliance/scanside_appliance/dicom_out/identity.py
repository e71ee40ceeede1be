"""Who wrote the objects, and their UIDs: made from what an object holds, so that the same object has the same UIDs."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.uid import generate_uid

NOTICE = "Research use only, not a medical device"
FIRST_SERIES_NUMBER = 9000
"""Far from the numbers that a scanner gives; the source series' number is added."""

# Any UUID will do, as long as it is always the same one (RFC 9562, 6.6).
_NAMESPACE = uuid.UUID("6f3a4f6e-0c1b-4b5e-9a57-6c7d1c6a52d4")
_BESIDE_THE_RESULT = ("timing_ms", "artefacts")
_OF_THE_BOX = ("revision", "supersedes", "for_earlier_scan", "settings_sha256")


@dataclass(frozen=True, slots=True)
class ObjectUids:
    """The UIDs of a series of ours and of its first object."""

    series: str
    instance: str


def derived_uid(*parts: str) -> str:
    """A UID that the same parts always have, and no others (PS3.5 B.2: a UUID, here version 5)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, json.dumps(parts)).int}"


def new_uids() -> ObjectUids:
    """UIDs of an object that belongs to no result."""
    return ObjectUids(generate_uid(), generate_uid())


def object_uids(digest: str, role: str) -> ObjectUids:
    """The UIDs of the objects in one role ("seg", "sr", "sc"). digest: of what decides all that they hold."""
    return ObjectUids(derived_uid(digest, role, "series"), derived_uid(digest, role, "instance"))


def result_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of what a result says: not of how long it took, how often it was made, or by which settings.

    What a setting changes in a result stands in the result; the name of the hospital changes nothing in it.
    """
    said = {name: value for name, value in document.items() if name not in _BESIDE_THE_RESULT}
    provenance = said.get("provenance") or {}
    said["provenance"] = {name: value for name, value in provenance.items() if name not in _OF_THE_BOX}
    return hashlib.sha256(json.dumps(said, sort_keys=True, allow_nan=False).encode()).hexdigest()


def series_number(source: int, role: int) -> int:
    """The number of a series of ours, near the one that it belongs to. role: 0 SEG, 1 SR, 2 SC."""
    return FIRST_SERIES_NUMBER + 1000 * role + source % 1000
