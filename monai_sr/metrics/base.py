"""Compare a result with its reference under a protocol: what metrics look at, and their bases.

Values of images accumulate as in MONAI's cumulative metrics.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, TypeVar, cast

import torch
from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.handlers.utils import from_engine
from monai.metrics.metric import CumulativeIterationMetric
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor

from monai_sr.core import OptionError, get_logger
from monai_sr.metrics.protocol import (
    Protocol,
    get_protocol,
    prepare_colors,
    prepare_pair,
    reference_to_stored,
    to_stored,
)

_logger = get_logger(__name__)
T = TypeVar("T")


class View(Enum):
    """Say what a metric looks at; the protocol says how values are rounded, and of which range.

    Attributes:
        PLANES: luma or every channel, as the protocol says, inside the border, in stored values.
        COLORS: every channel, as a person would see it, inside the border, in [0, 1].
        INPUT: every channel of the whole image beside the input, in stored values.
    """

    PLANES = "planes"
    COLORS = "colors"
    INPUT = "input"

    def prepare(
        self, sr: Tensor, other: Tensor, scale: int, protocol: str | Protocol
    ) -> tuple[Tensor, Tensor]:
        """Bring a result, and its reference or input, to what is compared.

        Raises:
            OptionError: if the shapes differ, nothing is left inside the border, or the other has
                another range than [0, 1] and would be clipped.
            BadImageError: if a value is NaN or infinite.
        """
        if self is View.INPUT:
            return to_stored(sr, protocol), reference_to_stored(other, protocol)
        prepare = prepare_colors if self is View.COLORS else prepare_pair
        return prepare(sr, other, scale, protocol)


@dataclass(frozen=True)
class Comparison:
    """Hold a result beside its reference and its input.

    Args:
        sr: the result (1, C, H, W) in [0, 1], as the system gave it.
        hr: the reference, same shape.
        lr: the input (1, C, H / scale, W / scale).
        scale: the enlargement.
        protocol: how they are compared.
        half_width: half width of the 90 % interval of each value of ``sr``, where it is known.
        seconds: what the enlargement took.
    """

    sr: Tensor
    hr: Tensor
    lr: Tensor
    scale: int
    protocol: Protocol
    half_width: Tensor | None = None
    seconds: float = math.nan
    _made: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def seen(self, view: View) -> tuple[Tensor, Tensor]:
        """Return the two images as a metric looks at them."""
        other = self.lr if view is View.INPUT else self.hr
        return self.once(view, lambda: view.prepare(self.sr, other, self.scale, self.protocol))

    def once(self, key: object, make: Callable[[], T]) -> T:
        """Make something that several figures need, when the first of them does."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    @property
    def side_px(self) -> int:
        """Shorter side inside the border."""
        return min(self.hr.shape[-2:]) - 2 * self.scale


def finite_mean(values: Sequence[float]) -> tuple[float, int, int]:
    """Average the finite values.

    A PSNR is infinite where an image equals its reference, a spectral angle NaN where an image is
    black; one such image would make every mean infinite or NaN, so it is left out and counted.

    Args:
        values: one number an image.

    Returns:
        The mean, where no value is finite infinity or, without one, NaN; how many were left out as
        infinite; and how many as NaN.

    Raises:
        OptionError: if there are no values.
    """
    if not values:
        raise OptionError("metric: needs at least one image, got none; check the data set")
    finite = [value for value in values if math.isfinite(value)]
    infinite = [value for value in values if math.isinf(value)]
    mean = sum(finite) / len(finite) if finite else infinite[0] if infinite else math.nan
    return mean, len(infinite), len(values) - len(finite) - len(infinite)


