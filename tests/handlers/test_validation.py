from __future__ import annotations

import numpy as np
import torch
from ignite.engine import Engine, Events
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn

from tmd.handlers import Validation
from tmd.handlers.validation import Pair, as_8_bit
from tmd.metrics import psnr
from tmd.resize import imresize
from tmd.training import Phases, TrainingEvents


class Constant(nn.Module):
    """SR is LR repeated, plus what it has learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, lr: Tensor) -> Tensor:
        return lr.repeat_interleave(2, -1).repeat_interleave(2, -2) + self.offset


def pairs() -> list[Pair]:
    images = [torch.rand(1, 1, 24, 32), torch.rand(1, 1, 40, 16)]
    return [Pair(f"image {i}", imresize(hr, 0.5).clamp(0, 1), hr) for i, hr in enumerate(images)]


def validated_at(phases: Phases, epoch_length: int) -> list[int]:
    trainer = Engine(lambda engine, batch: None)
    trainer.register_events(*TrainingEvents)
    trainer.add_event_handler(
        Events.ITERATION_STARTED,
        lambda engine: setattr(engine.state, "phase", phases.at(engine.state.iteration)),
    )
    measures = {"psnr": lambda sr, hr: psnr(sr, hr)}
    Validation(Constant(), pairs(), measures, phases, epoch_length).attach(trainer)
    seen: list[int] = []
    trainer.add_event_handler(
        TrainingEvents.VALIDATED, lambda engine: seen.append(engine.state.iteration)
    )
    trainer.run([0] * phases.total, max_epochs=1)
    return seen


def test_the_mean_is_over_images_and_agrees_with_scikit_image() -> None:
    held_out = pairs()
    validation = Validation(
        Constant(), held_out, {"psnr": lambda sr, hr: psnr(sr, hr)}, Phases(1, 0, 0), 1
    )
    network = Constant()
    expected = np.mean(
        [
            peak_signal_noise_ratio(
                pair.hr[0, 0].numpy(),
                (network(pair.lr) * 255).clamp(0, 255).round().div(255)[0, 0].detach().numpy(),
                data_range=1,
            )
            for pair in held_out
        ]
    )
    figures = validation.figures(validation.super_resolve)
    assert abs(figures["psnr"] - expected) < 1e-4


def test_bicubics_figures_are_those_of_an_enlargement_by_bicubic() -> None:
    held_out = pairs()
    validation = Validation(
        Constant(), held_out, {"psnr": lambda sr, hr: psnr(sr, hr)}, Phases(1, 0, 0), 1
    )
    expected = [psnr(as_8_bit(imresize(p.lr, p.hr.shape[-2:])), p.hr) for p in held_out]
    assert abs(validation.bicubic_figures(2)["psnr"] - torch.cat(expected).mean().item()) < 1e-4


def test_every_epoch_that_trains_the_generator_and_every_phases_end_are_validated() -> None:
    assert validated_at(Phases(7, 6, 5), epoch_length=3) == [3, 6, 7, 13, 15, 18]


def test_training_that_is_adversarial_at_once_is_validated_before() -> None:
    assert validated_at(Phases(0, 0, 4), epoch_length=2) == [0, 2, 4]


def test_validation_leaves_no_gradient() -> None:
    network = Constant()
    validation = Validation(network, pairs(), {}, Phases(1, 0, 0), 1)
    assert not validation.super_resolve(pairs()[0].lr).requires_grad
