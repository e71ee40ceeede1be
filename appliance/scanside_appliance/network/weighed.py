"""What the other side of an association sends is weighed before it fills the memory: each PDU, and all together."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Any

from scanside_appliance.extras import extra

with extra("dicom-network"):
    from pynetdicom import evt

LONGEST_PDU_BYTES = 2**20
"""What ends an association at once: the other side may be a little beside what was agreed, not far."""
MOST_ANSWER_BYTES = 2**24
"""What an archive may send in an association: it answers, in some hundred bytes an object."""
log = logging.getLogger("scanside")


def bound_pdus(event: Any) -> None:
    """For EVT_CONN_OPEN. A length that pynetdicom 3.0 believes: it reads a PDU whole before anybody may weigh it."""
    receive: Callable[[int], bytearray] = event.assoc.dul.socket.recv

    def bounded(length: int) -> bytearray:
        if length > LONGEST_PDU_BYTES:
            raise OSError(errno.EMSGSIZE, f"a PDU that says it has {length} bytes")
        return receive(length)

    event.assoc.dul.socket.recv = bounded


def answers_weighed() -> list[Any]:
    """Handlers for the side that asks: who answers without end is hung up on."""
    arrived: dict[Any, int] = {}

    def weigh(event: Any) -> None:
        arrived[event.assoc] = arrived.get(event.assoc, 0) + len(event.data)
        if arrived[event.assoc] > MOST_ANSWER_BYTES:
            log.error("send: an answer of more than %d MB was broken off", MOST_ANSWER_BYTES // 2**20)
            event.assoc.abort()

    return [(evt.EVT_CONN_OPEN, bound_pdus), (evt.EVT_DATA_RECV, weigh)]
