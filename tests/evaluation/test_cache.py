"""Whatever a figure depends on is in its key: every file of the package, libraries, own code."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest

import monai_sr
from monai_sr.evaluation.cache import content_key, folder_digest, library_versions, source_digest

PACKAGE = Path(monai_sr.__file__).parent


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    return shutil.copytree(PACKAGE, tmp_path_factory.mktemp("copy") / "monai_sr")


def test_a_copy_of_the_package_has_the_same_digest(copied):
    assert folder_digest(copied) == folder_digest(PACKAGE)


@pytest.mark.parametrize(
    "name",
    [
        "upscaling/super_resolver.py",
        "formats/naming.py",
        "training/schedule.py",
        "metrics/psnr.py",
        "networks/weights_data/squeezenet1_1_features.safetensors",
    ],
)
def test_every_file_of_the_package_counts(copied, name):
    before, original = folder_digest(copied), (copied / name).read_bytes()
    (copied / name).write_bytes(original + b"\n")
    assert folder_digest(copied) != before
    (copied / name).write_bytes(original)
    assert folder_digest(copied) == before


def test_a_file_that_comes_counts_and_compiled_code_does_not(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    before = folder_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-312.pyc").write_bytes(b"code")
    assert folder_digest(tmp_path) == before
    (tmp_path / "b.py").write_text("")
    assert folder_digest(tmp_path) != before


@pytest.mark.parametrize("part", ["code_digest", "library_versions"])
def test_code_and_libraries_are_in_the_key(monkeypatch, part):
    before = content_key(image="a")
    assert content_key(image="a") == before != content_key(image="b")
    monkeypatch.setattr(f"monai_sr.evaluation.cache.{part}", lambda: "another")
    assert content_key(image="a") != before


def test_libraries_name_those_that_compute_and_decode():
    names = {each.split()[0].lower() for each in library_versions()}
    assert {"python", "torch", "numpy", "monai", "pillow", "pydicom", "rasterio"} <= names


def test_code_of_ones_own_counts_with_what_it_imports(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "own_network_a"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "blocks.py").write_text("import json\nWIDTH = 3\n")
    (folder / "net.py").write_text("import torch\nfrom .blocks import WIDTH\n")
    importlib.import_module("own_network_a.net")
    try:
        before = source_digest(["own_network_a.net"])
        assert source_digest(["own_network_a.net"]) == before != source_digest([])
        (folder / "blocks.py").write_text("import json\nWIDTH = 4\n")
        assert source_digest(["own_network_a.net"]) != before
    finally:
        for name in [each for each in sys.modules if each.startswith("own_network_a")]:
            del sys.modules[name]


def test_installed_code_counts_by_its_version_alone():
    assert source_digest(["json", "torch.nn", "monai_sr.networks"]) == source_digest([])
