"""Sensors as degradations: a list of stages, each with strengths drawn over what devices have.

A configuration names the stages in the order in which the signal meets them:

    degradation:
      _target_: monai_sr.training.SensorDegradation
      stages:
      - {_target_: monai_sr.training.SensorBlur, at_nyquist: [0.15, 0.45]}
      - {_target_: monai_sr.training.RadiometricNoise, snr: [40, 300], probability: 0.8}

Every stage acts on small patches, after bicubic reduction. The physics is in
:mod:`monai_sr.functional.sensors`, sources of the strengths in ``configs/degradations``.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.functional import (
    bias_field,
    gaussian_blur,
    gaussian_mtf,
    jpeg,
    jpeg2000,
    lorentzian_mtf,
    quantum_noise,
    radiometric_noise,
    reconstruction_noise,
    resampled_cubic,
    resampled_nearest,
    resize_to,
    rician_noise,
    sensor_blur,
    zero_filled,
)
from monai_sr.training.degradations import BicubicDegradation, Degradation

_MTF = {"gaussian": gaussian_mtf, "lorentzian": lorentzian_mtf}
_GRIDS = ("nearest", "cubic")
_TERMS = 10  # of a polynomial of third degree in two variables


class Stage:
    """One thing that a sensor does to a patch.

    Args:
        probability: share of patches that it acts on.
        **ranges: smallest and largest value of each strength, which is drawn between them; for
            what spans decades by its logarithm.

    Raises:
        OptionError: if a range is impossible.
    """

    limits: Mapping[str, tuple[float, float]]
    """Strength -> the values that it may have."""
    by_decade: frozenset[str]
    """Strengths that are drawn by their logarithm."""

    def __init_subclass__(
        cls, *, limits: Mapping[str, tuple[float, float]], by_decade: Collection[str] = ()
    ) -> None:
        """Note what the strengths of a stage may be."""
        super().__init_subclass__()
        cls.limits, cls.by_decade = limits, frozenset(by_decade)

    def __init__(self, *, probability: float = 1.0, **ranges: Sequence[float]) -> None:
        if not 0 <= probability <= 1:
            raise OptionError(f"probability: must be in [0, 1], got {probability}")
        if set(ranges) != set(self.limits):
            raise OptionError(
                f"{type(self).__name__}: needs {', '.join(sorted(self.limits)) or 'no strengths'}, "
                f"got {', '.join(sorted(ranges)) or 'none'}"
            )
        self.probability = probability
        self.ranges = {name: self._range(name, given) for name, given in ranges.items()}

    def __call__(self, patch: Tensor, random: torch.Generator) -> Tensor:
        """Act on a patch, or leave it as it is.

        Shape: patch (C, P, P) in [0, 1] -> the same, clipped to [0, 1].
        """
        acts, *places = torch.rand(
            1 + len(self.ranges), generator=random, dtype=torch.float64
        ).tolist()
        if acts >= self.probability:
            return patch
        drawn = {
            name: self._drawn(name, place) for name, place in zip(self.ranges, places, strict=True)
        }
        return self.act(patch, random, **drawn).clamp(0, 1)

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Act with the strengths that were drawn."""
        raise NotImplementedError

    def vary(self, patches: Sequence[Tensor], random: torch.Generator) -> list[Tensor]:
        """Change all versions of a patch alike, as what a scanner sees differs; here not at all.

        Shape: each (C, H, W) in [0, 1], of the same extent -> the same.
        """
        return list(patches)

    def _range(self, name: str, given: Sequence[float]) -> tuple[float, float]:
        low, high = self.limits[name]
        if len(given) != 2 or not low <= given[0] <= given[1] <= high:
            raise OptionError(
                f"{name}: needs [smallest, largest] within {low:g} ... {high:g}, got {list(given)}"
            )
        return float(given[0]), float(given[1])

    def _drawn(self, name: str, place: float) -> float:
        low, high = self.ranges[name]
        if name in self.by_decade:
            return float(low * (high / low) ** place)
        return low + place * (high - low)


