"""By what the box works: what the audit notes whenever it is not what it was."""

from __future__ import annotations

from pathlib import Path

from scanside_appliance.bundles.record import bundle_in_force
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.site_model import model_in_force
from scanside_runtime.errors import ScansideError
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.settings.load import settings_digest
from scanside_runtime.settings.tables import Settings
from scanside_runtime.version import software_version


def configuration(layout: BoxLayout, settings: Settings, bundle: Path | None, engine: str) -> dict[str, str | None]:
    """Software, settings, networks, severity model, engine. bundle: the one that was named, None for the one in force.

    What can't be read is noted by its code: the box says elsewhere what to do about it.
    """
    facts = {"software": software_version(), "settings_sha256": settings_digest(settings), "engine": engine}
    return {**facts, **_networks(layout, settings, bundle), "severity_model": _severity_model(layout)}


def _networks(layout: BoxLayout, settings: Settings, named: Path | None) -> dict[str, str | None]:
    try:
        bundle = open_bundle(named or bundle_in_force(layout.root, Path(settings.bundles.keys)))
    except ScansideError as error:
        return {"bundle": error.code, "bundle_sha256": None}
    return {"bundle": bundle.title, "bundle_sha256": bundle.sha256}


def _severity_model(layout: BoxLayout) -> str | None:
    try:
        model = model_in_force(layout.root)
    except ScansideError as error:
        return error.code
    return model.name if model else None
