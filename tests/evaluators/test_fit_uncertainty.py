"""The script that fits the interval of uncertainty writes what the bundle then uses."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from monai_sr import SuperResolver
from tests.network_factory import tiny_bundle


@pytest.fixture(scope="module")
def script(repo_root):
    spec = importlib.util.spec_from_file_location(
        "fit_uncertainty", repo_root / "benchmarks" / "fit_uncertainty.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        coarse = np.random.default_rng(i).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((54, 48), Image.Resampling.BICUBIC)
        image.save(folder / f"{i}.png")
    return folder


def test_the_fitted_interval_covers_ninety_percent_of_its_images(script, photos, tmp_path, capsys):
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


def test_images_of_another_depth_are_refused(script, tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    Image.fromarray(np.zeros((32, 32), np.uint16)).save(folder / "a.png")
    with pytest.raises(ValueError, match="8 bits"):
        script.central_part(folder / "a.png", 32, 1)
