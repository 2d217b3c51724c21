"""Tunes a network for thick slices on the fine detail within the slices of one volume.

Slices are fine within, and what they teach holds across: C. Zhao et al., 2021 (SMORE),
doi:10.1109/TMI.2020.3037187. There a network learns from nothing; here one that was trained on
other subjects learns a little more, and what it learned counts only if planes that were held back
say so.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from monai_sr.core import OptionError
from monai_sr.functional import SliceProfile
from monai_sr.training.thick_slices import given_planes

_SIDE = 60  # of patches, as in training
_BATCH = 8
_RATE = 3e-4  # a fifth of that of training; it falls to nothing
_SHOWN = 0.2  # least share of a plane that is not its darkest value
_HELD = 6  # every which plane is held back
_JUDGED = 16  # patches of those
_LEAST_SLICES = 4  # that cover a patch


@dataclass(frozen=True)
class Tuned:
    """Hold what tuning gave.

    Attributes:
        network: the tuned one, or a copy of the given one where that was no worse.
        steps: that were made.
        before: how far the given one is better than splines on planes that were held back, in dB.
        after: the same of the tuned one.
    """

    network: nn.Module
    steps: int
    before: float
    after: float


def tuned_on_planes(
    network: nn.Module, planes: Tensor, factor: float, profile: SliceProfile, minutes: float
) -> Tuned:
    """Tune a copy of a network on the planes of one volume, reduced along either of their axes.

    Shape: planes (N, 1, H, W) floating point, the slices of the volume in [0, 1].

    Args:
        network: of :class:`monai_sr.networks.SliceRefiner`; stays as it is.
        planes: where the network is to compute.
        factor: thin slices in a thick one.
        profile: of the slices.
        minutes: how long, of the clock on the wall; one step at least.

    Raises:
        OptionError: the planes are too small for a patch, or too few to hold one back.
    """
    side = min(_SIDE, *planes.shape[2:])
    slices = round(side / factor)
    if slices < _LEAST_SLICES:
        raise OptionError(
            f"tune: needs slices of {math.ceil(_LEAST_SLICES * factor)} voxels a side or more, got "
            f"{planes.shape[2]} x {planes.shape[3]}; leave --tune out"
        )
    learned, held = _parted(planes)
    if not held:
        raise OptionError(
            f"tune: needs {_HELD // 2 + 1} slices or more with something to see, got "
            f"{len(learned)}; leave --tune out"
        )
    random = torch.Generator().manual_seed(0)
    # What was made in inference mode learns nothing: all is copied outside of it.
    with torch.inference_mode(False), torch.enable_grad():
        tuned = copy.deepcopy(network).to(planes.device).train().requires_grad_(True)
        judged = _patches(held, side, _JUDGED, random)
        before = _gain(tuned, judged, slices, profile)
        steps = _learn(tuned, learned, (side, slices), profile, minutes, random)
        after = _gain(tuned, judged, slices, profile)
        if not after > before:
            tuned = copy.deepcopy(network).to(planes.device)
    return Tuned(tuned.eval().requires_grad_(False), steps, before, after)


def _learn(
    network: nn.Module,
    planes: Sequence[Tensor],
    sizes: tuple[int, int],
    profile: SliceProfile,
    minutes: float,
    random: torch.Generator,
) -> int:
    """Make steps until the time is over, and return how many."""
    optimizer = torch.optim.Adam(network.parameters(), _RATE)
    begin, steps, spent = time.monotonic(), 0, 0.0
    while spent < 1:
        optimizer.param_groups[0]["lr"] = _RATE * (1 - spent)
        batch = _patches(planes, sizes[0], _BATCH, random)
        loss = _error(network, batch, sizes[1], profile)[0]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        steps += 1
        spent = (time.monotonic() - begin) / (60 * minutes)
    return steps


def _parted(planes: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the planes to learn from, and others to judge by, of very few none."""
    # A clone outside of inference mode is an ordinary tensor.
    with torch.inference_mode(False):
        ordinary = planes.detach().clone()
    shown = [plane for plane in ordinary if (plane > plane.min()).float().mean() >= _SHOWN]
    found = shown or list(ordinary)
    held = found[_HELD // 2 :: _HELD]
    learned = [plane for i, plane in enumerate(found) if i % _HELD != _HELD // 2]
    return learned, held


def _patches(planes: Sequence[Tensor], side: int, count: int, random: torch.Generator) -> Tensor:
    """Draw patches, turned and mirrored: (count, 1, side, side)."""
    found = []
    for _ in range(count):
        plane = planes[int(torch.randint(len(planes), (), generator=random))]
        top, left = (
            int(torch.randint(n - side + 1, (), generator=random)) for n in plane.shape[1:]
        )
        patch = plane[:, top : top + side, left : left + side]
        way = int(torch.randint(8, (), generator=random))
        patch = torch.rot90(patch, way % 4, (1, 2))
        found.append(patch.flip(1) if way >= 4 else patch)
    return torch.stack(found)


def _error(
    network: nn.Module, patches: Tensor, slices: int, profile: SliceProfile
) -> tuple[Tensor, Tensor]:
    """Return the mean squared errors of the network and of the splines that it corrects."""
    given = given_planes(patches, slices, profile, profile)
    made = network(given.contiguous(memory_format=torch.channels_last))
    return ((made - patches) ** 2).mean(), ((given[:, :1] - patches) ** 2).mean()


def _gain(network: nn.Module, patches: Tensor, slices: int, profile: SliceProfile) -> float:
    with torch.no_grad():
        made, splines = (float(e) for e in _error(network, patches, slices, profile))
    return 10 * math.log10(max(splines, 1e-20) / max(made, 1e-20))
