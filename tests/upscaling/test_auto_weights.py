"""Each input gets the weights that it needs, and exactly what these alone would make of it."""

from __future__ import annotations

import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from monai_sr import FileUpscaler
from monai_sr.catalogs.bids_sidecar import provenance_in
from monai_sr.cli.main import main
from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.upscaling.manifest import Manifest
from monai_sr.upscaling.record import RunFailedError
from tests import dicom_factory
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster
from tests.network_factory import tiny_bundle
from tests.robust_factory import with_robust
from tests.scene_factory import smooth


def upscaler(bundle, robust="auto", **options):
    return FileUpscaler(bundle, robust=robust, scale=2, device="cpu", **options)


@pytest.fixture(scope="module")
def always(tmp_path_factory):
    return with_robust(tmp_path_factory.mktemp("always"), {"2": 0, "4": 0})


@pytest.fixture(scope="module")
def never(tmp_path_factory):
    return with_robust(tmp_path_factory.mktemp("never"), {"2": None, "4": None})


@pytest.fixture
def source(tmp_path):
    return write_raster(tmp_path / "a.png", smooth((3, 40, 36)))


def pixels_of(result):
    with Image.open(str(result.output)) as image:
        return np.asarray(image)


def provenance(result):
    with Image.open(str(result.output)) as image:
        return json.loads(image.info["SUPER_RESOLUTION"])


def made(result):
    return Path(str(result.output)).read_bytes()


@pytest.mark.parametrize("way", ["faithful", "robust"])
def test_the_result_is_that_of_the_weights_alone(way, always, never, source, tmp_path, caplog):
    bundle = always if way == "robust" else never
    with caplog.at_level(logging.INFO, "monai_sr"):
        found = upscaler(bundle)(source, tmp_path / "auto")
    alone = upscaler(bundle, way == "robust")(source, tmp_path / "alone")
    assert found.weights == way
    assert {"noise", "correction"} <= set(found.found)
    assert np.array_equal(pixels_of(found), pixels_of(alone))
    assert f"{way} weights" in caplog.text
    assert alone.weights == ""


@pytest.mark.parametrize("limit", [0, 9])
@pytest.mark.parametrize("way", ["whole", "windows"])
def test_the_result_itself_says_what_was_found_and_chosen(limit, way, source, tmp_path):
    bundle = with_robust(tmp_path, {"2": 0 if limit == 0 else 9, "4": limit})
    options = {"scene_limit": 0} if way == "windows" else {}
    said = provenance(upscaler(bundle, **options)(source, tmp_path / "auto"))
    assert said["weights"] == ("robust" if limit == 0 else "faithful")
    assert said["found"].startswith(
        "degraded input: noise " if limit == 0 else "clean input: noise "
    )
    assert f"(limit: {0 if limit == 0 else 9:.2%})" in said["found"]
    alone = provenance(upscaler(bundle, limit == 0, **options)(source, tmp_path / "alone"))
    assert "found" not in alone
    assert alone.get("weights") == ("robust" if limit == 0 else None)
    assert {k: said[k] for k in alone} == alone


def test_a_volume_says_it_in_its_extension(always, tmp_path):
    file = write_nifti(tmp_path / "v.nii.gz", pixels((40, 36, 4)))
    result = upscaler(always)(file, tmp_path / "out")
    said = provenance_in(Path(str(result.output)))
    assert said["weights"] == result.weights == "robust"
    assert said["found"].startswith("degraded input: noise ")


def test_dicom_files_of_a_series_stay_one_though_each_was_measured(tmp_path):
    bundle = with_robust(tmp_path, {"2": 0, "4": 0})
    one = {"SeriesInstanceUID": "2.25.7", "StudyInstanceUID": "2.25.8"}
    files = [
        dicom_factory.write(tmp_path / f"{n}.dcm", dicom_factory.stored((40, 36), seed=n), **one)
        for n in range(2)
    ]
    shared = upscaler(bundle)
    results = [shared(file, tmp_path / "out") for file in files]
    heads = [pydicom.dcmread(str(result.output)) for result in results]
    assert results[0].found != results[1].found
    assert heads[0].SeriesInstanceUID == heads[1].SeriesInstanceUID
    for head in heads:
        assert "weights robust" in head.DerivationDescription
        assert "found degraded input: noise " in head.DerivationDescription
        assert head.DerivationDescription.endswith("not for primary diagnosis.")


def test_both_sets_of_weights_differ(always, source, tmp_path):
    results = [upscaler(always, r)(source, tmp_path / str(r)) for r in (True, False)]
    assert made(results[0]) != made(results[1])


def test_a_bundle_without_robust_weights_says_so(source, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "monai_sr"):
        found = upscaler(tiny_bundle(tmp_path))(source, tmp_path / "out")
    assert found.weights == "faithful"
    assert "noise" in found.found
    assert "correction" not in found.found
    assert "natural_sr has none for degraded input" in caplog.text


def test_weights_to_which_nothing_was_fitted_are_not_chosen(source, tmp_path, caplog):
    bundle = with_robust(tmp_path)
    with caplog.at_level(logging.INFO, "monai_sr"):
        found = upscaler(bundle)(source, tmp_path / "out")
    assert found.weights == "faithful"
    assert "limit: none was measured" in caplog.text
    assert "nothing was fitted" in caplog.text


