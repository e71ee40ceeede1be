"""`scanside-export keygen` and `scanside-export sign`: a bundle for a stick, with a signature that boxes check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def keygen(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys go; never into a repository.")],
    name: Annotated[str, typer.Option(help="Name of the key, as boxes show it.")] = "scanside",
) -> None:
    """Make a key pair that signs bundles.

    NAME.private.pem signs, NAME.pem goes to every box, into its keys.d.
    """
    from scanside_export.bundling.deliver import make_key

    private_file, public_file, key_id = make_key(folder, name)
    typer.echo(f"{private_file}: keep it where nobody else reads it")
    typer.echo(f"{public_file}: key {key_id}, for the boxes")


def sign(
    bundle: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle that `bundle` wrote.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="The private key.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The zip to write.")],
) -> None:
    """Check a bundle and write it as a signed zip.

    It is for `scanside bundle install`.
    """
    from scanside_export.bundling.deliver import deliver
    from scanside_runtime.model.bundle import open_bundle

    typer.echo(deliver(open_bundle(bundle), key, out))
