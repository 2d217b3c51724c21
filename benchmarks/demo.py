"""``make demo``: enlarge the samples with the bundles' own command, print a table, draw them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from monai_sr import SuperResolver
from monai_sr.core.atomic import atomic_file
from monai_sr.core.models import WAYS
from monai_sr.core.registry import find_bundle
from monai_sr.core.text import safe_cell
from monai_sr.functional.resize import upsample
from monai_sr.transforms import ScaleToUnit, load_image
from monai_sr.upscaling.manifest import Manifest

SCALE = 4
_CROP = 80  # LR pixels shown of each sample
_AROUND = 24  # LR pixels around it that weights see, too
_GAP, _TITLE = 6, 18
_HEADER = ("file", "size in", "size out", "seconds", "LR-PSNR")


def run_bundle(bundle: str, samples: Path, output_dir: Path) -> int:
    """Run ``python -m monai.bundle run`` on a folder, say what ran it; return the exit code."""
    root = find_bundle(bundle)
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run"]
    command += ["--bundle_root", str(root), "--config_file"]
    command += [str(root / "configs" / "inference.yaml")]
    command += ["--input", str(samples), "--output_dir", str(output_dir), "--scale", str(SCALE)]
    run = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, errors="replace")
    print("\n".join(line for line in run.stdout.splitlines() if line.startswith("runtime:")))
    return run.returncode


def table(rows: list[dict[str, str]]) -> str:
    """Format manifest rows as aligned text."""
    lines = [_HEADER]
    for row in rows:
        name = Path(row["source"]).name
        lines.append(
            (name, row["size_in"], row["size_out"], row["seconds"], f"{row['lr_psnr']} dB")
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def _picture(image: torch.Tensor, box: tuple[int, int, int]) -> Image.Image:
    """Cut (left, upper, side) from (C, X, Y) in [0, 1] and make it a PIL image."""
    left, upper, side = box
    part = image[:3] if image.shape[0] >= 3 else image[:1].expand(3, -1, -1)
    part = part[:, left : left + side, upper : upper + side].clamp(0, 1)
    pixels = (part.permute(2, 1, 0) * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels))


def _shown(image: torch.Tensor) -> torch.Tensor:
    """Return the middle slice of a volume with its front up (NIfTI's Y axis points there)."""
    return image[..., image.shape[-1] // 2].flip(-1) if image.ndim == 4 else image


def has_robust(bundle: str) -> bool:
    """Tell whether a bundle has weights for degraded input."""
    return (find_bundle(bundle) / "models" / WAYS["robust"][0]).is_file()


def _robust(lr: torch.Tensor, bundle: str, box: tuple[int, int, int]) -> Image.Image:
    """Enlarge a part (left, upper, side) of (C, X, Y) by weights for degraded input."""
    left, upper, side = box
    first = [max(0, place - _AROUND) for place in (left, upper)]
    x, y = (slice(low, low + side + 2 * _AROUND) for low in first)
    resolver = SuperResolver.from_bundle(bundle, scale=SCALE, robust=True)
    large = resolver(lr[:3, x, y] if len(lr) >= 3 else lr[:1, x, y])
    inner = (SCALE * (left - first[0]), SCALE * (upper - first[1]), SCALE * side)
    return _picture(large, inner)


def panels(
    source: Path, output: Path, original: Path | None, bundle: str = ""
) -> list[tuple[str, Image.Image]]:
    """Return titled pictures of equal size: LR, bicubic, ours, and HR where there is one.

    Where there is none, what is shown was not made small: native input, enlarged also by the
    weights of ``bundle`` for degraded input, if it has some.
    """
    loaded = load_image(source)
    scale = ScaleToUnit((float(loaded.min()), float(loaded.max())))
    lr = _shown(scale(loaded)[0].as_tensor())
    ours = _shown(scale(load_image(output))[0].as_tensor())
    side = min(_CROP, *lr.shape[1:])
    left, upper = ((size - side) // 2 for size in lr.shape[1:])
    fine = (SCALE * left, SCALE * upper, SCALE * side)
    size = (SCALE * side, SCALE * side)
    small = _picture(lr, (left, upper, side)).resize(size, Image.Resampling.NEAREST)
    is_native = original is None and bundle and has_robust(bundle)
    found = [
        (f"{source.name}: {'native' if is_native else 'LR'}", small),
        ("bicubic", _picture(upsample(lr, SCALE), fine)),
        ("ours, faithful" if is_native else "ours", _picture(ours, fine)),
    ]
    if is_native:
        found.append(("ours, robust", _robust(lr, bundle, (left, upper, side))))
    if original is not None:
        found.append(("HR", _picture(scale(load_image(original))[0].as_tensor(), fine)))
    return found


def draw(rows: list[list[tuple[str, Image.Image]]]) -> Image.Image:
    """Arrange rows of titled panels on one sheet."""
    width = max(sum(p.width + _GAP for _, p in row) for row in rows) + _GAP
    height = sum(max(p.height for _, p in row) + _TITLE + _GAP for row in rows) + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    y = _GAP
    for row in rows:
        x = _GAP
        for title, panel in row:
            pen.text((x, y), title, fill="black")
            sheet.paste(panel, (x, y + _TITLE))
            x += panel.width + _GAP
        y += max(p.height for _, p in row) + _TITLE + _GAP
    return sheet


def main(arguments: list[str]) -> int:
    """Run the demo: ``python benchmarks/demo.py SAMPLES OUT``; return its exit code."""
    samples, output_dir = (Path(argument) for argument in arguments)
    rows: list[dict[str, str]] = []
    pictures = []
    for folder in sorted(f for f in samples.iterdir() if f.is_dir() and f.name != "hr"):
        print(f"{folder.name}: enlarging {folder} by {SCALE} ...", flush=True)
        results = output_dir / folder.name
        code = run_bundle(folder.name, folder, results)
        if code:
            return code
        for row in Manifest(results).rows.values():
            source = Path(row["source"])
            if source.parent != folder.absolute():
                continue  # of an earlier demo, from another place
            rows.append(row)
            original = samples / "hr" / f"{source.name.split('.')[0]}.png"
            pictures.append(
                panels(
                    source,
                    results / row["output"],
                    original if original.exists() else None,
                    folder.name,
                )
            )
    picture = output_dir / "comparison.png"
    with atomic_file(picture) as partial:
        draw(pictures).save(partial)
    with (
        atomic_file(output_dir / "table.csv") as partial,
        partial.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: safe_cell(v) for k, v in row.items()} for row in rows)
    print(f"\n{table(rows)}\n\nResults: {output_dir}")
    print(f"LR | bicubic | ours (| HR; of native input robust): {picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
