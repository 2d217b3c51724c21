"""docs/how-to/pipeline.md is true: every block runs, and the results are what an outsider expects.

The files of ``samples/`` go through; bicubic replaces the trained network, which takes longer.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import rasterio
from monai.data.image_writer import SUPPORTED_WRITERS
from monai.transforms import Compose, CopyItemsd, Flipd, Lambdad, LoadImaged, SaveImaged
from monai.transforms.io.array import SUPPORTED_READERS

from monai_sr import formats
from monai_sr.core.errors import user_message
from monai_sr.formats import NiftiWriter
from tests.docs.pages import sections

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "pipeline.md"
SECTIONS = sections(PAGE)
QUICK = ('"xray_sr", scale=2', '"xray_sr", scale=2, system="bicubic", device="cpu"')
SCANS = ("a", "b", "c")
# The page's two workers are more than a machine of one core has.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@pytest.fixture
def workplace(tmp_path, monkeypatch, repo_root):
    """Return a folder like a checkout, with the page's files and three scans."""
    for block in (block for blocks in SECTIONS.values() for block in blocks):
        if block.file:
            quick = block.text.replace(*QUICK)
            quick = quick.replace("  scale: 2\n", "  scale: 2\n  system: bicubic\n", 1)
            assert quick != block.text
            (tmp_path / block.file).write_text(quick)
    for name in ("bundles", "samples"):
        (tmp_path / name).symlink_to(repo_root / name)
    (tmp_path / "scans").mkdir()
    source = repo_root / "samples" / "xray_sr" / "chest_xray_dx.dcm"
    for shift, name in enumerate(SCANS):
        dataset = pydicom.dcmread(source)
        dataset.PixelData = np.roll(dataset.pixel_array, 10 * shift, axis=1).tobytes()
        dataset.PixelSpacing = [0.5 + shift, 0.5 + shift]
        dataset.save_as(tmp_path / "scans" / f"{name}.dcm")
    (tmp_path / "scans" / "broken.dcm").write_bytes(source.read_bytes()[:5000])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    tables = [(table, dict(table)) for table in (SUPPORTED_READERS, SUPPORTED_WRITERS)]
    yield tmp_path
    for table, before in tables:
        table.clear()
        table.update(before)
    sys.modules.pop("my_pipeline", None)


def run(section: str) -> dict[str, object]:
    """Run the Python blocks of a section one after another; return their names."""
    found: dict[str, object] = {}
    blocks = [b for b in SECTIONS[section] if b.kind == "python" and not b.file]
    assert blocks
    for block in blocks:
        exec(compile(block.text, section, "exec"), found)
    return found


def assert_dicom_is_enlarged(source, result):
    before, after = pydicom.dcmread(source), pydicom.dcmread(result)
    assert (after.Rows, after.Columns) == (2 * before.Rows, 2 * before.Columns)
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if keyword in before:
            assert np.allclose(np.array(after[keyword].value) * 2, before[keyword].value)
    assert after.BitsStored == before.BitsStored
    assert after.PhotometricInterpretation == before.PhotometricInterpretation
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert_is_same_picture(before.pixel_array, after.pixel_array)


def assert_is_same_picture(before, after):
    """Means of 2 x 2 pixels are the input's pixels, but for rounding and bicubic overshoot."""
    assert before.dtype == after.dtype
    blocks = (after[::2, ::2], after[1::2, ::2], after[::2, 1::2], after[1::2, 1::2])
    shrunk = sum(block.astype(np.float64) for block in blocks) / 4
    reach = float(before.max()) - float(before.min())
    assert np.abs(shrunk - before).mean() < 0.02 * reach
    assert abs(shrunk.mean() - before.mean()) < 0.002 * reach


def assert_nifti_is_enlarged(source, result):
    before, after = nib.load(source), nib.load(result)
    assert after.shape == (2 * before.shape[0], 2 * before.shape[1], before.shape[2])
    zooms = np.array(before.header.get_zooms()) / (2, 2, 1)
    assert np.allclose(after.header.get_zooms(), zooms)
    # The outer corner of the first voxel stays where it is.
    assert np.allclose(before.affine @ [-0.5, -0.5, 0, 1], after.affine @ [-0.5, -0.5, 0, 1])
    assert_is_same_picture(
        np.asarray(before.dataobj.get_unscaled()), np.asarray(after.dataobj.get_unscaled())
    )


def assert_raster_is_enlarged(source, result):
    with rasterio.open(source) as before, rasterio.open(result) as after:
        assert after.shape == (2 * before.height, 2 * before.width)
        assert after.bounds == pytest.approx(before.bounds)
        assert (after.crs, after.count) == (before.crs, before.count)
        for band in range(1, before.count + 1):
            assert_is_same_picture(before.read(band), after.read(band))


