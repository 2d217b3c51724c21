"""Receives by C-STORE and answers C-ECHO: who may, how much, and never half a study.

DICOM PS3.4 annex B, PS3.7, PS3.8 (rejections: table 9-21). Bytes of objects are kept as they come.
Who is not listed is turned away before an association, and so is everybody while the spool is full
(transient, local limit exceeded): within an association nothing is refused for lack of room.
"""

from __future__ import annotations

import ipaddress
import socketserver
import ssl
import threading
import time
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from monai_sr.core import OutputError, get_logger, import_extra
from monai_sr.node.config import NodeConfig
from monai_sr.node.dimse import VERIFICATION, server_context
from monai_sr.node.metrics import Metrics
from monai_sr.node.objects import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, RefusedError
from monai_sr.node.spool import Sender, Spool

if TYPE_CHECKING:
    from pynetdicom.events import Event

logger = get_logger(__name__)

SUCCESS = 0x0000
# (result, source, diagnostic) of A-ASSOCIATE-RJ.
_UNKNOWN_CALLER = (1, 1, 3)
_UNKNOWN_CALLED = (1, 1, 7)
_FULL = (2, 3, 2)
_SYNTAXES = (
    "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203)),
)  # fmt: skip
"""Little and big endian, RLE, JPEG, JPEG-LS, JPEG 2000; no video, no references to elsewhere."""
_POLL_SECONDS = 0.1
_ACCEPT_SECONDS = 0.5  # between looks at whether to stop; every 60th collects garbage


class StoreScp:
    """The side of a node that others connect to.

    Args:
        config: of the node.
        spool: where objects go.
        metrics: what counts.

    Raises:
        OptionError: a certificate cannot be used.
        OutputError: the port cannot be had.
        MissingDependencyError: pynetdicom is not installed.
    """

    def __init__(self, config: NodeConfig, spool: Spool, metrics: Metrics) -> None:
        import_extra("pynetdicom", extra="node")
        self._config, self._spool, self._metrics = config, spool, metrics
        self._peers = [(p.ae_title, ipaddress.ip_network(p.address)) for p in config.peers]
        self._senders: dict[Any, Sender] = {}
        self._lock = threading.Lock()
        self._entity = self._make_entity()
        self._server = self._make_server()
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_ACCEPT_SECONDS,), name="scp", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to take associations."""
        self._thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Take no new associations; the ongoing may finish.

        Args:
            grace_seconds: for how long; what is open then is aborted.
        """
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        end = time.monotonic() + grace_seconds
        while self._server.active_associations and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        for association in self._server.active_associations:
            association.abort()

    def open_associations(self) -> int:
        """Return how many are open."""
        with self._lock:
            return len(self._senders)

    def _make_entity(self) -> Any:
        from pynetdicom import AE, AllStoragePresentationContexts

        entity = AE(self._config.ae_title)
        limits = self._config.limits
        entity.maximum_pdu_size = limits.pdu
        entity.maximum_associations = limits.associations
        entity.network_timeout = entity.acse_timeout = limits.idle_seconds
        entity.dimse_timeout = limits.idle_seconds
        entity.add_supported_context(VERIFICATION)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), list(_SYNTAXES))
        return entity

    def _make_server(self) -> Any:
        from pynetdicom import evt

        handlers = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_REJECTED, self._on_rejected),
            (evt.EVT_CONN_CLOSE, self._on_closed),
            (evt.EVT_RELEASED, self._on_closed),
            (evt.EVT_ABORTED, self._on_closed),
            (evt.EVT_PDU_RECV, self._on_pdu),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_ECHO, lambda event: SUCCESS),
        ]
        config = self._config
        context = None if config.tls is None else server_context(config.tls, "node")
        kind = _server_class({network for _, network in self._peers}, context, config.limits)
        try:
            return self._entity.make_server(
                (config.host, config.port), evt_handlers=handlers, server_class=kind
            )
        except OSError as error:
            raise OutputError(
                f"{config.host}:{config.port}: cannot be listened on, got '{error.strerror}'; "
                "choose another host or port"
            ) from error

    def _on_requested(self, event: Event) -> None:
        """Decide on an association before it begins."""
        association = event.assoc
        request: Any = association.requestor.primitive
        address = plain_address(str(association.requestor.address))
        caller = str(request.calling_ae_title).strip()
        if not any(title == caller and address in net for title, net in self._peers):
            self._reject(association, _UNKNOWN_CALLER, "caller")
        elif str(request.called_ae_title).strip() != self._config.ae_title:
            self._reject(association, _UNKNOWN_CALLED, "called")
        elif not self._spool.has_room():
            self._reject(association, _FULL, "full")

    def _reject(self, association: Any, answer: tuple[int, int, int], reason: str) -> None:
        self._metrics.add("rejected", label=reason)
        logger.warning("association: rejected, %s", _REASONS[reason])
        association.acse.send_reject(*answer)
        association.is_rejected = True
        association.kill()  # waits until the answer is out

    def _on_rejected(self, event: Event) -> None:
        # Only pynetdicom's own decision fires this: too many at once.
        self._metrics.add("rejected", label="associations")
        logger.warning("association: rejected, %s", _REASONS["associations"])

    def _on_accepted(self, event: Event) -> None:
        with self._lock:
            self._senders[event.assoc] = self._spool.open_sender()
        self._metrics.add("associations")

    def _on_closed(self, event: Event) -> None:
        with self._lock:
            sender = self._senders.pop(event.assoc, None)
        if sender is not None:
            sender.close()

    def _on_pdu(self, event: Event) -> None:
        """Let no object grow beyond the limit in memory."""
        message: Any = event.assoc.dimse.message
        data = None if message is None else message.data_set
        if (
            data is not None
            and not isinstance(data, _Overflow)
            and data.tell() > self._config.limits.object_bytes
        ):
            message.data_set = _Overflow()

    def _on_store(self, event: Event) -> int:
        try:
            return self._store(event)
        except RefusedError as error:
            self._metrics.add("refused", label=f"{error.status:04X}")
            logger.warning("object: refused with 0x%04X: %s", error.status, error)
            return error.status
        except Exception as error:  # its text may hold anything that was sent
            self._metrics.add("refused", label=f"{CANNOT_UNDERSTAND:04X}")
            logger.error("object: refused, %s in the node", type(error).__name__)
            return CANNOT_UNDERSTAND

    def _store(self, event: Event) -> int:
        from pynetdicom.dsutils import encode_file_meta

        request: Any = event.request
        data = request.DataSet
        if isinstance(data, _Overflow):
            limit = self._config.limits.object_bytes
            raise RefusedError(
                OUT_OF_RESOURCES, f"object: must have {limit} bytes at most, got more"
            )
        with self._lock:
            sender = self._senders[event.assoc]
        with sender.part() as part:
            part.write(b"\0" * 128 + b"DICM" + encode_file_meta(event.file_meta))
            part.write(data.getbuffer())
            stored = sender.store(
                part, str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
            )
            size = part.size
        count(self._metrics, stored.is_new, stored.is_conflict, size)
        return SUCCESS


def plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address; an IPv4 one that came over IPv6 as what it is.

    Example:
        >>> plain_address("::ffff:10.0.0.7"), plain_address("fe80::1%eth0")
        (IPv4Address('10.0.0.7'), IPv6Address('fe80::1'))
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def count(metrics: Metrics, is_new: bool, is_conflict: bool, size: int) -> None:
    """Count an object that is safe.

    Args:
        metrics: what counts.
        is_new: whether it had not been received before.
        is_conflict: whether it went to quarantine at once.
        size: its bytes.
    """
    metrics.add("received" if is_new else "again")
    if is_new:
        metrics.add("received_bytes", size)
    if is_conflict:
        metrics.add("quarantined")


_REASONS = {
    "caller": "the calling AE title and address are not listed",
    "called": "the called AE title is not ours",
    "full": "the spool is full",
    "associations": "too many are open",
}


class _Overflow(BytesIO):
    """Stands for the rest of an object that is too large: takes bytes and keeps none."""

    def write(self, data: Any) -> int:
        return len(data)


def _server_class(
    networks: Iterable[Any], context: ssl.SSLContext | None, limits: Any
) -> type[Any]:
    from pynetdicom.transport import ThreadedAssociationServer

    class Server(ThreadedAssociationServer):
        """Accepts from listed addresses; the handshake of TLS is done in each peer's own thread."""

        request_queue_size = 64
        daemon_threads = True

        def verify_request(self, request: Any, client_address: Any) -> bool:
            address = plain_address(str(client_address[0]))
            is_listed = any(address in network for network in networks)
            if not is_listed:
                logger.warning("association: a call from an address that is not listed was closed")
            return is_listed

        def finish_request(self, request: Any, client_address: Any) -> None:
            request.settimeout(limits.idle_seconds)
            if context is not None:
                try:
                    request = context.wrap_socket(request, server_side=True)
                except (OSError, ssl.SSLError):
                    logger.warning("association: a call without a valid certificate was closed")
                    self.shutdown_request(request)
                    return
            super().finish_request(request, client_address)

        def shutdown(self) -> None:
            socketserver.BaseServer.shutdown(self)  # pynetdicom's own belongs to start_server

        def handle_error(self, request: Any, client_address: Any) -> None:
            logger.error("association: a call ended with an error")

    return Server
