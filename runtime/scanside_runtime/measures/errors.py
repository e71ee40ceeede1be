"""Why a severity model can't be used."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed


class SeverityModelUnusable(BoxFailed):
    """The severity model {name} can't be used: {why}."""

    code = "BOX_SEVERITY_MODEL"
    advice = "Correct the file, or go back to the model before it with `scanside severity rollback`."
