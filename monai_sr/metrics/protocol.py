"""Turn a result and its reference into the pair of planes that a protocol compares.

Everything that published figures silently depend on is decided here and nowhere else: how the
low-resolution image is made, rounding to stored values, the luma of BT.601, the cropped border and
the data range.

``natural``
    The benchmark protocol of photographs: 8-bit images, LR by MATLAB's ``imresize`` of the 8-bit
    image, results rounded to 8 bits, luma of color images (not rounded again), a border of
    ``scale`` pixels left out, data range 255. Grey images are compared as they are.
``native``
    Images of measured values: their own range, every channel, never luma, the same border.
    ``native(255)`` and ``native(4095)`` are stored integers, results are rounded to them;
    ``"native"`` alone compares values as they are, on a range of one.
``natural_opencv``
    ``natural``, but LR by OpenCV's ``INTER_CUBIC``, which does not smooth and leaves aliasing: how
    Szigetvari et al. (2025) made theirs. Its figures do not compare with those of ``natural``.

Luma is not rounded again because the evaluation scripts of EDSR and its successors do not round
it; the oldest ones did. The published bicubic rows cannot tell: on Set5 x2 they say 33.66 dB, we
measure 33.68 so and 33.64 with rounded luma.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from monai_sr.core import BadImageError, OptionError, unknown_name
from monai_sr.functional import downsample, downsample_uint8, opencv_downsample, rgb_to_y

_SHRINKING: dict[str, tuple[Callable[[Tensor, int], Tensor], Callable[[Tensor, int], Tensor]]] = {
    "MATLAB bicubic": (downsample, downsample_uint8),
    "OpenCV INTER_CUBIC": (opencv_downsample, opencv_downsample),
}
"""What makes LR images -> how, of floating-point values and of 8-bit ones."""
_FAR, _FAR_SHARE = 0.5, 0.1
"""How far outside of [0, 1] how many values of a reference must be for it to have another range:
single ones are outliers, and a little outside is what enlarging or shrinking adds."""


@dataclass(frozen=True)
class Protocol:
    """State how two images are compared.

    Args:
        name: what tables call it.
        data_range: stored value that 1.0 stands for, the range of PSNR and SSIM.
        is_rounded: whether results are clipped to [0, data_range] and rounded to whole values.
        uses_luma: whether three-channel images are compared by their BT.601 luma.
        shrinking: what makes the low-resolution images, "MATLAB bicubic" or "OpenCV INTER_CUBIC".
    """

    name: str
    data_range: float
    is_rounded: bool
    uses_luma: bool
    shrinking: str = "MATLAB bicubic"

    def __post_init__(self) -> None:
        """Refuse a range that no measure can use, and an unknown way to shrink."""
        if self.shrinking not in _SHRINKING:
            raise unknown_name("shrinking", self.shrinking, _SHRINKING)
        if not 0 < self.data_range < float("inf"):
            raise OptionError(
                f"data_range: must be positive and finite, got {self.data_range}; "
                "pass the largest value that can be stored, such as 255"
            )

    @property
    def shrink(self) -> Callable[[Tensor, int], Tensor]:
        """What makes low-resolution images of floating-point values, without rounding."""
        return _SHRINKING[self.shrinking][0]

    @property
    def description(self) -> str:
        """One sentence for the heading of a table."""
        values = f"values rounded to 0…{self.data_range:g}" if self.is_rounded else "values as are"
        plane = "luma (Y of BT.601) of color images" if self.uses_luma else "every channel"
        return (
            f"protocol `{self.name}`: LR by {self.shrinking}, {values}, {plane}, border of `scale` "
            f"pixels left out, data range {self.data_range:g}, SSIM with an 11 x 11 Gaussian window"
        )


NATURAL = Protocol("natural", data_range=255.0, is_rounded=True, uses_luma=True)
NATURAL_OPENCV = replace(NATURAL, name="natural_opencv", shrinking="OpenCV INTER_CUBIC")
_NAMED = {protocol.name: protocol for protocol in (NATURAL, NATURAL_OPENCV)}


def native(data_range: float = 1.0) -> Protocol:
    """Build the protocol of measured values; of a range larger than one they are rounded.

    Args:
        data_range: largest storable value; 1 for values in [0, 1] that are never stored.
    """
    name = "native" if data_range == 1 else f"native {data_range:g}"
    return Protocol(name, data_range=float(data_range), is_rounded=data_range > 1, uses_luma=False)


def get_protocol(protocol: str | Protocol, data_range: float | None = None) -> Protocol:
    """Return the protocol of a name, see this module; a Protocol passes unchanged.

    Args:
        protocol: a name or a protocol.
        data_range: for ``"native"``, see :func:`native`.

    Raises:
        OptionError: if the name is unknown, or a range is given where it is fixed.
    """
    if protocol == "native":
        return native(1.0 if data_range is None else data_range)
    if isinstance(protocol, str) and protocol not in _NAMED:
        raise unknown_name("protocol", protocol, (*_NAMED, "native"))
    found = _NAMED[protocol] if isinstance(protocol, str) else protocol
    if data_range not in (None, found.data_range):
        raise OptionError(
            f"data_range: protocol {found.name!r} fixes it at {found.data_range:g}, "
            f"got {data_range}; use protocol 'native'"
        )
    return found


def to_stored(image: Tensor, protocol: str | Protocol) -> Tensor:
    """Bring values of [0, 1] to the values that a file would hold.

    Shape: image (..., H, W) in [0, 1] -> same shape, float64, in stored values.
    """
    protocol = get_protocol(protocol)
    stored = image.detach().double() * protocol.data_range
    if protocol.is_rounded:
        # Halves go up, as in MATLAB; torch.round would take them to even values.
        stored = torch.floor(stored.clamp(0, protocol.data_range) + 0.5)
    return stored


def reference_to_stored(image: Tensor, protocol: str | Protocol) -> Tensor:
    """Bring a reference or input to stored values, see :func:`to_stored`.

    Raises:
        OptionError: if it has another range than [0, 1] and would be clipped: two images of 0 to
            255 would both become white, and equal.
    """
    if get_protocol(protocol).is_rounded:
        check_unit(image)
    return to_stored(image, protocol)


def check_unit(image: Tensor) -> None:
    """Check that a reference or input is in [0, 1], but for a few values or a little.

    Raises:
        OptionError: if it is not.
    """
    is_far = (image < -_FAR) | (image > 1 + _FAR)
    if float(is_far.double().mean()) > _FAR_SHARE:
        low, high = (float(end) for end in image.aminmax())
        raise OptionError(
            f"hr: must hold values in [0, 1], got {low:g} to {high:g}; map result and reference to "
            "[0, 1], such as by / 255"
        )


def prepare_pair(
    sr: Tensor, hr: Tensor, scale: int, protocol: str | Protocol
) -> tuple[Tensor, Tensor]:
    """Bring a result and its reference to the planes that are compared.

    Shape: sr, hr (N, C, H, W[, D]) or (C, H, W) in [0, 1] -> float64 in stored values, one channel
    where the protocol takes luma, ``scale`` pixels less at every spatial edge.

    Args:
        sr: the result.
        hr: the reference.
        scale: the enlargement; 0 keeps the border.
        protocol: a protocol or its name.

    Raises:
        OptionError: if the shapes differ, nothing is left inside the border, or the reference has
            another range and would be clipped.
        BadImageError: if a value is NaN or infinite.
    """
    protocol = get_protocol(protocol)
    _check_pair(sr, hr, scale)
    first = 1 if sr.ndim == 3 else 2
    planes = []
    for image in (to_stored(sr, protocol), reference_to_stored(hr, protocol)):
        if protocol.uses_luma and image.shape[first - 1] == 3:
            image = rgb_to_y(image / protocol.data_range) * protocol.data_range
        for axis in range(first, image.ndim):
            image = image.narrow(axis, scale, image.shape[axis] - 2 * scale)
        planes.append(image)
    return planes[0], planes[1]


def prepare_colors(
    sr: Tensor, hr: Tensor, scale: int, protocol: str | Protocol
) -> tuple[Tensor, Tensor]:
    """Bring a result and its reference to what a person would see: every channel, in [0, 1].

    Shape: as :func:`prepare_pair`, but all channels and float64 in [0, 1].

    Raises:
        OptionError: as :func:`prepare_pair`.
        BadImageError: as :func:`prepare_pair`.
    """
    protocol = replace(get_protocol(protocol), uses_luma=False)
    planes = prepare_pair(sr, hr, scale, protocol)
    check_unit(hr)
    shown_sr, shown_hr = ((plane / protocol.data_range).clamp(0, 1) for plane in planes)
    return shown_sr, shown_hr


def modcrop(hr: Tensor, scale: int) -> Tensor:
    """Cut the bottom and right edges so that both sides are multiples of the scale.

    Shape: hr (..., H, W) -> (..., H // scale * scale, W // scale * scale).

    Raises:
        BadImageError: if a side is shorter than the scale.
    """
    height, width = (side // scale * scale for side in hr.shape[-2:])
    if min(height, width) == 0:
        raise BadImageError(
            f"image: each side must be at least {scale} pixels at scale {scale}, "
            f"got {tuple(hr.shape[-2:])}; leave it out"
        )
    return hr[..., :height, :width]


def make_lr(hr: Tensor, scale: int, protocol: str | Protocol) -> Tensor:
    """Make the low-resolution image that a protocol tests with.

    Shape: hr (..., H, W) in [0, 1], sides multiples of the scale -> (..., H / scale, W / scale),
    float64 in [0, 1]; multiples of 1 / data_range where the protocol rounds.

    Raises:
        OptionError: if a side is not a multiple of the scale, or the image has another range.
    """
    protocol = get_protocol(protocol)
    stored = reference_to_stored(hr, protocol)
    if protocol.is_rounded and protocol.data_range == 255:
        return _SHRINKING[protocol.shrinking][1](stored.to(torch.uint8), scale).double() / 255
    small = protocol.shrink(stored, scale) / protocol.data_range
    return to_stored(small, protocol) / protocol.data_range


def _check_pair(sr: Tensor, hr: Tensor, scale: int) -> None:
    if sr.shape != hr.shape or sr.ndim < 3:
        raise OptionError(
            f"sr: must be an image of the shape of hr {tuple(hr.shape)}, got {tuple(sr.shape)}; "
            "crop hr to a multiple of the scale first"
        )
    spatial = sr.shape[1 if sr.ndim == 3 else 2 :]
    if scale < 0 or min(spatial) <= 2 * scale:
        raise OptionError(
            f"sr: a border of {scale} pixels must leave something to compare, "
            f"got {tuple(spatial)}; leave this image out or pass scale 0"
        )
    for name, image in (("sr", sr), ("hr", hr)):
        if not bool(torch.isfinite(image).all()):
            raise BadImageError(
                f"{name}: every value must be finite, got NaN or infinity; "
                "check the network's weights and the input"
            )
