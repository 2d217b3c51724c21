"""Takes instances by STOW-RS into the spool (PS3.18 10.5): each part goes to the disk as it comes.

The answer is written after every instance that it calls stored has been flushed and renamed. An
instance that is refused takes nothing away from those beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from io import BytesIO
from typing import Any

import pydicom

from monai_sr.core import get_logger, ignored_warnings, silent_pydicom
from monai_sr.node.http import Answer, Refused
from monai_sr.node.metrics import Metrics
from monai_sr.node.multipart import Multipart, RequestBody
from monai_sr.node.names import is_uid
from monai_sr.node.objects import CANNOT_UNDERSTAND, RefusedError, Stored
from monai_sr.node.scp import count
from monai_sr.node.spool import Sender, Spool

_LOG = get_logger(__name__)
_RETRY_SECONDS = "30"
_MAX_HEADER = 8192
_KIND = "application/dicom"
_IDENTITY = ["SOPClassUID", "SOPInstanceUID"]


@dataclass
class _Outcome:
    """What became of the parts of a request: stored ones, and refused ones with their UIDs."""

    stored: list[Stored] = field(default_factory=list)
    refused: list[tuple[int, Sequence[str]]] = field(default_factory=list)


class StowStore:
    """Stores what requests bring; any number of threads may post.

    Args:
        spool: where it goes.
        metrics: what counts.
        max_parts: instances of one request.
        max_bytes: of one request.
    """

    def __init__(
        self, spool: Spool, metrics: Metrics, *, max_parts: int = 100_000, max_bytes: int = 1 << 40
    ) -> None:
        self._spool, self._metrics = spool, metrics
        self._max_parts, self._max_bytes = max_parts, max_bytes

    def admit(self, length: int | None) -> None:
        """Refuse a request as a whole, before its body, where the spool is full.

        Args:
            length: of the body; None where it is not known.

        Raises:
            Refused: 503 with Retry-After.
        """
        if not self._spool.has_room(length or 0):
            self._metrics.add("rejected", label="full")
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "spool: must have room; try again later",
                Retry_After=_RETRY_SECONDS,
            )  # fmt: skip

    def post(self, body: RequestBody, headers: Message, study_uid: str | None) -> Answer:
        """Store the instances of a body.

        Args:
            body: multipart/related of application/dicom.
            headers: of the request.
            study_uid: of the path; all instances must be of it.

        Returns:
            200, 202 or 409 with the Store Instances Response (PS3.18 10.5.3).

        Raises:
            Refused: 415, 400: it is no such body, or has no part.
            BrokenBodyError, LargeBodyError: see :class:`.Multipart`.
        """
        if study_uid is not None and not is_uid(study_uid):
            raise Refused(HTTPStatus.BAD_REQUEST, "study: must be a UID")
        parts = self._parts(body, headers)
        outcome = _Outcome()
        self._metrics.add("associations")
        with self._spool.open_sender() as sender:
            for part in parts:
                self._store(sender, parts, part, study_uid or "", outcome)
        if not outcome.stored and not outcome.refused:
            raise Refused(HTTPStatus.BAD_REQUEST, "body: must have a part, got none")
        _LOG.info("STOW: %d stored, %d refused", len(outcome.stored), len(outcome.refused))
        return _answer(outcome)

    def _store(
        self,
        sender: Sender,
        parts: Multipart,
        header: Message,
        study_uid: str,
        outcome: _Outcome,
    ) -> None:
        """Store the part that came last."""
        head = b""  # enough to tell whose a refused part is
        try:
            if "Content-Type" in header and header.get_content_type() != _KIND:
                raise RefusedError(CANNOT_UNDERSTAND, f"part: must be {_KIND}, got another kind")
            with sender.part() as part:
                for block in parts.content():
                    head = head or block
                    part.write(block)
                stored = sender.store(part, study_uid=study_uid)
                count(self._metrics, stored.is_new, stored.is_conflict, part.size)
                outcome.stored.append(stored)
        except RefusedError as error:
            self._metrics.add("refused", label=f"{error.status:04X}")
            _LOG.warning("object: refused with 0x%04X: %s", error.status, error)
            outcome.refused.append((error.status, _identity(head)))

    def _parts(self, body: RequestBody, headers: Message) -> Multipart:
        kinds = headers.get_content_type(), _parameter(headers, "type").lower()
        if kinds != ("multipart/related", _KIND):
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                'Content-Type: must be multipart/related; type="application/dicom"',
            )
        return Multipart(
            body, _parameter(headers, "boundary"),
            max_parts=self._max_parts, max_header=_MAX_HEADER, max_part=self._max_bytes,
        )  # fmt: skip


def _parameter(headers: Message, name: str) -> str:
    found = headers.get_param(name, "")
    return found if isinstance(found, str) else ""  # else in the form of RFC 2231: nobody's


def _identity(head: bytes) -> Sequence[str]:
    """Return the class and the instance of a refused part, as far as its beginning tells."""
    try:
        with silent_pydicom(), ignored_warnings():
            header = pydicom.dcmread(
                BytesIO(head), stop_before_pixels=True, specific_tags=list(_IDENTITY)
            )
            found = [str(header.get(keyword) or "") for keyword in _IDENTITY]
    except Exception:  # whatever pydicom meets in hostile bytes
        return ()
    return found if all(map(is_uid, found)) else ()


def _answer(outcome: _Outcome) -> Answer:
    """Make the Store Instances Response: PS3.18 10.5.3, attributes of PS3.18 table 10.5.3-2."""
    response = pydicom.Dataset()
    if outcome.stored:
        response.ReferencedSOPSequence = [
            _item(stored.sop_class, stored.sop_instance) for stored in outcome.stored
        ]
    named = [_item(uids[0], uids[1], reason) for reason, uids in outcome.refused if uids]
    if named:
        response.FailedSOPSequence = named
    nameless = [_item(reason=reason) for reason, uids in outcome.refused if not uids]
    if nameless:
        response.OtherFailuresSequence = nameless
    status = HTTPStatus.OK
    if outcome.refused:
        status = HTTPStatus.ACCEPTED if outcome.stored else HTTPStatus.CONFLICT
    return Answer(status, response.to_json().encode(), "application/dicom+json")


def _item(
    sop_class: str = "", sop_instance: str = "", reason: int | None = None
) -> pydicom.Dataset:
    item: Any = pydicom.Dataset()
    if sop_instance:
        item.ReferencedSOPClassUID = sop_class
        item.ReferencedSOPInstanceUID = sop_instance
    if reason is not None:
        item.FailureReason = reason
    return item  # type: ignore[no-any-return]
