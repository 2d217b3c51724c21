"""``rio superres`` gives what ``monai-sr upscale`` gives, under the name that was asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from monai_sr.cli import main as cli
from monai_sr.core import UPSCALE
from monai_sr.integrations.rio import _publish, superres

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

QUICK = ["--model", "satellite_sr:fast", "--scale", "2", "--device", "cpu", "--runtime", "torch"]
PART = ["--window", "10", "20", "60", "50"]


@pytest.fixture(scope="module")
def scene(samples_dir: Path) -> Path:
    """Return four bands of 8 bits with a nodata value."""
    return samples_dir / "satellite_sr" / "naip.tif"


@pytest.fixture
def plugged(tmp_path, repo_root) -> dict[str, str]:
    """Return an environment in which rio finds the plug-in as after an installation."""
    project = tomllib.loads((repo_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = tmp_path / "site" / "plugged_for_test-1.dist-info"
    folder.mkdir(parents=True)
    points = project["entry-points"]["rasterio.rio_plugins"]
    lines = ["[rasterio.rio_plugins]", *(f"{name} = {place}" for name, place in points.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-for-test\nVersion: 1\n")
    paths = [str(folder.parent), str(repo_root)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def test_rio_has_the_command_and_imports_no_torch_for_it(plugged) -> None:
    code = (
        "import sys; from rasterio.rio.main import main_group;"
        "main_group(['superres', '--help'], standalone_mode=False);"
        "assert 'torch' not in sys.modules and 'monai' not in sys.modules"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=plugged, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    for option in ("--scale", "--model", "--window", "--cog", "--nodata", "--overwrite"):
        assert option in run.stdout


def test_the_result_is_that_of_monai_sr(scene, tmp_path) -> None:
    run = CliRunner().invoke(superres, [str(scene), str(tmp_path / "big.tif"), *QUICK, *PART])
    assert run.exit_code == 0, run.output
    assert "agrees with the input by" in run.output
    assert cli.main(["upscale", str(scene), "-o", str(tmp_path / "own"), *QUICK, *PART]) == 0
    (own,) = (tmp_path / "own").glob("*.tif")
    assert (tmp_path / "big.tif").read_bytes() == own.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.tif", "own"]


def test_a_result_replaces_another_only_when_told(scene, tmp_path) -> None:
    output = tmp_path / "big.tif"
    output.write_bytes(b"mine")
    run = CliRunner().invoke(superres, [str(scene), str(output), *QUICK])
    assert run.exit_code == 2
    assert "--overwrite" in run.output
    assert output.read_bytes() == b"mine"
    command = [str(scene), str(output), *QUICK, *PART, "--overwrite"]
    assert CliRunner().invoke(superres, command).exit_code == 0
    assert output.read_bytes()[:2] == b"II"


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["big.png"], "must end in .tif"),
        (["no/big.tif"], "must lie in a folder"),
        (["big.tif", "--scale", "9"], "at most 4"),
        (["big.tif", "--spacing", "x"], "must be a number"),
        (["big.tif", "--model", "natural"], "natural"),
        (["big.tif", "--kind", "$x"], "is not one of"),
    ],
)
def test_a_wrong_call_is_answered_in_one_line(scene, tmp_path, words, remedy) -> None:
    output, *more = words
    run = CliRunner().invoke(superres, [str(scene), str(tmp_path / output), *QUICK, *more])
    assert run.exit_code == 2
    last = run.output.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert remedy in last
    assert not list(tmp_path.iterdir())


def test_options_are_those_of_the_table() -> None:
    table = {option.name for option in UPSCALE}
    names = {parameter.name for parameter in superres.params}
    assert names - {"input", "output", "overwrite"} <= table
    assert {"scale", "spacing", "model", "range", "nodata", "kind", "window", "bbox", "cog",
            "device", "precision"} <= names  # fmt: skip


def test_what_lies_beside_an_overwritten_result_is_the_new_ones(tmp_path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    for name in ("a_x2.tif", "a_x2.tif.aux.xml"):
        (folder / name).write_text("newer")
    output = tmp_path / "out.tif"
    for name in ("out.tif", "out.tif.aux.xml", "out.tif.msk", "out.tif.ovr"):
        (tmp_path / name).write_text("older")
    _publish(folder / "a_x2.tif", sorted(folder.iterdir()), output)
    found = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert found == {"out.tif": "newer", "out.tif.aux.xml": "newer"}


def test_files_that_are_named_like_maps_of_a_result_stay(scene, tmp_path) -> None:
    others = ["S2_SCL.tif", "S2_uncertainty.tif", "S2_report.html"]
    for name in others:
        shutil.copyfile(scene, tmp_path / name)
    words = [str(tmp_path / "S2_SCL.tif"), str(tmp_path / "S2.tif"), "--kind", "intensity"]
    for more in ([], ["--overwrite"]):
        run = CliRunner().invoke(superres, [*words, *QUICK, *PART, *more])
        assert run.exit_code == 0, run.output
    assert {path.name for path in tmp_path.iterdir()} == {"S2.tif", *others}
