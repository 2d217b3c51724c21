"""One object enlarges file after file: typed results, errors of their kind, threads, no traces."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file
from rasterio.crs import CRS

import monai_sr
from monai_sr import FileUpscaler
from monai_sr.cli.main import main
from monai_sr.core.errors import BadImageError, OptionError, OutputError, WeightsError
from monai_sr.upscaling import RunFailedError
from monai_sr.upscaling.evaluator import UpscaleEvaluator
from monai_sr.upscaling.manifest import Manifest
from tests import dicom_factory
from tests.image_factory import NORTH_UP, ROTATED_POLE, pixels, write_raster
from tests.network_factory import tiny, tiny_bundle
from tests.sentinel2_factory import write_product


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def upscaler(bundle):
    return FileUpscaler(bundle, scale=2, device="cpu")


def series(folder, seed=0):
    return dicom_factory.write_series(folder, dicom_factory.stored((3, 6, 9)) + seed)


def contents(folder):
    """Return the bytes of every result; names that begin with a dot, and records, are none."""
    return {
        str(f.relative_to(folder)): f.read_bytes()
        for f in sorted(folder.rglob("[!.]*"))
        if f.is_file() and f.name != Manifest.name
    }


def test_a_series_gives_paths_uids_and_agreement(upscaler, tmp_path):
    folder = series(tmp_path / "series")
    result = upscaler(folder, tmp_path / "out")
    slices = sorted((tmp_path / "out" / "series_x2").iterdir())
    assert result.output == str(tmp_path / "out" / "series_x2")
    assert result.files == tuple(map(str, slices))
    headers = [pydicom.dcmread(f) for f in slices]
    assert result.instance_uids == tuple(str(h.SOPInstanceUID) for h in headers)
    assert {result.series_uid} == {str(h.SeriesInstanceUID) for h in headers}
    source = pydicom.dcmread(next(folder.iterdir()))
    assert result.study_uid == source.StudyInstanceUID
    assert result.series_uid != source.SeriesInstanceUID
    assert (result.size_in, result.size_out) == ("9 x 6 x 3", "18 x 12 x 3")
    assert result.lr_psnr > 10
    assert set(result.timings) == {"read", "enlarge", "write"}
    assert sum(result.timings.values()) == pytest.approx(result.seconds, abs=0.05)
    assert result.made_by == upscaler.made_by()
    assert not (tmp_path / "out" / Manifest.name).exists()


def test_the_same_input_replaces_its_result_and_no_other_does(upscaler, tmp_path):
    first, second = tmp_path / "one" / "a.png", tmp_path / "two" / "a.png"
    for seed, path in enumerate((first, second)):
        path.parent.mkdir()
        write_raster(path, pixels((3, 6, 8), seed=seed))
    out = tmp_path / "out"
    kept = Path(upscaler(first, out).output)
    before = kept.read_bytes()
    other = upscaler(second, out).output
    assert kept == out / "a_x2.png"
    assert Path(other).name == f"a_{hashlib.sha256(str(second).encode()).hexdigest()[:8]}_x2.png"
    assert kept.read_bytes() == before
    write_raster(first, pixels((3, 6, 8), seed=2))
    assert upscaler(first, tmp_path / "one" / ".." / "out").output.endswith("out/a_x2.png")
    assert kept.read_bytes() != before
    assert upscaler(second, out).output == other
    assert sorted(contents(out)) == sorted([kept.name, Path(other).name])


def test_a_file_that_this_object_did_not_make_is_kept(bundle, upscaler, tmp_path):
    source = write_raster(tmp_path / "a.png", pixels((3, 6, 8)))
    out = tmp_path / "out"
    upscaler(source, out)
    before = (out / "a_x2.png").read_bytes()
    write_raster(source, pixels((3, 6, 8), seed=1))
    result = FileUpscaler(bundle, scale=2, device="cpu")(source, out)
    assert Path(result.output).name != "a_x2.png"
    assert (out / "a_x2.png").read_bytes() == before


def test_names_of_a_million_results_are_not_kept(upscaler, tmp_path, monkeypatch):
    monkeypatch.setattr("monai_sr.upscaling.file_upscaler._REMEMBERED", 2)
    for name in ("a", "b", "c"):
        upscaler(write_raster(tmp_path / f"{name}.png", pixels((3, 6, 8))), tmp_path / "out")
    assert [path.name for path in upscaler._made] == ["b_x2.png", "c_x2.png"]


def test_facts_beside_a_result_are_among_its_files(upscaler, tmp_path):
    system = CRS.from_wkt(ROTATED_POLE)
    write_raster(tmp_path / "a.tif", pixels((3, 6, 8)), crs=system, transform=NORTH_UP)
    result = upscaler(tmp_path / "a.tif", tmp_path / "out")
    assert [Path(file).name for file in result.files] == ["a_x2.tif", "a_x2.tif.aux.xml"]


def test_a_long_name_is_cut_in_that_of_the_result(upscaler, tmp_path):
    source = write_raster(tmp_path / f"{'x' * 248}.tif", crs="EPSG:32633", transform=NORTH_UP)
    result = upscaler(source, tmp_path / "out")
    (written,) = (tmp_path / "out").glob("*.tif")
    assert result.files == (result.output,) == (str(written),)
    assert len(written.name) == 220
    assert re.fullmatch(r"x+_[0-9a-f]{8}_x2\.tif", written.name)


def test_a_source_without_a_study_gives_a_result_that_says_so(upscaler, tmp_path):
    made = dicom_factory.dataset()
    del made.StudyInstanceUID
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    result = upscaler(tmp_path / "a.dcm", tmp_path / "out")
    assert (result.study_uid, len(result.instance_uids)) == ("", 1)


def test_files_of_a_series_are_the_series(upscaler, tmp_path):
    folder = series(tmp_path / "series")
    whole = upscaler(folder, tmp_path / "whole")
    listed = upscaler(sorted(folder.iterdir(), reverse=True), tmp_path / "listed")
    assert contents(tmp_path / "whole") == contents(tmp_path / "listed")
    assert whole.instance_uids == listed.instance_uids


def test_results_are_those_of_the_command(bundle, upscaler, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    write_raster(source / "a.tif", pixels((3, 9, 8)), crs="EPSG:32633", transform=NORTH_UP)
    write_raster(source / "b.png", pixels((3, 6, 8)))
    series(source / "ct")
    for name in ("a.tif", "b.png", "ct"):
        upscaler(source / name, tmp_path / "one")
    words = ["--model", str(bundle), "--scale", "2", "--device", "cpu"]
    assert main(["upscale", str(source), "-o", str(tmp_path / "all"), *words]) == 0
    flat = {name.rpartition("ct/")[2]: v for name, v in contents(tmp_path / "all").items()}
    one = {name.rpartition("ct/")[2]: v for name, v in contents(tmp_path / "one").items()}
    assert flat == one


def test_each_input_has_the_bundle_that_fits(tmp_path):
    upscaler = FileUpscaler(system="bicubic", device="cpu")
    write_raster(tmp_path / "p.png", pixels((3, 6, 8)))
    ct = get_testdata_file("CT_small.dcm")
    assert upscaler(tmp_path / "p.png", tmp_path / "out").bundle == "natural_sr"
    result = upscaler(ct, tmp_path / "out")
    assert result.bundle == "ct_sr"
    assert result.files == (str(tmp_path / "out" / "CT_small_x4.dcm"),)


def test_a_product_goes_as_one_of_its_parts_only(upscaler, tmp_path):
    product = write_product(tmp_path)
    with pytest.raises(BadImageError, match="must be one image or one series, got "):
        upscaler(product, tmp_path / "out")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda d: d / "none.png", BadImageError, "no such file"),
        (lambda d: [], BadImageError, "got none"),
        (lambda d: [d / "none.dcm"], BadImageError, "no such file"),
    ],
)
def test_bad_inputs_raise_their_kind(upscaler, tmp_path, make, error, message):
    with pytest.raises(error, match=message):
        upscaler(make(tmp_path), tmp_path / "out")


def test_a_damaged_file_and_two_images_are_refused(upscaler, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(BadImageError, match=r"bad\.png"):
        upscaler(tmp_path / "bad.png", tmp_path / "out")
    (tmp_path / "two").mkdir()
    write_raster(tmp_path / "two" / "a.png", pixels((3, 6, 8)))
    write_raster(tmp_path / "two" / "b.png", pixels((3, 6, 8)))
    with pytest.raises(BadImageError, match="got 2; give them one by one"):
        upscaler(tmp_path / "two", tmp_path / "out")


def test_where_nothing_can_be_written_the_error_says_so(upscaler, tmp_path):
    source = write_raster(tmp_path / "a.png", pixels((3, 6, 8)))
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out"):
        upscaler(source, tmp_path / "out")


def test_what_nobody_foresees_is_a_failed_run(bundle, tmp_path, monkeypatch):
    upscaler = FileUpscaler(bundle, scale=2, device="cpu")
    upscaler.prepare()
    source = write_raster(tmp_path / "a.png", pixels((3, 6, 8)))
    monkeypatch.setattr(monai_sr.transforms.SaveImageSRd, "__call__", lambda *_: 1 / 0)
    with pytest.raises(RunFailedError, match=r"a\.png: could not be enlarged \(ZeroDivision"):
        upscaler(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scael": 2}, OptionError, "scael"),
        ({"output_dir": "out"}, OptionError, "must be given to each call"),
        ({"scale": 2, "spacing": 0.5}, OptionError, "leave --scale or --spacing out"),
    ],
)
def test_bad_options_show_when_it_is_made(bundle, options, error, message):
    with pytest.raises(error, match=message):
        FileUpscaler(bundle, **options)


def test_bad_weights_show_when_it_is_prepared(tmp_path):
    folder = tiny_bundle(tmp_path)
    (folder / "models" / "model.pt").write_bytes(b"damaged")
    upscaler = FileUpscaler(folder, device="cpu")
    with pytest.raises(WeightsError):
        upscaler.prepare()


def test_threads_get_what_each_would_get_alone(upscaler, tmp_path):
    """Pictures, series and scenes in windows, at once and through one object."""
    sources = [series(tmp_path / f"s{i}", i) for i in range(3)]
    for i in range(5):
        sources.append(write_raster(tmp_path / f"p{i}.png", pixels((3, 20, 30 + i), seed=i)))
    for source in sources:
        upscaler(source, tmp_path / "alone")
    barrier = threading.Barrier(len(sources))

    def one(source):
        barrier.wait()
        return upscaler(source, tmp_path / "together")

    with ThreadPoolExecutor(len(sources)) as pool:
        results = list(pool.map(one, sources))
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")
    for source, result in zip(sources, results, strict=True):
        assert source.stem in str(result.output)
        if result.output.endswith(".png"):
            written = Path(result.output).read_bytes()
            assert result.output_sha256 == hashlib.sha256(written).hexdigest()


def test_a_result_that_is_made_again_and_again_keeps_its_name(upscaler, tmp_path, monkeypatch):
    monkeypatch.setattr("monai_sr.upscaling.file_upscaler._REMEMBERED", 2)
    for name in ("a", "b", "a", "c", "a"):
        source = write_raster(tmp_path / f"{name}.png", pixels((3, 6, 8)))
        assert Path(str(upscaler(source, tmp_path / "out").output)).name == f"{name}_x2.png"


def test_results_of_one_name_are_kept_apart_at_once_too(upscaler, tmp_path, monkeypatch):
    sources = []
    for i in range(3):
        (tmp_path / f"in{i}").mkdir()
        sources.append(write_raster(tmp_path / f"in{i}" / "a.png", pixels((3, 6, 8), seed=i)))
        upscaler(sources[i], tmp_path / f"alone{i}")
    barrier, enlarge = threading.Barrier(3), FileUpscaler._enlarge

    def together(*given):
        barrier.wait()  # all have been named by now
        return enlarge(*given)

    monkeypatch.setattr(FileUpscaler, "_enlarge", together)
    with ThreadPoolExecutor(3) as pool:
        runs = [
            pool.submit(upscaler, sources[0], tmp_path / "out"),
            pool.submit(upscaler.upscale_all, sources[1].parent, tmp_path / "out"),
            pool.submit(upscaler, sources[2], tmp_path / "out"),
        ]
        first, (second,), third = (run.result() for run in runs)
    assert len(contents(tmp_path / "out")) == 3
    for i, result in enumerate((first, second, third)):
        alone = (tmp_path / f"alone{i}" / "a_x2.png").read_bytes()
        assert Path(result.output).read_bytes() == alone
    assert list(Manifest(tmp_path / "out").sources()) == [Path(second.output)]


def test_runs_of_two_programs_keep_results_of_one_name_apart(
    upscaler, bundle, tmp_path, monkeypatch
):
    sources = []
    for i in range(2):
        (tmp_path / f"in{i}").mkdir()
        sources.append(write_raster(tmp_path / f"in{i}" / "a.png", pixels((3, 6, 8), seed=i)))
    other, plan = FileUpscaler(bundle, scale=2, device="cpu"), FileUpscaler.plan

    def planned(*given):
        found = plan(*given)
        if given[0] is upscaler:  # which the other one overtakes
            other.upscale_all(sources[1], tmp_path / "out")
        return found

    monkeypatch.setattr(FileUpscaler, "plan", planned)
    (result,) = upscaler.upscale_all(sources[0], tmp_path / "out")
    assert len(contents(tmp_path / "out")) == 2
    made = {
        Path(path).name: source for path, source in Manifest(tmp_path / "out").sources().items()
    }
    assert made == {"a_x2.png": str(sources[1]), Path(str(result.output)).name: str(sources[0])}


def test_a_call_after_one_that_was_stopped_is_whole(upscaler, tmp_path, monkeypatch):
    source = write_raster(tmp_path / "a.png", pixels((3, 6, 8)))

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(UpscaleEvaluator, "_enlarge", stopped)
        with pytest.raises(KeyboardInterrupt):
            upscaler(source, tmp_path / "out")
    assert not contents(tmp_path / "out")
    assert upscaler(source, tmp_path / "out").size_out == "16 x 12, 3 bands"


def test_results_name_the_weights_that_made_them(bundle, tmp_path):
    source = write_raster(tmp_path / "a.png", pixels((3, 6, 8)))
    weights = tmp_path / "w.pt"
    weights.write_bytes((bundle / "models" / "model.pt").read_bytes())
    was = hashlib.sha256(weights.read_bytes()).hexdigest()
    early, late = (
        FileUpscaler(bundle, scale=2, device="cpu", ckpt_path=str(weights)) for _ in range(2)
    )
    early.prepare()
    torch.save(tiny(3, seed=9).state_dict(), weights)  # a training run goes on meanwhile
    with Image.open(str(early(source, tmp_path / "out").output)) as result:
        assert was in result.text["SUPER_RESOLUTION"]
    with pytest.raises(WeightsError, match=r"changed since .* make it anew"):
        late(source, tmp_path / "out")


def test_windows_go_through_threads_too(bundle, tmp_path):
    upscaler = FileUpscaler(bundle, scale=2, device="cpu", scene_limit=0)
    sources = [
        write_raster(
            tmp_path / f"{i}.tif", pixels((3, 40, 50), seed=i), crs="EPSG:32633", transform=NORTH_UP
        )
        for i in range(3)
    ]
    for source in sources:
        upscaler(source, tmp_path / "alone")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda s: upscaler(s, tmp_path / "together"), sources))
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")
    assert len(contents(tmp_path / "alone")) == 3


def test_warnings_of_a_file_are_its_own(upscaler, tmp_path):
    plain = write_raster(tmp_path / "a.png", pixels((3, 6, 8)))
    values = dicom_factory.stored((6, 9))
    one = dicom_factory.write(tmp_path / "two" / "a.dcm", values)
    (tmp_path / "two" / "b.dcm").write_bytes(one.read_bytes())
    assert upscaler(plain, tmp_path / "out").warnings == ()
    (line,) = upscaler(tmp_path / "two", tmp_path / "out").warnings
    assert "copies of others" in line


def test_logging_of_the_program_stays_as_it_is(bundle, tmp_path):
    def state():
        names = ["", "monai_sr", "monai", "monai.bundle.workflows", "pydicom", "ignite", "rasterio"]
        loggers = [logging.getLogger(name) for name in names]
        return [(g.level, g.propagate, list(g.handlers), g.disabled) for g in loggers]

    before = state()
    upscaler = FileUpscaler(bundle, device="cpu")
    upscaler(write_raster(tmp_path / "a.png", pixels((3, 6, 8))), tmp_path / "out")
    assert state() == before


def test_de_identified_results_have_names_that_tell_nothing(bundle, tmp_path):
    upscaler = FileUpscaler(bundle, scale=2, device="cpu", deidentify=True)
    source = dicom_factory.write(tmp_path / "Doe^John.dcm", dicom_factory.stored((6, 9)))
    result = upscaler(source, tmp_path / "out")
    assert "Doe" not in str(result)
    assert np.asarray(pydicom.dcmread(result.files[0]).pixel_array).shape == (12, 18)
