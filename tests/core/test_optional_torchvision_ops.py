"""torchvision can be imported whatever torch it was compiled for, or one line says what to do."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import torch

from monai_sr.core.errors import MissingDependencyError
from monai_sr.core.optional import import_torchvision

FIRST = """
from monai_sr.core.optional import import_torchvision
torchvision = import_torchvision()
assert import_torchvision() is torchvision
import torchvision.transforms, torchvision.ops
"""
AFTER_A_FAILURE = """
try:
    import torchvision
except RuntimeError:
    pass
"""


def test_models_can_be_built():
    with torch.device("meta"):
        network = import_torchvision().models.squeezenet1_1(weights=None)
    assert len(network.features) == 13


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", AFTER_A_FAILURE])
def test_import_works_in_a_fresh_process(before):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", before + FIRST],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ModuleNotFoundError("No module named 'torchvision'"), "pip install torchvision"),
        (RuntimeError("compiled with another CUDA"), "install the version made for torch"),
    ],
)
def test_another_failure_says_what_to_install(monkeypatch, error, remedy):
    def fail(name):
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(MissingDependencyError, match=remedy) as caught:
        import_torchvision()
    assert caught.value.__cause__ is error
