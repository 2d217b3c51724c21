"""The GAN trainer of super-resolution: MONAI's adversarial trainer with its own iteration.

MONAI's iteration shows the discriminator the *input* images as real ones (here: the small images),
gives the generator's loss the fake logits alone, and casts automatically on CUDA only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from monai.engines import AdversarialTrainer
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from monai.utils import CommonKeys
from monai.utils.enums import AdversarialIterationEvents as AdversarialEvents
from monai.utils.enums import AdversarialKeys
from torch import Tensor, nn
from torch.optim import Optimizer

from monai_sr.core import OptionError
from monai_sr.losses import CompositeLoss
from monai_sr.training.batches import prepare_sr_batch

SCALARS = "scalars"
"""Key of the output under which named figures of the step lie."""
_OF_DISCRIMINATOR = {"real_logits", "fake_logits", "real_features", "fake_features"}


class SRAdversarialTrainer(AdversarialTrainer):
    """Train a generator and a discriminator by turns, the generator first.

    Events, names of the state and keys of the output are those of MONAI's ``AdversarialTrainer``,
    with ``REALS`` the high-resolution images, and besides, for handlers made for
    ``SupervisedTrainer``: the output's ``LOSS`` and ``PRED``, and the events
    ``IterationEvents.{FORWARD,LOSS,BACKWARD,MODEL}_COMPLETED`` of the generator. An event
    ``..._BACKWARD_COMPLETED`` is fired once the gradients of a step are complete: with accumulation
    at its last iteration, with float16 after they are unscaled. ``output["scalars"]`` holds every
    loss term before its weight, the discriminator's loss and the mean logits of real and fake
    images. ``state.skip_discriminator`` (False) leaves the discriminator as it is while set.

    The checkpoint of the trainer itself is plain numbers (iteration, epoch); networks and
    optimizers are saved beside it, see :class:`monai_sr.training.TrainingState`.

    Args:
        device: where to train.
        max_epochs: epochs of the loader; a schedule may end the run earlier.
        train_data_loader: batches {"image", "label"}.
        g_network: generator, or :class:`monai_sr.networks.EveryOutput` of one.
        g_optimizer: its optimizer.
        g_loss_function: weighted terms; those that look at the discriminator's output make
            ``GENERATOR_LOSS``, the others ``RECONSTRUCTION_LOSS``.
        d_network: discriminator; the last item of its list is the logits.
        d_optimizer: its optimizer.
        d_loss_function: (real_logits, fake_logits) -> scalar.
        ema_network: averaged generator, for losses that compare with its result.
        generator_every: updates of the discriminator, each on fresh images, for one of the
            generator.
        accumulation_steps: iterations whose gradients are added up for one update.
        g_inferer: calls the generator, see :class:`monai_sr.inferers.AutocastInferer`.
        d_inferer: calls the discriminator.
        g_scaler: scales the generator's gradients, which float16 needs; None: not at all.
        d_scaler: likewise the discriminator's.
        **kwargs: the other arguments of ``AdversarialTrainer``.

    Raises:
        OptionError: if a count is not positive.
    """

    def __init__(
        self,
        device: torch.device | str,
        max_epochs: int,
        train_data_loader: Iterable[Any],
        g_network: nn.Module,
        g_optimizer: Optimizer,
        g_loss_function: CompositeLoss,
        d_network: nn.Module,
        d_optimizer: Optimizer,
        d_loss_function: Callable[[Tensor, Tensor], Tensor],
        *,
        ema_network: nn.Module | None = None,
        generator_every: int = 1,
        accumulation_steps: int = 1,
        g_inferer: Inferer | None = None,
        d_inferer: Inferer | None = None,
        g_scaler: torch.amp.GradScaler | None = None,
        d_scaler: torch.amp.GradScaler | None = None,
        prepare_batch: Callable[..., Any] = prepare_sr_batch,
        train_handlers: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if min(generator_every, accumulation_steps) < 1:
            raise OptionError(
                "generator_every, accumulation_steps: must be at least 1, got "
                f"{generator_every} and {accumulation_steps}"
            )
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            train_data_loader=train_data_loader,
            g_network=g_network,
            g_optimizer=g_optimizer,
            g_loss_function=g_loss_function,
            recon_loss_function=g_loss_function,
            d_network=d_network,
            d_optimizer=d_optimizer,
            d_loss_function=d_loss_function,
            g_inferer=g_inferer,
            d_inferer=d_inferer,
            prepare_batch=prepare_batch,
            **{"decollate": False, "optim_set_to_none": True, **kwargs},
        )
        # MONAI adds whole modules to the engine's state, which safe loading refuses.
        self._state_dict_user_keys.clear()
        self.ema_network = ema_network
        self.generator_every = generator_every
        self.accumulation_steps = accumulation_steps
        kind = torch.device(device).type
        self.state.g_scaler = g_scaler or torch.amp.GradScaler(kind, enabled=False)
        self.state.d_scaler = d_scaler or torch.amp.GradScaler(kind, enabled=False)
        self.state.skip_discriminator = False
        self._loss = torch.zeros((), device=device)
        if train_handlers is not None:
            # Not before the state has both networks: a handler may ask whose turn is whose.
            self._register_handlers(train_handlers)

    def _iteration(  # type: ignore[override]
        self, engine: SRAdversarialTrainer, batchdata: dict[str, Tensor]
    ) -> Any:
        image, label, args, kwargs = engine.prepare_batch(
            batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs
        )
        state = engine.state
        state.output = {
            CommonKeys.IMAGE: image,
            CommonKeys.LABEL: label,
            AdversarialKeys.REALS: label,
            SCALARS: {},
        }
        state.g_loss_function.step = state.iteration - 1
        state.g_network.train()
        state.d_network.train()
        number, place = divmod(state.iteration - 1, self.accumulation_steps)
        first, last = place == 0, place == self.accumulation_steps - 1
        if first:
            self._discriminator_learns = not state.skip_discriminator
        if (number + 1) % self.generator_every == 0:
            self._generator_step(first, last, args, kwargs)
        else:
            with torch.no_grad():
                self._enlarge(args, kwargs)
            state.output[CommonKeys.LOSS] = self._loss
        if self._discriminator_learns:
            self._discriminator_step(first, last)
        # What handlers and logs keep of a step must not keep its graph.
        state.output[CommonKeys.PRED] = state.output[AdversarialKeys.FAKES] = state.output[
            AdversarialKeys.FAKES
        ].detach()
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        result: Any = state.output  # a list of samples once it is decollated
        return result

    def _enlarge(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
        output = self.state.output
        results = self.g_inferer(output[CommonKeys.IMAGE], self.state.g_network, *args, **kwargs)
        outputs = list(results) if isinstance(results, list | tuple) else [results]
        output[AdversarialKeys.FAKES] = output[CommonKeys.PRED] = outputs[-1]
        return outputs

    def _generator_step(
        self, first: bool, last: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        state, output = self.state, self.state.output
        if first:
            state.g_optimizer.zero_grad(set_to_none=self.optim_set_to_none)
        outputs = self._enlarge(args, kwargs)
        self.fire_event(AdversarialEvents.GENERATOR_FORWARD_COMPLETED)
        self.fire_event(IterationEvents.FORWARD_COMPLETED)
        terms = state.g_loss_function.measure(**self._judged(outputs, args, kwargs))
        adversarial = {n for n in terms if state.g_loss_function.needs_of(n) & _OF_DISCRIMINATOR}
        pixel = self._part(terms, set(terms) - adversarial, AdversarialKeys.RECONSTRUCTION_LOSS)
        self.fire_event(AdversarialEvents.RECONSTRUCTION_LOSS_COMPLETED)
        loss = pixel + self._part(terms, adversarial, AdversarialKeys.GENERATOR_LOSS)
        self.fire_event(AdversarialEvents.GENERATOR_LOSS_COMPLETED)
        output[CommonKeys.LOSS] = self._loss = loss.detach()
        output[SCALARS] |= {name: value.detach() for name, value in terms.items()}
        self.fire_event(IterationEvents.LOSS_COMPLETED)
        state.g_scaler.scale(loss / self.accumulation_steps).backward()
        if last:
            state.g_scaler.unscale_(state.g_optimizer)
            self.fire_event(AdversarialEvents.GENERATOR_BACKWARD_COMPLETED)
            self.fire_event(IterationEvents.BACKWARD_COMPLETED)
            state.g_scaler.step(state.g_optimizer)
            state.g_scaler.update()
        self.fire_event(AdversarialEvents.GENERATOR_MODEL_COMPLETED)

    def _part(self, terms: dict[str, Tensor], chosen: set[str], key: str) -> Tensor:
        """Add up some terms with their weights, and show the sum under ``key``."""
        part = {name: value for name, value in terms.items() if name in chosen}
        total: Tensor = self.state.g_loss_function.total(part) if part else torch.zeros(())
        total = total.to(self.state.device)
        self.state.output[key] = total.detach()
        return total

    def _judged(
        self, outputs: list[Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Collect what the terms of the generator's loss ask for."""
        state, output = self.state, self.state.output
        needs = state.g_loss_function.needs
        available: dict[str, Any] = {
            "sr": outputs[-1],
            "hr": output[CommonKeys.LABEL],
            "lr": output[CommonKeys.IMAGE],
            "outputs": outputs,
        }
        if "ema_sr" in needs and self.ema_network is not None:
            with torch.no_grad():
                self.ema_network.eval()
                available["ema_sr"] = self.g_inferer(
                    output[CommonKeys.IMAGE], self.ema_network, *args, **kwargs
                )
        if needs & _OF_DISCRIMINATOR:
            # Gradients pass through the discriminator to the images, not to its weights.
            state.d_network.requires_grad_(False)
            fake = self.d_inferer(outputs[-1], state.d_network)
            available |= {"fake_logits": fake[-1], "fake_features": fake[:-1]}
            if needs & {"real_logits", "real_features"}:
                with torch.no_grad():
                    real = self.d_inferer(output[AdversarialKeys.REALS], state.d_network)
                available |= {"real_logits": real[-1], "real_features": real[:-1]}
            state.d_network.requires_grad_(True)
            output[AdversarialKeys.FAKE_LOGITS] = fake[-1].detach()
        self.fire_event(AdversarialEvents.GENERATOR_DISCRIMINATOR_FORWARD_COMPLETED)
        return available

    def _discriminator_step(self, first: bool, last: bool) -> None:
        state, output = self.state, self.state.output
        if first:
            state.d_optimizer.zero_grad(set_to_none=self.optim_set_to_none)
        real = self.d_inferer(output[AdversarialKeys.REALS], state.d_network)[-1]
        output[AdversarialKeys.REAL_LOGITS] = real.detach()
        self.fire_event(AdversarialEvents.DISCRIMINATOR_REALS_FORWARD_COMPLETED)
        fake = self.d_inferer(output[AdversarialKeys.FAKES].detach(), state.d_network)[-1]
        output[AdversarialKeys.FAKE_LOGITS] = fake.detach()
        self.fire_event(AdversarialEvents.DISCRIMINATOR_FAKES_FORWARD_COMPLETED)
        loss = state.d_loss_function(real, fake)
        output[AdversarialKeys.DISCRIMINATOR_LOSS] = loss.detach()
        output[SCALARS] |= {
            "discriminator": loss.detach(),
            "real": real.detach().mean(),
            "fake": fake.detach().mean(),
        }
        self.fire_event(AdversarialEvents.DISCRIMINATOR_LOSS_COMPLETED)
        state.d_scaler.scale(loss / self.accumulation_steps).backward()
        if last:
            state.d_scaler.unscale_(state.d_optimizer)
            self.fire_event(AdversarialEvents.DISCRIMINATOR_BACKWARD_COMPLETED)
            state.d_scaler.step(state.d_optimizer)
            state.d_scaler.update()
        self.fire_event(AdversarialEvents.DISCRIMINATOR_MODEL_COMPLETED)
