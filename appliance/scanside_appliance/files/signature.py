"""What a file looks like from outside."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

_63_BITS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Signature:
    """Any difference means that the file changed.

    Each is what SQLite can hold: an inode of a network share has 64 bits, and a sender may set any time.
    """

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, seen: os.stat_result) -> Self:
        """Of what stat(2) gave."""
        return cls(seen.st_size, seen.st_mtime_ns & _63_BITS, seen.st_ino & _63_BITS)


UNKNOWN = Signature(-1, -1, -1)
"""Of a file that is there and can't be looked at: it differs from any other."""
