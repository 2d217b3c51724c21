"""The page of an evaluation shows its figures, marks the best, and stays small."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from monai_sr.cli.main import main
from monai_sr.core.errors import BadImageError
from monai_sr.evaluation import findings
from monai_sr.evaluation.pictures import save_pictures, slug
from monai_sr.evaluation.rows import Row, write_rows
from monai_sr.metrics import find_measures
from monai_sr.metrics.base import Comparison
from monai_sr.metrics.protocol import NATURAL
from monai_sr.reports import crops
from monai_sr.reports.display import linear_viewer, window_viewer
from monai_sr.reports.evaluation import main_system, table, write_evaluation_report
from monai_sr.transforms import ScaleToUnit, load_image
from tests import dicom_factory as factory
from tests.reports.pages import check_page

SIDE, SCALE = 48, 4
SYSTEMS = {"bicubic": (20.0, 0.4), "srcnn": (21.0, 0.3), "natural_sr, 8 views": (22.5, 0.35)}
IMAGES = {"easy": 5.0, "hard": 0.0, "middle": 2.0}


def write_results(folder, name="Set5", images=IMAGES, is_pictured=True):
    """Write what an evaluation writes, with random pictures and figures that are known."""
    measures, _ = find_measures(["psnr", "ssim", "lpips"])
    protocol = NATURAL
    random = torch.Generator().manual_seed(0)
    rows = []
    for image, ease in images.items():
        hr = torch.rand(1, 3, SIDE, SIDE, generator=random)
        lr = torch.rand(1, 3, SIDE // SCALE, SIDE // SCALE, generator=random)
        for system, (psnr, lpips) in SYSTEMS.items():
            rows.append(
                Row(
                    set=name, image=image, label="", scale=SCALE, system=system,
                    figures={"psnr": psnr + ease, "ssim": 0.5, "lpips": lpips, "lr_psnr": 50.0},
                    seconds=1.0,
                    protocol=protocol.description, weights_sha256="",
                )
            )  # fmt: skip
            if is_pictured:
                sr = (hr + 0.1 * torch.rand(hr.shape, generator=random)).clamp(0, 1)
                half_width = hr * 0.1 if "views" in system else None
                save_pictures(
                    Comparison(sr, hr, lr, SCALE, protocol, half_width),
                    folder / "images" / "set" / slug(image), system, "key",
                )  # fmt: skip
    costs = {
        s: {"parameters": 10 * i, "multiply_adds_per_output_pixel": 100.0 * i}
        for i, s in enumerate(SYSTEMS, 1)
    }
    document = {
        "format": findings.FORMAT,
        "dataset": {"name": name, "title": f"{name} <b>", "images": len(images), "classes": {}},
        "scale": SCALE,
        "protocol": {"description": protocol.description},
        "measures": findings.describe_measures(measures, is_luma=True),
        "systems": findings.describe_systems(rows, measures, costs, seed=0),
        "notes": [],
        "bootstrap": findings.describe_bootstrap(rows, 0),
        "device": {"name": "cpu", "precision": "float32"},
        "versions": findings.describe_versions(),
        "rows": "set.csv",
        "pictures": "images/set" if is_pictured else None,
    }
    write_rows(folder / "set.csv", rows)
    (folder / "set.json").write_text(json.dumps(document))
    return document


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("results")
    write_results(folder)
    assert main(["report", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def text(results):
    return (results / "report.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_alone(text):
    page = check_page(text)
    # LR, HR, and of each system picture and error; one has intervals, too.
    assert len(page.all("img")) == len(IMAGES) * (2 + 2 * len(SYSTEMS) + 1)
    assert "Set5 &lt;b&gt;" in text


def test_the_best_figure_is_bold(text):
    best = re.findall(r'<td class="number best">([\d.]+)', text)
    assert f"{22.5 + np.mean([*IMAGES.values()]):.2f}" in best  # PSNR: higher
    assert "0.3000" in best  # LPIPS: lower
    assert "0.4000" not in best


def test_the_gain_over_bicubic_is_shown(text):
    assert re.search(r'<td class="number">\+2\.50<', text)


def test_the_hardest_image_comes_first(text):
    assert re.findall(r'<article[^>]* data-name="(\w+)"', text) == ["hard", "middle", "easy"]


def test_both_plots_name_every_system(text):
    for system in SYSTEMS:
        assert len(re.findall(rf">{re.escape(system)}</text>", text)) == 2
    assert "var(--accent)" in text


def test_crops_cut_the_largest_error_of_bicubic(tmp_path):
    hr = torch.zeros(1, 1, 80, 80)
    wrong = hr.clone()
    wrong[..., 60:64, 20:24] = 1
    lr = torch.zeros(1, 1, 20, 20)
    for system, sr in (("bicubic", wrong), ("other", hr)):
        save_pictures(Comparison(sr, hr, lr, 4, NATURAL), tmp_path, system, "key")
    found = crops.crops_of_image(tmp_path, ["bicubic", "other"], 4, crops.Step(16, None))
    left, top = map(int, re.findall(r"column (\d+), row (\d+)", found["place"])[0])
    assert left <= 20
    assert left + 16 >= 24
    assert top <= 60
    assert top + 16 >= 64
    assert left % 4 == top % 4 == 0


def test_a_map_of_uncertainty_is_light_where_it_is_widest(tmp_path):
    hr = torch.zeros(1, 1, 64, 64)
    half_width = torch.linspace(0, 0.1, 64).expand(1, 1, 64, 64).clone()
    half_width[..., 0, 0] = 3.0  # one wild pixel does not darken the others
    comparison = Comparison(hr, hr, torch.zeros(1, 1, 16, 16), 4, NATURAL, half_width)
    save_pictures(comparison, tmp_path, "views", "key")
    (shown,) = crops.crops_of_image(tmp_path, ["views"], 4, crops.Step(64, None))["systems"]
    assert float(shown["white"]) == pytest.approx(0.1, abs=0.002)
    content = base64.b64decode(shown["interval"].partition(",")[2])
    levels = np.asarray(Image.open(io.BytesIO(content))).astype(int).sum(axis=-1)
    assert levels[32, 63] > 3 * levels[32, 8] > 0


def test_a_page_keeps_to_its_budget(results, tmp_path, monkeypatch):
    whole = (results / "report.html").stat().st_size
    monkeypatch.setattr("monai_sr.reports.evaluation.BUDGET", 60_000)
    monkeypatch.setattr(
        "monai_sr.reports.evaluation.LADDER", [crops.Step(48, None), crops.Step(16, 75)]
    )
    write_evaluation_report(results, tmp_path / "small.html")
    text = (tmp_path / "small.html").read_text(encoding="utf-8")
    assert text.count("<article") == len(IMAGES)
    assert sum(map(len, re.findall(r'src="(data:[^"]+)"', text))) <= 60_000
    assert len(text) < whole
    assert "quality 75" in text


@pytest.mark.slow
def test_a_hundred_images_make_less_than_15_mb(tmp_path):
    pytest.importorskip("matplotlib")
    monkey = {f"i{i}": 0.0 for i in range(100)}
    write_results(tmp_path, images=monkey)
    assert write_evaluation_report(tmp_path, tmp_path / "r.html") == 100
    assert (tmp_path / "r.html").stat().st_size < 15e6


def test_without_pictures_the_summary_remains(tmp_path):
    pytest.importorskip("matplotlib")
    write_results(tmp_path, is_pictured=False)
    assert write_evaluation_report(tmp_path, tmp_path / "r.html") == 0
    check_page((tmp_path / "r.html").read_text(encoding="utf-8"))


def test_figures_that_look_alike_are_equally_good():
    measures = {"psnr": {"digits": 2, "is_more_better": True}}
    systems = [{"means": {"psnr": {"mean": m}}} for m in (30.001, 30.004, 29.9, None)]
    marks = [row["cells"][0]["is_best"] for row in table(systems, measures)]
    assert marks == [True, True, False, False]


def test_images_are_ordered_by_the_best_system_beside_bicubic(tmp_path):
    assert main_system(write_results(tmp_path, is_pictured=False)) == "natural_sr, 8 views"


OTHERS = {"broken": "{", "list": "[]", "metadata": '{"version": "1"}'}


@pytest.mark.parametrize("content", [*OTHERS.values(), '{"format": 99}'])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(BadImageError, match="evaluate again"):
        write_evaluation_report(tmp_path / "a.json", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_a_summary_of_another_format_is_refused(tmp_path):
    document = write_results(tmp_path, is_pictured=False)
    (tmp_path / "set.json").write_text(json.dumps(document | {"format": 99}))
    with pytest.raises(BadImageError, match=r"set\.json: .*format 99; evaluate again"):
        write_evaluation_report(tmp_path, tmp_path / "r.html")


def test_other_files_of_a_folder_are_named_and_left_out(tmp_path, caplog):
    pytest.importorskip("matplotlib")
    for name, content in OTHERS.items():
        (tmp_path / f"{name}.json").write_text(content)
    with pytest.raises(BadImageError, match=r"broken\.json, list\.json, .*evaluate first"):
        write_evaluation_report(tmp_path, tmp_path / "r.html")
    write_results(tmp_path, is_pictured=False)
    write_evaluation_report(tmp_path, tmp_path / "r.html")
    assert [f"{name}.json" in caplog.text for name in (*OTHERS, "set")] == [True] * 3 + [False]


def test_a_missing_picture_is_named(tmp_path):
    write_results(tmp_path)
    (tmp_path / "images" / "set" / "hard" / "srcnn.png").unlink()
    with pytest.raises(BadImageError, match=r"srcnn\.png: .*--save_images"):
        write_evaluation_report(tmp_path, tmp_path / "r.html")


def test_an_empty_folder_is_named(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "evaluate first" in capsys.readouterr().err


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_references_are_shown_through_their_window(tmp_path, photometric):
    values = factory.stored((16, 24), 12)
    path = factory.write(
        tmp_path / "a.dcm", values, photometric=photometric, WindowCenter=1000, WindowWidth=800
    )
    unit = ScaleToUnit()(load_image(path))[0].numpy()[0].T.astype(np.float64)
    viewer = window_viewer("a.dcm", [tmp_path / "elsewhere", tmp_path])
    expected = np.clip((values - 999.5) / 799 + 0.5, 0, 1) * 255
    if photometric == "MONOCHROME1":
        expected = 255 - expected
    assert np.abs(viewer.show(unit) - expected).max() <= 0.5 + 1e-6
    assert "center 1000, width 800" in viewer.caption


def test_a_root_without_the_images_is_named(tmp_path):
    with pytest.raises(BadImageError, match="check --root"):
        window_viewer("a.dcm", [tmp_path])


def test_narrow_grey_is_stretched_and_says_so():
    hr = np.linspace(0.2, 0.4, 400).reshape(20, 20)
    viewer = linear_viewer(hr)
    assert viewer.show(hr).min() == 0
    assert viewer.show(hr).max() == 255
    assert viewer.caption.startswith("Shown from 0.201 to 0.399")
    assert linear_viewer(np.stack([hr] * 3, axis=-1)).caption == ""
