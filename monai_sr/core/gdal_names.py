"""Names of files as GDAL takes them: UTF-8, whatever the locale and the bytes of a name are."""

from __future__ import annotations

import os
from pathlib import Path

from monai_sr.core.errors import OutputError
from monai_sr.core.printable import printable
from monai_sr.core.private_folder import make_private_folder
from monai_sr.core.types import PathLike


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
        folder = make_private_folder()
    with os.scandir(path.parent) as entries:
        beside = [entry.name for entry in entries if entry.name.startswith(path.stem)]
    for name in beside:
        link = folder / f"image{name.removeprefix(path.stem)}"
        if os.fsencode(link).isascii():
            link.symlink_to(os.path.abspath(path.parent / name))
    return str(folder / f"image{path.suffix}"), folder
