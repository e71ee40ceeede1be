"""C-STORE to an archive, storage commitment where it is offered, C-ECHO: the side that asks (PS3.4 B, J and A)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanside_appliance.extras import extra
from scanside_appliance.files.owner import as_root
from scanside_appliance.network.commitment import Commitment, asks_for_commitment
from scanside_appliance.network.errors import BoxSendRefused, BoxSendTls, BoxSendUnreachable, BoxSendUnset
from scanside_appliance.network.messages import ObjectSent
from scanside_appliance.network.weighed import answers_weighed
from scanside_runtime.settings.send import SendSettings

with extra("dicom-network"):
    from pydicom import dcmread
    from pydicom.dataset import Dataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext, build_context
    from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

SLOWEST_BYTES_PER_S = 8000.0
"""The slowest line that an object is given time for: pynetdicom waits for the answer from when it begins to send."""
_IS_THERE_ALREADY = 0x0111  # Duplicate SOP Instance (PS3.7 C.5.7)
_OUT_OF_RESOURCES = range(0xA700, 0xA800)


@dataclass(frozen=True, slots=True)
class _Object:
    """A file to send, by what its file meta information says."""

    path: Path
    sop_class: UID
    sop_uid: UID


def echo(settings: SendSettings) -> None:
    """C-ECHO: does the archive answer? Raises BoxSendUnset, BoxSendUnreachable, BoxSendTls."""
    with _associated(settings, [build_context(Verification)], settings.timeout_s) as association:
        if association.send_c_echo().get("Status") != 0:
            raise BoxSendUnreachable(target=settings.target, why="it answers, but not with success")


def send(folder: Path, names: Sequence[str], settings: SendSettings, sent: Callable[[ObjectSent], None]) -> set[str]:
    """Send files, in this order; `sent` is told of each that the archive has. The UIDs that it commits itself to keep.

    Raises BoxSendUnset, BoxSendUnreachable (try again later), BoxSendRefused (a person must look), BoxSendTls, OSError.
    """
    objects = [_object(folder / name) for name in names]
    with Commitment.expected(settings) as commitment:
        contexts, longest_s = list(_contexts(objects, settings)), settings.timeout_s + _longest_s(objects)
        with _associated(settings, contexts, longest_s, commitment.handlers) as association:
            refusals = [why for one in objects if (why := _store(association, one, settings, sent)) is not None]
            if refusals:
                raise refusals[0]
            commitment.ask(association, [(one.sop_class, one.sop_uid) for one in objects])
        return commitment.committed


def _object(path: Path) -> _Object:
    meta = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).file_meta
    return _Object(path, UID(meta.MediaStorageSOPClassUID), UID(meta.MediaStorageSOPInstanceUID))


def _longest_s(objects: Sequence[_Object]) -> float:
    """How long the largest object may be on its way."""
    return max(one.path.stat().st_size for one in objects) / SLOWEST_BYTES_PER_S


def _contexts(objects: Sequence[_Object], settings: SendSettings) -> Iterator[PresentationContext]:
    for sop_class in dict.fromkeys(one.sop_class for one in objects):
        yield build_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    if asks_for_commitment(settings):
        yield build_context(StorageCommitmentPushModel)


@contextmanager
def _associated(
    settings: SendSettings, contexts: list[PresentationContext], answer_s: float, handlers: Sequence[Any] = ()
) -> Iterator[Association]:
    """An association for the time of the block, in which each answer may take `answer_s`.

    Raises BoxSendUnset, BoxSendUnreachable, BoxSendTls.
    """
    if not settings.host:
        raise BoxSendUnset()
    entity = ApplicationEntity(settings.calling_ae)
    entity.acse_timeout = entity.connection_timeout = settings.timeout_s
    entity.dimse_timeout = entity.network_timeout = answer_s
    tls = _tls(settings)
    association = entity.associate(
        settings.host,
        settings.port,
        contexts=contexts,
        ae_title=settings.called_ae,
        evt_handlers=[*handlers, *answers_weighed(answer_s)],
        tls_args=None if tls is None else (tls, settings.host),
    )
    if not association.is_established:
        raise BoxSendUnreachable(target=settings.target, why=_why_not(association))
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def _why_not(association: Association) -> str:
    if association.is_rejected:
        answer = association.acceptor.primitive
        return f"it rejects the association ({getattr(answer, 'reason_str', 'without a reason')})"
    return "it takes none of the object types" if association.rejected_contexts else "no connection"


def _store(
    association: Association, one: _Object, settings: SendSettings, sent: Callable[[ObjectSent], None]
) -> BoxSendRefused | None:
    """Send one object; the refusal where the archive does not take it. Raises BoxSendUnreachable."""
    target, name = settings.target, one.path.name
    if not any(context.abstract_syntax == one.sop_class for context in association.accepted_contexts):
        return BoxSendRefused(target=target, name=name, why=f"it accepts no {one.sop_class.name}")
    if not association.is_established:
        raise BoxSendUnreachable(target=target, why="the connection was lost")
    answer: Dataset = association.send_c_store(dcmread(one.path))
    status = answer.get("Status")
    if status is None:
        raise BoxSendUnreachable(target=target, why=f"no answer to {name}")
    if status in _OUT_OF_RESOURCES:
        raise BoxSendUnreachable(target=target, why=f"it has no room (status {status:04X})")
    if status != _IS_THERE_ALREADY and not _is_taken(status):
        said = answer.get("ErrorComment") or "without a comment"
        return BoxSendRefused(target=target, name=name, why=f"status {status:04X}, {said}")
    sent(ObjectSent(name, one.sop_uid))
    return None


def _is_taken(status: int) -> bool:
    """Success, or a warning: what was coerced is kept all the same (PS3.4 B.2.3)."""
    return status == 0 or status in range(0xB000, 0xC000)


def _tls(settings: SendSettings) -> ssl.SSLContext | None:
    """For a box that is to know its archive, and to be known. Raises BoxSendTls."""
    if not settings.tls_ca:
        return None
    try:
        with as_root():
            context = ssl.create_default_context(cafile=settings.tls_ca)
            if settings.tls_certificate:
                context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    except (OSError, ValueError) as error:
        raise BoxSendTls(why=error) from error
    return context
