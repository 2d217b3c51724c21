"""Works on complete studies: each image becomes one result or one entry of quarantine.

A study moves to ``working`` as a whole. Of each volume in it the result is made in ``tmp`` and
moves to ``results`` by one rename, or its objects are linked into ``quarantine``. Only when all
have an outcome the study is listed in ``done`` and removed. After a crash the same volumes are
found again, and those that have an outcome are left alone. UIDs of results are functions of input
and options.

Images that come when their study has been worked on are a study of their own, with results of
their own: what was sent is never replaced by something else.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monai_sr.core import MissingDependencyError, OutputError, SRError, get_logger
from monai_sr.formats import find_volumes
from monai_sr.node.disk import (
    entries,
    flush_tree,
    make_folder,
    move,
    read_record,
    remove_tree,
    write_record,
)
from monai_sr.node.identity import identifying_values
from monai_sr.node.kinds import kind_of_object
from monai_sr.node.metrics import Metrics
from monai_sr.node.objects import SUFFIX, split_name
from monai_sr.node.quarantine import write_reason
from monai_sr.node.spool import Spool
from monai_sr.upscaling import FileResult, RunFailedError

logger = get_logger(__name__)

JOB = "job.json"
FILES = "files"
_PAUSE_SECONDS = 30.0  # before a failure that may pass is tried again
_TRANSIENT = (RunFailedError, OutputError, MemoryError, OSError)
_JOB_DIGITS = 12


class Upscaler(Protocol):
    """What enlarges; see :class:`monai_sr.FileUpscaler`."""

    def __call__(self, source: Sequence[Path], output_dir: Path) -> FileResult:
        """Enlarge the files of one image into a folder."""


@dataclass(frozen=True)
class Volume:
    """The files of one image, which is enlarged as one.

    Args:
        job: its name in all states.
        files: of its objects.
        copies: further files of the same objects.
    """

    job: str
    files: tuple[Path, ...]
    copies: tuple[Path, ...] = ()


class Worker:
    """Takes complete studies one by one; several threads may call :meth:`step`.

    Args:
        spool: where they are.
        upscaler: what enlarges.
        metrics: what counts.
        attempts: how often something that may pass is tried.
        on_result: called with the name of each new result.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        spool: Spool,
        upscaler: Upscaler,
        metrics: Metrics,
        *,
        attempts: int = 3,
        on_result: Callable[[str], None] = lambda job: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool, self._upscaler, self._metrics = spool, upscaler, metrics
        self._attempts, self._on_result, self._clock = attempts, on_result, clock
        self._busy: set[str] = set()
        self._later: dict[str, float] = {}
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Begin nothing more: the volume that is being enlarged is finished, its study kept."""
        self._stopping.set()

    def step(self) -> bool:
        """Work on one study.

        Returns:
            Whether there was one.
        """
        study = None if self._stopping.is_set() else self._next()
        if study is None:
            return False
        try:
            self._work(study)
        except Exception as error:  # a fault of one study must not end the node
            logger.error("study %s: failed with %s", study.name, type(error).__name__)
            self._later[study.name] = self._clock() + _PAUSE_SECONDS
        finally:
            with self._spool.lock:
                self._busy.discard(study.name)
        return True

    def waiting(self) -> int:
        """Return how many complete studies wait or are worked on."""
        return len(entries(self._spool["working"]))

    def _next(self) -> Path | None:
        """Claim a study: what is in ``working`` first, then what has become complete."""
        now = self._clock()
        with self._spool.lock:
            for folder in entries(self._spool["working"]):
                if folder.name not in self._busy and self._later.get(folder.name, now) <= now:
                    self._busy.add(folder.name)
                    return folder
            for name in self._spool.complete_studies():
                target = self._spool["working"] / f"{name}-{secrets.token_hex(4)}"
                move(self._spool["incoming"] / name, target)
                self._spool.forget_study(name)
                self._busy.add(target.name)
                return target
        return None

    def _work(self, study: Path) -> None:
        record = self._spool["done"] / f"{study.name}.json"
        if not record.exists():
            images, passed = _sorted_objects(study)
            volumes = list(plan_volumes(study, images))
            for volume in volumes:
                if self._stopping.is_set() or not self._deal_with(study, volume):
                    return
            self._finish(study, record, volumes, passed)
        remove_tree(study, self._spool["tmp"])
        self._later.pop(study.name, None)

    def _finish(
        self, study: Path, record: Path, volumes: Sequence[Volume], passed: Mapping[Path, str]
    ) -> None:
        """List what has been dealt with; what is in quarantine is known by that."""
        dealt = list(passed)
        for volume in volumes:
            entry = self._spool["quarantine"] / volume.job
            files = (*volume.files, *volume.copies)
            if not entry.exists():
                dealt += files
            for file in files if entry.exists() else ():
                self._spool.remember(*split_name(file), entry)
        write_record(record, {"objects": [file.name for file in dealt]})
        for file in dealt:
            self._spool.remember(*split_name(file), record)
        for kind in passed.values():
            self._metrics.add("passed_by", label=kind)
        if passed:
            logger.info("study %s: passed by %s", study.name, _counted(passed.values()))
        self._metrics.add("studies")

    def _deal_with(self, study: Path, volume: Volume) -> bool:
        """Give a volume an outcome; False where it is to be tried later."""
        states = ("results", "sent", "quarantine")
        if any((self._spool[state] / volume.job).exists() for state in states):
            return True
        tries = study / f".{volume.job}.json"
        count = int((read_record(tries) or {}).get("attempts", 0))
        if count >= self._attempts:
            self._quarantine(volume, f"the node ended or failed {count} times on it")
            return True
        write_record(tries, {"attempts": count + 1})
        try:
            self._enlarge(study, volume)
        except (SRError, MemoryError, OSError) as error:
            is_last = count + 1 >= self._attempts
            may_pass = isinstance(error, _TRANSIENT) and not isinstance(
                error, MissingDependencyError
            )
            if may_pass and not is_last:
                logger.warning(
                    "series %s: %s; it is tried again", volume.job, self._told(volume, error)
                )
                self._later[study.name] = self._clock() + _PAUSE_SECONDS
                return False
            self._quarantine(volume, self._told(volume, error))
        return True

    def _enlarge(self, study: Path, volume: Volume) -> None:
        began = time.monotonic()
        stage = self._spool["tmp"] / secrets.token_hex(8)
        make_folder(stage / FILES)
        try:
            result = self._upscaler(volume.files, stage / FILES)
            files = [Path(file) for file in result.files if file.endswith(SUFFIX)]
            if not files:
                raise RunFailedError("result: must have DICOM files, got none; report this")
            record = {
                "study": study.name.split("-")[0],
                "when": time.time(),
                "sources": len(volume.files),
                "files": [str(file.relative_to(stage)) for file in files],
                "bundle": result.bundle,
                "size_in": result.size_in,
                "size_out": result.size_out,
                "lr_psnr": result.lr_psnr,
                "warnings": [self._scrubbed(volume, line) for line in result.warnings],
            }
            flush_tree(stage)
            write_record(stage / JOB, record)
            move(stage, self._spool["results"] / volume.job)
        finally:
            if stage.exists():
                remove_tree(stage, self._spool["tmp"])
        seconds = time.monotonic() - began
        self._metrics.add("enlarged")
        self._metrics.add("enlarging_seconds", seconds)
        logger.info(
            "series %s: %s to %s by %s in %.1f s",
            volume.job, result.size_in, result.size_out, result.bundle, seconds,
        )  # fmt: skip
        self._on_result(volume.job)

    def _quarantine(self, volume: Volume, reason: str) -> None:
        stage = self._spool["tmp"] / secrets.token_hex(8)
        for file in (*volume.files, *volume.copies):
            make_folder(stage / file.parent.name)
            os.link(file, stage / file.parent.name / file.name)
        flush_tree(stage)
        write_reason(stage, reason)
        move(stage, self._spool["quarantine"] / volume.job)
        self._metrics.add("quarantined")
        logger.error("series %s: in quarantine: %s", volume.job, reason)

    def _told(self, volume: Volume, error: BaseException) -> str:
        """Say what failed; what is no message of ours may quote anything."""
        if isinstance(error, SRError):
            return self._scrubbed(volume, str(error))
        return f"{type(error).__name__} while it was enlarged"

    def _scrubbed(self, volume: Volume, line: str) -> str:
        """Return a message without the spool's place, and without what a file says of a patient."""
        short = line.replace(f"{self._spool.folder}{os.sep}", "")
        return self._spool.names.scrub(short, identifying_values(volume.files[0]))


