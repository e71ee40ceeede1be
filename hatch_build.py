"""What the build adds to a wheel or a source archive: the commit that it is made of, for every result's provenance."""

from __future__ import annotations

import runpy
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = {"wheel": "scanside_runtime", "sdist": "runtime/scanside_runtime"}


class CommitHook(BuildHookInterface):
    """Puts `commit.txt` beside `version.py`. An archive's own is kept; an editable install asks its checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling: called before each target is built."""
        known = runpy.run_path(str(Path(self.root, "runtime/scanside_runtime/version.py")))
        commit = known["checkout_commit"](Path(self.root))
        if commit is None or version == "editable":
            return
        written = Path(mkdtemp(), "commit.txt")
        written.write_text(f"{commit}\n", encoding="ascii")
        build_data["force_include"][str(written)] = f"{PACKAGE[self.target_name]}/commit.txt"
