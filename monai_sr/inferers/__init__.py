"""From whole images to enlarged images, through any generator."""

from monai_sr.inferers.autocast import AutocastInferer
from monai_sr.inferers.self_ensemble import SelfEnsembleInferer, count_views
from monai_sr.inferers.tiled import TiledInferer

__all__ = ["AutocastInferer", "SelfEnsembleInferer", "TiledInferer", "count_views"]
