"""Whoever guesses passwords waits: twice as long after each further one, by address, in a table with an end."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

FREE = 5
"""So many typing errors cost nothing."""
LONGEST_S = 60.0
FORGOTTEN_S = 900.0
ADDRESSES = 1024


@dataclass(slots=True)
class _Guesser:
    failures: int = 0
    last_s: float = 0.0

    @property
    def wait_s(self) -> float:
        """0 for the first few, then 1, 2, 4 ... s."""
        return min(2.0 ** (self.failures - FREE), LONGEST_S) if self.failures >= FREE else 0.0


class SlowDown:
    """Counts wrong passwords. Times are monotonic seconds. What does not fit any more is forgotten, oldest first.

    A right one forgives none of them: who guesses may share an address with somebody who reads.
    """

    def __init__(self) -> None:
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long nothing from this address is looked at."""
        one = self._guessers.get(_group(address))
        return 0.0 if one is None else max(one.last_s + one.wait_s - now_s, 0.0)

    def failed(self, address: str, now_s: float) -> int:
        """It was wrong; how often that makes."""
        group = _group(address)
        one = self._guessers.pop(group, None)
        if one is None or now_s - one.last_s > FORGOTTEN_S:
            one = _Guesser()
        one.failures, one.last_s = min(one.failures + 1, 1000), now_s
        self._guessers[group] = one
        if len(self._guessers) > ADDRESSES:
            self._guessers.popitem(last=False)
        return one.failures


def _group(address: str) -> str:
    """One machine has a whole /64 of IPv6 to itself."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
