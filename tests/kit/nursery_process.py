"""The process that waits, with all that a fresh child of one module has imported, and forks one for each order.

`python -m kit.nursery_process MODULE SOCKET`; the side that orders: `nursery`. It ends when that side's socket does: a
signal at the parent's death (PR_SET_PDEATHSIG) comes already when the thread ends that ordered first.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from scanside_runtime.process.settle import settle_in
from scanside_runtime.process.start import end_with

_LARGEST_ORDER = 2**17
_OUT_OF_THE_WAY = 200


def main() -> None:
    """Wait for orders, and fork for each a process that is nobody's child here."""
    name, orders = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
    settle_in(name)
    module = import_module(name)
    while True:
        order, handles, _, _ = socket.recv_fds(orders, _LARGEST_ORDER, 16)
        if not order:
            return
        orders.send(str(_forked(module, json.loads(order), handles)).encode())
        for handle in handles:
            os.close(handle)


def _forked(module: Any, order: dict[str, Any], handles: Sequence[int]) -> int:
    """A reader whose parent is gone when its number is known: it is the test's child then."""
    told, tell = os.pipe()
    between = os.fork()
    if between == 0:
        between, reader = os.getpid(), os.fork()
        if reader == 0:
            _be(module, order, handles, between)
        os.write(tell, str(reader).encode())
        os._exit(0)
    os.waitpid(between, 0)
    os.close(tell)
    with os.fdopen(told) as number:
        return int(number.read())


def _be(module: Any, order: dict[str, Any], handles: Sequence[int], between: int) -> None:
    """What a fresh process would be: its own handles and nothing else, its own environment, session and end."""
    parked = [os.dup2(handle, _OUT_OF_THE_WAY + number) for number, handle in enumerate(handles)]
    os.closerange(3, _OUT_OF_THE_WAY)
    for place, handle in zip(order["places"], parked, strict=True):
        os.dup2(handle, place)
    os.closerange(_OUT_OF_THE_WAY, _OUT_OF_THE_WAY + len(parked))
    os.setsid()
    os.environ.clear()
    os.environ.update(order["environment"])
    os.umask(order["umask"])
    sys.argv = order["argv"]
    code = 1
    try:
        while os.getppid() == between:
            time.sleep(0.0005)
        end_with(json.loads(sys.argv[-1])["Birth"]["parent"])
        module.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  as the interpreter does
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
