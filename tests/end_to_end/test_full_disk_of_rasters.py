"""A disk that is full, a quota or a limit of file sizes ends as an error, and leaves nothing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from monai_sr.core.errors import OutputError
from monai_sr.formats.raster.check import check_pixels_of, check_windows, checksum
from tests.image_factory import NORTH_UP, write_raster
from tests.scene_factory import write_scene

ROOT = Path(__file__).resolve().parents[2]
SHARES = (0.03, 0.3, 0.6, 0.8, 0.9, 0.97, 0.995, 1)
# In a process of its own: a limit of file sizes counts for all that a process writes.
RUN = """
import json, resource, shutil, sys
from pathlib import Path
from tests.scene_factory import in_memory, in_windows
from tests.network_factory import tiny
source, output, how, shares = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
network = tiny(3)
def run():
    if how == "memory":
        in_memory(source, output, network)
    else:
        in_windows(source, output, network, cog=how == "cog", tile_size=64)
run()
size = output.stat().st_size
said = []
for share in json.loads(shares):
    output.unlink(missing_ok=True)
    limit = min(int(size * share), size - 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        run()
        said.append("nothing")
    except Exception as error:
        said.append(f"{type(error).__name__}: {error}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    said[-1] += f" | {[p.name for p in output.parent.iterdir() if p.suffix != '.parts']}"
    left = (p.name for p in output.parent.glob(".*.parts/*"))
    said[-1] += f" | {sorted(n for n in left if not n.endswith(('.block', '.json', 'lock')))}"
print(said)
"""


def results(source, output, how):
    """Run below and above each share of the size that the result needs."""
    output.parent.mkdir()
    words = [sys.executable, "-c", RUN, source, output, how, json.dumps(SHARES)]
    made = subprocess.run(
        list(map(str, words)), cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    )
    return ast.literal_eval(made.stdout.splitlines()[-1]), made.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of file sizes")
@pytest.mark.parametrize(
    ("how", "suffix"),
    [("memory", "tif"), ("memory", "png"), ("windows", "tif"), ("windows", "png"), ("cog", "tif")],
)
def test_a_limit_of_file_sizes_is_one_error_and_leaves_nothing(tmp_path, how, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (3, 96, 160)).astype(np.uint8)
    place = {"transform": None} if suffix == "png" else {"transform": NORTH_UP}
    source = write_scene(tmp_path / f"a.{suffix}", array=noise, **place)
    said, shown = results(source, tmp_path / "out" / f"a_x4.{suffix}", how)
    for each in said:
        assert each.startswith(f"OutputError: {tmp_path / 'out' / 'a_x4'}.{suffix}: "), each
        assert "free space" in each
        assert each.endswith("| [] | []"), each
    assert "File too large" not in shown


def pixels():
    return np.random.default_rng(1).integers(1, 255, (3, 300, 500)).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_a_file_that_was_cut_anywhere_is_found_out(tmp_path, name):
    options = {"compress": "deflate", "tiled": True, "blockxsize": 128, "blockysize": 128}
    file = write_raster(
        tmp_path / name, pixels(), **(options if name.endswith("tif") else {"transform": None})
    )
    check_pixels_of(file, name, pixels())
    whole = file.read_bytes()
    for share in (0.3, 0.7, 0.95, 1):
        file.write_bytes(whole[: min(int(len(whole) * share), len(whole) - 1)])
        with pytest.raises(OutputError, match=r"as it was written, .* free space"):
            check_pixels_of(file, name, pixels())


def test_tiles_that_are_missing_are_found_out_though_they_can_be_read(tmp_path):
    options = {"tiled": True, "blockxsize": 256, "blockysize": 256, "sparse_ok": True}
    file = tmp_path / "a.tif"
    shape = {"count": 3, "height": 300, "width": 500, "dtype": "uint8", "transform": NORTH_UP}
    with rasterio.open(file, "w", driver="GTiff", **shape, **options) as dst:
        dst.write(pixels()[:, :256], window=rasterio.windows.Window(0, 0, 500, 256))
    with pytest.raises(OutputError, match="got other pixels there"):
        check_pixels_of(file, "a.tif", pixels())
    with pytest.raises(OutputError, match="got other pixels there"):
        check_windows(file, "a.tif", {(0, 256, 500, 44): (checksum(pixels()[:, 256:]), None)})
    check_windows(file, "a.tif", {(0, 0, 500, 256): (checksum(pixels()[:, :256]), None)})


def test_zeros_and_nans_of_every_kind_are_alike():
    values = np.array([0.0, np.nan, 1.0], np.float32)
    other = np.array([-0.0, -np.nan, 1.0], np.float32)
    assert checksum(values) == checksum(other) != checksum(values[::-1])
