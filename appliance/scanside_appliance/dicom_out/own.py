"""Our own objects, known again when an archive sends them back: without highdicom, for who reads headers alone."""

from __future__ import annotations

MANUFACTURER = "Scanside"
OWN_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.88.33": "SR",
    "1.2.840.10008.5.1.4.1.1.7": "SC",
}
"""The SOP classes that results are written in: Segmentation, Comprehensive SR, Secondary Capture."""


def is_own(sop_class_uid: str, manufacturer: str | None) -> bool:
    """Whether an object is a result of ours. A scanner of that name would make slices, which are none of these."""
    return manufacturer == MANUFACTURER and sop_class_uid in OWN_CLASSES
