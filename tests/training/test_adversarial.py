"""The GAN trainer: what it computes, fires and leaves, on networks that a hand can check."""

from __future__ import annotations

import io

import pytest
import torch
from monai.engines import IterationEvents
from monai.handlers import StatsHandler
from monai.utils import CommonKeys
from monai.utils.enums import AdversarialIterationEvents, AdversarialKeys
from torch import nn

from monai_sr.core.errors import OptionError
from monai_sr.inferers import AutocastInferer
from monai_sr.losses import (
    CompositeLoss,
    FeatureMatchingLoss,
    L1Loss,
    RelativisticAverageLoss,
    VanillaAdversarialLoss,
)
from monai_sr.training import GradientClipping, SRAdversarialTrainer, step_scalars


class Enlarger(nn.Module):
    """Repeats pixels, times one learned factor."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, image, scale=2):
        return self.factor * image.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


class Judge(nn.Module):
    """One feature map and logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3)
        self.last = nn.Conv2d(2, 1, 1)
        self.seen = []

    def forward(self, image):
        self.seen.append(image.detach().clone())
        features = self.first(image)
        return [features, self.last(features)]


class Batches:
    """Endless batches, a pure function of the iteration."""

    def __init__(self) -> None:
        self.iteration = 0

    def __len__(self) -> int:
        return 4

    def __iter__(self):
        while True:
            random = torch.Generator().manual_seed(self.iteration)
            image = torch.rand(2, 1, 5, 4, generator=random)
            self.iteration += 1
            label = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
            yield {"image": image, "label": label}


def trainer(steps=1, adversarial=None, terms=None, weights=None, **options):
    torch.manual_seed(0)
    generator, judge = Enlarger(), Judge()
    adversarial = adversarial or VanillaAdversarialLoss()
    loss = CompositeLoss(
        terms or {"pixel": L1Loss(), "adversarial": adversarial},
        weights or {"pixel": 1.0, "adversarial": 0.1},
    )
    engine = SRAdversarialTrainer(
        device="cpu",
        max_epochs=1,
        epoch_length=steps,
        train_data_loader=Batches(),
        g_network=generator,
        g_optimizer=torch.optim.SGD(generator.parameters(), lr=0.1),
        g_loss_function=loss,
        d_network=judge,
        d_optimizer=torch.optim.SGD(judge.parameters(), lr=0.1),
        d_loss_function=adversarial.discriminator,
        **{"g_inferer": AutocastInferer(), "d_inferer": AutocastInferer(), **options},
    )
    return engine, generator, judge


@pytest.mark.parametrize("adversarial", [VanillaAdversarialLoss(), RelativisticAverageLoss()])
def test_one_step_equals_the_formulas(adversarial):
    engine, generator, judge = trainer(adversarial=adversarial)
    twin, twin_judge = Enlarger(), Judge()
    twin_judge.load_state_dict(judge.state_dict())
    batch = next(iter(Batches()))
    fake = twin(batch["image"])
    verdicts = twin_judge(batch["label"])[-1], twin_judge(fake)[-1]
    loss = (fake - batch["label"]).abs().mean() + 0.1 * adversarial(*verdicts)
    (slope,) = torch.autograd.grad(loss, twin.factor)
    verdicts = twin_judge(batch["label"])[-1], twin_judge(fake.detach())[-1]
    loss_of_judge = adversarial.discriminator(*verdicts)
    slopes = torch.autograd.grad(loss_of_judge, list(twin_judge.parameters()))
    engine.run()
    torch.testing.assert_close(generator.factor.data, twin.factor.data - 0.1 * slope)
    for own, start, step in zip(judge.parameters(), twin_judge.parameters(), slopes, strict=True):
        torch.testing.assert_close(own.data, start.data - 0.1 * step)
    output = engine.state.output
    torch.testing.assert_close(output[CommonKeys.LOSS], loss.detach())
    torch.testing.assert_close(output[AdversarialKeys.DISCRIMINATOR_LOSS], loss_of_judge.detach())


def test_discriminator_sees_the_high_resolution_images_as_real_ones():
    engine, _, judge = trainer()
    engine.run()
    label = next(iter(Batches()))["label"]
    assert any(torch.equal(seen, label) for seen in judge.seen)
    assert {seen.shape for seen in judge.seen} == {label.shape}


def test_generator_step_leaves_no_gradient_in_the_discriminator():
    engine, _, judge = trainer()
    found = []

    @engine.on(AdversarialIterationEvents.GENERATOR_BACKWARD_COMPLETED)
    def look(_engine):
        found.append([p.grad for p in judge.parameters()])

    engine.run()
    assert found == [[None] * 4]
    assert all(p.requires_grad and p.grad is not None for p in judge.parameters())


def test_every_event_is_fired_once_a_step_in_order():
    engine, *_ = trainer(steps=2)
    fired = []
    events = [*AdversarialIterationEvents, *IterationEvents]
    for event in events:
        engine.add_event_handler(event, lambda _e, name=event.value: fired.append(name))
    engine.run()
    half = len(fired) // 2
    assert fired[:half] == fired[half:]
    # Two of MONAI's belong to other engines.
    unknown = {e.value for e in events} - set(fired)
    assert unknown <= {"inner_iteration_started", "inner_iteration_completed"}
    assert fired.index("generator_backward_completed") < fired.index(
        "discriminator_reals_forward_completed"
    )


