"""An input names the right images, each gets a name of its own, and what is bad says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from monai.transforms import Compose
from PIL import Image

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.transforms import LoadImageSRd
from monai_sr.upscaling import FileDataset, files
from monai_sr.upscaling.files import failure
from monai_sr.upscaling.manifest import Manifest
from tests import dicom_factory
from tests.image_factory import pixels, write_nifti, write_raster


def dataset(data, out, scale=4, **options):
    return FileDataset(data, Compose([LoadImageSRd("image")]), out, scale, **options)


def planned(data, out, scale=4):
    """Return source -> result, both relative to their folders."""
    return {
        os.path.relpath(item["source"], data): os.path.relpath(item["output"], out)
        for item in dataset(data, out, scale).data
    }


def record(out, output, source):
    manifest = Manifest(out)
    manifest.add(source=Path(source).resolve(), output=output)
    manifest.save()
    (Path(out) / output).write_bytes(b"result")


def test_a_file_is_one_sample(tmp_path):
    path = write_raster(tmp_path / "a.png")
    found = dataset(path, tmp_path / "out", 2)
    assert len(found) == 1
    sample = found[0]
    assert sample["source"] == str(path)
    assert sample["output"] == str(tmp_path / "out" / "a_x2.png")
    assert sample["image"].shape == (1, 7, 5)


def test_a_folder_is_searched_with_its_subfolders(tmp_path):
    root = tmp_path / "in"
    (root / "sub" / "deep").mkdir(parents=True)
    for name in ("a.png", "sub/a.png", "sub/deep/b.tif"):
        write_raster(root / name)
    write_nifti(root / "sub" / "c.nii.gz")
    assert planned(root, tmp_path / "out") == {
        "a.png": "a_x4.png",
        "sub/a.png": "sub/a_x4.png",
        "sub/deep/b.tif": "sub/deep/b_x4.tif",
        "sub/c.nii.gz": "sub/c_x4.nii.gz",
    }


def test_files_of_one_stem_get_results_of_their_own(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    array = pixels((3, 5, 7)).transpose(1, 2, 0)
    for name in ("a.png", "a.jpg", "a.bmp"):
        Image.fromarray(array).save(root / name)
    write_raster(root / "a.tif")
    names = planned(root, tmp_path / "out")
    assert len(set(names.values())) == 4
    assert names["a.tif"] == "a_x4.tif"


def test_names_without_extension_or_with_many_dots_stay_apart(tmp_path):
    root = tmp_path / "in"
    for seed, name in enumerate(("1.2.840.1", "1.2.840.2", "IM1")):
        dicom_factory.write(root / name, dicom_factory.stored((6, 9), seed=seed), modality="DX")
    assert set(planned(root, tmp_path / "out").values()) == {
        "1.2.840.1_x4.dcm",
        "1.2.840.2_x4.dcm",
        "IM1_x4.dcm",
    }


def test_hidden_files_and_sidecars_are_no_inputs(tmp_path):
    root = tmp_path / "in"
    (root / ".cache").mkdir(parents=True)
    for name in ("a.tif", ".b.tif", ".cache/c.tif"):
        write_raster(root / name)
    for name in ("a.tif.aux.xml", "a.tfw", "a.prj", "a.tif.ovr", "a.TIF.MSK", "DICOMDIR"):
        (root / name).write_bytes(b"side")
    assert list(planned(root, tmp_path / "out")) == ["a.tif"]


@pytest.mark.parametrize(("name", "place"), [("in", "."), (".", "in"), ("..", "in/sub")])
def test_a_series_folder_is_one_volume_named_after_it(tmp_path, name, place, monkeypatch):
    dicom_factory.write_series(tmp_path / "in")
    (tmp_path / place).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / place)
    found = dataset(name, tmp_path / "out")
    assert len(found) == 1
    assert found[0]["image"].shape == (1, 9, 6, 4)
    assert found[0]["output"] == str(tmp_path / "out" / "in_x4")


def test_series_in_subfolders_and_plain_files_come_together(tmp_path):
    root = tmp_path / "in"
    dicom_factory.write_series(root / "one", SeriesInstanceUID="1.2.3.1")
    dicom_factory.write_series(root / "two", SeriesInstanceUID="1.2.3.2")
    write_raster(root / "a.png")
    assert planned(root, tmp_path / "out") == {
        "a.png": "a_x4.png",
        "one": "one_x4",
        "two": "two_x4",
    }


def test_two_series_and_a_radiograph_in_one_folder_are_three_inputs(tmp_path):
    root = tmp_path / "in"
    volumes = [dicom_factory.stored((n, 6, 9), seed=n) for n in (3, 4)]
    for number, volume in enumerate(volumes):
        dicom_factory.write_series(
            tmp_path / "s", volume, SeriesInstanceUID=f"1.2.3.{number}", SeriesNumber=number
        )
        root.mkdir(exist_ok=True)
        for file in (tmp_path / "s").iterdir():
            shutil.move(file, root / f"{number}_{file.name}.dcm")
    dicom_factory.write(root / "chest.dcm", modality="DX")
    found = dataset(root, tmp_path / "out")
    samples = [found[i] for i in range(len(found))]
    shapes = sorted(tuple(s["image"].shape) for s in samples)
    assert shapes == [(1, 9, 6), (1, 9, 6, 3), (1, 9, 6, 4)]
    assert len({s["output"] for s in samples}) == 3
    for sample in samples:
        if sample["image"].ndim == 4:
            depth = sample["image"].shape[-1]
            expected = volumes[depth - 3].transpose(2, 1, 0)
            assert np.array_equal(sample["image"].numpy()[0], expected)


def test_a_series_takes_no_name_of_a_folder_beside_it(tmp_path):
    root = tmp_path / "in"
    for number in range(2):
        dicom_factory.write_series(tmp_path / "s", SeriesInstanceUID=f"1.2.3.{number}")
        root.mkdir(exist_ok=True)
        for file in (tmp_path / "s").iterdir():
            shutil.move(file, root / f"{number}_{file.name}")
    dicom_factory.write_series(root / "0_im01_series", SeriesInstanceUID="1.2.3.9")
    found = dataset(root, tmp_path / "out")
    assert len(found) == 3
    assert len({str(found[i]["output"]) for i in range(3)}) == 3


@pytest.mark.parametrize("inside", ["out", "deep/out"])
def test_results_below_the_input_are_not_read_again(tmp_path, inside):
    root = tmp_path / "in"
    out = root / inside
    out.mkdir(parents=True)
    write_raster(root / "a.png")
    write_raster(out / "a_x4.png")
    assert list(planned(root, out)) == ["a.png"]


def test_results_beside_their_sources_are_not_read_again(tmp_path):
    write_raster(tmp_path / "a.png")
    write_raster(tmp_path / "mine_x4.png")
    record(tmp_path, "a_x4.png", tmp_path / "a.png")
    assert planned(tmp_path, tmp_path) == {"a.png": "a_x4.png", "mine_x4.png": "mine_x4_x4.png"}


def test_results_of_an_earlier_run_may_be_the_input_of_the_next(tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    record(first, "a_x2.png", tmp_path / "a.png")
    write_raster(first / "a_x2.png")
    assert planned(first, tmp_path / "second", 2) == {"a_x2.png": "a_x2_x2.png"}


def test_a_rerun_replaces_its_own_result(tmp_path):
    path = write_raster(tmp_path / "a.png")
    out = tmp_path / "out"
    record(out, "a_x4.png", path)
    assert dataset(path, out).data[0]["output"] == str(out / "a_x4.png")


def test_a_result_of_another_input_is_never_replaced(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = write_raster(tmp_path / "one" / "a.png")
    second = write_raster(tmp_path / "two" / "a.png")
    out = tmp_path / "out"
    record(out, "a_x4.png", first)
    renamed = dataset(second, out).data[0]["output"]
    assert renamed != str(out / "a_x4.png")
    assert Path(renamed).name.endswith("_x4.png")
    # And it is the same at every later run.
    record(out, Path(renamed).name, second)
    assert dataset(second, out).data[0]["output"] == renamed
    assert dataset(first, out).data[0]["output"] == str(out / "a_x4.png")


def test_a_file_of_the_user_is_never_replaced(tmp_path):
    path = write_raster(tmp_path / "a.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a_x4.png").write_bytes(b"mine")
    assert dataset(path, out).data[0]["output"] != str(out / "a_x4.png")


def test_a_file_may_not_be_its_own_result(tmp_path):
    path = write_raster(tmp_path / "a_x4.png")
    write_raster(tmp_path / "a.png")
    names = planned(tmp_path, tmp_path)
    assert set(names) == {"a.png", "a_x4.png"}
    assert not set(names) & set(names.values())
    assert dataset(path, tmp_path).data[0]["output"] != str(path)


BAD = {
    "empty.png": b"",
    "text.tif": b"no image",
    "cut.nii.gz": b"\x1f\x8b\x08",
    "broken.dcm": b"\0" * 128 + b"DICM",
}
NO_IMAGES = {"notes": b"hello", "table.csv": b"a,b\n", "empty": b"", "a.pdf": b"%PDF-1.7\n"}


def test_bad_files_are_reported_one_by_one_and_the_good_ones_loaded(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for name, content in {**BAD, **NO_IMAGES}.items():
        (root / name).write_bytes(content)
    write_raster(root / "good.png")
    found = dataset(root, tmp_path / "out")
    assert found.no_images == len(NO_IMAGES)
    samples = {Path(s["source"]).name: s for s in (found[i] for i in range(len(found)))}
    assert set(samples) == {*BAD, "good.png"}
    assert "error" not in samples["good.png"]
    for name in BAD:
        line = samples[name]["error"]
        assert name in line
        assert "\n" not in line
        assert "could not be enlarged" not in line, "an error that nobody foresaw"


@pytest.mark.parametrize(
    ("data", "words"),
    [(None, "add --input PATH"), ("", "add --input PATH"), ("nowhere.png", "no such file")],
)
def test_a_missing_input_is_one_line(tmp_path, data, words):
    with pytest.raises(BadImageError, match=words):
        dataset(data, tmp_path / "out")


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(BadImageError, match="holds no file to enlarge"):
        dataset(tmp_path / "in", tmp_path / "out")


def test_names_need_not_be_utf_8(tmp_path):
    name = os.fsdecode(b"\xff\xfe.png")
    try:
        shutil.copy(write_raster(tmp_path / "a.png"), tmp_path / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    out = tmp_path / "out"
    record(out, os.fsdecode(b"\xff\xfe_x4.png"), tmp_path / "other.png")
    assert len(dataset(tmp_path, out)) == 2


@pytest.mark.parametrize(
    ("shape", "affine", "refused"),
    [
        ((9000, 2, 3), np.diag([1, 1, 5, 1.0]), True),
        ((9000, 2, 3), np.diag([5, 1, 1, 1.0]), False),
        ((2, 3, 9000), np.diag([5, 1, 1, 1.0]), True),
        ((2, 3, 9000), np.diag([1, 1, 5, 1.0]), False),
    ],
)
def test_sizes_that_the_format_cannot_hold_are_refused_before_inference(
    tmp_path, shape, affine, refused
):
    # NIfTI-1 holds 32767 voxels along an axis; the slice axis is not enlarged.
    path = write_nifti(tmp_path / "a.nii", pixels(shape, "uint8"), affine=affine)
    sample = dataset(path, tmp_path / "out")[0]
    assert ("error" in sample) == refused
    if refused:
        assert "a.nii" in sample["error"]
        assert "32767" in sample["error"]


def test_dicom_rows_beyond_16_bits_are_refused_before_inference(tmp_path):
    path = dicom_factory.write(tmp_path / "a.dcm", dicom_factory.stored((2, 17000)), modality="DX")
    assert "65535" in dataset(path, tmp_path / "out")[0]["error"]
    assert "error" not in dataset(path, tmp_path / "out", 2)[0]


def test_dicom_pixels_beyond_32_bit_lengths_are_refused_before_inference(tmp_path, monkeypatch):
    monkeypatch.setattr("monai_sr.formats.dicom.pixel_module.MAX_BYTES", 6 * 9 * 16 * 2 - 1)
    path = dicom_factory.write(tmp_path / "a.dcm", modality="DX")
    assert "bytes" in dataset(path, tmp_path / "out")[0]["error"]
    monkeypatch.setattr("monai_sr.formats.dicom.pixel_module.MAX_BYTES", 6 * 9 * 16 * 2)
    assert "error" not in dataset(path, tmp_path / "out")[0]


def test_a_map_that_one_file_cannot_hold_is_refused_before_inference(tmp_path, monkeypatch):
    source = dicom_factory.write(tmp_path / "a.dcm", dicom_factory.stored((6, 9), 8), bits=8)
    # Twice as many pixels of one byte fit, of four bytes they do not.
    monkeypatch.setattr("monai_sr.formats.dicom.pixel_module.MAX_BYTES", 6 * 9 * 4 * 4 - 1)
    plain = dataset(source, tmp_path / "out", scale=2)[0]
    assert "error" not in plain
    refused = dataset(source, tmp_path / "out", scale=2, uncertainty=True)[0]
    assert "use a smaller scale" in refused["error"]


def test_an_unforeseen_failure_in_one_header_costs_no_other_file(tmp_path, monkeypatch):
    real = files.output_suffix

    def fails(path):
        if Path(path).name == "bad.png":
            raise TypeError("bad operand type for abs(): 'str'")
        return real(path)

    monkeypatch.setattr(files, "output_suffix", fails)
    root = tmp_path / "in"
    root.mkdir()
    for name in ("bad.png", "good.png"):
        write_raster(root / name)
    assert planned(root, tmp_path / "out")["good.png"] == "good_x4.png"


def test_an_unforeseen_failure_is_still_one_line_with_the_file():
    error = RuntimeError("outer")
    error.__cause__ = KeyError("a\nb")
    line = failure(error, "a.png")
    assert line.startswith("a.png: could not be enlarged (KeyError: ")
    assert "\n" not in line
    assert failure(OptionError("scale: got 3"), "a.png") == "scale: got 3"


def test_real_files_of_every_kind_are_found(samples_dir, tmp_path):
    for name in ("natural_sr", "xray_sr", "ct_sr", "mri_sr", "satellite_sr"):
        found = dataset(samples_dir / name, tmp_path / "out")
        assert len(found) >= 1
        assert all("error" not in found[i] for i in range(len(found)))


def test_results_in_a_subfolder_of_the_input_are_no_input_of_another_run(tmp_path):
    write_raster(tmp_path / "a.png")
    (tmp_path / "first").mkdir()
    record(tmp_path / "first", "a_x2.png", tmp_path / "a.png")
    write_raster(tmp_path / "first" / "a_x2.png")
    assert planned(tmp_path, tmp_path / "second", 4) == {"a.png": "a_x4.png"}


def test_a_run_after_a_kill_names_results_as_before(tmp_path):
    (tmp_path / "in").mkdir()
    source = write_raster(tmp_path / "in" / "a.png")
    out, others = tmp_path / "out", tmp_path / "others"
    for folder, begun in ((out, source), (others, tmp_path / "other.png")):
        folder.mkdir()
        write_raster(folder / "a_x4.png")  # made, and the process killed before it was recorded
        assert Manifest(folder).begin(str(begun), folder / "a_x4.png")
    assert dataset(tmp_path / "in", out).data[0]["output"] == str(out / "a_x4.png")
    # Of another input it is kept.
    assert dataset(tmp_path / "in", others).data[0]["output"] != str(others / "a_x4.png")
