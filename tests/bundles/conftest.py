"""Fixtures of the bundle tests: every bundle in turn, small images, logging left as it was."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from monai_sr.core.registry import list_bundles

BUNDLES = sorted(list_bundles())


class BundleFiles:
    """One bundle: its folder and what its files say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.configs = folder / "configs"
        self.weights = folder / "models" / "model.pt"
        self.metadata: dict[str, Any] = json.loads((self.configs / "metadata.json").read_text())

    def config(self, name: str) -> dict[str, Any]:
        """Return the content of ``configs/<name>.yaml``."""
        return yaml.safe_load((self.configs / f"{name}.yaml").read_text())

    @property
    def tool_arguments(self) -> dict[str, str]:
        """Return what MONAI's verifying and exporting functions ask for."""
        return {
            "meta_file": str(self.configs / "metadata.json"),
            "config_file": str(self.configs / "inference.yaml"),
        }


@pytest.fixture(params=BUNDLES)
def bundle(request) -> BundleFiles:
    """Return each bundle of the checkout in turn."""
    return BundleFiles(list_bundles()[request.param])


@pytest.fixture
def sample(bundle, samples_dir) -> Path:
    """Return a real file for the bundle: the smallest of its samples."""
    files = [f for f in samples_dir.rglob("*") if f.parent.name == bundle.name and f.is_file()]
    assert files, f"samples/ holds no file for {bundle.name}"
    return min(files, key=lambda f: f.stat().st_size)


@pytest.fixture
def training_options(tmp_path) -> dict[str, Any]:
    """Write a few small images; return the overrides of a training run of seconds."""
    rng = np.random.default_rng(0)
    for name, count, shape in (("train", 4, (72, 80, 3)), ("valid", 1, (40, 32, 3))):
        (tmp_path / name).mkdir()
        for i in range(count):
            smooth = rng.integers(0, 256, (shape[0] // 8, shape[1] // 8, 3), dtype=np.uint8)
            image = Image.fromarray(smooth).resize(shape[1::-1], Image.Resampling.BICUBIC)
            image.save(tmp_path / name / f"{i}.png")
    return {
        "dataset_dir": str(tmp_path / "train"),
        "validation_dir": str(tmp_path / "valid"),
        "output_dir": str(tmp_path / "run"),
        "device": "cpu",
        "steps": 40,
        "batch_size": 2,
        "patch_size": 16,
        "epoch_length": 10,
        "warmup_steps": 5,
        "val_interval": 2,
        "network_def#channels": 16,
        "network_def#num_blocks": 2,
    }


@pytest.fixture(autouse=True)
def _logging_restored():
    loggers = [logging.getLogger(), logging.getLogger("monai_sr")]
    before = [(log, log.handlers[:], log.level, log.propagate) for log in loggers]
    yield
    for log, handlers, level, propagate in before:
        log.handlers[:] = handlers
        log.setLevel(level)
        log.propagate = propagate
