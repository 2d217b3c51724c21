"""Makes tiny bundles with two sets of weights, and the limit between them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from monai_sr.core import weights_sha256
from monai_sr.core.bundles import write_weights_sums
from tests.network_factory import tiny, tiny_bundle


def with_robust(folder: Path, limits: dict[str, float | None] | None = None) -> Path:
    """Make a tiny bundle with robust weights and, where given, limits; set these where it is."""
    bundle = folder / "natural_sr"
    models = bundle / "models"
    if not bundle.exists():
        tiny_bundle(folder)
        state = {k: v.half() for k, v in tiny(3, seed=7).state_dict().items()}
        torch.save(state, models / "model_robust.pt")
        write_weights_sums(bundle)
    if limits is not None:
        entry = {weights_sha256(models / "model_robust.pt"): {"limits": limits}}
        (models / "robust.json").write_text(json.dumps(entry))
    return bundle
