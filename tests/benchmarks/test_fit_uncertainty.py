"""The script that fits the interval of uncertainty writes what the bundle then uses."""

from __future__ import annotations

import json

import fit_uncertainty as script
import numpy as np
import pytest
from interval_samples import Sample, sources_of
from PIL import Image

from monai_sr import SuperResolver
from monai_sr.transforms import Reading
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


def sample(seed, spread, error):
    random = np.random.default_rng(seed)
    spreads = spread * random.random((1, 60, 60))
    errors = error * np.abs(random.standard_normal(spreads.shape)) * np.sqrt(spreads)
    return Sample(errors, spreads, spreads, Reading((0.0,), 0.2), 4)


def test_the_fitted_interval_covers_ninety_percent_of_its_images(photos, tmp_path, capsys):
    bundle = tiny_bundle(tmp_path)
    arguments = ["--bundle", str(bundle), "--images", str(photos), "--check", str(photos)]
    assert script.main(arguments) == 0
    assert capsys.readouterr().out.count("90.0% of the pixels") == 2
    entry = json.loads((bundle / "configs" / "metadata.json").read_text())["uncertainty"]
    assert set(entry["factors"]) == {"2", "4"}
    assert entry["coverage"] == 0.9
    resolver = SuperResolver.from_bundle(bundle, scale=4, uncertainty=True)
    assert entry["weights_sha256"] == resolver.weights_sha256
    assert resolver.restore.interval_factor == entry["factors"]["4"]
    widening = resolver.restore.widening
    assert (widening.power, widening.floor) == (0.5, entry["widening"]["4"]["floor"])


def test_where_views_agree_the_floor_holds_what_they_do_not_show():
    images = [sample(seed, 0.01, 0.2) for seed in range(4)]
    factor, plain = script.fit(images)
    # 1.645 standard deviations of 0.2 sqrt(spread); the floor takes a little of it.
    assert factor == pytest.approx(1.645 * 0.2, rel=0.1)
    assert plain.floor == pytest.approx(0.25 * 0.01 / np.sqrt(3), rel=0.05)
    assert script.held(images, factor, plain) == pytest.approx(0.9, abs=1e-3)
    wider, same = script.fit(images, aim=0.95)
    assert script.held(images, wider, same) == pytest.approx(0.95, abs=1e-3)
    agreed = np.zeros((1, 4, 4))
    least = factor * np.sqrt(plain.floor)
    np.testing.assert_allclose(plain.plain(factor, agreed), least)


def test_of_a_split_table_the_validation_images_serve(photos, tmp_path, caplog):
    table = tmp_path / "split.csv"
    table.write_text("file,place,split\n0.png,a,train\n1.png,b,validation\n2.png,c,test\n")
    arguments = ["--bundle", str(tiny_bundle(tmp_path)), "--images", str(photos)]
    with caplog.at_level("INFO", logger="monai_sr.fit_uncertainty"):
        assert script.main([*arguments, "--split_table", str(table)]) == 0
    assert [record.getMessage() for record in caplog.records] == ["x2, image 1", "x4, image 1"]


def test_a_campaign_says_which_images_serve(shared_data):
    names = {each.parent.parts[-2:] for each in sources_of("natural_sr", shared_data)}
    assert names == {("validation", "photos"), ("train", "photos")}
