"""The record of an image: typed, unharmed by MONAI, and the only place that spells its keys."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch

from monai_sr.core.errors import OptionError
from monai_sr.formats import Facts, with_facts
from monai_sr.formats.facts import Fact, image_meta
from monai_sr.inferers.batch_meta import slice_axis
from monai_sr.transforms import load_image
from tests.image_factory import TURNS, turned, write_nifti, write_raster


def test_only_one_file_spells_the_keys(repo_root):
    keys = "|".join(re.escape(each.key) for each in vars(Facts).values() if isinstance(each, Fact))
    spelled = re.compile(rf"""["'](?:{keys})["']""")
    found = {
        path.relative_to(repo_root).as_posix(): spelled.findall(path.read_text(encoding="utf-8"))
        for path in (repo_root / "monai_sr").rglob("*.py")
    }
    named = {name: keys for name, keys in found.items() if keys}
    assert set(named) == {"monai_sr/formats/facts.py"}
    (keys_there,) = named.values()
    assert len(keys_there) == len(set(keys_there)) == 50


def test_facts_are_read_with_their_types(tmp_path):
    meta = load_image(write_nifti(tmp_path / "a.nii")).meta
    facts = Facts(meta)
    assert facts.files == [str(tmp_path / "a.nii")]
    assert facts.dtype == np.dtype("int16")
    assert facts.storable.tolist() == [-32768.0, 32767.0]
    assert (facts.slice_axis, facts.is_rgb, facts.unit_mm, facts.mosaic) == (2, False, 1.0, 1)
    assert np.isnan(facts.nodata)
    assert not facts.valid.size


@pytest.mark.parametrize("workers", [0, 1])
def test_facts_survive_data_loaders_batches_and_pickles(tmp_path, workers):
    paths = [write_raster(tmp_path / f"{name}.png") for name in "ab"]
    data = Dataset([{"image": path} for path in paths], lambda item: load_image(item["image"]))
    (batch,) = DataLoader(data, batch_size=2, num_workers=workers)
    first = Facts(load_image(paths[0]).meta)
    names = [name for name, each in vars(Facts).items() if isinstance(each, Fact)]
    known = [name for name in names if first.knows(name) and name != "kind"]
    assert len(known) > 15
    for image, path in zip(decollate_batch(batch), paths, strict=True):
        again = pickle.loads(pickle.dumps(image))
        for each in (Facts(image.meta), Facts(again.meta)):
            assert each.files == [str(path)]
            for name in set(known) - {"files"}:
                np.testing.assert_array_equal(getattr(each, name), getattr(first, name), name)
    of_batch = Facts(batch.meta)
    assert (of_batch.dtype, of_batch.slice_axis, of_batch.format) == (
        first.dtype, first.slice_axis, first.format,
    )  # fmt: skip


def test_what_is_not_known_has_a_default_or_says_which_key():
    facts = Facts(None)
    assert (facts.format, facts.slice_axis, facts.runtime) == ("", -1, "torch")
    assert not facts.knows("range")
    with pytest.raises(KeyError, match="sr_range"):
        _ = facts.range


def test_setting_and_deleting_reach_the_metadata_and_copies_do_not():
    image = MetaTensor(torch.zeros(1, 2, 2), meta={"sr_sizes": np.array([4, 4])})
    facts = Facts(image.meta)
    facts.is_inverted, facts.dtype, facts.files = True, np.dtype("uint8"), ["/a", "/b"]
    assert image.meta["sr_inverted"] == 1
    assert image.meta["sr_dtype"] == "uint8"
    assert image.meta["sr_files"] == '["/a", "/b"]'
    del facts.sizes
    del facts.sizes  # once more: nothing to remove
    assert "sr_sizes" not in image.meta
    copy = with_facts(image.meta, mosaic=3, is_inverted=False)
    assert (Facts(copy).mosaic, Facts(copy).is_inverted) == (3, False)
    assert (facts.mosaic, facts.is_inverted) == (1, True)


def test_limits_are_the_bounds_or_what_the_file_holds(tmp_path):
    meta = image_meta(
        files=[tmp_path / "a"], sr_format="", affine=np.eye(4), spatial_shape=(2, 2), dtype="uint8"
    )
    assert Facts(meta).limits.tolist() == [0.0, 255.0]
    assert Facts(with_facts(meta, bounds=np.array([[1.0, 2.0]]))).limits.tolist() == [[1.0, 2.0]]


THICK = np.diag([1.0, 1.5, 3.0, 1.0])


@pytest.mark.parametrize("turn", TURNS)
def test_the_axis_of_slices_follows_turns(tmp_path, turn):
    image = load_image(write_nifti(tmp_path / "a.nii", affine=THICK))
    _, meta = turned(image.numpy(), image.meta, turn)
    facts = Facts(meta)
    assert facts.slice_axis == int(np.linalg.norm(meta["affine"], axis=0)[:3].argmax())
    for axis in (0, 1, 2):
        facts.slice_axis = axis
        assert facts.slice_axis == axis


def test_each_image_of_a_batch_has_its_own_axis_of_slices(tmp_path):
    image = load_image(write_nifti(tmp_path / "a.nii", np.zeros((4, 4, 4), "i2"), affine=THICK))
    items = [MetaTensor(*pair[:1], meta=pair[1]) for pair in (
        (image, dict(image.meta)), turned(image.numpy(), image.meta, "sagittal"),
    )]  # fmt: skip
    (batch,) = DataLoader(Dataset(items), batch_size=2)
    assert Facts.slice_axis.of_all(batch.meta) == [2, 0]
    with pytest.raises(OptionError, match="must share sr_slice_axis"):
        slice_axis(batch.meta)


def test_affines_that_tell_no_order_leave_the_axis_of_slices():
    for affine in (np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan)):
        meta = {"sr_slice_axis": 1, "affine": affine, "original_affine": THICK}
        assert Facts(meta).slice_axis == 1
