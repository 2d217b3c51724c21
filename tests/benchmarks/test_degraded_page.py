"""The section on degraded input: means, the best, who wins where, and what is left out."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
from degraded_input import CONDITIONS, load_domains
from degraded_page import degraded_section
from degraded_rows import EDGE, DegradedRow

from monai_sr.core.fingerprint import weights_sha256

DOMAIN = load_domains()["xray"]


@pytest.fixture(scope="module")
def weights():
    return {face: weights_sha256(file) for face, file in DOMAIN.faces.items()}


def _rows(face, weights, psnr, *, gain=1.0, fine=20.0, mtf50=0.4):
    """Return rows of one face on two images and an edge; ``psnr`` per strength and image."""
    for strength, pair in zip(CONDITIONS, psnr, strict=True):
        row = DegradedRow(
            domain="xray", set="xray", image="", scale=4, system="s", face=face,
            strength=strength, weights_sha256=weights,
        )  # fmt: skip
        noisy = {} if strength == "clean" else {"noise_gain": gain, "fine_noise": fine}
        for image, value in zip("ab", pair, strict=True):
            yield dataclasses.replace(row, image=image, psnr=value, **noisy)
        yield dataclasses.replace(row, set=EDGE, image="0", mtf50=mtf50)


@pytest.fixture
def rows(weights):
    return [
        *_rows("bicubic", "", [(30, 32), (29, 31), (28, 30), (27, 29)], gain=0.8, fine=5.0),
        *_rows(
            "faithful", weights["faithful"], [(33, 35), (30, 30.5), (27, 31), (20, 22)],
            gain=1.5, fine=40.0, mtf50=0.7,
        ),
    ]  # fmt: skip


def _section(rows):
    return "\n".join(degraded_section(rows))


def test_a_table_shows_means_marks_the_best_and_counts_what_lost(rows):
    text = _section(rows)
    assert "### Chest X-rays x4, degraded" in text
    assert "2 images of `xray`; faces of `xray_sr`." in text
    assert "SensorBlur (at_nyquist 0.6 / 0.35 / 0.15), QuantumNoise (quanta 30000 / " in text
    assert "| clean | bicubic | 31.00 | - | - | - | 0.400 |" in text
    assert "| clean | faithful | **34.00** | 0 of 2 | - | - | **0.700** |" in text
    assert "| weak | bicubic | 30.00 | - | 0.80 | **5.0** | 0.400 |" in text
    assert "| weak | faithful | **30.25** | 1 of 2 | 1.50 | 40.0 | **0.700** |" in text
    assert "| strong | faithful | 21.00 | 2 of 2 |" in text


def test_a_line_tells_who_wins_at_each_strength(rows, weights):
    text = _section(rows)
    assert (
        "- clean: **faithful** wins by PSNR, 3.00 dB before bicubic; best on 2 of 2 images.\n"
        in text
    )
    assert "- strong: **bicubic** wins by PSNR, 7.00 dB before faithful; best on 2 of 2" in text
    assert "Calmest: bicubic (0.80); loudest: faithful (1.50)." in text
    best = [(32, 34), (31, 30), (31, 33), (30, 32)]
    third = [*rows, *_rows("perceptual", weights["perceptual"], best, gain=0.5)]
    text = _section(third)
    assert (
        "- weak: **perceptual** wins by PSNR, 0.25 dB before faithful, +0.50 dB to bicubic; best "
        "on 1 of 2 images. Calmest: perceptual (0.50)" in text
    )


def test_rows_of_other_weights_are_left_out_and_named(rows):
    old = [dataclasses.replace(row, weights_sha256="0" * 64) for row in rows if row.weights_sha256]
    text = _section([*rows[: len(rows) // 2], *old])
    assert "| clean | bicubic |" in text
    assert "| faithful |" not in text
    assert "Left out, for the bundle has other weights now: faithful." in text
    assert "wins" not in text


def test_faces_without_rows_or_weights_are_named(rows, tmp_path):
    for folder, name in (("configs", "metadata.json"), ("models", "model.pt")):
        (tmp_path / folder).mkdir()
        shutil.copy(DOMAIN.faces["faithful"].parents[1] / folder / name, tmp_path / folder / name)
    shutil.copy(DOMAIN.faces["faithful"], tmp_path / "models" / "model_robust.pt")
    domain = dataclasses.replace(DOMAIN, bundle=str(tmp_path))
    text = "\n".join(degraded_section(rows, {"xray": domain}))
    assert f"Not measured yet: robust. `{tmp_path}` has no weights: perceptual.\n" in text


def test_nothing_measured_gives_no_section(rows):
    assert degraded_section([]) == []
    assert degraded_section([dataclasses.replace(row, domain="gone") for row in rows]) == []
