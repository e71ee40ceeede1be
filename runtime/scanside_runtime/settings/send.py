"""Where results go by the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from scanside_runtime.settings.bounds import Seconds, SomeSeconds, Within, check
from scanside_runtime.settings.table import Table

OBJECTS = ("seg", "sr", "sc")
LONGEST_AE_TITLE = 16


@dataclass(frozen=True, slots=True)
class SendSettings(Table):
    """`[send]`: the picture archive that results are sent to (DICOM C-STORE). Without a host, nothing is sent.

    host: name or address of the archive.
    port: that it listens on.
    called_ae: the archive's AE title.
    calling_ae: this box's AE title, as the archive knows it.
    automatic: whether the watched folder sends each new result by itself; `scanside send` sends in any case.
    objects: what is sent: `seg` (Segmentation), `sr` (Structured Report), `sc` (key pictures).
    timeout_s: the archive must answer within so long.
    retry_after_s: the wait after a first failure, twice as long after each further one; it is tried for ever.
    retry_at_most_s: no wait is longer.
    commitment_s: so long the archive has to promise that it keeps what it took (storage commitment). 0: not asked.
    commitment_port: where this box listens for that promise while it sends, for archives that give it on a connection
        of their own. 0: nothing listens.
    tls_ca: PEM file with the certificate that the archive's own is signed by. Empty: no TLS.
    tls_certificate, tls_key: PEM files by which the archive knows this box, where it wants to.
    """

    host: str = ""
    port: Annotated[int, Within(1, 65_535)] = 104
    called_ae: str = "ANY-SCP"
    calling_ae: str = "SCANSIDE"
    automatic: bool = True
    objects: tuple[str, ...] = OBJECTS
    timeout_s: SomeSeconds = 30.0
    retry_after_s: SomeSeconds = 60.0
    retry_at_most_s: SomeSeconds = 3600.0
    commitment_s: Seconds = 10.0
    commitment_port: Annotated[int, Within(0, 65_535)] = 0
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""

    def _check_together(self) -> None:
        for name in ("called_ae", "calling_ae"):
            title = getattr(self, name)
            fits = title.isascii() and title.isprintable() and "\\" not in title
            check(fits and 0 < len(title.strip()) <= LONGEST_AE_TITLE, f"send.{name}", "it must have 1 to 16 letters")
        known = set(self.objects) <= set(OBJECTS)
        check(known and bool(self.objects), "send.objects", f"it must name some of {', '.join(OBJECTS)}")
        check(self.retry_after_s <= self.retry_at_most_s, "send.retry_at_most_s", "it must not be below retry_after_s")
        check(bool(self.tls_ca) or not self.tls_certificate, "send.tls_ca", "a certificate of our own needs it")

    @property
    def target(self) -> str:
        """The archive as messages and the book name it; empty where there is none."""
        return f"{self.called_ae}@{self.host}:{self.port}" if self.host else ""
