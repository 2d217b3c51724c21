"""Keeps the finished blocks of a long job beside its result, so that a killed run can go on.

A hidden folder ``.<name>.parts`` holds ``plan.json``, which says what the blocks belong to, and one
file for each block with a checksum. It goes away with :meth:`Journal.remove`.
"""

import json
import os
import shutil
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from monai_sr.core.errors import OutputError
from monai_sr.core.log import get_logger

logger = get_logger(__name__)

_PLAN = "plan.json"
_FACTS = "facts.json"
_LOCK = "lock"
_BLOCK = ".block"
_CHECKSUM_BYTES = 4


class Journal:
    """Blocks of one result.

    Args:
        result: the file that they are to become.
        plan: whatever decides on their content: JSON values only. Blocks of another plan are
            thrown away.

    Attributes:
        folder: where they lie; other files of the job may be made there.

    Raises:
        OutputError: the folder cannot be written, or another process is at work on this result.
    """

    def __init__(self, result: Path, plan: Mapping[str, Any]) -> None:
        self._result = result
        self.folder = result.with_name(f".{result.name}.parts")
        text = json.dumps(plan, sort_keys=True)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder / _LOCK, result)
            before = _text(self.folder / _PLAN)
            if before != text:
                if before and any(self.folder.glob(f"*{_BLOCK}")):
                    logger.warning(
                        "%s: finished tiles of an interrupted run are made anew, for its input, "
                        "options, weights or version was another", result,
                    )  # fmt: skip
                try:
                    self._clear()
                    self._write(_PLAN, text.encode())
                except BaseException:
                    self.remove()  # no block is left; who keeps the error may try again
                    raise
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise _output_error(result, error) from error

    def facts(self) -> dict[str, Any]:
        """Return what :meth:`keep_facts` has kept, or nothing."""
        try:
            found = json.loads(_text(self.folder / _FACTS))
        except ValueError:
            return {}
        return dict(found)

    def keep_facts(self, facts: Mapping[str, Any]) -> None:
        """Keep what took long to find out: JSON values."""
        self._write(_FACTS, json.dumps(facts).encode())

    def has(self, name: str, length: int) -> bool:
        """Tell whether a block is there, unharmed, and empty or of the right length."""
        data = self.read(name)
        return data is not None and len(data) in (0, length)

    def read(self, name: str) -> memoryview | None:
        """Return a block, None where there is none or a damaged one."""
        try:
            data = memoryview((self.folder / name).read_bytes())
        except OSError:
            return None
        block, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        return block if checksum == _checksum(block) else None

    def write(self, name: str, block: bytes | memoryview) -> None:
        """Keep a block; its name ends in ".block".

        Raises:
            OutputError: it cannot be written.
        """
        self._write(name, block, _checksum(block))

    def remove(self) -> None:
        """Forget everything: the result is complete. A second time it does nothing."""
        if self._lock.closed:
            return
        # Before it is unlocked: what comes after may be another process's.
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()
        if sys.platform == "win32":  # which keeps files that are open
            shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let other processes have it; half files and other files of the job go away."""
        for file in self.folder.glob("*"):
            if file.suffix != _BLOCK and file.name not in (_PLAN, _FACTS, _LOCK):
                file.unlink(missing_ok=True)
        self._lock.close()

    def _clear(self) -> None:
        for file in self.folder.iterdir():
            if file.name != _LOCK:
                file.unlink()

    def _write(self, name: str, *parts: bytes | memoryview) -> None:
        final = self.folder / name
        partial = final.with_name(f"{name}.new")
        try:
            # Not flushed to the disk: after a loss of power the checksum tells.
            with partial.open("wb") as stream:
                stream.writelines(parts)
            os.replace(partial, final)
        except OSError as error:
            raise _output_error(self._result, error) from error


def _checksum(block: bytes | memoryview) -> bytes:
    return zlib.crc32(block).to_bytes(_CHECKSUM_BYTES, "big")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _locked(file: Path, result: Path) -> IO[bytes]:
    """Open a file that one process alone can hold; the system lets go of it when that ends."""
    stream = file.open("ab")
    try:
        import fcntl
    except ImportError:  # Windows: two runs for one result are not found out there
        return stream
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.close()
        raise OutputError(
            f"{result}: must be written by one process at a time, got a second one; wait for the "
            "first, or choose another output folder."
        ) from error
    return stream


def _output_error(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path}: cannot be written, got '{error.strerror or error}'; free space, or choose "
        "another output folder. Finished blocks are kept."
    )
