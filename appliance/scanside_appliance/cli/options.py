"""What the options of several commands mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scanside_appliance.jobs.book.store import Store
    from scanside_appliance.results.page_options import PageOptions
    from scanside_runtime.analysis.options import Options
    from scanside_runtime.settings.tables import Settings

SETTINGS_FILE = Path("/etc/scanside/scanside.toml")
BOX_ROOT = Path("/var/lib/scanside")


class EngineName(StrEnum):
    """What runs the networks."""

    auto = "auto"
    openvino = "openvino"
    onnxruntime = "onnxruntime"


class LanguageName(StrEnum):
    """What the page is written in."""

    en = "en"
    fr = "fr"
    es = "es"
    pt = "pt"
    zh = "zh"
    hi = "hi"
    sw = "sw"


class PrecisionName(StrEnum):
    """What the layers are computed in."""

    auto = "auto"
    int8 = "int8"
    bf16 = "bf16"
    fp32 = "fp32"


def path_option(*names: str, **how: Any) -> Any:
    """An option that is a path. It is told apart by who opens it: typer would call what a disk says wrong usage."""
    return typer.Option(*names, readable=False, **how)


def path_argument(**how: Any) -> Any:
    """As `path_option`."""
    return typer.Argument(readable=False, **how)


EngineOption = Annotated[EngineName, typer.Option("--engine", help="What runs the networks.")]
PrecisionOption = Annotated[PrecisionName, typer.Option("--precision", help="What the layers are computed in.")]
BundleOption = Annotated[Path | None, path_option("--bundle", metavar="DIR", help="Folder of another model bundle.")]
LanguageOption = Annotated[
    LanguageName | None, typer.Option("--language", help="What the page is written in. [scanside's, or the setting's]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]


@contextmanager
def open_store(context: typer.Context) -> Iterator[Store]:
    """The box's book, root from here on as the user whose box it is. Raises BoxFailed."""
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.jobs.book.database_errors import database_errors
    from scanside_appliance.jobs.book.file import existing_book

    layout = BoxLayout(context.obj.root)
    as_its_owner(context)
    with disk_errors(layout.root), database_errors(layout.database), existing_book(layout) as store:
        yield store


def as_its_owner(context: typer.Context) -> None:
    """Root goes on as the user whose box it is, for good: what is made there must be his. Raises BoxRoot."""
    from scanside_appliance.files.owner import become_owner

    become_owner(context.obj.root)


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """What the disk says while a command works on the box is no defect of ours. Raises BoxRoot."""
    from scanside_appliance.defects import what_it_says
    from scanside_appliance.files.layout import BoxRoot

    try:
        yield
    except OSError as error:
        raise BoxRoot(root=root, why=what_it_says(error)) from error


def for_its_owner_alone(context: typer.Context) -> None:
    """What the command writes holds patients' data: 0600 and 0700, whatever the shell's umask, until it ends."""
    context.with_resource(_umask(0o077))


def for_the_box(context: typer.Context) -> None:
    """What the command writes in the box's folders is for its group to read, as the daemon's: 0640 and 0750."""
    context.with_resource(_umask(0o027))


def for_any_user(context: typer.Context) -> None:
    """What root writes and the box's user must read, and holds nothing of a patient: 0644 and 0755."""
    context.with_resource(_umask(0o022))


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@dataclass(frozen=True, slots=True)
class BoxOptions:
    """Where this box keeps its things."""

    root: Path
    settings_file: Path | None
    language: LanguageName | None = None

    def settings(self) -> Settings:
        """The settings in force. Raises SettingsUnusable."""
        from scanside_runtime.settings.load import load_settings

        return load_settings(self.settings_in_use())

    def settings_in_use(self) -> Path | None:
        """The file that the settings come from; None where they are the defaults."""
        from scanside_appliance.files.durable_files import may_lie_at

        return self.settings_file or (SETTINGS_FILE if may_lie_at(SETTINGS_FILE) else None)

    def bundle(self, named: Path | None = None) -> Path | None:
        """The folder of the model bundle: the one that is named, else the one in force here; None for Scanside's own.

        Raises SettingsUnusable, BundleRecordUnusable, ModelUntrusted, ModelKeyRights, ModelBundleMissing.
        """
        from scanside_appliance.bundles.record import bundle_in_force

        return named or bundle_in_force(self.root, Path(self.settings().bundles.keys))

    def analysis(
        self, engine: EngineName, precision: PrecisionName, bundle: Path | None, earlier: Path | None
    ) -> Options:
        """How this box analyses on request: by its settings, its earlier results (or a folder's), its severity model.

        Raises SettingsUnusable, InputNotFound, SeverityModelUnusable, and what `bundle` raises.
        """
        from scanside_appliance.proved import read_proof
        from scanside_appliance.results.archive import lookup
        from scanside_appliance.site_model import model_in_force
        from scanside_appliance.tuned import read_tuning
        from scanside_runtime.analysis.options import Options

        past, model, found = lookup(self.root, earlier), model_in_force(self.root), read_tuning(self.root)
        proof = read_proof(self.root)
        return Options(self.settings(), engine.value, precision.value, self.bundle(bundle), past, model, found, proof)

    def page(self, settings: Settings, earlier: Path | None, language: LanguageName | None) -> PageOptions:
        """What the page is made of: the site's words, and earlier pictures from where the trend comes from."""
        from scanside_appliance.results.archive import folder_lookup
        from scanside_appliance.results.page_options import PageOptions

        named = language or self.language
        site = settings.site if named is None else replace(settings.site, language=named.value)
        return PageOptions(site, folder_lookup(self.root, earlier))
