"""Results of tiles of one color, which large scenes have many of: water, clouds, margins."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from torch import Tensor

from monai_sr.inferers.tile_plan import Tile, TileGrid, within

_ALIKE = 8  # results that are remembered


class AlikeTiles:
    """Remembers the last results of tiles of one color.

    Args:
        grid: of all tiles.
    """

    def __init__(self, grid: TileGrid) -> None:
        self._is_whole_factor = grid.targets == tuple(n * grid.scale for n in grid.sizes)
        self._known: OrderedDict[Any, np.ndarray] = OrderedDict()

    def find(self, tile: Tile, unit: Tensor | None) -> tuple[Any, np.ndarray | None]:
        """Return what decides on the result of a tile of one color, and the result of its like.

        Args:
            tile: the tile.
            unit: its samples (1, C, x, y); None: it has none that are valid.
        """
        if unit is None or not self._is_whole_factor:
            return None, None
        color = unit[:, :, :1, :1]
        if not bool((unit == color).all()):
            return None, None
        inner = within(tile.core, tile.outer)
        key = (tuple(color.flatten().tolist()), unit.shape, str(inner))
        return key, self._known.get(key)

    def keep(self, key: Any, stored: np.ndarray) -> None:
        """Remember a result (C, x, y), unless its key is None."""
        if key is None:
            return
        self._known[key] = stored
        if len(self._known) > _ALIKE:
            self._known.popitem(last=False)
