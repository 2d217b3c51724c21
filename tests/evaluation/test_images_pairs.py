"""Given low-resolution images are matched by name; what is left over is named."""

from __future__ import annotations

import logging
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from rasterio.transform import from_origin

from monai_sr.core.errors import BadImageError
from monai_sr.evaluation.datasets import folder_benchmark, load_benchmark
from monai_sr.evaluation.images import every_image, match_pairs, read_image
from monai_sr.metrics import make_lr
from tests.formats.ome_zarr.test_reader import write_zarr
from tests.image_factory import pixels, write_nifti, write_raster
from tests.network_factory import ROOT


def _touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


@pytest.mark.parametrize(
    "name", ["0801.png", "0801x4.png", "0801_x4.png", "0801X4.bmp", "0801x4m.png"]
)
def test_partners_go_by_name_with_or_without_the_scale(tmp_path, name):
    references = _touch(tmp_path / "hr", "0801.png")
    assert match_pairs(references, _touch(tmp_path / "lr", name)[0].parent, 4)[0].name == name


def test_a_reference_whose_own_name_ends_in_a_scale_keeps_it(tmp_path):
    references = _touch(tmp_path / "hr", "a.png", "ax4.png")
    _touch(tmp_path / "lr", "ax4.png", "ax4x4.png")
    found = match_pairs(references, tmp_path / "lr", 4)
    assert [file.name for file in found] == ["ax4.png", "ax4x4.png"]


@pytest.mark.parametrize(
    ("hr", "lr", "words"),
    [
        (["a.png", "b.png"], ["ax4.png"], "partner at x4 of every reference, none found of b.png"),
        (["a.png"], ["ax4.png", "cx4.png"], "none found for cx4.png"),
        (["a.png"], ["ax2.png"], "none found of a.png"),
        (["a.png", "a.tif"], ["a.png"], r"one partner for each .* several of a\.png, a\.tif"),
        ([f"{i}.png" for i in range(7)], [], r"0\.png, .*4\.png and 2 more"),
    ],
)
def test_files_without_partner_are_named(tmp_path, hr, lr, words):
    references = _touch(tmp_path / "hr", *hr)
    _touch(tmp_path / "lr", *lr)
    with pytest.raises(BadImageError, match=words):
        match_pairs(references, tmp_path / "lr", 4)


@pytest.fixture
def div2k(tmp_path):
    """Write one image as the unknown track lays it out."""
    image = np.random.default_rng(0).integers(0, 256, (42, 49, 3), dtype=np.uint8)
    for folder, name, values in (
        ("DIV2K_valid_HR", "0801", image),
        ("DIV2K_valid_LR_unknown/X4", "0801x4", image[:41:4, :49:4]),  # one pixel more, as MATLAB's
    ):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(values).save(tmp_path / folder / f"{name}.png")
    return tmp_path, image


def test_layout_of_div2k_is_found_with_its_own_low_resolution_images(div2k, caplog):
    root, image = div2k
    benchmark = load_benchmark("DIV2K_unknown")
    (found,) = benchmark.images(root, 4)
    assert "must have 100 images, got 1" in caplog.text
    hr, lr = benchmark.load_pair(found, 4)
    np.testing.assert_array_equal(hr[0].permute(1, 2, 0).numpy() * 255, image[:40, :48])
    np.testing.assert_array_equal(lr[0].permute(1, 2, 0).numpy() * 255, image[:40:4, :48:4])
    with pytest.raises(BadImageError, match="X2"):
        benchmark.images(root, 2)
    made = load_benchmark("DIV2K").load_pair(load_benchmark("DIV2K").images(root, 4)[0], 4)[1]
    assert (made == make_lr(hr, 4, "natural")).all()


@pytest.mark.parametrize("shape", [(9, 12, 3), (10, 12), (42, 49, 3)])
def test_a_partner_of_another_size_or_kind_is_refused(div2k, shape):
    root, _ = div2k
    Image.fromarray(np.zeros(shape, np.uint8)).save(root / "DIV2K_valid_LR_unknown/X4/0801x4.png")
    benchmark = load_benchmark("DIV2K_unknown")
    with pytest.raises(BadImageError, match=r"3 channels of 12 x 10 pixels to go with .*0801\.png"):
        benchmark.load_pair(benchmark.images(root, 4)[0], 4)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("small_type", ["uint16", "float32"])