class SensorBlur(Stage, limits={"at_nyquist": (0.01, 1.0)}):
    """Optics, detector or lens: a transfer function by its value at Nyquist's frequency.

    Args:
        form: "gaussian" or "lorentzian" (scintillators).
        at_nyquist: transfer there, 0 ... 1.
        probability: see :class:`Stage`.
    """

    def __init__(self, *, form: str = "gaussian", **given: object) -> None:
        if form not in _MTF:
            raise OptionError(f"form: must be one of {', '.join(_MTF)}, got {form!r}")
        super().__init__(**given)  # type: ignore[arg-type]
        self.form = form

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Blur."""
        return sensor_blur(patch, strengths["at_nyquist"], _MTF[self.form])


class QuantumNoise(
    Stage,
    limits={"quanta": (10.0, 1e8), "decades": (0.3, 4.0), "scatter": (0.0, 0.95)},
    by_decade={"quanta"},
):
    """Counted X-ray quanta, seen through the curve of processing; scatter adds to the count.

    Args:
        quanta: that a pixel detects where nothing attenuates.
        decades: latitude of the displayed values.
        scatter: share of scattered quanta.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Count."""
        return quantum_noise(patch, random=random, **strengths)


class ZeroFilling(Stage, limits={"share": (0.1, 1.0)}):
    """MR: only the center of k-space is measured, along each axis its own share.

    Args:
        share: of the frequencies that are kept.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Cut; one axis as drawn, the other between that and all."""
        one = strengths["share"]
        other = one + float(torch.rand(1, generator=random)) * (1 - one)
        is_rows = bool(torch.rand(1, generator=random) < 0.5)
        return zero_filled(patch, (one, other) if is_rows else (other, one))


class RicianNoise(Stage, limits={"sigma": (0.0, 0.5)}):
    """MR: noise of magnitudes.

    Args:
        sigma: of each part, on the scale of the image.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Add noise."""
        return rician_noise(patch, strengths["sigma"], random)


class BiasField(Stage, limits={"strength": (0.0, 2.0)}):
    """MR: coils see what is near brighter. All patches vary alike: it is no error to mend.

    Args:
        strength: largest coefficient of the polynomial in the exponent.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Leave a small patch as it is: the field is there already."""
        return patch

    def vary(self, patches: Sequence[Tensor], random: torch.Generator) -> list[Tensor]:
        """Multiply all by one field, whose mean over the patch is 1."""
        acts, place = torch.rand(2, generator=random, dtype=torch.float64).tolist()
        given = 2 * torch.rand(_TERMS, generator=random, dtype=torch.float64) - 1
        if acts >= self.probability:
            return list(patches)
        given *= self._drawn("strength", place)
        found = []
        for patch in patches:
            field = bias_field((patch.shape[-2], patch.shape[-1]), given).to(patch)
            found.append((patch * field / field.mean()).clamp(0, 1))
        return found


class ReconstructionNoise(Stage, limits={"sigma": (0.0, 0.5), "cutoff": (0.02, 2.0)}):
    """CT: noise with the spectrum of filtered back projection.

    Args:
        sigma: standard deviation, on the scale of the image.
        cutoff: of the kernel, in cycles a pixel.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Add noise."""
        return reconstruction_noise(patch, random=random, **strengths)


class RadiometricNoise(
    Stage,
    limits={"snr": (1.0, 1e5), "reference": (0.01, 1.0), "shot_share": (0.0, 1.0)},
    by_decade={"snr"},
):
    """Sensors of the Earth: signal to noise at a reference brightness.

    Args:
        snr: signal to noise there.
        reference: brightness there.
        shot_share: part of the variance there that grows with the signal.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Add noise."""
        return radiometric_noise(patch, random=random, **strengths)


class GridResampling(Stage, limits={"angle": (-45.0, 45.0)}):
    """Products lie on another grid than what the sensor has sampled.

    Args:
        kernel: "nearest" or "cubic".
        angle: between the grids, in degrees; of no account for "cubic".
        probability: see :class:`Stage`.
    """

    def __init__(self, *, kernel: str, **given: object) -> None:
        if kernel not in _GRIDS:
            raise OptionError(f"kernel: must be one of {', '.join(_GRIDS)}, got {kernel!r}")
        super().__init__(**given)  # type: ignore[arg-type]
        self.kernel = kernel

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Resample; the offset of the grids is any."""
        y, x = (torch.rand(2, generator=random, dtype=torch.float64) - 0.5).tolist()
        if self.kernel == "cubic":
            return resampled_cubic(patch, (y, x))
        return resampled_nearest(patch, strengths["angle"], (y, x))


