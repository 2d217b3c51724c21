"""Several training processes, each with a part of every batch, that step as one.

Nothing here is needed, or does anything, in a single process.
"""

import atexit
import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from monai_sr.core.errors import OptionError


def join_processes() -> None:
    """Join the other processes that ``torchrun`` has started: NCCL on GPUs, Gloo on CPUs.

    Raises:
        OptionError: if the process was not started by ``torchrun``.
    """
    if dist.is_initialized():
        return
    if "RANK" not in os.environ:
        raise OptionError(
            "multi_gpu_train.yaml: needs several processes; start it with "
            "torchrun --nproc_per_node=N -m monai.bundle run ..."
        )
    if torch.cuda.is_available():
        # What is made on "cuda" without a number must lie on this process's own GPU.
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    atexit.register(dist.destroy_process_group)


def own_device() -> torch.device:
    """Return the GPU that ``torchrun`` means for this process, or the CPU where there is none."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def shared_network(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a network on this process's device, as one of the copies that train together.

    Batch statistics become those of all processes; there is no such layer for CPUs.
    """
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def rank() -> int:
    """Return the number of this process, 0 for the only one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def global_mean(values: Tensor) -> Tensor:
    """Average over all elements of all processes; gradients flow back to every process.

    Shape: any, the same on every process -> scalar.
    """
    mean = values.mean()
    if world_size() == 1:
        return mean
    total: Tensor = all_reduce(mean)  # type: ignore[no-untyped-call]
    return total / world_size()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes, in one message.

    All processes must have gradients for the same parameters.
    """
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def from_first(value: float) -> float:
    """Return the value that the first process has, on all of them."""
    if world_size() == 1:
        return value
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    shared = torch.tensor(value, dtype=torch.float64, device=device)
    dist.broadcast(shared, src=0)
    return float(shared)


def text_from_first(text: str) -> str:
    """Return the text that the first process has, on all of them."""
    if world_size() == 1:
        return text
    shared = [text]
    dist.broadcast_object_list(shared, src=0)
    return shared[0]
