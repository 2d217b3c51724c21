"""An image comes out of a batch as it comes out alone, whatever the others of the batch are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, decollate_batch

from monai_sr.inferers import TiledInferer
from monai_sr.transforms import Provenance, RestoreStoredd, ScaleToUnitd, load_image
from tests.image_factory import write_nifti
from tests.network_factory import tiny


def write(path, hot=(), nan=(), holes=()):
    array = 800 + 100 * np.random.default_rng(0).random((24, 20)).astype(np.float32)
    for places, value in ((hot, 6e4), (nan, np.nan), (holes, -999)):
        for place in places:
            array[place] = value
    return write_nifti(path, array[..., None])


def enlarged(files, batch_size, nodata):
    """The loop of docs/how-to/pipeline.md."""
    to_unit, network = ScaleToUnitd("image", nodata=nodata), tiny(1)
    restore = RestoreStoredd("pred", Provenance("mri_sr", None, 4, 2))
    data = Dataset(files, lambda file: to_unit({"image": load_image(file)}))
    for batch in DataLoader(data, batch_size=batch_size):
        batch["pred"] = TiledInferer(4)(batch["image"], network)
        for sample in decollate_batch(batch):
            yield restore(sample)["pred"].as_tensor()


@pytest.mark.parametrize(
    ("contents", "nodata"),
    [
        ([{}, {"hot": [(5, 7)]}, {"hot": [(2, 2), (8, 3)]}], None),
        ([{"holes": [(0, 0)]}, {"holes": [(1, 0)], "nan": [(7, 7)]}, {"nan": [(0, 0)]}], -999),
    ],
)
def test_an_image_of_a_batch_keeps_its_own_hot_pixels_and_nan(tmp_path, contents, nodata):
    files = [write(tmp_path / f"{n}.nii", **what) for n, what in enumerate(contents)]
    alone = list(enlarged(files, 1, nodata))
    assert nodata or [float(each.max()) > 5e4 for each in alone] == [False, True, True]
    for pair in itertools.permutations(range(len(files)), 2):
        together = enlarged([files[index] for index in pair], 2, nodata)
        for index, found in zip(pair, together, strict=True):
            torch.testing.assert_close(found, alone[index], rtol=0, atol=1e-3, equal_nan=True)
