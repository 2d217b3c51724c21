"""monai-sr: single-image super-resolution for MONAI, medical, satellite and natural images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from monai_sr.apps.register import register
    from monai_sr.apps.super_resolver import SuperResolver

__all__ = ["SuperResolver", "__version__", "register"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: ``import monai_sr`` stays instant."""
    if name == "SuperResolver":
        from monai_sr.apps.super_resolver import SuperResolver

        return SuperResolver
    if name == "register":
        from monai_sr.apps.register import register

        return register
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
