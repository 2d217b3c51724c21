"""Archives are unpacked where their content is the one that was checked, and refused elsewhere."""

from __future__ import annotations

import hashlib
import zipfile

import numpy as np
import pytest
from PIL import Image

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.core.registry import list_configs
from monai_sr.evaluation.datasets import load_benchmark
from monai_sr.evaluation.images import download


@pytest.fixture
def archive(tmp_path):
    """Write an archive of one image; return what a YAML file says of it."""
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "a.png")
    file = tmp_path / "Small_HR.zip"
    with zipfile.ZipFile(file, "w") as stream:
        stream.write(tmp_path / "a.png", "Small_HR/a.png")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"url": file.as_uri(), "sha256": digest, "folder": "Small_HR"}


def test_an_archive_is_unpacked_into_the_root(archive, tmp_path):
    download("small", [archive], tmp_path / "root", 4)
    assert (tmp_path / "root" / "Small_HR" / "a.png").is_file()
    (tmp_path / "Small_HR.zip").unlink()
    download("small", [archive], tmp_path / "root", 4)  # it is there already


def test_an_archive_of_another_scale_is_left(archive, tmp_path):
    download("small", [archive | {"scale": 2}], tmp_path / "root", 4)
    assert not (tmp_path / "root").exists()


def test_another_content_is_refused(archive, tmp_path):
    with pytest.raises(BadImageError, match="download it yourself"):
        download("small", [archive | {"sha256": "0" * 64}], tmp_path / "root", 4)
    assert not list((tmp_path / "root").rglob("*.png"))


def test_an_address_that_does_not_answer_is_one_line(tmp_path):
    nowhere = {"url": (tmp_path / "none.zip").as_uri(), "sha256": "0" * 64, "folder": "none"}
    with pytest.raises(BadImageError, match=r"none\.zip: cannot be had"):
        download("small", [nowhere], tmp_path / "root", 4)


def test_sets_without_address_say_so(tmp_path):
    with pytest.raises(OptionError, match="copy the images yourself"):
        download("set5", (), tmp_path, 4)


def test_every_shipped_address_has_a_whole_checksum():
    for name in list_configs("benchmarks"):
        for archive in load_benchmark(name).download:
            assert archive["url"].startswith("https://")
            assert len(bytes.fromhex(archive["sha256"])) == 32
