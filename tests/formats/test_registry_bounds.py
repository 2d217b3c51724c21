"""Headers that declare more than the file or the memory holds are refused before decoding."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian

from monai_sr.core import memory
from monai_sr.core.errors import BadImageError
from monai_sr.formats import DicomReader, NiftiReader, NiftiWriter, RasterReader
from monai_sr.formats.dicom import bounds as dicom_bounds
from monai_sr.formats.dicom import files as dicom_files
from monai_sr.geometry.target_grid import scaled_affine
from tests import dicom_factory
from tests.image_factory import pixels, write_nifti


def _load(reader, path):
    return reader.get_data(reader.read(path))


@pytest.fixture
def small_memory(monkeypatch):
    """Leave a tenth of a megabyte."""
    monkeypatch.setattr(memory, "available_bytes", lambda: 1e5)
    monkeypatch.setattr(dicom_bounds, "available_bytes", lambda: 1e5)


def test_each_reader_asks_for_memory_before_decoding(small_memory, tmp_path, samples_dir):
    made = dicom_factory.write(tmp_path / "a.dcm", np.zeros((600, 600), np.uint16))
    with pytest.raises(BadImageError, match=r"a\.dcm: must fit into memory, got 1 x 600 x 600 x 1"):
        _load(DicomReader(), made)
    with pytest.raises(BadImageError, match="must fit into memory"):
        _load(NiftiReader(), samples_dir / "mri_sr" / "brain_mr.nii.gz")
    with pytest.raises(BadImageError, match=r"must fit into memory.*gdal_translate -srcwin"):
        _load(RasterReader(), samples_dir / "natural_sr" / "photo.png")


def test_deflated_dicom_is_not_inflated_whole(monkeypatch, tmp_path):
    source = get_testdata_file("image_dfl.dcm")
    assert len(dicom_files.open_dicom(source).PixelData) == 262144
    monkeypatch.setattr(dicom_bounds, "available_bytes", lambda: 200_000)
    with pytest.raises(BadImageError, match=r"must inflate to what memory.*uncompressed DICOM"):
        dicom_files.open_dicom(source)


def test_deflated_dicom_is_as_long_as_memory_and_a_dataset_allow(monkeypatch, tmp_path):
    made = dicom_factory.dataset()
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    end = 144 + pydicom.dcmread(tmp_path / "a.dcm").file_meta.FileMetaInformationGroupLength
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    path = tmp_path / "b.dcm"
    path.write_bytes((tmp_path / "a.dcm").read_bytes()[:end] + 300 * block)
    monkeypatch.setattr(dicom_bounds, "available_bytes", lambda: 1e12)
    with path.open("rb") as stream:
        dicom_bounds.check_inflated(path, stream)
    monkeypatch.setattr(dicom_bounds, "available_bytes", lambda: 599 * 2**20)
    with (
        path.open("rb") as stream,
        pytest.raises(BadImageError, match="must inflate to what memory"),
    ):
        dicom_bounds.check_inflated(path, stream)


@pytest.mark.parametrize(
    "name",
    [
        "JPEG2000.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "JPEG-lossy.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
    ],
)
def test_size_in_compressed_pixels_must_be_that_of_the_header(name):
    dataset = pydicom.dcmread(get_testdata_file(name))
    dicom_bounds.check_frames(dataset)
    dataset.Rows += 1
    with pytest.raises(ValueError, match="not that of the DICOM header"):
        dicom_bounds.check_frames(dataset)


def test_rle_that_is_too_long_is_refused(tmp_path):
    dataset = pydicom.dcmread(get_testdata_file("MR_small_RLE.dcm"))
    dicom_bounds.check_frames(dataset)
    dataset.Rows, dataset.Columns = 2, 2
    with pytest.raises(ValueError, match="longer than its pixels"):
        dicom_bounds.check_frames(dataset)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_shorter_than_its_header_says_is_refused(tmp_path, suffix):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header["dim"][:4] = [3, 30000, 100, 100]
    header["magic"], header["vox_offset"] = b"n+1", 352
    content = header.binaryblock + bytes(1000)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    with pytest.raises(BadImageError, match=r"too little data for shape \(30000, 100, 100\)"):
        NiftiReader().read(path)


@pytest.mark.parametrize(("offset", "words"), [(2e9, "at most"), (0, "at least"), (5, "at least")])
def test_voxels_within_the_header_or_far_behind_it_are_refused(tmp_path, offset, words):
    folder = Path(nib.__file__).parent / "tests" / "data"
    for kind, source in (("1", "anatomical.nii"), ("2", "example_nifti2.nii.gz")):
        image = nib.load(folder / source)
        header = image.header.copy()
        header["vox_offset"] = offset
        path = tmp_path / f"{kind}.nii"
        path.write_bytes(header.binaryblock + bytes(1000))
        with pytest.raises(BadImageError, match=rf"vox_offset must be {words} .*export it again"):
            NiftiReader().read(path)


def test_element_of_an_impossible_length_is_refused_in_one_line(tmp_path):
    """(0002,0000) of 3 bytes: pydicom's error for it is no ValueError."""
    content = bytearray(Path(get_testdata_file("CT_small.dcm")).read_bytes())
    content[138:140] = b"\x03\x00"
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(BadImageError, match=r"a\.dcm: must .*copy it again"):
        _load(DicomReader(), tmp_path / "a.dcm")


