"""Digests of results over samples, formats and ways to run, before and after a change.

``python benchmarks/digests.py --write`` enlarges small images of every kind in every way and keeps
a digest of each result, pixels and metadata apart, in ``benchmarks/results/digests.csv``;
``--check`` does the same and tells what differs from that table, ``--jobs NAME ...`` some of it.
``--command`` names another release's command line, to write its table for comparison. Floats
depend on processor and torch: compare on one machine. Versions, UIDs and dates, which a release
changes by intention, are left out.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import shlex
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import rasterio
from PIL import Image
from pydicom.uid import RLELossless, generate_uid

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "results" / "digests.csv"
SAMPLES = ROOT / "samples"
JOBS = {
    "chosen": "",
    "natural": "--bundle natural_sr --scale 3",
    "fast": "--bundle natural_sr --size fast --scale 2",
    "robust": "--bundle natural_sr --robust --scale 4",
    "perception": "--bundle natural_sr --perception 0.6 --scale 4",
    "s1": "--bundle xray_sr --system hybrid_cnn_gan --scale 4",
    "srcnn": "--bundle natural_sr --system srcnn --scale 4",
    "xray": "--bundle xray_sr --uncertainty --compression rle",
    "mri": "--bundle mri_sr --deidentify",
    "satellite": "--bundle satellite_sr --cog --overshoot inf",
    "streamed": "--bundle satellite_sr --scene_limit 0",
    "window": "--bundle satellite_sr --window 8 8 40 40",
    "spacing": "--bundle mri_sr --spacing 0.7",
    "volume": "--bundle mri_sr --spatial_dims 3 --scale 2",
    "int8": "--bundle natural_sr --precision int8 --scale 2",
    "bfloat16": "--bundle natural_sr --precision bfloat16 --scale 2",
    "torch": "--bundle natural_sr --runtime torch --scale 2",
    "openvino": "--bundle natural_sr --runtime openvino --scale 2",
    "onnxruntime": "--bundle natural_sr --runtime onnxruntime --scale 2",
}
"""Name -> options of ``monai-sr upscale``; each enlarges every input that it takes."""
_CHANGING = ("UI", "DA", "TM", "DT")


def _dicom(path: Path, side: int = 96, **changes: Any) -> None:
    """Write a part of the sample X-ray with other attributes."""
    dataset = pydicom.dcmread(SAMPLES / "xray_sr" / "chest_xray_dx.dcm")
    pixels = dataset.pixel_array[200 : 200 + side, 150 : 150 + side]
    dataset.Rows, dataset.Columns = pixels.shape
    values = changes.pop("pixels", lambda p: p)(pixels)
    dataset.PixelData = values.tobytes()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    if path.stem == "rle":
        dataset.compress(RLELossless)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=[path.stem]
    )
    dataset.save_as(path)


def _nifti(path: Path, array: np.ndarray[Any, Any], affine: Any) -> None:
    nib.save(nib.Nifti1Image(array, affine), path)


def make_inputs(folder: Path) -> None:
    """Write small images of every kind, cut from the samples."""
    _dicom(folder / "plain.dcm")
    _dicom(folder / "inverse.dcm", PhotometricInterpretation="MONOCHROME1")
    _dicom(folder / "rle.dcm")
    _dicom(folder / "frames.dcm", NumberOfFrames=2, pixels=lambda p: np.stack([p, p[::-1]]))
    volume = nib.load(SAMPLES / "mri_sr" / "brain_mr.nii.gz")
    array, affine = np.asanyarray(volume.dataobj), volume.affine
    middle = tuple(slice(n // 2 - 20, n // 2 + 20) if n > 48 else slice(None) for n in array.shape)
    part = np.ascontiguousarray(array[middle][..., :12])
    oblique = affine @ np.array([[0.98, -0.2, 0, 0], [0.2, 0.98, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    _nifti(folder / "volume.nii.gz", part, oblique)
    _nifti(folder / "flat.nii", part[:, :, 5], affine)
    _nifti(folder / "times.nii.gz", np.stack([part, part[::-1]], -1).astype(np.float32), affine)
    _nifti(folder / "labels.nii.gz", (part > np.median(part)).astype(np.uint8) * 3, affine)
    with rasterio.open(SAMPLES / "satellite_sr" / "naip.tif") as source:
        bands, profile = source.read()[:, :80, :72], source.profile
    profile.update(width=72, height=80, tiled=False, compress="deflate")
    for name in ("blockxsize", "blockysize", "photometric", "interleave"):
        profile.pop(name, None)
    with rasterio.open(folder / "scene.tif", "w", **profile) as target:
        target.write(bands)
    profile.update(dtype="float32", nodata=-9999.0)
    field = bands.astype(np.float32) / 255 - 0.1
    field[:, 10:20, 30:44] = -9999
    with rasterio.open(folder / "field.tif", "w", **profile) as target:
        target.write(field)
    profile.update(dtype="uint16", count=1, nodata=0)
    with rasterio.open(folder / "gray16.tif", "w", **profile) as target:
        target.write(bands[:1].astype(np.uint16) * 200)
    photo = Image.open(SAMPLES / "natural_sr" / "photo.png").convert("RGB").crop((30, 20, 110, 92))
    photo.save(folder / "photo.png")
    photo.save(folder / "photo.jpg", quality=92)
    photo.convert("L").save(folder / "gray.png")
    photo.quantize(16).save(folder / "palette.png")
    Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257).save(
        folder / "deep.png"
    )


def _sum(*parts: bytes | str) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode() if isinstance(part, str) else part)
    return total.hexdigest()[:16]


def _neutral(text: str) -> str:
    """Leave out what a release changes by intention: its version."""
    return re.sub(r"\b0\.[12]\.0\b", "VERSION", text)


def _dicom_facts(path: Path) -> tuple[str, str]:
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array.tobytes() if "PixelData" in dataset else dataset[0x7FE00008].value
    facts = []
    for element in dataset.iterall():
        if element.VR not in (*_CHANGING, "SQ") and element.tag.group != 0x7FE0:
            facts.append(f"{element.tag} {element.VR} {element.value}")
    return _sum(np.ascontiguousarray(pixels).tobytes()), _sum(_neutral("\n".join(facts)))


def _nifti_facts(path: Path) -> tuple[str, str]:
    image = nib.load(path)
    extensions = [str(e.get_content()) for e in image.header.extensions]
    facts = _neutral(image.header.binaryblock.decode("latin-1") + " ".join(extensions))
    return _sum(np.asanyarray(image.dataobj).tobytes()), _sum(facts)


def _raster_facts(path: Path) -> tuple[str, str]:
    with rasterio.open(path) as source:
        profile = {k: str(v) for k, v in source.profile.items()}
        tags = {b: source.tags(b) for b in range(source.count + 1)}
        facts = [profile, tags, source.descriptions, source.units, source.scales, source.offsets]
        masks = source.dataset_mask().tobytes()
        pixels = source.read().tobytes()
    return _sum(pixels, masks), _sum(_neutral(json.dumps(facts, sort_keys=True, default=str)))


def digests(path: Path) -> tuple[str, str]:
    """Return the digests of a result's pixels and of its metadata."""
    if path.suffix == ".dcm":
        return _dicom_facts(path)
    return (_nifti_facts if ".nii" in path.name else _raster_facts)(path)


