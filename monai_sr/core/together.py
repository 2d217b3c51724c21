"""Gives several results their final names in one step: all of them appear, or none."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from monai_sr.core.errors import OutputError, SRError
from monai_sr.core.private_folder import PART, hold

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    missing = [p for p in (final, *final.parents) if not p.exists()]
    hidden = final / f".{secrets.token_hex(6)}{PART}"
    handle = None
    try:
        hidden.mkdir(mode=0o700, parents=True)
        handle = hold(hidden)
        yield hidden
        _publish(hidden, final)
        missing = []
    except SRError as error:
        text = str(error).replace(f"{hidden}{os.sep}", f"{final}{os.sep}")
        if text == str(error):
            raise
        raise type(error)(text) from error
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written, got '{error.strerror or error}'; choose another output "
            "folder or make it writable."
        ) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if handle is not None:
            os.close(handle)
        for parent in missing:
            # Another process may have begun to use the folder: it stays then.
            with suppress(OSError):
                parent.rmdir()


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
