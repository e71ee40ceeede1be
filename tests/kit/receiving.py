"""A box that listens to scanners on loopback, and what scanners send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.ae import ApplicationEntity
from pynetdicom.sop_class import Verification

from kit.archives import LOOPBACK, free_port
from kit.dicom_samples import make_slice
from scanside_appliance.network.received import Receiver
from scanside_appliance.network.scp import listening
from scanside_runtime.settings.box import DiskSettings
from scanside_runtime.settings.receive import ReceiveSettings
from sweeps.box import LONGEST_S

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700


@dataclass(frozen=True)
class Listener:
    """A box that listens, and its inbox."""

    settings: ReceiveSettings
    inbox: Path

    def files(self) -> list[Path]:
        return sorted(path for path in self.inbox.rglob("*") if path.is_file())

    def associate(self, calling: str = "CT1", called: str = "SCANSIDE", *syntaxes: str) -> Any:
        entity = ApplicationEntity(calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = LONGEST_S
        entity.add_requested_context(CTImageStorage, list(syntaxes or [ExplicitVRLittleEndian]))
        entity.add_requested_context(Verification)
        return entity.associate(LOOPBACK, self.settings.port, ae_title=called)


@contextmanager
def box(tmp_path: Path, disk: DiskSettings | None = None, **changes: Any) -> Iterator[Listener]:
    values = {"callers": (f"CT1@{LOOPBACK}",), "port": free_port(), "idle_s": LONGEST_S, **changes}
    settings = ReceiveSettings(**values)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    receiver = Receiver(inbox, disk or DiskSettings(stop_percent=100.0, clean_to_percent=100.0))
    receiver.begin()
    with listening(settings, receiver):
        yield Listener(settings, inbox)


def files_of(folder: Path, slices: int, *, uid: str = "", side: int = 8) -> list[Path]:
    """So many slices of side x side pixels. uid: their own begin with it."""
    folder.mkdir(parents=True)
    for number in range(slices):
        one = make_slice(number, np.full((side, side), 1000 + number, np.int16))
        if uid:
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{uid}.{number}"
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return sorted(folder.iterdir())


def sent(association: Any, path: Path) -> int:
    return int(association.send_c_store(path).get("Status", -1))
