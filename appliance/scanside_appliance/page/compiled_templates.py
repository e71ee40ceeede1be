"""Templates as Jinja compiled them, kept where Python keeps its own modules compiled and believed as those are.

To compile those of a report takes longer than to fill them. Who may write here may write what Python runs as well.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket, BytecodeCache

from scanside_appliance.files.atomic import replace_file

SUM_BYTES = hashlib.sha256().digest_size


class CompiledTemplates(BytecodeCache):
    """One file a template, in any language: SHA-256 of what it was compiled from and of the rest, and its code.

    folder: of the templates. made_by: the modules that say how templates are compiled. What is not whole, or was
    compiled from something else, is compiled anew; where nothing may be written, each process compiles its own.
    """

    def __init__(self, folder: Path, made_by: Sequence[Path]) -> None:
        self._folder = folder
        self._how = b"".join([jinja2.__version__.encode(), *(path.read_bytes() for path in made_by)])

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """The template's name."""
        return name

    def load_bytecode(self, bucket: Bucket) -> None:
        """See `BytecodeCache`."""
        with suppress(OSError):
            found = self._place(bucket).read_bytes()
            code = found[SUM_BYTES:]
            if found[:SUM_BYTES] == self._sum(bucket, code):
                bucket.code = marshal.loads(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """See `BytecodeCache`."""
        if not sys.dont_write_bytecode:
            code, place = marshal.dumps(bucket.code), self._place(bucket)
            with suppress(OSError):
                place.parent.mkdir(parents=True, exist_ok=True)
                replace_file(place, self._sum(bucket, code) + code)

    def _place(self, bucket: Bucket) -> Path:
        return Path(cache_from_source(str(self._folder / bucket.key))).with_suffix(".j2c")

    def _sum(self, bucket: Bucket, code: bytes) -> bytes:
        return hashlib.sha256(b"".join((self._how, bucket.checksum.encode(), code))).digest()
