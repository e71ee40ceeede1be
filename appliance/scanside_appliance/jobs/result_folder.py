"""What counts as done is decided by the document: a folder without a sound `result.json` is no result."""

from __future__ import annotations

import json
from pathlib import Path

from scanside_appliance.files.layout import RESULT

VERDICTS = ("analysed", "refused", "held")


def unsound(folder: Path, verdict: str | None, revision: int | None) -> str | None:
    """Why a folder is not the result that a job speaks of, in words; None where it is.

    The document must be there, and carry the job's verdict, one that ends a study, and its revision.
    Raises OSError where the document lies there and can't be read.
    """
    try:
        document = json.loads((folder / RESULT).read_bytes())
        stated = document["verdict"], document["provenance"]["revision"]
    except FileNotFoundError:
        return f"there is no {RESULT}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{RESULT} is no result document"
    if verdict not in VERDICTS or stated != (verdict, revision):
        return f"{RESULT} says {stated[0]!r}, revision {stated[1]!r}, the job {verdict!r}, revision {revision!r}"
    return None
