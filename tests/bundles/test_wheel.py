"""The wheel carries code, bundles and benchmark descriptions, and works where no checkout is."""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

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
assert {"natural_sr", "xray_sr", "ct_sr", "mri_sr", "satellite_sr"} <= set(bundles)
assert all(home in folder.parents for folder in bundles.values()), bundles
takes = {"natural_sr": 3, "xray_sr": 1, "ct_sr": 1, "mri_sr": 1, "satellite_sr": 3}
for name, channels in takes.items():
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
def script(repo_root):
    """Return ``.ci/wheel.py`` as a module."""
    spec = importlib.util.spec_from_file_location("ci_wheel", repo_root / ".ci" / "wheel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_metadata_are_what_an_index_takes(wheel, repo_root) -> None:
    archive = zipfile.ZipFile(wheel)
    info = f"monai_sr-{monai_sr.__version__}.dist-info"
    # Raises for each field that an index would refuse.
    metadata = Metadata.from_email(archive.read(f"{info}/METADATA"), validate=True)
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.license_files == ["LICENSE", "LICENSES.md"]
    assert {f"{info}/licenses/{name}" for name in metadata.license_files} <= set(archive.namelist())
    assert str(metadata.requires_python) == ">=3.10"
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (repo_root / "README.md").read_text(encoding="utf-8")
    assert "monai-sr = monai_sr.cli.main:main" in archive.read(f"{info}/entry_points.txt").decode()


def test_entry_points_lead_somewhere(wheel) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"monai_sr-{monai_sr.__version__}.dist-info"
        text = archive.read(f"{info}/entry_points.txt").decode()
    named = configparser.ConfigParser()
    named.read_string(text)
    points = [point for section in named.sections() for point in named[section].values()]
    assert "monai_sr.cli.main:main" in points
    for point in points:
        module, _, name = point.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.slow
def test_python_interface_works_from_an_empty_folder(installed, tmp_path) -> None:
    done = _run(["-c", API, str(installed)], installed, tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_all_of_it_works_from_a_fresh_environment(script, tmp_path, capsys) -> None:
    # Both builds are equal; help, bundles, four formats and MONAI's command run.
    assert script.main([str(tmp_path)]) == 0, capsys.readouterr().out
    (sdist,) = tmp_path.glob("*.tar.gz")
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"monai_sr-{monai_sr.__version__}-")
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames()}
    assert {".ci", "Makefile", "constraints.txt", "docs", "samples", "tests"} <= tops
    assert not {"build", "dist", "out", "runs"} & tops


def test_wheels_that_differ_are_told_apart(script, tmp_path) -> None:
    paths = []
    for name, content in (("a", b"1"), ("b", b"2")):
        paths.append(tmp_path / f"{name}.whl")
        with zipfile.ZipFile(paths[-1], "w") as archive:
            archive.writestr("same.py", b"0")
            archive.writestr("other.py", content)
            archive.writestr(f"{name}.py", b"0")
    assert script.differences(*paths) == ["a.py", "b.py", "other.py"]
    assert script.differences(paths[0], paths[0]) == []


def test_a_result_that_is_not_larger_fails(script, samples_dir, tmp_path) -> None:
    photo = samples_dir / "natural_sr" / "photo.png"
    with pytest.raises(script.WheelError, match=r"photo_x2\.png: must be written"):
        script._compare("photo", photo, tmp_path, 2)
    (tmp_path / "photo_x2.png").write_bytes(photo.read_bytes())
    with pytest.raises(script.WheelError, match=r"photo_x2\.png: sides must be 2 times"):
        script._compare("photo", photo, tmp_path, 2)


def test_a_command_that_fails_is_shown(script, tmp_path) -> None:
    with pytest.raises(script.WheelError, match=r"exit code 3: why"):
        script._run([sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path)
