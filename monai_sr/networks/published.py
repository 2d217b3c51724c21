"""Weights that others have published: the architecture is told by the file itself.

With ``pip install 'monai-sr[spandrel]'``, a ``--ckpt_path`` that is not of the bundle's network is
recognized by the names and shapes of its tensors (ESRGAN, SwinIR, SPAN, HAT, ...) and enlarges
whatever the bundle reads. Files are read by :func:`monai_sr.networks.weights.read_weights`, which
never runs code of theirs.
"""

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import (
    OptionError,
    PathLike,
    WeightsError,
    get_logger,
    import_extra,
    import_torchvision,
)
from monai_sr.networks.registry import Generator, GeneratorInfo
from monai_sr.networks.weights import read_weights

logger = get_logger(__name__)

REACH = 48
"""Input pixels around a pixel among which its influence is looked for; the margin of tiles where it
reaches farther."""
_CHANGE = 2**-16
"""Change of the result, as a share of its range, that counts: the step of 16-bit images."""


class PublishedNetwork(Generator):
    """A network of spandrel behind the interface of all generators.

    Its scale and channels are those of the file. How far a result depends on its surroundings is
    measured once on random values; where that is farther than :data:`REACH`, tiles do not equal the
    whole exactly, and inference says so. Grey images are given to networks of three channels three
    times and averaged, bands one by one to networks of one. Results are in [0, 1].

    Shape: image (N, C, H, W) in [0, 1] -> (N, C, s * H, s * W), same dtype.

    Args:
        state: state dict of the file.
        in_channels: channels of the images it is given.

    Raises:
        MissingDependencyError: if spandrel is not installed.
        WeightsError: if spandrel does not know the network, or it does not enlarge images.
    """

    info = GeneratorInfo(
        paper="see the source of the weights", scales=tuple(range(1, 17)), learns="elsewhere"
    )

    def __init__(self, state: Mapping[str, Tensor], *, in_channels: int = 3) -> None:
        super().__init__()
        self._read(state)
        if self.needs not in (1, 3):
            raise WeightsError(
                f"{self.title}: must take 1 or 3 channels, got {self.needs}; use another file"
            )
        self._declare(
            scale=int(self._descriptor.scale), halo=REACH, in_channels=in_channels, spatial_dims=2
        )
        self.halo, is_local = self._measured_reach()
        self.info = dataclasses.replace(type(self).info, is_local=is_local)

    def _read(self, state: Mapping[str, Tensor]) -> None:
        import_torchvision()  # spandrel imports it, too; ours has what some builds lack
        spandrel = import_extra("spandrel", extra="spandrel")
        try:
            found = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(state))
        except Exception as error:  # each architecture raises its own kinds for what it mistakes
            raise WeightsError(
                "weights: must be of an architecture that spandrel knows, got others; "
                "see its list of architectures"
            ) from error
        if not isinstance(found, spandrel.ImageModelDescriptor):
            raise WeightsError(
                f"{found.architecture.name}: must turn an image into one, got a network for "
                f"{found.purpose}; use another file"
            )
        self._descriptor: Any = found
        self._state = dict(state)
        self.title = str(found.architecture.name)
        self.needs = int(found.input_channels)
        self.network: nn.Module = found.model.eval()

    def _measured_reach(self) -> tuple[int, bool]:
        """Return how far a pixel's value is felt, and whether that is within :data:`REACH`."""
        side = 2 * REACH + 1
        images = torch.rand(self.needs, side, side, generator=torch.Generator().manual_seed(0))
        changed = images.clone()
        changed[:, REACH, REACH] = 1 - changed[:, REACH, REACH].round()
        with torch.no_grad():
            results = [self._descriptor(image[None]) for image in (images, changed)]
        felt = (results[0] - results[1]).abs().amax(dim=(0, 1)) > _CHANGE
        places = felt.nonzero() // self.scale - REACH
        reach = int(places.abs().max()) if len(places) else 0
        return (REACH, False) if reach >= REACH - 1 else (reach + 1, True)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be that of the file."""
        self._factor(scale)
        channels = image.shape[1]
        flat = image if self.needs == channels else image.flatten(0, 1).unsqueeze(1)
        if self.needs == 3 and channels != 3:
            flat = flat.expand(-1, 3, -1, -1)
        own = next(self.network.parameters()).dtype
        # Outside of inference mode, what was computed in it could not be changed.
        results = torch.cat([self._descriptor(each[None].to(own)) for each in flat]).clone()
        if self.needs != channels:
            results = results.mean(dim=1).view(*image.shape[:2], *results.shape[2:])
        return results.to(image.dtype)

    def state_dict(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the tensors of the file under its own names."""
        return dict(self._state)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take other tensors of the same network."""
        if any(not torch.equal(state_dict[name], own) for name, own in self._state.items()):
            self._read(state_dict)


def published_network(
    own: Generator, weights: PathLike | None, *, scale: float, in_channels: int
) -> Generator:
    """Return the network that weights belong to: a bundle's own, or one that others published.

    Args:
        own: the bundle's network.
        weights: file of weights; None or a missing file means the bundle's network.
        scale: the enlargement that is wanted.
        in_channels: channels of the images.

    Returns:
        ``own`` where the names of the tensors are its own, or nobody knows them: what does not fit
        is told when they are loaded.

    Raises:
        OptionError: if the file is of another enlargement.
        WeightsError: if it cannot be read, or spandrel, which could tell, is not installed.
    """
    if weights is None or not Path(weights).is_file():
        return own
    state = read_weights(weights)
    if state.keys() & own.state_dict().keys():
        return own
    if importlib.util.find_spec("spandrel") is None:
        raise WeightsError(
            f"{weights}: weights belong to another network than {type(own).__name__}; "
            "use the bundle's own, or install what may know them: pip install 'monai-sr[spandrel]'"
        )
    try:
        network = PublishedNetwork(state, in_channels=in_channels)
    except WeightsError as error:
        if network_is_unknown(error):
            return own
        raise WeightsError(f"{weights}: {error}") from error
    if network.scale < scale:
        raise OptionError(
            f"scale: {weights} enlarges by {network.scale}, got {scale:g}; "
            f"add --scale {network.scale}"
        )
    logger.info(
        "%s: %s, x%d, %d channels", Path(weights).name, network.title, network.scale, network.needs
    )
    return network


def network_is_unknown(error: WeightsError) -> bool:
    """Tell whether nobody knows the network of some weights."""
    return str(error).startswith("weights:")
