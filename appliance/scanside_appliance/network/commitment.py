"""Storage commitment (PS3.4 Annex J): the archive says, in its own time, what it will keep."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scanside_appliance.extras import extra
from scanside_appliance.files.owner import as_root
from scanside_appliance.network.weighed import answers_weighed
from scanside_runtime.settings.send import SendSettings

with extra("dicom-network"):
    from pydicom.dataset import Dataset
    from pydicom.uid import UID, generate_uid
    from pynetdicom import evt
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.association import Association
    from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

SUCCESS = 0x0000


def asks_for_commitment(settings: SendSettings) -> bool:
    """Whether the archive is asked at all."""
    return settings.commitment_s > 0


@dataclass(slots=True)
class Commitment:
    """What was asked for, and what came back. Reports come on the asking association, or on one that the archive opens.

    committed: UIDs that the archive will keep.
    """

    wait_s: float
    transaction: UID = field(default_factory=generate_uid)
    committed: set[str] = field(default_factory=set)
    _answered: threading.Event = field(default_factory=threading.Event)

    @classmethod
    @contextmanager
    def expected(cls, settings: SendSettings) -> Iterator[Commitment]:
        """With a port that listens for the archive's report, as long as the block lasts, where one is set.

        Raises OSError where that port can't be listened on.
        """
        commitment = cls(settings.commitment_s)
        if not (asks_for_commitment(settings) and settings.commitment_port):
            yield commitment
            return
        entity = ApplicationEntity(settings.calling_ae)
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        address = ("0.0.0.0", settings.commitment_port)
        handlers = [*commitment.handlers, *answers_weighed(settings.timeout_s)]
        with as_root():  # a port below 1024 is root's
            server = entity.start_server(address, block=False, evt_handlers=handlers)
        try:
            yield commitment
        finally:
            if server is not None:
                server.shutdown()
                server.server_close()

    @property
    def handlers(self) -> list[Any]:
        """What pynetdicom is to call when a report comes."""
        return [(evt.EVT_N_EVENT_REPORT, self._on_report)]

    def _on_report(self, event: Any) -> tuple[int, None]:
        report: Dataset = event.event_information
        if report.get("TransactionUID") == self.transaction:
            self.committed |= {str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence") or ()}
            self._answered.set()
        return SUCCESS, None

    def ask(self, association: Association, objects: Sequence[tuple[UID, UID]]) -> None:
        """Ask for these (class, instance), and wait for the answer. An archive that offers none is not asked."""
        offered = any(c.abstract_syntax == StorageCommitmentPushModel for c in association.accepted_contexts)
        if self.wait_s <= 0 or not offered:
            return
        request = Dataset()
        request.TransactionUID = self.transaction
        request.ReferencedSOPSequence = [_reference(*one) for one in objects]
        asked_of = (StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        status, _ = association.send_n_action(request, 1, *asked_of)
        if status.get("Status") == SUCCESS:
            self._answered.wait(self.wait_s)


def _reference(sop_class: UID, sop_uid: UID) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_uid
    return item
