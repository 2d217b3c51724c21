"""Matrices of resampling that are kept."""

from __future__ import annotations

import torch

from monai_sr.functional.bands import _on_gpu


def test_matrices_that_are_first_made_for_inference_serve_training_too():
    image = torch.rand(1, 6, requires_grad=True)
    with torch.inference_mode():
        _, (matrix,) = _on_gpu(6, 2.0, 12, 0, 12, torch.float32, torch.device("cpu"))
    (image @ matrix.T).sum().backward()
    torch.testing.assert_close(image.grad, matrix.sum(0, keepdim=True))
