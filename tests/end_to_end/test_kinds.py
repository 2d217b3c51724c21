"""Results by kind: codes keep their values, phases their wraps, mosaics their tiles."""

from __future__ import annotations

import csv

import numpy as np
import pydicom
import pytest
import rasterio
import torch
from monai.data import MetaTensor

from monai_sr import SuperResolver
from monai_sr.core.errors import OptionError
from monai_sr.inferers import SelfEnsembleInferer, TiledInferer
from monai_sr.transforms import PlanGrid, Provenance, RestoreStoredd, ScaleToUnitd, load_image
from monai_sr.transforms.phase import circle_points, joined, tiles_of, turns_of
from monai_sr.upscaling.workflow import SRWorkflow
from tests.dicom_factory import dataset, located
from tests.formats.test_meaning import PALETTE, patches
from tests.image_factory import NORTH_UP, write_nifti, write_raster
from tests.network_factory import tiny, tiny_bundle
from tests.scene_factory import contents, in_windows


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), "satellite_sr")


@pytest.fixture(scope="module")
def resolver(bundle):
    return SuperResolver.from_bundle(bundle, scale=2, device="cpu", runtime="torch")


def blocks(codes: np.ndarray, scale: int) -> np.ndarray:
    return codes.repeat(scale, axis=-1).repeat(scale, axis=-2)