class PairMetric(CumulativeIterationMetric):
    """Base of the metrics that compare a result with its reference.

    Call it with ``y_pred`` and ``y``: batches (N, C, H, W[, D]) or lists of images (C, H, W[, D])
    with values in [0, 1]. ``get_buffer()`` holds one value an image, shape (images, 1). Its class
    attribute ``view`` says which planes are compared, see :class:`View`.

    Args:
        scale: the enlargement, which is the border left out; 0 keeps the border.
        protocol: a protocol or its name.
        data_range: for protocol ``"native"``, see :func:`monai_sr.metrics.protocol.native`.
    """

    view: ClassVar[View] = View.PLANES

    def __init__(
        self, scale: int, protocol: str | Protocol = "natural", data_range: float | None = None
    ) -> None:
        super().__init__()
        self.scale = scale
        self.protocol = get_protocol(protocol, data_range)

    @abstractmethod
    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Compare prepared planes (N, C, H, W[, D]); returns (N,)."""

    @classmethod
    def load(cls, **options: Any) -> None:
        """Load the network that these options name, where there is one.

        Raises:
            WeightsError: if its weights cannot be had.
        """

    def compare(self, comparison: Comparison) -> float:
        """Compute the figure of one image in an evaluation."""
        return self._measure(*comparison.seen(self.view)).item()

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **_kwargs: Any) -> Tensor:
        if y is None:
            raise OptionError(
                "y: this metric compares with a reference, got None; pass the HR image"
            )
        # Plain tensors: meta data would ride along through every operation for nothing.
        sr, hr = (convert_to_tensor(image, track_meta=False) for image in (y_pred, y))
        return self._measure(*self._prepare(sr, hr))[:, None]

    def _prepare(self, sr: Tensor, hr: Tensor) -> tuple[Tensor, Tensor]:
        return self.view.prepare(sr, hr, self.scale, self.protocol)

    def aggregate(self) -> Tensor:
        """Average over all images so far that have a finite value, see :func:`finite_mean`.

        Returns:
            A float64 scalar. The log says how many images were left out.

        Raises:
            OptionError: if no image was seen.
        """
        buffer: Tensor | None = self.get_buffer()  # type: ignore[no-untyped-call]
        values = [] if buffer is None else buffer.flatten().tolist()
        mean, equal, undefined = finite_mean(values)
        if equal:
            _logger.info("%d of %d images equal their reference; left out", equal, len(values))
        if undefined:
            _logger.warning(
                "%s: %d of %d images have no value, as where they are black or flat; left out",
                type(self).__name__, undefined, len(values),
            )  # fmt: skip
        return torch.tensor(mean, dtype=torch.float64)


def color_or_grey(
    measure: Callable[[Tensor, Tensor], Tensor], sr: Tensor, hr: Tensor, side: int
) -> Tensor:
    """Apply a measure of grey and RGB images; other channels are judged one by one and averaged.

    Shape: sr, hr (N, C, H, W) in [0, 1] -> (N,).

    Args:
        measure: takes (N, 1 or 3, H, W) twice and returns (N,).
        sr: the result.
        hr: the reference.
        side: smallest side in pixels that the measure takes.

    Raises:
        OptionError: if the shapes differ, are not those of images, or a side is too short.
    """
    if sr.shape != hr.shape or sr.ndim != 4 or min(sr.shape[-2:]) < side:
        raise OptionError(
            f"sr: must be images (N, C, H, W) of the shape of hr {tuple(hr.shape)} with sides of "
            f"at least {side} pixels, got {tuple(sr.shape)}; use PSNR for others"
        )
    if sr.shape[1] in (1, 3):
        return measure(sr, hr)
    pairs = zip(torch.split(sr, 1, dim=1), torch.split(hr, 1, dim=1), strict=True)
    return torch.stack([measure(a, b) for a, b in pairs]).mean(0)


class PairHandler(IgniteMetricHandler):
    """Base of the ignite handlers around a :class:`PairMetric`, the ``metric_class``.

    Args:
        scale: the enlargement, which is the border left out; 0 keeps the border.
        protocol: a protocol or its name.
        data_range: for protocol ``"native"``.
        output_transform: takes the engine's output to what the metric is called with, by default
            ``(pred, label)``.
        save_details: whether to keep the value of every image in ``engine.state.metric_details``.
        **options: further arguments of the metric.
    """

    metric_class: type[PairMetric]
    keys: Sequence[str] = ("pred", "label")

    def __init__(
        self,
        scale: int,
        protocol: str | Protocol = "natural",
        data_range: float | None = None,
        output_transform: Callable[..., Any] | None = None,
        save_details: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            metric_fn=self.metric_class(scale, protocol, data_range, **options),
            output_transform=output_transform or from_engine(list(self.keys)),
            save_details=save_details,
        )


def handler_of(metric: type[PairMetric]) -> type[PairHandler]:
    """Return the class of handlers that compute a metric while an engine validates.

    They take ``pred`` and ``label``, or ``image`` where the metric looks at the input.
    """
    content = {
        "__doc__": f"Compute :class:`{metric.__name__}` while an engine validates.",
        "__module__": metric.__module__,
        "metric_class": metric,
        "keys": ("pred", "image" if metric.view is View.INPUT else "label"),
    }
    name = f"{metric.__name__.removesuffix('Metric')}Handler"
    return cast(type[PairHandler], type(name, (PairHandler,), content))
