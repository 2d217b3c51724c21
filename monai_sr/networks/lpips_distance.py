"""The learned perceptual distance LPIPS, on backbones that need no download.

References:
    Zhang, Isola, Efros, Shechtman, Wang (2018), The unreasonable effectiveness of deep features as
    a perceptual metric, doi:10.1109/CVPR.2018.00068.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monai_sr.core import MissingDependencyError, OptionError, PathLike, unknown_name
from monai_sr.networks.backbones import create_backbone, freeze
from monai_sr.networks.weights import read_weights

_LAYERS = {
    "squeeze": (
        "squeezenet1_1",
        ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9"),
    ),
    "alex": ("alexnet", ("relu1", "relu2", "relu3", "relu4", "relu5")),
    "vgg": ("vgg16", ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")),
}
# Mean and standard deviation of the authors' own scaling layer, for images in [-1, 1].
_MEAN, _STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPSILON = 1e-10  # the authors', added to the length of a feature vector


class LPIPSDistance(nn.Module):
    """Measure how different two images look: LPIPS v0.1, with the authors' linear layers.

    Per layer the features are scaled to length one at every place; their squared differences are
    weighted by channel and averaged over the image; the layers are summed. Figures of ``squeeze``
    are to be called "LPIPS (SqueezeNet, offline weights)"; published ones mostly use ``alex``.

    Shape: sr, hr (N, 1 or 3, H, W) in [0, 1], not smaller than the network's grid (17 px for
    ``squeeze``) -> (N,) float32, 0 for equal images; lower is better.

    Args:
        net: "squeeze", whose weights come with the package, "alex" or "vgg".
        weights: of the backbone, see :func:`monai_sr.networks.backbones.create_backbone`.

    Raises:
        OptionError: if ``net`` is unknown or the shapes of the images differ.
        MissingDependencyError: if the package ``lpips``, which has the linear layers, is absent.
        WeightsError: if the backbone's weights cannot be had.
    """

    def __init__(self, net: str = "squeeze", *, weights: PathLike | None = None) -> None:
        super().__init__()
        if net not in _LAYERS:
            raise unknown_name("net", net, _LAYERS)
        name, self.layers = _LAYERS[net]
        self.backbone = create_backbone(name, weights)
        # The backbone takes [0, 1]: (2 x - 1 - mean) / std.
        self.backbone.mean = (1 + torch.tensor(_MEAN).view(1, 3, 1, 1)) / 2
        self.backbone.std = torch.tensor(_STD).view(1, 3, 1, 1) / 2
        linear = _linear_layers(net)
        for index in range(len(self.layers)):
            self.register_buffer(f"linear{index}", linear[f"lin{index}.model.1.weight"])
        freeze(self)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the distance of each pair; gradients flow to both images."""
        if sr.shape != hr.shape:
            raise OptionError(
                f"sr, hr: must have the same shape, got {tuple(sr.shape)} and {tuple(hr.shape)}"
            )
        ours, theirs = self.backbone(sr, self.layers), self.backbone(hr, self.layers)
        self.to(sr.device)
        distance = sr.new_zeros(sr.shape[0], dtype=torch.float32)
        with torch.autocast(sr.device.type, enabled=False):
            for index, layer in enumerate(self.layers):
                difference = (_unit(ours[layer]) - _unit(theirs[layer])) ** 2
                weighted = F.conv2d(difference, getattr(self, f"linear{index}"))
                distance = distance + weighted.mean(dim=(1, 2, 3))
        return distance


def _unit(features: Tensor) -> Tensor:
    """Scale the feature vector at every place to length one."""
    # The tiny number under the root, 1e-20, keeps the gradient of a vector of zeros finite.
    length = torch.sqrt((features**2).sum(dim=1, keepdim=True) + _EPSILON**2)
    return features / (length + _EPSILON)


def _linear_layers(net: str) -> dict[str, Tensor]:
    """Read the linear layers from the ``lpips`` package without importing it."""
    spec = find_spec("lpips")
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "lpips: needed for the perceptual distance; install it with: pip install lpips"
        )
    return read_weights(Path(spec.origin).parent / "weights" / "v0.1" / f"{net}.pth")
