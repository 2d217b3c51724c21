"""Enlarging changes nothing in a network that is being trained, and takes nothing from it."""

from __future__ import annotations

import threading

import torch

from monai_sr.inferers import TiledInferer
from monai_sr.inferers.evaluation_mode import in_evaluation
from monai_sr.networks import create_generator


def normalizing():
    """Build a network whose results depend on the statistics that it has gathered."""
    torch.manual_seed(0)
    network = create_generator("srresnet", in_channels=1, scale=2, num_blocks=1, channels=4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3)
    return network


def test_a_network_in_training_gives_the_same_and_learns_nothing():
    network, image = normalizing().eval(), torch.rand(1, 1, 24, 20)
    inferer = TiledInferer(2, tile_size=16)
    expected = inferer(image, network)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    frozen = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)).eval()
    assert torch.equal(inferer(image, network), expected)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert network.training
    assert not frozen.training


def test_the_last_of_several_threads_puts_it_back():
    network = normalizing().train()
    inside, leave, seen = threading.Event(), threading.Event(), []

    def first():
        with in_evaluation(network):
            inside.set()
            leave.wait()

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with in_evaluation(network):
        leave.set()
        thread.join()
        seen.append(network.training)
    assert (seen, network.training) == ([False], True)
