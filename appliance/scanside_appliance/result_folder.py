"""Names in the box's results: results/<patient>/<study>/<revision>/result.json."""

from __future__ import annotations

from hashlib import sha256

RESULT = "result.json"
KEY_LETTERS = 16


def patient_folder(patient_id: str, issuer: str | None) -> str:
    """A patient's folder, by ID and issuer: 16 hex digits of a SHA-256, never what a header says."""
    text = f"{issuer or ''}\n{patient_id}"
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:KEY_LETTERS]
