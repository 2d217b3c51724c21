"""Tests of runtimes choose as users do."""

from __future__ import annotations

import pytest

from monai_sr.runtimes.choice import FASTEST


@pytest.fixture(autouse=True, scope="module")
def _choose_the_fastest():
    before, FASTEST["cpu"] = FASTEST["cpu"], ("openvino", "onnxruntime", "torch")
    yield
    FASTEST["cpu"] = before