def test_given_images_are_on_the_range_of_their_reference(tmp_path, small_type):
    stored = pixels((1, 24, 32), "uint16") // 8
    stored[0, 13, 14] = 60000  # the small one, which does not show it, is darker in all
    for folder in ("hr", "lr"):
        (tmp_path / folder).mkdir()
    write_raster(tmp_path / "hr" / "a.tif", stored)
    small = stored[:, ::4, ::4].astype(small_type)
    write_raster(tmp_path / "lr" / "a.tif", small)
    root = tmp_path / "hr"
    benchmark = folder_benchmark(root, protocol="native", lr_root=tmp_path / "lr")
    hr, lr = benchmark.load_pair(benchmark.images(root, 4)[0], 4)
    np.testing.assert_allclose(lr.numpy(), hr[..., ::4, ::4].numpy(), atol=1e-6)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_bands_of_unlike_quantities_are_judged_each_on_its_own_range(tmp_path):
    """Reflectance beside elevation: on one range its errors would be nothing."""
    hr = np.stack([pixels((40, 40), "float32", seed) for seed in (1, 2, 3)])
    hr *= np.array([1e-4, 20, 1])[:, None, None]
    lr = hr.reshape(3, 20, 2, 20, 2).mean((2, 4))
    for name, values in (("hr", hr), ("lr", lr)):
        for file, part in (
            (f"{name}_all", values),
            *((f"{name}_{i}", values[[i]]) for i in range(3)),
        ):
            (tmp_path / file).mkdir()
            write_raster(tmp_path / file / "a.tif", part.astype(np.float32))
    squares = []
    for case in ("all", "0", "1", "2"):
        benchmark = folder_benchmark(
            tmp_path / f"hr_{case}", protocol="native", lr_root=tmp_path / f"lr_{case}"
        )
        whole, small = benchmark.load_pair(benchmark.images(tmp_path, 2)[0], 2)
        large = torch.nn.functional.interpolate(small, scale_factor=2)
        squares.append(float((large - whole).square().mean()))
    assert squares[0] == pytest.approx(np.mean(squares[1:]))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("white", "small_type"), [(255, "uint8"), (4095, "uint16"), (1, "float32")]
)
def test_given_images_in_other_units_are_refused(tmp_path, white, small_type):
    stored = pixels((1, 24, 32), "uint16")
    small = make_lr(torch.from_numpy(stored / 65535), 4, "native").numpy()
    for folder, values in (("hr", stored), ("lr", (small * white).astype(small_type))):
        (tmp_path / folder).mkdir()
        write_raster(tmp_path / folder / "a.tif", values)
    root = tmp_path / "hr"
    benchmark = folder_benchmark(root, protocol="native", lr_root=tmp_path / "lr")
    with pytest.raises(BadImageError, match=r"must hold values in the units of .*; convert one"):
        benchmark.load_pair(benchmark.images(root, 4)[0], 4)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("place", "epsg", "got"),
    [
        (from_origin(500, 900, 8, 8), 32633, ""),
        (from_origin(500.5, 900, 8, 8), 32633, ""),
        (None, 32633, ""),
        (from_origin(504, 900, 8, 8), 32633, "a corner 0.5 pixels away"),
        (from_origin(500, 900, 10, 8), 32633, "a corner 2 pixels away"),
        (from_origin(500, 900, 8, 8), 32632, "another reference system"),
    ],
)
def test_given_images_lie_where_their_references_do(tmp_path, place, epsg, got):
    stored = pixels((1, 24, 32), "uint8")
    small = make_lr(torch.from_numpy(stored / 255.0), 4, "natural").numpy() * 255
    for folder in ("hr", "lr"):
        (tmp_path / folder).mkdir()
    root = tmp_path / "hr"
    write_raster(root / "a.tif", stored, crs="EPSG:32633", transform=from_origin(500, 900, 2, 2))
    options = {"transform": place, "crs": f"EPSG:{epsg}"} if place else {}
    write_raster(tmp_path / "lr" / "a.tif", small.round().clip(0, 255).astype("uint8"), **options)
    benchmark = folder_benchmark(root, protocol="native", lr_root=tmp_path / "lr")
    expected = pytest.raises(BadImageError, match=got) if got else nullcontext()
    with expected:
        benchmark.load_pair(benchmark.images(root, 4)[0], 4)


def test_volumes_take_no_given_images(tmp_path):
    for folder in ("hr", "lr"):
        (tmp_path / folder).mkdir()
        write_nifti(tmp_path / folder / "a.nii.gz", pixels((8, 8, 4), "int16"))
    benchmark = folder_benchmark(tmp_path / "hr", lr_root=tmp_path / "lr", protocol="native")
    with pytest.raises(
        BadImageError, match=r"must be an image of one slice .* leave --lr_root out"
    ):
        benchmark.images(tmp_path / "hr", 4)


def test_the_given_images_of_set5_are_ours_within_one_grey_level(shared_data):
    root = shared_data / "benchmarks"
    benchmark = folder_benchmark(root / "Set5", lr_root=root / "Set5_LR_bicubic_X4")
    images = benchmark.images(root / "Set5", 4)
    assert len(images) == 5
    hr, lr = benchmark.load_pair(images[0], 4)
    assert float((lr - make_lr(hr, 4, "natural")).abs().max()) <= 1.01 / 255


def test_a_folder_of_ome_zarr_is_one_image_and_one_partner(tmp_path):
    pytest.importorskip("zarr")
    values = pixels((12, 16))
    large = write_zarr(tmp_path / "hr" / "a.zarr", values, "yx")
    small = write_zarr(tmp_path / "lr" / "ax4.zarr", values[::4, ::4], "yx", version="0.4")
    (image,) = every_image(tmp_path / "hr")
    assert match_pairs([image.path], tmp_path / "lr", 4) == [small]
    found, levels, _ = read_image(image.files)
    assert (np.rint(found[0] * levels) == values).all()
    before = image.digest
    (large / "zarr.json").write_text((large / "zarr.json").read_text() + " ")
    assert image.digest != before


@pytest.mark.parametrize("rows", [0, 3])
def test_a_pair_that_is_shifted_is_told(tmp_path, caplog, rows):
    folders = [tmp_path / name for name in ("hr", "lr")]
    with Image.open(ROOT / "samples" / "hr" / "photo.png") as image:
        photo = np.asarray(image.convert("RGB"))[:120, :100]
    small = make_lr(torch.from_numpy(photo / 255.0).permute(2, 0, 1)[None], 2, "natural")
    stored = (small[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    for folder, values in zip(folders, (np.roll(photo, -rows, axis=0), stored), strict=True):
        folder.mkdir()
        Image.fromarray(values).save(folder / "a.png")
    benchmark = folder_benchmark(folders[0], lr_root=folders[1])
    with caplog.at_level(logging.WARNING, logger="monai_sr"):
        for _ in range(2):
            benchmark.load_pair(benchmark.images(folders[0], 2)[0], 2)
    assert len(caplog.messages) == (rows > 0)
    if rows:
        assert "its content lies +3.0 rows and" in caplog.text
