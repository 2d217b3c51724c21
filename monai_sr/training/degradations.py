"""How training makes small images out of large ones: the shrinking, and what spoils patches.

A degradation acts twice. ``shrink`` makes the small version of a whole image, once, when it is
loaded. ``corrupt`` spoils patches cut from it, anew in each batch; all its randomness comes from
one seed for each patch, so that batches stay a pure function of seed and iteration.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.functional import downsample, downsample_uint8, gaussian_blur, jpeg, opencv_downsample


class Degradation:
    """Base of all degradations, and the usual one: MATLAB's bicubic, as benchmarks are made."""

    def shrink(self, hr: Tensor, scale: int) -> Tensor:
        """Make the small version of a whole image.

        Shape: hr (C, H, W) uint8 or floating point in [0, 1], sizes multiples of ``scale`` ->
        (C, H / scale, W / scale), same dtype. Volumes (C, X, Y, Z) shrink along all three axes.
        """
        if hr.dtype == torch.uint8:
            return downsample_uint8(hr, scale)
        return downsample(hr, scale, range(1, hr.ndim))

    def corrupt(self, lr: Tensor, seeds: Tensor) -> Tensor:
        """Spoil small patches; here they stay as they are.

        Shape: lr (N, C, P, P) float32 in [0, 1]; seeds (N,) int64, one for each patch -> as lr.
        """
        return lr

    def vary(self, patches: Sequence[Tensor], seeds: Tensor) -> list[Tensor]:
        """Change small and large patches alike, before the small ones are spoiled; here not at all.

        Shape: each (N, C, P, P) in [0, 1], the small ones first; seeds (N,) int64 -> the same.
        """
        return list(patches)


class BicubicDegradation(Degradation):
    """Bicubic with antialiasing, as MATLAB's ``imresize``: what is done if nothing is said."""


class OpenCVCubicDegradation(Degradation):
    """OpenCV's ``INTER_CUBIC``, which does not smooth before it shrinks and leaves aliasing.

    References:
        :func:`monai_sr.functional.degradation.opencv_downsample`.
    """

    def shrink(self, hr: Tensor, scale: int) -> Tensor:
        """Make the small version of a whole image."""
        return opencv_downsample(hr, scale)


class RandomDegradation(Degradation):
    """Shrink, then blur, add noise and compress each small patch with strengths drawn for it.

    Blur belongs before the shrinking. Here it comes after, with a standard deviation in pixels of
    the small image: both are convolutions and may change places, up to aliasing, of which bicubic
    shrinking leaves little (``sigma`` after it equals ``scale * sigma`` before it). So a strength
    means the same at every scale, the small image is still made of the whole large one, with true
    surroundings of each patch, and blurring costs scale^2 times less. Within the reach of the blur,
    patches see their own edge repeated.

    Args:
        blur_sigma: smallest and largest standard deviation of a Gaussian, in small pixels; None
            leaves blur out.
        noise_sigma: smallest and largest standard deviation of white Gaussian noise, independent
            in every channel, in units of 1/255; None leaves it out. Results are clipped to [0, 1].
        jpeg_quality: smallest and largest quality, 1 ... 100; None leaves JPEG out.
        blur_probability: share of patches that are blurred.
        noise_probability: share of patches with noise.
        jpeg_probability: share of patches that are compressed.
        base: how whole images shrink; bicubic if None.

    Raises:
        OptionError: if a range or a probability is impossible.

    References:
        Wang et al. (2021), Real-ESRGAN, arXiv:2107.10833, section 3.1: blur, noise and JPEG as a
        model of real degradations; one pass of it here.
    """

    def __init__(
        self,
        *,
        blur_sigma: Sequence[float] | None = None,
        noise_sigma: Sequence[float] | None = None,
        jpeg_quality: Sequence[int] | None = None,
        blur_probability: float = 1.0,
        noise_probability: float = 1.0,
        jpeg_probability: float = 1.0,
        base: Degradation | None = None,
    ) -> None:
        self.blur_sigma = _range("blur_sigma", blur_sigma, 0, float("inf"))
        self.noise_sigma = _range("noise_sigma", noise_sigma, 0, float("inf"))
        self.jpeg_quality = _range("jpeg_quality", jpeg_quality, 1, 100)
        self.blur_probability = _share("blur_probability", blur_probability)
        self.noise_probability = _share("noise_probability", noise_probability)
        self.jpeg_probability = _share("jpeg_probability", jpeg_probability)
        self.base = base or BicubicDegradation()

    def shrink(self, hr: Tensor, scale: int) -> Tensor:
        """Make the small version of a whole image as ``base`` does."""
        return self.base.shrink(hr, scale)

    def corrupt(self, lr: Tensor, seeds: Tensor) -> Tensor:
        """Spoil each patch; the result of one depends on its own seed alone."""
        patches = zip(self.base.corrupt(lr, seeds), seeds.tolist(), strict=True)
        return torch.stack([self._corrupt(patch, seed) for patch, seed in patches])

    def _corrupt(self, patch: Tensor, seed: int) -> Tensor:
        # On the CPU, whatever the device: the same patch everywhere.
        random = torch.Generator().manual_seed(seed)
        # Everything is drawn, used or not: one choice does not change the others.
        blur, noise, compress = torch.rand(3, generator=random, dtype=torch.float64).tolist()
        strengths = torch.rand(3, generator=random, dtype=torch.float64).tolist()
        if self.blur_sigma and blur < self.blur_probability:
            patch = gaussian_blur(patch, _between(self.blur_sigma, strengths[0]))
        if self.noise_sigma and noise < self.noise_probability:
            grain = torch.randn(patch.shape, generator=random).to(patch.device)
            sigma = _between(self.noise_sigma, strengths[1]) / 255
            patch = (patch + sigma * grain).clamp(0, 1)
        if self.jpeg_quality and compress < self.jpeg_probability:
            patch = jpeg(patch, round(_between(self.jpeg_quality, strengths[2])))
        return patch


def _between(limits: tuple[float, float], place: float) -> float:
    return limits[0] + place * (limits[1] - limits[0])


def _range(
    name: str, limits: Sequence[float] | None, lowest: float, highest: float
) -> tuple[float, float] | None:
    if limits is None:
        return None
    if len(limits) != 2 or not lowest <= limits[0] <= limits[1] <= highest:
        raise OptionError(
            f"{name}: needs [smallest, largest] within {lowest:g} ... {highest:g}, "
            f"got {list(limits)}"
        )
    return float(limits[0]), float(limits[1])


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise OptionError(f"{name}: must be in [0, 1], got {value}")
    return float(value)
