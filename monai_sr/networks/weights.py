"""Load trained weights into a generator, safely and with a clear answer when they do not fit."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_sr.core import (
    OptionError,
    OutputError,
    PathLike,
    WeightsError,
    atomic_file,
    check_sum,
    sha256_of,
    source_digest,
)

_WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
"""Keys under which other trainers keep a state dict, averaged weights first."""
_PARALLEL = "module."  # torch's wrappers for several GPUs put it before every name


def read_weights(path: PathLike) -> dict[str, torch.Tensor]:
    """Read a state dict (.pt or .pth, never unpickling code; or .safetensors).

    One of a bundle that declares checksums must have its own, see
    :mod:`monai_sr.core.fingerprint`.

    Besides plain ones, those under a key such as ``params_ema`` (BasicSR and its kin) or
    ``state_dict`` (Lightning) are found; where there are several, averaged weights come first.

    Raises:
        WeightsError: if the file is missing, unreadable, not the one of its bundle, or holds
            something else.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"{path}: weights file does not exist; check its path")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: weights cannot be read; check the rights there") from error
    check_sum(file, content)
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load

            state: Any = load(content)
        else:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise WeightsError(
            f"{path}: weights cannot be read as a plain state dict; the file is damaged or of "
            "another kind, download it again"
        ) from error
    found = _unpacked(state)
    if found is None:
        raise WeightsError(
            f"{path}: must hold a state dict of tensors, plain or under {', '.join(_WRAPPERS)}; "
            "export it again"
        )
    return found


def _unpacked(state: Any) -> dict[str, torch.Tensor] | None:
    """Return the state dict in what a file holds; None where there is none."""
    if not isinstance(state, dict):
        return None
    for key in _WRAPPERS:
        if isinstance(state.get(key), dict):
            return _unpacked(state[key])
    if not all(isinstance(value, torch.Tensor) for value in state.values()):
        return None
    if state and all(str(name).startswith(_PARALLEL) for name in state):
        return {name.removeprefix(_PARALLEL): value for name, value in state.items()}
    return state


def save_weights(network: nn.Module, path: PathLike) -> None:
    """Write a network's weights as a plain state dict in half precision, replaced atomically.

    Raises:
        WeightsError: if a weight is NaN or infinite in half precision.
        OutputError: if the file cannot be written.
    """
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    state = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    broken = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise WeightsError(f"{path}: {broken[0]} holds NaN or infinity; train again")
    try:
        # Through a stream: given a path, torch writes its temporary name into the file.
        with atomic_file(path) as partial, partial.open("wb") as stream:
            torch.save(state, stream)
    except RuntimeError as error:  # torch's own word for a full disk
        raise OutputError(f"{path}: weights cannot be written; free space") from error


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


def load_faces(
    network: nn.Module,
    path: PathLike | None,
    perceptual: PathLike | None = None,
    perception: float = 0.0,
) -> None:
    """Load one of a model's two faces, or one between them: weights are interpolated linearly.

    Args:
        network: strictly filled.
        path: weights of the faithful face; None keeps the network as it is.
        perceptual: weights of the perceptual face; needed where ``perception`` is not 0.
        perception: 0 is faithful, 1 is perceptual.

    Raises:
        OptionError: if ``perception`` is no number in [0, 1], or there is no perceptual face.
        WeightsError: as :func:`load_weights`.

    References:
        Wang et al. (2018), ESRGAN, section 3.4 (network interpolation).
    """
    if not isinstance(perception, (int, float)) or not 0 <= perception <= 1:
        raise OptionError(f"perception: must be a number in [0, 1], got {perception!r}")
    if path is None:
        if perception:
            raise OptionError(
                f"perception: must be 0 where no weights are loaded, got {perception}; leave it out"
            )
        return
    load_weights(network, path)
    if perception == 0:
        return
    if perceptual is None or not Path(perceptual).is_file():
        raise OptionError(
            f"perception: this bundle has no perceptual weights ({perceptual}); leave it at 0 or "
            "train them with train_gan.yaml"
        )
    faithful = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_weights(network, perceptual)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.lerp(faithful[name], tensor, perception))


def load_pretrained(network: nn.Module, path: PathLike) -> None:
    """Start a network from weights trained for the same sizes, maybe for other channels.

    From color to grey the first convolution's inputs are summed and the last ones' outputs
    averaged: a grey image gives what its three equal channels gave (where a network makes a color
    image for another, nearly). From grey to color the inputs share the weight and the outputs
    repeat.

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
    outputs, wanted = tensor.shape[0], like.shape[0]
    # Where both differ it is the width of a hidden layer, unless the inputs are the image itself.
    if tensor.ndim > 1 and (outputs == wanted or {tensor.shape[1], like.shape[1]} == {1, 3}):
        given, inputs = tensor.shape[1], like.shape[1]
        # Space to depth, as sub-pixel convolutions, keeps the phases of one channel together.
        if given == 3 * inputs:
            tensor = tensor.reshape(outputs, 3, inputs, *tensor.shape[2:]).sum(dim=1)
        elif inputs == 3 * given:
            tensor = tensor.repeat(1, 3, *[1] * (tensor.ndim - 2)) / 3
    if outputs == 3 * wanted:
        tensor = tensor.reshape(3, wanted, *tensor.shape[1:]).mean(dim=0)
    elif wanted == 3 * outputs:
        tensor = tensor.repeat(3, *[1] * (tensor.ndim - 1))
    return tensor


def refuse_partial_weights(network: nn.Module) -> None:
    """Let a network refuse a state dict that is in part its own: other weights were left out.

    MONAI's ``copy_model_state``, and so ``monai.bundle.load``, replaces what does not fit by what
    the network has, and tells nobody: weights of another size leave it untrained.

    Args:
        network: from now on ``load_state_dict`` raises :class:`WeightsError` for such a one.
    """
    network.register_load_state_dict_pre_hook(_check_foreign)  # type: ignore[no-untyped-call]


def _check_foreign(
    network: nn.Module, state: Mapping[str, torch.Tensor], prefix: str, *_: object
) -> None:
    own = {n: v for n, v in network.state_dict(prefix=prefix).items() if v.numel()}
    kept = [n for n, v in own.items() if n in state and state[n].data_ptr() == v.data_ptr()]
    if kept:
        raise WeightsError(
            f"weights: must fit all of {type(network).__name__} as configured, got "
            f"{len(own) - len(kept)} of {len(own)} entries that do; load those of this network, or "
            "the network of those: with monai.bundle.load, net_override={'size': 'fast'} is that "
            "of model_fast.pt"
        )


def _foreign(path: PathLike, network: nn.Module, difference: str) -> WeightsError:
    return WeightsError(
        f"{path}: weights belong to another network than {type(network).__name__} as configured "
        f"({difference}); use the bundle's own weights or change network_def"
    )


def state_digest(network: nn.Module) -> str:
    """Return the SHA-256 of a network's names and values in hexadecimal."""

    def parts() -> Iterator[bytes]:
        for name, value in network.state_dict().items():
            yield name.encode()
            plain = value.detach().cpu().contiguous().flatten()
            yield plain.view(torch.uint8).numpy().tobytes()

    return sha256_of(parts())


def own_source_digest(network: nn.Module) -> str:
    """Return the hash of the code of a network's parts that are neither ours nor installed."""
    return source_digest(sorted({type(part).__module__ for part in network.modules()}))
