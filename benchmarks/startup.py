"""Measure how long commands take to begin: help, the first pixels, a whole small photo.

It starts each command several times in processes of their own and
records the medians, in seconds from the start of the process, in ``benchmarks/results/startup.csv``
with hardware and versions. The photo is the upper left square of 512 pixels of the one given:
``python benchmarks/startup.py /data/Set14/barbara.png``.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from monai_sr import __version__

RESULTS = Path(__file__).parent / "results" / "startup.csv"
SIDE = 512

_COMMAND = "import sys; from monai_sr.cli.main import main; sys.exit(main(sys.argv[1:]))"
# Says when the first tile has been enlarged, and goes on.
_FIRST_PIXELS = (
    """
import sys, time
from monai_sr.core.optional import import_monai_light
import_monai_light()
from monai_sr.inferers.tile_run import TileRun
plain = TileRun.__call__
def first(self, *args):
    result = plain(self, *args)
    print("FIRST", time.time(), flush=True)
    TileRun.__call__ = plain
    return result
TileRun.__call__ = first
"""
    + _COMMAND
)


def seconds(code: str, arguments: list[str]) -> float:
    """Return how long a process took, or how long until it said so."""
    started = time.time()
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    marks = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FIRST")]
    return (float(marks[0]) if marks else time.time()) - started


def measure(name: str, code: str, arguments: list[str], repeats: int) -> dict[str, object]:
    """Return a row; the first run, which fills the disk's cache, does not count."""
    times = [seconds(code, arguments) for _ in range(repeats + 1)][1:]
    row = {"command": name, "median_s": round(statistics.median(times), 3)}
    return row | {"slowest_s": round(max(times), 3), "repeats": repeats, **machine()}


def machine() -> dict[str, object]:
    """Return what the figures belong to."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    versions = f"monai-sr {__version__}, torch {torch.__version__}, Python {sys.version.split()[0]}"
    hardware = f"{len(models)} x {models[0]}" if models else "unknown"
    load = round(os.getloadavg()[0], 1)
    return {"hardware": hardware, "threads": torch.get_num_threads(), "load": load} | {
        "versions": versions
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path, help="an image of at least 512 x 512 pixels")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--options", nargs="*", default=[], help="more of upscale, without dashes")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        square, out = str(Path(folder) / "photo.png"), str(Path(folder) / "out")
        with Image.open(options.photo) as image:
            image.convert("RGB").crop((0, 0, SIDE, SIDE)).save(square)
        more = [f"--{o}" if i % 2 == 0 else o for i, o in enumerate(options.options)]
        upscale = ["upscale", square, "-o", out, *more]
        rows = [
            measure("monai-sr upscale --help", _COMMAND, ["upscale", "--help"], options.repeats),
            measure(f"first pixels of {SIDE} x {SIDE}", _FIRST_PIXELS, upscale, options.repeats),
            measure(f"whole {SIDE} x {SIDE}", _COMMAND, upscale, options.repeats),
        ]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with options.results.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(f"{row['median_s']:8.2f} s  {row['command']}")


if __name__ == "__main__":
    main()
