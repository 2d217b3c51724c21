"""Fills the templates of this package: pages that need no other file and no network."""

from __future__ import annotations

import base64
import io
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from PIL import Image

from monai_sr import __version__
from monai_sr.core.atomic import atomic_file
from monai_sr.writers.stored import DISCLAIMER

if TYPE_CHECKING:
    import numpy.typing as npt

    from monai_sr.core.types import PathLike


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("monai_sr.reports"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **content: Any) -> str:
    """Return a page.

    Args:
        template: name of a file of ``templates``.
        **content: its variables; what they hold is escaped.
    """
    page = _environment().get_template(template)
    return page.render(version=__version__, disclaimer=DISCLAIMER, **content)


def write_page(path: PathLike, template: str, **content: Any) -> None:
    """Write a page; it appears whole.

    Raises:
        OutputError: it cannot be written.
    """
    text = render(template, **content)
    with atomic_file(path) as partial:
        # Names of files need not be UTF-8.
        partial.write_text(text, encoding="utf-8", errors="replace")


def data_uri(levels: npt.NDArray[np.uint8], quality: int | None = None) -> str:
    """Return a picture as text for the ``src`` of an image.

    Args:
        levels: (H, W) grey or (H, W, 3) RGB.
        quality: of lossy WebP, 1 to 100; None: lossless PNG.
    """
    stream = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(levels))
    if quality is None:
        picture.save(stream, "PNG", optimize=True)
    else:
        picture.save(stream, "WEBP", quality=quality, method=4)
    kind = "png" if quality is None else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
