"""Exported bundles run where monai-sr is not, with its results, and refuse other input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai import bundle as monai_bundle
from monai.bundle import ConfigParser
from PIL import Image

from monai_sr import FileUpscaler
from monai_sr.core import OptionError, find_model
from monai_sr.integrations import export_torchscript


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    return export_torchscript(find_model("natural_sr:fast"), folder, scale=2)


@pytest.fixture
def photos(tmp_path, samples_dir) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.open(samples_dir / "natural_sr" / "photo.png").crop((0, 0, 70, 50)).save(
        folder / "photo.png"
    )
    return folder


def _run(bundle: Path, photos: Path, output: Path, **options: object) -> None:
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.yaml")
    given = {"bundle_root": str(bundle), "dataset_dir": str(photos), "output_dir": str(output)}
    parser.update({**given, **options})
    parser.get_parsed_content("run", eval_expr=True)


def _pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file)).astype(int)


def _check(photos: Path, output: Path, tmp_path: Path) -> None:
    upscaler = FileUpscaler(
        "natural_sr:fast", scale=2, device="cpu", runtime="torch", precision="float32"
    )
    ours = _pixels(Path(upscaler(photos / "photo.png", tmp_path / "ours").output))
    theirs = _pixels(output / "photo_x2.png")
    assert theirs.shape == ours.shape == (100, 140, 3)
    # A sum in another order moves a value over the edge of rounding, seldom.
    assert np.abs(theirs - ours).max() <= 1
    assert (theirs != ours).mean() < 1e-3


def test_an_exported_bundle_gives_our_result(exported, photos, tmp_path) -> None:
    _run(exported, photos, tmp_path / "out")
    _check(photos, tmp_path / "out", tmp_path)


def test_an_exported_bundle_keeps_the_geometry_of_a_volume(tmp_path, samples_dir) -> None:
    bundle = export_torchscript(find_model("mri_sr:fast"), tmp_path / "made", scale=2)
    source = nib.load(samples_dir / "mri_sr" / "brain_mr.nii.gz")
    values = source.get_fdata(dtype=np.float32)[60:84, 70:90, 4:6]
    affine = source.affine @ np.diag([1, 1, 3, 1])  # thick slices: their axis is not enlarged
    volume = nib.Nifti1Image(values, affine)
    volume.header.set_xyzt_units("mm")
    (tmp_path / "scans").mkdir()
    nib.save(volume, tmp_path / "scans" / "brain.nii.gz")
    limits = [0, float(np.ceil(values.max()))]
    _run(bundle, tmp_path / "scans", tmp_path / "out", value_range=limits)
    upscaler = FileUpscaler("mri_sr:fast", scale=2, range=limits, device="cpu", runtime="torch")
    result = upscaler(tmp_path / "scans" / "brain.nii.gz", tmp_path / "ours")
    ours = nib.load(str(result.output))
    theirs = nib.load(tmp_path / "out" / "brain_x2.nii.gz")
    np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-6)
    # As far as float32 sums in another order go, times the range.
    np.testing.assert_allclose(theirs.get_fdata(), ours.get_fdata(), atol=4e-5 * limits[1])


@pytest.mark.slow
def test_an_exported_bundle_runs_without_monai_sr(exported, photos, tmp_path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text("import sys; sys.modules['monai_sr'] = None\n")
    environment = {**os.environ, "PYTHONPATH": str(blocked)}
    # The block works: without this line the test could pass with monai-sr at hand.
    probe = [sys.executable, "-c", "import monai_sr"]
    assert subprocess.run(probe, env=environment, check=False, capture_output=True).returncode
    command = [
        sys.executable, "-m", "monai.bundle", "run", "--bundle_root", str(exported),
        "--config_file", str(exported / "configs" / "inference.yaml"),
        "--dataset_dir", str(photos), "--output_dir", str(tmp_path / "out"),
    ]  # fmt: skip
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    _check(photos, tmp_path / "out", tmp_path)


@pytest.mark.parametrize("mode", ["P", "L", "RGBA"])
def test_a_picture_of_another_kind_is_refused(exported, tmp_path, mode: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (8, 6), (10, 200, 30)).convert(mode).save(folder / "photo.png")
    with pytest.raises(RuntimeError) as caught:
        _run(exported, folder, tmp_path / "out")
    told = "".join(traceback.format_exception(caught.value))
    assert f"'{mode}'" in told
    assert "Available options are {'RGB'}" in told
    assert not list((tmp_path / "out").glob("*.png"))


def test_an_export_passes_the_tools_of_monai(exported, tmp_path) -> None:
    arguments = {
        "meta_file": str(exported / "configs" / "metadata.json"),
        "config_file": str(exported / "configs" / "inference.yaml"),
        "bundle_root": str(exported),
    }
    monai_bundle.verify_net_in_out("network_def", **arguments)
    weights, again = str(exported / "models" / "model.pt"), str(tmp_path / "again.ts")
    monai_bundle.ckpt_export("network_def", again, ckpt_file=weights, **arguments)
    image = torch.rand(1, 3, 5, 6)
    first = torch.jit.load(exported / "models" / "model.ts")
    assert torch.equal(torch.jit.load(again)(image), first(image))


def test_an_export_says_what_it_loses(exported) -> None:
    metadata = json.loads((exported / "configs" / "metadata.json").read_text())
    assert "monai-sr" not in metadata["required_packages_version"]
    (output,) = metadata["network_data_format"]["outputs"].values()
    assert output["spatial_shape"] == ["32*n", "32*n"]
    for loss in ("color profile", "uncertainty"):
        assert loss in metadata["description"]
        assert loss in (exported / "docs" / "README.md").read_text()
    assert "weights: Apache-2.0, research only." in (exported / "docs" / "README.md").read_text()


def test_no_path_of_this_machine_is_in_an_export(exported) -> None:
    here = str(Path.home()).encode(), str(Path(__file__).parents[2]).encode()
    for file in exported.rglob("*.*"):
        assert not any(path in file.read_bytes() for path in here), file.name


@pytest.mark.parametrize(
    ("name", "scale", "words"),
    [
        ("satellite_sr", 4, "no GeoTIFF with its reference system"),
        ("natural_sr:perceptual", 4, "name natural_sr or natural_sr:fast"),
        ("natural_sr:srcnn", 4, "name natural_sr or natural_sr:fast"),
        ("natural_sr:fast", 3, "scale: must be 2 or 4"),
    ],
)
def test_what_cannot_be_honest_is_refused(tmp_path, name: str, scale: int, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        export_torchscript(find_model(name), tmp_path / "out", scale=scale)
    assert not (tmp_path / "out").exists()
