"""`scanside bundle`: which model bundles are here, and whether their files are what the manifest says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from scanside_appliance.cli.options import AsJson
from scanside_runtime.errors import ModelUnusable

bundles = typer.Typer(help="Model bundles.", no_args_is_help=True, rich_markup_mode=None)


@bundles.command("list")
def list_bundles(context: typer.Context, as_json: AsJson = False) -> None:
    """List the bundle that came with Scanside and those in the box's `bundles` folder."""
    from scanside_runtime.model.bundle import DEFAULT_BUNDLE

    installed = context.obj.root / "bundles"
    others = sorted(path for path in installed.iterdir() if path.is_dir()) if installed.is_dir() else []
    facts = [_facts(folder) for folder in (DEFAULT_BUNDLE, *others)]
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        typer.echo("\n".join(_line(fact) for fact in facts))


@bundles.command()
def verify(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="A bundle; Scanside's own if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check size and SHA-256 of every file. Exit code: 0 all match, 4 the bundle can't be used."""
    from scanside_runtime.model.bundle import open_bundle

    bundle = open_bundle(folder)
    bundle.verify()
    files = len(bundle.manifest["files"])
    if as_json:
        typer.echo(json.dumps({**_facts(bundle.folder), "files": files}))
    else:
        typer.echo(f"{bundle.name} {bundle.version}: {files} files match")


def _facts(folder: Path) -> dict[str, Any]:
    """Name and version, or why the bundle can't be used."""
    from scanside_runtime.model.bundle import open_bundle

    try:
        bundle = open_bundle(folder)
    except ModelUnusable as error:
        return {"folder": str(folder), "name": None, "version": None, "sha256": None, "problem": error.message}
    return {
        "folder": str(folder),
        "name": bundle.name,
        "version": bundle.version,
        "sha256": bundle.sha256,
        "problem": None,
    }


def _line(fact: dict[str, Any]) -> str:
    title = fact["problem"] or f"{fact['name']} {fact['version']}  {fact['sha256'][:12]}"
    return f"{title}  {fact['folder']}"
