"""Networks small enough to compute by hand what a trainer should do with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tmd.resize import imresize
from tmd.training import Phases, Updater, create_srgan_trainer

SCALE = 2


class ToyGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.shuffle = nn.PixelShuffle(SCALE)

    def forward(self, lr: Tensor) -> Tensor:
        return self.shuffle(self.norm(self.convolution(lr)))


class ToyDiscriminator(nn.Module):
    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.batch_statistics = norm
        self.first = nn.Conv2d(1, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.second = nn.Conv2d(4, 1, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.norm(self.first(images)).relu()).mean((1, 2, 3))[:, None]


class LogisticLoss:
    """The textbook GAN loss, written with softplus: an independent form of cross-entropy."""

    generator_needs_real = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return nn.functional.softplus(-real).mean() + nn.functional.softplus(fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return nn.functional.softplus(-fake).mean()

    def penalty(self, *_: object) -> None:
        return None


def measure(hr: Tensor, index: int) -> Tensor:
    return imresize(hr, 1 / SCALE).clamp(0, 1)


def batches(count: int, size: int = 4) -> list[tuple[tuple[Tensor, Tensor]]]:
    """One (LR, HR) an update."""
    random = torch.Generator().manual_seed(7)
    images = [
        torch.randint(0, 256, (size, 1, 12, 12), generator=random, dtype=torch.uint8)
        for _ in range(count)
    ]
    return [((measure(hr, 0), hr),) for hr in (image.float() / 255 for image in images)]


class Toy:
    """A trainer of toy networks with everything within reach."""

    def __init__(self, phases: Phases, norm: bool = False, seed: int = 0, **options) -> None:
        torch.manual_seed(seed)
        self.phases = phases
        self.generator = ToyGenerator()
        self.discriminator = ToyDiscriminator(norm)
        self.update_generator = Updater(
            self.generator, torch.optim.SGD(self.generator.parameters(), 0.05)
        )
        self.update_discriminator = Updater(
            self.discriminator, torch.optim.SGD(self.discriminator.parameters(), 0.05)
        )
        self.trainer = create_srgan_trainer(
            self.generator,
            self.discriminator,
            self.update_generator,
            self.update_discriminator,
            options.pop("content_loss", nn.functional.l1_loss),
            nn.functional.mse_loss,
            options.pop("adversarial_loss", LogisticLoss()),
            phases,
            **options,
        )

    def run(self, epoch_length: int | None = None) -> Toy:
        length = epoch_length or self.phases.total
        self.trainer.run(
            batches(self.phases.total), max_epochs=self.phases.total // length, epoch_length=length
        )
        return self
