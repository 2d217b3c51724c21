"""An enlarged NIfTI keeps its header, raw values and place in the world."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.transforms import LoadImage, SaveImage
from nibabel.nifti1 import Nifti1Extension

from monai_sr.core.errors import OutputError
from monai_sr.formats.nifti.reader import NiftiReader, channels_first
from monai_sr.formats.nifti.writer import NiftiWriter, write_map
from monai_sr.geometry import scaled_affine
from tests.image_factory import TURNS, enlarged, pixels, same_places, turned, write_nifti

OBLIQUE = np.array([[0.9, 0.1, 0, -40], [-0.1, 0.8, 0.3, 20], [0, -0.2, 5, 7], [0, 0, 0, 1]])


def upscale(source, target, scale=2, turn=None):
    reader = NiftiReader()
    stored, meta = reader.get_data(reader.read(source))
    if turn is not None:
        stored, meta = turned(stored, meta, turn)
    result, updated = enlarged(stored, meta, scale)
    writer = NiftiWriter()
    writer.set_data_array(result, channel_dim=0)
    writer.set_metadata(updated)
    writer.write(target)
    return result, updated


def raw_header(path):
    with nib.openers.ImageOpener(str(path), "rb") as stream:
        return nib.Nifti1Header.from_fileobj(stream, check=False)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32", "int64"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_raw_values_slope_and_offset_are_kept_bit_by_bit(tmp_path, dtype, name):
    source = write_nifti(tmp_path / name, pixels((7, 5, 3), dtype), slope=0.1234567, inter=-1024.3)
    target = tmp_path / "out" / name
    result, _ = upscale(source, target)
    image = nib.load(target)
    raw = np.asarray(image.dataobj.get_unscaled())
    assert raw.dtype == dtype
    assert (raw == result[0]).all()
    for field in ("scl_slope", "scl_inter"):
        assert raw_header(target)[field].tobytes() == raw_header(source)[field].tobytes()


def test_a_quaternion_of_no_rotation_stays_beside_a_right_sform(tmp_path):
    """It is far longer than 1, which rounding does not explain."""
    source = write_nifti(tmp_path / "a.nii", affine=OBLIQUE, qform_code=1, sform_code=1)
    data = bytearray(source.read_bytes())
    data[256:268] = quaternion = np.array([0.9, 0.9, 0.01], "<f4").tobytes()
    source.write_bytes(data)
    upscale(source, tmp_path / "b.nii")
    assert (tmp_path / "b.nii").read_bytes()[256:268] == quaternion
    np.testing.assert_allclose(
        nib.load(tmp_path / "b.nii").affine, scaled_affine(OBLIQUE, (2, 2, 1)), atol=1e-4
    )


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_values_without_scaling_stay_as_they_are(tmp_path, slope):
    source = write_nifti(tmp_path / "a.nii", slope=slope)
    result, _ = upscale(source, tmp_path / "b.nii")
    assert (nib.load(tmp_path / "b.nii").get_fdata() == result[0]).all()


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 1), (7, 5, 3), (7, 5, 3, 2), (7, 5, 3, 1, 3)])
def test_number_of_axes_is_kept(tmp_path, shape):
    source = write_nifti(tmp_path / "a.nii", pixels(shape, "int16"))
    result, _ = upscale(source, tmp_path / "b.nii", scale=4)
    image = nib.load(tmp_path / "b.nii")
    assert image.shape == (28, 20, *shape[2:])
    assert (channels_first(np.asarray(image.dataobj)) == result).all()


def test_colors_stay_colors(tmp_path):
    array = np.zeros((7, 5, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    array["G"] = pixels((7, 5, 3))
    nib.Nifti1Image(array, np.diag([1, 1, 3, 1])).to_filename(tmp_path / "a.nii.gz")
    upscale(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    result = np.asarray(nib.load(tmp_path / "b.nii.gz").dataobj)
    assert result.dtype == array.dtype
    assert (result["G"][::2, ::2] == array["G"]).all()


@pytest.mark.parametrize("version", [1, 2])
def test_header_facts_are_kept(tmp_path, version):
    source = write_nifti(tmp_path / "a.nii.gz", version=version, cal_max=900, intent_name="T1w")
    image = nib.load(source)
    image.header.extensions.append(Nifti1Extension("comment", b"kept"))
    image.to_filename(source)
    _, meta = upscale(source, tmp_path / "b.nii.gz")
    new = nib.load(tmp_path / "b.nii.gz").header
    assert type(new) is type(image.header)
    assert new.get_xyzt_units() == ("mm", "sec")
    assert (new["qform_code"], new["sform_code"]) == (1, 1)
    assert (new["cal_max"], new["intent_name"]) == (900, b"T1w")
    notes = [bytes(extension.get_content()).strip(b"\0") for extension in new.extensions]
    assert notes == [b"kept", meta["sr_provenance"].encode()]
    assert b"not for primary diagnosis; monai-sr 0.1.0" in new["descrip"].tobytes()


def test_voxel_sizes_shrink_in_plane_only(tmp_path):
    source = write_nifti(tmp_path / "a.nii", pixels((7, 5, 3, 2), "int16"))
    upscale(source, tmp_path / "b.nii", scale=4)
    zooms = nib.load(tmp_path / "b.nii").header.get_zooms()
    np.testing.assert_allclose(zooms, [0.225, 0.2, 5, 1], rtol=1e-6)


def test_the_time_step_of_a_single_volume_is_kept(tmp_path):
    source = write_nifti(tmp_path / "a.nii", pixels((7, 5, 3), "int16"))
    data = bytearray(source.read_bytes())
    data[92:96] = time_step = np.array([2.5], "<f4").tobytes()  # pixdim[4]; nibabel writes 1
    source.write_bytes(data)
    upscale(source, tmp_path / "b.nii")
    assert (tmp_path / "b.nii").read_bytes()[92:96] == time_step
    write_map(tmp_path / "b.nii", tmp_path / "c.nii", np.zeros((1, 14, 10, 3), np.float32), {})
    assert (tmp_path / "c.nii").read_bytes()[92:96] == time_step


@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (2, 0), (0, 0)])
def test_affine_read_back_is_that_of_the_meta(tmp_path, codes):
    affine = np.diag([0.9, 0.8, 5.0, 1.0]) if codes == (0, 0) else OBLIQUE
    source = write_nifti(
        tmp_path / "a.nii", affine=affine, sform_code=codes[0], qform_code=codes[1]
    )
    _, meta = upscale(source, tmp_path / "b.nii")
    image = nib.load(tmp_path / "b.nii")
    np.testing.assert_allclose(image.affine, meta["affine"], atol=1e-3)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == codes


def test_sform_and_qform_move_each_in_its_own_space(tmp_path):
    source = write_nifti(tmp_path / "a.nii")
    image = nib.load(source)
    template = np.diag([1.1, 1.2, 6.0, 1.0])
    image.header.set_sform(template, 4)
    nib.Nifti1Image(image.dataobj, None, image.header).to_filename(source)
    upscale(source, tmp_path / "b.nii")
    header = nib.load(tmp_path / "b.nii").header
    np.testing.assert_allclose(np.diag(header.get_sform())[:3], [0.55, 0.6, 6], rtol=1e-6)
    np.testing.assert_allclose(np.diag(header.get_qform())[:3], [0.45, 0.4, 5], rtol=1e-6)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.floats(-2, 2), min_size=9, max_size=9),
    st.lists(st.floats(-200, 200), min_size=3, max_size=3),
    st.sampled_from([2, 4]),
)
def test_world_coordinates_are_kept_to_a_micrometer(tmp_path, steps, origin, scale):
    affine = np.eye(4)
    affine[:3, :3] += np.reshape(steps, (3, 3)) / 4
    affine[:3, 3] = origin
    source = write_nifti(tmp_path / "a.nii", affine=affine, qform_code=0)
    _, meta = upscale(source, tmp_path / "b.nii", scale)
    old, new = nib.load(source), nib.load(tmp_path / "b.nii")
    factor = np.where(np.arange(3) == meta["sr_slice_axis"], 1, scale)
    corner = np.array(old.shape) - 0.5
    for old_index in (np.full(3, -0.5), corner):
        new_index = (old_index + 0.5) * factor - 0.5
        np.testing.assert_allclose(
            nib.affines.apply_affine(new.affine, new_index),
            nib.affines.apply_affine(old.affine, old_index),
            atol=1e-3,
        )


@pytest.mark.parametrize("name", ["CT_pitch.nii.gz", "pcasl.nii.gz", "MR_Gd.nii.gz"])
def test_real_files_survive_the_round_trip(shared_data, tmp_path, name):
    source = shared_data / "nifti" / name
    reader = NiftiReader()
    stored, meta = reader.get_data(reader.read(source))
    writer = NiftiWriter()
    writer.set_data_array(stored)
    writer.set_metadata(meta)
    writer.write(tmp_path / "b.nii")
    old, new = nib.load(source), nib.load(tmp_path / "b.nii")
    assert (np.asarray(old.dataobj) == np.asarray(new.dataobj)).all()
    np.testing.assert_allclose(new.affine, old.affine, atol=1e-4)


def test_unmodified_monai_saves_through_the_writer(tmp_path):
    image = LoadImage(reader=NiftiReader)(write_nifti(tmp_path / "a.nii.gz"))
    save = SaveImage(
        tmp_path / "out", output_ext=".nii.gz", resample=False, writer=NiftiWriter,
        separate_folder=False, print_log=False,
    )  # fmt: skip
    save(image)
    saved = nib.load(tmp_path / "out" / "a_trans.nii.gz")
    assert (np.asarray(saved.dataobj) == image.numpy()[0]).all()
    assert saved.get_data_dtype() == np.int16


def write(tmp_path, array, meta, name="b.nii"):
    writer = NiftiWriter()
    writer.set_data_array(array)
    writer.set_metadata(meta)
    writer.write(tmp_path / name)


def test_outputs_that_cannot_be_right_are_refused(tmp_path):
    reader = NiftiReader()
    stored, meta = reader.get_data(reader.read(write_nifti(tmp_path / "a.nii")))
    result, updated = enlarged(stored, meta, 2)
    with pytest.raises(OutputError, match="scaled_affine"):
        write(tmp_path, result, meta)
    with pytest.raises(OutputError, match="restoring transform"):
        write(tmp_path, result * np.nan, updated)
    with pytest.raises(OutputError, match="choose one of these names"):
        write(tmp_path, result, updated, "b.mha")
    with pytest.raises(OutputError, match="reader and the writer of the same format"):
        write(tmp_path, result, {"affine": np.eye(4)})
    (tmp_path / "a.nii").unlink()
    with pytest.raises(OutputError, match="keep the inputs in place"):
        write(tmp_path, result, updated)
    assert list(tmp_path.iterdir()) == []


def test_doubts_are_told_once_by_the_reader_alone(tmp_path, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_nifti(Path("a.nii"), sform_code=0, qform_code=0)
    with caplog.at_level(logging.WARNING, logger="monai_sr"):
        upscale("a.nii", "b.nii")
    (message,) = caplog.messages
    assert message.startswith("a.nii: declares neither qform nor sform; orientation is a guess")


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1)])
def test_a_turned_volume_lies_where_it_was(tmp_path, turn, codes):
    affine = np.diag([1.0, 1.5, 3.0, 1.0])
    affine[:3, 3] = -20, 7, 90
    source = write_nifti(
        tmp_path / "a.nii", affine=affine, sform_code=codes[0], qform_code=codes[1]
    )
    upscale(source, tmp_path / "b.nii", turn=turn)
    old, new = nib.load(source), nib.load(tmp_path / "b.nii")
    sizes = nib.affines.voxel_sizes(new.affine)
    np.testing.assert_allclose(sorted(sizes), [0.5, 0.75, 3], rtol=1e-6)
    np.testing.assert_allclose(new.header.get_zooms(), sizes, rtol=1e-6)
    assert same_places(np.asarray(old.dataobj), old.affine, np.asarray(new.dataobj), new.affine)


def test_voxel_sizes_of_an_oblique_turn_are_those_of_its_affine(tmp_path):
    source = write_nifti(tmp_path / "a.nii", affine=np.diag([1.0, 1.5, 3, 1]), qform_code=0)
    reader = NiftiReader()
    stored, meta = reader.get_data(reader.read(source))
    c, s = np.cos(0.4), np.sin(0.4)
    meta["affine"] = np.array([[c, 0, -s, 0], [0, 1, 0, 0], [s, 0, c, 0], [0, 0, 0, 1]]) * [
        0.5, 0.75, 3, 1
    ]  # fmt: skip
    write(tmp_path, stored, meta)
    np.testing.assert_allclose(nib.load(tmp_path / "b.nii").header.get_zooms(), [0.5, 0.75, 3])


@pytest.mark.parametrize(
    ("turn", "axes", "has_times"),
    [(None, (0, 1, 2), True), ("sagittal", (2, 1, 0), True), ("over", (0, 2, 1), False),
     ("flip", (0, 1, 2), True), ("left", (0, 1, 2), True)],
)  # fmt: skip
def test_axes_and_times_of_the_acquisition_follow_a_turn(tmp_path, turn, axes, has_times):
    times = {"slice_end": 2, "slice_code": 1, "slice_duration": 0.5}
    source = write_nifti(tmp_path / "a.nii", dim_info=0b111001, **times)
    upscale(source, tmp_path / "b.nii", turn=turn)
    header = nib.load(tmp_path / "b.nii").header
    assert header.get_dim_info() == axes
    assert {key: header[key] for key in times} == (times if has_times else dict.fromkeys(times, 0))


def test_slice_times_of_other_slices_are_left_out(tmp_path):
    source = write_nifti(tmp_path / "a.nii", dim_info=0b111001, slice_end=2, slice_code=1)
    reader = NiftiReader()
    stored, meta = reader.get_data(reader.read(source))
    write(tmp_path, stored[..., :2], meta)
    assert nib.load(tmp_path / "b.nii").header["slice_code"] == 0


def test_extensions_that_describe_the_old_grid_are_left_out(tmp_path):
    source = write_nifti(tmp_path / "a.nii")
    image = nib.load(source)
    dcmmeta = json.dumps({"dcmmeta_shape": [7, 5, 3], "dcmmeta_affine": np.eye(4).tolist()})
    afni = b'<AFNI_atr atr_name="DATASET_DIMENSIONS"> 7 5 3 0 0</AFNI_atr>'
    for code, content in ((0, dcmmeta.encode()), (0, b"kept"), (4, afni), (6, b"kept, too")):
        image.header.extensions.append(Nifti1Extension(code, content))
    image.to_filename(source)
    upscale(source, tmp_path / "b.nii")
    extensions = nib.load(tmp_path / "b.nii").header.extensions
    notes = [bytes(each.get_content()).strip(b"\0") for each in extensions]
    assert notes[:-1] == [b"kept", b"kept, too"]
    assert b"monai-sr" in notes[-1]
    assert len(nib.load(source).header.extensions) == 4
