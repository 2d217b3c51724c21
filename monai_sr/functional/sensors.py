"""What sensors do to an image, each from its physics: blur by a transfer function, noise, grids.

Frequencies are in cycles a pixel, Nyquist's is 0.5. Filters act on the image mirrored at its edges,
so that nothing wraps around.

References:
    E. Samei, M. J. Flynn, 2003, doi:10.1118/1.1561285: transfer functions and noise of digital
    radiography detectors.
    IEC 62220-1: quanta an area and air kerma.
    F. J. Anscombe, 1948, doi:10.1093/biomet/35.3-4.246: the root of a Poisson count has a variance
    of 1/4.
    H. Gudbjartsson, S. Patz, 1995, doi:10.1002/mrm.1910340618: noise of MR magnitudes is Rician.
    S. J. Riederer, N. J. Pelc, D. A. Chesler, 1978, doi:10.1088/0031-9155/23/3/008: noise of
    filtered back projection grows as the frequency, times the kernel's window.
    ESA, Sentinel-2 User Handbook, 2015: transfer at Nyquist 0.15 to 0.30, signal to noise.
    R. Keys, 1981, doi:10.1109/TASSP.1981.1163711: cubic convolution.
    ISO/IEC 15444-1: JPEG 2000.
"""

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from monai_sr.core import OptionError

_NYQUIST = 0.5
_LN10 = math.log(10)
_CODES = 65535


def gaussian_mtf(frequency: Tensor, at_nyquist: float) -> Tensor:
    """Return the transfer of optics and detectors whose blur is Gaussian.

    Args:
        frequency: in cycles a pixel, any shape.
        at_nyquist: transfer at 0.5, in (0, 1].
    """
    return torch.exp(math.log(at_nyquist) * (frequency / _NYQUIST) ** 2)


def lorentzian_mtf(frequency: Tensor, at_nyquist: float) -> Tensor:
    """Return the transfer of scintillators, where light spreads: 1 / (1 + h f^2).

    Args:
        frequency: in cycles a pixel, any shape.
        at_nyquist: transfer at 0.5, in (0, 1].
    """
    return 1 / (1 + (1 / at_nyquist - 1) * (frequency / _NYQUIST) ** 2)


def bicubic_mtf(frequency: Tensor) -> Tensor:
    """Return the transfer of antialiased bicubic reduction, in cycles a pixel of the small image.

    It is the Fourier transform of Keys' kernel (a = -1/2), which is stretched to small pixels.
    """
    place = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    x = place.abs()
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    kernel = torch.where(x <= 1, inner, outer)
    waves = torch.cos(2 * math.pi * frequency.double().reshape(-1, 1) * place)
    response = torch.trapezoid(waves * kernel, place, dim=1)
    return response.reshape(frequency.shape).to(frequency.dtype)


