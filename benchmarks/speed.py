"""Measure output megapixels per second of every installed runtime, against PyTorch eager.

One process makes all systems of one kind of input and runs them in turns, so that a busy machine
slows all of them alike: ``python benchmarks/speed.py --kind tiff dicom`` enlarges grey files of
1024 x 1024 pixels by 4, from reading to writing. Kinds are reported apart: ``tiff`` and ``dicom``,
both uncompressed, ``png``, ``rgb`` (an uncompressed TIFF) and ``memory`` (color, no files).
``--generators rrdbnet edsr`` adds untrained networks to the last.

A row holds the median time, the ratio to PyTorch eager in float32 (on a GPU float16), the shares of
network, consistency, reading, writing and all else, the network's share of the fastest convolution
measured on this machine, and memory. Rows of other kinds, bundles and devices stay in
``benchmarks/results/speed.csv``.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import rasterio
import torch
from pydicom.data import get_testdata_file
from torch import Tensor, nn

from monai_sr import SuperResolver, __version__
from monai_sr.core.errors import SRError
from monai_sr.evaluation import multiply_adds_per_pixel
from monai_sr.inferers import TiledInferer, tile_run
from monai_sr.networks import create_generator
from monai_sr.runtimes import find_runtime, installed_runtimes, list_runtimes, measured_peak
from monai_sr.transforms import SaveImageSRd

RESULTS = Path(__file__).parent / "results" / "speed.csv"
PHASES = ("network", "consistency", "reading", "writing")
BUNDLES = {"tiff": "xray_sr", "dicom": "xray_sr", "png": "xray_sr"}
GREY = tuple(BUNDLES)
_KEY = ("kind", "model", "size", "runtime", "precision", "side", "scale", "hardware")


@dataclass
class Clock:
    """Adds up the time spent in wrapped calls; on a GPU by events, which make nobody wait."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)
    events: list[tuple[str, Any, Any]] = field(default_factory=list)

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``call`` with its time added to ``name``."""
        is_gpu = self.device.type == "cuda" and name in ("network", "consistency")

        def timed(*args: Any, **kwargs: Any) -> Any:
            if is_gpu:
                pair = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
                pair[0].record()
                result = call(*args, **kwargs)
                pair[1].record()
                self.events.append((name, *pair))
                return result
            start = time.perf_counter()
            result = call(*args, **kwargs)
            self.add(name, time.perf_counter() - start)
            return result

        return timed

    def finish(self) -> dict[str, float]:
        """Wait for the GPU; return the seconds of each phase, and begin anew."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        for name, start, end in self.events:
            self.add(name, start.elapsed_time(end) / 1000)
        found, self.seconds, self.events = self.seconds, {}, []
        return found

    def add(self, name: str, amount: float) -> None:
        """Add seconds, or what else is counted."""
        self.seconds[name] = self.seconds.get(name, 0.0) + amount


@dataclass
class System:
    """Something to be timed."""

    model: str
    size: str
    runtime: str
    precision: str
    resolver: SuperResolver
    multiply_adds: float
    runs: list[dict[str, float]] = field(default_factory=list)
    peak_gib: float = 0.0

    @property
    def name(self) -> str:
        """What is printed."""
        return " ".join(filter(None, (self.model, self.size, self.runtime, self.precision)))

    def run(self, source: Path | np.ndarray, folder: Path) -> None:
        """Enlarge once; a file is read and written, too."""
        clock, resolver = Clock(self.resolver.device), self.resolver
        plain, read = tile_run.back_project, resolver.read
        forward = resolver.network.forward

        def counted(image: Tensor, *args: Any) -> Tensor:
            clock.add("pixels", image.numel() / image.shape[1])
            result: Tensor = forward(image, *args)
            return result

        resolver.network.forward = clock.wrap("network", counted)
        tile_run.back_project = clock.wrap("consistency", plain)
        if read is not None:
            resolver.read = clock.wrap("reading", read)
        reset_peak(resolver.device)
        start = time.perf_counter()
        try:
            result = resolver(source)
            if isinstance(source, Path):
                save = SaveImageSRd("pred", folder)
                clock.wrap("writing", save)({"pred": result})
            seconds = clock.finish()
        finally:
            resolver.network.forward, resolver.read = forward, read
            tile_run.back_project = plain
        self.runs.append({**seconds, "total": time.perf_counter() - start})
        self.peak_gib = max(self.peak_gib, peak_gib(resolver.device))

    def median(self, phase: str) -> float:
        """Return the median seconds of a phase; the first run warms up."""
        return statistics.median(run.get(phase, 0.0) for run in self.runs[1:])


