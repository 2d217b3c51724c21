"""Slices in Hounsfield units, in order and far apart; some, or whole persons, held out."""

from __future__ import annotations

import csv
import re

import ct_training as script
import nibabel
import numpy as np
import pytest

from tests.clone_factory import commit, write_table
from tests.dicom_factory import located, stored, write

COLUMNS = ("file", "repository", "path", "series", "held_out", "split", "version")


@pytest.fixture
def made(tmp_path):
    """Return a function that makes the stacks of a series with slices at some places.

    It returns the stored pixels by place and what is made, by its path.
    """
    clone = tmp_path / "o" / "n"
    clone.mkdir(parents=True)

    def make(places, **row):
        pixels = {}
        for count, place in enumerate(places):
            pixels[place] = stored((6, 8), seed=count)
            pixels[place][0, 0] = 0
            where = located((0, 0, place), [1, 0, 0, 0, 1, 0], (0.5, 0.5))
            write(clone / f"{99 - count}.dcm", pixels[place], RescaleSlope=1,
                  RescaleIntercept=-2024, **where)  # fmt: skip
        row = {"file": "a.nii.gz", "repository": "o/n", "path": r".*\.dcm", "split": "train", **row}
        table = write_table(tmp_path / "t.csv", COLUMNS, {"version": commit(clone), **row})
        told = ["--clones", str(tmp_path), "--data", str(tmp_path), "--table", str(table)]
        assert script.main(told) == 0
        folder = tmp_path / "ct_slices"
        found = {f.relative_to(folder).as_posix(): nibabel.load(f) for f in folder.rglob("*.gz")}
        return pixels, found

    return make


def _hounsfield(pixels):
    return np.maximum(pixels.T.astype(int) - 2024, -1024)


def test_slices_are_sorted_scaled_and_held_out(made):
    pixels, found = made([0.0, 2.5, 5.0, 12.0, 20.0], held_out="12.0")
    assert sorted(found) == ["train/a.nii.gz", "validation/a_1.nii.gz"]
    trained, held = (np.asarray(found[name].dataobj) for name in sorted(found))
    assert found["train/a.nii.gz"].header.get_zooms() == (0.5, 0.5, 20.0)
    expected = np.stack([_hounsfield(pixels[place]) for place in (0.0, 5.0, 20.0)], axis=-1)
    np.testing.assert_array_equal(trained, expected)  # 2.5 mm is too near
    np.testing.assert_array_equal(held[..., 0], _hounsfield(pixels[12.0]))
    assert trained.min() == held.min() == -1024


def test_slices_near_a_held_out_one_are_not_trained_on(made):
    _, found = made([0.0, 5.0, 7.5, 10.0, 15.0], held_out="7.5")
    assert found["train/a.nii.gz"].shape[2] == 2


def test_of_a_person_to_validate_on_each_slice_is_a_file(made):
    pixels, found = made([0.0, 6.0], split="validation")
    assert sorted(found) == ["validation/a_1.nii.gz", "validation/a_2.nii.gz"]
    second = np.asarray(found["validation/a_2.nii.gz"].dataobj)[..., 0]
    np.testing.assert_array_equal(second, _hounsfield(pixels[6.0]))


def test_a_long_series_is_thinned_over_all_of_its_length():
    places = [float(place) for place in range(0, 1000, 2)]
    used = script.thinned(places, [])
    assert (len(used), used[0], used[-1]) == (40, 0.0, 996.0)
    assert min(np.diff(used)) >= 20


def test_a_place_without_a_slice_is_named(made):
    with pytest.raises(SystemExit, match=r"a\.nii\.gz: no slice lies at \[7\.0\]"):
        made([0.0, 6.0], held_out="7.0")


def test_a_file_of_another_table_is_named(made, tmp_path):
    other = tmp_path / "ct_slices" / "validation" / "chest.nii.gz"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    with pytest.raises(SystemExit, match=r"chest\.nii\.gz: is not of .*remove it"):
        made([0.0, 6.0])


def test_of_the_table_nobody_is_in_both_splits_and_all_is_free():
    with script.SERIES.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    persons = {
        split: {row["patient"] for row in rows if row["split"] == split}
        for split in (script.TRAIN, script.VALIDATION)
    }
    assert persons[script.TRAIN].isdisjoint(persons[script.VALIDATION])
    assert sum(len(each) for each in persons.values()) == len({row["patient"] for row in rows})
    assert all(re.match(r"CC BY [34]\.0 |BSD-[23]-Clause ", row["licence"]) for row in rows)
    assert len({row["file"] for row in rows}) == len(rows)
