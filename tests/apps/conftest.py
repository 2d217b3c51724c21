"""Fixtures of the application tests: what a run changes in the process is put back."""

from __future__ import annotations

import logging

import pytest
import torch


@pytest.fixture(autouse=True)
def _process_restored():
    """Undo a bundle's logging.conf and its ``initialize``, which are meant for a process alone."""
    loggers = [logging.getLogger(), logging.getLogger("monai_sr")]
    before = [(each, each.level, each.handlers[:], each.propagate) for each in loggers]
    has_grad = torch.is_grad_enabled()
    yield
    torch.set_grad_enabled(has_grad)
    for each, level, handlers, propagate in before:
        each.setLevel(level)
        each.handlers[:] = handlers
        each.propagate = propagate
