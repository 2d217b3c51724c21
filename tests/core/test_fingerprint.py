"""Whatever makes a thing is in its fingerprint: each file of the package, libraries, own code."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import shutil
import sys
from pathlib import Path

import grimp
import pytest

import monai_sr
from monai_sr.core import fingerprint as made
from monai_sr.core.errors import WeightsError
from monai_sr.core.fingerprint import folder_digest, library_versions, source_digest
from monai_sr.runtimes.compiled import EXPORTING

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


def test_hashes_are_those_of_the_standard_library():
    assert made.sha256("Größe") == hashlib.sha256("Größe".encode()).hexdigest()
    assert made.sha256(b"a", b"key") == hmac.new(b"key", b"a", hashlib.sha256).hexdigest()
    assert made.sha256_of([b"a", memoryview(b"b")]) == made.sha256(b"ab")
    assert made.sha256("\udcff") == made.sha256(b"\xff")  # names of files need not be UTF-8


def test_a_fingerprint_is_the_same_in_any_order_and_changes_with_each_part():
    first = made.fingerprint(code="1", options={"b": 1, "a": Path("x")})
    assert first == made.fingerprint(options={"a": Path("x"), "b": 1}, code="1")
    assert first == made.sha256(json.dumps({"code": "1", "options": {"a": "x", "b": 1}}))
    assert first != made.fingerprint(code="2", options={"b": 1, "a": Path("x")})


def test_code_counts_as_a_whole_or_by_folders():
    version = f"{monai_sr.__version__} "
    assert made.code_digest() == version + folder_digest(PACKAGE)
    assert made.code_digest("core") == version + folder_digest(PACKAGE / "core")


def test_weights_that_are_not_there_have_no_hash(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"weights")
    assert made.weights_sha256(tmp_path / "model.pt") == made.sha256(b"weights")
    with pytest.raises(WeightsError, match="check --ckpt_path"):
        made.weights_sha256(tmp_path / "none.pt")


def test_exported_networks_depend_on_all_that_their_makers_import():
    graph = grimp.build_graph("monai_sr")
    makers = ("monai_sr.networks", "monai_sr.runtimes")
    found = set.union(*(graph.find_upstream_modules(each, as_package=True) for each in makers))
    folders = {each.split(".")[1] for each in (*found, *makers) if "." in each}
    assert folders - {"moved"} == set(EXPORTING)
