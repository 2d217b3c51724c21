"""MONAI without optional packages: they are hidden from it, and from nobody afterwards."""

from __future__ import annotations

import subprocess
import sys

from monai_sr.core.optional import import_monai_light


def in_a_new_process(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hidden_packages_can_be_imported_afterwards():
    code = """
from monai_sr.core.optional import import_monai_light
import_monai_light()
import monai.engines, sys
assert "sklearn" not in sys.modules and "torch.distributed.optim" not in sys.modules
import skimage.measure, sklearn, matplotlib.pyplot
from torch.distributed.optim import ZeroRedundancyOptimizer
import torch
assert issubclass(ZeroRedundancyOptimizer, torch.optim.Optimizer)
from ignite.handlers import Checkpoint
"""
    in_a_new_process(code)


def test_what_is_imported_already_stays():
    before = dict(sys.modules)
    import monai  # noqa: F401

    import_monai_light(["numpy"])
    assert sys.modules["numpy"] is before["numpy"]
