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


def load_pretrained(network: nn.Module, path: PathLike) -> None:
    """Start a network from weights trained for the same sizes, maybe for other channels.

    From color to grey the first convolution's inputs are summed and the last ones' outputs
    averaged: a grey image gives what its three equal channels gave. From grey to color the inputs
    share the weight and the outputs repeat.

    Raises:
        WeightsError: if the sizes differ otherwise.
    """
    state = read_weights(path)
    for name, tensor in network.state_dict().items():
        if name in state and state[name].shape != tensor.shape:
            state[name] = _fit_channels(state[name].float(), tensor)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise _foreign(path, network, str(error).splitlines()[-1].strip()) from error


def _fit_channels(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Sum or share inputs (axis 1), average or repeat outputs (axis 0) to the shape wanted."""
    if tensor.ndim != like.ndim:
        return tensor
    if tensor.ndim > 1 and {tensor.shape[1], like.shape[1]} == {1, 3}:
        total = tensor.sum(dim=1, keepdim=True)
        tensor = (total / like.shape[1]).expand(-1, like.shape[1], *tensor.shape[2:])
    outputs, wanted = tensor.shape[0], like.shape[0]
    if outputs == 3 * wanted:
        # Sub-pixel convolutions keep the phases of one channel together.
        tensor = tensor.reshape(3, wanted, *tensor.shape[1:]).mean(dim=0)
    elif wanted == 3 * outputs:
        tensor = tensor.repeat(3, *[1] * (tensor.ndim - 1))
    return tensor


def _foreign(path: PathLike, network: nn.Module, difference: str) -> WeightsError:
    return WeightsError(
        f"{path}: weights belong to another network than {type(network).__name__} as configured "
        f"({difference}); use the bundle's own weights or change network_def"
    )
