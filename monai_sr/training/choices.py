"""What a bundle's training options are where the user says nothing, by what other options say."""

import atexit
import math
import shutil
import tempfile
from collections.abc import Sequence
from typing import TypeVar

from monai_sr.core import OptionError, PathLike, rank, text_from_first

T = TypeVar("T")


def default_steps(steps: int, minutes: float = 0) -> int:
    """Return the budget in steps: none where there is one in minutes.

    Args:
        steps: without minutes.
        minutes: the budget in minutes, 0 for none.
    """
    return 0 if minutes else steps


def training_budget(steps: int, minutes: float = 0, *, dry_run: bool = False) -> dict[str, float]:
    """Return where training ends: both limits, or the one step of a dry run."""
    return {"steps": 1} if dry_run else {"steps": steps, "minutes": minutes}


def positive(value: float, option: str) -> float:
    """Return the value of an option that must be a number above zero.

    Args:
        value: what was told; a whole number stays one.
        option: its name.

    Raises:
        OptionError: if it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        raise OptionError(f"{option}: must be a number above 0, got {value!r}")
    return value


def positive_count(value: int, option: str) -> int:
    """Return the value of an option that must be a whole number of at least one.

    Raises:
        OptionError: if it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError(f"{option}: must be a whole number of at least 1, got {value!r}")
    return value


def default_scales(scales: Sequence[int], scale: int, lr_dir: PathLike | None = None) -> list[int]:
    """Return the scales that batches are drawn from.

    Args:
        scales: of small images that are made.
        scale: the run's own, that of measured ones.
        lr_dir: folder of measured small images; None: they are made.
    """
    return [scale] if lr_dir else list(scales)


def default_scale_weights(
    weights: Sequence[float], lr_dir: PathLike | None = None
) -> list[float] | None:
    """Return how often each of :func:`default_scales` is drawn; None where there is one."""
    return None if lr_dir else list(weights)


def shared_handler(handler: T) -> T:
    """Return a handler that other entries of a configuration refer to, too.

    MONAI's check of a bundle's properties wants a ``_target_`` in every entry of its handlers.
    """
    return handler


def run_folder(output_dir: PathLike, is_dry: bool = False) -> str:
    """Return the folder of a run, or for a dry run one that is gone when the process ends.

    Of several processes the first one makes it for all.

    Args:
        output_dir: folder of checkpoints, weights and logs; made when first written to.
        is_dry: whether nothing is to be kept.
    """
    if not is_dry:
        return str(output_dir)
    folder = ""
    if rank() == 0:
        folder = tempfile.mkdtemp(prefix="monai-sr-dry-run-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return text_from_first(folder)
