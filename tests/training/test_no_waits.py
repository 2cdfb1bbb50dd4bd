"""Between two log points nothing asks the device for a number."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Events
from torch.utils._python_dispatch import TorchDispatchMode

from tmd.handlers import (
    ImageHistory,
    LearningRate,
    ScalarLog,
    average_weights,
    create_adversarial_weight,
)
from tmd.losses.adversarial import create_adversarial_loss
from tmd.losses.content import create_content_loss
from tmd.measurements import create_measurement
from tmd.models import create_discriminator, create_generator
from tmd.training import Phases, Updater, create_srgan_trainer
from tmd.training.steps import clip_norm


class NoNumbersAsked(TorchDispatchMode):
    """Raises when a floating-point tensor is turned into a number, as ``item`` and ``if`` do.

    Whole numbers are drawn on the CPU for the history; nothing that is computed from images is one.
    """

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default and args[0].is_floating_point():
            raise AssertionError("a number was read from the device")
        return function(*args, **(kwargs or {}))


def trainer(device: str, penalty: bool = False):
    generator = create_generator("srresnet", 2, 3, 1, 8, "none", True, True).to(device)
    discriminator = create_discriminator("srgan", 3, [8, 8], [1, 2], not penalty, "none").to(device)
    updaters = [
        Updater(n, torch.optim.Adam(n.parameters(), 1e-4, fused=True), clip_norm(1.0))
        for n in (generator, discriminator)
    ]
    phases = Phases(3, 2, 100)
    engine = create_srgan_trainer(
        generator,
        discriminator,
        *updaters,
        create_measurement(["bicubic", {"name": "noise", "sigma": [0.01, 0.02]}], 2),
        create_content_loss("l1"),
        torch.nn.functional.l1_loss,
        create_adversarial_loss("wgan-gp" if penalty else "bce"),
        phases,
        history=ImageHistory(4, 1, 0.5, device=device),
        device=device,
    )
    create_adversarial_weight("linear", 1e-2, phases, dict, lambda state: None).attach(engine)
    rates = {"lr_g": updaters[0].optimizer, "lr_d": updaters[1].optimizer}
    LearningRate(rates, "cosine", 0.1, phases).attach(engine)
    average_weights(engine, generator, 0.9)
    return engine


def batches(count: int) -> list[tuple[torch.Tensor]]:
    return [(torch.randint(0, 256, (4, 3, 24, 24), dtype=torch.uint8),)] * count


@pytest.mark.parametrize("penalty", [False, True])
def test_steps_of_all_phases_ask_for_no_number(penalty: bool) -> None:
    engine = trainer("cpu", penalty)
    ScalarLog(100).attach(engine)
    with NoNumbersAsked():
        engine.run(batches(9), max_epochs=1)
    assert all(isinstance(value, torch.Tensor) for value in engine.state.output.values())


def test_a_number_that_is_read_is_noticed() -> None:
    engine = trainer("cpu")
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: engine.state.output["pixel"].item()
    )
    with NoNumbersAsked(), pytest.raises(AssertionError, match="a number was read"):
        engine.run(batches(1), max_epochs=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_nothing_synchronises() -> None:
    engine = trainer("cuda")
    ScalarLog(100).attach(engine)
    data = [(batch.pin_memory(),) for (batch,) in batches(9)]
    engine.run(data[:6], max_epochs=1)  # kernels are chosen, with synchronisations
    torch.cuda.set_sync_debug_mode("error")
    try:
        engine.state.max_epochs = None
        engine.run(data, max_epochs=1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
