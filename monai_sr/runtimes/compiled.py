"""A generator whose arithmetic is done by another runtime; what is exported is kept."""

from __future__ import annotations

import copy
import io
import os
import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import (
    OutputError,
    atomic_file,
    cache_folder,
    code_digest,
    get_logger,
    go_on_without_threads,
    random_state_kept,
)
from monai_sr.core.fingerprint import fingerprint
from monai_sr.networks import Generator, own_source_digest, state_digest
from monai_sr.runtimes.int8 import Ranges, quantized
from monai_sr.runtimes.registry import (
    AnyRuntime,
    Artifact,
    Engine,
    ExportingRuntime,
    LiveRuntime,
    RuntimeUnfitError,
)

# Sides that no network was traced with, to compare what was exported with torch.
_TRACED, _COMPARED = (40, 48), ((33, 52), (45, 31))
# On processors torch chooses convolutions by size: beyond 20480 values, as tiles have, other ones.
_TILES = ((150, 176), (161, 148))
_VOLUME_SIDE = 14
_TOLERANCE = {"float32": 1e-3, "int8": 0.02}
_LOOSE = 0.05  # half precision


class FixedScale(nn.Module):
    """A generator of one scale: exporters trace a call with one argument."""

    def __init__(self, generator: nn.Module, scale: int) -> None:
        super().__init__()
        self.generator = generator
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge."""
        result: Tensor = self.generator(image, self.scale)
        return result


class _Engines:
    """The engines of one process, by scale, and who may use them: one thread at a time.

    An engine computes with all of the threads that it may have, so that two calls at once would
    gain nothing; and none of the runtimes is safe to share for sure.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.RLock()
        self.made: dict[int, Engine] = {}


