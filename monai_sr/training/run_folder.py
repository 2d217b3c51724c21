"""Where a training run writes."""

from __future__ import annotations

import atexit
import shutil
import tempfile

from monai_sr.core.types import PathLike


def run_folder(output_dir: PathLike, is_dry: bool = False) -> str:
    """Return the folder of a run, or for a dry run one that is gone when the process ends.

    Args:
        output_dir: folder of checkpoints, weights and logs; made when first written to.
        is_dry: whether nothing is to be kept.
    """
    if not is_dry:
        return str(output_dir)
    folder = tempfile.mkdtemp(prefix="monai-sr-dry-run-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
