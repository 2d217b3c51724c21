"""Folders: temporary ones that nobody else can read, how to know one again, and the cache.

All of one process lie in one folder that is locked while it lives: they go when it ends, also by
SIGTERM, and what a killed process left is swept away by the next one.
"""

import atexit
import os
import secrets
import shutil
import signal
import stat
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import FrameType

from monai_sr.core.log import forget

PREFIX = "monai_sr_private_"
"""What the names of temporary folders begin with: long, since nobody else's may be swept away."""
PART = ".part"
"""What the names of hidden folders beside results end in, which hold what is being written."""

_TERMINATED = 128 + signal.SIGTERM


def make_private_folder() -> Path:
    """Make a temporary folder of the mode 0700."""
    return Path(tempfile.mkdtemp(dir=_folder_of_process(os.getpid(), tempfile.gettempdir())))


def remove_with(owner: object, folder: Path, texts: Iterable[str] = ()) -> None:
    """Remove a temporary folder when an object goes, and what is shown in its place.

    Args:
        owner: the object; its copies in other processes, as workers have them, remove nothing.
        folder: the folder.
        texts: of which :func:`monai_sr.core.show_text_as` has said what is shown instead.
    """
    weakref.finalize(owner, _remove_shown, folder, os.getpid(), texts)


def _remove_shown(folder: Path, process: int, texts: Iterable[str]) -> None:
    if os.getpid() == process:
        for text in (str(folder), *texts):
            forget(text)
    _remove(folder, process)


def is_private(folder: Path) -> bool:
    """Tell whether a folder lies in one that :func:`make_private_folder` made for this user.

    What others send, an archive for instance, is unpacked elsewhere.
    """
    top = os.path.realpath(tempfile.gettempdir())
    inside = os.path.relpath(os.path.realpath(folder), top).split(os.sep)
    if not inside[0].startswith(PREFIX):
        return False
    try:
        # The folder of the process, and the one that was made in it.
        levels = [os.stat(os.path.join(top, *inside[:n])) for n in range(1, len(inside[:2]) + 1)]
    except OSError:
        return False
    return all(_is_own(s) and not stat.S_IMODE(s.st_mode) & 0o077 for s in levels)


def hold(folder: Path) -> int | None:
    """Lock a folder as one in use.

    Returns:
        What to close when it is done; None where there are no locks, or another holds it.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


_claimed: dict[Path, int] = {}


def claim(folder: Path) -> bool:
    """Lock a folder for this process, until it ends or :func:`release`.

    Returns:
        Whether no other process holds it; nobody does where there are no locks.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    place = folder.resolve()
    if place in _claimed:
        return True
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        return not isinstance(error, BlockingIOError)  # else a disk without locks
    _claimed[place] = handle
    return True


def release(folder: Path) -> None:
    """Let others have a folder that :func:`claim` has locked."""
    handle = _claimed.pop(folder.resolve(), None)
    if handle is not None:
        os.close(handle)


def make_held(folder: Path, prefix: str, suffix: str = "") -> tuple[Path, int | None]:
    """Make a folder of the mode 0700 that is in use from its first moment.

    Returns:
        Its path, and what to close when it is done, as of :func:`hold`.
    """
    new = Path(tempfile.mkdtemp(prefix=".new_", dir=folder))
    handle = hold(new)
    # Only now of a name that other processes sweep, which they would before it is locked.
    held = new.rename(folder / f"{prefix}{secrets.token_hex(6)}{suffix}")
    return held, handle


def sweep(where: Path, pattern: str) -> None:
    """Remove folders of this user that killed processes left."""
    for folder in where.glob(pattern):
        try:
            status = folder.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and _is_own(status)
            handle = hold(folder) if is_ours and not stat.S_IMODE(status.st_mode) & 0o077 else None
        except OSError:
            continue
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


@cache
def _folder_of_process(process: int, top: str) -> Path:
    sweep(Path(top), f"{PREFIX}*")
    folder, _ = make_held(Path(top), PREFIX)  # until the process ends
    atexit.register(_remove, folder, process)
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)
    return folder


def _remove(folder: Path, process: int) -> None:
    # A forked process has what its parent registered.
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _end(number: int, frame: FrameType | None) -> None:
    """End in order, where the system would end the process without removing anything."""
    raise SystemExit(_TERMINATED)


def _is_own(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


FOLDER_VARIABLE = "MONAI_SR_CACHE"
"""Environment variable that names another folder."""


def cache_folder() -> Path:
    """Return ``~/.cache/monai-sr``, or the system's own place; it may be deleted at any time.

    ``MONAI_SR_CACHE`` names another one.

    Raises:
        RuntimeError: if the user has no home.
    """
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "monai-sr"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "monai-sr"
