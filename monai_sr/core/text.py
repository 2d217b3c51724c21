"""Shows names and tag values as text that does nothing, and spells names as GDAL takes them.

A file name may hold any byte but a slash: escape sequences that move a cursor or write a clipboard,
line ends that forge a line of a log, marks that show "gnp.exe" as "exe.png".
Unicode, bidirectional text: https://www.unicode.org/reports/tr9; spreadsheets that take a cell for
a formula: https://owasp.org/www-community/attacks/CSV_Injection.
"""

import logging
import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

from monai_sr.core.errors import OutputError
from monai_sr.core.types import PathLike

# Controls, marks of direction and other unseen ones, bytes that are no UTF-8, line separators.
_HIDDEN = ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # part of the spelling in Persian, Hindi and others
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTE = "'"


def printable(text: object) -> str:
    r"""Return text with everything unseen written out.

    Args:
        text: what is to be shown; names of files need not be UTF-8.

    Returns:
        One line; bytes that are no UTF-8 as ``\xff``, controls and marks as ``\x1b``, ``\u202e``.

    Example:
        >>> printable("gemälde\n\x1b[2J.png")
        'gemälde\\n\\x1b[2J.png'
    """
    shown = str(text)
    return shown if shown.isascii() and shown.isprintable() else "".join(map(_visible, shown))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN or character in _JOINERS:
        return character
    if "\udc80" <= character <= "\udcff":  # PEP 383: a byte of a name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode()


def safe_cell(text: object) -> str:
    """Return a cell that no spreadsheet takes for a formula; :func:`true_cell` undoes it.

    Example:
        >>> safe_cell("=1+1.png"), safe_cell("-1.5"), true_cell(safe_cell("=1+1.png"))
        ("'=1+1.png", '-1.5', '=1+1.png')
    """
    cell = str(text)
    return (
        f"{_QUOTE}{cell}" if cell.startswith((*_FORMULA, _QUOTE)) and not _is_number(cell) else cell
    )


def true_cell(cell: str) -> str:
    """Return what :func:`safe_cell` was given."""
    is_marked = cell.startswith(_QUOTE) and cell[1:].startswith((*_FORMULA, _QUOTE))
    return cell[1:] if is_marked else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isprintable()


def print_safely() -> None:
    """Let this process write any name to any terminal; for commands, not for libraries.

    Log lines of this package show names by :func:`printable`, and what an encoding such as that of
    ``LC_ALL=C`` lacks is written out rather than raised.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Records):
        logging.setLogRecordFactory(_Records(make))


class _Records:
    """Makes log records; those of this package in printable text."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, name: str, *args: object, **kwargs: object) -> logging.LogRecord:
        record = self._make(name, *args, **kwargs)
        if name.split(".")[0] == "monai_sr":
            record.msg, record.args = printable(record.getMessage()), ()
        return record


def gdal_name(path: PathLike) -> str:
    """Return a name for GDAL.

    Raises:
        OutputError: its bytes are no UTF-8.
    """
    name = os.fspath(path)
    # An absolute name has no prefix that a driver would understand, such as NETCDF:.
    name = os.path.abspath(name) if ":" in name else name
    try:
        # Python may have read the bytes by another encoding, that of LC_ALL=C for instance.
        return os.fsencode(name).decode()
    except UnicodeDecodeError as error:
        raise OutputError(
            f"{printable(path)}: results of rasters need a folder whose name is UTF-8, got other "
            "bytes; rename it or choose another one"
        ) from error


def linked_image(path: Path) -> tuple[str, Path | None]:
    """Return a name by which GDAL reads a file and what lies beside it.

    Returns:
        The name, and the temporary folder of links that it leads through, where it needs one.
    """
    try:
        return gdal_name(path), None
    except OutputError:
        from monai_sr.core.private_folder import make_private_folder  # slow to import

        folder = make_private_folder()
    with os.scandir(path.parent) as entries:
        beside = [entry.name for entry in entries if entry.name.startswith(path.stem)]
    for name in beside:
        link = folder / f"image{name.removeprefix(path.stem)}"
        if os.fsencode(link).isascii():
            link.symlink_to(os.path.abspath(path.parent / name))
    return str(folder / f"image{path.suffix}"), folder
