"""A run enlarges every input it can, names what it cannot, records both, and leaves no ruins."""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
import rasterio
import torch
from monai.data import DataLoader
from monai.transforms import Compose
from PIL import Image

from monai_sr.core.errors import OptionError, OutputError, WeightsError
from monai_sr.geometry.target_grid import scaled_affine
from monai_sr.inferers import TiledInferer
from monai_sr.networks import create_generator
from monai_sr.transforms import LoadImageSRd, Provenance, RestoreStoredd, SaveImageSRd, ScaleToUnitd
from monai_sr.upscaling import FileDataset, RunFailedError, UpscaleEvaluator
from monai_sr.upscaling.manifest import Manifest
from tests import dicom_factory
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster
from tests.network_factory import tiny

NEAREST = {"network": lambda: create_generator("nearest", in_channels=1), "consistency": 0}


def evaluator(data, out, *, network=tiny, scale=4, consistency=2, weights=None, workers=0, **given):
    dataset = FileDataset(data, Compose([LoadImageSRd("image"), ScaleToUnitd("image")]), out, scale)
    provenance = Provenance("natural_sr", "none.pt", scale, consistency)
    return UpscaleEvaluator(
        val_data_loader=DataLoader(dataset, batch_size=1, num_workers=workers),
        network=network(),
        inferer=TiledInferer(scale, consistency=consistency),
        output_dir=out,
        weights=weights,
        postprocessing=Compose([RestoreStoredd("pred", provenance), SaveImageSRd("pred", out)]),
        **{"device": "cpu", **given},
    )


def run(data, out, **options):
    engine = evaluator(data, out, **options)
    engine.run()
    return engine.results


def manifest(out):
    with (out / Manifest.name).open() as stream:
        return list(csv.DictReader(stream))


def png(path):
    """Read by another library than the one that wrote."""
    array = np.asarray(Image.open(path))
    return array.transpose(2, 0, 1) if array.ndim == 3 else array[None]


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_photo_keeps_its_pixels_under_nearest_enlargement(tmp_path):
    array = pixels((3, 5, 7))
    result = run(write_raster(tmp_path / "a.png", array), tmp_path / "out", **NEAREST)[0]
    assert np.array_equal(png(tmp_path / "out" / "a_x4.png"), array.repeat(4, 1).repeat(4, 2))
    assert (result.size_in, result.size_out) == ("7 x 5, 3 bands", "28 x 20, 3 bands")
    assert result.lr_psnr > 10
    assert result.error is None


def test_a_geotiff_keeps_place_holes_and_type(tmp_path):
    array = pixels((4, 9, 7), "int16")
    array[:, 2:4, 5] = -9999
    source = write_raster(
        tmp_path / "a.tif", array, crs="EPSG:32633", transform=NORTH_UP, nodata=-9999
    )
    run(source, tmp_path / "out")
    with rasterio.open(tmp_path / "out" / "a_x4.tif") as dataset:
        written = dataset.read()
        assert dataset.nodata == -9999
        assert dataset.dtypes == ("int16",) * 4
        left, bottom, right, top = dataset.bounds
    with rasterio.open(source) as dataset:
        assert dataset.bounds == pytest.approx((left, bottom, right, top))
    assert np.array_equal(written == -9999, (array == -9999).repeat(4, 1).repeat(4, 2))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_radiograph_keeps_its_stored_values(tmp_path, photometric):
    values = dicom_factory.stored((6, 9))
    source = dicom_factory.write(tmp_path / "a.dcm", values, modality="DX", photometric=photometric)
    run(source, tmp_path / "out", **NEAREST)
    written = pydicom.dcmread(tmp_path / "out" / "a_x4.dcm")
    assert np.array_equal(written.pixel_array, values.repeat(4, 0).repeat(4, 1))
    assert written.PhotometricInterpretation == photometric


