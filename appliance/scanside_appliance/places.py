"""Names in the box's results: results/<patient>/<study>/<revision>/result.json."""

from __future__ import annotations

import json
from hashlib import sha256

RESULT = "result.json"


def patient_folder(patient_id: str | None, issuer: str | None) -> str:
    """A patient's folder, by ID and issuer: 32 hex digits of a hash, never what a header says."""
    return sha256(json.dumps([patient_id or "", issuer or ""]).encode()).hexdigest()[:32]
