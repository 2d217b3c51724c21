"""One kind of image out of many: grey, small enough, air dark; nobody in both splits."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
import xray_training as script
from PIL import Image

from tests.clone_factory import commit, write_table
from tests.dicom_factory import stored, write

COLUMNS = ("file", "repository", "path", "blob", "crop", "split")
NIH = re.compile(r"nih_(\d{8})_\d{3}\.png")


@pytest.fixture
def made(tmp_path):
    """Return a function that makes the image of a file, which a writer writes, by one row."""
    clone = tmp_path / "o" / "n"
    clone.mkdir(parents=True)

    def make(name, writer, **row):
        writer(clone / name)
        version = commit(clone)
        blob = script.git(clone, "rev-parse", f"{version}:{name}").decode().strip()
        row = {"file": "a.png", "repository": "o/n", "path": name, "blob": blob[:12],
               "split": "train", **row}  # fmt: skip
        table = write_table(tmp_path / "t.csv", COLUMNS, row)
        told = ["--clones", str(tmp_path), "--data", str(tmp_path), "--table", str(table)]
        assert script.main(told) == 0
        return np.asarray(Image.open(tmp_path / "xray_more" / row["split"] / "a.png"))

    return make


def _grey(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_a_grey_png_stays_as_it_is(made, tmp_path):
    pixels = _grey(6, 8)
    result = made("b.png", Image.fromarray(pixels).save, split="validation")
    np.testing.assert_array_equal(result, pixels)
    kept = tmp_path / "xray_more" / "validation" / "a.png"
    assert kept.read_bytes() == (tmp_path / "o" / "n" / "b.png").read_bytes()


def test_a_large_grey_png_is_reduced(made):
    result = made("a.png", Image.fromarray(np.full((8, 2048), 90, np.uint8)).save)
    np.testing.assert_array_equal(result, np.full((4, 1024), 90, np.uint8))


def test_of_an_image_with_opacity_the_grey_values_remain(made):
    pixels = _grey(6, 8)
    opaque = np.dstack([pixels] * 3 + [np.full_like(pixels, 255)])
    np.testing.assert_array_equal(made("a.png", Image.fromarray(opaque).save), pixels)


def test_a_rectangle_is_cut_out(made):
    pixels = _grey(10, 12)
    result = made("a.pgm", Image.fromarray(pixels).save, crop="3 2 8 6")
    np.testing.assert_array_equal(result, pixels[2:8, 3:11])


def test_a_rectangle_beyond_the_image_is_named(made):
    with pytest.raises(SystemExit, match=r"crop 3 2 8 9: must be within \(12, 10\); correct"):
        made("a.pgm", Image.fromarray(_grey(10, 12)).save, crop="3 2 8 9")


def test_jpeg_is_reduced_by_two_and_more_where_it_is_large(made):
    pixels = np.full((40, 60), 90, np.uint8)
    result = made("a.jpeg", Image.fromarray(pixels).save)
    assert result.shape == (20, 30)
    np.testing.assert_allclose(result, 90, atol=1)
    assert script.reduced(np.zeros((3072, 1024), np.uint8), 2).shape == (1024, 341)


def test_a_large_image_is_reduced_and_a_small_one_never_enlarged():
    assert script.reduced(np.zeros((512, 2048), np.uint16), 1).shape == (256, 1024)
    small = np.zeros((16, 8), np.uint16)
    assert script.reduced(small, 1) is small


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_fills_16_bits_without_a_window_and_air_is_dark(made, photometric):
    pixels = stored((6, 8)) // 16 + 100
    result = made(
        "a.dcm",
        lambda file: write(file, pixels, PhotometricInterpretation=photometric, WindowCenter=200,
                           WindowWidth=10),
    )  # fmt: skip
    scaled = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    expected = 65535 * (1 - scaled if photometric == "MONOCHROME1" else scaled)
    assert result.dtype == np.uint16
    np.testing.assert_allclose(result, expected, atol=0.51)


def test_what_is_there_stays(made, tmp_path):
    made("a.png", Image.fromarray(_grey(6, 8)).save)
    file = tmp_path / "xray_more" / "train" / "a.png"
    file.write_bytes(b"")
    made_again = ["--clones", str(tmp_path), "--data", str(tmp_path)]
    assert script.main([*made_again, "--table", str(tmp_path / "t.csv")]) == 0
    assert not file.read_bytes()


def test_a_file_of_another_table_is_named(made, tmp_path):
    other = tmp_path / "xray_more" / "validation" / "chest.png"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    with pytest.raises(SystemExit, match=r"chest\.png: is not of .*remove it"):
        made("a.png", Image.fromarray(_grey(6, 8)).save)


def test_a_clone_without_the_version_is_named(made, tmp_path):
    with pytest.raises(SystemExit, match="n: git cat-file blob 0123456789ab: "):
        made("a.png", Image.fromarray(_grey(6, 8)).save, blob="0123456789ab")


def test_of_the_table_nobody_is_judged_or_in_both_splits_and_all_is_free():
    rows = script.read_table(script.IMAGES)
    persons = {
        split: {row["patient"] for row in rows if row["split"] == split}
        for split in ("train", "validation")
    }
    assert persons["train"].isdisjoint(persons["validation"])
    assert sum(len(each) for each in persons.values()) == len({row["patient"] for row in rows})
    assert len({row["file"] for row in rows}) == len(rows)
    assert all(re.match(r"CC BY |free with credit |MS-PL ", row["licence"]) for row in rows)
    with script.IMAGES.with_name("xray_images.csv").open(newline="", encoding="utf-8") as stream:
        known = {f"NIH {row['patient']}" for row in csv.DictReader(stream)}
    assert known.isdisjoint(persons["train"] | persons["validation"])
    named = [(match[1], row["patient"]) for row in rows if (match := NIH.match(row["file"]))]
    assert named
    assert all(patient == f"NIH {number}" for number, patient in named)
