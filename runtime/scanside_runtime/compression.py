"""DICOM files compressed without loss, by GDCM, which goes from file to file only."""

from __future__ import annotations

import tempfile
from pathlib import Path

from scanside_runtime.process.settle import needed


def compressed_file(plain: bytes, transfer_syntax: str) -> bytes:
    """A DICOM file with its pixels in another transfer syntax.

    Raises ValueError for a syntax that can't be encoded, OSError where the folder for temporary files can't be written.
    """
    gdcm = needed("gdcm")  # slow to import, and left out by our programs
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "plain.dcm"), Path(folder, "compressed.dcm")
        source.write_bytes(plain)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(source))
        if not reader.Read():
            raise OSError("GDCM can't read what it is to compress")
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(transfer_syntax))))
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise ValueError(f"GDCM can't encode {transfer_syntax}")
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not writer.Write():
            raise OSError("GDCM can't write what it compressed")
        return target.read_bytes()
