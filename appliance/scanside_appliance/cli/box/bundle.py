"""`scanside bundle`: which model bundles are here, whether they are whole, and the way in and back for another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanside_appliance.cli.language import say, spoken
from scanside_appliance.cli.options import AsJson, as_its_owner, disk_errors, for_any_user, path_argument
from scanside_runtime.errors import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from scanside_runtime.model.bundle import Bundle
    from scanside_runtime.model.proof import WayTried
    from scanside_runtime.settings.tables import Settings

bundles = typer.Typer(help="Model bundles: list, check, install, go back.", no_args_is_help=True, rich_markup_mode=None)


@bundles.command("list")
def list_bundles(context: typer.Context, as_json: AsJson = False) -> None:
    """List the bundles that are here; a star is in force.

    The one that came with Scanside, and those that were installed.

    Exit code: 0 listed, 5 the box.
    """
    from scanside_appliance.bundles.record import bundles_folder, read_record
    from scanside_runtime.model.bundle import DEFAULT_BUNDLE

    installed, in_force = bundles_folder(context.obj.root), read_record(context.obj.root).in_force
    others = sorted(path for path in installed.iterdir() if path.is_dir()) if installed.is_dir() else []
    facts = [_facts(DEFAULT_BUNDLE, in_force is None), *(_facts(path, path.name == in_force) for path in others)]
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        typer.echo("\n".join(_line(fact) for fact in facts))


@bundles.command()
def verify(
    context: typer.Context,
    folder: Annotated[Path | None, path_argument(metavar="DIR", help="A bundle; the one in force if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check size and SHA-256 of every file of a bundle.

    Exit code: 0 all match, 4 the bundle can't be used.
    """
    from scanside_runtime.model.bundle import open_bundle

    bundle = open_bundle(context.obj.bundle(folder))
    bundle.verify()
    files = len(bundle.manifest["files"])
    if as_json:
        typer.echo(json.dumps({**_facts(bundle.folder), "files": files}))
    else:
        say("{bundle}: {files} file(s) match", bundle=f"{bundle.name} {bundle.version}", files=files)


@bundles.command()
def install(
    context: typer.Context,
    file: Annotated[Path, path_argument(metavar="FILE", help="A signed bundle, a zip as its maker delivers it.")],
    force: Annotated[bool, typer.Option("--force", help="Also if it is older than the one in force.")] = False,
    as_json: AsJson = False,
) -> None:
    """Install a signed bundle from a stick.

    Signature, hashes and self-test first: until all of it is proved the old one stays in force. A running `watch`
    takes it from there. A receipt is written beside the file, to carry back.

    Exit code: 0 in force, 4 the bundle can't be used, 5 the box.
    """
    from scanside_appliance.bundles.install import install as run

    for_any_user(context)
    root, settings = context.obj.root, context.obj.settings()  # which the box's user may not be able to read
    with disk_errors(root):
        done = run(file, root, Path(settings.bundles.keys), _proof(root, settings), force=force)
    if as_json:
        typer.echo(json.dumps(done.document()))
        return
    names = {"bundle": done.title, "signer": done.signed_by, "before": done.replaced}
    say("{bundle} is in force, signed by {signer}; before: {before}", **names)
    way = done.selftest
    dice = {"lungs": way.lungs_dice, "infection": way.infection_dice}
    say("self-test: lungs {lungs:.4f}, infection {infection:.4f} ({way})", way=way.name, **dice)
    if done.receipt:
        say("receipt: {path}", path=done.receipt)
    else:
        say("no receipt: the stick can't be written")


@bundles.command()
def rollback(context: typer.Context, as_json: AsJson = False) -> None:
    """Put back what was in force before the last install.

    Exit code: 0 done, 5 there is nothing to go back to.
    """
    from dataclasses import asdict

    from scanside_appliance.bundles.record import step_back

    for_any_user(context)
    as_its_owner(context)
    with disk_errors(context.obj.root):
        change = step_back(context.obj.root, "rollback", "asked for")
    typer.echo(json.dumps(asdict(change)) if as_json else spoken()("{bundle} is in force", bundle=change.title))


def _proof(root: Path, settings: Settings) -> Callable[[Bundle], WayTried]:
    """The self-test as this box analyses, in a process of its own."""

    def prove(bundle: Bundle) -> WayTried:
        from scanside_appliance.jobs.bundle_prover import prove_bundle

        return prove_bundle(root, bundle.folder, settings)

    return prove


def _facts(folder: Path, in_force: bool | None = None) -> dict[str, Any]:
    """Name and version, or why the bundle can't be used."""
    from scanside_runtime.model.bundle import open_bundle

    facts: dict[str, Any] = {"folder": str(folder), "name": None, "version": None, "sha256": None, "problem": None}
    if in_force is not None:
        facts["in_force"] = in_force
    try:
        bundle = open_bundle(folder)
    except ModelUnusable as error:
        return {**facts, "problem": error.message}
    return {**facts, "name": bundle.name, "version": bundle.version, "sha256": bundle.sha256}


def _line(fact: dict[str, Any]) -> str:
    title = fact["problem"] or f"{fact['name']} {fact['version']}  {fact['sha256'][:12]}"
    return f"{'*' if fact['in_force'] else ' '} {title}  {fact['folder']}"
