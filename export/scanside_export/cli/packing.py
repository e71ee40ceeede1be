"""`scanside-export pack` and `unpack`: what goes to a lent machine and what comes back, in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pack(
    what: Annotated[Path, typer.Argument(metavar="CASES", help="A folder of prepared cases, or a checkpoint.pt.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the parts.")],
    pixel_mm: Annotated[
        float, typer.Option(min=0.1, help="Finer pixels are averaged to this; 1.1 is the infection network's.")
    ] = 1.1,
    part_mb: Annotated[
        float | None, typer.Option(min=1.0, help="Size of a part: 60 MB of cases, 16 MB of a checkpoint.")
    ] = None,
) -> None:
    """Write cases or a checkpoint as small parts.

    Cases in 8 bits, a checkpoint's weights in FP16; `train --cases` takes packed cases.
    """
    if what.is_file():
        from scanside_export.networks.checkpoint_parts import write_parts

        files = write_parts(what, out, part_mb or 16.0)
    else:
        from scanside_export.data.packing import pack as pack_cases
        from scanside_export.data.prepare import load, read_digest

        files = pack_cases(load(what), read_digest(what), out, pixel_mm, part_mb or 60.0)
    for file in files:
        typer.echo(f"{file} {file.stat().st_size / 1e6:.1f} MB")


def unpack(
    parts: Annotated[Path, typer.Argument(metavar="DIR", help="The parts of a checkpoint.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The checkpoint that they make.")],
) -> None:
    """Make a checkpoint of its parts again.

    `--start-from` and `export` take it.
    """
    from scanside_export.networks.checkpoint_parts import read_parts

    typer.echo(read_parts(parts, out))
