"""Results that MONAI's other tools have changed, or nobody has restored, become no wrong files."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.transforms import SaveImaged

from monai_sr import SuperResolver
from monai_sr.core.errors import BadImageError, OutputError, user_message
from monai_sr.formats import DicomWriter, NiftiWriter
from monai_sr.inferers import TiledInferer
from monai_sr.transforms import (
    LoadImageSRd,
    Provenance,
    RestoreStoredd,
    SaveImageSRd,
    ScaleToUnitd,
)
from tests import dicom_factory
from tests.image_factory import pixels, write_nifti, write_raster
from tests.network_factory import tiny

restore = RestoreStoredd("pred", Provenance("xray_sr", None, 2, 0))


def enlarged(path):
    sample = ScaleToUnitd("image")(LoadImageSRd("image")({"image": str(path)}))
    return {**sample, "pred": SuperResolver(tiny(), TiledInferer(2))(sample["image"])}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s | {"pred": s["pred"].as_tensor()}, "must be a MetaTensor, got a Tensor"),
        (lambda s: s | {"pred": s["pred"].numpy()}, "must be a MetaTensor, got a ndarray"),
        (lambda s: list_data_collate([s, s]), "must be one image, got a batch"),
        (lambda s: list_data_collate([s]), "must be one image, got a batch"),
        (restore, r"must be a result in \[0, 1\], got one of stored values"),
        (lambda s: s | {"pred": MetaTensor(torch.rand(1, 4, 4))}, "must come from an image that"),
    ],
    ids=["tensor", "array", "batch", "batch of one", "restored", "of unknown origin"],
)
def test_what_cannot_be_restored_is_refused(tmp_path, change, said):
    sample = enlarged(write_raster(tmp_path / "a.png", pixels((1, 12, 14))))
    with pytest.raises(BadImageError, match=f"^pred: {said}"):
        restore(change(sample))


def test_values_in_the_unit_range_are_not_written(tmp_path):
    sample = enlarged(write_raster(tmp_path / "a.png", pixels((1, 12, 14))))
    with pytest.raises(OutputError, match=r"a\.png: must have stored values .* restore them first"):
        SaveImageSRd("pred", tmp_path / "out")(sample)
    with pytest.raises(OutputError, match="pred: must be a MetaTensor, got a Tensor"):
        SaveImageSRd("pred", tmp_path / "out")(sample | {"pred": sample["pred"].as_tensor()})
    assert not (tmp_path / "out").exists()
    SaveImageSRd("pred", tmp_path / "out")(restore(sample))
    assert (tmp_path / "out" / "a_x2.png").exists()


@pytest.mark.parametrize("is_dicom", [True, False])
def test_nor_by_the_writers_alone(tmp_path, is_dicom):
    values = pixels((12, 14, 3), "uint16") % 4096
    if is_dicom:
        source = dicom_factory.write(tmp_path / "a.dcm", values[..., 0])
    else:
        source = write_nifti(tmp_path / "a.nii", values)
    save = SaveImaged(
        "pred",
        writer=DicomWriter if is_dicom else NiftiWriter,
        output_ext=source.suffix,
        output_dir=tmp_path / "out",
        resample=False,
        print_log=False,
    )
    sample = enlarged(source)
    with pytest.raises((OutputError, RuntimeError)) as caught:  # MONAI wraps it
        save(sample)
    assert "must have stored values to be written" in str(user_message(caught.value))
