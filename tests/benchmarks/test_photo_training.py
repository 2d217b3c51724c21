"""Tiles out of one version of a photo in a repository."""

from __future__ import annotations

import csv
import subprocess

import numpy as np
import photo_training as script
import pytest
from PIL import Image


def _commit(folder, image, name="photo.png"):
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / name)
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "photo"], check=True)
    return subprocess.run(
        [*git, "rev-parse", f"HEAD:{name}"], check=True, capture_output=True, text=True
    ).stdout.strip()


def _table(file, blob):
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("photo", "repository", "path", "blob", "license"))
        writer.writerow(("wall", "owner/name", "photo.png", blob, "CC0"))
    return file


def test_detailed_tiles_of_a_reduced_photo_are_kept(tmp_path):
    pixels = np.full((2 * 480, 4 * 480, 3), 128, np.uint8)
    pixels[:, : 2 * 480] = np.repeat(
        np.random.default_rng(0).integers(0, 255, (480, 480, 3)), 2, 0
    ).repeat(2, 1)
    blob = _commit(tmp_path / "clones" / "owner" / "name", Image.fromarray(pixels))
    told = ["--clones", str(tmp_path / "clones"), "--data", str(tmp_path)]
    assert script.main([*told, "--table", str(_table(tmp_path / "table.csv", blob))]) == 0
    (tile,) = (tmp_path / "train" / "more_photos").iterdir()  # the flat half is left out
    assert tile.name == "wall_0_0.png"
    kept = np.asarray(Image.open(tile)).astype(int)
    within = np.asarray(Image.fromarray(pixels).resize((960, 480), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(kept, within[:, :480])


def test_large_photos_are_reduced_further():
    assert script.reduced(Image.new("RGB", (4000, 3000)), 2.5e6).size == (1825, 1369)
    assert script.reduced(Image.new("RGB", (1000, 600)), 2.5e6).size == (500, 300)
    assert script.reduced(Image.new("RGB", (4000, 3000)), 0.7e6).size == (966, 724)


def test_a_clone_without_the_version_is_named(tmp_path):
    _commit(tmp_path / "owner" / "name", Image.new("RGB", (8, 8)))
    with pytest.raises(SystemExit, match="whole history"):
        script.read_photo(tmp_path / "owner" / "name", "0123456789")
