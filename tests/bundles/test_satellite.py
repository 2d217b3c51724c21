"""satellite_sr is fine-tuned on GeoTIFF at native depth, by place, and enlarges every band."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from monai.bundle import create_workflow
from scipy.ndimage import zoom

from monai_sr.core.errors import user_message
from monai_sr.core.registry import find_bundle
from tests.image_factory import NORTH_UP, write_raster


@pytest.fixture
def scenes(tmp_path):
    """Write two years of one ground, uint16 with four bands and a corner of nodata, and a table."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    lines = ["file,place,split,west,south,east,north"]
    for year in (2010, 2020):
        coarse = np.random.default_rng(year).uniform(300, 9000, (4, 12, 32))
        array = zoom(coarse, (1, 8, 8), order=1).astype(np.uint16)
        array[:, :, :64] = 0
        write_raster(
            folder / f"s_{year}.tif", array, nodata=0, crs="EPSG:32614", transform=NORTH_UP
        )
        for place, split, left, right in (("w", "train", 0, 160), ("e", "validation", 176, 256)):
            (west, north), (east, south) = NORTH_UP * (left, 0), NORTH_UP * (right, 96)
            lines.append(f"s_{year}.tif,{place},{split},{west},{south},{east},{north}")
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
    return folder, tmp_path / "split.csv"


def _workflow(config: str, kind: str, **options):
    folder = find_bundle("satellite_sr")
    return create_workflow(
        config_file=str(folder / "configs" / f"{config}.yaml"),
        workflow_type=kind,
        bundle_root=str(folder),
        device="cpu",
        **options,
    )


@pytest.mark.slow
def test_a_few_steps_on_a_folder_of_geotiff_raise_its_validation(scenes, tmp_path) -> None:
    folder, table = scenes
    training = _workflow(
        "train", "train", dataset_dir=str(folder), split_table=str(table),
        output_dir=str(tmp_path / "run"), steps=30, warmup_steps=1, batch_size=2, patch_size=16,
        epoch_length=10, learning_rate=2e-4, ema_momentum=0.2,
        pretrained=str(find_bundle("satellite_sr") / "models" / "model.pt"),
        **{"train#state#every": 10},
    )  # fmt: skip
    loader = training.parser.get_parsed_content("train#dataset")
    # The part of each year that is no nodata, once in colors and once in the fourth band.
    pool = loader._group(0)
    assert pool.sizes.tolist() == [[96, 80], [96, 80]] * 2
    assert pool.buffers[1].dtype == torch.float32
    psnr = []
    evaluator = training.parser.get_parsed_content("validate#evaluator")
    evaluator.run()
    psnr.append(evaluator.state.metrics["val_psnr"])
    training.run()
    training.finalize()
    psnr.append(evaluator.state.metrics["val_psnr"])
    assert psnr[1] > psnr[0]
    with (tmp_path / "run" / "curve.csv").open(newline="") as stream:
        assert float(list(csv.DictReader(stream))[-1]["psnr"]) == pytest.approx(psnr[1], abs=1e-3)
    result = _enlarge(folder / "s_2020.tif", tmp_path / "out", str(tmp_path / "run" / "model.pt"))
    with rasterio.open(result) as large:
        assert (large.count, large.dtypes[0], large.shape) == (4, "uint16", (192, 512))
        assert large.read_masks(1)[:, :128].max() == 0


def _enlarge(source: Path, output: Path, weights: str) -> Path:
    _workflow(
        "inference", "infer", input=str(source), output_dir=str(output), scale=2,
        ckpt_path=weights, consistency=0,
    ).run()  # fmt: skip
    return output / f"{source.stem}_x2.tif"


def test_a_missing_perceptual_face_is_said(scenes, tmp_path) -> None:
    folder, _ = scenes
    workflow = _workflow(
        "inference", "infer", input=str(folder), output_dir=str(tmp_path / "out"), perception=1.0,
        perceptual_path=str(tmp_path / "model_perceptual.pt"),
    )  # fmt: skip
    with pytest.raises(Exception, match=r"perceptual|Failed") as caught:
        workflow.run()
    assert "this bundle has no perceptual weights" in str(user_message(caught.value))
    assert not (tmp_path / "out").exists()
