"""The script that fits the interval of uncertainty writes what the bundle then uses."""

from __future__ import annotations

import json

import fit_uncertainty as script
import numpy as np
import pytest
import torch
from PIL import Image

from monai_sr import SuperResolver
from tests.image_factory import pixels, write_nifti, write_raster
from tests.network_factory import tiny_bundle


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        coarse = np.random.default_rng(i).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((54, 48), Image.Resampling.BICUBIC)
        image.save(folder / f"{i}.png")
    return folder


def test_the_fitted_interval_covers_ninety_percent_of_its_images(photos, tmp_path, capsys):
    bundle = tiny_bundle(tmp_path)
    arguments = ["--bundle", str(bundle), "--images", str(photos), "--check", str(photos)]
    assert script.main([*arguments, "--size", "32"]) == 0
    assert capsys.readouterr().out.count("90.0% of the pixels") == 2
    entry = json.loads((bundle / "configs" / "metadata.json").read_text())["uncertainty"]
    assert set(entry["factors"]) == {"2", "4"}
    assert entry["coverage"] == 0.9
    resolver = SuperResolver.from_bundle(bundle, scale=4, uncertainty=True)
    assert entry["weights_sha256"] == resolver.weights_sha256
    assert resolver.restore.interval_factor == entry["factors"]["4"]


def test_of_a_volume_every_eighth_slice_serves_at_its_own_depth(tmp_path):
    stored = pixels((41, 38, 20), "int16")
    parts = script.central_parts(write_nifti(tmp_path / "v.nii", stored), 32, 1)
    assert [(part.shape, part.dtype) for part in parts] == [((1, 1, 32, 32), torch.float32)] * 2
    unit = (stored[..., 12].astype(float) - stored.min()) / (float(stored.max()) - stored.min())
    # Rows lie along Y, so the middle is cut from (38, 41).
    np.testing.assert_allclose(parts[1][0, 0], unit.T[3:35, 4:36], atol=1e-6)


def test_of_a_raster_every_group_of_bands_serves(tmp_path):
    stored = pixels((4, 40, 50), "uint16")
    path = write_raster(tmp_path / "a.tif", stored)
    color, infrared = script.central_parts(path, 32, 3)
    span = float(stored.max()) - float(stored.min())
    unit = (stored[:, 4:36, 9:41].astype(float) - stored.min()) / span
    np.testing.assert_allclose(color[0], unit[:3], atol=1e-6)
    np.testing.assert_allclose(infrared[0], unit[[3, 3, 3]], atol=1e-6)


def test_of_a_split_table_the_validation_images_serve(photos, tmp_path, caplog):
    table = tmp_path / "split.csv"
    table.write_text("file,place,split\n0.png,a,train\n1.png,b,validation\n2.png,c,test\n")
    arguments = ["--bundle", str(tiny_bundle(tmp_path)), "--images", str(photos), "--size", "32"]
    with caplog.at_level("INFO", logger="monai_sr.fit_uncertainty"):
        assert script.main([*arguments, "--split_table", str(table)]) == 0
    assert [record.getMessage() for record in caplog.records] == ["x2 1.png", "x4 1.png"]