def measure(command: list[str], jobs: list[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """Run the jobs; return (job, result) -> digests."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        inputs = Path(name) / "inputs"
        inputs.mkdir()
        make_inputs(inputs)
        for job in jobs:
            output = Path(name) / job
            call = [*command, "upscale", str(inputs), "-o", str(output), *shlex.split(JOBS[job])]
            done = subprocess.run(call, capture_output=True, text=True)
            errors = sorted(
                _neutral(line.rpartition(f"{inputs}/")[2])
                for line in done.stderr.splitlines()
                if " error: " in line or "ERROR" in line
            )
            found[job, "errors"] = (_sum(*errors), str(len(errors)))
            for file in sorted(output.rglob("*")):
                if file.suffix in (".dcm", ".nii", ".gz", ".tif", ".png", ".jpg"):
                    found[job, str(file.relative_to(output))] = digests(file)
            print(f"{job}: {len(found)} digests", flush=True)
    return found


def main() -> int:
    """Write the table, or compare with it; returns 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--write", action="store_true", help="replace the table")
    add("--check", action="store_true", help="compare with the table")
    add("--table", type=Path, default=TABLE)
    add("--jobs", nargs="*", default=list(JOBS), choices=list(JOBS))
    add("--command", default=f"{sys.executable} -m monai_sr.cli.main")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of images without georeference, of nodata beside alpha
    found = measure(shlex.split(options.command), options.jobs)
    if options.write:
        rows = [(*key, *value) for key, value in found.items()]
        with options.table.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows([("job", "result", "pixels", "metadata"), *rows])
    if not options.check:
        return 0
    with options.table.open(newline="", encoding="utf-8") as stream:
        lines = [line for line in csv.DictReader(stream) if line["job"] in options.jobs]
    known = {(line["job"], line["result"]): (line["pixels"], line["metadata"]) for line in lines}
    differing = 0
    for key in sorted({*known, *found}):
        before, after = known.get(key, ("", "")), found.get(key, ("", ""))
        if before != after:
            differing += 1
            parts = ("pixels", "metadata")
            what = [part for part, a, b in zip(parts, before, after, strict=True) if a != b]
            how = "new" if key not in known else "gone" if key not in found else " and ".join(what)
            print(f"{': '.join(key)}: {how}")
    print(f"{differing} of {len(known)} results differ")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
