# What this package gives to others; each name is imported when it is first used.
from .autocast import AutocastInferer as AutocastInferer
from .self_ensemble import SelfEnsembleInferer as SelfEnsembleInferer
from .self_ensemble import count_views as count_views
from .tiled import TiledInferer as TiledInferer
