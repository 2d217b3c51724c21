"""Benchmarks described by YAML: found, counted, decoded, and refused with a reason."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.evaluation.datasets import load_benchmark
from monai_sr.evaluation.images import BenchmarkImage
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster


@pytest.fixture
def make_set(tmp_path):
    """Return a function that writes images below a root and their description beside it."""

    def make(images, **description):
        for name, array in images.items():
            path = tmp_path / "root" / "mine" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
        keys = {"title": "Mine", "folders": "[other, mine]", "pattern": "'*.png'"}
        keys |= {"protocol": "natural"} | description
        yaml = tmp_path / "mine.yaml"
        yaml.write_text("\n".join(f"{key}: {value}" for key, value in keys.items()))
        return load_benchmark(yaml), tmp_path / "root"

    return make


def _image(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "count", "protocol"),
    [("set5", 5, "natural"), ("set14", 14, "natural"), ("bsd100", 100, "natural"),
     ("set5_opencv", 5, "natural_opencv"), ("set14_opencv", 14, "natural_opencv"),
     ("bsd100_opencv", 100, "natural_opencv"),
     ("xray", 54, "native 255"), ("mr", 38, "native"),
     ("ucmerced", 15, "natural"), ("naip", 2, "native 255"), ("landsat", 4, "native 255")],
)  # fmt: skip
def test_shipped_benchmarks_find_all_their_images(shared_data, caplog, name, count, protocol):
    benchmark = load_benchmark(name)
    with caplog.at_level(logging.WARNING):
        images = benchmark.images(shared_data)
    assert len(images) == benchmark.expected == count
    assert benchmark.protocol.name == protocol
    assert benchmark.citation
    assert "must have" not in caplog.text


def test_images_come_in_name_order_from_the_first_folder_that_exists(make_set):
    benchmark, root = make_set({n: _image(4, 6) for n in ("b.png", "a.png", "note.bmp")})
    assert [image.name for image in benchmark.images(root)] == ["a", "b"]


def test_a_wrong_count_is_reported(make_set, caplog):
    benchmark, root = make_set({"a.png": _image(4, 6)}, count=3)
    assert len(benchmark.images(root)) == 1
    assert "'mine' must have 3 images, got 1" in caplog.text


def test_a_wrong_count_of_a_class_is_reported(make_set, caplog):
    images = {"ill/a.png": _image(4, 6), "well/b.png": _image(4, 6)}
    benchmark, root = make_set(images, classes="{ill: 1, well: 2}")
    assert [image.label for image in benchmark.images(root)] == ["ill", "well"]
    assert "well: benchmark 'mine' must have 2 images, got 1" in caplog.text
    assert benchmark.expected == 3


def test_images_of_another_size_are_reported(make_set, caplog):
    benchmark, root = make_set({"a.png": _image(4, 6), "b.png": _image(2, 6)}, pixels="[24, 48]")
    assert len(benchmark.images(root)) == 2
    assert "'mine' must have 24 or 48 pixels in all, got 36" in caplog.text
    assert "do not compare" in benchmark.complaints(benchmark.images(root))[0]


def test_no_folder_is_an_error_that_names_those_looked_for(make_set, tmp_path):
    benchmark, _ = make_set({})
    with pytest.raises(BadImageError, match="one of the folders other, mine"):
        benchmark.images(tmp_path / "elsewhere")


def test_an_empty_folder_is_an_error(make_set):
    benchmark, root = make_set({})
    (root / "mine").mkdir(parents=True)
    with pytest.raises(BadImageError, match="copy the reference images there"):
        benchmark.images(root)


def test_color_stays_color_and_grey_stays_grey(make_set):
    color, grey = _image(5, 7, 3), _image(5, 7)
    benchmark, root = make_set({"a.png": color, "b.png": grey})
    first, second = (benchmark.load(image) for image in benchmark.images(root))
    np.testing.assert_array_equal(first[0].permute(1, 2, 0).numpy() * 255, color)
    np.testing.assert_array_equal(second[0, 0].numpy() * 255, grey)


def test_three_equal_channels_become_one_in_a_grey_set(make_set):
    grey = _image(5, 7)
    benchmark, root = make_set({"a.png": np.stack([grey] * 3, axis=-1)}, channels=1)
    image = benchmark.load(benchmark.images(root)[0])
    np.testing.assert_array_equal(image[0].numpy() * 255, grey[None])


def test_a_color_image_is_refused_in_a_grey_set(make_set):
    benchmark, root = make_set({"a.png": _image(5, 7, 3)}, channels=1)
    with pytest.raises(BadImageError, match=r"a\.png: must be grey"):
        benchmark.load(benchmark.images(root)[0])


def test_transparency_is_refused(make_set):
    benchmark, root = make_set({"a.png": _image(5, 7, 4)})
    with pytest.raises(BadImageError, match="got mode RGBA"):
        benchmark.load(benchmark.images(root)[0])


def test_another_depth_than_the_range_is_refused(make_set):
    benchmark, root = make_set(
        {"a.png": _image(5, 7).astype(np.uint16)}, protocol="native", data_range=255
    )
    with pytest.raises(BadImageError, match="set data_range"):
        benchmark.load(benchmark.images(root)[0])


def test_sixteen_bits_are_read_on_their_own_range(make_set):
    array = _image(5, 7).astype(np.uint16) * 257
    benchmark, root = make_set({"a.png": array}, protocol="native", data_range=65535)
    image = benchmark.load(benchmark.images(root)[0])
    np.testing.assert_allclose(image[0, 0].numpy() * 65535, array)


def test_a_file_that_is_no_image_is_refused(make_set, tmp_path):
    benchmark, _ = make_set({})
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(BadImageError, match="replace the file"):
        benchmark.load(BenchmarkImage(broken, "broken"))


def test_a_truncated_image_is_refused(make_set):
    benchmark, root = make_set({"a.png": _image(64, 64, 3)})
    image = benchmark.images(root)[0]
    image.path.write_bytes(image.path.read_bytes()[:4000])
    with pytest.raises(BadImageError, match=r"a\.png: must be a readable image"):
        benchmark.load(image)


def test_an_unknown_benchmark_is_answered_with_the_nearest():
    with pytest.raises(OptionError, match="did you mean 'set14'"):
        load_benchmark("set41")


def test_a_misspelt_key_is_refused(make_set):
    with pytest.raises(OptionError, match=r"got .*cuont"):
        make_set({}, cuont=3)


def test_volumes_are_judged_slice_by_slice_on_the_range_of_the_volume(tmp_path):
    stored = np.random.default_rng(0).integers(100, 900, (7, 5, 6), dtype=np.int16)
    stored[..., 2], stored[1:, :, 4] = 100, 100  # empty, one seventh full
    write_nifti(tmp_path / "one.nii", stored)
    (tmp_path / "set.yaml").write_text(
        "title: MR\nfolders: [.]\npattern: '*.nii'\nprotocol: native\nchannels: 1\nslice_step: 2\n"
    )
    benchmark = load_benchmark(tmp_path / "set.yaml")
    images = benchmark.images(tmp_path)
    assert [image.name for image in images] == ["one_000", "one_004"]
    low, high = float(stored.min()), float(stored.max())
    expected = (stored[..., 4].T.astype(np.float64) - low) / (high - low)
    values = benchmark.load(images[1])
    assert values.shape == (1, 1, 5, 7)
    np.testing.assert_allclose(values[0, 0].numpy(), expected, atol=1e-6)


def test_a_file_that_is_no_volume_is_refused_where_slices_are_judged(tmp_path):
    write_nifti(tmp_path / "flat.nii", np.ones((7, 5), np.int16))
    (tmp_path / "set.yaml").write_text(
        "title: MR\nfolders: [.]\npattern: '*.nii'\nprotocol: native\nslice_step: 1\n"
    )
    with pytest.raises(BadImageError, match=r"flat\.nii: must be a volume of one channel"):
        load_benchmark(tmp_path / "set.yaml").images(tmp_path)


def test_of_a_raster_the_area_is_judged_as_stored_nodata_too(make_set):
    (west, north), (east, south) = NORTH_UP * (3, 2), NORTH_UP * (12, 9)
    benchmark, root = make_set(
        {}, pattern="'*.tif'", channels=2, protocol="native", data_range=65535,
        area=[west, south, east, north],
    )  # fmt: skip
    (root / "mine").mkdir(parents=True)
    array = pixels((2, 15, 20), "uint16")
    array[:, 4, 5] = 7
    write_raster(root / "mine" / "a.tif", array, nodata=7, transform=NORTH_UP, crs="EPSG:32614")
    (image,) = benchmark.images(root)
    stored = benchmark.load(image)[0].numpy() * 65535
    np.testing.assert_allclose(stored, array[:, 2:9, 3:12], atol=1e-6)


@pytest.mark.parametrize(("bands", "dtype"), [(3, "uint16"), (2, "float32")])
def test_a_raster_of_other_bands_or_kind_is_refused(make_set, bands, dtype):
    benchmark, root = make_set({}, pattern="'*.tif'", channels=2, protocol="native")
    (root / "mine").mkdir(parents=True)
    write_raster(root / "mine" / "a.tif", pixels((bands, 15, 20), dtype))
    with pytest.raises(BadImageError, match=r"a\.tif: must be a raster of 2 bands of unsigned"):
        benchmark.load(benchmark.images(root)[0])


def test_images_that_are_left_out_are_not_listed(make_set, tmp_path):
    images = {n: _image(4, 6) for n in ("0010.png", "0011.png")}
    benchmark, root = make_set(images, left_out="['0010']")
    assert [image.name for image in benchmark.images(root)] == ["0011"]
    with pytest.raises(OptionError, match=r"left_out must hold texts, got \[8\]; put them in"):
        make_set(images, left_out="[0010]")


def test_no_patient_of_the_xray_set_is_among_the_training_images(shared_data):
    judged = {image.patient for image in load_benchmark("xray").images(shared_data)} - {""}
    folders = (shared_data / "xray" / name for name in ("train", "train_crops"))
    trained = {file.name[:8] for folder in folders for file in folder.rglob("*.png")}
    assert len(judged) == 34
    assert len(trained) > 100
    assert judged.isdisjoint(trained)
