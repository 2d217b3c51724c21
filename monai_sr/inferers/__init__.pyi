# What this package gives to others; each name is imported when it is first used.
from .batch_meta import enlarged_meta as enlarged_meta
from .self_ensemble import VIEWS as VIEWS
from .self_ensemble import SelfEnsembleInferer as SelfEnsembleInferer
from .self_ensemble import count_views as count_views
from .tile_plan import Tile as Tile
from .tile_plan import TileGrid as TileGrid
from .tile_plan import bounds as bounds
from .tile_plan import overlap as overlap
from .tile_plan import result_edge as result_edge
from .tile_plan import within as within
from .tile_run import TileRun as TileRun
from .tile_run import spatial as spatial
from .tiled import TiledInferer as TiledInferer
from .tiled import warn_if_cut as warn_if_cut
from .transfer import AutocastInferer as AutocastInferer
from .transfer import Transfer as Transfer
