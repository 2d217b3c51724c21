"""Writes enlarged OME-Zarr images with all levels of resolution and the source's metadata.

OME-NGFF 0.4 and 0.5, https://ngff.openmicroscopy.org (multiscales, coordinateTransformations,
omero).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_sr.core.atomic import atomic_folder
from monai_sr.core.dtypes import to_integers
from monai_sr.core.errors import OutputError
from monai_sr.core.log import get_logger
from monai_sr.core.optional import import_extra
from monai_sr.formats.axes import stored_layout
from monai_sr.formats.facts import Facts, storable_range
from monai_sr.formats.identity import check_unchanged
from monai_sr.formats.meaning import CODES, kind_of
from monai_sr.formats.ome_zarr.format import OmeZarr
from monai_sr.formats.ome_zarr.metadata import VERSIONS, OmeMetadata, read_metadata
from monai_sr.formats.ome_zarr.reader import open_level
from monai_sr.formats.raster.keep_list import is_deidentified
from monai_sr.formats.stored import (
    StoredWriter,
    as_stored,
    check_moved,
    disclaimer,
    map_meaning,
    provenance_of,
    software,
    source_path,
)
from monai_sr.geometry import grid_change, is_turned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from monai_sr.core.types import PathLike

logger = get_logger(__name__)

_COARSEST = 256  # samples along x and y of the last level
_NOTE = "monai-sr"
_OME = ("multiscales", "omero", "image-label", "version", "labels")
# Of a channel, without the words that users give it.
_SHOWN = ("color", "window", "active", "inverted", "coefficient", "family")


class OmeZarrWriter(StoredWriter):
    """Write a result as an OME-Zarr folder of the source's version.

    Kept: type, axes, units, chunks, codecs, names of channels and their windows, all other
    attributes of the image. Made anew: the levels, each half of the one before along x and y (and z
    where the source's are), by the mean of an area, of codes by nearest samples. The attribute
    ``monai-sr`` says that the image is derived, and how. Of a de-identified result names and other
    attributes are left out.
    """

    def write(self, filename: PathLike, verbose: bool = True, **kwargs: Any) -> None:
        """Write the folder; it appears whole or not at all.

        Args:
            filename: ends in .zarr.
            verbose: log the name.
            **kwargs: options of MONAI's other writers, not used.

        Raises:
            OutputError: the format cannot hold the result, or the folder cannot be written.
        """
        super().write(filename, verbose=verbose)
        if Path(filename).suffix.lower() != ".zarr":
            raise OutputError(
                f"{filename}: must end in .zarr, got '{Path(filename).suffix}'; choose such a name."
            )
        source = read_metadata(source_path(self._meta, OmeZarr.name, filename))
        array = open_level(source)
        channels = as_stored(self._array, self._meta, filename)
        stored = _layout(channels, source, array).astype(array.dtype, copy=False)
        affine = np.asarray(self._meta["affine"], dtype=np.float64)
        matrix, scale = grid_change(source.affine, affine)
        if is_turned(matrix, len(source.space_axes)):
            raise OutputError(
                f"{filename}: its grid must run as that of its source, got a turned or mirrored "
                "one; leave out the transform that turns it."
            )
        check_moved(filename, scale, stored.shape, array.shape)
        if (source.path / "labels").is_dir():
            logger.warning("%s: its labels are left out; enlarge each by its own path", source.path)
        with atomic_folder(filename) as temporary:
            _save(
                temporary,
                source,
                array,
                stored,
                affine,
                _attributes(source, self._meta),
                self._meta,
            )
            check_unchanged(Facts(self._meta).input)


def write_map(
    result: Path, target: Path, half_width: npt.NDArray[np.float32], meta: Mapping[str, Any]
) -> None:
    """Write a map of uncertainty, see :mod:`monai_sr.formats.naming`."""
    of_result = read_metadata(result)
    array = open_level(of_result)
    stored = _layout(half_width, of_result, array).astype(np.float32)
    attributes = {_NOTE: of_result.attributes[_NOTE] | {"content": map_meaning(meta)}}
    with atomic_folder(target) as temporary:
        _save(temporary, of_result, array, stored, of_result.affine, attributes, {})


def _layout(channels: npt.NDArray[Any], source: OmeMetadata, array: Any) -> npt.NDArray[Any]:
    return stored_layout(channels, source.space_axes, source.other_axes, array.shape)


def _save(
    folder: Path,
    source: OmeMetadata,
    array: Any,
    stored: npt.NDArray[Any],
    affine: npt.NDArray[np.float64],
    attributes: dict[str, Any],
    meta: Mapping[str, Any],
) -> None:
    """Write all levels and their metadata.

    Through memory: zarr writes chunks in threads of its own, which go on where one could not write,
    and put files where the folder has been removed.

    Args:
        folder: where, empty.
        source: metadata of the source.
        array: its finest level, whose chunks and codecs are taken.
        stored: the finest level of the result.
        affine: its place.
        attributes: what else to say, as 0.4 has it.
        meta: of the result: codes have no mean.
    """
    zarr = import_extra("zarr", extra="zarr")
    is_v3 = source.zarr_format == 3
    files: dict[str, Any] = {}
    store = zarr.storage.MemoryStore(files)
    group = zarr.open_group(store, mode="w", zarr_format=source.zarr_format)
    has_codes = kind_of(meta) in CODES
    scale, start = source.scale_and_start()
    for column, axis in enumerate(source.space_axes):
        scale[axis], start[axis] = float(affine[column, column]), float(affine[column, 3])
    datasets: list[dict[str, Any]] = []
    options: dict[str, Any] = {"filters": array.filters, "compressors": array.compressors}
    if is_v3:
        options |= {"serializer": array.serializer, "shards": array.shards}
        options["dimension_names"] = [axis["name"] for axis in source.axes]
    if stored.dtype.itemsize != array.dtype.itemsize or stored.dtype.kind != array.dtype.kind:
        options = {key: options[key] for key in ("dimension_names",) if key in options}
    separator = {"name": "default" if is_v3 else "v2", "separator": "/"}
    for level, (values, factors) in enumerate(_levels(stored, source, has_codes=has_codes)):
        chunks = array.chunks
        if not options.get("shards"):
            chunks = tuple(max(1, min(pair)) for pair in zip(chunks, values.shape, strict=True))
        made = group.create_array(
            str(level), shape=values.shape, dtype=values.dtype, chunks=chunks, fill_value=0,
            chunk_key_encoding=separator, **options,
        )  # fmt: skip
        made[...] = values
        # The center of 2 samples is half a step behind the first; nearest samples stay in place.
        moved = [0.0 if has_codes else (f - 1) / 2 for f in factors]
        steps = [
            {"type": "scale", "scale": [s * f for s, f in zip(scale, factors, strict=True)]},
            {"type": "translation",
             "translation": [t + s * m for t, s, m in zip(start, scale, moved, strict=True)]},
        ]  # fmt: skip
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    multiscale: dict[str, Any] = {"axes": source.axes, "datasets": datasets}
    multiscale["type"] = "nearest" if has_codes else "mean"
    if "name" in source.multiscale and not is_deidentified(meta):
        multiscale["name"] = source.multiscale["name"]
    group.update_attributes(_own_form(source, attributes, multiscale))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.to_bytes())


def _levels(
    finest: npt.NDArray[Any], source: OmeMetadata, *, has_codes: bool
) -> Iterator[tuple[npt.NDArray[Any], list[int]]]:
    """Yield the levels and by how much each is coarser than the finest along every axis."""
    in_plane, z = source.space_axes[:2], source.space_axes[2:]
    halved = [*in_plane, *(axis for axis in z if _is_halved(source, axis))]
    values, factors = finest, [1] * finest.ndim
    yield values, factors
    while max(values.shape[axis] for axis in in_plane) > _COARSEST:
        axes = [axis for axis in halved if values.shape[axis] > 1]
        values = _half(values, axes, has_codes=has_codes)
        factors = [f * 2 if axis in axes else f for axis, f in enumerate(factors)]
        yield values, factors


def _is_halved(source: OmeMetadata, axis: int) -> bool:
    if len(source.multiscale["datasets"]) < 2:
        return False
    return source.scale_and_start(1)[0][axis] > source.scale_and_start()[0][axis] * 1.5


def _half(values: npt.NDArray[Any], axes: Sequence[int], *, has_codes: bool) -> npt.NDArray[Any]:
    """Halve some axes; a last odd sample stands for itself."""
    mean: npt.NDArray[Any] = values
    for axis in axes:
        slices = ((slice(None),) * axis + (slice(i, None, 2),) for i in (0, 1))
        first, second = (mean[each] for each in slices)
        if has_codes:
            mean = first
            continue
        if second.shape[axis] < first.shape[axis]:
            second = np.concatenate([second, np.take(mean, [-1], axis)], axis=axis)
        mean = first / 2 + second / 2
    if has_codes or values.dtype.kind == "f":
        return mean.astype(values.dtype, copy=False)
    native = values.dtype.newbyteorder("=")
    return to_integers(mean, native, storable_range(native), "level").astype(values.dtype)


def _attributes(source: OmeMetadata, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a result but its multiscales."""
    found = copy.deepcopy(source.attributes)
    for key in ("multiscales", "labels"):
        found.pop(key, None)
    if isinstance(found.get("image-label"), dict):
        found["image-label"].pop("source", None)  # that image is not here
    if is_deidentified(meta):
        omero = found.get("omero", {})
        channels = omero.get("channels", ()) if isinstance(omero, dict) else ()
        shown = [{k: c[k] for k in _SHOWN if k in c} for c in channels if isinstance(c, dict)]
        found = {"omero": {"channels": shown}} if shown else {}
        if source.is_label:
            found["image-label"] = {}
    facts = provenance_of(meta)
    said = {"derivation": disclaimer(facts), "software": software(meta)}
    found[_NOTE] = said | ({"provenance": facts} if facts else {})
    return found


def _own_form(
    source: OmeMetadata, attributes: dict[str, Any], multiscale: dict[str, Any]
) -> dict[str, Any]:
    """Return attributes in the form of the source's version."""
    version = VERSIONS[source.zarr_format]
    if source.zarr_format == 2:
        return attributes | {"multiscales": [{"version": version} | multiscale]}
    ome = {key: value for key, value in attributes.items() if key in _OME}
    others = {key: value for key, value in attributes.items() if key not in _OME}
    return others | {"ome": ome | {"version": version, "multiscales": [multiscale]}}
