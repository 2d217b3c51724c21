"""Measure output megapixels per second, peak memory and the share of time outside the network.

``python benchmarks/speed.py --bundle natural_sr --size 1024`` enlarges one made image in memory
as ``SuperResolver`` does, several times, and attributes the time to the network, the consistency
steps and the rest (tiling, copies). ``--files`` adds reading and writing a TIFF. Rows go to
``benchmarks/results/speed.csv`` with hardware and versions.
"""

from __future__ import annotations

import argparse
import csv
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch

import monai_sr.inferers.tiled as tiled
from monai_sr import SuperResolver, __version__
from monai_sr.writers import SaveImageSRd

RESULTS = Path(__file__).parent / "results" / "speed.csv"


class Clock:
    """Adds up the time spent in wrapped calls."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    def synchronize(self) -> None:
        """Wait for the GPU, so that time goes to whom it belongs."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``call`` with its time added to ``name``."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.synchronize()
            start = time.perf_counter()
            result = call(*args, **kwargs)
            self.synchronize()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            return result

        return timed


def texture(channels: int, size: int) -> np.ndarray:
    """Return noise with a natural image's 1/f spectrum in [0, 1], (C, H, W) float32."""
    random = np.random.default_rng(0)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    amplitude = 1 / np.maximum(np.hypot(fy, fx), 1 / size)
    phase = np.exp(2j * np.pi * random.random((channels, size, size // 2 + 1)))
    image = np.fft.irfft2(amplitude * phase, s=(size, size))
    image -= image.min()
    return (image / image.max()).astype(np.float32)


def measure(
    bundle: str, scale: int, size: int, device: str | None, repeats: int, files: bool
) -> dict[str, Any]:
    """Time one bundle; medians over repeats after one warm-up."""
    resolver = SuperResolver.from_bundle(bundle, scale=scale, device=device)
    clock = Clock(resolver.device)
    resolver.network.forward = clock.wrap("network", resolver.network.forward)
    plain = tiled.back_project
    tiled.back_project = clock.wrap("consistency", plain)
    image = texture(resolver.in_channels, size)
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "input.tif"
        if files:
            write_tiff(source, image)
            save = SaveImageSRd("pred", folder)
        for _ in range(repeats + 1):
            clock.seconds.clear()
            start = time.perf_counter()
            if files:
                save({"pred": resolver(source)})
            else:
                resolver(image)
            clock.synchronize()
            runs.append({**clock.seconds, "total": time.perf_counter() - start})
    tiled.back_project = plain
    median = {key: statistics.median(run[key] for run in runs[1:]) for key in runs[0]}
    outside = median["total"] - median["network"]
    return {
        "bundle": bundle,
        "scale": scale,
        "size": size,
        "channels": resolver.in_channels,
        "files": int(files),
        "seconds": round(median["total"], 3),
        "output_mp_per_s": round(size**2 * scale**2 / 1e6 / median["total"], 3),
        "network_share": round(median["network"] / median["total"], 3),
        "consistency_share": round(median["consistency"] / median["total"], 3),
        "rest_share": round((outside - median["consistency"]) / median["total"], 3),
        "peak_gib": round(peak_gib(resolver.device), 2),
        "threads": torch.get_num_threads(),
        "hardware": hardware(resolver.device),
        "versions": f"monai-sr {__version__}, torch {torch.__version__}",
    }


def write_tiff(path: Path, image: np.ndarray) -> None:
    """Write an uncompressed 8-bit TIFF."""
    pixels = np.rint(image * 255).astype(np.uint8)
    profile = {"driver": "GTiff", "count": len(pixels), "dtype": "uint8"}
    height, width = pixels.shape[1:]
    with rasterio.open(path, "w", width=width, height=height, **profile) as target:
        target.write(pixels)


def peak_gib(device: torch.device) -> float:
    """Return peak memory: of the GPU's allocator, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def hardware(device: torch.device) -> str:
    """Name the processor that the network ran on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.processor()


def main() -> None:
    """Parse the command line, measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", nargs="+", default=["natural_sr", "xray_sr"])
    parser.add_argument("--scale", type=int, nargs="+", default=[4])
    parser.add_argument("--size", type=int, nargs="+", default=[1024], help="side of the input")
    parser.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--files", action="store_true", help="read and write TIFF files too")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = [
        measure(bundle, scale, size, options.device, options.repeats, options.files)
        for bundle in options.bundle
        for scale in options.scale
        for size in options.size
    ]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with options.results.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
