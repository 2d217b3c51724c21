"""Enlarges assets of a STAC item, and writes an item of the results beside them.

STAC 1.1.0, https://github.com/radiantearth/stac-spec. An item names files, and is an input as any
other: they must lie in its own folder, unless the user trusts it (``--linked_files anywhere``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from monai_sr.catalogs.stac_item import AssetResult, codes_of, written_item
from monai_sr.catalogs.stac_nodata import nodata_to_use
from monai_sr.catalogs.stac_stack import stacked
from monai_sr.core import (
    BadImageError,
    OptionError,
    PathLike,
    SRError,
    forget,
    get_logger,
    import_extra,
    is_address,
    make_private_folder,
    printable,
    read_address,
    show_as,
    unknown_name,
    without_secrets,
)
from monai_sr.formats import may_link
from monai_sr.upscaling import Archives, FarInputs, FileUpscaler, RunFailedError

logger = get_logger(__name__)

_SUFFIXES = (".json", ".geojson")
_MOST_BYTES = 2**26
_RASTERS = ("image/tiff", "image/jp2", "image/png", "image/jpeg", "image/vnd.stac.geotiff")
_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".vrt")
_STACK = "+"
_BROKEN = (ValueError, KeyError, TypeError, AttributeError)


@dataclass
class ItemSource:
    """An item and where it lies.

    Attributes:
        shown: its place, to be shown and recorded.
        item: a ``pystac.Item``, brought to the version of pystac.
        file: on this machine; None of one at an address.
        address: of an item at one, with its secrets.
        far: holds what is at addresses for as long as this lives.
    """

    shown: str
    item: Any
    file: Path | None
    address: str = ""
    far: FarInputs = field(default_factory=FarInputs)

    def place(self, key: str) -> str:
        """Return the file or address of an asset.

        Raises:
            BadImageError: it lies elsewhere, and the item is not trusted.
        """
        href = str(self.item.assets[key].href)
        trusts = may_link()
        if self.file is None:
            found = href if is_address(href) else _joined(self.address, href)
            if trusts or _is_below(found, self.address):
                return found
        elif is_address(href):
            if trusts:
                return href
        else:
            name = unquote(urlsplit(href).path) if href.startswith("file:") else href
            found = os.path.join(self.file.parent, name)
            home = os.path.realpath(self.file.parent)
            if trusts or Path(os.path.realpath(found)).is_relative_to(home):
                return found
        raise BadImageError(
            f"{self.shown}: must name files of its own folder only, got "
            f"{without_secrets(href)!r} as {key!r}; if you trust it, set --linked_files anywhere."
        )


def names_item(source: object) -> bool:
    """Tell whether an input is called as an item is: a JSON file or address."""
    text = str(source)
    path = str(read_address(text).path) if is_address(text) else text
    return path.lower().endswith(_SUFFIXES)


def read_item(source: PathLike) -> ItemSource:
    """Read an item.

    Args:
        source: file or address.

    Raises:
        BadImageError: it is none.
        MissingDependencyError: pystac is not installed.
    """
    pystac = import_extra("pystac", extra="stac")
    text, far = str(source), FarInputs()
    shown, file = (str(read_address(text)), None) if is_address(text) else (text, Path(text))
    path = far.bring(text, Archives()) if file is None else file
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES >> 20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "stac_version" not in content:
            raise ValueError("JSON without stac_version")
        item = pystac.Item.from_dict(content)
    except OSError as error:
        raise BadImageError(f"{shown}: cannot be read; check the name") from error
    except (*_BROKEN, pystac.errors.STACError, pystac.errors.STACTypeError) as error:
        raise BadImageError(
            f"{shown}: must be a STAC item, got {_first_line(error)}; check it with stac-valid"
        ) from error
    return ItemSource(shown, item, file, "" if file else text, far)


def upscale_item(
    source: PathLike,
    output_dir: PathLike,
    upscaler: FileUpscaler,
    assets: Sequence[str] = (),
) -> Path:
    """Enlarge assets of an item into a folder of its name, with an item of the results.

    A nodata value that the item states and the file does not is taken as if the option ``nodata``
    named it; where it states classes or bit fields, ``kind`` is "label" or "bits". What an upscaler
    made with ``skip_done`` finds done is left as it is, so that an interrupted run goes on.

    Args:
        source: file or address of the item.
        output_dir: where that folder goes: ``<id>_x4``.
        upscaler: enlarges an asset.
        assets: their keys; several joined by "+", single bands of one grid, are enlarged as one
            image. None: all rasters of the role "data".

    Returns:
        The new item, ``<id>_x4/<id>_x4.json``.

    Raises:
        BadImageError: the item cannot be used, or names files that it must not.
        OptionError: an asset is not there.
        OutputError: the results cannot be written.
        RunFailedError: after the run, if some assets failed; no item is written then.
    """
    found = read_item(source)
    name = f"{_file_name(found.item.id)}{upscaler.mark}"
    folder = Path(output_dir) / name
    groups = _chosen(found, assets)
    places = {key: found.place(key) for group in groups for key in group}
    folders = _folders(groups, places, folder)
    done: list[AssetResult] = []
    failed: list[SRError] = []
    for group in groups:
        label = "-".join(group)
        try:
            nodata = nodata_to_use(found.item, group, [places[key] for key in group])
            codes = {k: said for k in group if (said := codes_of(found.item.assets[k]))}
            stated = {"nodata": nodata, "kind": None if len(group) > 1 else codes.get(group[0])}
            fitting = upscaler.with_defaults(**{k: v for k, v in stated.items() if v is not None})
            with _image(group, places, found.shown, codes) as image:
                (result,) = fitting.upscale_all(image, folders[label])
            done.append(AssetResult(group, Path(str(result.output)), folders[label]))
        except SRError as error:
            failed.append(error)
            if len(groups) > 1:
                logger.error("monai-sr: error: %s: %s", printable(label), printable(error))
    if len(groups) == 1 and failed:
        raise failed[0]
    if failed:
        raise RunFailedError(
            f"{len(failed)} of {len(groups)} assets of {found.shown} could not be enlarged, "
            f"{len(done)} done; each is named above, and no item is written"
        )
    return written_item(found.item, found.file or found.shown, done, folder / f"{name}.json")


def _chosen(source: ItemSource, wanted: Sequence[str]) -> list[tuple[str, ...]]:
    known = source.item.assets
    if not wanted:
        found: list[tuple[str, ...]] = [(key,) for key, asset in known.items() if _is_data(asset)]
        if not found:
            raise OptionError(
                f"{source.shown}: must have rasters of the role 'data', got none; choose among "
                f"{', '.join(map(printable, known)) or 'no assets'} by --assets"
            )
        return found
    groups = [tuple(text.split(_STACK)) if text not in known else (text,) for text in wanted]
    for key in (key for group in groups for key in group):
        if key not in known:
            raise unknown_name("asset", key, known)
    return list(dict.fromkeys(groups))


def _is_data(asset: Any) -> bool:
    kind = str(asset.media_type or "").partition(";")[0].strip().lower()
    path = urlsplit(str(asset.href)).path.lower()
    is_raster = kind in _RASTERS or (not kind and path.endswith(_RASTER_SUFFIXES))
    return is_raster and "data" in (asset.roles or ())


def _folders(
    groups: Sequence[tuple[str, ...]], places: dict[str, str], folder: Path
) -> dict[str, Path]:
    """Return where each result goes: where files share a name, below a folder of the asset's."""
    stems = Counter(_stem(places[group[0]]) for group in groups if len(group) == 1)
    return {
        "-".join(group): folder / _file_name(group[0])
        if len(group) == 1 and stems[_stem(places[group[0]])] > 1
        else folder
        for group in groups
    }


