from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from tmd.data import Pair
from tmd.handlers import Validation
from tmd.images import ImageKind, as_8_bit
from tmd.metrics import MetricSettings, metric_function, psnr, spectral_distance, ssim
from tmd.metrics.registry import FUNCTIONS, Needs, register
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
    metrics = {"psnr": lambda sr, hr: psnr(sr, hr)}
    Validation(Constant(), pairs(), metrics, phases, epoch_length).attach(trainer)
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
    figures = validation.means(validation.super_resolve)
    assert abs(figures["psnr"] - expected) < 1e-4


def test_bicubics_figures_are_those_of_an_enlargement_by_bicubic() -> None:
    held_out = pairs()
    validation = Validation(
        Constant(), held_out, {"psnr": lambda sr, hr: psnr(sr, hr)}, Phases(1, 0, 0), 1
    )
    expected = [psnr(as_8_bit(imresize(p.lr, p.hr.shape[-2:])), p.hr) for p in held_out]
    assert abs(validation.bicubic_means(2)["psnr"] - torch.cat(expected).mean().item()) < 1e-4


def test_every_epoch_that_trains_the_generator_and_every_phases_end_are_validated() -> None:
    assert validated_at(Phases(7, 6, 5), epoch_length=3) == [3, 6, 7, 13, 15, 18]


def test_training_that_is_adversarial_at_once_is_validated_before() -> None:
    assert validated_at(Phases(0, 0, 4), epoch_length=2) == [0, 2, 4]


def test_validation_leaves_no_gradient() -> None:
    network = Constant()
    validation = Validation(network, pairs(), {}, Phases(1, 0, 0), 1)
    assert not validation.super_resolve(pairs()[0].lr).requires_grad


class Normalised(Constant):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(self.norm(lr))


def test_a_network_in_training_is_measured_as_it_will_be_used_and_stays_as_it_is() -> None:
    torch.manual_seed(0)
    network = Normalised()
    network(torch.rand(4, 1, 8, 8))  # statistics that are not an image's own
    before = {name: value.clone() for name, value in network.state_dict().items()}
    held_out = pairs()
    validation = Validation(
        network, held_out, {"psnr": lambda sr, hr: psnr(sr, hr)}, Phases(1, 0, 0), 1
    )
    measured = validation.means(validation.super_resolve)["psnr"]
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.eval()
    with torch.no_grad():
        expected = [psnr(as_8_bit(network(pair.lr)), pair.hr) for pair in held_out]
    assert measured == pytest.approx(torch.cat(expected).mean().item(), abs=1e-4)


def test_a_compiled_network_is_not_compiled_for_the_sizes_of_held_out_images() -> None:
    compiled = CompileCounter()
    network = Constant()
    network.compile(backend=compiled, dynamic=False)
    network(torch.rand(1, 1, 8, 8))
    assert compiled.frame_count == 1
    validation = Validation(
        network, pairs(), {"psnr": lambda sr, hr: psnr(sr, hr)}, Phases(1, 0, 0), 1
    )
    validation.means(validation.super_resolve)
    network(torch.rand(1, 1, 8, 8))
    assert compiled.frame_count == 1


def means(held_out: list[Pair]) -> dict[str, float]:
    metrics = {"psnr": psnr, "ssim": ssim, "spectral": spectral_distance}
    validation = Validation(Constant(), held_out, metrics, Phases(1, 0, 0), 1)
    return validation.means(validation.super_resolve)


def extra(hr: Tensor, name: str) -> Pair:
    return Pair(name, imresize(hr, 0.5).clamp(0, 1), hr)


def test_pictures_that_hold_nothing_are_in_no_mean_and_are_named() -> None:
    held_out = pairs()
    blank = torch.full((1, 1, 24, 24), 0.5)
    speck = blank.clone()
    speck[..., 12, 12] += 2 / 255
    black = torch.zeros(1, 1, 24, 24)
    with_flat = [
        extra(blank, "blank"), *held_out, extra(speck, "speck"), extra(black, "black")
    ]  # fmt: skip
    assert means(with_flat) == means(held_out)
    validation = Validation(Constant(), with_flat, {"psnr": psnr}, Phases(1, 0, 0), 1)
    assert validation.left_out == ["blank", "speck", "black"]


def test_a_picture_that_is_restored_exactly_does_not_own_the_mean() -> None:
    ramp = (torch.arange(24) * 10 / 255).repeat_interleave(2).expand(1, 1, 48, 48)
    held_out = pairs()
    expected = (2 * means(held_out)["psnr"] + 60) / 3
    held_out.append(Pair("ramp", ramp[..., ::2, ::2], ramp))
    assert abs(means(held_out)["psnr"] - expected) < 1e-4


