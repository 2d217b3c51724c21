"""Commands begin quickly: what they do not need is not imported. Modules are told, not seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.image_factory import pixels, write_raster

SHOW_MODULES = """
import sys
from monai_sr.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as error:
    code = error.code
print("\\nMODULES", *sys.modules)
sys.exit(code)
"""


def modules_of(*arguments):
    """Run the command in a process of its own; return what it has imported, by top-level name."""
    command = [sys.executable, "-c", SHOW_MODULES, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES ")[2].split())


@pytest.mark.parametrize("arguments", [("--help",), ("upscale", "--help"), ("train", "--help")])
def test_help_waits_for_no_library(arguments):
    loaded = modules_of(*arguments)
    assert "argparse" in loaded
    assert not loaded & {"torch", "monai", "numpy", "rasterio", "pydicom", "yaml", "PIL"}


def test_upscale_imports_nothing_that_only_other_features_of_monai_need(tmp_path):
    photo = write_raster(tmp_path / "photo.png", pixels((3, 5, 7)))
    # A runtime imports more when it exports a network, once.
    loaded = modules_of("upscale", photo, "-o", tmp_path / "out", "--runtime", "torch")
    assert (tmp_path / "out" / "photo_x4.png").is_file()
    assert {"torch", "monai", "ignite"} <= loaded
    unused = {
        "matplotlib",
        "skimage",
        "sklearn",
        "sympy",
        "tensorboard",
        "scipy.stats",
        "pydicom.sr",
    }
    assert not loaded & unused
