"""The trainer without HR against a plain loop, and who sees what."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from ignite.engine import Events
from torch import Tensor, nn
from toys import SCALE, LogisticLoss, ToyDiscriminator, ToyGenerator

from tmd.handlers import ImageHistory
from tmd.measurements import create_measurement
from tmd.resize import imresize
from tmd.training import Discriminators, Phases, Updater, create_ambientgan_trainer
from tmd.training.ambientgan import PURPOSES, SIDES, Weights, detail


def unpaired_batches(count: int, size: int = 4) -> list[tuple[tuple[Tensor, Tensor]]]:
    random = torch.Generator().manual_seed(7)
    return [
        (
            (
                torch.randint(0, 256, (size, 1, 8, 8), generator=random).float() / 255,
                torch.randint(0, 256, (size, 1, 16, 16), generator=random).float() / 255,
            ),
        )
        for _ in range(count)
    ]


def measure(sr: Tensor, index: int) -> Tensor:
    """Bicubic, and a brightness that tells the draws apart."""
    return imresize(sr, 1 / SCALE) + 1e-3 * (index % 7)


class Toy:
    """A trainer of toy networks with everything within reach."""

    def __init__(self, phases: Phases, sides: tuple[str, ...] = SIDES, **options) -> None:
        torch.manual_seed(0)
        self.phases = phases
        self.generator = ToyGenerator()
        both = {name: ToyDiscriminator() for name in SIDES}
        self.discriminators = Discriminators({name: both[name] for name in sides})
        self.update_generator = Updater(
            self.generator, torch.optim.SGD(self.generator.parameters(), 0.05)
        )
        self.update_discriminators = Updater(
            self.discriminators, torch.optim.SGD(self.discriminators.parameters(), 0.05)
        )
        self.trainer = create_ambientgan_trainer(
            self.generator,
            self.discriminators,
            self.update_generator,
            self.update_discriminators,
            options.pop("measure", measure),
            options.pop("content_loss", nn.functional.l1_loss),
            nn.functional.mse_loss,
            options.pop("adversarial_loss", LogisticLoss()),
            phases,
            **options,
        )

    def run(self, adv_weight: float = 0.3, batches: list | None = None) -> Toy:
        self.trainer.add_event_handler(
            Events.ITERATION_STARTED, lambda engine: setattr(engine.state, "adv_weight", adv_weight)
        )
        self.trainer.run(batches or unpaired_batches(self.phases.total), max_epochs=1)
        return self


def plain_loop(toy: Toy, weights: Weights, adv_weight: float) -> None:
    """The same training as one would write it in a notebook."""
    g, d = toy.generator, toy.discriminators
    opt_g, opt_d = toy.update_generator.optimizer, toy.update_discriminators.optimizer
    loss = LogisticLoss()
    for i, ((lr, hr),) in enumerate(unpaired_batches(toy.phases.total)):
        draw = [len(PURPOSES) * i + purpose for purpose in range(3)]
        phase = toy.phases.at(i + 1)
        if phase == "pretrain":
            opt_g.zero_grad()
            sr = g(lr)
            total = ((measure(sr, draw[0]) - lr) ** 2).mean()
            if weights.reconstruction:
                again = measure(sr, draw[2])
                total = total + weights.reconstruction * ((g(again) - sr) ** 2).mean()
            total.backward()
            opt_g.step()
            continue
        if phase == "warmup":
            g.eval()
        sr = g(lr)
        g.train()
        opt_d.zero_grad()
        fake = sr.detach()
        d_loss = loss.discriminator(d["images"](hr), d["images"](fake))
        d_loss = d_loss + loss.discriminator(
            d["measured"](lr), d["measured"](measure(fake, draw[1]))
        )
        d_loss.backward()
        opt_d.step()
        if phase == "adversarial":
            opt_g.zero_grad()
            again = measure(sr, draw[2])
            total = weights.content * (measure(sr, draw[0]) - lr).abs().mean()
            total = total + adv_weight * weights.images * loss.generator(d["images"](sr))
            total = total + adv_weight * weights.measured * loss.generator(d["measured"](again))
            if weights.reconstruction:  # else G's batch statistics would see one batch more
                total = total + weights.reconstruction * ((g(again) - sr) ** 2).mean()
            total.backward()
            opt_g.step()


@pytest.mark.parametrize("weights", [Weights(), Weights(0.7, 0.5, 2.0, 0.4)])
def test_training_equals_a_plain_loop(weights: Weights) -> None:
    phases = Phases(pretrain=3, warmup=2, adversarial=4)
    ours, theirs = Toy(phases, weights=weights), Toy(phases)
    ours.run(adv_weight=0.3)
    plain_loop(theirs, weights, adv_weight=0.3)
    for a, b in ((ours.generator, theirs.generator), (ours.discriminators, theirs.discriminators)):
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("side", SIDES)
def test_one_discriminator_alone_steers_every_parameter_of_the_generator(side: str) -> None:
    toy = Toy(Phases(0, 0, 1), sides=(side,), weights=Weights(content=0.0)).run(adv_weight=1.0)
    for name, parameter in toy.generator.named_parameters():
        # A bias before batch normalisation has no effect, and rightly no gradient.
        if name != "convolution.bias":
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0, name


def final_generator(batches: list, **options) -> list[Tensor]:
    toy = Toy(Phases(2, 2, 3), **options).run(batches=batches)
    return [p.detach().clone() for p in toy.generator.parameters()]


def changed(batches: list, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> list:
    return [tuple(change(lr, hr) for lr, hr in group) for group in batches]


def test_the_generator_learns_from_lr_and_from_unpaired_hr() -> None:
    batches = unpaired_batches(7)
    reference = final_generator(batches)
    other_lr = final_generator(changed(batches, lambda lr, hr: (1 - lr, hr)))
    other_hr = final_generator(changed(batches, lambda lr, hr: (lr, 1 - hr)))
    for other in (other_lr, other_hr):
        assert not all(torch.equal(a, b) for a, b in zip(reference, other, strict=True))


def test_with_measurements_judged_alone_no_hr_is_looked_at() -> None:
    batches = unpaired_batches(7)
    results = [
        final_generator(some, sides=("measured",))
        for some in (batches, changed(batches, lambda lr, hr: (lr, torch.zeros_like(hr))))
    ]
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_every_use_of_a_batch_is_measured_with_draws_of_its_own() -> None:
    indices: list[int] = []

    def noting(sr: Tensor, index: int) -> Tensor:
        indices.append(index)
        return measure(sr, index)

    batches = unpaired_batches(6)
    groups = [tuple(b for (b,) in batches[:3]), tuple(b for (b,) in batches[3:])]
    toy = Toy(Phases(0, 0, 2), measure=noting)
    toy.run(batches=groups)
    # Three batches an update: D judges each, G is held to the last one.
    assert sorted(indices) == [1, 4, 6, 7, 8, 10, 13, 15, 16, 17]
    assert len(set(indices)) == len(indices)


def test_random_parameters_of_the_measurement_are_drawn_anew() -> None:
    """D on measurements sees what the operator draws, not one draw for ever."""
    seen: list[Tensor] = []
    noise = create_measurement(["bicubic", {"name": "noise", "sigma": 0.1}], SCALE, seed=3)

    class Recording(LogisticLoss):
        def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
            seen.append(fake)
            return super().discriminator(real, fake)

    batches = unpaired_batches(1) * 2
    toy = Toy(Phases(0, 2, 0), ("measured",), measure=noise, adversarial_loss=Recording())
    toy.update_discriminators.optimizer.param_groups[0]["lr"] = 0.0
    toy.run(batches=batches)
    # The same LR, an untrained generator and an untrained D: only the noise differs.
    assert not torch.equal(seen[0], seen[1])


def test_the_generators_update_leaves_the_discriminators_gradients_alone() -> None:
    toy = Toy(Phases(0, 0, 1))
    after_d_step: list[list[Tensor]] = []
    toy.update_discriminators.optimizer.register_step_post_hook(
        lambda *_: after_d_step.append(
            [p.grad.clone() for p in toy.discriminators.parameters() if p.grad is not None]
        )
    )
    toy.run(adv_weight=1.0)
    finally_there = [p.grad for p in toy.discriminators.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(after_d_step[0], finally_there, strict=True))


def test_warmup_leaves_the_generator_and_pretraining_the_discriminators_untouched() -> None:
    toy = Toy(Phases(3, 3, 0))
    before = copy.deepcopy(toy.discriminators.state_dict())
    seen = {}
    toy.trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=3),
        lambda: seen.update(
            g=copy.deepcopy(toy.generator.state_dict()),
            d=copy.deepcopy(toy.discriminators.state_dict()),
        ),
    )
    toy.run()
    assert all(torch.equal(before[key], seen["d"][key]) for key in before)
    # Batch statistics are buffers of the state, and they stood still too.
    assert all(torch.equal(v, seen["g"][k]) for k, v in toy.generator.state_dict().items())
    for name in SIDES:
        state = toy.discriminators[name].state_dict()
        assert not all(torch.equal(v, seen["d"][f"{name}.{k}"]) for k, v in state.items())


def test_old_images_are_measured_again_for_the_second_discriminator() -> None:
    seen: list[Tensor] = []

    class Recording(LogisticLoss):
        def penalty(self, discriminator, real, fake, generator, share) -> None:
            seen.append(fake)

    history = ImageHistory(capacity=4, every=1, ratio=0.5)
    plain = create_measurement(["bicubic"], SCALE)
    Toy(Phases(0, 0, 2), history=history, adversarial_loss=Recording(), measure=plain).run()
    images, measured = seen[2:]  # of the second update
    stored = history.state_dict()["images"][0]
    assert any(torch.equal(stored, image) for image in images[2:])
    torch.testing.assert_close(measured, plain(images, 0))


def test_detail_is_what_bicubic_enlargement_of_its_lr_lacks() -> None:
    image = torch.rand(2, 3, 24, 16)
    expected = image - imresize(imresize(image, 0.5), 2) + 0.5
    torch.testing.assert_close(detail(image, 2), expected)
    flat = torch.full((1, 1, 16, 16), 0.2)
    torch.testing.assert_close(detail(flat, 4), torch.full_like(flat, 0.5))


def test_nothing_in_the_output_is_attached_to_a_graph() -> None:
    toy = Toy(Phases(1, 1, 1), weights=Weights(reconstruction=0.1))
    outputs = []
    toy.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: outputs.append(engine.state.output)
    )
    toy.run()
    of_d = {f"{n}{s}" for n in ("loss_d", "d_real", "d_fake") for s in ("", "_measured")}
    of_g = {"loss_g", "content", "adversarial", "adversarial_measured", "reconstruction"}
    assert [set(o) for o in outputs] == [{"pixel", "reconstruction"}, of_d, of_d | of_g]
    for output in outputs:
        assert all(not v.requires_grad and v.dim() == 0 for v in output.values())


class Lattice(nn.Module):
    """LR enlarged, and a chequerboard that its mean over 2 × 2 pixels does not show."""

    def __init__(self) -> None:
        super().__init__()
        self.contrast = nn.Parameter(torch.tensor(0.2))

    def forward(self, lr: Tensor) -> Tensor:
        sr = lr.repeat_interleave(2, -1).repeat_interleave(2, -2)
        rows, columns = (torch.arange(side) for side in sr.shape[-2:])
        return sr + self.contrast * (1 - 2 * ((rows[:, None] + columns) % 2))


@pytest.mark.parametrize("equivariant", [False, True])
def test_a_pattern_locked_to_the_lr_lattice_shows_when_sr_is_moved(equivariant: bool) -> None:
    generator = Lattice()
    trainer = create_ambientgan_trainer(
        generator,
        {},
        Updater(generator, torch.optim.SGD(generator.parameters(), 0.0)),
        lambda loss: None,
        lambda sr, index: nn.functional.avg_pool2d(sr, 2),
        nn.functional.l1_loss,
        nn.functional.mse_loss,
        LogisticLoss(),
        Phases(0, 0, 24),
        weights=Weights(content=1.0, reconstruction=1.0),
        equivariant=equivariant,
    )
    losses = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: losses.append(engine.state.output["reconstruction"].item()),
    )
    flat = torch.full((2, 1, 8, 8), 0.5)
    trainer.run([((flat, torch.zeros(2, 1, 16, 16)),)] * 24, max_epochs=1)
    # Moved by an odd number of pixels the pattern is its own negative: off by 2 · 0.2.
    assert {round(loss, 4) for loss in losses} == ({0.0, 0.16} if equivariant else {0.0})