def test_classes_become_blocks_and_keep_palette_and_names(bundle, tmp_path):
    codes = patches(1, 5, 9)[None]
    write_raster(
        tmp_path / "in" / "a.tif", codes, colormap=PALETTE, transform=NORTH_UP, nodata=0,
        crs="EPSG:32614",
    ) if (tmp_path / "in").mkdir() is None else None  # fmt: skip
    workflow = SRWorkflow(
        bundle, input=tmp_path / "in", output_dir=tmp_path / "out", device="cpu", runtime="torch"
    )
    workflow.initialize()
    workflow.run()
    with rasterio.open(tmp_path / "out" / "a_x4.tif") as result:
        np.testing.assert_array_equal(result.read(), blocks(codes, 4))
        with rasterio.open(tmp_path / "in" / "a.tif") as source:
            assert result.colormap(1) == source.colormap(1)
        assert result.nodata == 0
        assert result.tags()["TIFFTAG_IMAGEDESCRIPTION"].startswith("Derived by enlargement;")
    with (tmp_path / "out" / "monai_sr_manifest.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert (row["kind"], row["lr_psnr"], row["off_by_one_share"]) == ("label", "inf", "0")


@pytest.mark.parametrize("options", [{}, {"window": [3, 5, 20, 11]}, {"cog": True}])
def test_windows_of_classes_are_blocks_too(tmp_path, options):
    codes = patches(1, 5, 9, 200)[None]
    source = write_raster(
        tmp_path / "a.tif", codes, colormap={**PALETTE, 200: (1, 2, 3, 255)}, transform=NORTH_UP,
        crs="EPSG:32614",
    )  # fmt: skip
    found = in_windows(source, tmp_path / "b.tif", tiny(), 4, kind="auto", **options)
    x, y, w, h = options.get("window", [0, 0, 48, 48])
    with rasterio.open(found.output) as result:
        np.testing.assert_array_equal(result.read(), blocks(codes[:, y : y + h, x : x + w], 4))
        assert result.colormap(1)[200] == (1, 2, 3, 255)
    assert (found.kind, found.agreement.off_share) == ("label", 0)


def test_wide_codes_and_bit_masks_are_exact(resolver, tmp_path):
    codes = patches(0, 2**24 + 1, 2**31, dtype="uint32")[None]
    source = write_raster(tmp_path / "LC08_QA_PIXEL.TIF", codes, transform=NORTH_UP)
    result = resolver(source)
    np.testing.assert_array_equal(result.numpy().transpose(0, 2, 1), blocks(codes, 2))
    assert result.meta["sr_kind"] == "bits"


def test_labels_of_a_volume_are_those_of_its_slices(resolver, tmp_path):
    labels = np.stack([patches(0, 1, 3), patches(0, 3, 41)], axis=-1).astype("int16")
    result = resolver(write_nifti(tmp_path / "sub_dseg.nii.gz", labels))
    expected = labels.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(result[0].numpy(), expected)


def test_codes_beside_measured_bands_stay_codes(resolver, tmp_path):
    rng = np.random.default_rng(0)
    stack = np.stack([rng.integers(100, 9999, (48, 48)), patches(3, 4, 5, 9)]).astype("uint16")
    source = write_raster(
        tmp_path / "a.tif", stack, transform=NORTH_UP, descriptions=("B02", "SCL")
    )
    result = resolver(source)
    np.testing.assert_array_equal(result[1].numpy().T, blocks(stack[1], 2))
    windows = in_windows(source, tmp_path / "b.tif", resolver.network, 2, kind="auto")
    np.testing.assert_array_equal(contents(windows.output)["pixels"][1], blocks(stack[1], 2))


@pytest.mark.parametrize("scale", [2, 2.5])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_phases_in_windows_are_those_of_the_whole(tmp_path, scale, dtype):
    turns = (np.arange(57) / 31)[None] + (np.arange(41) / 47)[:, None]
    span = {"float32": (-np.pi, 2 * np.pi), "int16": (-180, 360)}[dtype]
    stored = (span[0] + turns % 1 * span[1]).astype(dtype)[None]
    source = write_raster(tmp_path / "a_part-phase.tif", stored, transform=NORTH_UP)
    network, given = tiny(), PlanGrid(scale)(load_image(source, "auto"))
    data = ScaleToUnitd("image")({"image": given})
    data["pred"] = TiledInferer(scale, tile_size=20)(data["image"][None], network)[0]
    whole = RestoreStoredd("pred", Provenance("satellite_sr", None, scale, 2))(data)["pred"]
    found = in_windows(source, tmp_path / "b.tif", network, scale, kind="auto")
    assert found.kind == "phase"
    off = contents(found.output)["pixels"][0] - whole[0].numpy().T
    off = (off + span[1] / 2) % span[1] - span[1] / 2
    assert np.abs(off).max() <= (1e-4 if dtype == "float32" else 1)
    assert (off != 0).mean() < (1 if dtype == "float32" else 1e-3)
    assert found.agreement.lr_psnr == pytest.approx(whole.meta["sr_lr_psnr"], abs=0.01)
    assert found.agreement.off_share == pytest.approx(whole.meta["sr_off_share"], abs=0.002)


def test_phases_are_right_across_their_wrap(tmp_path, resolver):
    turns = (np.arange(48) / 31)[None] + (np.arange(40) / 47)[:, None]  # a plane, wrapped
    stored = np.rint(turns % 1 * 4096).astype(np.uint16) % 4096
    made = dataset(
        stored, modality="MR", RescaleSlope=2, RescaleIntercept=-4096,
        ImageType=["ORIGINAL", "PRIMARY", "P", "ND"], **located(),
    )  # fmt: skip
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    cubic = SuperResolver.from_bundle("mri_sr", system="bicubic", scale=2, device="cpu")
    result = cubic(tmp_path / "a.dcm")[0].numpy().T / 4096
    x, y = ((np.arange(n * 2) + 0.5) / 2 - 0.5 for n in (48, 40))
    truth = (x / 31)[None] + (y / 47)[:, None]
    off = (result - truth + 0.5) % 1 - 0.5
    inner = off[4:-4, 4:-4]
    assert np.abs(inner).max() < 0.01
    assert result.max() < 1
    picture = SuperResolver.from_bundle(
        "mri_sr", system="bicubic", scale=2, device="cpu", kind="intensity"
    )(tmp_path / "a.dcm")[0].numpy().T / 4096  # fmt: skip
    assert np.abs((picture - truth + 0.5) % 1 - 0.5)[4:-4, 4:-4].max() > 0.2


def test_points_on_the_circle_come_back():
    turns = torch.rand(2, 3, 5, 4)
    assert torch.allclose(turns_of(circle_points(turns)), turns, atol=1e-6)


def test_tiles_of_a_mosaic_equal_images_of_their_own():
    network, image = tiny(), torch.rand(1, 1, 24, 18)
    inferer = TiledInferer(2)
    mosaic = inferer(MetaTensor(image, meta={"sr_mosaic": 2, "sr_rgb": 0}), network)
    tiles = tiles_of(image, 2)
    assert torch.equal(tiles[1], image[0, :, :12, 9:])
    assert torch.equal(joined(tiles, 2), image)
    each = torch.cat([inferer(tile[None], network) for tile in tiles])
    assert torch.allclose(mosaic.as_tensor(), joined(each, 2), atol=1e-6)


def test_uncertainty_of_codes_is_refused():
    image = MetaTensor(torch.rand(1, 1, 8, 8), meta={"sr_kind": "label"})
    with pytest.raises(OptionError, match="leave --uncertainty out"):
        SelfEnsembleInferer(2, spread=True)(image, tiny())


def test_label_maps_of_dicom_stay_label_maps(tmp_path, resolver):
    codes = np.stack([patches(0, 2, 53), patches(0, 1, 2)])
    made = dataset(codes, modality="CT", bits=8, SegmentationType="LABELMAP", **located())
    made.Modality, made.SOPClassUID = "SEG", "1.2.840.10008.5.1.4.1.1.66.7"
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    bundle = SuperResolver.from_bundle("mri_sr", scale=2, device="cpu", runtime="torch")
    result = bundle(tmp_path / "a.dcm")
    expected = blocks(codes, 2).transpose(2, 1, 0)
    np.testing.assert_array_equal(result[0].numpy(), expected)
    assert pydicom.dcmread(tmp_path / "a.dcm").SegmentationType == "LABELMAP"
