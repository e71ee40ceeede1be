"""What the other side of an association sends is weighed before it fills the memory, and not waited for without end."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from scanside_appliance.extras import extra

with extra("dicom-network"):
    from pynetdicom import evt

BLOCK = 2**16
SHORTEST_WAIT_S = 0.01
LONGEST_PDU_BYTES = 2**20
"""What ends an association at once: the other side may be a little beside what was agreed, not far."""
MOST_ANSWER_BYTES = 2**24
"""What an archive may send in an association: it answers, in some hundred bytes an object."""
log = logging.getLogger("scanside")


def bound_pdus(longest_s: float) -> Callable[[Any], None]:
    """For EVT_CONN_OPEN: no PDU has more bytes than it may, and what has begun is there within so long.

    pynetdicom 3.0 believes a length, and waits for its last byte without end: a scanner that loses its power in the
    middle would keep its association for ever.
    """

    def opened(event: Any) -> None:
        socket = event.assoc.dul.socket
        socket.recv = partial(_received, socket, longest_s)

    return opened


def _received(socket: Any, longest_s: float, length: int) -> bytearray:
    """As `AssociationSocket.recv`: so many bytes, fewer where the line is closed. Raises OSError."""
    if length > LONGEST_PDU_BYTES:
        raise OSError(errno.EMSGSIZE, f"a PDU that says it has {length} bytes")
    line, until, data = socket.socket, time.monotonic() + longest_s, bytearray()
    before = line.gettimeout()
    try:
        while len(data) < length:
            line.settimeout(max(SHORTEST_WAIT_S, until - time.monotonic()))
            block = line.recv(min(BLOCK, length - len(data)))
            if not block or time.monotonic() > until:
                break
            data += block
    finally:
        line.settimeout(before)
    return data


def answers_weighed(longest_s: float) -> list[Any]:
    """Handlers for the side that asks: who answers without end is hung up on, and who is silent in the middle."""
    arrived: dict[Any, int] = {}

    def weigh(event: Any) -> None:
        arrived[event.assoc] = arrived.get(event.assoc, 0) + len(event.data)
        if arrived[event.assoc] > MOST_ANSWER_BYTES:
            log.error("send: an answer of more than %d MB was broken off", MOST_ANSWER_BYTES // 2**20)
            event.assoc.abort()

    return [(evt.EVT_CONN_OPEN, bound_pdus(longest_s)), (evt.EVT_DATA_RECV, weigh)]