def systems(options: argparse.Namespace, kind: str) -> Iterator[System]:
    """Make what there is: PyTorch eager of each size first, then each runtime and precision."""
    bundle = options.bundle or BUNDLES.get(kind, "natural_sr")
    half = "float16" if options.device.startswith("cuda") else "float32"
    for size in options.sizes:
        for runtime, precision in [("torch", half), *others(options, half)]:
            try:
                yield bundle_system(bundle, options, runtime, precision, size)
            except SRError as error:
                print(f"left out: {bundle} {size} {runtime} {precision}: {error}")
    for name in options.generators if kind == "memory" else []:
        network = create_generator(name, scale=options.scale).eval()
        count = multiply_adds_per_pixel(network, options.scale)
        inferer = TiledInferer(options.scale, tile_size=256, dtype=half)
        resolver = SuperResolver(network, inferer, device=options.device)
        yield System(name, "", "torch", half, resolver, count)


def others(options: argparse.Namespace, half: str) -> Iterator[tuple[str, str]]:
    """Yield the runtimes and precisions that are installed, but for PyTorch eager."""
    device = torch.device(options.device)
    for name in list_runtimes():
        if name == "inductor" and device.type == "cpu":
            continue  # made for GPUs: for a processor it compiles for minutes
        for precision in find_runtime(name).precisions if name != "torch" else ():
            if name in installed_runtimes(device, precision):
                yield name, precision
    if device.type == "cuda":
        yield "torch", "bfloat16"


def bundle_system(
    bundle: str, options: argparse.Namespace, runtime: str, precision: str, size: str
) -> System:
    """Make a bundle's model with a runtime."""
    resolver = SuperResolver.from_bundle(
        bundle,
        scale=options.scale,
        device=options.device,
        runtime=runtime,
        precision=precision,
        size=size,
    )
    plain = getattr(resolver.network, "generator", resolver.network)
    count = multiply_adds_per_pixel(plain, options.scale)
    return System(bundle, size, runtime, precision, resolver, count)


def peak_of(system: System) -> float:
    """Return the fastest multiply-adds per second of what a system computes with."""
    device = system.resolver.device
    if system.runtime == "torch" or (device.type == "cuda" and system.precision != "int8"):
        return torch_peak(device, system.precision)
    return measured_peak(system.runtime, system.precision, device)


