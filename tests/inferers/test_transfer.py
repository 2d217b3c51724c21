"""Tiles on their way to the network and back: order, values, and who waits for whom."""

import weakref

import pytest
import torch

from monai_sr.inferers.transfer import Transfer

CPU = torch.device("cpu")


@pytest.mark.parametrize("ahead", [None, 0, 1, 3])
def test_results_come_home_in_order_with_their_items(ahead):
    transfer = Transfer(CPU, CPU, ahead=ahead)
    images = [torch.full((2, 3), float(i)) for i in range(5)]
    found = [
        (index, results.pop())
        for index, results in transfer.overlapped(
            range(5), lambda i: [transfer.fetch(images[i][:, 1:]) * 2]
        )
    ]
    assert [index for index, _ in found] == list(range(5))
    for index, result in found:
        assert torch.equal(result, torch.full((2, 2), 2.0 * index))


@pytest.mark.parametrize(("ahead", "started"), [(0, [1, 2, 3, 4]), (1, [2, 3, 4, 4])])
def test_as_many_tiles_are_ahead_as_is_said(ahead, started):
    begun, seen = [], []

    def run(item):
        begun.append(item)
        return []

    for _ in Transfer(CPU, CPU, ahead=ahead).overlapped(range(4), run):
        seen.append(len(begun))
    assert seen == started


def test_no_result_is_kept_once_it_was_taken():
    """The next tile needs its memory."""
    alive = []

    def run(item):
        assert not any(reference() is not None for reference in alive)
        result = torch.zeros(4)
        alive.append(weakref.ref(result))
        return [result]

    for _, results in Transfer(CPU, CPU).overlapped(range(3), run):
        results.pop()
    assert len(alive) == 3


def test_nothing_is_started_before_it_is_wanted_and_none_gives_none():
    assert list(Transfer(CPU, CPU, ahead=1).overlapped([], pytest.fail)) == []
    next(Transfer(CPU, CPU).overlapped(iter([0]), lambda _: []))


def test_what_a_tile_raises_arrives():
    def run(_):
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError):
        list(Transfer(CPU, CPU, ahead=1).overlapped(range(2), run))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_values_whoever_is_ahead():
    device = torch.device("cuda")
    images = [torch.rand(3, 256, 256) for _ in range(12)]

    def enlarged(transfer):
        def run(index):
            return [transfer.fetch(images[index][:, 5:250]).mul(3).sqrt()]

        return [results.pop().clone() for _, results in transfer.overlapped(range(12), run)]

    found = enlarged(Transfer(device, CPU))
    for image, result in zip(images, found, strict=True):
        assert result.device == CPU
        assert torch.equal(result, (image[:, 5:250].to(device) * 3).sqrt().cpu())
