"""The trainer against a plain loop, and who gets which gradient."""

from __future__ import annotations

import copy

import pytest
import torch
from ignite.engine import Events
from torch import nn
from toys import LogisticLoss, Toy, batches

from tmd.handlers import ImageHistory
from tmd.training import Phases, create_srgan_trainer


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(module.state_dict())


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


def plain_loop(toy: Toy, adv_weight: float) -> None:
    """SRGAN's training as one would write it in a notebook."""
    g, d = toy.generator, toy.discriminator
    opt_g, opt_d = toy.update_generator.optimizer, toy.update_discriminator.optimizer
    loss = LogisticLoss()
    for i, ((lr, hr),) in enumerate(batches(toy.phases.total), start=1):
        phase = toy.phases.at(i)
        if phase == "pretrain":
            opt_g.zero_grad()
            ((g(lr) - hr) ** 2).mean().backward()
            opt_g.step()
            continue
        if phase == "warmup":
            g.eval()
        sr = g(lr)
        g.train()
        opt_d.zero_grad()
        loss.discriminator(d(hr), d(sr.detach())).backward()
        opt_d.step()
        if phase == "adversarial":
            opt_g.zero_grad()
            ((sr - hr).abs().mean() + adv_weight * loss.generator(d(sr))).backward()
            opt_g.step()


@pytest.mark.parametrize("norm", [False, True])
def test_training_equals_a_plain_loop(norm: bool) -> None:
    phases = Phases(pretrain=3, warmup=2, adversarial=4)
    ours, theirs = Toy(phases, norm), Toy(phases, norm)
    ours.trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: setattr(engine.state, "adv_weight", 0.3)
    )
    ours.run()
    plain_loop(theirs, adv_weight=0.3)
    for a, b in ((ours.generator, theirs.generator), (ours.discriminator, theirs.discriminator)):
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-6, msg=name)


def test_pretrain_leaves_the_discriminator_and_warmup_the_generator_untouched() -> None:
    toy = Toy(Phases(3, 3, 0), norm=True)
    d_before = weights(toy.discriminator)
    seen = {}
    toy.trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=3),
        lambda: seen.update(g=weights(toy.generator), d=weights(toy.discriminator)),
    )
    toy.run()
    assert same(d_before, seen["d"])
    # Batch statistics are buffers of the state, and they stood still too.
    assert same(seen["g"], weights(toy.generator))
    assert not same(seen["d"], weights(toy.discriminator))


def test_the_adversarial_loss_alone_reaches_every_parameter_of_the_generator() -> None:
    toy = Toy(Phases(0, 0, 1), content_weight=0.0)
    toy.trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: setattr(engine.state, "adv_weight", 1.0)
    )
    toy.run()
    for name, parameter in toy.generator.named_parameters():
        assert parameter.grad is not None, name
        # A bias before batch normalisation has no effect, and rightly no gradient.
        if name != "convolution.bias":
            assert parameter.grad.abs().sum() > 0, name


def test_without_adversarial_weight_the_discriminator_does_not_steer_the_generator() -> None:
    results = []
    for seed in (1, 2):
        toy = Toy(Phases(0, 0, 3))
        torch.manual_seed(seed)
        nn.init.normal_(toy.discriminator.second.weight)
        results.append(weights(toy.run().generator))
    assert same(*results)


def test_the_generators_update_computes_no_gradient_for_the_discriminator() -> None:
    toy = Toy(Phases(0, 0, 1))
    after_d_step: list[list[torch.Tensor]] = []
    toy.update_discriminator.optimizer.register_step_post_hook(
        lambda *_: after_d_step.append(
            [p.grad.clone() for p in toy.discriminator.parameters() if p.grad is not None]
        )
    )
    toy.trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: setattr(engine.state, "adv_weight", 1.0)
    )
    toy.run()
    finally_there = [p.grad for p in toy.discriminator.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(after_d_step[0], finally_there, strict=True))
    assert all(p.requires_grad for p in toy.discriminator.parameters())


def test_d_steps_train_the_discriminator_on_batches_of_its_own() -> None:
    phases = Phases(0, 0, 2)
    toy = Toy(phases)
    steps = {"g": 0, "d": 0}
    toy.update_generator.optimizer.register_step_post_hook(
        lambda *_: steps.update(g=steps["g"] + 1)
    )
    toy.update_discriminator.optimizer.register_step_post_hook(
        lambda *_: steps.update(d=steps["d"] + 1)
    )
    a, b, c, d, e, f = (batch for (batch,) in batches(6))
    trainer = create_srgan_trainer(
        toy.generator,
        toy.discriminator,
        toy.update_generator,
        toy.update_discriminator,
        nn.functional.l1_loss,
        nn.functional.mse_loss,
        LogisticLoss(),
        phases,
    )
    trainer.run([(a, b, c), (d, e, f)], max_epochs=1)
    assert steps == {"g": 2, "d": 6}


def test_images_of_the_history_reach_the_discriminator() -> None:
    seen: list[torch.Tensor] = []

    class Recording(LogisticLoss):
        def penalty(self, discriminator, real, fake, generator, share) -> None:
            seen.append(fake)

    history = ImageHistory(capacity=4, every=1, ratio=0.5)
    Toy(Phases(0, 0, 2), history=history, adversarial_loss=Recording()).run()
    assert len(history) == 2
    stored = history.state_dict()["images"][0]
    assert any(torch.equal(stored, image) for image in seen[1][2:])


def test_nothing_in_the_output_is_attached_to_a_graph() -> None:
    toy = Toy(Phases(1, 1, 1))
    outputs = []
    toy.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: outputs.append(engine.state.output)
    )
    toy.run()
    assert [sorted(o) for o in outputs] == [
        ["pixel"],
        ["d_fake", "d_real", "loss_d"],
        ["adversarial", "content", "d_fake", "d_real", "loss_d", "loss_g"],
    ]
    for output in outputs:
        assert all(not v.requires_grad and v.dim() == 0 for v in output.values())