def test_threads_get_what_one_alone_gets(always, tmp_path):
    files = [write_raster(tmp_path / f"{i}.png", pixels((3, 30, 20 + i))) for i in range(6)]
    shared = upscaler(always)
    alone = [made(shared(f, tmp_path / "alone")) for f in files]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda f: made(shared(f, tmp_path / "together")), files))
    assert together == alone


def test_what_is_done_is_skipped_unless_the_limits_change(always, source, tmp_path):
    run = {"scale": 2, "device": "cpu", "dataset#skip_done": True, "robust": "auto"}
    out = tmp_path / "out"
    (first,) = FileUpscaler(always, **run).upscale_all(source, out)
    (again,) = FileUpscaler(always, **run).upscale_all(source, out)
    row = Manifest(out).results()[out / "a_x2.png"]
    assert (first.is_skipped, again.is_skipped) == (False, True)
    assert row["weights"] == "robust"
    assert f"correction={first.found['correction']:g}" in row["found"]
    assert first.made_by == upscaler(always, **{"dataset#skip_done": True}).made_by()
    shutil.copytree(always, tmp_path / "natural_sr")
    file = tmp_path / "natural_sr" / "models" / "robust.json"
    file.write_text(file.read_text().replace('"2": 0', '"2": 0.5'))
    (other,) = FileUpscaler(tmp_path / "natural_sr", **run).upscale_all(source, out)
    assert not other.is_skipped


def test_labels_are_not_measured(always, tmp_path):
    file = write_raster(tmp_path / "labels.tif", np.tile(np.arange(3, dtype="u1"), (1, 36, 12)))
    found = upscaler(always, kind="label")(file, tmp_path / "out")
    assert (found.kind, found.weights, dict(found.found)) == ("label", "", {})


def test_a_damaged_file_ends_nothing(always, source, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(source, folder)
    (folder / "b.png").write_bytes(source.read_bytes()[:60])
    with pytest.raises(RunFailedError, match="1 of 2 inputs"):
        upscaler(always).upscale_all(folder, tmp_path / "out")
    assert (tmp_path / "out" / "a_x2.png").exists()
    with pytest.raises(BadImageError):
        upscaler(always)(folder / "b.png", tmp_path / "out")


def test_a_window_gets_the_verdict_and_the_pixels_of_the_whole(always, tmp_path):
    array = smooth((3, 150, 170))
    file = write_raster(tmp_path / "s.tif", array, transform=NORTH_UP, crs="EPSG:32614")
    whole = upscaler(always)(file, tmp_path / "whole")
    part = upscaler(always, window=[20, 30, 40, 50])(file, tmp_path / "part")
    streamed = upscaler(always, scene_limit=0)(file, tmp_path / "streamed")
    assert whole.found == part.found == streamed.found
    assert {whole.weights, part.weights, streamed.weights} == {"robust"}


def test_noisy_photos_are_told_from_clean_ones(samples_dir, tmp_path):
    with Image.open(samples_dir / "natural_sr" / "photo.png") as image:
        clean = np.asarray(image.convert("RGB"))[:64, :64]
    noise = np.random.default_rng(0).normal(0, 30, clean.shape)
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(clean).save(folder / "clean.png")
    Image.fromarray((clean + noise).clip(0, 255).astype("u1")).save(folder / "noisy.png")
    shared = FileUpscaler(robust="auto", scale=2, device="cpu", runtime="torch")
    results = shared.upscale_all(folder, tmp_path / "out")
    assert {Path(r.source).stem: r.weights for r in results} == {
        "clean": "faithful",
        "noisy": "robust",
    }


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"ckpt_path": "w.pt"}, "leave --ckpt_path out"),
        ({"system": "srcnn"}, "leave --robust or --system out"),
        ({"size": "fast"}, "leave --size or --robust out"),
        ({"spatial_dims": 3}, "leave --robust or --spatial_dims out"),
    ],
)
def test_where_there_is_no_choice_auto_is_refused(always, options, remedy):
    with pytest.raises(OptionError, match=remedy):
        upscaler(always, **options)


def test_a_damaged_table_of_limits_says_how_to_mend_it(source, tmp_path):
    bundle = with_robust(tmp_path, {"2": 0})
    file = bundle / "models" / "robust.json"
    file.write_text(file.read_text().replace('"limits"', '"limit"'))
    with pytest.raises(OptionError, match=r"robust.json: .*fit_robust.py"):
        upscaler(bundle)(source, tmp_path / "out")


@pytest.mark.parametrize("words", [["--robust", "auto"], ["--robust=auto"]])
def test_the_command_takes_it(always, source, tmp_path, capsys, words):
    command = ["upscale", *words, str(source), "-o", str(tmp_path / "out"), "--scale", "2"]
    assert main([*command, "--bundle", str(always), "--device", "cpu"]) == 0
    assert "robust weights" in capsys.readouterr().out


def test_alone_it_means_all_and_takes_no_file_for_its_value(always, source, tmp_path):
    command = ["upscale", "--robust", str(source), "-o", str(tmp_path / "out"), "--scale", "2"]
    assert main([*command, "--bundle", str(always), "--device", "cpu"]) == 0
    alone = upscaler(always, True)(source, tmp_path / "alone")
    assert (tmp_path / "out" / "a_x2.png").read_bytes() == made(alone)
