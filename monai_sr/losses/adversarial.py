"""Adversarial losses: one object judges for the generator and for the discriminator.

All take logits, never probabilities, of any shape: one value an image or a map of verdicts. They
are computed in float32 and averaged over all verdicts. ``loss(real_logits, fake_logits)`` is the
generator's loss, ``loss.discriminator(real_logits, fake_logits)`` the discriminator's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monai_sr.core import OptionError, global_mean, unknown_name
from monai_sr.losses.pixel import at_least_float32


class AdversarialLoss(nn.Module):
    """Base of losses made of two penalties: one for looking fake, one for looking real.

    The discriminator pays for real images that look fake and for generated ones that look real:
    mean ``looks_fake(real)`` + mean ``looks_real(fake)``. The generator pays for results that look
    fake: mean ``looks_fake(fake)``.

    Shape: real_logits and fake_logits, any -> scalar float32; lower is better.
    """

    def looks_fake(self, logits: Tensor) -> Tensor:
        """Return the penalty, verdict by verdict, that falls as the logits rise."""
        raise NotImplementedError

    def looks_real(self, logits: Tensor) -> Tensor:
        """Return the penalty, verdict by verdict, that rises with the logits."""
        raise NotImplementedError

    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the generator's loss; the verdict on real images does not enter."""
        return self.looks_fake(at_least_float32(fake_logits)).mean()

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss."""
        real = self.looks_fake(at_least_float32(real_logits)).mean()
        return real + self.looks_real(at_least_float32(fake_logits)).mean()


class VanillaAdversarialLoss(AdversarialLoss):
    """Binary cross entropy; the generator minimizes -log D(G(lr)), which does not saturate.

    Args:
        label_smoothing: what the discriminator's target of real images lies below 1; generated
            images keep the target 0, and the generator aims at 1.

    Raises:
        OptionError: if ``label_smoothing`` is not in [0, 1).

    References:
        Goodfellow et al. (2014), Generative adversarial nets, arXiv:1406.2661.
        Salimans et al. (2016), Improved techniques for training GANs, arXiv:1606.03498, section
        3.4 (one-sided smoothing).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise OptionError(
                f"label_smoothing: must be in [0, 1), got {label_smoothing}; 0.1 is usual"
            )
        self.label_smoothing = label_smoothing

    def looks_fake(self, logits: Tensor) -> Tensor:
        """Return -log sigmoid(logits)."""
        return F.softplus(-logits)

    def looks_real(self, logits: Tensor) -> Tensor:
        """Return -log(1 - sigmoid(logits))."""
        return F.softplus(logits)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss."""
        # Cross entropy is linear in its target, and softplus(r) = softplus(-r) + r.
        smoothed = self.label_smoothing * at_least_float32(real_logits).mean()
        return super().discriminator(real_logits, fake_logits) + smoothed


class LeastSquaresAdversarialLoss(AdversarialLoss):
    """Half the squared distance of the logits to 1 (real) and 0 (generated).

    References:
        Mao et al. (2017), Least squares generative adversarial networks,
        doi:10.1109/ICCV.2017.304.
    """

    def looks_fake(self, logits: Tensor) -> Tensor:
        """Return (logits - 1)^2 / 2."""
        return (logits - 1) ** 2 / 2

    def looks_real(self, logits: Tensor) -> Tensor:
        """Return logits^2 / 2."""
        return logits**2 / 2


class HingeAdversarialLoss(AdversarialLoss):
    """The discriminator stops pushing at a margin of 1; the generator minimizes -mean(logits).

    References:
        Lim and Ye (2017), Geometric GAN, arXiv:1705.02894.
    """

    def looks_fake(self, logits: Tensor) -> Tensor:
        """Return max(0, 1 - logits)."""
        return F.relu(1 - logits)

    def looks_real(self, logits: Tensor) -> Tensor:
        """Return max(0, 1 + logits)."""
        return F.relu(1 + logits)

    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the generator's loss, which has no margin."""
        return -at_least_float32(fake_logits).mean()


_BASES = ("bce", "least_squares", "hinge")


class RelativisticAverageLoss(nn.Module):
    """Judge whether real images look more real than the average generated one, and vice versa.

    With r = real - mean(fake) and f = fake - mean(real), the discriminator minimizes
    mean(high(r)) + mean(high(-f)) and the generator mean(high(f)) + mean(high(-r)), where high(t)
    is -log sigmoid(t), (t - 1)^2 or max(0, 1 - t). The means run over all verdicts of all
    processes, so that training on several devices equals training on one.

    Shape: real_logits and fake_logits, any -> scalar float32; lower is better.

    Args:
        base: "bce" (that of ESRGAN), "least_squares" or "hinge".

    Raises:
        OptionError: if ``base`` is unknown.

    References:
        Jolicoeur-Martineau (2019), The relativistic discriminator, arXiv:1807.00734.
        Wang et al. (2018), ESRGAN, doi:10.1007/978-3-030-11021-5_5.
    """

    def __init__(self, base: str = "bce") -> None:
        super().__init__()
        if base not in _BASES:
            raise unknown_name("base", base, _BASES)
        self.base = base

    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the generator's loss."""
        real, fake = self._relative(real_logits, fake_logits)
        return self._high(fake).mean() + self._high(-real).mean()

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss."""
        real, fake = self._relative(real_logits, fake_logits)
        return self._high(real).mean() + self._high(-fake).mean()

    def _relative(self, real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
        real, fake = at_least_float32(real_logits), at_least_float32(fake_logits)
        return real - global_mean(fake), fake - global_mean(real)

    def _high(self, margin: Tensor) -> Tensor:
        """Return the penalty, verdict by verdict, for a margin that should be high."""
        if self.base == "least_squares":
            return (margin - 1) ** 2
        return F.relu(1 - margin) if self.base == "hinge" else F.softplus(-margin)


class FeatureMatchingLoss(nn.Module):
    """Compare the discriminator's inner features: mean over layers of mean |real - fake|.

    Features of real images are targets: no gradient flows into them.

    Shape: real_features and fake_features, lists of equal length and shapes -> scalar float32;
    lower is better.

    Raises:
        OptionError: if there are no features, or the lists differ in length.

    References:
        Wang et al. (2018), High-resolution image synthesis and semantic manipulation with
        conditional GANs, doi:10.1109/CVPR.2018.00917.
    """

    def forward(self, real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
        """Return the mean over layers."""
        if not real_features or len(real_features) != len(fake_features):
            raise OptionError(
                "real_features, fake_features: need equally many layers, at least one, got "
                f"{len(real_features)} and {len(fake_features)}; use a discriminator that returns "
                "its features"
            )
        differences = [
            F.l1_loss(at_least_float32(fake), at_least_float32(real.detach()))
            for real, fake in zip(real_features, fake_features, strict=True)
        ]
        return torch.stack(differences).mean()
