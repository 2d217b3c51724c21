"""Fetch the archives of a benchmark from where its authors keep them, checked by SHA-256."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.apps.utils import download_url, extractall

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.core.log import get_logger
from monai_sr.core.types import PathLike

_logger = get_logger(__name__)


def download(name: str, archives: Sequence[Mapping[str, Any]], root: PathLike, scale: int) -> None:
    """Download and unpack what a benchmark needs at a scale.

    Args:
        name: of the benchmark, for messages.
        archives: each with ``url``, ``sha256`` of the file, ``folder`` that it holds, and ``scale``
            if it is for one alone. A folder that is there already is not fetched again.
        root: folder to unpack into.
        scale: the enlargement.

    Raises:
        OptionError: if the benchmark has no archives.
        BadImageError: if one cannot be had, or is not the one that was checked.
    """
    if not archives:
        raise OptionError(
            f"download: no address is known for {name!r} whose content could be checked; copy the "
            "images yourself and pass --root"
        )
    for archive in archives:
        is_there = Path(root, archive["folder"]).is_dir()
        if is_there or archive.get("scale", scale) != scale:
            continue
        _logger.info("%s: downloading %s", name, archive["url"])
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, archive["url"].rsplit("/", 1)[-1])
                download_url(
                    archive["url"], file, hash_val=archive["sha256"], hash_type="sha256",
                    progress=False,
                )  # fmt: skip
                extractall(file, Path(root))
        except (OSError, RuntimeError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadImageError(
                f"{archive['url']}: cannot be had ({first}); download it yourself into {root}"
            ) from error
