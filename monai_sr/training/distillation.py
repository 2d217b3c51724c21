"""A teacher's results made beforehand: second targets read from a folder.

A teacher that is much slower than the student, or is no network of this project, enlarges each
training image's small version once; training then costs what it costs without a teacher.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.core import BadImageError, OptionError, PathLike
from monai_sr.training.measured_pairs import TrainingPair, source_name
from monai_sr.training.training_images import Source, list_images, match_names, shown_name

Loaded = npt.NDArray[Any] | TrainingPair


class TeacherResults:
    """Results of a folder, found by the names of the training images and a mark of the scale.

    ``0801_x4.png`` is what the teacher made at x4 of the small version of ``0801.png``. Images
    without a result, files of several images, and scales without any are trained on the truth
    alone.

    Args:
        folder: holds the results, maybe in subfolders.
        load: reads one as training images are read.
        scales: factors to train.

    Raises:
        OptionError: if the folder holds no result of any scale.
    """

    def __init__(
        self,
        folder: PathLike,
        load: Callable[[Source], Loaded | list[Loaded]],
        scales: Sequence[int],
    ) -> None:
        self.folder = Path(folder)
        self.load = load
        try:
            sources = list_images(self.folder)
        except OptionError as error:
            raise OptionError(str(error).replace("dataset_dir", "teacher")) from error
        self._found = {}
        for scale in scales:
            mark = re.compile(rf"x{scale}$", re.IGNORECASE)
            marked = [source for source in sources if mark.search(source_name(source))]
            if marked:
                self._found[scale] = marked
        self.scales = tuple(self._found)
        if not self.scales:
            raise OptionError(
                f"teacher: {self.folder} must hold results named NAME_x{scales[0]}, got "
                f"{source_name(sources[0])}, ...; rename them"
            )

    def read(self, source: Source, scale: int, truth: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the teacher's result (C, H, W[, D]) in the kind of the truth, which it is cut to.

        Args:
            source: the training image.
            scale: the enlargement.
            truth: the image, cropped to a multiple of every scale; returned if there is no result.

        Raises:
            BadImageError: if there are several results, or one of another size.
        """
        candidates = self._found[scale]
        names = [source_name(candidate) for candidate in candidates]
        (found,) = match_names([source_name(source)], names, scale)
        if not found:
            return truth
        if len(found) > 1:
            raise BadImageError(
                f"{shown_name(source)}: must have one result at x{scale} in {self.folder}, got "
                f"{len(found)}; remove the others"
            )
        result = self.load(candidates[found[0]])
        sizes = truth.shape[1:]
        is_image = isinstance(result, np.ndarray) and result.ndim == truth.ndim
        got = np.asarray(result).shape[1:] if is_image else ()
        if len(got) != len(sizes) or any(
            not size <= side < size + scale * scale for size, side in zip(sizes, got, strict=True)
        ):
            raise BadImageError(
                f"{shown_name(candidates[found[0]])}: must have the size {sizes} of the training "
                f"image, got {got or 'several images'}; make it anew"
            )
        kept = (slice(None), *(slice(size) for size in sizes))
        return _of_dtype(np.asarray(result)[kept], truth.dtype)


def _of_dtype(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Turn uint8 into [0, 1] or the reverse where needed."""
    if values.dtype == dtype:
        return values
    unit: npt.NDArray[Any] = values / 255 if values.dtype == np.uint8 else values
    stored: npt.NDArray[Any] = np.rint(unit * 255) if dtype == np.uint8 else unit
    return stored.astype(dtype)


def teacher_results(
    teacher: PathLike | None,
    load: Callable[[Source], Loaded | list[Loaded]],
    scales: Sequence[int],
) -> TeacherResults | None:
    """Return the results that ``teacher`` names; None where it is a file of weights, or None."""
    if teacher is None or not Path(teacher).is_dir():
        return None
    return TeacherResults(teacher, load, scales)
