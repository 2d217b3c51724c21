"""Keep the pictures of an evaluation as PNG files, one folder an image, for reports to show."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from torch import Tensor

from monai_sr.core import atomic_file, sha256
from monai_sr.metrics import Comparison
from monai_sr.training import OWN_PICTURE

_KEY = "monai-sr key"
WHITE_KEY = "monai-sr white"
"""Text in a picture of intervals: the half width, in [0, 1], that white stands for."""
_LEVELS_8, _LEVELS_16 = 255, 65535
_HASH_DIGITS = 8


def slug(name: str) -> str:
    """Return a name as part of a file's name; a hash stands for more than blanks that it loses.

    Example:
        >>> slug("natural_sr, perception 0.5"), slug("\u8111\u90e8 1")
        ('natural_sr_perception_0.5', '1_c271a69d')
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("_.")
    is_told = plain and plain == re.sub(",? ", "_", name)
    return plain if is_told else f"{plain}_{sha256(name)[:_HASH_DIGITS]}"


def has_pictures(folder: Path, system: str, key: str) -> bool:
    """Tell whether a folder holds the result of a system that has this key."""
    file = folder / f"{slug(system)}.png"
    try:
        with Image.open(file, formats=["PNG"]) as image:
            return bool(image.info.get(_KEY) == key)
    except OSError:
        return False


def save_pictures(comparison: Comparison, folder: Path, system: str, key: str) -> None:
    """Write ``hr.png``, ``lr.png``, ``<system>.png``, and ``<system>_interval.png`` where known.

    Sets of 8-bit images give the very values that were judged. Of others, grey images have 16 bits
    over [0, 1]; color ones are rounded to 8 bits; of more than three bands the first three show.

    Args:
        comparison: what to show.
        folder: of this image.
        system: name in the rows.
        key: what the result depends on, kept inside the file.

    Raises:
        OutputError: if a file cannot be written.
    """
    is_8_bit = comparison.protocol.data_range == _LEVELS_8
    if comparison.half_width is not None:
        width = comparison.half_width.double().mean(dim=1, keepdim=True)
        white = max(float(width.max()), 1e-6)
        text = {_KEY: key, WHITE_KEY: f"{white:.6g}"}
        _write(folder / f"{slug(system)}_interval.png", width / white, False, text)
    _write(folder / "hr.png", comparison.hr, is_8_bit, {})
    _write(folder / "lr.png", comparison.lr, is_8_bit, {})
    # Last: it tells that the others are there.
    _write(folder / f"{slug(system)}.png", comparison.sr, is_8_bit, {_KEY: key})


def _write(path: Path, image: Tensor, is_8_bit: bool, text: Mapping[str, str]) -> None:
    values = image[0, :3].double().clamp(0, 1).permute(1, 2, 0).numpy()
    if values.shape[-1] == 2:
        values = values[..., :1]
    is_grey = values.shape[-1] == 1
    levels, kind = (_LEVELS_8, np.uint8) if is_8_bit or not is_grey else (_LEVELS_16, np.uint16)
    stored = np.floor(values * levels + 0.5).astype(kind)
    info = PngImagePlugin.PngInfo()
    for name, content in {OWN_PICTURE: "evaluation", **text}.items():
        info.add_text(name, content)
    with atomic_file(path) as temporary:
        Image.fromarray(stored[..., 0] if is_grey else stored).save(
            temporary, format="PNG", pnginfo=info
        )
