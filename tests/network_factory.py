"""Builds tiny generators with lively weights, and bundles around them, for quick tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from monai.data import MetaTensor

from monai_sr.core.bundles import write_weights_sums
from monai_sr.inferers import TiledInferer
from monai_sr.networks import Generator, create_generator
from monai_sr.transforms import ScaleToUnit, to_stored

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"channels": 8, "num_blocks": 1, "block": "plain", "recursions": 1, "cascade_channels": 4}

OWN_NETWORK = """
import torch
from monai_sr.networks import Generator, GeneratorInfo

class Own(Generator):
    info = GeneratorInfo(paper="own")

    def __init__(self, scale=4, in_channels=3, *, spatial_dims=2):
        super().__init__()
        self._declare(scale, in_channels, spatial_dims, halo=1)
        self.gain = torch.nn.Parameter(torch.ones(1))

    def forward(self, image, scale=None):
        return self.gain * torch.nn.functional.interpolate(image + 0.1, scale_factor=self.scale)
"""
"""A module with a generator of one's own."""


def tiny(in_channels: int = 1, scale: int = 4, seed: int = 0, **options: object) -> Generator:
    """Build a hybrid cascade whose every weight matters: its zero tails get values, too."""
    torch.manual_seed(seed)
    network = create_generator(
        "hybrid_cascade", in_channels=in_channels, scale=scale, **{**SIZES, **options}
    )
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.05)
    return network.eval()


class Wild(torch.nn.Module):
    """Doubles an image, and swings far beyond it on either side."""

    scale, scales, halo, in_channels, spatial_dims = 2, (2,), 0, 1, 2

    def forward(self, image, scale=None):
        large = torch.nn.functional.interpolate(image, scale_factor=2)
        large[..., ::2] -= 90
        large[..., 1::2] += 90
        return large


def wildest(image: MetaTensor, **options: Any) -> list[float]:
    """Return the least and the greatest stored value that any network can bring about."""
    unit, _ = ScaleToUnit(**options)(image)
    inferer = TiledInferer(2, clip=None, consistency=0, overshoot=None)
    large = inferer(unit[None], Wild())[0]
    stored = to_stored(large.as_tensor(), unit.meta)
    return [float(stored.min()), float(stored.max())]


def tiny_bundle(folder: Path, name: str = "natural_sr") -> Path:
    """Copy a bundle's configurations into ``folder`` with a tiny network and its weights."""
    source = ROOT / "bundles" / name / "configs"
    target = folder / name / "configs"
    target.mkdir(parents=True)
    content = yaml.safe_load((source / "inference.yaml").read_text())
    in_channels = content["network_def"]["in_channels"]
    content["network_def"].update(SIZES)
    (target / "inference.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for file in ("metadata.json", "logging.conf"):
        (target / file).write_bytes((source / file).read_bytes())
    models = folder / name / "models"
    models.mkdir()
    state = {key: value.half() for key, value in tiny(in_channels).state_dict().items()}
    torch.save(state, models / "model.pt")
    write_weights_sums(folder / name)
    return folder / name
