"""Between two log points nothing asks the device for a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext

import pytest
import torch
import torchvision
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tmd.acceleration.layers import PReLU
from tmd.data import measured_batches
from tmd.handlers import (
    ImageHistory,
    LearningRate,
    ScalarLog,
    average_weights,
    create_adversarial_weight,
)
from tmd.losses.adversarial import create_adversarial_loss
from tmd.losses.content import ContentLoss, create_content_loss, parse_spec
from tmd.measurements import create_measurement
from tmd.models import create_discriminator, create_generator
from tmd.models.features import VGGFeatures
from tmd.optim.gradients import clip_norm
from tmd.optim.muon import Muon
from tmd.training import (
    Discriminators,
    Phases,
    Updater,
    create_ambientgan_trainer,
    create_srgan_trainer,
)
from tmd.training.ambientgan import Weights


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
        create_content_loss("l1"),
        torch.nn.functional.l1_loss,
        create_adversarial_loss("wgan-gp" if penalty else "bce"),
        phases,
        history=ImageHistory(4, 1, 0.5, device=device),
    )
    create_adversarial_weight("linear", 1e-2, phases, dict, lambda state: None).attach(engine)
    rates = {"lr_g": updaters[0].optimizer, "lr_d": updaters[1].optimizer}
    LearningRate(rates, "cosine", 0.1, phases).attach(engine)
    average_weights(engine, generator, 0.9)
    return engine


NOISY = ["bicubic", {"name": "noise", "sigma": [0.01, 0.02]}]


def batches(
    count: int, device: str = "cpu", operators: Sequence = NOISY
) -> Iterator[tuple[tuple[Tensor, Tensor]]]:
    """One (LR, HR) an update, measured when it is asked for."""
    images = torch.randint(0, 256, (4, 3, 24, 24), dtype=torch.uint8)
    if device == "cuda":
        images = images.pin_memory()
    measure = create_measurement(operators, 2)
    for pair in measured_batches([images] * count, measure, device):
        yield (pair,)


@pytest.mark.parametrize("penalty", [False, True])
def test_steps_of_all_phases_ask_for_no_number(
    penalty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ours reads its slope, on a CPU only, where that is no wait.
    monkeypatch.setattr(PReLU, "forward", nn.PReLU.forward)
    engine = trainer("cpu", penalty)
    ScalarLog(100).attach(engine)
    with NoNumbersAsked():
        engine.run(batches(9), max_epochs=1, epoch_length=9)
    assert all(isinstance(value, torch.Tensor) for value in engine.state.output.values())


def test_a_number_that_is_read_is_noticed() -> None:
    engine = trainer("cpu")
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: engine.state.output["pixel"].item()
    )
    with NoNumbersAsked(), pytest.raises(AssertionError, match="a number was read"):
        engine.run(batches(1), max_epochs=1, epoch_length=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_nothing_synchronises() -> None:
    engine = trainer("cuda")
    ScalarLog(100).attach(engine)
    # Kernels are chosen, with synchronisations.
    engine.run(batches(6, "cuda"), max_epochs=1, epoch_length=6)
    torch.cuda.set_sync_debug_mode("error")
    try:
        engine.state.max_epochs = None
        engine.run(batches(9, "cuda"), max_epochs=1, epoch_length=9)
    finally:
        torch.cuda.set_sync_debug_mode("default")


class OneDevice(TorchDispatchMode):
    """Raises where tensors of two devices meet, and where a copy between them is waited for.

    Single numbers may come from the CPU: kernels take them as arguments.
    """

    COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        if function in self.COPIES:
            if True in args[2:] or (kwargs or {}).get("non_blocking"):
                return result
            tensors.append(result)
        else:
            tensors = [each for each in tensors if each.dim()]
        devices = {each.device.type for each in tensors}
        assert len(devices) < 2, f"{function} of tensors on {sorted(devices)}"
        return result


@pytest.fixture
def meta(monkeypatch) -> str:
    """A device that every computer has, without numbers in it: reading one raises.

    It stands for a GPU here, in all but autocast and the optimiser's fused kernel.
    """
    for name, instead in (("autocast", nullcontext()), ("is_autocast_enabled", False)):
        own = getattr(torch, name)

        def asked(device_type, *args, own=own, instead=instead, **kwargs):
            return instead if device_type == "meta" else own(device_type, *args, **kwargs)

        monkeypatch.setattr(torch, name, asked)
    return "meta"


def elsewhere(network: nn.Module) -> Updater:
    optimizer = torch.optim.Adam(network.to("meta").parameters(), 1e-4, foreach=False)
    return Updater(network, optimizer, clip_norm(1.0))


def run_elsewhere(engine: Engine, batches: Iterable, count: int) -> None:
    engine.add_event_handler(
        Events.ITERATION_STARTED, lambda: setattr(engine.state, "adv_weight", 1e-2)
    )
    ScalarLog(100).attach(engine)
    with OneDevice():
        engine.run(batches, max_epochs=1, epoch_length=count)
    assert {value.device.type for value in engine.state.output.values()} == {"meta"}


GENERATORS = {
    "srresnet": {"norm": "batch"},
    "rrdb": {},
    "subpixel": {"spectral_norm": True},
}
DISCRIMINATORS = {
    "srgan": {"features": [8, 8], "strides": [1, 2], "spectral_norm": True, "grid": 5},
    "patch": {"features": [8, 8], "strides": [2, 1], "norm": "none"},
    "unet": {"features": [8, 8, 8, 8], "strides": [1, 2, 2, 2], "spectral_norm": True},
}


def small(generator: str, discriminator: str) -> tuple[nn.Module, nn.Module]:
    return (
        create_generator(generator, 2, 3, 1, 8, **GENERATORS[generator]),
        create_discriminator(discriminator, 3, **DISCRIMINATORS[discriminator]),
    )


def vgg_loss() -> ContentLoss:
    weights = torchvision.models.vgg19(weights=None).features.state_dict()
    return ContentLoss(parse_spec("vgg22"), VGGFeatures("vgg19", ["vgg22"], True, weights))


@pytest.mark.parametrize(
    ("generator", "discriminator", "loss"),
    [
        ("srresnet", "srgan", "bce"),
        ("rrdb", "patch", "relativistic"),
        ("subpixel", "unet", "least-squares"),
        ("srresnet", "patch", "hinge"),
        ("subpixel", "srgan", "wgan-gp"),
    ],
)
def test_on_another_device_nothing_is_waited_for(meta, generator, discriminator, loss) -> None:
    g, d = small(generator, discriminator)
    engine = create_srgan_trainer(
        g,
        d,
        elsewhere(g),
        elsewhere(d),
        vgg_loss().to(meta),
        nn.functional.l1_loss,
        create_adversarial_loss(loss),
        Phases(1, 1, 100),
        history=ImageHistory(4, 1, 0.5, device=meta),
    )
    average_weights(engine, g, 0.9)
    operators = [{"name": "blur", "sigma": [0.5, 2.0]}, "decimate", "quantize"]
    run_elsewhere(engine, batches(4, meta, operators), 4)


def test_without_hr_nothing_is_waited_for_on_another_device(meta) -> None:
    g, images = small("srresnet", "srgan")
    discriminators = Discriminators({"images": images, "measured": small("srresnet", "patch")[1]})
    engine = create_ambientgan_trainer(
        g,
        discriminators,
        elsewhere(g),
        elsewhere(discriminators),
        create_measurement(["bicubic"], 2),
        create_content_loss("l1"),
        nn.functional.l1_loss,
        create_adversarial_loss("wgan-gp"),
        Phases(1, 1, 100),
        weights=Weights(reconstruction=0.5),
        history=ImageHistory(4, 1, 0.5, device=meta),
    )
    run_elsewhere(engine, batches(4, meta, ["bicubic"]), 4)


def test_muon_waits_for_nothing_on_another_device(meta) -> None:
    network = create_generator("srresnet", 2, 3, 2, 8).to(meta)
    optimizer = Muon(network, 1e-3)
    with OneDevice():
        for _ in range(2):
            network(torch.rand(1, 3, 8, 8, device=meta)).sum().backward()
            optimizer.step()


@pytest.mark.parametrize(
    "wait",
    [
        lambda there, here: there.sum().item(),
        lambda there, here: there.cpu(),
        lambda there, here: there.copy_(here),
        lambda there, here: here.to(there.device),
        lambda there, here: nn.functional.linear(there, here),
    ],
    ids=["number", "from", "into", "to", "meeting"],
)
def test_what_is_waited_for_on_another_device_is_noticed(wait) -> None:
    there, here = torch.ones(2, 2, device="meta"), torch.ones(2, 2)
    with OneDevice(), pytest.raises((AssertionError, RuntimeError, NotImplementedError)):
        wait(there, here)
