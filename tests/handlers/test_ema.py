from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tmd.handlers import average_weights
from tmd.models import create_generator


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


def test_it_is_torchs_average() -> None:
    generator = create_generator("srresnet", 2, 3, 1, 8, "batch", True, True)
    theirs = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(0.9))

    def step(engine: Engine, batch: torch.Tensor) -> None:
        generator(batch)
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.add_(torch.randn_like(parameter))

    trainer = Engine(step)
    trainer.state.phase = "pretrain"
    ours = average_weights(trainer, generator, decay=0.9)
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: theirs.update_parameters(generator)
    )
    trainer.run([torch.rand(2, 3, 8, 8) for _ in range(4)], max_epochs=1)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_a_state_that_is_loaded_is_averaged_on() -> None:
    network = nn.Linear(1, 1, bias=False)
    trainer = Engine(lambda engine, batch: nn.init.constant_(network.weight, 3.0))
    trainer.state.phase = "pretrain"
    averaged = average_weights(trainer, network, decay=0.5)
    averaged.load_state_dict({"n_averaged": torch.tensor(7), "module.weight": torch.ones(1, 1)})
    trainer.run([0], max_epochs=1)
    assert averaged.module.weight.item() == 2.0
    assert averaged.n_averaged == 8