def filter_image(image: Tensor, response: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Multiply the frequencies of an image, mirrored at its edges, by a real, even response.

    Shape: image (C, H, W) floating point, any range -> the same.

    Args:
        image: what to filter.
        response: (vertical, horizontal frequencies), which broadcast -> factors.
    """
    height, width = image.shape[-2:]
    mirrored = torch.cat([image, image.flip(-1)], -1)
    mirrored = torch.cat([mirrored, mirrored.flip(-2)], -2)
    factors = response(*_frequencies(2 * height, 2 * width, image))
    spectrum = torch.fft.rfft2(mirrored) * factors
    found: Tensor = torch.fft.irfft2(spectrum, s=mirrored.shape[-2:])
    return found[..., :height, :width]


def _frequencies(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    kind = {"dtype": like.dtype, "device": like.device}
    return torch.fft.fftfreq(height, **kind)[:, None], torch.fft.rfftfreq(width, **kind)[None]


def sensor_blur(
    image: Tensor, at_nyquist: float, mtf: Callable[[Tensor, float], Tensor] = gaussian_mtf
) -> Tensor:
    """Give an image that was made by bicubic reduction the transfer of a sensor.

    What the reduction has taken already is not taken again: where it takes more than the sensor
    would, the image stays as it is.

    Shape: image (C, H, W) floating point, any range -> the same.

    Args:
        image: the small image.
        at_nyquist: transfer of the sensor at 0.5 cycles a pixel, along each axis.
        mtf: its form, of the distance from the origin of frequencies.
    """
    _check_share("at_nyquist", at_nyquist)

    def response(v: Tensor, h: Tensor) -> Tensor:
        wanted = mtf((v**2 + h**2).sqrt(), at_nyquist)
        return (wanted / (bicubic_mtf(v) * bicubic_mtf(h))).clamp(0, 1)

    return filter_image(image, response)


def zero_filled(image: Tensor, share: tuple[float, float]) -> Tensor:
    """Keep the center of k-space and fill the rest with zeros, as scanners interpolate.

    Edges ring (Gibbs). Phases and partial Fourier are not modeled.

    Shape: image (C, H, W) floating point, any range -> the same.

    Args:
        image: magnitudes.
        share: of the frequencies along rows and columns that are kept, in (0, 1].
    """
    for each in share:
        _check_share("share", each)
    return filter_image(
        image,
        lambda v, h: ((v.abs() <= share[0] / 2) & (h.abs() <= share[1] / 2)).to(image.dtype),
    )


def rician_noise(image: Tensor, sigma: float, random: torch.Generator) -> Tensor:
    """Return magnitudes of complex values whose two parts have Gaussian noise.

    Shape: image (C, H, W) floating point, in [0, 1] -> the same; it may exceed 1.

    Args:
        image: magnitudes without noise.
        sigma: standard deviation of each part, on the scale of the image.
        random: of what is drawn.
    """
    real, imaginary = (sigma * _normal(image, random) for _ in range(2))
    return torch.sqrt((image.clamp(min=0) + real) ** 2 + imaginary**2)


def bias_field(size: tuple[int, int], coefficients: Tensor) -> Tensor:
    """Return the exponential of a polynomial of third degree over [-1, 1] x [-1, 1].

    Receive coils are more sensitive nearby: what they see is multiplied by a smooth field. The
    place of a pixel is that of its center, so that fields of two sizes agree.

    Args:
        size: rows and columns.
        coefficients: (10,), of 1, y, x, y^2, ... by total degree.

    Returns:
        (1, rows, columns), positive.
    """
    y, x = (2 * (torch.arange(n, dtype=torch.float64) + 0.5) / n - 1 for n in size)
    powers = [(a, d - a) for d in range(4) for a in range(d, -1, -1)]
    pairs = zip(coefficients.tolist(), powers, strict=True)
    terms = [c * y[:, None] ** a * x[None] ** b for c, (a, b) in pairs]
    return torch.exp(torch.stack(terms).sum(0))[None]


def quantum_noise(
    image: Tensor, quanta: float, decades: float, scatter: float, random: torch.Generator
) -> Tensor:
    """Add the noise of counted X-ray quanta to a radiograph as it is displayed.

    Displayed values are the logarithm of exposure, bright where little came through: exposure =
    10^(-decades value). Scattered quanta add noise; the veil itself is smooth, and the processing
    that spreads the histogram takes it away. Noise is added to the root of the count, where it has
    the same strength everywhere (Anscombe).

    Shape: image (C, H, W) floating point, in [0, 1] -> the same; it may leave [0, 1].

    Args:
        image: bright where the body is dense.
        quanta: that a pixel detects where nothing attenuates.
        decades: of exposure between 0 and 1, the latitude.
        scatter: share of all quanta that are scattered, in [0, 1).
        random: of what is drawn.
    """
    if not 0 <= scatter < 1:
        raise OptionError(f"scatter: must be a share from 0 to below 1, got {scatter:g}")
    primary = quanta * 10 ** (-decades * image)
    total = primary / (1 - scatter)
    counted = (total.sqrt() + 0.5 * _normal(image, random)).clamp(min=0.5) ** 2
    found = (counted - (total - primary)).clamp(min=0.25)
    return -torch.log(found / quanta) / (_LN10 * decades)


def reconstruction_noise(
    image: Tensor, sigma: float, cutoff: float, random: torch.Generator
) -> Tensor:
    """Add noise with the spectrum of filtered back projection: f exp(-(f / cutoff)^2).

    Shape: image (C, H, W) floating point, any range -> the same.

    Args:
        image: CT values.
        sigma: standard deviation, on the scale of the image.
        cutoff: of the kernel, in cycles a pixel: about 0.2 for soft, 0.5 for sharp ones.
        random: of what is drawn.
    """
    v, h = _frequencies(image.shape[-2], image.shape[-1], image)
    frequency = (v**2 + h**2).sqrt()
    amplitude = (frequency * torch.exp(-((frequency / cutoff) ** 2))).sqrt()
    grain = torch.fft.irfft2(
        torch.fft.rfft2(_normal(image, random)) * amplitude, s=image.shape[-2:]
    )
    # The power of white noise that the amplitude leaves; columns but the outer ones count twice.
    double = torch.full_like(h, 2.0)
    double[:, 0] = 1
    if image.shape[-1] % 2 == 0:
        double[:, -1] = 1
    power = float((amplitude**2 * double).sum() / (image.shape[-2] * image.shape[-1]))
    return image + grain * (sigma / math.sqrt(power)) if power else image


def radiometric_noise(
    image: Tensor, snr: float, reference: float, shot_share: float, random: torch.Generator
) -> Tensor:
    """Add noise as it is specified for sensors of the Earth: signal to noise at a reference.

    Shape: image (C, H, W) floating point, in [0, 1] -> the same; it may leave [0, 1].

    Args:
        image: brightness.
        snr: signal to noise at the reference.
        reference: brightness there, in (0, 1].
        shot_share: part of the variance there that grows with the signal; the rest is electronic.
        random: of what is drawn.
    """
    level = shot_share * image.clamp(min=0) / reference + (1 - shot_share)
    return image + reference / snr * level.sqrt() * _normal(image, random)


def resampled_cubic(image: Tensor, offset: tuple[float, float]) -> Tensor:
    """Sample between the pixels and interpolate back to them by cubic convolution.

    So products come onto their grid whose sensor looked at other places; it costs sharpness.

    Shape: image (C, H, W) floating point, any range -> the same.

    Args:
        image: as it would be without.
        offset: of the samples along rows and columns, in pixels, -0.5 ... 0.5.
    """

    def loss(f: Tensor, d: float) -> Tensor:
        k = torch.arange(-3, 4, dtype=f.dtype, device=f.device)
        wave = torch.exp(2j * math.pi * f[..., None] * (k + d))
        found: Tensor = (_keys(k + d) * wave).sum(-1)
        return found.real  # the mean of offsets d and -d: nothing moves

    return filter_image(image, lambda v, h: loss(v, offset[0]) * loss(h, offset[1]))


def resampled_nearest(image: Tensor, angle: float, offset: tuple[float, float]) -> Tensor:
    """Take for each pixel the nearest sample of a grid that is turned: lines get steps.

    Shape: image (C, H, W) floating point, any range -> the same.

    Args:
        image: as it would be without.
        angle: between the grids, in degrees.
        offset: of the other grid along rows and columns, in its pixels.
    """
    height, width = image.shape[-2:]
    turn = math.radians(angle)
    rows = torch.arange(height, dtype=torch.float64)[:, None] - height // 2
    columns = torch.arange(width, dtype=torch.float64)[None] - width // 2
    c, s = math.cos(turn), math.sin(turn)
    y = torch.round(c * rows - s * columns + offset[0]) - offset[0]
    x = torch.round(s * rows + c * columns + offset[1]) - offset[1]
    y, x = c * y + s * x, -s * y + c * x  # back to the image's own grid: half a pixel off at most
    places = [(2 * (p + n // 2) + 1) / n - 1 for p, n in ((x, width), (y, height))]
    grid = torch.stack(places, -1)[None].to(image)
    return F.grid_sample(
        image[None], grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )[0]


def jpeg2000(image: Tensor, ratio: float) -> Tensor:
    """Compress and decompress by JPEG 2000 with the irreversible wavelet, band by band, 16 bits.

    Shape: image (C, H, W) floating point in [0, 1], clipped to it -> the same.

    Args:
        image: what to compress.
        ratio: size before to size after, at least 1.
    """
    stored = (image.detach().clamp(0, 1) * _CODES).round().to("cpu", torch.int32).numpy()
    bands = []
    for band in stored.astype(np.uint16):
        file = io.BytesIO()
        Image.fromarray(band).save(
            file, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[ratio]
        )
        read = np.asarray(Image.open(file, formats=["JPEG2000"])).astype(np.int32)
        bands.append(torch.from_numpy(read))
    return (torch.stack(bands).to(image.device, image.dtype) / _CODES).clamp(0, 1)


def _keys(x: Tensor) -> Tensor:
    x = x.abs()
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, inner, torch.where(x < 2, outer, torch.zeros_like(x)))


def _normal(like: Tensor, random: torch.Generator) -> Tensor:
    """Draw on the CPU, whatever the device: the same noise everywhere."""
    return torch.randn(like.shape, generator=random).to(like)


def _check_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise OptionError(f"{name}: must lie above 0 and up to 1, got {value:g}")
