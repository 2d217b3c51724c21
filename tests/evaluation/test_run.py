"""Systems judged on benchmarks: figures against scikit-image, files, cache, and one-line errors."""

from __future__ import annotations

import csv
import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from monai_sr.core.errors import BadImageError, OptionError, WeightsError
from monai_sr.core.registry import find_bundle
from monai_sr.evaluation import run as evaluation
from monai_sr.evaluation.candidates import find_candidates
from monai_sr.evaluation.run import BenchmarkEvaluator
from monai_sr.transforms import read_input
from monai_sr.transforms.interval import interval_widening
from monai_sr.upscaling import SuperResolver
from tests.image_factory import write_nifti


@pytest.fixture
def photos(tmp_path, samples_dir):
    """Return a folder of two classes of small photographs."""
    whole = Image.open(samples_dir / "hr" / "photo.png").convert("RGB")
    boxes = {
        "city/001_a": (0, 0, 50, 45),
        "city/001_b": (40, 40, 92, 88),
        "sea/002_a": (9, 60, 70, 120),
    }
    for name, box in boxes.items():
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.crop(box).save(path)
    return tmp_path / "photos"


def _evaluate(root, out, **options):
    given = {"dataset": None, "root": root, "scale": 2, "output_dir": out, "measures": ["psnr"]}
    evaluator = BenchmarkEvaluator("natural_sr", **(given | options))
    evaluator.run()
    return evaluator, json.loads(evaluator.written[0].read_text())


