"""Names of runtimes, and what each of them must do."""

import copy
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from monai_sr.core import MissingDependencyError, OptionError, Registry

Artifact = Mapping[str, bytes]
"""An exported network: names and contents of its files."""
Engine = Callable[[Tensor], Tensor]
"""A loaded network of one scale: (N, C, H, W[, D]) float32 -> the enlarged, float32."""


class RuntimeUnfitError(OptionError):
    """A runtime cannot run a network here; torch can."""


class Runtime(ABC):
    """What can run a network: an :class:`ExportingRuntime` or a :class:`LiveRuntime`.

    Attributes:
        name: as it is registered.
        extra: the extra of monai-sr that installs it; None: it is always there.
        modules: what must be importable.
        devices: kinds of torch device that it runs on.
        precisions: of the computation.
    """

    name = ""
    extra: str | None = None
    modules: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu",)
    precisions: tuple[str, ...] = ("float32",)

    def is_installed(self) -> bool:
        """Tell whether its packages are there; imports nothing."""
        return all(importlib.util.find_spec(module) is not None for module in self.modules)

    def check(self, device: torch.device, precision: str) -> None:
        """Refuse a device or precision that this runtime has not.

        Raises:
            MissingDependencyError: if its packages are not installed.
            RuntimeUnfitError: if it does not fit.
        """
        if not self.is_installed():
            raise MissingDependencyError(
                f"runtime: {self.name} is not installed; install it with: "
                f"pip install 'monai-sr[{self.extra}]', or leave --runtime out"
            )
        if device.type not in self.devices:
            raise RuntimeUnfitError(
                f"runtime: {self.name} runs on {' and '.join(self.devices)}, got device {device}; "
                f"add --device {self.devices[0]}, or leave --runtime out"
            )
        if precision not in self.precisions:
            raise RuntimeUnfitError(
                f"precision: {self.name} computes in {' or '.join(self.precisions)}, got "
                f"{precision}; choose one of them, or another --runtime"
            )

    @abstractmethod
    def version(self) -> str:
        """Return the version of what is installed."""


class ExportingRuntime(Runtime):
    """Export a network once, and run what was exported: it is kept in the user's cache folder."""

    @abstractmethod
    def export(self, network: nn.Module, example: Tensor) -> Artifact:
        """Export a network of one input and one result, of any size, from float32 on the CPU."""

    @abstractmethod
    def open(self, artifact: Artifact, device: torch.device, precision: str) -> Engine:
        """Load what was exported.

        Args:
            artifact: of :meth:`export`; it is read anew by every process.
            device: where it runs; on the CPU with torch's number of threads.
            precision: one of :attr:`precisions`.
        """


class LiveRuntime(Runtime):
    """Run a network of this process: nothing is exported."""

    @abstractmethod
    def start(self, network: nn.Module, device: torch.device, precision: str) -> Engine:
        """Return what runs a network of one input and one result.

        Args:
            network: on the CPU, in float32; it is not changed.
            device: where it runs.
            precision: one of :attr:`precisions`.
        """


AnyRuntime = ExportingRuntime | LiveRuntime
RUNTIMES: Registry[AnyRuntime] = Registry(
    "runtime", *(f"monai_sr.runtimes.{name}" for name in ("inductor", "onnxruntime", "openvino"))
)
R = TypeVar("R", bound=type[AnyRuntime])


def register_runtime(cls: R) -> R:
    """Register a runtime under its name (decorator)."""
    RUNTIMES.add(cls.name, cls())
    return cls


def find_runtime(name: str) -> AnyRuntime:
    """Return a runtime.

    Raises:
        OptionError: if there is none of this name, with the nearest one.
    """
    return RUNTIMES.get(name)


def list_runtimes() -> list[str]:
    """List the names of all runtimes."""
    return RUNTIMES.names()


def installed_runtimes(device: torch.device | str = "cpu", precision: str = "float32") -> list[str]:
    """List the runtimes that are installed and fit a device and precision, torch last.

    Example:
        >>> installed_runtimes("cpu", "bfloat16")
        ['inductor', 'torch']
    """
    place, found = torch.device(device), []
    for name in RUNTIMES:
        try:
            RUNTIMES.get(name).check(place, precision)
        except (MissingDependencyError, RuntimeUnfitError):
            continue
        found.append(name)
    return sorted(found, key=lambda name: (name == "torch", name))


@register_runtime
class TorchRuntime(LiveRuntime):
    """The generator as it is: a bundle's runs unchanged, under the autocast of the inferer."""

    name = "torch"
    devices = ("cpu", "cuda", "mps", "xpu")
    precisions = ("float32", "bfloat16", "float16")

    def version(self) -> str:
        """Return torch's version."""
        return str(torch.__version__)

    def start(self, network: nn.Module, device: torch.device, precision: str) -> Engine:
        """Return a copy on the device, under autocast in reduced precision."""
        own, dtype = copy.deepcopy(network).to(device).eval(), getattr(torch, precision)

        @torch.inference_mode()
        def run(image: Tensor) -> Tensor:
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                result: Tensor = own(image.to(device))
            return result.float()

        return run
