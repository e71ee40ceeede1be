"""Whether the service may write memory and then run it: OpenVINO makes its code so, ONNX Runtime has no need to.

A service that may not and computes with OpenVINO all the same finds that at its self-test, and takes ONNX Runtime.
"""

from __future__ import annotations

import os
from pathlib import Path

from scanside_appliance.files.atomic import replace_file

UNITS = Path("/etc/systemd/system")
SERVICE = "scanside-watch.service"
MAKES_CODE = "openvino"
DROP_IN = b"""# Written by `scanside tune`: the engine that it chose makes no code of its own.
[Service]
MemoryDenyWriteExecute=yes
"""


def fit_to_engine(engine: str, units: Path = UNITS) -> bool:
    """Give the installed service what its engine needs and no more; whether that is a change, for its next start.

    Nothing is done where no service is installed, or this user may not change it. Raises OSError.
    """
    file = units / f"{SERVICE}.d" / "engine.conf"
    denied = engine != MAKES_CODE
    if not (units / SERVICE).is_file() or not os.access(units, os.W_OK) or file.is_file() == denied:
        return False
    if denied:
        file.parent.mkdir(mode=0o755, exist_ok=True)
        replace_file(file, DROP_IN)
    else:
        file.unlink()
    return True
