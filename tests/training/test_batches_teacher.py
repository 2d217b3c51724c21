"""A teacher's result as second target of a batch."""

from __future__ import annotations

import pytest
import torch
from monai.inferers import SimpleInferer

from monai_sr.core.errors import OptionError, WeightsError
from monai_sr.networks import create_generator, save_weights
from monai_sr.training import TaughtBatch, prepare_sr_batch, training_batch
from tests.network_factory import SIZES, tiny


@pytest.fixture
def weights(tmp_path):
    save_weights(tiny(seed=3), tmp_path / "teacher.pt")
    return tmp_path / "teacher.pt"


def _blank():
    return create_generator("hybrid_cascade", in_channels=1, **SIZES)


@pytest.mark.parametrize("scale", [2, 4])
def test_targets_are_the_truth_and_the_teachers_result(weights, scale):
    batch = {"image": torch.rand(2, 1, 6, 9), "label": torch.rand(2, 1, 6 * scale, 9 * scale)}
    image, targets, args, told = TaughtBatch(_blank(), weights)(batch)
    plain = prepare_sr_batch(batch)
    assert torch.equal(image, plain[0])
    assert (args, told) == plain[2:]
    truth, taught = targets.chunk(2, dim=1)
    assert torch.equal(truth, batch["label"])
    teacher = tiny(seed=3)
    teacher.load_state_dict({k: v.half().float() for k, v in teacher.state_dict().items()})
    torch.testing.assert_close(taught, teacher(batch["image"], scale))


def test_the_teacher_does_not_learn(weights):
    taught = TaughtBatch(_blank(), weights)
    _, targets, *_ = taught({"image": torch.rand(1, 1, 6, 9), "label": torch.rand(1, 1, 24, 36)})
    assert not targets.requires_grad
    assert not taught.teacher.training
    assert not any(parameter.requires_grad for parameter in taught.teacher.parameters())


def test_the_teacher_is_called_by_the_inferer(weights):
    class Halving(SimpleInferer):
        def __call__(self, inputs, network, *args, **kwargs):
            return network(inputs, *args, **kwargs) / 2

    batch = {"image": torch.rand(1, 1, 6, 9), "label": torch.rand(1, 1, 12, 18)}
    whole, half = (
        TaughtBatch(_blank(), weights, inferer=inferer)(batch)[1][:, 1:]
        for inferer in (None, Halving())
    )
    torch.testing.assert_close(half, whole / 2)


def test_weights_of_another_network_are_refused(weights, tmp_path):
    with pytest.raises(WeightsError, match="belong to another network"):
        TaughtBatch(create_generator("hybrid_cascade", in_channels=3, **SIZES), weights)
    with pytest.raises(WeightsError, match=r"absent\.pt"):
        TaughtBatch(_blank(), tmp_path / "absent.pt")


def test_a_teacher_of_planes_does_not_teach_volumes(weights):
    taught = TaughtBatch(_blank(), weights)
    with pytest.raises(OptionError, match="teacher: enlarges images of 2 axes, got 3"):
        taught({"image": torch.rand(1, 1, 4, 4, 4), "label": torch.rand(1, 1, 8, 8, 8)})


def test_a_run_without_a_teacher_has_one_target(weights):
    assert training_batch(_blank()) is prepare_sr_batch
    inferer = SimpleInferer()
    taught = training_batch(_blank(), weights, "cpu", inferer)
    assert isinstance(taught, TaughtBatch)
    assert taught.infer is inferer
