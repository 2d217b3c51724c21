"""Takes objects in without loss: what it has accepted is on the disk under its final name.

An object is written beside, flushed, renamed into ``incoming/<study>/<series>/<object>-<content>``
and the folders are flushed before the sender hears of success. All names are keyed hashes. States
are folders of one disk, so that each change of state is one rename:

- ``incoming``: studies that are being received, ``working``: complete ones;
- ``results``: enlarged series to be sent, ``sent``: those that every destination has;
- ``quarantine``: what failed; ``done``: lists of what was dealt with; ``tmp``: what is no object.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monai_sr.core import OutputError, SRError, get_logger
from monai_sr.core.atomic import flush_folder
from monai_sr.node.config import NodeConfig
from monai_sr.node.disk import entries, make_folder, read_record, tree_bytes
from monai_sr.node.names import Names, read_or_make_key
from monai_sr.node.objects import (
    SUFFIX,
    Part,
    Stored,
    checked_header,
    content_digest,
    on_disk,
    split_name,
)
from monai_sr.node.quarantine import add_conflict

logger = get_logger(__name__)

STATES = ("incoming", "working", "results", "sent", "quarantine", "done", "tmp")
_MEASURED_SECONDS = 2.0


@dataclass
class _Activity:
    """When a study was last added to, and by whom."""

    last: float
    senders: set[Sender]


class Sender:
    """Somebody who sends objects: one association, one request. While it is open, studies wait.

    Args:
        spool: where they go.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.is_open = True

    @contextmanager
    def part(self) -> Iterator[Part]:
        """Yield a new file for one object; it goes away unless :meth:`store` has taken it.

        Raises:
            RefusedError: the disk takes no more.
        """
        part = self._spool.new_part()
        try:
            yield part
        finally:
            part.discard()

    def store(
        self, part: Part, sop_class: str = "", sop_instance: str = "", study_uid: str = ""
    ) -> Stored:
        """Make a written object safe; when this returns, it is.

        Args:
            part: all of it.
            sop_class: what the request says of it, if it does.
            sop_instance: likewise.
            study_uid: likewise.

        Raises:
            RefusedError: it is no DICOM object, its UIDs are none or are not those of the request,
                or the disk takes no more.
        """
        return self._spool.accept(self, part, (sop_class, sop_instance, study_uid))

    def close(self) -> None:
        """Say that no more comes."""
        self._spool.release(self)

    def __enter__(self) -> Sender:
        """Be open."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()


class Spool:
    """The folder of a node; one process at a time has it.

    Args:
        config: of the node.
        clock: seconds that never go back, for tests.

    Attributes:
        folder: the folder.
        names: its keyed hashes.
        lock: held while a study changes its state.

    Raises:
        OutputError: the folder cannot be made, is not the user's alone, or is in use.
        OptionError: the key cannot be used.
    """

    def __init__(self, config: NodeConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = config.spool
        self._limits, self._config, self._clock = config.limits, config, clock
        self.lock = threading.RLock()
        with _made(self.folder):
            make_folder(self.folder)
            _check_private(self.folder)
            for state in STATES:
                make_folder(self.folder / state)
        self._held = _hold(self.folder)
        self.names = Names(read_or_make_key(config.key_file or self.folder / "hash.key"))
        self._activity: dict[str, _Activity] = {}
        self._contents: defaultdict[str, dict[str, Path | None]] = defaultdict(dict)
        self._measured = (-1e9, 0)
        self._recover()

    def __getitem__(self, state: str) -> Path:
        """Return the folder of a state."""
        return self.folder / state

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._held)

    def open_sender(self) -> Sender:
        """Return somebody new who sends; close it."""
        return Sender(self)

    def new_part(self) -> Part:
        """Return a new file for one object; see :meth:`Sender.part`."""
        name = f"{secrets.token_hex(8)}{SUFFIX}"
        return Part(self.folder / "tmp" / name, self._limits.object_bytes)

    def used_bytes(self) -> int:
        """Return how many bytes lie in the spool, as of the last two seconds."""
        with self.lock:
            when, found = self._measured
            if self._clock() - when > _MEASURED_SECONDS:
                found = tree_bytes(self.folder)
                self._measured = (self._clock(), found)
            return found

    def has_room(self, more: int = 0) -> bool:
        """Tell whether somebody new may begin to send; those who have begun may always go on.

        Args:
            more: bytes that are known to come.
        """
        free = shutil.disk_usage(self.folder).free - more
        return free >= self._limits.reserve_bytes and self.used_bytes() < self._limits.spool_bytes

    def accept(self, sender: Sender, part: Part, said: tuple[str, str, str]) -> Stored:
        """Make an object safe, see :meth:`Sender.store`."""
        uids = checked_header(part, said)
        digest = content_digest(part.path, self.names)
        study, series = self.names.study(uids[2]), self.names.series(uids[3])
        instance = self.names.instance(uids[1])
        with self.lock:
            known = self._known(instance)
            self._touch(study, sender)
            if digest not in known:
                # A conflict is no part of the study: which of the two is right, a human must say.
                place = None
                if known:
                    with on_disk():
                        place = add_conflict(self.folder, study, instance, digest)
                target = (place or self.folder / "incoming" / study) / series
                file = target / f"{instance}-{digest}{SUFFIX}"
                self._place(part, file)
                self._contents[instance][digest] = place
        stored = Stored(
            study, series, instance, uids[0], uids[1], uids[2],
            is_new=digest not in known, is_conflict=bool(known) and digest not in known,
        )  # fmt: skip
        if stored.is_conflict:
            logger.warning("object %s: another one has its UID; see quarantine", instance)
        return stored

    def release(self, sender: Sender) -> None:
        """See :meth:`Sender.close`."""
        with self.lock:
            sender.is_open = False
            for activity in self._activity.values():
                activity.senders.discard(sender)

    def complete_studies(self) -> list[str]:
        """Return the names of studies in ``incoming`` that nobody adds to any more."""
        now = self._clock()
        with self.lock:
            found = []
            for folder in entries(self.folder / "incoming"):
                activity = self._activity.setdefault(folder.name, _Activity(now, set()))
                wait = self._config.quiet_seconds
                if activity.senders:
                    wait = max(wait, self._config.patience_seconds)
                if now - activity.last >= wait:
                    found.append(folder.name)
            return found

    def forget_study(self, study: str) -> None:
        """Forget who added to a study that has left ``incoming``; with the lock held."""
        self._activity.pop(study, None)

    def remember(self, instance: str, digest: str, place: Path | None) -> None:
        """Note that an object was received.

        Args:
            instance: its name.
            digest: that of its content.
            place: a folder with which it will be forgotten; None: never, until :meth:`forget`.
        """
        with self.lock:
            self._contents[instance][digest] = place

    def forget(self, instance: str, digest: str) -> None:
        """Take the object as a new one if it comes again."""
        with self.lock:
            self._contents.get(instance, {}).pop(digest, None)
            if not self._contents.get(instance):
                self._contents.pop(instance, None)

    def _known(self, instance: str) -> dict[str, Path | None]:
        """Return the contents that have been received under a UID and not dropped since."""
        found = self._contents.get(instance, {})
        for digest, place in list(found.items()):
            if place is not None and not place.exists():
                self.forget(instance, digest)
        return dict(self._contents.get(instance, {}))

    def _place(self, part: Part, file: Path) -> None:
        with on_disk():
            make_folder(file.parent)
            os.rename(part.path, file)
            flush_folder(file.parent)

    def _touch(self, study: str, sender: Sender) -> None:
        activity = self._activity.setdefault(study, _Activity(0.0, set()))
        activity.last = self._clock()
        if sender.is_open:
            activity.senders.add(sender)

    def _recover(self) -> None:
        """Remove what a killed process left half-written, and read what was received."""
        for rest in list((self.folder / "tmp").iterdir()):
            shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
        for state in ("incoming", "working"):
            for file in (self.folder / state).glob(f"*/*/*{SUFFIX}"):
                self.remember(*split_name(file), None)
        for folder in entries(self.folder / "quarantine"):
            for file in folder.glob(f"*/*{SUFFIX}"):
                self.remember(*split_name(file), folder)
        for record in (self.folder / "done").glob("*.json"):
            for name in (read_record(record) or {}).get("objects", ()):
                self.remember(*split_name(Path(name)), record)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    try:
        yield
    except SRError:
        raise
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made, got '{error.strerror}'; check rights and space"
        ) from error


def _check_private(folder: Path) -> None:
    status = folder.stat()
    if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o077):
        raise OutputError(
            f"{folder}: must be a folder of this user alone (0700), but others may look into it; "
            "chmod 700 it or choose another one"
        )


def _hold(folder: Path) -> int:
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise OutputError(
            f"{folder}: must belong to one node at a time, got a second one; stop the first"
        ) from None
    return handle