def test_broken_qform_stays_broken_and_the_rest_is_written(tmp_path, samples_dir):
    source = nib.load(samples_dir / "mri_sr" / "brain_mr.nii.gz")
    header = source.header.copy()
    header["qform_code"], header["sform_code"], header["quatern_b"] = 1, 1, np.nan
    path = tmp_path / "a.nii"
    sform = np.diag([2.0, 2.0, 3.0, 1.0])
    header["srow_x"], header["srow_y"], header["srow_z"] = sform[:3]
    header["vox_offset"] = 352
    values = np.asarray(source.dataobj.get_unscaled())
    path.write_bytes(header.binaryblock + bytes(4) + values.tobytes(order="F"))
    array, meta = _load(NiftiReader(), path)
    meta["affine"] = scaled_affine(meta["affine"], (2, 2))
    writer = NiftiWriter()
    writer.set_data_array(array.repeat(2, 1).repeat(2, 2))
    writer.set_metadata(meta)
    writer.write(tmp_path / "b.nii")
    result = nib.load(tmp_path / "b.nii")
    assert np.allclose(result.affine, scaled_affine(sform, (2, 2)))
    assert np.isnan(result.header["quatern_b"])
    assert np.array_equal(np.asarray(result.dataobj)[::2, ::2], values)


def test_spacing_that_is_no_pair_is_dropped(tmp_path):
    """Kept, three numbers would claim the source's spacing for the enlarged grid."""
    source = dicom_factory.write(tmp_path / "a.dcm", PixelSpacing=[1, 1, 1])
    dicom_factory.enlarge(source, tmp_path / "b.dcm")
    assert "PixelSpacing" not in pydicom.dcmread(tmp_path / "b.dcm")


def test_bits_flipped_in_jpeg_do_not_become_a_picture(tmp_path):
    """Pillow goes on after what GDAL refuses; some flips (of 7 here 3) nobody can notice."""
    dataset = pydicom.dcmread(get_testdata_file("SC_jpeg_no_color_transform_2.dcm"))
    _load(DicomReader(), get_testdata_file("SC_jpeg_no_color_transform_2.dcm"))
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    damaged = bytearray(frame)
    damaged[len(frame) * 7 // 10] ^= 64
    dataset.PixelData = encapsulate([bytes(damaged)])
    dataset.save_as(tmp_path / "a.dcm")
    with Image.open(io.BytesIO(damaged)) as image:
        image.load()
    with pytest.raises(BadImageError, match=r"truncated or inconsistent.*copy the file again"):
        _load(DicomReader(), tmp_path / "a.dcm")


@pytest.mark.parametrize("dtype", ["int16", "float64"])
def test_nifti_without_its_last_slice_is_refused(tmp_path, dtype):
    path = write_nifti(tmp_path / "a.nii", pixels((20, 30, 10), dtype))
    path.write_bytes(path.read_bytes()[: -20 * 30 * np.dtype(dtype).itemsize])
    with pytest.raises(BadImageError, match=r"too little data for shape \(20, 30, 10\)"):
        NiftiReader().read(path)
