"""Two real processes compute what one process with the whole batch would."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import distributed as dist
from torch import nn

from monai_sr.core.distributed import (
    average_gradients,
    from_first,
    global_mean,
    join_processes,
    own_device,
    rank,
    shared_network,
    world_size,
)
from monai_sr.core.errors import OptionError
from monai_sr.training import run_folder

SIZE = 2
VALUES = torch.tensor([[0.5, -2.0, 4.0], [1.0, 7.0, -3.5]])
"""A row for each process."""


def coupled_loss(parameter: torch.Tensor, values: torch.Tensor, everyone: torch.Tensor):
    """Return a relativistic loss: each verdict is compared with the mean of all."""
    return F.softplus(parameter * values - everyone).mean()


def _work(number: int, port: int, folder: str) -> None:
    """Do what is measured, in a process that finds the others as ``torchrun`` tells it."""
    # The store is the parent's, as it is with torchrun: no port has to be guessed.
    os.environ |= {"RANK": str(number), "WORLD_SIZE": str(SIZE), "MASTER_ADDR": "127.0.0.1",
                   "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}  # fmt: skip
    join_processes()
    join_processes()  # once more does nothing
    values = VALUES[number].clone().requires_grad_()
    mean = global_mean(values)
    (slope,) = torch.autograd.grad(mean, values)
    parameter, unused = nn.Parameter(torch.tensor(0.7)), nn.Parameter(torch.zeros(2))
    layer = nn.Linear(2, 3)
    nn.init.constant_(layer.weight, 0.0)
    nn.init.constant_(layer.bias, 0.0)
    coupled_loss(parameter, VALUES[number], global_mean(parameter * VALUES[number])).backward()
    (layer(torch.ones(1, 2) * number).sum() * (1 + number)).backward()
    average_gradients([layer.weight, parameter, unused, layer.bias])
    found = {
        "rank": rank(),
        "world_size": world_size(),
        "mean": mean.detach(),
        "slope": slope,
        "coupled": parameter.grad,
        "is_unused": unused.grad is None,
        "weight": layer.weight.grad,
        "bias": layer.bias.grad,
        "first": from_first(0.1 + number),
        "dry_run": run_folder(folder, is_dry=True),
    }
    torch.save(found, Path(folder) / f"{number}.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Run all processes once; return what each has found."""
    folder = tmp_path_factory.mktemp("processes")
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    torch.multiprocessing.spawn(_work, (store.port, str(folder)), nprocs=SIZE)
    return [torch.load(folder / f"{i}.pt", weights_only=True) for i in range(SIZE)]


def test_each_process_has_its_number(found):
    assert [each["rank"] for each in found] == [0, 1]
    assert {each["world_size"] for each in found} == {SIZE}


def test_mean_is_that_of_all_elements_in_every_process(found):
    for each in found:
        torch.testing.assert_close(each["mean"], VALUES.mean())


def test_gradients_of_the_mean_add_up_over_the_processes(found):
    """Every process has a loss, here the mean itself: its sum over processes has this gradient."""
    for each in found:
        torch.testing.assert_close(each["slope"], torch.full((3,), SIZE / VALUES.numel()))


def test_averaged_gradient_of_a_coupled_loss_equals_that_of_one_process(found):
    parameter = torch.tensor(0.7, requires_grad=True)
    loss = coupled_loss(parameter, VALUES, (parameter * VALUES).mean())
    (expected,) = torch.autograd.grad(loss, parameter)
    for each in found:
        torch.testing.assert_close(each["coupled"], expected)


def test_gradients_of_every_shape_become_their_mean_and_absent_ones_stay_absent(found):
    # Process 0 had inputs of 0 and a factor of 1, process 1 inputs of 1 and a factor of 2.
    for each in found:
        torch.testing.assert_close(each["weight"], torch.full((3, 2), (0.0 + 2.0) / 2))
        torch.testing.assert_close(each["bias"], torch.full((3,), (1.0 + 2.0) / 2))
        assert each["is_unused"]


def test_value_of_the_first_process_reaches_all_in_full_precision(found):
    assert [each["first"] for each in found] == [0.1] * SIZE


def test_processes_of_a_dry_run_share_its_folder(found):
    """Stage 2 finds there what the first process wrote of stage 1."""
    assert len({each["dry_run"] for each in found}) == 1
    assert "monai-sr-dry-run-" in found[0]["dry_run"]


def test_a_single_process_is_the_first_of_one():
    assert (rank(), world_size()) == (0, 1)
    assert from_first(0.1) == 0.1


def test_alone_the_mean_is_the_usual_one():
    values = VALUES.clone().requires_grad_()
    mean = global_mean(values)
    assert torch.equal(mean, VALUES.mean())
    mean.backward()
    torch.testing.assert_close(values.grad, torch.full((2, 3), 1 / 6))


def test_alone_gradients_are_left_as_they_are():
    with_gradient, without = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    with_gradient.grad = torch.tensor([1.0, 2.0])
    average_gradients([with_gradient, without])
    assert with_gradient.grad.tolist() == [1.0, 2.0]
    assert without.grad is None


def test_process_that_torchrun_did_not_start_is_told_how(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(OptionError, match="start it with torchrun --nproc_per_node=N -m"):
        join_processes()
    assert not dist.is_initialized()


@pytest.mark.parametrize("number", [None, "0", "3"])
def test_each_process_has_its_own_gpu_where_there_are_some(number, monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if number is not None:
        monkeypatch.setenv("LOCAL_RANK", number)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert own_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert own_device() == torch.device("cuda", int(number or 0))


def test_batch_statistics_are_shared_on_gpus_alone(monkeypatch):
    def network() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))

    shared = shared_network(network(), torch.device("cpu"))
    assert type(shared[1]) is nn.BatchNorm2d
    assert shared[0].weight.is_contiguous(memory_format=torch.channels_last)
    moved = []
    monkeypatch.setattr(nn.Module, "to", lambda self, *args, **_: moved.extend(args) or self)
    shared = shared_network(network(), torch.device("cuda", 1))
    assert isinstance(shared[1], nn.SyncBatchNorm)
    assert moved == [torch.device("cuda", 1)]
