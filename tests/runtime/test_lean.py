"""What a child imports is most of what its start takes: nothing that it never uses is among it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scanside_runtime.process.settle import needed

NEVER_USED = ("urllib.request", "ssl", "PIL", "jpeg_ls", "scanside_runtime.settings.tables")
START_OF_THE_READER = f"""
import sys
from scanside_runtime.process.settle import settle_in
settle_in("scanside_runtime.dicom.reader_process")
import scanside_runtime.dicom.reader_process
print(*(name for name in {NEVER_USED} if sys.modules.get(name)), "gdcm" in sys.modules)
"""


def test_the_reader_imports_the_decoder_and_nothing_that_goes_out_or_draws() -> None:
    done = subprocess.run([sys.executable, "-c", START_OF_THE_READER], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]


def test_what_was_left_out_is_there_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "colorsys", None)
    assert needed("colorsys").rgb_to_hsv(1, 0, 0) == (0, 1, 1)
