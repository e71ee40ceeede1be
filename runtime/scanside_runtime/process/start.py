"""How a child of ours begins: it is bound to its parent before it imports what takes time.

`python -m scanside_runtime.process.start MODULE ARGUMENTS... BIRTH` runs the module; `child.module` is that command.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys

from scanside_runtime.process.settle import settle_in
from scanside_runtime.process.system_calls import prctl

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Die when the parent does, also when it is killed, and at once where it is gone already.

    The kernel goes by the thread that started this process: it must live as long as the child is needed.
    """
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Be the module that the first argument names."""
    end_with(json.loads(sys.argv[-1])["Birth"]["parent"])
    del sys.argv[0]
    settle_in(sys.argv[0])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
