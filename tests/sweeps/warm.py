"""What processes import when they first need it, imported before: a fork is as warm as one that did it all before."""

from __future__ import annotations

import codecs
import importlib
import io
import pkgutil
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress

from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map

import scanside_appliance
from scanside_appliance.bundles.record import BundleRecord
from scanside_appliance.cli.main import app
from scanside_appliance.languages.catalogue import ENGLISH
from scanside_appliance.page.templates import page_templates
from scanside_runtime.dicom.headers import import_encodings
from scanside_runtime.dicom.values.body_parts import part_named
from scanside_runtime.process.typed import typed

_WINGS = (
    "dicom_out",
    "jobs",
    "inbox",
    "page",
    "pictures",
    "results",
    "service",
    "cli",
    "backup",
    "upkeep",
    "bundles",
    "network",
    "worklist",
    "files",
    "languages",
)


def _modules() -> Iterator[str]:
    roots = ["scanside_runtime", *(f"scanside_appliance.{wing}" for wing in _WINGS)]
    for root in roots:
        package = importlib.import_module(root)
        found = (one.name for one in pkgutil.walk_packages(package.__path__, f"{root}."))
        yield from (name for name in found if not name.endswith("__main__"))


def import_everything() -> None:
    """What an analysis imports and keeps when it first needs it: a fork is as warm as a worker that measured before."""
    own = (f"scanside_appliance.{one.name}" for one in pkgutil.iter_modules(scanside_appliance.__path__))
    late = ("openvino", "jinja2.ext", "pprint", "importlib.readers", "importlib.resources.readers")
    of_commands = (
        "typer._adapters",
        "pydantic._migration",
        "pydantic.plugin._loader",
        "pydantic.plugin._schema_validator",
        "pydantic_core",
    )
    for module in (*_modules(), *own, *late, *of_commands):
        with suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(module)
    import_encodings()
    codecs.lookup("cp437")
    get_iod_module_map(), get_module_attribute_map()
    with suppress(SystemExit), redirect_stdout(io.StringIO()):
        app(["--version"], standalone_mode=False)
    typed(BundleRecord, {"schema": "", "changes": []})
    part_named("chest")
    for name in page_templates(ENGLISH).list_templates():
        page_templates(ENGLISH).get_template(name)