def plan_volumes(study: Path, images: Iterable[Path]) -> Iterator[Volume]:
    """Yield the volumes of a study, each time the same for the same files.

    Args:
        study: its folder.
        images: the files to enlarge.
    """
    chosen = set(images)
    for series in sorted({file.parent for file in chosen}):
        for found in find_volumes(series):
            files = tuple(file for file in found.paths if file in chosen)
            copies = tuple(file for file in found.copies if file in chosen)
            chosen.difference_update(files, copies)
            if files:
                yield Volume(_job_name(study, files[0]), files, copies)
    for file in sorted(chosen):  # what belongs to no volume must not be lost
        yield Volume(_job_name(study, file), (file,))


def _job_name(study: Path, first: Path) -> str:
    instance, digest = split_name(first)
    return f"{study.name}-{instance[:_JOB_DIGITS]}{digest[:4]}"


def _sorted_objects(study: Path) -> tuple[list[Path], dict[Path, str]]:
    """Return the images of a study, and the kinds of its other objects."""
    files = [f for series in entries(study) if series.is_dir() for f in entries(series)]
    kinds = {file: kind_of_object(file) for file in files}
    passed = {file: kind for file, kind in kinds.items() if kind}
    return [file for file in files if file not in passed], passed


def _counted(kinds: Iterable[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(kinds).items()))
