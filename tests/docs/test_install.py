"""docs/how-to/install.md is true: its commands work, without a network where they can."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.docs.pages import sections

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "install.md"
SECTIONS = sections(PAGE)
FROM_SOURCE, FROM_WHEEL = SECTIONS[""]
(OFFLINE,) = SECTIONS["Without a network"]


def _shell(commands: list[str], folder: Path, **extra: str) -> None:
    """Run commands of the page: pip finds the libraries that are installed, and no index."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {
        **kept, "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0",
        "PYTHONNOUSERSITE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **extra,
    }  # fmt: skip
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _reuse_libraries(environment: Path) -> None:
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


@pytest.mark.slow
def test_the_page_works_in_a_shell(repo_root, samples_dir, tmp_path):
    if not (repo_root / ".git").exists():
        pytest.skip("needs a checkout of git")
    clone, make, *use = FROM_SOURCE.commands
    assert clone.startswith("git clone")
    _shell([clone, make], tmp_path, REPOSITORY=str(repo_root))
    _reuse_libraries(tmp_path / "env")
    _shell(use, tmp_path)

    bin_first = f"{tmp_path / 'env' / 'bin'}:{os.environ['PATH']}"
    collect, install = OFFLINE.commands
    _shell([collect, "env/bin/pip uninstall -qy monai-sr", install], tmp_path, PATH=bin_first)
    (wheel,) = (tmp_path / "wheelhouse").glob("monai_sr-*.whl")

    (tmp_path / "dist").mkdir()
    wheel.rename(tmp_path / "dist" / wheel.name)
    (tmp_path / "photo.png").write_bytes((samples_dir / "natural_sr" / "photo.png").read_bytes())
    _shell(["env/bin/pip uninstall -qy monai-sr", *FROM_WHEEL.commands], tmp_path)
    assert (tmp_path / "out" / "photo_x4.png").is_file()


def test_the_page_says_what_the_wheel_carries(repo_root):
    # 45 MB, compressed; weights are what it is made of, and hardly shrink.
    held = sum(
        file.stat().st_size
        for top in ("monai_sr", "bundles", "configs")
        for file in (repo_root / top).rglob("*")
        if file.is_file() and file.suffix in (".pt", ".safetensors")
    )
    assert 44e6 < held < 49e6
    assert "weights, 45 MB;" in PAGE.read_text(encoding="utf-8").replace("\n", " ")