@contextmanager
def _image(
    group: tuple[str, ...], places: dict[str, str], shown: str, codes: Collection[str]
) -> Iterator[str]:
    """Yield what is to be enlarged: an asset, or a temporary raster of several."""
    if len(group) == 1:
        yield places[group[0]]
        return
    folder = make_private_folder()
    show_as(folder, os.path.abspath(shown) if os.path.exists(shown) else shown)
    try:
        target = folder / f"{_file_name('-'.join(group))}.tif"
        yield str(stacked([places[key] for key in group], group, target, codes))
    finally:
        forget(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def _stem(place: str) -> str:
    path = read_address(place).path if is_address(place) else PurePosixPath(place)
    return path.stem.lower()


def _joined(base: str, href: str) -> str:
    """Return where a relative name leads from an address; its query stays behind."""
    first = base.partition("?")[0]
    if "://" not in first:
        return f"{first.rpartition('/')[0]}/{href.removeprefix('./')}"
    scheme, _, rest = first.partition("://")
    return scheme + urljoin(f"http://{rest}", href)[len("http") :]


def _is_below(place: str, base: str) -> bool:
    if not is_address(place) or ".." in place:
        return False
    first, second = read_address(place), read_address(base)
    is_same_host = first.place == second.place
    return is_same_host and first.path.is_relative_to(second.path.parent)


def _file_name(text: str) -> str:
    """Return a name of a file for an identifier, which may hold anything."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in text).lstrip(".")
    return name[:150] or "item"


def _first_line(error: BaseException) -> str:
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {without_secrets(text)[:120]}"
