"""The model zoo's own script accepts every bundle, and every export, in the zoo's layout.

``MONAI_MODEL_ZOO`` names a clone of https://github.com/Project-MONAI/model-zoo. Its checks without
it: test_bundles.py (layout), test_monai_tools.py (metadata, network, TorchScript).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from monai_sr.core import find_model, list_bundles
from monai_sr.integrations import export_torchscript
from tests.bundles.test_monai_tools import SCHEMA

ZOO = os.environ.get("MONAI_MODEL_ZOO")
LARGEST_FILE = 25 * 10**6
"""What the zoo takes into its repository (its CONTRIBUTING.md, "Model storage")."""
EXPORTS = ("natural_sr:fast", "xray_sr:fast", "mri_sr:fast")
needs_zoo = pytest.mark.skipif(
    ZOO is None, reason="needs MONAI_MODEL_ZOO, a clone of Project-MONAI/model-zoo"
)


def _verify(bundle: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the zoo's script on a bundle in a copy of the zoo's folders, all of its checks."""
    shutil.copytree(Path(str(ZOO)) / "ci", folder / "ci")
    home = folder / "models" / bundle.name
    shutil.copytree(bundle, home)
    known = Path(str(ZOO)) / "models" / "model_info.json"
    (folder / "models" / "model_info.json").write_text(known.read_text())
    # The zoo's automation puts the official schema there, from a release of another repository.
    (home / "eval").mkdir()
    (home / "eval" / "schema.json").write_text(json.dumps(SCHEMA))
    command = [sys.executable, "ci/verify_bundle.py", "--b", bundle.name, "--mode", "full"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr[-3000:]
    for words in (
        "directory is verified correctly", "version and changelog are verified correctly",
        "metadata format is verified correctly", "properties are verified correctly",
        "data shape is verified correctly", "export weights into TorchScript module successfully",
    ):  # fmt: skip
        assert words in done.stdout


@needs_zoo
@pytest.mark.slow
def test_the_zoos_script_accepts_the_bundle(bundle, tmp_path) -> None:
    _check(_verify(bundle.folder, tmp_path))


@needs_zoo
@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_the_zoos_script_accepts_the_export(name: str, tmp_path) -> None:
    done = _verify(export_torchscript(find_model(name), tmp_path / "made", scale=2), tmp_path)
    _check(done)
    assert "Provided TorchScript module is verified correctly" in done.stdout


@needs_zoo
@pytest.mark.slow
def test_the_zoos_script_refuses_a_bundle_without_weights(tmp_path) -> None:
    bundle = tmp_path / "made" / "xray_sr"
    shutil.copytree(list_bundles()["xray_sr"], bundle)
    (bundle / "models" / "model.pt").unlink()
    assert _verify(bundle, tmp_path).returncode != 0


def test_the_zoo_takes_the_files_and_the_name(bundle) -> None:
    large = [f.name for f in bundle.folder.rglob("*") if f.stat().st_size > LARGEST_FILE]
    assert large == []
    # "<name>_v<version>" is what the zoo makes of it.
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", bundle.name)
    assert not re.search(r"_v\d", bundle.name)
    assert bundle.metadata["schema"].endswith(".json")
    assert bundle.metadata["version"] in bundle.metadata["changelog"]
