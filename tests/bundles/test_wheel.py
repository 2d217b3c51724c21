"""The wheel carries code, bundles and benchmark descriptions, and works where no checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import monai_sr

# Run from an empty folder, with the unpacked wheel as the only place of this package.
API = """
import monai_sr, numpy as np, pathlib, sys
from monai_sr import SuperResolver
from monai_sr.core.registry import list_bundles
from monai_sr.evaluation.datasets import load_benchmark
from monai.bundle import load
home = pathlib.Path(sys.argv[1])
assert home in pathlib.Path(monai_sr.__file__).parents, monai_sr.__file__
bundles = list_bundles()
assert {"natural_sr", "xray_sr", "mri_sr", "satellite_sr"} <= set(bundles)
assert all(home in folder.parents for folder in bundles.values()), bundles
for name, channels in (("natural_sr", 3), ("xray_sr", 1), ("mri_sr", 1), ("satellite_sr", 3)):
    resolver = SuperResolver.from_bundle(name, scale=2, device="cpu")
    assert resolver(np.zeros((channels, 5, 7), "float32")).shape == (channels, 10, 14)
    assert load(name, bundle_dir=str(bundles[name].parent), device="cpu").scale == 4
assert load_benchmark("set5").count == 5
"""


@pytest.fixture(scope="module")
def wheel(repo_root, tmp_path_factory) -> Path:
    """Build the wheel of the checkout, without a network."""
    pytest.importorskip("hatchling", reason="needs the extra `dev`")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    done = subprocess.run([*command, str(repo_root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Install the wheel alone into a folder of its own."""
    home = tmp_path_factory.mktemp("home")
    options = ["--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(home), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    return home


def _run(words: list[str], installed: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        capture_output=True, text=True, check=False, cwd=cwd, env=env,
    )  # fmt: skip


def test_wheel_holds_every_file_of_package_bundles_and_configs(wheel, repo_root) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        ("" if top == "monai_sr" else "monai_sr/") + str(file.relative_to(repo_root))
        for top in ("monai_sr", "bundles", "configs")
        for file in (repo_root / top).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert expected - held == set()
    assert {name for name in held - expected if ".dist-info/" not in name} == set()
    assert wheel.name == f"monai_sr-{monai_sr.__version__}-py3-none-any.whl"


def test_wheel_names_its_license_and_command(wheel) -> None:
    archive = zipfile.ZipFile(wheel)
    info = f"monai_sr-{monai_sr.__version__}.dist-info"
    metadata = archive.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.10" in metadata
    assert "monai-sr = monai_sr.cli.main:main" in archive.read(f"{info}/entry_points.txt").decode()


@pytest.mark.slow
def test_python_interface_works_from_an_empty_folder(installed, tmp_path) -> None:
    done = _run(["-c", API, str(installed)], installed, tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("bundle_name", ["natural_sr", "xray_sr", "mri_sr", "satellite_sr"])
def test_command_works_from_an_empty_folder(installed, samples_dir, tmp_path, bundle_name) -> None:
    source = min(
        (f for f in samples_dir.rglob("*") if f.parent.name == bundle_name),
        key=lambda f: f.stat().st_size,
    )
    words = ["-m", "monai_sr.cli.main", "upscale", str(source), "-o", "out"]
    words += ["--bundle", bundle_name, "--scale", "2", "--consistency", "0"]
    done = _run(words, installed, tmp_path)
    assert done.returncode == 0, done.stderr
    stem, suffix = source.name.split(".", 1)
    assert (tmp_path / "out" / f"{stem}_x2.{suffix}").is_file()


@pytest.mark.slow
def test_bundles_are_listed_from_an_empty_folder(installed, tmp_path) -> None:
    done = _run(["-m", "monai_sr.cli.main", "bundles"], installed, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split("\t") for line in done.stdout.splitlines())
    assert {
        name: Path(folder).parent.parent.name for name, folder in lines.items()
    } == dict.fromkeys(lines, "monai_sr")
    assert {"natural_sr", "xray_sr", "mri_sr", "satellite_sr"} <= set(lines)
