"""The chest X-ray protocol: its list, its small images, and the judge of any method."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
import xray_protocol as script
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from monai_sr.evaluation.datasets import load_benchmark
from monai_sr.functional.resize import downsample_uint8, upsample
from monai_sr.metrics.protocol import to_stored


@pytest.fixture
def few(shared_data, tmp_path):
    """Return a root with the first image of each class."""
    root = tmp_path / "root"
    for label in load_benchmark("xray").classes:
        folder = root / "xray" / "test" / label
        folder.mkdir(parents=True)
        file = min((shared_data / "xray" / "test" / label).glob("*.png"))
        shutil.copy(file, folder)
    return root


def test_the_list_agrees_with_the_images(shared_data, capsys):
    assert script.main(["check", "--root", str(shared_data)]) == 0
    assert capsys.readouterr().out == (
        "54 test images, 34 patients known; 127 training images, 119 patients; none on both sides\n"
    )


def test_a_changed_or_missing_image_is_named(few, capsys):
    assert script.main(["check", "--root", str(few)]) == 2
    assert "are missing, such as" in capsys.readouterr().err


def test_a_patient_on_both_sides_is_refused(shared_data, tmp_path, monkeypatch, capsys):
    with script.IMAGES.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[0]["patient"] = next(row["patient"] for row in rows if row["split"] == "train")
    changed = tmp_path / "images.csv"
    with changed.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, script.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.setattr(script, "IMAGES", changed)
    monkeypatch.setattr(script, "_files", lambda _: rows)
    assert script.main(["check", "--root", str(shared_data)]) == 2
    assert "1 patients are on both sides" in capsys.readouterr().err


def test_results_of_a_method_are_judged_as_the_evaluator_judges(few, tmp_path, capsys):
    benchmark = load_benchmark("xray")
    small = tmp_path / "small"
    assert script.main(["make", "--root", str(few), "--output", str(small)]) == 0
    expected = {}
    for image in benchmark.images(few):
        with Image.open(small / "x4" / image.label / f"{image.name}.png") as file:
            pixels = np.asarray(file)
        hr = to_stored(benchmark.load(image), benchmark.protocol)
        height, width = (side // 4 * 4 for side in hr.shape[-2:])
        hr = hr[..., :height, :width]
        assert (pixels == downsample_uint8(hr.byte(), 4)[0, 0].numpy()).all()
        large = to_stored(upsample(hr.new_tensor(pixels)[None, None] / 255, 4), benchmark.protocol)
        folder = tmp_path / "mine" / image.label
        folder.mkdir(parents=True)
        Image.fromarray(large[0, 0].numpy().astype(np.uint8)).save(folder / f"{image.name}.png")
        inside = (slice(4, -4), slice(4, -4))
        expected[image.name] = peak_signal_noise_ratio(
            hr[0, 0].numpy()[inside], large[0, 0].numpy()[inside], data_range=255
        )
    rows = script.judge(few, tmp_path / "mine", 4)
    assert {row.image: row["psnr"] for row in rows} == pytest.approx(expected, abs=1e-3)
    # Bicubic enlarged by hand gains nothing over bicubic.
    assert "| all | 3 |" in (text := capsys.readouterr().out)
    assert "+0.00 (+0.00 to +0.00)" in text


def test_a_missing_result_is_named(few, tmp_path, capsys):
    options = ["judge", "--root", str(few), "--enlarged", str(tmp_path / "none")]
    assert script.main(options) == 2
    assert "no such file; a method must enlarge every image" in capsys.readouterr().err
