"""The page of one result tells what is known of it, and nothing of a patient."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re

import numpy as np
import pydicom
import pytest
from PIL import Image

from monai_sr.cli.main import main
from monai_sr.formats import report_path
from monai_sr.upscaling.manifest import Manifest
from tests import dicom_factory as factory
from tests.image_factory import pixels, write_nifti, write_raster
from tests.network_factory import tiny_bundle
from tests.reports.pages import check_page


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"), "xray_sr")


def report_of(source, bundle, out, *options):
    command = ["upscale", str(source), "-o", str(out), "--bundle", str(bundle), "--scale", "2"]
    assert main([*command, "--report", *options]) == 0
    (page,) = out.glob("*_report.html")
    return page.read_text(encoding="utf-8")


def pictures(text):
    """Return the pictures of a page by what they show."""
    found = {}
    for source, alt in re.findall(r'src="data:image/\w+;base64,([^"]+)" alt="([^"]+)"', text):
        with Image.open(io.BytesIO(base64.b64decode(source))) as image:
            assert not image.info
            found[alt] = np.asarray(image)
    return found


def test_before_is_the_input_and_after_is_the_result(bundle, tmp_path):
    source = write_raster(tmp_path / "photo.png", pixels((1, 20, 30)))
    text = report_of(source, bundle, tmp_path / "out")
    check_page(text)
    shown = pictures(text)
    with Image.open(source) as before, Image.open(tmp_path / "out" / "photo_x2.png") as after:
        assert (shown["Input, whole image"] == np.asarray(before)).all()
        assert (shown["Result, whole image"] == np.asarray(after)).all()


def test_crops_are_the_same_place_of_both(bundle, tmp_path):
    source = write_raster(tmp_path / "photo.png", pixels((1, 40, 50)))
    shown = pictures(report_of(source, bundle, tmp_path / "out"))
    crops = [alt for alt in shown if alt.startswith("Input, most detail")]
    assert crops
    before, after = shown["Input, whole image"], shown["Result, whole image"]
    for alt in crops:
        x0, x1, y0, y1 = map(int, re.findall(r"\d+", alt))
        assert (shown[alt] == before[y0 : y1 + 1, x0 : x1 + 1]).all()
        large = after[2 * y0 : 2 * y1 + 2, 2 * x0 : 2 * x1 + 2]
        assert (shown[alt.replace("Input", "Result")] == large).all()


def test_figures_and_origin_are_those_of_the_run(bundle, tmp_path):
    source = write_raster(tmp_path / "photo.png", pixels((1, 20, 30)))
    text = report_of(source, bundle, tmp_path / "out", "--consistency", "1")
    (row,) = Manifest(tmp_path / "out").rows.values()
    assert f"LR-PSNR {float(row['lr_psnr']):.1f} dB" in text
    assert "not for primary diagnosis" in text
    cells = dict(re.findall(r'<th scope="row">([^<]+)</th><td[^>]*>([^<]+)</td>', text))
    assert cells["Bundle"] == "xray_sr"
    assert cells["Back-projection steps"] == "1"
    assert cells["Size of the input"] == "30 × 20"
    assert cells["Size of the result"] == "60 × 40"
    assert re.fullmatch("[0-9a-f]{64}", cells["SHA-256 of the weights"])


def test_nothing_of_a_patient_is_on_the_page(bundle, tmp_path):
    values = factory.stored((32, 40), 12)
    source = factory.write(
        tmp_path / "chest.dcm", values, modality="DX", PatientBirthDate="19700102",
        StudyDate="20200304", AccessionNumber="A-77", PatientSex="F", InstitutionName="Clinic",
        WindowCenter=2048, WindowWidth=3000,
    )  # fmt: skip
    text = report_of(source, bundle, tmp_path / "out")
    header = pydicom.dcmread(source)
    secrets = [*factory.SECRETS, "Doe", "1970", "2020", "A-77", "Clinic", str(tmp_path)]
    plain = re.sub(r"base64,[^\"]+", "", text)
    assert not [secret for secret in secrets if secret in plain]
    assert str(header.StudyInstanceUID) not in plain
    assert "center 2048, width 3000" in plain
    assert "DX" in plain


def test_a_deidentified_report_has_no_name_of_the_file(bundle, tmp_path):
    source = factory.write(tmp_path / "Jane.dcm", factory.stored((32, 40), 12), modality="DX")
    text = report_of(source, bundle, tmp_path / "out", "--deidentify")
    assert "Jane" not in text
    assert not [p for p in (tmp_path / "out").iterdir() if "Jane" in p.name]


def test_an_unusual_input_is_flagged_by_the_weights_own_entry(bundle, tmp_path):
    content = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    entry, *_ = content["training_statistics"].values()
    digest = re.search(
        "[0-9a-f]{64}",
        report_of(
            write_raster(tmp_path / "a.png", pixels((1, 20, 30))), bundle, tmp_path / "first"
        ),
    )
    content["training_statistics"] = {digest[0]: entry}
    other = tiny_bundle(tmp_path / "bundles", "xray_sr")
    (other / "configs" / "metadata.json").write_text(json.dumps(content), encoding="utf-8")
    text = report_of(tmp_path / "a.png", other, tmp_path / "second")
    # White noise is no chest X-ray.
    assert 'class="notice warning" id="training"' in text
    assert "share of high frequencies" in re.search(r"Outside the [^<]+", text)[0]


def test_a_volume_shows_its_middle_and_two_more_slices(bundle, tmp_path):
    source = write_nifti(tmp_path / "a.nii.gz", pixels((20, 24, 9), "int16"))
    text = report_of(source, bundle, tmp_path / "out")
    check_page(text)
    assert re.findall(r"<h3>(Slice \d+ of 9)</h3>", text) == [
        "Slice 5 of 9", "Slice 3 of 9", "Slice 7 of 9",
    ]  # fmt: skip
    # The second axis of NIfTI points up, rows of a picture point down.
    low, high = pictures(text)["Input, Slice 5 of 9"].shape
    assert (low, high) == (24, 20)


def test_a_page_that_was_deleted_is_made_again(bundle, tmp_path):
    source = write_raster(tmp_path / "photo.png", pixels((1, 20, 30)))
    text = report_of(source, bundle, tmp_path / "out")
    report_path(tmp_path / "out" / "photo_x2.png").unlink()
    assert report_of(source, bundle, tmp_path / "out", "--skip_done") == text


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_stops_a_page_costs_no_result_and_no_name(bundle, tmp_path, monkeypatch, error):
    def stop(*_, **__):
        raise error

    source = write_raster(tmp_path / "photo.png", pixels((1, 20, 30)))
    with monkeypatch.context() as broken:
        broken.setattr("monai_sr.reports.case.write_page", stop)
        with contextlib.suppress(KeyboardInterrupt, AssertionError):
            report_of(source, bundle, tmp_path / "out")
    assert (tmp_path / "out" / "photo_x2.png").exists()
    report_of(source, bundle, tmp_path / "out")
    assert {f.name for f in (tmp_path / "out").iterdir()} == {
        "photo_x2.png", "photo_x2_report.html", Manifest.name,
    }  # fmt: skip


def test_reports_are_no_inputs_of_a_later_run(bundle, tmp_path):
    write_raster(tmp_path / "photo.png", pixels((1, 20, 30)))
    report_of(tmp_path / "photo.png", bundle, tmp_path)
    command = ["upscale", str(tmp_path), "-o", str(tmp_path), "--bundle", str(bundle)]
    assert main([*command, "--scale", "2", "--report"]) == 0


def test_without_the_option_there_is_no_page(bundle, tmp_path):
    source = write_raster(tmp_path / "photo.png", pixels((1, 20, 30)))
    command = ["upscale", str(source), "-o", str(tmp_path / "out"), "--bundle", str(bundle)]
    assert main(command) == 0
    assert not list((tmp_path / "out").glob("*.html"))


def test_markup_in_a_name_stays_text(bundle, tmp_path):
    source = write_raster(tmp_path / "a<b>&amp;.png", pixels((1, 20, 30)))
    text = report_of(source, bundle, tmp_path / "out")
    check_page(text)
    assert "<h1>a&lt;b&gt;&amp;amp;_x4.png</h1>".replace("x4", "x2") in text


def test_pages_are_named_like_their_results():
    assert report_path("out/a.b_x4.dcm").name == "a.b_x4_report.html"
    assert report_path("out/series_x4").name == "series_x4_report.html"