class CompiledGenerator(nn.Module):
    """Stands for a generator wherever one is called; inference only.

    Each scale is made when it is first wanted; what is exported is kept in the user's cache folder.
    Any number of threads may call it. A process that gets it, by a fork or as a pickled copy, makes
    engines of its own.

    Shape: as the generator's; results are float32.

    Args:
        generator: with its weights, which are not changed afterwards.
        runtime: runs it.
        device: where.
        precision: one of the runtime's.
        ranges: of activations for int8, by scale; see :func:`monai_sr.runtimes.int8.read_ranges`.

    Attributes:
        runtime: name of the runtime.
        precision: of the computation.
        info, scale, scales, halo, in_channels, spatial_dims: the generator's.
    """

    def __init__(
        self,
        generator: Generator,
        runtime: AnyRuntime,
        device: torch.device,
        precision: str = "float32",
        ranges: dict[int, Ranges] | None = None,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.runtime = runtime.name
        self.precision = precision
        self.info = generator.info
        self.scale, self.scales = generator.scale, generator.scales
        self.halo, self.in_channels = generator.halo, generator.in_channels
        self.spatial_dims = generator.spatial_dims
        self._backend = runtime
        self._place = device
        self._ranges = ranges or {}
        self._engines = _Engines()
        self._inherited: list[_Engines] = []

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``.

        Raises:
            OptionError: if the runtime cannot run the network.
        """
        engines = self._own_engines()
        with engines.lock:
            return self._engine(engines, self.scale if scale is None else scale)(image)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the engines: they belong to this object and process."""
        return {**self.__dict__, "_engines": None, "_inherited": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without engines."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._engines = _Engines()

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the generator's weights under the generator's own names."""
        return self.generator.state_dict(*args, **kwargs)

    def engine(self, scale: int) -> Engine:
        """Return what runs a scale, made at the first call; one thread at a time may use it.

        Raises:
            RuntimeUnfitError: if the runtime cannot run the network.
        """
        engines = self._own_engines()
        with engines.lock:
            return self._engine(engines, scale)

    def _own_engines(self) -> _Engines:
        """Return those of this process: threads of a runtime do not live on in a fork."""
        if self._engines.process != os.getpid():
            go_on_without_threads()
            # Kept: their end would wait for their threads.
            self._inherited.append(self._engines)
            self._engines = _Engines()
        return self._engines

    def _engine(self, engines: _Engines, scale: int) -> Engine:
        if scale not in engines.made:
            try:
                engines.made[scale] = self._made(scale)
            except RuntimeUnfitError:
                raise
            except Exception as error:  # each runtime has errors of its own
                reason = " ".join(str(error).split())[:160]
                raise RuntimeUnfitError(
                    f"runtime: {self.runtime} cannot run this model in {self.precision} "
                    f"({type(error).__name__}: {reason}); add --runtime torch"
                ) from error
        return engines.made[scale]

    def _made(self, scale: int) -> Engine:
        backend = self._backend
        if isinstance(backend, LiveRuntime):
            network = self._plain(scale)
            engine = backend.start(network, self._place, self.precision)
            self._compare(engine, network, _TILES)
            return engine
        key = artifact_key(
            self.generator,
            runtime=f"{self.runtime} {backend.version()}",
            scale=scale,
            precision=self.precision,
            ranges=self._ranges.get(scale),
        )
        artifact = kept(key, lambda: self._exported(backend, scale))
        return backend.open(artifact, self._place, self.precision)

    def _plain(self, scale: int) -> FixedScale:
        """Return a copy for one scale, on the CPU."""
        network = FixedScale(copy.deepcopy(self.generator).cpu().float(), scale)
        return network.eval().requires_grad_(False)

    def _exported(self, backend: ExportingRuntime, scale: int) -> Artifact:
        """Export, and compare with torch what comes out."""
        network = self._plain(scale)
        if self.precision == "int8":
            quantized(network.generator, self._ranges[scale])
            network.eval().requires_grad_(False)
        artifact = backend.export(network, self._example(_TRACED))
        engine = backend.open(artifact, self._place, self.precision)
        self._compare(engine, network, _COMPARED)
        return artifact

    def _compare(
        self, engine: Engine, network: FixedScale, images: Sequence[tuple[int, int]]
    ) -> None:
        """Refuse what gives other results than torch for images of some sides.

        Raises:
            RuntimeUnfitError: it does.
        """
        for sides in images:
            image = self._example(sides)
            with torch.inference_mode():
                expected = network(image)
                found = engine(image.to(self._place)).cpu()
            same = found.shape == expected.shape
            error = float((found - expected).abs().mean()) if same else float("inf")
            if not error <= _TOLERANCE.get(self.precision, _LOOSE):
                raise RuntimeUnfitError(
                    f"runtime: {self.runtime} gives other results than torch for this model (off "
                    f"by {error:.2g} on average); add --runtime torch"
                )

    def _example(self, sides: tuple[int, ...]) -> Tensor:
        """Return noise of sizes that the generator takes."""
        if self.spatial_dims == 3:
            sides = (*(side // 3 for side in sides), _VOLUME_SIDE)
        step, least = self.info.multiple_of, self.info.minimum_size
        fitting = [-(-max(side, least) // step) * step for side in sides]
        noise = torch.Generator().manual_seed(0)
        return torch.rand(1, self.in_channels, *fitting, generator=noise, dtype=torch.float32)


logger = get_logger(__name__)

EXPORTING = ("core", "functional", "networks", "runtimes")
"""Folders whose code makes an artifact; a test compares them with what is imported."""


def kept(key: str, build: Callable[[], Artifact]) -> Artifact:
    """Return what is kept under a key; where there is nothing, or it is damaged, build and keep it.

    Args:
        key: of :func:`artifact_key`.
        build: makes it.
    """
    file = cache_folder() / f"{key}.zip"
    try:
        return _read(file)
    except FileNotFoundError:
        pass
    except (OSError, zipfile.BadZipFile, EOFError, KeyError, ValueError, NotImplementedError):
        logger.warning("%s: is damaged; it is made again", file)
    with random_state_kept():
        artifact = build()
    try:
        with atomic_file(file) as partial:
            partial.write_bytes(_packed(artifact))
    except OutputError as error:
        logger.warning("the exported network is not kept: %s", error)
    return artifact


def _read(file: Path) -> Artifact:
    with zipfile.ZipFile(file) as archive:
        # Reading a member to its end compares its checksum.
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(artifact: Artifact) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in artifact.items():
            archive.writestr(name, content)
    return stream.getvalue()


def artifact_key(network: nn.Module, **parts: Any) -> str:
    """Return the hash of a network's structure, options, weights and of what exports it.

    Args:
        network: generator with its weights.
        **parts: what else decides: runtime, version, scale, precision.
    """
    options = [
        {k: v for k, v in vars(part).items() if isinstance(v, bool | int | float | str | tuple)}
        for part in network.modules()
    ]
    buffers = {k: v.shape for k, v in network.named_buffers()}
    named = {
        "network": f"{type(network).__module__}.{type(network).__qualname__} {network!r}",
        "options": options,
        "buffers": buffers,
        "weights": state_digest(network),
        "torch": torch.__version__,
        "code": code_digest(*EXPORTING),
        "own": own_source_digest(network),
        **parts,
    }
    return fingerprint(**named)
