"""A pair of header and voxels is one image, and is no other format that uses the same names."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from monai_sr.core.errors import BadImageError
from monai_sr.formats import NiftiReader, RasterReader, find_reader, output_suffix
from monai_sr.formats.nifti.header import pair_of
from monai_sr.formats.nifti.writer import NiftiWriter
from tests.image_factory import enlarged, pixels, write_raster

AFFINE = np.array([[0.9, 0.1, 0, -40], [-0.1, 0.8, 0.3, 20], [0, -0.2, 5, 7], [0, 0, 0, 1]])


def write_pair(path, kind=nib.Nifti1Pair, slope=0.25):
    array = pixels((7, 5, 3), "int16")
    header = kind.header_class()
    header.set_data_dtype(np.int16)
    header.set_xyzt_units("mm", "sec")
    image = kind(array, AFFINE, header)
    image.header["descrip"] = b"of a scanner"
    image.header["cal_max"] = 77
    image.header["scl_slope"], image.header["scl_inter"] = slope, -3
    image.to_filename(path)
    return array


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Nifti2Pair])
@pytest.mark.parametrize("ends", [(".hdr", ".img"), (".hdr.gz", ".img.gz")])
def test_either_file_names_the_image_and_the_result_is_one_file(tmp_path, kind, ends):
    array = write_pair(tmp_path / f"a{ends[1]}", kind)
    for end in ends:
        path = tmp_path / f"a{end}"
        assert isinstance(find_reader(path), NiftiReader)
        stored, meta = NiftiReader().get_data(NiftiReader().read(path))
        assert (stored[0] == array).all()
        np.testing.assert_allclose(meta["affine"], AFFINE, atol=1e-5)
    suffix = ".nii.gz" if ends[0].endswith("gz") else ".nii"
    assert output_suffix(path) == output_suffix(meta) == suffix
    large, updated = enlarged(stored, meta, 2)
    writer = NiftiWriter()
    writer.set_data_array(large)
    writer.set_metadata(updated)
    writer.write(tmp_path / f"b{suffix}")
    result = nib.load(tmp_path / f"b{suffix}")
    assert isinstance(result, nib.Nifti2Image if kind is nib.Nifti2Pair else nib.Nifti1Image)
    assert (np.asarray(result.dataobj.get_unscaled()) == large[0]).all()
    assert (result.dataobj.slope, result.dataobj.inter) == (0.25, -3)
    np.testing.assert_allclose(result.affine, updated["affine"], atol=1e-5)
    assert float(result.header["cal_max"]) == 77
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [f"a{ends[0]}", f"a{ends[1]}", f"b{suffix}"]
    )


def test_what_lacks_its_voxels_or_its_header_says_so(tmp_path):
    write_pair(tmp_path / "a.img")
    (tmp_path / "a.img").rename(tmp_path / "b.img")
    with pytest.raises(BadImageError, match=r"a\.hdr: its voxels .*, got no a\.img"):
        NiftiReader().read(tmp_path / "a.hdr")
    assert pair_of(tmp_path / "b.img") is None
    (tmp_path / "a.img").write_bytes(b"short")
    with pytest.raises(BadImageError, match="complete NIfTI file, got too little data"):
        NiftiReader().read(tmp_path / "a.hdr")


def test_analyze_does_not_tell_left_from_right(tmp_path):
    nib.AnalyzeImage(pixels((7, 5, 3), "int16"), np.eye(4)).to_filename(tmp_path / "a.img")
    assert isinstance(find_reader(tmp_path / "a.img"), NiftiReader)
    with pytest.raises(BadImageError, match=r"a\.hdr: must be NIfTI, got ANALYZE .* convert it"):
        NiftiReader().read(tmp_path / "a.img")


def test_an_envi_raster_of_the_same_names_stays_one(tmp_path):
    write_raster(tmp_path / "a.img", driver="ENVI")
    assert (tmp_path / "a.hdr").read_bytes().startswith(b"ENVI")
    assert pair_of(tmp_path / "a.hdr") is None
    assert isinstance(find_reader(tmp_path / "a.img"), RasterReader)
    assert RasterReader().read(tmp_path / "a.img").pixels.shape == (1, 5, 7)
