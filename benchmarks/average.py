"""Average the weights of several checkpoints of one run into one file of half precision.

Example: ``python benchmarks/average.py OUT.pt RUN1/state.pt=0.4 RUN2/state.pt=0.6``. Each file is a
checkpoint, whose averaged generator is taken, or plain weights; the shares must add up to one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from monai_sr.core.atomic import atomic_file


def weights(path: str) -> dict[str, torch.Tensor]:
    """Return the averaged generator of a checkpoint, or plain weights."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return dict(content.get("ema", content))


def main(arguments: list[str]) -> int:
    """Write the average; return the exit code."""
    output, *parts = arguments
    shares = {path: float(share) for path, _, share in (part.rpartition("=") for part in parts)}
    if abs(sum(shares.values()) - 1) > 1e-6:
        print(f"shares must add up to one, got {sum(shares.values())}", file=sys.stderr)
        return 2
    states = {path: weights(path) for path in shares}
    first = next(iter(states.values()))
    mean = {
        name: torch.stack([share * states[path][name].float() for path, share in shares.items()])
        .sum(dim=0)
        .half()
        for name in first
    }
    with atomic_file(Path(output)) as partial, partial.open("wb") as stream:
        torch.save(mean, stream)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
