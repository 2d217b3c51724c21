"""Measure peak memory and time against the size of a scene, and draw both to docs/scene.png.

``python benchmarks/scene.py 1k 2k`` makes scenes of these sizes, enlarges each x4 in a process of
its own, and adds rows to ``benchmarks/results/scene.csv``; a size that is there already is left out
(``--again`` measures it anew). ``--plot`` draws what is there, which needs matplotlib:
``pip install 'monai-sr[plot]'``.

Memory is the peak of the process less what it used once libraries and network were loaded.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.windows import Window

from monai_sr import SuperResolver, __version__
from monai_sr.core.optional import import_extra
from monai_sr.inferers.tile_run import TileRun

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.speed import hardware, texture

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "scene.csv"
PICTURE = ROOT / "docs" / "scene.png"
SCALE = 4
# Width, height, and whether nearly all of it is nodata; sparse ones go through bicubic.
SIZES = {
    "1k": (1024, 1024, False),
    "2k": (2048, 2048, False),
    "4k": (4096, 4096, False),
    "8k x 2k": (8192, 2048, False),
    "32k x 2k": (32768, 2048, False),
    "8k sparse": (8192, 8192, True),
    "32k sparse": (32768, 32768, True),
}
_TEXTURE_PX = 1024
_SPARSE_EVERY = 8  # textures: one in 64 is filled
_TICKS = {
    "x": (16, 64, 256, 1000, 4000, 16000), "seconds": (1, 10, 100, 1000, 10000),
    "peak_mib": (0, 500, 1000, 1500),
}  # fmt: skip


def write_scene(path: Path, width: int, height: int, is_sparse: bool) -> None:
    """Write a tiled GeoTIFF of natural spectrum, or one band of nodata with islands of it."""
    bands = 1 if is_sparse else 3
    pixels = np.rint(1 + 254 * texture(bands, _TEXTURE_PX)).astype(np.uint8)
    profile = {"driver": "GTiff", "count": bands, "dtype": "uint8", "nodata": 0, "tiled": True}
    with rasterio.open(
        path, "w", width=width, height=height, compress="deflate", sparse_ok=True,
        crs="EPSG:32614", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 4.6e6), **profile,
    ) as target:  # fmt: skip
        for row in range(0, height, _TEXTURE_PX):
            for column in range(0, width, _TEXTURE_PX):
                place = (row + column) // _TEXTURE_PX
                if is_sparse and (row // _TEXTURE_PX % _SPARSE_EVERY or place % _SPARSE_EVERY):
                    continue
                target.write(np.roll(pixels, place * 37, axis=2),
                             window=Window(column, row, _TEXTURE_PX, _TEXTURE_PX))  # fmt: skip


def measure(
    source: Path, output: Path, is_sparse: bool, device: str, precision: str
) -> dict[str, Any]:
    """Enlarge one scene in this process."""
    options = {"system": "bicubic"} if is_sparse else {"precision": precision}
    resolver = SuperResolver.from_bundle("natural_sr", scale=SCALE, device=device, **options)
    resolver(np.zeros((3, 64, 64), dtype=np.float32))  # what libraries allocate on first use
    seconds = {"network": 0.0, "tiles": 0.0}

    def timed(name: str, call: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = call(*args, **kwargs)
            if device != "cpu":
                torch.cuda.synchronize()
            seconds[name] += time.perf_counter() - start
            return result

        return run

    resolver.network.forward = timed("network", resolver.network.forward)
    TileRun._enlarge_bands = timed("tiles", TileRun._enlarge_bands)  # type: ignore[method-assign]
    before = status_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, proc(5)
    start = time.perf_counter()
    result = resolver.upscale_scene(source, output)
    total = time.perf_counter() - start
    return {
        "runtime": getattr(resolver.network, "runtime", "torch"),
        "precision": options.get("precision", "float32"),
        "peak_mib": round(status_mib("VmHWM") - before),
        "libraries_mib": round(before),
        "seconds": round(total, 1),
        "network_share": round(seconds["network"] / total, 3),
        "tile_share": round(seconds["tiles"] / total, 3),
        "lr_psnr": round(result.agreement.lr_psnr, 2),
        "output_mb": round(output.stat().st_size / 1e6, 1),
    }


def status_mib(field: str) -> float:
    """Return a figure of this process, see proc(5)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def row_of(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Make a scene and measure it in a fresh process."""
    device, threads = options.device, options.threads
    width, height, is_sparse = SIZES[name]
    source, output = folder / "scene.tif", folder / "scene_x4.tif"
    write_scene(source, width, height, is_sparse)
    command = [sys.executable, __file__, "--run", str(source), str(output), "--device", device]
    command += ["--precision", options.precision]
    command += ["--sparse"] * is_sparse + (["--threads", str(threads)] if threads else [])
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    for file in (source, output):
        file.unlink()
    facts = {"scene": name, "width": width, "height": height, "bands": 1 if is_sparse else 3}
    place = {"hardware": hardware(torch.device(device)), "version": __version__,
             "threads": threads or torch.get_num_threads()}  # fmt: skip
    return {**facts, "network": "bicubic" if is_sparse else "natural_sr",
            **json.loads(found.splitlines()[-1]), **place}  # fmt: skip


def read_rows() -> dict[str, dict[str, Any]]:
    """Return what has been measured."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open(newline="") as stream:
        return {row["scene"]: row for row in csv.DictReader(stream)}


def write_rows(rows: dict[str, dict[str, Any]]) -> None:
    """Keep what has been measured, in the order of the sizes."""
    ordered = [rows[name] for name in SIZES if name in rows]
    with RESULTS.open("w", newline="") as stream:
        columns = list(dict.fromkeys(key for row in ordered for key in row))
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(ordered)


def draw(rows: dict[str, dict[str, Any]]) -> None:
    """Draw memory and time against size."""
    plot = import_extra("matplotlib.pyplot", extra="plot")
    figure, panels = plot.subplots(1, 2, figsize=(8, 3))
    for panel, column, label in zip(
        panels, ("peak_mib", "seconds"), ("MiB beyond the libraries", "seconds"), strict=True
    ):
        for network, mark in (("natural_sr", "o-"), ("bicubic", "s--")):
            found = [row for row in rows.values() if row["network"] == network]
            if not found:
                continue
            found.sort(key=lambda row: (int(row["width"]) * int(row["height"]), row["scene"]))
            sizes = [int(r["width"]) * int(r["height"]) * SCALE**2 / 1e6 for r in found]
            values = [float(r[column]) for r in found]
            name = "bicubic, 98 % nodata" if network == "bicubic" else network
            panel.plot(sizes, values, mark, label=name, linewidth=1, markersize=4)
            for r, x, y in zip(found, sizes, values, strict=True):
                # Two scenes have the same number of pixels: one name goes below.
                offset, side = ((4, -11), "left") if r["scene"] == "8k x 2k" else ((0, 6), "center")
                panel.annotate(r["scene"], (x, y), offset, ha=side, fontsize=7,
                               textcoords="offset points")  # fmt: skip
        if column == "seconds":
            panel.set_yscale("log")
        panel.set_xscale("log")
        # Few and plain: what matplotlib chooses runs into each other.
        panel.set_xticks(_TICKS["x"], [f"{tick:,}" for tick in _TICKS["x"]])
        panel.set_yticks(_TICKS[column], [f"{tick:,}" for tick in _TICKS[column]])
        panel.minorticks_off()
        panel.margins(x=0.15, y=0.15)
        panel.set_xlabel("megapixels of the result", fontsize=8)
        panel.set_ylabel(label, fontsize=8)
        panel.tick_params(labelsize=7)
    panels[0].axhline(1500e6 / 2**20, color="gray", linestyle=":", linewidth=1)
    panels[0].set_ylim(bottom=0)
    panels[0].legend(fontsize=7, loc="upper right", bbox_to_anchor=(1, 0.88))
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=90)


def main() -> None:
    """Parse the command line and measure, or draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", nargs="*", help=f"sizes: {', '.join(SIZES)}")
    parser.add_argument("--folder", type=Path, help="for scenes and results (default: temporary)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--precision", default="float32", help="float32 or int8")
    parser.add_argument("--again", action="store_true", help="measure what is there anew")
    parser.add_argument("--plot", action="store_true", help="draw docs/scene.png")
    parser.add_argument("--run", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--sparse", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.run:
        print(json.dumps(measure(*options.run, options.sparse, options.device, options.precision)))
        return
    rows = read_rows()
    for name in options.scene:
        if name in rows and not options.again:
            continue
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            rows[name] = row_of(name, Path(folder), options)
        write_rows(rows)
        print("  ".join(f"{key} {value}" for key, value in rows[name].items()), flush=True)
    if options.plot:
        draw(rows)


if __name__ == "__main__":
    main()
