from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from torch import nn

from tmd.handlers import average_weights


def test_the_average_follows_its_formula_and_skips_the_warmup() -> None:
    network = nn.Linear(1, 1, bias=False)
    values, phases = [1.0, 2.0, 4.0, 100.0], ["pretrain", "pretrain", "pretrain", "warmup"]

    def step(engine: Engine, batch: int) -> None:
        nn.init.constant_(network.weight, values[engine.state.iteration - 1])

    trainer = Engine(step)
    trainer.add_event_handler(
        Events.ITERATION_STARTED,
        lambda engine: setattr(engine.state, "phase", phases[engine.state.iteration - 1]),
    )
    averaged = average_weights(trainer, network, decay=0.75)
    trainer.run(range(4), max_epochs=1)
    by_hand = 0.75 * (0.75 * 1.0 + 0.25 * 2.0) + 0.25 * 4.0
    torch.testing.assert_close(averaged.module.weight.item(), by_hand)


def test_buffers_are_copied_not_averaged() -> None:
    network = nn.BatchNorm1d(2)

    def step(engine: Engine, batch: torch.Tensor) -> None:
        network(batch)

    trainer = Engine(step)
    trainer.state.phase = "pretrain"
    averaged = average_weights(trainer, network, decay=0.9)
    trainer.run([torch.randn(8, 2) for _ in range(3)], max_epochs=1)
    assert torch.equal(averaged.module.running_mean, network.running_mean)
    assert not averaged.module.training
