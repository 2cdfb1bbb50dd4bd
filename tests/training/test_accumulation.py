"""An update of four batches against the update of the one batch that holds their images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tmd.handlers import ImageHistory
from tmd.losses.adversarial import create_adversarial_loss
from tmd.measurements import create_measurement
from tmd.models import create_discriminator, create_generator
from tmd.optim.gradients import clip_norm
from tmd.resize import imresize
from tmd.training import (
    Discriminators,
    Phases,
    Updater,
    create_ambientgan_trainer,
    create_srgan_trainer,
)
from tmd.training.accumulation import linearised, standing
from tmd.training.ambientgan import Weights

PARTS, SIZE = 4, 2
PHASES = Phases(2, 2, 3)
#: Of weights of about 0.1 in float64, seven updates on.
TO_ROUNDING = 1e-13


@pytest.fixture(autouse=True)
def _all_in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A step's own conversions to float32 too: rounding is then told from what is another step."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def images(count: int) -> list[tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(5)
    hrs = [torch.rand(PARTS * SIZE, 3, 16, 16, generator=draws) for _ in range(count)]
    return [(imresize(hr, 0.5).clamp(0, 1), hr) for hr in hrs]


def groups(accumulate: bool, d_steps: int) -> list[tuple[Any, ...]]:
    """What an engine gets: whole batches, or each in four parts."""
    made = []
    for lr, hr in images(PHASES.total * d_steps):
        parts = tuple(zip(lr.split(SIZE), hr.split(SIZE), strict=True))
        made.append(parts if accumulate else (lr, hr))
    return [tuple(made[i : i + d_steps]) for i in range(0, len(made), d_steps)]


def networks(norm: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(3)
    spectral = norm == "spectral"
    own = "batch" if norm == "batch" else "none"
    generator = create_generator("srresnet", 2, 3, 1, 4, own, spectral, False)
    discriminator = create_discriminator(
        "srgan", 3, [4, 8], [2, 1], spectral, own, grid=2, hidden=4
    )
    return generator, discriminator


def trained(
    accumulate: bool, loss: str = "bce", norm: str = "spectral", d_steps: int = 1, **more: Any
) -> tuple[dict[str, Tensor], dict[str, float]]:
    generator, discriminator = networks(norm)
    updaters = [
        Updater(each, torch.optim.SGD(each.parameters(), 0.1, momentum=0.5), clip_norm(0.5))
        for each in (generator, discriminator)
    ]
    trainer = create_srgan_trainer(
        generator,
        discriminator,
        *updaters,
        nn.functional.mse_loss,
        nn.functional.l1_loss,
        create_adversarial_loss(loss),
        PHASES,
        history=ImageHistory(3, 1, 0.5, seed=1),
        **more,
    )
    return ended(trainer, accumulate, d_steps, generator=generator, discriminator=discriminator)


def ended(trainer: Any, accumulate: bool, d_steps: int, **networks: nn.Module):
    trainer.state.adv_weight = 0.5
    trainer.run(groups(accumulate, d_steps), max_epochs=1, epoch_length=PHASES.total)
    state = {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    return state, {name: float(value) for name, value in trainer.state.output.items()}


def furthest(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return max((a[key] - b[key]).abs().max().item() for key in a)


@pytest.mark.parametrize(
    ("loss", "norm", "d_steps"),
    [
        ("bce", "spectral", 1),
        ("hinge", "spectral", 2),
        ("relativistic", "spectral", 1),
        ("wgan-gp", "none", 2),
    ],
)
def test_four_batches_make_the_update_of_one_that_holds_them(loss, norm, d_steps) -> None:
    whole, logged = trained(False, loss, norm, d_steps)
    parts, logged_of_parts = trained(True, loss, norm, d_steps)
    assert furthest(whole, parts) < TO_ROUNDING
    assert logged_of_parts == pytest.approx(logged, rel=1e-12)
    start = {**networks(norm)[0].state_dict()}
    moved = max((whole[f"generator.{k}"] - v).abs().max().item() for k, v in start.items())
    assert moved > 1e-3  # something was learnt


def test_batch_statistics_are_each_parts_own_and_taken_in_once() -> None:
    whole, _ = trained(False, norm="batch")
    parts, _ = trained(True, norm="batch")
    assert furthest(whole, parts) > 1e-6
    counted = [key for key in whole if key.endswith("num_batches_tracked")]
    assert counted
    assert all(whole[key] == parts[key] for key in counted)


@pytest.mark.parametrize(("loss", "reconstruction"), [("bce", 0.5), ("relativistic", 0.0)])
def test_without_hr_too(loss: str, reconstruction: float) -> None:
    def run(accumulate: bool) -> dict[str, Tensor]:
        generator, on_images = networks("none")
        on_measured = create_discriminator("patch", 3, [4], [1], False, "none")
        both = Discriminators({"images": on_images, "measured": on_measured})
        updaters = [Updater(e, torch.optim.SGD(e.parameters(), 0.1)) for e in (generator, both)]
        trainer = create_ambientgan_trainer(
            generator,
            both,
            *updaters,
            create_measurement(["bicubic"], 2),
            nn.functional.mse_loss,
            nn.functional.l1_loss,
            create_adversarial_loss(loss),
            PHASES,
            weights=Weights(reconstruction=reconstruction),
            history=ImageHistory(3, 1, 0.5, seed=1),
        )
        return ended(trainer, accumulate, 2, generator=generator, discriminators=both)[0]

    assert furthest(run(False), run(True)) < TO_ROUNDING


def test_a_loss_that_compares_images_is_linear_in_each_part() -> None:
    draws = torch.Generator().manual_seed(0)
    real, fake = torch.rand(2, 6, 1, generator=draws, dtype=torch.float64)
    real.requires_grad_()
    fake.requires_grad_()
    loss: Callable[..., Tensor] = create_adversarial_loss("relativistic").discriminator
    whole = loss(real, fake)
    expected = torch.autograd.grad(whole, (real, fake))
    parts = list(zip(real.split(2), fake.split(2), strict=True))
    shares = linearised(loss, [(r.detach(), f.detach()) for r, f in parts])
    values = [share(*part) for share, part in zip(shares, parts, strict=True)]
    assert [value.item() for value in values] == pytest.approx([whole.item()] * 3)
    found = torch.autograd.grad(torch.stack(values).mean(), (real, fake))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_a_standing_network_gives_the_same_and_keeps_its_buffers() -> None:
    for norm in ("batch", "spectral"):
        generator = networks(norm)[0]
        lr = torch.rand(2, 3, 8, 8)
        generator(lr)
        before = {k: v.clone() for k, v in generator.named_buffers()}
        with standing(generator):
            first = generator(lr)
        assert all(torch.equal(v, before[k]) for k, v in generator.named_buffers())
        with standing(generator, False):
            second = generator(lr)
        assert not all(torch.equal(v, before[k]) for k, v in generator.named_buffers())
        if norm == "batch":
            assert torch.equal(first, second)
        first.sum().backward()  # what it was computed from is as it was
