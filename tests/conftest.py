"""Fixtures of the whole suite: fixed seeds, one thread, and the shared development data."""

from __future__ import annotations

import logging
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads

import numpy as np
import pytest
import torch
from absl import logging as absl_logging

# A handler of tensorboard's and OpenVINO's companions closes any stream but these when logging is
# configured anew; pytest's own would be gone for the rest of the run.
absl_logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

ROOT = Path(__file__).resolve().parent.parent
SEED = 20260101


def pytest_configure(config: pytest.Config) -> None:
    """Keep every worker process on one thread, and exported networks out of the user's folder."""
    torch.set_num_threads(1)
    if "MONAI_SR_CACHE" not in os.environ:  # worker processes inherit the folder of the first
        folder = tempfile.TemporaryDirectory(prefix="monai-sr-tests-")
        os.environ["MONAI_SR_CACHE"] = folder.name
        config.add_cleanup(folder.cleanup)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(SEED)
    np.random.seed(SEED)  # MONAI's transforms draw from the global state
    torch.manual_seed(SEED)


@pytest.fixture(autouse=True)
def _process_restored() -> Iterator[None]:
    """Undo a bundle's logging.conf and its ``initialize``, which are meant for a process alone."""
    # Before the test too: fixtures of a whole module may have run a bundle by now.
    _reset_loggers()
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    has_grad = torch.is_grad_enabled()
    yield
    torch.set_grad_enabled(has_grad)
    root.setLevel(level)
    root.handlers[:] = handlers
    _reset_loggers()


def _reset_loggers() -> None:
    logging.disable(logging.NOTSET)
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("monai_sr", "ignite"):
            each = logging.getLogger(name)
            each.setLevel(logging.NOTSET)
            each.handlers.clear()
            each.propagate = True
            each.disabled = False


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Return the folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def samples_dir() -> Path:
    """Return the folder of the sample files that come with the project."""
    return ROOT / "samples"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the development data beside the checkout; skip the test where there is none."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data: the development data are not part of the project")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Launch Chromium; skip the test where it or its driver is absent."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium on the path")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()