def test_every_file_of_the_three_formats_is_enlarged(workplace):
    run("Files")
    assert_dicom_is_enlarged("samples/xray_sr/chest_xray_dx.dcm", "out/chest_xray_dx_x2.dcm")
    assert_nifti_is_enlarged("samples/mri_sr/brain_mr.nii.gz", "out/brain_mr_x2.nii.gz")
    assert_raster_is_enlarged("samples/satellite_sr/naip.tif", "out/naip_x2.tif")
    assert len(list(Path("out").iterdir())) == 3


def test_one_call_enlarges_one_file(workplace):
    found = run("Whole files, one call each")
    result = found["result"]
    assert result.files == ("out_files/chest_xray_dx_x2.dcm",)
    assert_dicom_is_enlarged("samples/xray_sr/chest_xray_dx.dcm", result.files[0])
    assert result.instance_uids == (str(pydicom.dcmread(result.files[0]).SOPInstanceUID),)


def test_table_names_what_the_file_uses(workplace):
    module = importlib.import_module("my_pipeline")
    table = PAGE.read_text().split("|---|---|---|---|\n")[1].partition("\n\n")[0]
    rows = [line.split("|")[2:5] for line in table.splitlines()]
    named = [[cell.strip(" `").split(".")[-1] for cell in row[:2]] for row in rows if len(row) == 3]
    used = [[part.__name__ for part in pair] for pair in module.FORMATS.values()]
    assert [pair for pair in named if pair in used] == used
    assert all(hasattr(formats, name) for pair in named for name in pair)


def test_series_as_a_list_becomes_a_folder(workplace):
    module = importlib.import_module("my_pipeline")
    files = [str(f) for f in sorted(Path(pydicom.data.__file__).parent.rglob("98892003/MR1/*"))]
    module.upscale(".dcm", "out")({"image": files})
    (folder,) = Path("out").iterdir()
    assert len(list(folder.iterdir())) == len(files) > 1
    sizes = {pydicom.dcmread(f).Rows for f in folder.iterdir()}
    assert sizes == {2 * pydicom.dcmread(files[0]).Rows}


def test_batches_from_workers_keep_each_files_geometry(workplace):
    found = run("Data sets, workers and batches")
    assert len(found["images"]) == 3
    for name in SCANS:
        assert_dicom_is_enlarged(f"scans/{name}.dcm", f"out_batches/{name}_x2.dcm")
    assert len(list(Path("out_batches").iterdir())) == 3


def test_batch_equals_files_one_by_one(workplace):
    run("Data sets, workers and batches")
    module = importlib.import_module("my_pipeline")
    for name in SCANS:
        module.upscale(".dcm", "out_single")({"image": f"scans/{name}.dcm"})
        single = pydicom.dcmread(f"out_single/{name}_x2.dcm")
        assert np.array_equal(
            single.pixel_array, pydicom.dcmread(f"out_batches/{name}_x2.dcm").pixel_array
        )


def test_configuration_runs_by_parser_and_as_workflow(workplace, capsys):
    run("Bundles")
    for folder in ("out_parser", "out_workflow"):
        assert_nifti_is_enlarged("samples/mri_sr/brain_mr.nii.gz", f"{folder}/brain_mr_x2.nii.gz")
    assert_dicom_is_enlarged(
        "samples/xray_sr/chest_xray_dx.dcm", "out_shipped/chest_xray_dx_x2.dcm"
    )
    assert "(1, 340, 420, 10)" in capsys.readouterr().out.replace("torch.Size([", "(").replace(
        "])", ")"
    )


def test_registered_reader_and_writer_are_found(workplace):
    run("Readers and writers by default")
    assert_raster_is_enlarged("samples/satellite_sr/naip.tif", "out_registered/naip_trans.tif")


def test_bad_file_in_a_worker_gives_its_line(workplace, capsys):
    found = run("Errors")
    assert "scans/broken.dcm: " in str(found["message"])
    assert "copy the file again" in str(found["message"])
    assert capsys.readouterr().out.count("\n") == 1


def test_writer_that_refuses_gives_its_line(workplace):
    """MONAI puts what a writer raises into text, as a worker does."""
    module = importlib.import_module("my_pipeline")
    steps = [*module.load(".dcm"), CopyItemsd("image", names="pred"), Flipd("pred", 0)]
    enlarge = [Lambdad("pred", module.resolver), *module.save(".dcm", "out")]
    with pytest.raises(RuntimeError) as caught:
        Compose(steps + enlarge)({"image": "scans/a.dcm"})
    message = str(user_message(caught.value))
    assert message.startswith("out/a_x2.dcm: DICOM output must cover all of its source, got a")
    assert list(Path("out").iterdir()) == []


def test_foreign_sample_is_refused_by_the_writer(workplace):
    stock = LoadImaged("image", reader="NibabelReader", ensure_channel_first=True)
    save = SaveImaged("image", writer=NiftiWriter, output_dir="out", resample=False)
    with pytest.raises(RuntimeError) as caught:
        save(stock({"image": "samples/mri_sr/brain_mr.nii.gz"}))
    assert "use the reader and the writer of the same format" in str(user_message(caught.value))
