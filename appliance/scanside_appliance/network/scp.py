"""A Storage SCP (PS3.4 B): known callers send CT images, an answer of success means that they are safe on the disk.

Nothing is parsed here but what the protocol says: an object goes into the inbox as it came. Who may send is decided by
address before a byte is read, and by AE title before an object is taken.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread
from typing import Any

from scanside_appliance.extras import extra
from scanside_appliance.network.errors import BoxReceivePort, BoxReceiveTls, BoxReceiveUnset
from scanside_appliance.network.received import DiskNearlyFull, Receiver
from scanside_appliance.network.weighed import bound_pdus
from scanside_runtime.settings.receive import ReceiveSettings

with extra("dicom-network"):
    from pydicom.uid import (
        CTImageStorage,
        DeflatedExplicitVRLittleEndian,
        EnhancedCTImageStorage,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEG2000TransferSyntaxes,
        JPEGLSTransferSyntaxes,
        JPEGTransferSyntaxes,
        LegacyConvertedEnhancedCTImageStorage,
        RLELossless,
    )
    from pynetdicom import evt
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.sop_class import Verification
    from pynetdicom.transport import ThreadedAssociationServer

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700  # PS3.4 B.2.3
SOP_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
TRANSFER_SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
    *(RLELossless, *JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes),
)
MOST_PDU_BYTES = 2**18
CALLING_AE_UNKNOWN = (0x01, 0x01, 0x03)  # rejected for good, by the service user: calling AE title (PS3.8 9.3.4)
log = logging.getLogger("scanside")


@contextmanager
def listening(settings: ReceiveSettings, receiver: Receiver, begin: Callable[[], None] | None = None) -> Iterator[int]:
    """Listen for the time of the block, in threads of its own; the port.

    begin: is called when the port and the files for TLS are had, before anybody is answered.

    Raises BoxReceiveUnset without callers, BoxReceivePort, BoxReceiveTls.
    """
    if not settings.callers:
        raise BoxReceiveUnset()
    entity = _entity(settings)
    with _bound(settings, receiver, entity) as server:
        if begin is not None:
            begin()
        Thread(target=server.serve_forever, name="receive", daemon=True).start()
        try:
            yield settings.port
        finally:
            entity.shutdown()
            BaseServer.shutdown(server)  # pynetdicom's own is for servers that it started itself


def _bound(settings: ReceiveSettings, receiver: Receiver, entity: ApplicationEntity) -> ThreadedAssociationServer:
    """Has the port, and answers nobody yet. Raises BoxReceivePort, BoxReceiveTls."""
    handlers, at = _Storing(settings, receiver).handlers(), (settings.host, settings.port)
    tls: Any = _tls(settings)
    try:
        return entity.make_server(at, evt_handlers=handlers, ssl_context=tls, server_class=ThreadedAssociationServer)
    except OSError as error:
        raise BoxReceivePort(address=f"{settings.host}:{settings.port}", why=error.strerror or error) from error


def _entity(settings: ReceiveSettings) -> ApplicationEntity:
    entity = ApplicationEntity(settings.ae_title)
    entity.require_called_aet = True
    entity.maximum_associations = settings.associations
    entity.maximum_pdu_size = MOST_PDU_BYTES
    entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = settings.idle_s
    entity.add_supported_context(Verification)
    for sop_class in SOP_CLASSES:
        entity.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
    return entity


class _Storing:
    """What is done with each event of an association."""

    def __init__(self, settings: ReceiveSettings, receiver: Receiver) -> None:
        self._settings, self._receiver = settings, receiver
        self._most_bytes = settings.max_object_mb * 2**20
        self._arrived: dict[Any, int] = {}

    def handlers(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        return [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_DATA_RECV, self._weigh),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda _: SUCCESS),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]

    def _opened(self, event: Any) -> None:
        """An address that no caller has is not listened to."""
        address = event.address[0]
        if not any(one.partition("@")[2].strip() == address for one in self._settings.callers):
            log.warning("receive: somebody at %s called who is not among receive.callers", address)
            event.assoc.dul.socket.close()
            return
        bound_pdus(self._settings.idle_s)(event)

    def _requested(self, event: Any) -> None:
        requestor = event.assoc.requestor
        title, address = str(requestor.primitive.calling_ae_title), requestor.address
        if not self._settings.knows(title, address):
            log.warning("receive: %r at %s is not among receive.callers", title, address)
            event.assoc.acse.send_reject(*CALLING_AE_UNKNOWN)

    def _weigh(self, event: Any) -> None:
        """An object that grows too large ends its association before it fills the memory."""
        arrived = self._arrived.get(event.assoc, 0) + len(event.data)
        self._arrived[event.assoc] = arrived
        if arrived > self._most_bytes:
            log.error("receive: an object of more than %d MB was broken off", self._settings.max_object_mb)
            event.assoc.abort()

    def _closed(self, event: Any) -> None:
        self._arrived.pop(event.assoc, None)

    def _store(self, event: Any) -> int:
        self._arrived[event.assoc] = 0
        try:
            self._receiver.keep(str(event.request.AffectedSOPInstanceUID), event.encoded_dataset())
        except DiskNearlyFull:
            log.error("receive: the disk is nearly full, the sender has to keep what it has")
            return OUT_OF_RESOURCES
        except OSError as error:
            log.error("receive: an object can't be kept: %s", error.strerror or type(error).__name__)
            return OUT_OF_RESOURCES
        return SUCCESS


class _HandshakeLater:
    """A TLS context as pynetdicom 3.0 asks for one, which would shake hands in the thread that listens.

    Whoever connects and says nothing, from whatever address, would keep everybody out. So it comes with the first byte
    that is read, in the association's own thread, once its address is known.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_socket(self, line: socket.socket, *, server_side: bool) -> ssl.SSLSocket:
        """The line, with TLS to come."""
        return self._context.wrap_socket(line, server_side=server_side, do_handshake_on_connect=False)


def _tls(settings: ReceiveSettings) -> Any:
    """Raises BoxReceiveTls."""
    if not settings.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        if settings.tls_ca:
            context.load_verify_locations(settings.tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise BoxReceiveTls(why=error) from error
    return _HandshakeLater(context)
