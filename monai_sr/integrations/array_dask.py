"""Enlarges an array of Dask lazily: a chunk of the result is one tile of the whole.

It is computed from the pixels below it and the margin that its values depend on; what belongs to
the whole is found in a pass before, which is part of the computation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_sr.core import import_extra
from monai_sr.formats import CODES
from monai_sr.integrations.array_tiles import ArrayPlan, Found, Known

if TYPE_CHECKING:
    import numpy.typing as npt

    from monai_sr.inferers import Tile

_MERGED = 16  # parts whose counts are added up at a time


def enlarged_lazily(plan: ArrayPlan, pixels: Any) -> Any:
    """Enlarge an array of Dask; nothing is computed before the result is.

    Shape: as for :func:`enlarged`; a chunk of the result is a tile of the plan.
    """
    dask, array, graphs = (
        import_extra(name, extra="xarray") for name in ("dask", "dask.array", "dask.highlevelgraph")
    )
    shared, known = dask.delayed(plan, traverse=False), None
    layers = [shared]
    if plan.kind not in CODES:
        parts = _surveyed(shared, pixels, dask.delayed) if plan.needs_pass else []
        known = dask.delayed(_decided)(shared, parts)
        layers.append(known)
        # The second reading begins after the first: else all would wait in memory for its end.
        pixels = _read_after(known, pixels, dask.optimize, array.Array) if parts else pixels
    key = None if known is None else known.key
    tasks: dict[Any, Any] = {}
    name = f"upscale-{shared.key}"
    for row, column, tile in plan.placed():
        x, y = plan.reach(tile)
        part = pixels[:, y, x].rechunk(-1)
        layers.append(part)
        tasks[name, 0, row, column] = (
            _enlarged, shared.key, (part.name, 0, 0, 0), tile, key, x.start, y.start
        )  # fmt: skip
    heights = [row[0].place[1] for row in plan.tiles]
    widths = [tile.place[0] for tile in plan.tiles[0]]
    chunks = [(plan.shape[0],), *(tuple(p.stop - p.start for p in a) for a in (heights, widths))]
    graph = graphs.HighLevelGraph.from_collections(name, tasks, dependencies=layers)
    return array.Array(graph, name, tuple(chunks), dtype=plan.dtype)


def _read_after(
    first: Any, pixels: Any, optimize: Callable[..., Any], array: Callable[..., Any]
) -> Any:
    """Return an array whose own tasks are done once more, after a task.

    ``dask.graph_manipulation.bind`` is meant for that, and loses the references of sliced arrays.

    Args:
        first: the task.
        pixels: the array.
        optimize: of Dask, which leaves nothing but nodes of a graph.
        array: class of the result.
    """
    (given,) = optimize(pixels)
    nodes = dict(given.__dask_graph__())
    if not nodes or any(node.dependencies - nodes.keys() for node in nodes.values()):
        return pixels  # lies on a cluster already, as a whole or in its beginnings
    mark = f"-after-{first.key}"
    names = {
        key: (f"{key[0]}{mark}", *key[1:]) if isinstance(key, tuple) else f"{key}{mark}"
        for key in nodes
    }
    tasks: dict[Any, Any] = {}
    for key, node in nodes.items():
        # What is data is read by nobody.
        is_read = not node.dependencies and hasattr(node, "func")
        renamed = node.substitute(names, key=names[key])
        tasks[names[key]] = (partial(_done, node), first.key) if is_read else renamed
    name = f"{given.name}{mark}"
    graph = type(pixels.dask).from_collections(name, tasks, dependencies=[first])
    return array(graph, name, given.chunks, dtype=given.dtype)


def _done(node: Callable[[], Any], _: Known) -> Any:
    return node()


def _surveyed(shared: Any, pixels: Any, delayed: Callable[..., Any]) -> list[Any]:
    """Return lazy counts of the parts that the chunks of an array are, a few added up at a time."""
    edges = [np.cumsum((0, *sizes)).tolist() for sizes in (pixels.chunks[2], pixels.chunks[1])]
    columns, rows = ([slice(*pair) for pair in itertools.pairwise(axis)] for axis in edges)
    parts = [
        delayed(_survey)(shared, pixels[:, y, x], x, y) for y, x in itertools.product(rows, columns)
    ]
    while len(parts) > _MERGED:
        groups = (parts[first : first + _MERGED] for first in range(0, len(parts), _MERGED))
        parts = [delayed(Found.sum)(group) for group in groups]
    return parts


def _survey(plan: ArrayPlan, pixels: npt.NDArray[Any], x: slice, y: slice) -> Found:
    return plan.survey(pixels, x, y)


def _decided(plan: ArrayPlan, parts: Sequence[Found]) -> Known:
    return plan.decide(parts)


def _enlarged(
    plan: ArrayPlan,
    pixels: npt.NDArray[Any],
    tile: Tile,
    known: Known | None,
    left: int,
    top: int,
) -> npt.NDArray[Any]:
    return plan.enlarge(pixels, tile, known, left, top)
