"""docs/how-to/xarray.md is true: its Python and commands run, and give what it says."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from monai_sr.integrations.rio import superres
from tests.docs.pages import sections
from tests.scene_factory import contents, smooth, write_scene

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "xarray.md"
SECTIONS = sections(PAGE)
QUICK = "'satellite_sr:fast', device='cpu', runtime='torch', "


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return the current folder, in which scene.tif is."""
    monkeypatch.chdir(tmp_path)
    write_scene(tmp_path / "scene.tif", array=smooth((3, 60, 80)))
    return tmp_path


def _python(title: str, names: dict[str, object]) -> None:
    (text,) = (block.text for block in SECTIONS[title] if block.kind == "python")
    exec(text.replace(".sr.upscale(", f".sr.upscale({QUICK}"), names)


def test_the_python_of_the_page_runs(folder) -> None:
    names: dict[str, object] = {}
    _python("A DataArray", names)
    assert names["large"].shape == (3, 120, 160)
    with rasterio.open(folder / "scene.tif") as scene, rasterio.open("scene_x2.tif") as large:
        assert large.bounds == pytest.approx(scene.bounds)
        assert large.crs == scene.crs
    _python("Lazily, with Dask", names)
    np.testing.assert_array_equal(names["part"], names["large"].values[:, :200, :300])
    with rasterio.open("lazy_x2.tif") as lazy:
        np.testing.assert_array_equal(lazy.read(), names["large"].values)


def test_the_commands_of_the_page_run(folder) -> None:
    (block,) = SECTIONS["rio superres"]
    quick = ["--model", "satellite_sr:fast", "--device", "cpu", "--runtime", "torch"]
    for command in block.commands:
        program, name, *words = shlex.split(command)
        assert (program, name) == ("rio", "superres")
        run = CliRunner().invoke(superres, [*words, *quick])
        assert run.exit_code == 0, run.output
    assert contents(folder / "large.tif")["pixels"].shape == (3, 120, 160)
    assert contents(folder / "part.tif")["pixels"].shape == (3, 192, 256)
    assert sorted(os.listdir(folder)) == ["large.tif", "part.tif", "scene.tif"]