def torch_peak(
    device: torch.device, precision: str, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return multiply-adds per second of wide convolutions, on a GPU of a product of matrices."""
    if device.type == "cuda":
        side, dtype = 8192, getattr(torch, precision)
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        return side**3 / best_time(lambda: a @ b, device, clock)
    convs = nn.Sequential(*(nn.Conv2d(256, 256, 3, padding=1) for _ in range(8))).eval()
    convs = convs.to(memory_format=torch.channels_last)
    image = torch.rand(1, 256, 32, 32).contiguous(memory_format=torch.channels_last)
    return 8 * 256**2 * 9 * 32**2 / best_time(lambda: convs(image), device, clock)


@torch.inference_mode()
def best_time(call: Callable[[], Any], device: torch.device, clock: Callable[[], float]) -> float:
    """Return the seconds of the fastest call of twelve."""
    best = float("inf")
    for _ in range(12):
        start = clock()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, clock() - start)
    return best


def texture(channels: int, size: int) -> np.ndarray:
    """Return noise with a natural image's 1/f spectrum in [0, 1], (C, H, W) float32."""
    random = np.random.default_rng(0)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    amplitude = 1 / np.maximum(np.hypot(fy, fx), 1 / size)
    phase = np.exp(2j * np.pi * random.random((channels, size, size // 2 + 1)))
    image = np.fft.irfft2(amplitude * phase, s=(size, size))
    image -= image.min()
    return (image / image.max()).astype(np.float32)


def write_input(kind: str, folder: Path, side: int) -> Path | np.ndarray:
    """Make the image that is enlarged; a file, but for ``memory``."""
    image = texture(1 if kind in GREY else 3, side)
    if kind == "memory":
        return image
    if kind == "dicom":
        path = folder / "input.dcm"
        dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        dataset.Rows = dataset.Columns = side
        dataset.PixelData = np.rint(image * 2000).astype("<i2").tobytes()
        dataset.save_as(path)
        return path
    path = folder / ("input.png" if kind == "png" else "input.tif")
    pixels = np.rint(image * 255).astype(np.uint8)
    profile = {"driver": "PNG" if kind == "png" else "GTiff", "count": len(pixels)}
    if kind == "rgb":
        profile["photometric"] = "RGB"
    with rasterio.open(path, "w", width=side, height=side, dtype="uint8", **profile) as target:
        target.write(pixels)
    return path


def reset_peak(device: torch.device) -> None:
    """Let the highest use of memory count from here."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def peak_gib(device: torch.device) -> float:
    """Return the highest use of memory: of the GPU's allocator, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    high = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return (high[0] if high else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 2**20


def hardware(device: torch.device) -> str:
    """Name the processor that the network ran on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.processor()


def row_of(
    kind: str, system: System, base: System, peak: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Return what is recorded of a system."""
    pixels = options.side**2 * options.scale**2
    total = system.median("total")
    shares = {f"{phase}_share": round(system.median(phase) / total, 3) for phase in PHASES}
    ratios = [b["total"] / s["total"] for b, s in zip(base.runs[1:], system.runs[1:], strict=True)]
    computed = system.median("pixels") * options.scale**2
    per_second = system.multiply_adds * computed / max(system.median("network"), 1e-9)
    return {
        "kind": kind, "model": system.model, "size": system.size, "runtime": system.runtime,
        "precision": system.precision, "side": options.side, "scale": options.scale,
        "seconds": round(total, 3), "output_mp_per_s": round(pixels / 1e6 / total, 3),
        "ratio_to_eager": round(statistics.median(ratios), 3), **shares,
        "rest_share": round(1 - sum(shares.values()), 3),
        "network_mp_per_s": round(pixels / 1e6 / max(system.median("network"), 1e-9), 3),
        "halo_share": round(1 - pixels / computed, 3),
        "peak_share": round(per_second / peak, 3) if peak else "",
        "peak_gmac_per_s": round(peak / 1e9, 1), "peak_gib": round(system.peak_gib, 2),
        "threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1),
        "hardware": hardware(system.resolver.device), "versions": versions(system.runtime),
    }  # fmt: skip


def versions(runtime: str) -> str:
    """Name the software."""
    text = f"monai-sr {__version__}, torch {torch.__version__}"
    if runtime != "torch":
        text += f", {runtime} {find_runtime(runtime).version()}"
    return text


def measure(kind: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run all systems of one kind in turns."""
    found = list(systems(options, kind))
    peaks = {(s.runtime, s.precision): 0.0 for s in found}
    with tempfile.TemporaryDirectory() as folder:
        source = write_input(kind, Path(folder), options.side)
        for _ in range(options.repeats + 1):
            for system in found:
                system.run(source, Path(folder) / "out")
    for system in found:
        key = (system.runtime, system.precision)
        peaks[key] = peaks[key] or peak_of(system)
    bases = {s.size: s for s in reversed(found) if s.runtime == "torch"}
    rows = [row_of(kind, s, bases[s.size], peaks[s.runtime, s.precision], options) for s in found]
    for system, row in zip(found, rows, strict=True):
        shares = " ".join(f"{p} {row[f'{p}_share']:.0%}" for p in (*PHASES, "rest"))
        print(
            f"{kind:7} {system.name:40} {row['output_mp_per_s']:8.2f} MP/s "
            f"{row['ratio_to_eager']:6.2f} x eager, {row['peak_share'] or 0:.0%} of peak, "
            f"{row['peak_gib']} GiB; {shares}"
        )
    return rows


def record(path: Path, rows: list[dict[str, Any]]) -> None:
    """Put rows in the place of older ones of the same systems."""
    kept: dict[tuple[str, ...], dict[str, Any]] = {}
    if path.exists():
        with path.open(newline="") as stream:
            old = [row for row in csv.DictReader(stream) if set(row) == set(rows[0])]
        kept = {tuple(str(row[k]) for k in _KEY): row for row in old}
    kept.update({tuple(str(row[k]) for k in _KEY): row for row in rows})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept[key] for key in sorted(kept))


def main() -> None:
    """Parse the command line, measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    kinds = (*GREY, "rgb", "memory")
    parser.add_argument("--kind", nargs="+", choices=kinds, default=["tiff", "dicom"])
    parser.add_argument("--bundle", help="default: xray_sr for grey kinds, natural_sr for others")
    parser.add_argument("--sizes", nargs="+", default=["fast", "best"])
    parser.add_argument("--generators", nargs="*", default=[], help="more networks, for memory")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--side", type=int, default=1024, help="of the input, in pixels")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for kind in options.kind:
        record(options.results, measure(kind, options))


if __name__ == "__main__":
    main()