def test_a_series_is_enlarged_in_plane(tmp_path):
    volume = dicom_factory.stored((4, 6, 9))
    folder = dicom_factory.write_series(tmp_path / "series", volume)
    result = run(folder, tmp_path / "out", **NEAREST)[0]
    assert result.size_out == "36 x 24 x 4"
    for number, values in enumerate(volume, 1):
        name = tmp_path / "out" / "series_x4" / f"slice_{number:04d}.dcm"
        assert np.array_equal(pydicom.dcmread(name).pixel_array, values.repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize(("spacing", "thick"), [((5, 1, 2), 0), ((1, 5, 2), 1), ((1, 2, 5), 2)])
def test_a_nifti_volume_is_enlarged_across_its_thickest_axis(tmp_path, spacing, thick):
    array, affine = pixels((5, 4, 6), "int16"), np.diag([*spacing, 1.0])
    source = write_nifti(tmp_path / "a.nii.gz", array, affine=affine, slope=0.5, inter=-3)
    run(source, tmp_path / "out", **NEAREST)
    image = nib.load(tmp_path / "out" / "a_x4.nii.gz")
    expected = array
    for axis in {0, 1, 2} - {thick}:
        expected = expected.repeat(4, axis)
    assert np.array_equal(np.asarray(image.dataobj.get_unscaled()), expected)
    factors = [1 if axis == thick else 4 for axis in range(3)]
    assert np.allclose(image.affine, scaled_affine(affine, factors))
    assert (image.dataobj.slope, image.dataobj.inter) == (0.5, -3)


def test_a_folder_of_mixed_files_is_done_and_its_bad_ones_are_named(tmp_path, caplog):
    root, out = tmp_path / "in", tmp_path / "out"
    (root / "sub").mkdir(parents=True)
    write_raster(root / "a.png")
    write_raster(root / "sub" / "a.png")
    write_nifti(root / "b.nii.gz")
    dicom_factory.write_series(root / "series")
    (root / "empty.png").write_bytes(b"")
    shutil.copy(root / "a.png", root / "cut.png")
    os.truncate(root / "cut.png", 60)
    engine = evaluator(root, out)
    with pytest.raises(RunFailedError, match=r"^2 of 6 inputs could not be enlarged, 4 done"):
        engine.run()
    assert len(engine.results) == 6
    named = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(named) == 2
    assert "cut.png" in named[0]
    assert "empty.png" in named[1]
    assert files(out) == [
        "a_x4.png",
        "b_x4.nii.gz",
        Manifest.name,
        *(f"series_x4/slice_{i:04d}.dcm" for i in range(1, 5)),
        "sub/a_x4.png",
    ]


def test_the_manifest_says_what_came_from_what(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    write_raster(root / "a.png")
    (root / "b.png").write_bytes(b"")
    with pytest.raises(RunFailedError):
        run(root, out)
    good, bad = manifest(out)
    assert (good["output"], good["source"]) == ("a_x4.png", str(root / "a.png"))
    assert (good["size_in"], good["size_out"], good["error"]) == ("7 x 5", "28 x 20", "")
    assert float(good["seconds"]) >= 0
    assert float(good["lr_psnr"]) > 20
    assert (bad["output"], bad["source"]) == ("", str(root / "b.png"))
    assert "empty file" in bad["error"]


def test_the_only_input_that_fails_is_the_error_of_the_run(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(RunFailedError, match=r"a\.png: must hold an image, got an empty file"):
        run(tmp_path / "a.png", tmp_path / "out")
    assert files(tmp_path / "out") == [Manifest.name]


def test_the_result_says_how_it_was_made(tmp_path):
    source = write_raster(tmp_path / "a.tif", transform=NORTH_UP)
    engine = evaluator(source, tmp_path / "out")
    engine.run()
    with rasterio.open(tmp_path / "out" / "a_x4.tif") as dataset:
        tags = json.dumps(dataset.tags())
    assert "monai-sr" in tags
    assert "not for primary diagnosis" in tags
    assert engine.results[0].lr_psnr > 20


def test_inputs_of_equal_names_do_not_replace_each_other_across_runs(tmp_path):
    out, values = tmp_path / "out", {}
    for name in ("one", "two", "one"):
        (tmp_path / name).mkdir(exist_ok=True)
        values[name] = pixels((1, 5, 7), seed=len(name + name[0]) + ord(name[0]))
        source = write_raster(tmp_path / name / "a.png", values[name])
        run(source, out, **NEAREST)
    assert len(files(out)) == 3
    by_source = {os.path.basename(os.path.dirname(r["source"])): r["output"] for r in manifest(out)}
    for name, output in by_source.items():
        assert np.array_equal(png(out / output), values[name].repeat(4, 1).repeat(4, 2))


def test_a_rerun_gives_the_same_bytes_and_no_more_files(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    write_raster(root / "a.png")
    write_raster(root / "b.tif")
    contents = []
    for _ in range(2):
        # The results lie below the input, and must not become inputs.
        run(root, root)
        contents.append({n: (root / n).read_bytes() for n in files(root) if "csv" not in n})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"a.png", "b.tif", "a_x4.png", "b_x4.tif"}


def test_a_result_in_the_making_leaves_nothing_when_the_writer_fails(tmp_path, monkeypatch):
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    write_raster(root / "a.tif")
    write_raster(root / "b.png")
    dicom_factory.write_series(root / "series")

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monai_sr.formats.raster.writer.copy_facts", full)
    monkeypatch.setattr("monai_sr.formats.dicom.writer.mark_derived", full)
    engine = evaluator(root, out)
    with pytest.raises(RunFailedError, match="3 of 3"):
        engine.run()
    assert files(out) == [Manifest.name]
    assert all("No space left" in r.error for r in engine.results)


def test_a_file_that_changes_into_garbage_while_it_is_read_does_not_end_the_run(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        write_raster(root / name)
    engine = evaluator(root, out)
    (root / "b.png").unlink()
    with pytest.raises(RunFailedError, match=r"1 of 3 inputs could not be enlarged, 2 done"):
        engine.run()
    assert "b.png" in engine.results[1].error


def test_an_unforeseen_failure_of_the_network_is_that_files_alone(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    write_raster(root / "a.png", pixels((1, 5, 7)))
    write_raster(root / "b.png", pixels((1, 6, 7)))

    def fragile():
        network = tiny()
        inner = network.forward

        def forward(image, scale=None):
            if image.shape[-1] == 5:
                raise RuntimeError("out of memory\nmany more lines")
            return inner(image, scale)

        network.forward = forward
        return network

    engine = evaluator(root, out, network=fragile)
    with pytest.raises(RunFailedError, match="1 of 2"):
        engine.run()
    assert "a.png: could not be enlarged (RuntimeError: out of memory)" in engine.results[0].error
    assert files(out) == ["b_x4.png", Manifest.name]


def test_an_output_folder_below_a_file_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    engine = evaluator(write_raster(tmp_path / "a.png"), tmp_path / "file" / "out")
    with pytest.raises(OutputError, match="cannot be written"):
        engine.run()
    assert engine.results == []


def test_wrong_weights_and_scales_are_refused_before_any_work(tmp_path):
    source = write_raster(tmp_path / "a.png")
    with pytest.raises(WeightsError, match="does not exist"):
        run(source, tmp_path / "out", weights=tmp_path / "none.pt")
    with pytest.raises(OptionError, match="got 5"):
        run(source, tmp_path / "out", scale=5)
    assert not (tmp_path / "out").exists()


def test_weights_are_loaded_before_the_run(tmp_path):
    source, path = write_raster(tmp_path / "a.png"), tmp_path / "model.pt"
    torch.save(tiny(seed=5).state_dict(), path)
    run(source, tmp_path / "loaded", weights=path, network=lambda: tiny(seed=6))
    run(source, tmp_path / "built", network=lambda: tiny(seed=5))
    loaded, built = (png(tmp_path / n / "a_x4.png") for n in ("loaded", "built"))
    assert np.array_equal(loaded, built)


def test_a_device_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OptionError, match="device"):
        evaluator(write_raster(tmp_path / "a.png"), tmp_path / "out", device="cuda:99")


def test_the_run_may_be_repeated(tmp_path):
    engine = evaluator(write_raster(tmp_path / "a.png"), tmp_path / "out")
    engine.run()
    engine.run()
    assert len(engine.results) == 1


def test_batches_are_refused(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    for name in "ab":
        write_raster(root / f"{name}.png")
    engine = evaluator(root, out)
    engine.data_loader = DataLoader(engine.data_loader.dataset, batch_size=2)
    with pytest.raises(OptionError, match=r"batch_size: must be 1, .* got 2"):
        engine.run()
    assert not out.exists()


def test_worker_processes_report_bad_files_likewise(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    write_raster(root / "a.png")
    (root / "b.png").write_bytes(b"no image")
    engine = evaluator(root, out, workers=1)
    with pytest.raises(RunFailedError, match="1 of 2"):
        engine.run()
    assert "b.png" in engine.results[1].error
    assert (out / "a_x4.png").is_file()


@pytest.mark.parametrize("name", ["float_raster_with_nodata.tif", "rotated.tif"])
def test_real_rasters_keep_bounds_type_and_holes(tmp_path, shared_data, name):
    source = shared_data / "geotiff" / name
    assert run(source, tmp_path / "out", scale=2)[0].error is None
    with (
        rasterio.open(source) as old,
        rasterio.open(next((tmp_path / "out").glob("*_x2.tif"))) as new,
    ):
        assert new.dtypes == old.dtypes
        assert new.bounds == pytest.approx(old.bounds)
        holes = (old.read_masks() == 0).repeat(2, 1).repeat(2, 2)
        assert np.array_equal(new.read_masks() == 0, holes)