def test_a_picture_too_small_for_a_metric_is_in_the_means_of_the_others() -> None:
    held_out = pairs()
    tiny = extra(torch.rand(1, 1, 10, 10), "tiny")
    with_tiny = means([*held_out, tiny])
    assert with_tiny["ssim"] == pytest.approx(means(held_out)["ssim"], abs=1e-6)
    assert with_tiny["psnr"] == pytest.approx(
        (2 * means(held_out)["psnr"] + means([tiny])["psnr"]) / 3, abs=1e-4
    )
    assert set(means([tiny])) == {"psnr", "spectral"}


def test_sets_of_none_and_of_one() -> None:
    assert means([]) == {}
    (one, _) = pairs()
    assert means([one])["psnr"] == pytest.approx(
        psnr(as_8_bit(Constant()(one.lr)), one.hr).item(), abs=1e-4
    )
    assert means([extra(torch.zeros(1, 1, 24, 24), "black")]) == {}


def test_results_are_rounded_to_the_levels_of_their_kind() -> None:
    kind = ImageKind(5, "uint16", (0, 1000))
    hr = torch.rand(1, 5, 24, 32)
    held_out = [Pair("bands", imresize(hr, 0.5).clamp(0, 1), hr)]
    metrics = {"psnr": lambda sr, hr: psnr(sr, hr)}
    network = Constant()
    network.offset.data.fill_(0.00042)

    validation = Validation(network, held_out, metrics, Phases(1, 0, 0), 1, kind=kind)

    sr = validation.super_resolve(held_out[0].lr)
    torch.testing.assert_close(sr * 1000, (sr * 1000).round(), rtol=0, atol=1e-4)
    assert not torch.equal(sr, as_8_bit(sr))
    expected = peak_signal_noise_ratio(hr.numpy(), sr.numpy(), data_range=1)
    assert validation.means(validation.super_resolve)["psnr"] == pytest.approx(expected, abs=1e-4)


def test_an_image_of_fine_steps_is_not_flat_because_8_bits_could_not_hold_it() -> None:
    hr = 0.5 + torch.rand(1, 1, 24, 32) / 500
    held_out = [Pair("fine", imresize(hr, 0.5), hr)]
    phases = Phases(1, 0, 0)

    def left_out(kind: ImageKind) -> list[str]:
        return Validation(Constant(), held_out, {}, phases, 1, kind=kind).left_out

    assert left_out(ImageKind(1)) == ["fine"]
    assert left_out(ImageKind.of_dtype(1, "uint16")) == []


def test_what_needs_no_hr_is_of_all_images_and_what_needs_it_of_those_that_have_it() -> None:
    first, second = pairs()[0], pairs()[1]
    held_out = [first, Pair(second.name, second.lr, None)]
    metrics = {
        "psnr": metric_function("psnr", MetricSettings(0, scale=2)),
        "consistency": metric_function("consistency", MetricSettings(0, scale=2)),
    }
    validation = Validation(Constant(), held_out, metrics, Phases(1, 0, 0), 1)
    means = validation.bicubic_means(2)
    results = [as_8_bit(imresize(pair.lr, 2)) for pair in held_out]
    of_lr = [
        psnr(as_8_bit(imresize(sr, 0.5)), pair.lr)
        for sr, pair in zip(results, held_out, strict=True)
    ]
    assert abs(means["consistency"] - torch.cat(of_lr).clamp(max=60).mean().item()) < 0.3
    assert abs(means["psnr"] - psnr(results[0], first.hr).item()) < 1e-4


def test_a_metric_of_the_whole_set_is_one_value() -> None:
    class Count:
        def __init__(self) -> None:
            self.sizes: list[int] = []

        def add(self, sr: Tensor, hr: Tensor) -> None:
            assert sr.shape == hr.shape
            self.sizes.append(sr.numel())

        def value(self) -> float:
            return float(sum(self.sizes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FUNCTIONS, "_builders", dict(FUNCTIONS._builders))
        register("t_count", Needs(whole_set=True), higher_is_better=True)(Count)
        metrics = {name: metric_function(name, MetricSettings(0)) for name in ("psnr", "t_count")}
        held_out = pairs()
        validation = Validation(Constant(), held_out, metrics, Phases(1, 0, 0), 1)
        means = validation.bicubic_means(2)
    assert means["t_count"] == sum(pair.hr.numel() for pair in held_out)
    assert "psnr" in means
