"""Load trained weights into a generator, safely and with a clear answer when they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_sr.core.errors import WeightsError
from monai_sr.core.types import PathLike


def read_weights(path: PathLike) -> dict[str, torch.Tensor]:
    """Read a plain state dict (.pt, never unpickling code; or .safetensors).

    Raises:
        WeightsError: if the file is missing, unreadable or holds something else.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"{path}: weights file does not exist; check --ckpt_path")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise WeightsError(
            f"{path}: weights cannot be read as a plain state dict; the file is damaged or of "
            "another kind, download it again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError(f"{path}: must hold one plain state dict of tensors; export it again")
    return state


def load_weights(network: nn.Module, path: PathLike) -> None:
    """Load weights strictly, converting half precision to the network's own.

    Raises:
        WeightsError: if they belong to another network, naming the first thing that differs.
    """
    state = read_weights(path)
    own = network.state_dict()
    for name, tensor in own.items():
        if name not in state:
            raise _foreign(path, network, f"{name} is missing")
        if state[name].shape != tensor.shape:
            shapes = f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
            raise _foreign(path, network, shapes)
    for name in state:
        if name not in own:
            raise _foreign(path, network, f"{name} is unknown")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise WeightsError(f"{path}: weights hold NaN or infinity; use an earlier checkpoint")
    network.load_state_dict(state)


def _foreign(path: PathLike, network: nn.Module, difference: str) -> WeightsError:
    return WeightsError(
        f"{path}: weights belong to another network than {type(network).__name__} as configured "
        f"({difference}); use the bundle's own weights or change network_def"
    )
