"""Load any supported file by its content, and save results."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_sr.core import OutputError, PathLike, appear_together
from monai_sr.formats import (
    AUTO,
    CLASSES,
    INTENSITY,
    Facts,
    check_asked,
    check_compression,
    find_reader,
    format_of_meta,
    output_suffix,
    plan_outputs,
    read_key,
    replacing,
    with_classes,
    write_uncertainty,
)


class SaveImageSRd(MapTransform):
    """Write results as files of the kind they came from; nothing half-written is ever left.

    The path of a result is the value of the key ``output`` where the sample has one, else the
    source's name with ``_x<scale>`` in ``output_dir``. It is recorded as fact ``output`` in the
    metadata. A result with ``uncertainty`` gets a map of it beside it, one with "classes" in its
    sample the classes of the scene: together, or none is left. What lies beside an older result
    of that name goes away with it.

    Args:
        keys: restored results, see :class:`monai_sr.transforms.RestoreStoredd`.
        output_dir: folder for results without a planned path.
        path_key: key of the planned path.
        compression: how DICOM pixels are stored: "none", "rle", "jpegls" or "jpeg2000".
        deidentify: remove what tells of a person from results: DICOM by the profile of PS3.15,
            other formats by a keep-list; needs planned paths, for the source's name tells, too.
        deidentify_key: a file with a secret, which keys the hashes that replace UIDs.
        cog: whether GeoTIFFs are cloud-optimized; None: where the source is.

    Raises:
        OptionError: there is no such compression.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: PathLike,
        path_key: str = "output",
        allow_missing_keys: bool = False,
        compression: str | None = "none",
        deidentify: bool = False,
        deidentify_key: PathLike | None = None,
        cog: bool | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        kind = str(compression).lower()  # the command line makes None of "None"
        check_compression(kind)
        self.deidentify = bool(deidentify)
        self.options = {"compression": kind, "deidentify": deidentify, "cog": cog}
        if key := read_key(deidentify_key, deidentify):
            self.options["deidentify_key"] = key
        self.output_dir = Path(str(output_dir))
        self.path_key = path_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write every key.

        Raises:
            OutputError: if a result cannot be written.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            if not isinstance(d[key], MetaTensor):
                raise OutputError(
                    f"{key}: must be a MetaTensor, got a {type(d[key]).__name__} without metadata; "
                    "keep them (EnsureTyped(track_meta=True))"
                )
            path = Path(d[self.path_key]) if self.path_key in d else self._path(d[key].meta)
            Facts(d[key].meta).output = str(path)
            form = format_of_meta(d[key].meta)
            if not form.writer_name:
                raise OutputError(
                    f"{path}: must be a result of a file that this package has read, got one of "
                    "another origin; load it with LoadImageSRd."
                )
            Facts(d[key].meta).is_deidentified = int(self.deidentify)
            writer = form.writer(**self.options)
            writer.set_data_array(d[key], channel_dim=0)  # type: ignore[no-untyped-call]
            writer.set_metadata(d[key].meta)
            classes = str(d[CLASSES]) if CLASSES in d else None
            if not Facts(d[key].meta).knows("uncertainty"):
                with replacing(path), with_classes(path, classes) as place:
                    writer.write(place, verbose=False)
                continue
            with replacing(path), appear_together(path.parent) as hidden:
                with with_classes(hidden / path.name, classes) as place:
                    writer.write(place, verbose=False)
                write_uncertainty(hidden / path.name, d[key].meta)
        return d

    def _path(self, meta: Mapping[str, Any]) -> Path:
        if self.deidentify:
            raise OutputError(
                f"result: a de-identified one needs a name under key {self.path_key!r}, for its "
                "source's may name the patient; load inputs with FileDataset(deidentify=True)."
            )
        source = Path(str(meta["filename_or_obj"]))
        scale = Facts(meta).scale
        suffix = output_suffix(meta)
        return plan_outputs([source], source.parent, self.output_dir, scale, lambda _: suffix)[0]


def load_image(source: PathLike | Sequence[PathLike], kind: str = INTENSITY) -> MetaTensor:
    """Read a file, or the files of a DICOM series, as stored values.

    Args:
        source: a path, the folder of one DICOM series, or the paths of its files.
        kind: what the values mean: gray or color unless asked, see
            :mod:`monai_sr.formats.meaning`.

    Returns:
        MetaTensor (C, X, Y[, Z]), float32, or float64 for element types wider than 16 bits, with
        the metadata that all readers of this package share.

    Raises:
        BadImageError: if it cannot be read.
    """
    reader = find_reader(source, kind)
    array, meta = reader.get_data(reader.read(source))
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(array)), meta=meta)


class LoadImageSRd(MapTransform):
    """Replace paths by images, and ask what their values mean; see :func:`load_image`.

    Args:
        keys: paths to replace.
        kind: "auto" asks each file, the others answer for it.

    Raises:
        OptionError: there is no such kind.
    """

    def __init__(
        self, keys: KeysCollection, allow_missing_keys: bool = False, *, kind: str = AUTO
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_asked(kind)
        self.kind = kind

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load every key."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = load_image(d[key], self.kind)
        return d
