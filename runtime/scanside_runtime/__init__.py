"""The library: chest CT in, lung infection biomarkers out. Research use only, not a medical device.

    from scanside_runtime import analyze
    analysis = analyze(Path("series"))
    print(analysis.biomarkers.whole.poi_percent, analysis.document())

Importing it loads none of what it is made of: names are looked up when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanside_runtime.analysis.analyze import analyze
    from scanside_runtime.analysis.options import Options
    from scanside_runtime.analysis.result import Analysis
    from scanside_runtime.errors import ScansideError
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.networks import load_networks
    from scanside_runtime.settings.tables import Settings

__all__ = ["Analysis", "Options", "ScansideError", "Settings", "analyze", "load_networks", "open_bundle"]

_LIES_IN = {
    "Analysis": "analysis.result",
    "Options": "analysis.options",
    "ScansideError": "errors",
    "Settings": "settings.tables",
    "analyze": "analysis.analyze",
    "load_networks": "model.networks",
    "open_bundle": "model.bundle",
}


def __getattr__(name: str) -> Any:
    """The door's names, on their first use: the daemon and `--help` import this package too, and load nothing of it."""
    if name not in _LIES_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LIES_IN[name]}"), name)


def __dir__() -> list[str]:
    return __all__
