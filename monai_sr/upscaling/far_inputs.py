"""Inputs at addresses that the user gives: on a network, or as a member of a zip."""

from pathlib import Path
from typing import Any

from monai_sr.core import (
    BadImageError,
    make_private_folder,
    read_address,
    remove_with,
    show_as,
    show_text_as,
)
from monai_sr.formats import bring
from monai_sr.upscaling.temporary import Archives


class FarInputs:
    """A temporary folder of files for addresses, removed with this object.

    Each address has a file of the same name there: below one folder for each host or bucket, which
    is shown by its name, the path is that of the address.
    """

    def __init__(self) -> None:
        self._places: dict[str, Path] = {}
        self._names: dict[str, str] = {}
        self._top: Path | None = None

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._places)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Know the names in a worker, too, that was started afresh."""
        self.__dict__.update(state)
        for shown, place in self._places.items():
            show_as(place, shown)
        for name, shown in self._names.items():
            show_text_as(name, shown)

    def bring(self, text: str, archives: Archives) -> Path:
        """Return a file for an address.

        Args:
            text: the address.
            archives: takes zips of this machine of which a member is named.

        Raises:
            BadImageError: it is none, or there is no such file.
        """
        address = read_address(text)
        if address.zip is not None:
            return _member(*address.zip, archives)
        if self._top is None:
            self._top = make_private_folder()
            remove_with(self, self._top, self._names)
        if address.place not in self._places:
            self._places[address.place] = self._top / str(len(self._places))
            show_as(self._places[address.place], address.place)
        self._names[address.gdal] = str(address)
        show_text_as(address.gdal, str(address))
        try:
            return bring(address, self._places[address.place])
        except OSError as error:
            raise BadImageError(
                f"{address}: must fit into the temporary folder, got '{error.strerror or error}'; "
                "copy it first, or set TMPDIR to a larger disk."
            ) from error


def _member(archive: str, member: str, archives: Archives) -> Path:
    path = Path(archive)
    if not path.is_file():
        raise BadImageError(f"{archive}: no such file; check the part of the address before '!'")
    if not member:
        return path
    found = archives.unpack(path, member) / member
    if not found.exists():
        raise BadImageError(
            f"{archive}: must hold {member!r}, got no such member; unzip -l lists them"
        )
    return found