def test_output_serves_stock_handlers_and_keeps_no_graph():
    engine, *_ = trainer(
        steps=2,
        train_handlers=[StatsHandler(output_transform=step_scalars)],
    )
    engine.run()
    output = engine.state.output
    tensors = [v for v in output.values() if isinstance(v, torch.Tensor)]
    tensors += list(output["scalars"].values())
    assert not any(t.requires_grad for t in tensors)
    assert set(output["scalars"]) == {"pixel", "adversarial", "discriminator", "real", "fake"}
    torch.testing.assert_close(
        output[CommonKeys.LOSS],
        output[AdversarialKeys.RECONSTRUCTION_LOSS] + output[AdversarialKeys.GENERATOR_LOSS],
    )


def test_postprocessing_and_decollation_work_as_in_other_trainers():
    seen = []
    engine, *_ = trainer(decollate=True, postprocessing=lambda item: seen.append(item) or item)
    engine.run()
    assert [item[CommonKeys.PRED].shape for item in seen] == [(1, 10, 8)] * 2


def test_own_state_is_plain_numbers():
    engine, *_ = trainer(steps=3)
    engine.run()
    file = io.BytesIO()
    torch.save(engine.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["iteration"] == 3


def test_feature_matching_gets_the_features_of_both():
    terms = {"match": FeatureMatchingLoss()}
    engine, generator, _ = trainer(terms=terms, weights={"match": 1.0})
    before = generator.factor.item()
    engine.run()
    assert generator.factor.item() != before
    assert engine.state.output["scalars"]["match"] > 0


def test_loss_that_compares_with_the_averaged_generator_gets_its_result():
    class Apart(nn.Module):
        def forward(self, sr, ema_sr):
            return (sr - ema_sr).abs().mean()

    average = Enlarger()
    with torch.no_grad():
        average.factor.fill_(0.25)
    engine, generator, _ = trainer(
        terms={"apart": Apart()}, weights={"apart": 1.0}, ema_network=average
    )
    engine.run()
    image = next(iter(Batches()))["image"]
    torch.testing.assert_close(
        engine.state.output["scalars"]["apart"], 0.25 * image.mean(), rtol=1e-5, atol=0
    )
    assert generator.factor < 0.5


def test_several_discriminator_steps_use_fresh_images():
    engine, generator, judge = trainer(steps=6, generator_every=3)
    factors = []

    @engine.on(IterationEvents.MODEL_COMPLETED)
    def note(_engine):
        factors.append(generator.factor.item())

    engine.run()
    assert factors[0] == factors[1] == 0.5
    assert factors[2] == factors[3] == factors[4] != 0.5
    assert factors[5] != factors[4]
    stream = iter(Batches())
    labels = [next(stream)["label"] for _ in range(6)]
    assert all(any(torch.equal(seen, label) for seen in judge.seen) for label in labels)
    real = [seen for seen in judge.seen if seen.max() > 0.5]
    assert len({tuple(seen.flatten().tolist()) for seen in judge.seen}) > len(real) / 2


def test_accumulated_gradients_equal_those_of_one_large_batch():
    """Mean losses of equal parts average to that of the whole; nothing here couples images."""
    parts, generator, judge = trainer(steps=2, accumulation_steps=2)
    parts.run()

    class Joined(Batches):
        def __iter__(self):
            for one, two in zip(*[super().__iter__()] * 2, strict=False):
                yield {key: torch.cat([one[key], two[key]]) for key in one}

    torch.manual_seed(0)
    whole, generator_of_whole, judge_of_whole = trainer(steps=1)
    whole.data_loader = Joined()
    whole.state.dataloader = whole.data_loader
    whole.run()
    torch.testing.assert_close(generator.factor, generator_of_whole.factor)
    for one, other in zip(judge.parameters(), judge_of_whole.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_resting_discriminator_stays_as_it_is():
    engine, _, judge = trainer(steps=2)
    before = [p.clone() for p in judge.parameters()]
    engine.state.skip_discriminator = True
    engine.run()
    assert all(torch.equal(a, b) for a, b in zip(before, judge.parameters(), strict=True))
    assert "discriminator" not in engine.state.output["scalars"]


def test_bfloat16_trains_on_a_cpu_and_gives_float32():
    inferer = AutocastInferer("bfloat16")
    engine, generator, _ = trainer(steps=2, g_inferer=inferer, d_inferer=inferer)
    engine.run()
    assert engine.state.output[CommonKeys.PRED].dtype == torch.float32
    assert generator.factor.item() != 0.5


def test_each_network_is_clipped_in_its_own_turn():
    clipped = {}

    class Clip(GradientClipping):
        def __call__(self, engine):
            super().__call__(engine)
            norms = [p.grad.norm() for p in self.network.parameters()]
            clipped[type(self.network).__name__] = torch.stack(norms).norm().item()

    networks = {}

    class Late:
        """Attaches handlers for the networks that the trainer turns out to have."""

        def attach(self, engine):
            for name in ("g_network", "d_network"):
                networks[name] = getattr(engine.state, name)
                Clip(networks[name], 1e-3).attach(engine)

    engine, *_ = trainer(train_handlers=[Late()])
    engine.run()
    assert set(clipped) == {"Enlarger", "Judge"}
    assert all(norm == pytest.approx(1e-3, rel=1e-3) for norm in clipped.values())


@pytest.mark.parametrize("option", ["generator_every", "accumulation_steps"])
def test_count_below_one_is_refused(option):
    with pytest.raises(OptionError, match=option):
        trainer(**{option: 0})
