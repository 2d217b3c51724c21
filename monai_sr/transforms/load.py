"""Load any supported file, or a DICOM series, with the reader that its content asks for."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_sr.core.types import PathLike
from monai_sr.formats import DicomReader, find_reader
from monai_sr.formats.meaning import AUTO, INTENSITY, check_asked


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
    is_folder = isinstance(source, str | os.PathLike) and os.path.isdir(source)
    reader = DicomReader(kind) if is_folder else find_reader(source, kind)
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
