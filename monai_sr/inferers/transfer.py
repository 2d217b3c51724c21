"""In what precision a network computes, and how tiles reach a GPU and results return meanwhile.

Copies run beside the network in streams of their own, through memory that the system does not move
(pinned): pageable memory would make both the copy and the next tile wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from monai.inferers import Inferer
from torch import Tensor

from monai_sr.core import OptionError, check_precision
from monai_sr.functional import back_project

T = TypeVar("T")


class Transfer:
    """Take tiles from where the image is to where the network is, and results the other way.

    On a GPU the next tile is started before the result of the last one is waited for; elsewhere,
    and where the image is on the GPU already, one thing happens after the other.

    Args:
        device: where the network computes.
        home: where images are, and results are wanted.
        ahead: how many tiles are started before the result of one is waited for; None: one on a
            GPU, else none.
    """

    def __init__(
        self, device: torch.device, home: torch.device, *, ahead: int | None = None
    ) -> None:
        self.device, self.home = device, home
        self._streams: list[torch.cuda.Stream] | None = None  # there, and back
        if device.type == "cuda" and home.type == "cpu":
            self._streams = [torch.cuda.Stream(device) for _ in range(2)]  # type: ignore[no-untyped-call]
        self._ahead = int(self._streams is not None) if ahead is None else ahead

    def fetch(self, image: Tensor) -> Tensor:
        """Return a part of an image on the device, ready for the work that is given to it next."""
        if self._streams is None:
            return image.to(self.device)
        computing, copying = torch.cuda.current_stream(self.device), self._streams[0]
        with torch.cuda.stream(copying):
            fetched = _pinned(image).copy_(image).to(self.device, non_blocking=True)
        computing.wait_stream(copying)
        fetched.record_stream(computing)  # its memory is not given away before that
        return fetched

    def overlapped(
        self, items: Iterable[T], run: Callable[[T], list[Tensor]]
    ) -> Iterator[tuple[T, list[Tensor]]]:
        """Yield each item with its results at home, in order.

        Args:
            items: what is computed.
            run: starts the work of one item, and returns results on the device. Whoever takes
                results empties their list: it is all that keeps them.
        """
        waiting: deque[tuple[T, list[Tensor], torch.cuda.Event | None]] = deque()
        for item in items:
            waiting.append((item, *self._sent(run(item))))
            if len(waiting) > self._ahead:
                yield self._arrived(*waiting.popleft())
        while waiting:
            yield self._arrived(*waiting.popleft())

    def _sent(self, results: list[Tensor]) -> tuple[list[Tensor], torch.cuda.Event | None]:
        """Start the way home."""
        if self._streams is None:
            return [result.to(self.home) for result in results], None
        results = [result.contiguous() for result in results]
        copying = self._streams[1]
        copying.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(copying):
            sent = [_pinned(result).copy_(result, non_blocking=True) for result in results]
            event = copying.record_event()
        for result in results:
            result.record_stream(copying)
        return sent, event

    @staticmethod
    def _arrived(
        item: T, results: list[Tensor], event: torch.cuda.Event | None
    ) -> tuple[T, list[Tensor]]:
        if event is not None:
            event.synchronize()
        return item, results


def _pinned(like: Tensor) -> Tensor:
    """Return memory that the system does not move; torch keeps it for the next time."""
    return torch.empty(like.shape, dtype=like.dtype, device="cpu", pin_memory=True)


class AutocastInferer(Inferer):
    """Call the network under autocast and return float32.

    MONAI's engines offer autocast on CUDA only; bfloat16 also speeds up recent CPUs, and needs no
    gradient scaler on either.

    Args:
        dtype: "bfloat16", "float16" or "float32" (no autocast).
        consistency: back-projection steps onto the input, of the last result where there are
            several; a generator trained so need not learn what the inference bundles do anyway.

    Raises:
        OptionError: if ``dtype`` is none of them, or ``consistency`` is negative.
    """

    def __init__(self, dtype: str = "float32", *, consistency: int = 0) -> None:
        super().__init__()
        if consistency < 0:
            raise OptionError(f"consistency: must not be negative, got {consistency}")
        self.consistency = consistency
        if dtype not in ("float32", "bfloat16", "float16"):
            raise OptionError(f"dtype: must be float32, bfloat16 or float16, got {dtype!r}")
        self.dtype: torch.dtype = getattr(torch, dtype)

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Return ``network(inputs, *args, **kwargs)``, a tensor or a list of them, as float32."""
        check_precision(inputs.device, str(self.dtype).removeprefix("torch."))
        enabled = self.dtype != torch.float32
        with torch.autocast(inputs.device.type, self.dtype, enabled=enabled):
            result = network(inputs, *args, **kwargs)
        if isinstance(result, list | tuple):
            *early, last = [each.float() for each in result]
            return [*early, self._projected(last, inputs)]
        return self._projected(result.float(), inputs)

    def _projected(self, sr: Tensor, lr: Tensor) -> Tensor:
        if not self.consistency:
            return sr
        return back_project(sr, lr, sr.shape[-1] // lr.shape[-1], self.consistency)
