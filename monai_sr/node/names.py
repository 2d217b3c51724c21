"""Keyed hashes in place of identifiers: in file names, logs and messages of a node.

HMAC-SHA-256 (RFC 2104) under a secret of the node: who has a log cannot test guesses of a UID, and
one image has one name as long as the key is kept. UIDs: DICOM PS3.5 section 9.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from monai_sr.core import OptionError, OutputError

_KEY_BYTES = 32
_NAME_DIGITS = 24  # 96 bits: no two of a billion names meet
_DIGEST_DIGITS = 16
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+", re.ASCII)
_MAX_UID = 64
_UID_LIKE = re.compile(r"\d+(?:\.\d+){3,}", re.ASCII)
_LEAST_WORD = 3  # shorter words of a name are words of messages, too


def is_uid(text: str) -> bool:
    """Tell whether text is a UID: digits and dots, 64 at most, no leading zeros.

    Example:
        >>> is_uid("1.2.840.10008.1.1"), is_uid("1.02"), is_uid("../1.2")
        (True, False, False)
    """
    return len(text) <= _MAX_UID and _UID.fullmatch(text) is not None


class Names:
    """Names of studies, series and objects by their UIDs.

    Args:
        key: the secret.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def study(self, uid: str) -> str:
        """Return the name of a study."""
        return self._hash(b"study", uid.encode())[:_NAME_DIGITS]

    def series(self, uid: str) -> str:
        """Return the name of a series."""
        return self._hash(b"series", uid.encode())[:_NAME_DIGITS]

    def instance(self, uid: str) -> str:
        """Return the name of an object."""
        return self._hash(b"instance", uid.encode())[:_NAME_DIGITS]

    def content(self) -> "Digest":
        """Return what hashes the content of an object bit by bit."""
        return Digest(self._key)

    def _hash(self, kind: bytes, data: bytes) -> str:
        return hmac.new(self._key, kind + b"\0" + data, hashlib.sha256).hexdigest()

    def scrub(self, text: str, values: Iterable[str] = ()) -> str:
        """Return a message without what identifies.

        Args:
            text: a message of code that did not promise to name nothing.
            values: what identifies the patient: names, numbers; UIDs are known by their form.

        Example:
            >>> Names(b"secret").scrub("1.2.840.5.7: bad value of DOE", ["DOE^JOHN"])
            '(uid 8ecafcb5): bad value of (removed)'
        """
        text = _UID_LIKE.sub(lambda m: f"(uid {self._hash(b'uid', m[0].encode())[:8]})", text)
        words = {word for value in values for word in (value, *re.split(r"[\^=\s\\]+", value))}
        for word in sorted(words, key=len, reverse=True):
            if len(word) >= _LEAST_WORD:
                text = text.replace(word, "(removed)")
        return text


class Digest:
    """A keyed hash of content that comes in pieces."""

    def __init__(self, key: bytes) -> None:
        self._hash = hmac.new(key, b"content\0", hashlib.sha256)

    def add(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._hash.update(data)

    def __str__(self) -> str:
        """Return what is known of all bytes so far."""
        return self._hash.hexdigest()[:_DIGEST_DIGITS]


def read_or_make_key(file: Path) -> bytes:
    """Return the secret of a node; it is made, readable by the user alone, where there is none.

    Raises:
        OptionError: the file is none, too short, or others may read it.
        OutputError: it cannot be made.
    """
    with suppress(FileExistsError):
        _make_key(file)
    try:
        mode = file.stat().st_mode
        key = file.read_bytes()
    except OSError as error:
        raise OptionError(f"{file}: must be readable, got '{error.strerror}'; check it") from error
    if os.name == "posix" and mode & 0o077:
        raise OptionError(f"{file}: must be secret, but others may read it; chmod 600 it")
    if len(key) < _KEY_BYTES:
        raise OptionError(f"{file}: must have {_KEY_BYTES} bytes, got {len(key)}; delete it")
    return key


def _make_key(file: Path) -> None:
    if file.exists():
        return
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        os.link(partial, file)  # unlike a rename it replaces no key that another process made
    except FileExistsError:
        raise
    except OSError as error:
        raise OutputError(
            f"{file}: cannot be made, got '{error.strerror}'; check rights"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
