"""Why the daemon can't run."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed


class BoxRunning(BoxFailed):
    """Another scanside watch works in {root}."""

    code = "BOX_RUNNING"
    advice = "One is enough: end the other one first, or give this one another --root."


class BoxStuck(BoxFailed):
    """What lies in the inbox could not be worked off: {why}."""

    code = "BOX_STUCK"
    advice = "Nothing is lost. Put right what it says (disk space, permissions) and start again."
