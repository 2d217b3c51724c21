"""Fills the templates of this package: pages that need no other file and no network."""

import base64
import io
import re
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from PIL import Image

from monai_sr.core import PathLike, atomic_file, printable, sha256
from monai_sr.core.version import __version__
from monai_sr.formats import DISCLAIMER

_POLICY = "<policy>"  # filled in when the styles and scripts of the page are known


@cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def render(template: str, package: str = "monai_sr.reports", **content: Any) -> str:
    """Return a page.

    Args:
        template: name of a file of ``templates``.
        package: in which that folder lies.
        **content: its variables; what they hold is escaped.
    """
    page = _environment(package).get_template(template)
    text = page.render(version=__version__, disclaimer=DISCLAIMER, policy=_POLICY, **content)
    return text.replace(str(escape(_POLICY)), _policy(text), 1)


def _policy(text: str) -> str:
    """Allow the styles and scripts of a page, by their hashes, and none that a name smuggles in.

    W3C, Content Security Policy Level 3, section 6.7.2 (hashes of inline elements).
    """
    allowed = []
    for tag, kind in (("style", "style-src"), ("script", "script-src")):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        hashes = dict.fromkeys(bytes.fromhex(sha256(each)) for each in inside)
        codes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes]
        allowed.append(" ".join([kind, *codes]))
    return "; ".join(allowed)


def _shown(value: Any) -> Any:
    """Write names without marks that turn or hide text; markup is our own."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


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
