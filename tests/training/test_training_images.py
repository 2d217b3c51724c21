"""Training sees the right files, splits them by subject, and reads each as inference does."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.functional.resize import downsample, downsample_uint8
from monai_sr.training import ReadTrainingImage, ReadTrainingVolume, ValidationImages
from monai_sr.training.training_images import (
    first_file,
    list_images,
    split_images,
    training_split,
)
from monai_sr.transforms import ScaleToUnit, load_image
from tests import dicom_factory
from tests.image_factory import pixels, write_nifti, write_raster


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.png", "sub/c.png", ".hidden.png"):
        write_raster(tmp_path / name)
    (tmp_path / "photos.csv").write_text("name\n")
    (tmp_path / "README.md").write_text("hello\n")
    (tmp_path / "a.tif.ovr").write_bytes(write_raster(tmp_path / "sub" / "c.png").read_bytes())
    return tmp_path


def test_images_are_listed_sorted_with_subfolders_and_without_texts(folder):
    names = [str(f.relative_to(folder)) for f in list_images(folder)]
    assert names == ["a.png", "b.png", "sub/c.png"]


def test_several_folders_are_listed_together(folder):
    assert len(list_images([folder, str(folder / "sub")])) == 4
    assert list_images(str(folder)) == list_images(folder)


@pytest.mark.parametrize("given", [None, [], ""])
def test_a_missing_folder_is_asked_for(given):
    with pytest.raises(OptionError, match="add --dataset_dir DIR"):
        list_images(given)


def test_a_wrong_or_empty_folder_is_named(tmp_path):
    with pytest.raises(OptionError, match=r"nowhere: is no folder"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(OptionError, match="holds no image"):
        list_images(tmp_path)


def files_of(tmp_path, patients=60, views=3):
    return [tmp_path / f"{p:08d}_{v:03d}.png" for p in range(patients) for v in range(views)]


def test_no_subject_is_in_both_parts_and_none_is_lost(tmp_path):
    files = files_of(tmp_path)
    train, held = split_images(files, 0.2)
    assert sorted(train + held) == sorted(files)
    assert not {f.stem[:8] for f in train} & {f.stem[:8] for f in held}
    assert 0.05 < len(held) / len(files) < 0.4


def test_the_split_depends_on_names_alone(tmp_path):
    files = files_of(tmp_path)
    held = {f.name for f in split_images(files, 0.2)[1]}
    moved = [tmp_path / "elsewhere" / f.name for f in files[::-1]]
    assert {f.name for f in split_images(moved, 0.2)[1]} == held
    some = {f.name for f in split_images(files[:90], 0.2)[1]}
    assert some == held & {f.name for f in files[:90]}


def test_all_dicom_of_a_patient_is_in_one_part(tmp_path, caplog):
    """Names tell nothing: a PACS numbers files, and a series lies in a folder of any name."""
    for i in range(24):
        dicom_factory.write(tmp_path / f"IM{i:04d}", PatientID=f"ID-{i % 6}")
    for i in range(6):
        for number, place in enumerate(dicom_factory.slice_positions(2)):
            tags = {"PatientID": f"ID-{i} ", **dicom_factory.located(place.round(9))}
            dicom_factory.write(tmp_path / f"series{i}" / f"{number}", **tags)
    dicom_factory.write(tmp_path / "nobody_1", PatientID="")
    train, held = training_split(tmp_path, None, 0.4)
    of = [{pydicom.dcmread(first_file(f)).PatientID for f in part} for part in (train, held)]
    assert of[0] | of[1] == {"", *(f"ID-{i}" for i in range(6))}
    assert all(of)
    assert not of[0] & of[1]
    with pytest.raises(OptionError, match="31 images of 7 subjects leaves nothing") as caught:
        training_split(tmp_path, None, 1e-9)
    assert "ID-" not in str(caught.value) + caplog.text


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5])
def test_a_share_outside_0_to_1_is_refused(tmp_path, share):
    with pytest.raises(OptionError, match="validation_share"):
        split_images(files_of(tmp_path), share)


def test_a_share_that_leaves_nothing_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"validate on; name a --validation_dir or a --split"):
        split_images([tmp_path / "a.png"], 1e-9)
    assert split_images([tmp_path / "a.png"], 0)[1] == []


def test_validation_images_within_the_training_folder_are_not_learned(tmp_path, caplog):
    """`--dataset_dir data --validation_dir data/val` gave the PSNR of images it had learned."""
    for number, name in enumerate(("a", "b", "val/c", "copies/of_c")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 9), min(number, 2), np.uint8)).save(tmp_path / f"{name}.png")
    train, held = training_split(tmp_path, tmp_path / "val", 0.03)
    assert [file.name for file in train] == ["a.png", "b.png"]
    assert [file.name for file in held] == ["c.png"]
    assert "2 of 4 training images are for validation, too" in caplog.text


def test_copies_of_drawn_validation_images_are_not_learned(tmp_path):
    for number in range(20):
        image = Image.fromarray(np.full((8, 9), number // 2, np.uint8))
        image.save(tmp_path / f"{number}.png")
    train, held = training_split(tmp_path, None, 0.3)
    values = [{np.asarray(Image.open(file)).max() for file in part} for part in (train, held)]
    assert values[0]
    assert values[1]
    assert values[0].isdisjoint(values[1])


def test_one_folder_for_both_is_learned(folder, caplog):
    train, held = training_split(folder, folder, 0.03)
    assert train == held == list_images(folder)
    assert "all training images are for validation, too" in caplog.text


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_8_bit_images_stay_8_bit_in_the_channels_asked_for(tmp_path, bands, channels):
    array = pixels((bands, 5, 7))
    values = ReadTrainingImage(channels)(write_raster(tmp_path / "a.tif", array))
    assert values.dtype == np.uint8
    assert values.shape == (channels, 5, 7)
    color = array[:3] if bands >= 3 else np.repeat(array, 3, axis=0)
    if channels == 3:
        assert np.array_equal(values, color)
    else:
        grey = Image.fromarray(color.transpose(1, 2, 0)).convert("L")
        assert np.abs(values[0].astype(int) - np.asarray(grey).astype(int)).max() <= 1


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_deeper_images_become_float32_as_inference_maps_them(tmp_path, dtype):
    path = write_raster(tmp_path / "a.tif", pixels((1, 5, 7), dtype))
    values = ReadTrainingImage(1)(path)
    assert values.dtype == np.float32
    expected = ScaleToUnit()(load_image(path))[0].numpy().swapaxes(1, 2)
    assert np.array_equal(values, expected)


@pytest.mark.parametrize(("bits", "photometric"), [(8, "MONOCHROME1"), (12, "MONOCHROME1"),
                                                   (8, "MONOCHROME2")])  # fmt: skip
def test_x_rays_are_trained_on_as_bright_as_they_are_enlarged(tmp_path, bits, photometric):
    stored = dicom_factory.stored((6, 9), bits)
    path = dicom_factory.write(
        tmp_path / "a.dcm", stored, bits=bits, photometric=photometric, modality="DX"
    )
    values = ReadTrainingImage(1)(path)
    unit = values / 255 if values.dtype == np.uint8 else values
    expected = ScaleToUnit()(load_image(path))[0].numpy().swapaxes(1, 2)
    np.testing.assert_allclose(unit, expected, atol=1e-6)


def test_a_volume_is_its_slices_on_one_range_with_rows_first(tmp_path):
    stored = pixels((7, 5, 4), "int16")
    stored[..., 2] = 3  # one value: nothing to learn
    path = write_nifti(tmp_path / "v.nii", stored)
    slices = ReadTrainingImage(1)(path)
    span = float(stored.max()) - float(stored.min())
    expected = (stored.astype(np.float64) - float(stored.min())) / span
    assert [s.shape for s in slices] == [(1, 5, 7)] * 3
    for plane, index in zip(slices, (0, 1, 3), strict=True):
        assert plane.dtype == np.float32
        np.testing.assert_allclose(plane[0], expected[..., index].T, atol=1e-6)


def test_slices_are_cut_across_the_thickest_axis(tmp_path):
    path = write_nifti(
        tmp_path / "v.nii", pixels((3, 6, 5), "int16"), affine=np.diag([5.0, 0.9, 0.8, 1.0])
    )
    assert [s.shape for s in ReadTrainingImage(1)(path)] == [(1, 5, 6)] * 3


def test_a_series_is_one_image_whose_slices_share_one_range(tmp_path):
    volume = dicom_factory.stored((4, 6, 9))
    dicom_factory.write_series(tmp_path / "head", volume)
    write_raster(tmp_path / "photo.png", pixels((1, 5, 7)))
    series, photo = list_images(tmp_path)
    assert isinstance(series, tuple)
    assert (len(series), photo.name) == (4, "photo.png")
    slices = ReadTrainingImage(1)(series)
    assert [s.shape for s in slices] == [(1, 6, 9)] * 4
    whole = np.stack(slices)[:, 0]
    found = ScaleToUnit()(load_image(series))[0].numpy()[0]
    np.testing.assert_array_equal(whole, found.transpose(2, 1, 0))


def test_volumes_without_content_and_odd_bands_are_named(tmp_path):
    read = ReadTrainingImage(1)
    with pytest.raises(BadImageError, match=r"v\.nii: must hold more than one value"):
        read(write_nifti(tmp_path / "v.nii", np.ones((4, 5, 3), np.int16)))
    with pytest.raises(BadImageError, match=r"w\.nii: must be an image or volume of one value"):
        read(write_nifti(tmp_path / "w.nii", np.ones((4, 5, 3, 1, 2), np.int16)))


def test_only_grey_and_color_are_offered():
    with pytest.raises(OptionError, match="channels: must be 1 or 3"):
        ReadTrainingImage(2)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_validation_pairs_are_whole_images_shrunk_as_benchmarks_are(tmp_path, dtype):
    path = write_raster(tmp_path / "a.tif", pixels((1, 13, 18), dtype))
    read = ReadTrainingImage(1)
    item = ValidationImages([path], read, 4)[0]
    assert item["label"].shape == (1, 12, 16)
    assert item["image"].shape == (1, 3, 4)
    label = torch.from_numpy(read(path))[:, 0:12, 1:17]
    if dtype == "uint8":
        assert torch.equal(item["label"], label.float() / 255)
        assert torch.equal(item["image"], downsample_uint8(label, 4).float() / 255)
    else:
        assert torch.equal(item["label"], label)
        assert torch.equal(item["image"], downsample(label, 4))


def test_large_validation_images_are_cropped_to_their_center(tmp_path):
    path = write_raster(tmp_path / "a.tif", pixels((1, 40, 9)))
    item = ValidationImages([path], ReadTrainingImage(1), 2, largest_side=8)[0]
    assert item["label"].shape == (1, 8, 8)
    expected = ReadTrainingImage(1)(path)[:, 16:24, 0:8]
    assert torch.equal(item["label"], torch.from_numpy(expected).float() / 255)


def test_of_a_volume_the_slice_in_the_middle_validates(tmp_path):
    path = write_nifti(tmp_path / "v.nii", pixels((9, 8, 5), "int16"))
    item = ValidationImages([path], ReadTrainingImage(1), 2)[0]
    middle = ReadTrainingImage(1)(path)[2]
    assert torch.equal(item["label"], torch.from_numpy(middle)[:, :8, :8])


@pytest.mark.parametrize("name", ["s_dseg", "s_mask", "s_part-phase_T1w"])
def test_labels_and_phases_are_no_images_to_learn_from(tmp_path, name):
    values = np.zeros((24, 24, 4))
    values[6:18, 6:18] = 1
    if "phase" in name:
        values = np.linspace(-np.pi, np.pi, values.size).reshape(values.shape)
    path = write_nifti(tmp_path / f"{name}.nii", values.astype("float32"))
    for read in (ReadTrainingImage(1), ReadTrainingVolume()):
        with pytest.raises(BadImageError, match="must hold gray values or colors"):
            read(path)
    assert len(ReadTrainingImage(1, kind="intensity")(path)) == 4


@pytest.mark.parametrize("shape", [(24, 20, 4, 3), (24, 20, 1, 4)])
def test_time_points_are_no_colors(tmp_path, shape):
    path = write_nifti(tmp_path / "dwi.nii", pixels(shape, "int16"))
    with pytest.raises(BadImageError, match="one value or a color a pixel to train on"):
        ReadTrainingImage(1)(path)


def test_bands_of_codes_are_not_learned(tmp_path):
    image = pixels((3, 64, 64), "uint16")
    image[1] = np.repeat(np.arange(64) // 16, 64).reshape(64, 64)
    path = write_raster(tmp_path / "a.tif", image, descriptions=("red", "SCL", "nir"))
    parts = ReadTrainingImage(1)(path)
    assert len(parts) == 2
    for part, band in zip(parts, image[[0, 2]], strict=True):
        assert np.corrcoef(part.ravel(), band.ravel())[0, 1] > 0.99


def test_validation_leaves_out_what_cannot_be_measured(tmp_path, caplog):
    good = write_raster(tmp_path / "a.png", pixels((1, 16, 16)))
    whole = good.read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    flat = write_raster(tmp_path / "c.png", np.full((1, 16, 16), 7, np.uint8))
    tiny = write_raster(tmp_path / "d.png", pixels((1, 5, 16)))
    bad = [tmp_path / "b.png", flat, tiny]
    images = ValidationImages([*bad, good], ReadTrainingImage(1), 2)
    assert [tuple(item["label"].shape) for item in images] == [(1, 16, 16)]
    for file in bad:
        assert f"unused: {file}" in caplog.text
    with pytest.raises(BadImageError, match="none of 3 validation images"):
        ValidationImages(bad, ReadTrainingImage(1), 2)


def test_validation_says_of_which_part_an_image_is_flat(tmp_path, caplog):
    framed = pixels((1, 40, 40))
    framed[:, 12:28, 12:28] = 7
    path = write_raster(tmp_path / "a.png", framed)
    with pytest.raises(BadImageError, match="none of 1"):
        ValidationImages([path], ReadTrainingImage(1), 2, largest_side=16)
    assert "in its middle, on sides of 6 pixels or more" in caplog.text
    assert "got 7 to 7 on (16, 16)" in caplog.text


@pytest.fixture
def people(tmp_path):
    """Return a folder with two images of each of three patients, and a function for its table."""
    folder = tmp_path / "images"
    for name in ("p1/t1", "p1/t2", "p2/t1", "p2/t2", "p3/t1", "p3/t2"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_raster(folder / f"{name}.png")

    def table(text):
        (tmp_path / "split.csv").write_text(text)
        return tmp_path / "split.csv"

    return folder, table


_PEOPLE = "".join(f"p{p}/t{t}.png,{p},{{{p}}}\n" for p in (1, 2, 3) for t in (1, 2))


def test_the_table_decides_what_an_image_is_for(people):
    folder, table = people
    lines = "file,patient,split\n" + _PEOPLE.format("", "train", "validation", "test")
    train, held = training_split(folder, None, 0.5, table(lines))
    names = [[str(f.relative_to(folder)) for f in part] for part in (train, held)]
    assert names == [["p1/t1.png", "p1/t2.png"], ["p2/t1.png", "p2/t2.png"]]


def test_without_a_column_for_it_patients_are_drawn_and_never_divided(people):
    folder, table = people
    path = table("file,patient\n" + _PEOPLE.replace(",{1}", "").replace(",{2}", "").replace(
        ",{3}", ""))  # fmt: skip
    train, held = training_split(folder, None, 0.4, path)
    assert {f.parent.name for f in train}.isdisjoint({f.parent.name for f in held})
    assert len(train) + len(held) == 6
    assert held


def test_images_of_test_patients_are_not_trained_on_beside_a_validation_folder(people):
    folder, table = people
    lines = "file,patient,split\n" + _PEOPLE.format("", "train", "train", "test")
    train, held = training_split(folder, folder / "p3", 0.0, table(lines))
    assert {f.parent.name for f in train} == {"p1", "p2"}
    assert len(held) == 2


def test_a_series_goes_by_the_name_of_its_folder(tmp_path, people):
    _, table = people
    for name in ("a", "b"):
        dicom_factory.write_series(tmp_path / "series" / name, SeriesInstanceUID=f"1.2.{ord(name)}")
    path = table("file,patient,split\na,1,train\nseries/b/,2,validation\n")
    train, held = training_split(tmp_path / "series", None, 0.0, path)
    assert [first_file(part[0]).parent.name for part in (train, held)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            "file\np1/t1.png\n",
            r"must have the columns file and patient \(or place\), got file; add them",
        ),
        ("", "got no line"),
        ("file,patient\np1/t1.png,1\n", r"has no line for .*t2\.png; add it"),
        ("file,patient,split\np1/t1.png,1,tset\n", "line 2 must name a patient and one of train"),
        ("file,patient\np1/t1.png,\n", "line 2 must name a patient"),
        ("file,patient,split\na,1,train\nb,1,test\n", "keep each patient in one part"),
        ("file,patient\na,1\na,2\n", "line 3 contradicts another"),
        ("file,patient,split\n" + _PEOPLE.format("", *["train"] * 3), "no image .* 'validation'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(people, text, remedy):
    folder, table = people
    with pytest.raises(OptionError, match=remedy):
        training_split(folder, None, 0.5, table(text))


def test_a_table_that_is_not_there_is_named(people, tmp_path):
    with pytest.raises(OptionError, match=r"none\.csv: must be a readable CSV table"):
        training_split(people[0], None, 0.5, tmp_path / "none.csv")
