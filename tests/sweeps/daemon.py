"""The daemon with cheap children: `python daemon.py ROOT once|on [PREFIX OF THE WORKER ...]`.

With `once` it goes into the inbox itself, so that a fault in it is a fault in whatever is done there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from scanside_appliance.inbox import facts, porter
from scanside_appliance.inbox.porter import PORTER
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.service import log_to_stderr, watch
from scanside_runtime.errors import ScansideError
from scanside_runtime.settings.load import load_settings

HERE = Path(__file__).parent
PYTHON = (sys.executable, "-S")


def main() -> None:
    root, mode, *prefix = sys.argv[1:]
    log_to_stderr()
    porter.SILENT_S = facts.LONGEST_READ_S = float(os.environ.get("SILENT_S", porter.SILENT_S))
    settings = Path(root).with_suffix(".toml")
    plan = Plan(
        Path(root),
        lambda: load_settings(settings),
        settings_file=settings,
        once=mode == "once",
        worker=(*prefix, *PYTHON, str(HERE / "fake_worker.py")),
        probe=(*PYTHON, str(HERE / "fake_probe.py")),
        sender=(*PYTHON, str(HERE / "fake_sender.py")),
        porter=() if mode == "once" else PORTER,
        worklist=(),  # another child, which touches nothing that is swept
        hint=mode != "once",
    )
    try:
        watch(plan)
    except ScansideError as error:
        print(error.code, error.message, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
