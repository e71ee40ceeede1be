"""Made cases: a chest whose pixels are coded oddly, and one that does not lie as its header says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from kit.case_kit import case, chest, edit, put, scan
from kit.dicom_samples import transcode
from kit.turned_chest import hearted_hu, turned


def overlaid(folder: Path, transfer_syntax: str, *, signed: bool = False, shift: int = 0) -> None:
    """The chest in 12 bits, a graphic in the others all over it, coded as 16 bits and described as 12 (PS3.5 8.1.2)."""
    paths = scan(folder / "plain", rescale=(1.0, 1024.0 if signed else -1024.0))

    def draw(ds: Dataset, number: int) -> None:
        words = np.frombuffer(ds.PixelData, np.uint16) & np.uint16(0xFFF)
        words = np.left_shift(words, shift)
        words[number::3] |= np.uint16(0xC003 if shift else 0xF000)
        ds.PixelData = words.tobytes()

    edit(paths, draw)
    put(paths, BitsStored=16, HighBit=15)
    coded = transcode(folder / "plain", folder / "coded", transfer_syntax)
    put(sorted(coded.iterdir()), BitsStored=12, HighBit=11 + shift)
    for path in paths:
        path.unlink()


@case(None)
def an_overlay_above_the_stored_bits_in_jpeg_ls(folder: Path) -> None:
    overlaid(folder, JPEGLSLossless)


@case(None, written=False)
def an_overlay_above_signed_bits_in_jpeg_2000(folder: Path) -> None:
    overlaid(folder, JPEG2000Lossless, signed=True)


@case(None, written=False)
def an_overlay_above_signed_bits_in_jpeg_lossless(folder: Path) -> None:
    overlaid(folder, JPEGLosslessSV1, signed=True)


@case(None, written=False)
def an_overlay_above_and_below_the_stored_bits_in_jpeg_ls(folder: Path) -> None:
    overlaid(folder, JPEGLSLossless, shift=2)


@case("INPUT_UNREADABLE")
def an_overlay_that_was_compressed_with_loss(folder: Path) -> None:
    overlaid(folder, JPEG2000)


# What lies otherwise than the header says


@case(None, "QUALITY_ORIENTATION")
def a_chest_stored_upside_down(folder: Path) -> None:
    scan(folder, turned(chest(), "z"))


for axes in ("x", "z", "xz", "xy"):

    def turned_chest(folder: Path, axes: str = axes) -> None:
        scan(folder, turned(hearted_hu(), axes))

    turned_chest.__name__ = f"a_chest_with_a_heart_flipped_in_{axes}"
    case(None, "QUALITY_ORIENTATION", written=axes == "xy")(turned_chest)
