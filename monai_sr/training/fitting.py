"""Fit a generator that learns patches without gradients, and write its dictionaries."""

import math
import time
from pathlib import Path

import torch

from monai_sr.core import OptionError, PathLike, get_logger
from monai_sr.networks import Generator, save_weights
from monai_sr.training.patch_loader import PatchLoader

logger = get_logger(__name__)


class FitTrainer:
    """Draw patches once, let the network learn from them, write the result.

    Stands where a bundle has its trainer. A run depends on the loader's files and seed alone; it is
    short, so it is never resumed but started again.

    Args:
        network: a generator whose ``info.learns`` is "fit".
        loader: gives patches of the network's scale.
        path: weights file, half precision, replaced atomically; loads strictly, weights only.
        patches: LR/HR pairs to draw; each of side P holds (P - 6) ** 2 training patches, and all
            of them are in memory at once.

    Raises:
        OptionError: if the network does not learn so, or loader and network differ in scale.
    """

    def __init__(
        self, network: Generator, loader: PatchLoader, path: PathLike, *, patches: int = 1000
    ) -> None:
        if network.info.learns != "fit":
            raise OptionError(
                f"network: must be one that is fitted, got {type(network).__name__}, which learns "
                f"by {network.info.learns}; use another trainer"
            )
        if set(loader.scales) != {network.scale}:
            raise OptionError(
                f"scales: must be [{network.scale}] as the network's, got {list(loader.scales)}"
            )
        if patches < 1:
            raise OptionError(f"patches: must be at least 1, got {patches}")
        self.network = network
        self.loader = loader
        self.path = Path(path)
        self.patches = patches

    def run(self) -> None:
        """Fit and write.

        Raises:
            OptionError: if there are too few patches.
            WeightsError: if something learned is not finite.
            OutputError: if the file cannot be written.
        """
        start = time.perf_counter()
        count = math.ceil(self.patches / self.loader.batch_size)
        batches = [self.loader.batch(i) for i in range(count)]
        lr, hr = (
            torch.cat([batch[key] for batch in batches])[: self.patches]
            for key in ("image", "label")
        )
        drawn = time.perf_counter()
        self.network.fit(lr, hr)
        save_weights(self.network, self.path)
        logger.info(
            "%s learned from %d patches of %d pixels: drawn in %.0f s, fitted in %.0f s; wrote %s",
            type(self.network).__name__,
            len(lr),
            lr.shape[-1],
            drawn - start,
            time.perf_counter() - drawn,
            self.path,
        )
