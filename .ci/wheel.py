"""Build sdist and wheel, install the wheel outside the checkout, and use it as its users do.

``make wheel`` runs it. Both files are left in the folder that is named, ``dist/`` by default. The
libraries are those of the running environment, without its installation of this package; with
``--fresh`` they are installed anew from pip's index, as everybody else gets them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = {
    "dicom": "samples/xray_sr/chest_xray_dx.dcm",
    "nifti": "samples/mri_sr/brain_mr.nii.gz",
    "raster": "samples/satellite_sr/naip.tif",
    "photo": "samples/natural_sr/photo.png",
}
"""What is enlarged: one file a format."""
BUNDLES = {"natural_sr", "xray_sr", "ct_sr", "mri_sr", "satellite_sr"}
_SCALE = 2


class WheelError(Exception):
    """What does not hold, in one line."""


def main(words: Sequence[str] | None = None) -> int:
    """Build, compare, install and run; return 0, or 1 after one line that says what failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dist", nargs="?", type=Path, default=ROOT / "dist", help="where to")
    parser.add_argument("--fresh", action="store_true", help="install the libraries, too")
    given = parser.parse_args(words)
    try:
        wheel = build(given.dist)
        with tempfile.TemporaryDirectory(prefix="wheel_of_monai_sr_") as folder:
            python = install(wheel, Path(folder) / "environment", fresh=given.fresh)
            use(python, Path(folder) / "work")
    except WheelError as failure:
        print(f"wheel: FAILED: {failure}")
        return 1
    print(f"wheel: all of it works: {wheel}")
    return 0


def build(dist: Path) -> Path:
    """Build the sdist, and of it the wheel, which the checkout must give, too; return the wheel."""
    start = time.monotonic()
    for old in dist.glob("monai_sr-*"):
        old.unlink()
    _run([sys.executable, "-m", "build", "--no-isolation", "-o", str(dist), str(ROOT)], ROOT)
    (wheel,) = dist.glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", folder]
        _run([*command, str(ROOT)], ROOT)
        (other,) = Path(folder).glob("*.whl")
        differing = differences(wheel, other)
    if differing:
        raise WheelError(f"wheels of sdist and checkout must be equal, but not: {differing[:5]}")
    _say("sdist and checkout give the same wheel", start)
    return wheel


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of files that only one of two wheels has, or that differ."""
    held = []
    for path in (one, other):
        with zipfile.ZipFile(path) as archive:
            held.append({entry.filename: entry.CRC for entry in archive.infolist()})
    return sorted({name for name, _ in held[0].items() ^ held[1].items()})


def install(wheel: Path, environment: Path, *, fresh: bool = False) -> Path:
    """Make an environment with the wheel in it, and return its Python."""
    start = time.monotonic()
    venv.create(environment, clear=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-qq", "--no-input"]
    pip += ["--disable-pip-version-check"]
    if fresh:
        _run([*pip, "-c", str(ROOT / "constraints.txt"), str(wheel)], ROOT)
    else:
        _run([*pip, "--no-index", "--no-deps", str(wheel)], ROOT)
        # A line of a .pth file adds a folder; the .pth files in there, such as that of an editable
        # installation of the checkout, are not read.
        (site,) = environment.glob("lib/python*/site-packages")
        (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    _say("installed" + (" with all libraries" if fresh else ""), start)
    return python


def use(python: Path, work: Path) -> None:
    """Run help, the list of bundles, four formats and MONAI's own command in an empty folder."""
    work.mkdir()
    environment = python.parents[1]
    source = work / "in"
    source.mkdir()
    samples = {kind: shutil.copy2(ROOT / name, source) for kind, name in SAMPLES.items()}

    where = _run([str(python), "-c", "import monai_sr; print(monai_sr.__file__)"], work).strip()
    if environment not in Path(where).parents:
        raise WheelError(f"the package must come from the wheel, got {where}")
    command = str(environment / "bin" / "monai-sr")
    if "upscale" not in _run([command, "--help"], work):
        raise WheelError("monai-sr --help must name the command upscale")
    bundles = dict(line.split("\t")[:2] for line in _run([command, "bundles"], work).splitlines())
    outside = [name for name, path in bundles.items() if environment not in Path(path).parents]
    if not set(bundles) >= BUNDLES or outside:
        raise WheelError(f"bundles of the wheel must be listed, got {bundles}")

    _run([command, "upscale", "in", "-o", "out", "--scale", str(_SCALE)], work)
    for kind, sample in samples.items():
        _compare(kind, Path(sample), work / "out", _SCALE)
    root = Path(bundles["natural_sr"])
    words = ["-m", "monai.bundle", "run", "--bundle_root", str(root)]
    words += ["--config_file", str(root / "configs" / "inference.yaml"), "--model", "fast"]
    words += ["--input", "in/photo.png", "--output_dir", "run"]
    _run([str(python), *words], work)
    _compare("photo", Path(samples["photo"]), work / "run", 4)


def _compare(kind: str, source: Path, folder: Path, scale: int) -> None:
    """Read a result by the format's own library: its sides must be those of the input, larger."""
    stem, suffix = source.name.split(".", 1)
    result = folder / f"{stem}_x{scale}.{suffix}"
    if not result.is_file():
        raise WheelError(f"{result.name}: must be written, but is not there")
    before, after = _sides(kind, source), _sides(kind, result)
    if after != [side * scale for side in before]:
        raise WheelError(f"{result.name}: sides must be {scale} times {before}, got {after}")


def _sides(kind: str, path: Path) -> list[int]:
    if kind == "dicom":
        import pydicom

        header = pydicom.dcmread(path)
        return [header.Rows, header.Columns]
    if kind == "nifti":
        import nibabel

        return list(nibabel.load(path).shape[:2])
    if kind == "raster":
        import rasterio

        with rasterio.open(path) as scene:
            return [scene.height, scene.width]
    from PIL import Image

    with Image.open(path) as image:
        return [image.height, image.width]


def _run(words: list[str], cwd: Path) -> str:
    """Run a command that knows nothing of the checkout; return what it printed."""
    start = time.monotonic()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        words, cwd=cwd, env={**kept, "PYTHONNOUSERSITE": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    shown = " ".join([Path(words[0]).name, *(word for word in words[1:] if "\n" not in word)])
    if done.returncode:
        raise WheelError(
            f"{shown}: exit code {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
        )
    if cwd != ROOT:
        _say(shown, start)
    return done.stdout


def _say(what: str, start: float) -> None:
    print(f"wheel: {time.monotonic() - start:5.1f} s  {what[:100]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
