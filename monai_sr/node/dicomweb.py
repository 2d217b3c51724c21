"""A destination that is reached by STOW-RS (PS3.18 10.5), through dicomweb-client.

A file is sent when the server says so of its SOP instance: a status alone is no receipt. Nothing
is retried here; the sender keeps what fails and comes again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from monai_sr.core import OutputError, import_extra
from monai_sr.node.config import DestinationConfig
from monai_sr.node.dimse import client_context
from monai_sr.node.http import read_token

_BATCH_BYTES = 64 << 20  # of one request; dicomweb-client holds it three times
_WHOLE_BODY = 1 << 31  # one with Content-Length: proxies refuse chunks more often


class DicomWebDestination:
    """Sends files by STOW-RS; safe from one thread at a time.

    Args:
        where: the configuration, with url.

    Raises:
        OptionError: a certificate or the token's file cannot be used.
        MissingDependencyError: dicomweb-client is not installed.
    """

    def __init__(self, where: DestinationConfig) -> None:
        self._where = where
        # They write identifiers: URLs, and UIDs of instances that failed.
        for name in ("dicomweb_client", "retrying", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._last: list[Any] = []
        web = import_extra("dicomweb_client.web", extra="node")
        self._client = web.DICOMwebClient(
            str(where.url).rstrip("/"),
            session=self._session(),
            timeout=where.timeout_seconds,
            chunk_size=_WHOLE_BODY,
            callback=self._note,
        )
        self._client.set_http_retry_params(retry=False)

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._where.name

    def send(self, files: Sequence[Path]) -> None:
        """Send files; return when the server has all.

        Args:
            files: DICOM files, which are sent as they are.

        Raises:
            OutputError: it has not, or says so of some; the line tells how many and why.
        """
        for batch in _batches(files):
            self._send(batch)

    def check(self) -> None:
        """Ask for one study (QIDO-RS, PS3.18 10.6): the service is there and lets us in.

        Raises:
            OutputError: it is not, or does not.
        """
        self._asked(lambda: self._client.search_for_studies(limit=1, fields=["StudyDate"]))

    def _send(self, files: Sequence[Path]) -> None:
        import pydicom

        datasets = [pydicom.dcmread(file) for file in files]
        asked = {str(dataset.SOPInstanceUID) for dataset in datasets}
        # A failure of all instances has a dataset that says why (PS3.18 10.5.3).
        response = self._asked(lambda: self._client.store_instances(datasets), HTTPStatus.CONFLICT)
        has, reasons = receipt(response)
        if response.status_code == HTTPStatus.OK and not has and not reasons:
            return  # some servers answer 200 without a dataset
        if missing := asked - has:
            why = ", ".join(sorted(reasons)) or "no reason"
            raise self._error(
                f"{len(missing)} of {len(asked)} instances were not stored ({why})",
                "see the server's log",
            )

    def _asked(self, ask: Callable[[], Any], *failures: int) -> Any:
        """Ask the server; return its answer, also one of the given statuses of failure."""
        import requests

        self._last.clear()
        try:
            ask()
        except requests.RequestException as error:
            if not self._last or self._last[-1].status_code not in failures:
                raise self._error(_told(error, self._last), "it is tried again") from None
        except (ValueError, KeyError, AttributeError):
            if not self._last:  # what an answer says is read here, not there
                raise
        return self._last[-1]

    def _note(self, response: Any, *_: Any, **__: Any) -> None:
        self._last.append(response)

    def _session(self) -> Any:
        import requests

        session = requests.Session()
        # Proxies, .netrc and authorities of the environment would go before what is written here.
        session.trust_env = False
        session.max_redirects = 0  # a POST that is redirected becomes a GET, which stores nothing
        session.headers["Accept"] = "application/dicom+json"
        where = self._where
        if where.tls is not None:
            client_context(where.tls, where.name)  # says which file is wrong, before the first try
            session.verify = True if where.tls.ca is None else str(where.tls.ca)
            if where.tls.certificate is not None:
                session.cert = (str(where.tls.certificate), str(where.tls.key))
        if where.token_file is not None:
            session.headers["Authorization"] = f"Bearer {read_token(where.token_file)}"
        return session

    def _error(self, what: str, remedy: str) -> OutputError:
        return OutputError(f"destination {self.name}: must store the results, got {what}; {remedy}")


def receipt(response: Any) -> tuple[set[str], set[str]]:
    """Read the dataset of an answer to STOW (PS3.18 10.5.3, PS3.3 Store Instances Response).

    Args:
        response: of requests.

    Returns:
        SOP Instance UIDs of the instances that the server has, and the reasons of those that it
        has not, such as ``0xA700``; both empty where the answer has no such dataset.
    """
    dataset = _dataset(response)
    stored = {
        str(item.ReferencedSOPInstanceUID)
        for item in dataset.get("ReferencedSOPSequence") or []
        if item.get("ReferencedSOPInstanceUID")
    }
    reasons, failed = set(), set()
    for name in ("FailedSOPSequence", "OtherFailuresSequence"):
        for item in dataset.get(name) or []:
            reason = item.get("FailureReason")
            reasons.add("no reason" if reason is None else f"0x{int(reason):04X}")
            failed.add(str(item.get("ReferencedSOPInstanceUID")))
    return stored - failed, reasons


def _dataset(response: Any) -> Any:
    import pydicom

    try:
        found = response.json()
        return pydicom.Dataset.from_json(found[0] if isinstance(found, list) else found)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return pydicom.Dataset()  # none: the server has not said what it stored


def _batches(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield files in groups that one request may hold."""
    batch: list[Path] = []
    size = 0
    for file in files:
        length = file.stat().st_size
        if batch and size + length > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += length
    if batch:
        yield batch


def _told(error: Exception, answers: Sequence[Any]) -> str:
    """Say what failed without the text of libraries, which has the URL."""
    if answers and answers[-1].status_code >= HTTPStatus.MULTIPLE_CHOICES:
        return f"status {answers[-1].status_code}"
    return type(error).__name__