def _table(out):
    with (out / "photos_x2.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_figures_equal_scikit_image_on_the_pictures_that_are_kept(photos, tmp_path):
    out = tmp_path / "out"
    _evaluate(photos, out, system=["srcnn", "model"], save_images=True)
    rows = _table(out)
    assert [row["system"] for row in rows] == ["bicubic"] * 3 + ["natural_sr"] * 3 + ["srcnn"] * 3
    for row in rows:
        folder = out / "images" / "photos_x2" / row["class"] / row["image"]
        sr, hr = (
            rgb2ycbcr(np.asarray(Image.open(folder / f"{name}.png")))[2:-2, 2:-2, 0]
            for name in (row["system"], "hr")
        )
        original = np.asarray(Image.open(photos / row["class"] / f"{row['image']}.png"))
        kept = np.asarray(Image.open(folder / "hr.png"))
        assert (kept == original[: kept.shape[0], : kept.shape[1]]).all()
        psnr = peak_signal_noise_ratio(hr, sr, data_range=255)
        full = structural_similarity(
            hr, sr, data_range=255, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True,
        )[1]  # fmt: skip
        assert float(row["psnr"]) == pytest.approx(psnr, abs=0.01)
        assert float(row["ssim"]) == pytest.approx(full[5:-5, 5:-5].mean(), abs=0.0005)


def test_summary_averages_systems_classes_and_differences(photos, tmp_path):
    _, found = _evaluate(photos, tmp_path / "out", system="nearest", patient="([0-9]+)_")
    rows = _table(tmp_path / "out")
    psnr = {n: [float(r["psnr"]) for r in rows if r["system"] == n] for n in ("bicubic", "nearest")}
    base, nearest = found["systems"]
    assert (base["name"], base["difference_to_bicubic"]) == ("bicubic", None)
    assert nearest["means"]["psnr"]["mean"] == pytest.approx(np.mean(psnr["nearest"]), abs=1e-4)
    difference = nearest["difference_to_bicubic"]["psnr"]
    apart = np.subtract(psnr["nearest"], psnr["bicubic"])
    assert difference["mean"] == pytest.approx(apart.mean(), abs=1e-4)
    assert min(apart) <= difference["low"] <= difference["mean"] <= difference["high"]
    city = nearest["classes"]["city"]
    assert city["images"] == 2
    assert city["means"]["psnr"]["mean"] == pytest.approx(np.mean(psnr["nearest"][:2]), abs=1e-4)
    assert city["means"]["psnr"]["low"] is None  # one patient
    assert found["bootstrap"]["unit"] == "patient"
    assert found["dataset"]["patients"] == 2
    assert found["dataset"]["classes"] == {"city": 2, "sea": 1}
    assert found["dataset"]["files"]["sea/002_a"] == "sea/002_a.png"
    assert {"monai_sr", "monai", "torch", "numpy", "python"} == set(found["versions"])
    assert (found["scale"], found["protocol"]["name"]) == (2, "natural")


def test_a_second_call_enlarges_nothing_and_gives_the_same_files(photos, tmp_path, monkeypatch):
    options = {"system": "model", "cache_dir": tmp_path / "cache", "save_images": True}
    _evaluate(photos, tmp_path / "out", **options)
    first = (tmp_path / "out" / "photos_x2.csv").read_bytes()
    monkeypatch.setattr(evaluation, "enlarge_image", None)
    monkeypatch.setattr("monai_sr.evaluation.candidates.Candidate.build", None)
    _evaluate(photos, tmp_path / "out", **options)
    assert (tmp_path / "out" / "photos_x2.csv").read_bytes() == first


@pytest.mark.parametrize("change", ["image", "side-car", "consistency", "measures", "picture"])
def test_what_changes_is_measured_anew(photos, tmp_path, monkeypatch, change):
    options = {"system": "nearest", "cache_dir": tmp_path / "cache", "save_images": True}
    _evaluate(photos, tmp_path / "out", **options)
    done = []
    original = evaluation.enlarge_image
    monkeypatch.setattr(
        evaluation, "enlarge_image",
        lambda benchmark, image, system, scale: done.append((image.name, system.name))
        or original(benchmark, image, system, scale),
    )  # fmt: skip
    expected = {("002_a", "bicubic"), ("002_a", "nearest")}
    if change == "image":
        file = photos / "sea" / "002_a.png"
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    elif change == "side-car":
        (photos / "sea" / "002_a.png.aux.xml").write_text("<PAMDataset></PAMDataset>")
    elif change == "picture":
        (tmp_path / "out/images/photos_x2/sea/002_a/nearest.png").unlink()
        expected = {("002_a", "nearest")}
    elif change == "consistency":
        options["consistency"] = 1
        expected = {(name, "nearest, consistency 1") for name in ("001_a", "001_b", "002_a")}
    else:
        options["measures"] = ["mse"]
        expected = {(n, s) for n in ("001_a", "001_b", "002_a") for s in ("bicubic", "nearest")}
    _evaluate(photos, tmp_path / "out", **options)
    assert set(done) == expected


def test_faces_of_the_model_have_names_of_their_own():
    names = [c.name for c in find_candidates("natural_sr", 4, ["model", "perceptual", "robust"])]
    assert names == ["bicubic", "natural_sr", "natural_sr, perception 1", "natural_sr, robust"]
    fast, same = (find_candidates("natural_sr", 4, *how, **more)[1] for how, more in (
        (["fast"], {}), ([], {"size": "fast"}),
    ))  # fmt: skip
    assert (fast.name, fast.identity) == ("natural_sr, fast", same.identity)
    (_, best) = find_candidates("natural_sr", 4, size="best")
    assert (best.name, best.options) == ("natural_sr", {})
    (_, half) = find_candidates("natural_sr", 4, perception=0.5, robust=False)
    assert half.name == "natural_sr, perception 0.5"
    (_, zero) = find_candidates("natural_sr", 4, perception=0.0)
    assert zero.name == "natural_sr"


def test_two_systems_of_one_name_are_refused(tmp_path, repo_root):
    copy = tmp_path / "srcnn.yaml"
    copy.write_bytes((repo_root / "configs/systems/srcnn.yaml").read_bytes())
    assert len(find_candidates("natural_sr", 4, ["srcnn", "srcnn", "bicubic"])) == 2
    with pytest.raises(OptionError, match="rename one of the files"):
        find_candidates("natural_sr", 4, ["srcnn", str(copy)])


def test_systems_of_the_papers_are_taken_as_they_were_published():
    by_name = {c.name: c for c in find_candidates("natural_sr", 4, ["srcnn", "model"])}
    assert by_name["srcnn"].options["consistency"] == 0
    assert "consistency" not in by_name["natural_sr"].options
    assert by_name["srcnn"].weights_sha256 != by_name["natural_sr"].weights_sha256


def test_intervals_are_judged_and_kept(photos, tmp_path):
    out = tmp_path / "out"
    _, found = _evaluate(
        photos, out, system="views", measures=["coverage"], save_images=True, per_class=1
    )
    own = found["systems"][1]
    assert own["name"] == "natural_sr, 8 views"
    once = find_candidates("natural_sr", 2, "model")[1].build()[1]
    cost = "multiply_adds_per_output_pixel"
    assert own[cost] == pytest.approx(8 * once[cost])
    metadata_file = find_bundle("natural_sr") / "configs" / "metadata.json"
    metadata = json.loads(metadata_file.read_text())
    resolver = SuperResolver.from_bundle("natural_sr", scale=2, device="cpu", runtime="torch")
    widening = interval_widening(metadata_file, 2)
    covered = []
    for name in ("city/001_a", "sea/002_a"):
        folder = out / "images" / "photos_x2" / name
        lr, hr = (
            np.asarray(Image.open(folder / f"{part}.png")).transpose(2, 0, 1) / 255.0
            for part in ("lr", "hr")
        )
        with torch.inference_mode():
            mean, spread = resolver.inferer.mean_and_spread(
                torch.from_numpy(lr).float()[None], resolver.network
            )
        half = widening.plain(metadata["uncertainty"]["factors"]["2"], spread[0].numpy())
        half = widening(half, mean[0].numpy(), read_input(lr), 2)
        holds = abs(mean[0].numpy() - hr) <= half
        covered.append(100 * holds[:, 2:-2, 2:-2].mean())
        picture = Image.open(folder / "natural_sr_8_views_interval.png")
        shown = np.asarray(picture) / 65535 * float(picture.info["monai-sr white"])
        np.testing.assert_allclose(shown, half.mean(0), atol=1e-4)
    assert own["means"]["coverage"]["mean"] == pytest.approx(np.mean(covered), abs=1e-3)
    assert found["systems"][0]["means"]["coverage"] == {
        "mean": None, "low": None, "high": None, "images": 0, "infinite": 0, "missing": 2,
    }  # fmt: skip


def test_a_result_equal_to_its_reference_is_left_out_with_a_note(tmp_path):
    (tmp_path / "flat").mkdir()
    for name, value in (("a", 40), ("b", 200)):
        Image.fromarray(np.full((24, 26), value, np.uint8)).save(tmp_path / "flat" / f"{name}.png")
    _, found = _evaluate(tmp_path / "flat", tmp_path / "out", system="bicubic")
    assert found["systems"][0]["means"]["psnr"]["infinite"] == 2
    assert found["systems"][0]["means"]["psnr"]["mean"] is None
    assert "infinite psnr is left out" in " ".join(found["notes"])


def test_images_too_small_for_a_measure_are_counted(photos, tmp_path):
    Image.fromarray(np.full((13, 30), 9, np.uint8)).save(photos / "city" / "003_small.png")
    _, found = _evaluate(photos, tmp_path / "out", system="nearest")
    ssim = found["systems"][1]["means"]["ssim"]
    assert (ssim["images"], ssim["missing"]) == (3, 1)
    assert "ssim is the mean of 3 images; 1 are too small" in " ".join(found["notes"])


def test_missing_weights_of_a_measure_leave_its_column_out_with_the_reason(photos, tmp_path):
    nowhere = {"lpips_alex": tmp_path / "alexnet.pth"}
    _, found = _evaluate(
        photos, tmp_path / "out", system="nearest",
        measures=["psnr", "lpips_alex"], measure_weights=nowhere,
    )  # fmt: skip
    assert "lpips_alex" not in found["measures"]
    assert "weights cannot be read" in found["left_out"]["lpips_alex"]


def test_slices_of_volumes_are_judged_on_the_range_of_the_volume(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "mr").mkdir()
    write_nifti(tmp_path / "mr" / "one.nii.gz", rng.integers(0, 900, (24, 26, 3), dtype=np.int16))
    evaluator = BenchmarkEvaluator(
        "mri_sr", dataset=None, root=tmp_path / "mr", scale=2, system="bicubic",
        protocol="native", slice_step=2, output_dir=tmp_path / "out", measures=["psnr"],
    )  # fmt: skip
    evaluator.run()
    found = json.loads(evaluator.written[0].read_text())
    assert found["dataset"]["images"] == 2
    assert found["protocol"]["data_range"] == 1
    assert not found["protocol"]["is_rounded"]


def test_given_low_resolution_images_are_used(photos, tmp_path):
    out = tmp_path / "out"
    city = photos / "city"
    (tmp_path / "lr").mkdir()
    for name in ("001_a", "001_b"):
        whole = np.asarray(Image.open(city / f"{name}.png"))
        Image.fromarray(whole[::2, ::2]).save(tmp_path / "lr" / f"{name}x2.png")
    _evaluate(city, out, system="bicubic", lr_root=tmp_path / "lr", save_images=True)
    kept = np.asarray(Image.open(out / "images/city_x2/001_a/lr.png"))
    whole = np.asarray(Image.open(city / "001_a.png"))
    assert (kept == whole[: whole.shape[0] // 2 * 2 : 2, : whole.shape[1] // 2 * 2 : 2]).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"root": None}, OptionError, "add --root DIR"),
        ({"root": "empty"}, BadImageError, "empty: holds no image"),
        ({"root": "nowhere"}, BadImageError, "nowhere: is no folder"),
        ({"dataset": "Set14"}, BadImageError, "one of the folders benchmarks/Set14"),
        ({"scale": 2.5}, OptionError, "must be a whole number"),
        ({"system": "srcnnn"}, OptionError, "did you mean 'srcnn'"),
        ({"system": "esrgan_23"}, WeightsError, "no weights of this system"),
        ({"measures": ["psrn"]}, OptionError, "did you mean 'psnr'"),
        ({"download": "perhaps"}, OptionError, "must be true or false"),
        ({"dataset": "Set5", "download": True}, OptionError, "no address is known"),
        ({"dataset": "Set5", "lr_root": "x"}, OptionError, "leave --dataset or --lr_root out"),
        ({"system": ["srcnn", "vdsr"], "ckpt_path": "a.pt"}, OptionError, "is for one system"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    photos, tmp_path, monkeypatch, change, error, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=words):
        _evaluate(**({"root": photos, "out": tmp_path / "out"} | change))
    assert not (tmp_path / "out").exists()


def test_an_image_without_anything_inside_the_border_is_named(photos, tmp_path):
    Image.fromarray(np.zeros((4, 30), np.uint8)).save(photos / "sea" / "000_thin.png")
    with pytest.raises(BadImageError, match=r"000_thin\.png: each side must be at least 5 pixels"):
        _evaluate(photos, tmp_path / "out", system="bicubic")
    assert not list((tmp_path / "out").rglob("*.csv"))


def test_progress_is_told(photos, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        _evaluate(photos, tmp_path / "out", system="nearest")
    assert "photos x2 nearest:" in caplog.text
    assert "over 3 images" in caplog.text


@pytest.mark.parametrize("again", ["out", "other"])
def test_pictures_of_an_earlier_evaluation_are_no_references(photos, again):
    """Below the images, they were judged the second time: bicubic results, which are easy."""
    given = {"system": "bicubic", "save_images": True}
    _evaluate(photos, photos / "out", **given)
    _evaluate(photos, photos / again, **given)
    document = json.loads((photos / again / "photos_x2.json").read_text())
    assert sorted(document["dataset"]["files"]) == ["city/001_a", "city/001_b", "sea/002_a"]
