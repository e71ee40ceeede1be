"""From whom studies are received by the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from scanside_runtime.settings.bounds import Megabytes, SomeSeconds, Within, check
from scanside_runtime.settings.send import LONGEST_AE_TITLE
from scanside_runtime.settings.table import Table


@dataclass(frozen=True, slots=True)
class ReceiveSettings(Table):
    """`[receive]`: `scanside receive` takes studies from scanners (DICOM C-STORE) and puts them into the inbox.

    host: address to listen on. The default is this machine alone; `0.0.0.0` is every network that it is on.
    port: to listen on; below 1024 it wants a right of its own.
    ae_title: this box's AE title; whoever calls another one is rejected.
    callers: who may send, each as `AE_TITLE@ADDRESS`, for example `CT1@192.168.1.20`. Nobody else is listened to, and
        without any nothing is received.
    associations: so many at once.
    max_object_mb: one object; a larger one ends its association. All that come at once are held in memory.
    idle_s: an association that says nothing for so long is ended.
    tls_certificate, tls_key: PEM files of this box. Without them there is no TLS.
    tls_ca: PEM file with the certificate that callers' own are signed by; then only such may send.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Within(1, 65_535)] = 11112
    ae_title: str = "SCANSIDE"
    callers: tuple[str, ...] = ()
    associations: Annotated[int, Within(1, 64)] = 4
    max_object_mb: Megabytes = 128
    idle_s: SomeSeconds = 60.0
    tls_certificate: str = ""
    tls_key: str = ""
    tls_ca: str = ""

    def _check_together(self) -> None:
        titles = [("ae_title", self.ae_title), *(("callers", one.partition("@")[0]) for one in self.callers)]
        for name, title in titles:
            fits = title.isascii() and title.isprintable() and "\\" not in title
            fits = fits and 0 < len(title.strip()) <= LONGEST_AE_TITLE
            check(fits, f"receive.{name}", "an AE title has 1 to 16 letters")
        addressed = all(one.partition("@")[2].strip() for one in self.callers)
        check(addressed, "receive.callers", "each must be AE_TITLE@ADDRESS")
        both = bool(self.tls_certificate) == bool(self.tls_key)
        check(both, "receive.tls_key", "certificate and key go together")
        check(bool(self.tls_certificate) or not self.tls_ca, "receive.tls_certificate", "callers' certificates need it")

    def knows(self, title: str, address: str) -> bool:
        """Whether somebody of this AE title may send from this address."""
        return any(
            (title.strip(), address) == (name.strip(), place.strip())
            for name, _, place in (one.partition("@") for one in self.callers)
        )