class Jpeg2000(Stage, limits={"ratio": (1.0, 200.0)}, by_decade={"ratio"}):
    """Lossy JPEG 2000, of 16 bits.

    Args:
        ratio: size before to size after.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Compress and decompress."""
        return jpeg2000(patch, strengths["ratio"])


class Jpeg(Stage, limits={"quality": (1.0, 100.0)}):
    """Baseline JPEG.

    Args:
        quality: 1 ... 100.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Compress and decompress."""
        return jpeg(patch, round(strengths["quality"]))


class LensBlur(Stage, limits={"sigma": (0.0, 10.0)}):
    """Defocus and motion of cameras: a Gaussian, by its standard deviation in small pixels.

    Args:
        sigma: standard deviation.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Blur."""
        return gaussian_blur(patch, strengths["sigma"])


class CameraNoise(Stage, limits={"sigma": (0.0, 255.0), "gray_share": (0.0, 1.0)}):
    """White noise, the same in all channels or apart in each.

    Args:
        sigma: standard deviation, in units of 1/255.
        gray_share: share of noisy patches whose channels have the same noise.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Add noise."""
        is_gray = float(torch.rand(1, generator=random)) < strengths["gray_share"]
        shape = (1, *patch.shape[1:]) if is_gray else patch.shape
        grain = torch.randn(shape, generator=random).to(patch)
        return patch + strengths["sigma"] / 255 * grain


class Rescaling(Stage, limits={"factor": (0.1, 4.0)}, by_decade={"factor"}):
    """An image that was shared once has been resized: to another size and back, bicubically.

    Args:
        factor: of the size between.
        probability: see :class:`Stage`.
    """

    def act(self, patch: Tensor, random: torch.Generator, **strengths: float) -> Tensor:
        """Resize twice."""
        sizes = list(patch.shape[-2:])
        between = [max(4, round(n * strengths["factor"])) for n in sizes]
        return resize_to(resize_to(patch, between, (-2, -1)), sizes, (-2, -1))


class SensorDegradation(Degradation):
    """What a sensor and its processing do, stage after stage.

    Args:
        stages: in the order in which the signal meets them.
        base: how whole images shrink; bicubic if None.
        clean_share: share of patches that meet no stage, from which a network learns to be faithful
            where nothing is amiss.

    Raises:
        OptionError: if there is no stage, or the share is none.
    """

    def __init__(
        self, stages: Sequence[Stage], base: Degradation | None = None, clean_share: float = 0.0
    ) -> None:
        if not stages:
            raise OptionError("stages: must be one or more, got none")
        if not 0 <= clean_share <= 1:
            raise OptionError(f"clean_share: must be in [0, 1], got {clean_share}")
        self.stages, self.base = list(stages), base or BicubicDegradation()
        self.clean_share = clean_share

    def shrink(self, hr: Tensor, scale: int) -> Tensor:
        """Make the small version of a whole image as ``base`` does."""
        return self.base.shrink(hr, scale)

    def corrupt(self, lr: Tensor, seeds: Tensor) -> Tensor:
        """Send each patch through all stages; each draws from a stream of its own."""
        found = []
        for patch, seed in zip(self.base.corrupt(lr, seeds), seeds.tolist(), strict=True):
            for number, stage in enumerate(self._met(seed)):
                patch = stage(patch, _stream(seed, number, 0))
            found.append(patch)
        return torch.stack(found)

    def _met(self, seed: int) -> list[Stage]:
        drawn = float(torch.rand(1, generator=_stream(seed, len(self.stages), 2)))
        return [] if drawn < self.clean_share else self.stages

    def vary(self, patches: Sequence[Tensor], seeds: Tensor) -> list[Tensor]:
        """Change small and large patches alike where a stage does."""
        numbers = [n for n, stage in enumerate(self.stages) if type(stage).vary is not Stage.vary]
        found = list(patches)
        for number in numbers:
            each = [
                self.stages[number].vary(versions, _stream(seed, number, 1))
                for versions, seed in zip(zip(*found, strict=True), seeds.tolist(), strict=True)
            ]
            found = [torch.stack(list(versions)) for versions in zip(*each, strict=True)]
        return found


def _stream(seed: int, stage: int, purpose: int) -> torch.Generator:
    mixed = np.random.SeedSequence((seed, stage, purpose)).generate_state(1)
    return torch.Generator().manual_seed(int(mixed[0]))
