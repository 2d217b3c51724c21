"""Gives results their final names only once they are complete: each appears whole, or none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monai_sr.core.errors import OutputError, SRError
from monai_sr.core.private_folder import PART, make_held

_REMEDY = "choose another output folder or make it writable"


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name on the same disk and rename it to ``path`` when the block succeeds.

    The name has the suffixes of ``path`` (libraries choose the format by them) and lies in a hidden
    folder beside it, of the mode 0700 and locked while it is in use: what a killed process leaves
    is known by that, see :func:`monai_sr.core.private_folder.sweep`. The file is flushed to the
    disk before it is renamed; files that a library left beside it (``.aux.xml``) go away. Missing
    folders are made.

    Args:
        path: the final name; an existing file is replaced.

    Yields:
        The name to write to.

    Raises:
        OutputError: the folder cannot be made or written, or ``path`` is a folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_file(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("done")
        >>> [p.name for p in folder.iterdir()]
        ['a.txt']
    """
    final = Path(path)
    if final.is_dir():
        raise OutputError(f"{path}: must be a file, got a folder; remove or rename that folder.")
    with _hidden_folder(final, path) as hidden:
        # Short, whatever the final name: systems limit the length.
        temporary = hidden / f"whole{''.join(final.suffixes[-2:])}"
        yield temporary
        _flush(temporary)
        os.replace(temporary, final)
        flush_folder(final.parent)


def replace_file(ready: Path, final: Path) -> None:
    """Give a complete file, on the same disk, its final name.

    Args:
        ready: the file.
        final: its name; an existing file is replaced.

    Raises:
        OutputError: it cannot be done, or ``final`` is a folder.
    """
    if final.is_dir():
        raise OutputError(f"{final}: must be a file, got a folder; remove or rename that folder.")
    try:
        _flush(ready)
        os.replace(ready, final)
        flush_folder(final.parent)
    except OSError as error:
        raise _output_error(final, error) from error


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` and rename it to ``path`` when the block succeeds.

    An existing result folder is moved aside first and removed only after the new one has its
    name; when the exchange fails it is moved back.

    Args:
        path: the final name; an existing folder is replaced as a whole.

    Yields:
        An existing, empty folder to fill.

    Raises:
        OutputError: the folder cannot be made or written, or ``path`` is a file.
    """
    final = Path(path)
    if final.exists() and not final.is_dir():
        raise OutputError(f"{path}: must be a folder, got a file; remove or rename that file.")
    with _hidden_folder(final, path) as hidden:
        whole = hidden / "whole"
        whole.mkdir()
        yield whole
        for file in whole.rglob("*"):
            if file.is_file():
                _flush(file)
        _exchange(whole, final, hidden / "old")
        flush_folder(final.parent)


@contextmanager
def _hidden_folder(final: Path, path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a locked folder beside the final name; remove what is left, after a failure all."""
    made = _make_folder(final.parent, path)
    complete, hidden, handle = False, None, None
    try:
        # Two processes may write the same result: the name is nobody else's.
        hidden, handle = make_held(final.parent, ".", PART)
        yield hidden
        complete = True
    except OutputError:
        raise
    except OSError as error:
        raise _output_error(path, error) from error
    finally:
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)
        if handle is not None:
            os.close(handle)
        if not complete:
            _remove_empty(made)


def _make_folder(folder: Path, path: str | os.PathLike[str]) -> list[Path]:
    """Make a folder with its parents; return those that were new, the deepest first."""
    made: list[Path] = []
    try:
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            made.insert(0, parent)
    except OSError as error:
        _remove_empty(made)
        raise _output_error(path, error) from error
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        # Another process may have begun to use the folder: it stays then.
        with suppress(OSError):
            folder.rmdir()


def _exchange(whole: Path, final: Path, aside: Path) -> None:
    """Put the new folder in the place of the old one; the old one survives a failure."""
    if not final.exists():
        os.replace(whole, final)
        return
    os.replace(final, aside)
    try:
        os.replace(whole, final)
    except OSError:
        os.replace(aside, final)
        raise


def _flush(file: Path) -> None:
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Make the new name itself durable, where the system can open folders."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    while error.strerror is None and isinstance(error.__cause__, OSError):
        error = error.__cause__  # pydicom raises it again, its words a traceback
    reason = error.strerror or str(error)
    return OutputError(f"{path}: cannot be written, got '{reason}'; {_REMEDY}.")


@contextmanager
def appear_together(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a hidden folder; what the block writes there moves to ``folder`` when it succeeds.

    Files and folders of these names are replaced; when one cannot be, all are as they were. Errors
    of the package name the final files.

    Args:
        folder: where the results go; it is made where it is missing.

    Yields:
        An existing, empty folder on the same disk.

    Raises:
        OutputError: the folder cannot be made or written.

    Example:
        >>> import tempfile
        >>> final = Path(tempfile.mkdtemp())
        >>> with appear_together(final) as hidden:
        ...     for name in ("a.txt", "b.txt"):
        ...         _ = (hidden / name).write_text("done")
        >>> sorted(p.name for p in final.iterdir())
        ['a.txt', 'b.txt']
    """
    final = Path(folder)
    with _hidden_folder(final / "any", folder) as hidden:
        try:
            yield hidden
        except SRError as error:
            text = str(error).replace(f"{hidden}{os.sep}", f"{final}{os.sep}")
            if text == str(error):
                raise
            raise type(error)(text) from error
        _publish(hidden, final)


def _publish(hidden: Path, final: Path) -> None:
    """Move all entries, or restore what was there."""
    ready = sorted(hidden.iterdir())
    aside = hidden / ".old"
    aside.mkdir()
    moved: list[Path] = []
    try:
        for entry in ready:
            target = final / entry.name
            if target.exists():
                os.replace(target, aside / entry.name)
            moved.append(target)
            os.replace(entry, target)
    except OSError:
        for target in moved:
            if target.is_dir():
                shutil.rmtree(target, ignore_errors=True)
            else:
                target.unlink(missing_ok=True)
            if (aside / target.name).exists():
                os.replace(aside / target.name, target)
        raise
