"""A destination that is reached by C-STORE (PS3.4 annex B), and what both sides of DIMSE share."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom

from monai_sr.core import OptionError, OutputError, import_extra
from monai_sr.node.config import ClientTls, DestinationConfig, ServerTls

_ACCEPTED = (0x0000, 0xB000, 0xB006, 0xB007)  # success, and warnings about what was stored
_TRANSFER_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
VERIFICATION = "1.2.840.10008.1.1"


class DimseDestination:
    """Sends files by C-STORE, those of a result over one association.

    Args:
        where: the configuration, with ae_title, host and port.
        ae_title: of this node.

    Raises:
        OptionError: a certificate cannot be used.
        MissingDependencyError: pynetdicom is not installed.
    """

    def __init__(self, where: DestinationConfig, ae_title: str) -> None:
        self._where, self._own_title = where, ae_title
        self._tls = None if where.tls is None else client_context(where.tls, where.name)
        import_extra("pynetdicom", extra="node")

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._where.name

    def send(self, files: Sequence[Path]) -> None:
        """Send files; return when the destination has said so of each.

        Raises:
            OutputError: it has not.
        """
        contexts: dict[str, set[str]] = {}
        for file in files:
            meta = pydicom.filereader.read_file_meta_info(file)
            syntaxes = contexts.setdefault(str(meta.MediaStorageSOPClassUID), set())
            syntaxes.add(str(meta.TransferSyntaxUID))
        with self._association(contexts) as association:
            for i, file in enumerate(files):
                try:
                    answer = association.send_c_store(pydicom.dcmread(file))
                except (ValueError, RuntimeError) as error:
                    raise self._error(f"no agreement on result {i + 1} of {len(files)}") from error
                status = answer.get("Status")
                if status not in _ACCEPTED:
                    got = "no answer" if status is None else f"status 0x{status:04X}"
                    raise self._error(f"{got} to result {i + 1} of {len(files)}")

    def check(self) -> None:
        """Ask by C-ECHO (PS3.4 annex A).

        Raises:
            OutputError: it does not answer.
        """
        with self._association({VERIFICATION: set()}) as association:
            if association.send_c_echo().get("Status") != 0:
                raise self._error("no answer to C-ECHO")

    @contextmanager
    def _association(self, contexts: dict[str, set[str]]) -> Iterator[Any]:
        from pynetdicom import AE, build_context

        entity = AE(self._own_title)
        entity.acse_timeout = entity.dimse_timeout = self._where.timeout_seconds
        entity.network_timeout = entity.connection_timeout = self._where.timeout_seconds
        wanted = []
        for sop_class, syntaxes in contexts.items():
            # One context a syntax: the acceptor chooses one of each.
            compressed = sorted(syntaxes.difference(_TRANSFER_SYNTAXES))
            wanted += [build_context(sop_class, syntax) for syntax in compressed]
            if not syntaxes or not syntaxes.issubset(compressed):
                wanted += [build_context(sop_class, syntax) for syntax in _TRANSFER_SYNTAXES]
        where: Any = self._where
        tls = None if self._tls is None else (self._tls, where.host)
        association = entity.associate(where.host, where.port, wanted, where.ae_title, tls_args=tls)
        if not association.is_established:
            got = "a rejection" if association.is_rejected else "none"
            raise self._error(f"{got} where an association was asked for")
        try:
            yield association
        except BaseException:
            association.abort()
            raise
        association.release()

    def _error(self, got: str) -> OutputError:
        return OutputError(
            f"destination {self.name}: must store the results, got {got}; it is tried again"
        )


def server_context(tls: ServerTls, place: str) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer that wants certificates of clients.

    Args:
        tls: the files.
        place: what errors call it.

    Raises:
        OptionError: a file cannot be used.
    """
    with _usable(place):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls.client_ca)
        context.load_cert_chain(tls.certificate, tls.key)
    return context


def client_context(tls: ClientTls, place: str) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer that checks the server's certificate and name.

    Args:
        tls: the files.
        place: what errors call it.

    Raises:
        OptionError: a file cannot be used.
    """
    with _usable(place):
        context = ssl.create_default_context(cafile=tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    return context


@contextmanager
def _usable(place: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise OptionError(
            f"{place}: tls: must name certificates and a key in PEM, got '{why}'; check them"
        ) from error
