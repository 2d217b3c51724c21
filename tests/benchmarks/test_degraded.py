"""The command that measures degraded input."""

from __future__ import annotations

import degraded as script
import pytest
from degraded_input import CONDITIONS
from degraded_rows import DEGRADED_TABLE, EDGE, FILE
from PIL import Image
from skimage.data import camera


@pytest.fixture
def told(repo_root, tmp_path):
    """Return options of the command for one small photo."""
    (tmp_path / "Set14").mkdir()
    Image.fromarray(camera()[:64, :64]).save(tmp_path / "Set14" / "camera.png")
    results = tmp_path / "results"
    results.mkdir()
    kept = (repo_root / "benchmarks/results/set5.csv").read_bytes()
    (results / "set5.csv").write_bytes(kept)
    return ["--root", str(tmp_path), "--sets", "photo", "--results", str(results),
            "--output", str(tmp_path / "results.md")]  # fmt: skip


def test_a_face_is_measured_on_images_and_edges_at_every_strength(told, tmp_path):
    assert script.main([*told, "--faces", "bicubic"]) == 0
    rows = DEGRADED_TABLE.read(tmp_path / "results" / FILE)
    assert [row.strength for row in rows] == 5 * list(CONDITIONS)
    assert {(row.set, row.image) for row in rows if row.set != EDGE} == {("set14", "camera")}
    assert len({row.image for row in rows if row.set == EDGE}) == 4
    page = (tmp_path / "results.md").read_text()
    assert "## Degraded input" in page
    assert "| strong | bicubic |" in page


def test_a_face_without_weights_is_refused_in_one_line(told, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(script.FACES, "robust", "no_such_model")
    assert script.main([*told, "--faces", "robust"]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("monai-sr: error: model")
    assert "\n" not in error
    assert not (tmp_path / "results" / FILE).exists()
