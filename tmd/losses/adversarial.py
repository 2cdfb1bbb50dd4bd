"""Adversarial losses on logits: what D minimises, what G minimises, and D's penalty.

Logits are (N, 1), or maps (N, 1, h, w) of a discriminator that judges places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.distributed import ALONE, Share
from tmd.errors import check_choice, check_number
from tmd.models.registry import complete_options
from tmd.registry import Registry

ADVERSARIAL_LOSSES: Registry[Callable[..., AdversarialLoss]] = Registry("losses.adversarial")


class AdversarialLoss:
    """Losses of a discriminator and a generator, as the trainers ask for them.

    Attributes:
        generator_needs_real: whether `generator` needs the logits of real images too.
        allows_batch_statistics: whether the discriminator may have batch normalisation.
        allows_compilation: whether `torch.compile` can differentiate all of it.
        compares_images: whether it is no mean over images, each on its own.
    """

    generator_needs_real = False
    compares_images = False
    allows_batch_statistics = True
    allows_compilation = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The scalar that the discriminator's update minimises."""
        raise NotImplementedError

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """The scalar that the generator's update minimises, to be weighted by the caller."""
        raise NotImplementedError

    def penalty(
        self,
        discriminator: nn.Module,
        real: Tensor,
        fake: Tensor,
        generator: torch.Generator,
        share: Share = ALONE,
    ) -> Tensor | None:
        """A scalar to add to the discriminator's loss, or None where there is none to compute."""
        return None


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


@ADVERSARIAL_LOSSES.register("bce")
class BinaryCrossEntropy(AdversarialLoss):
    """SRGAN's loss (arXiv:1609.04802, eq. 2 and 6): -log D(HR) - log(1 - D(SR)), G: -log D(SR).

    Args:
        real_label: one-sided label smoothing (arXiv:1606.03498, sec. 3.4): the probability D is
            trained to give a real image; fake images keep 0, and G aims at 1.
    """

    def __init__(self, real_label: float = 0.9) -> None:
        self.real_label = real_label

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """See `AdversarialLoss.discriminator`."""
        return _cross_entropy(real_logits, self.real_label) + _cross_entropy(fake_logits, 0.0)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss.generator`."""
        return _cross_entropy(fake_logits, 1.0)


@ADVERSARIAL_LOSSES.register("relativistic")
class RelativisticAverage(AdversarialLoss):
    """Relativistic average loss (arXiv:1807.00734, sec. 4.2), ESRGAN's (arXiv:1809.00219, eq. 1-2).

    D answers whether an image is more real than the other kind is on average. The generator's loss
    is the same with the roles exchanged, so that it learns from real images too; its labels are
    not smoothed.

    Args:
        real_label: D's label for real images; ESRGAN's is 1.
    """

    generator_needs_real = True
    compares_images = True

    def __init__(self, real_label: float = 0.9) -> None:
        self.real_label = real_label

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """See `AdversarialLoss.discriminator`."""
        return _relativistic(real_logits, fake_logits, self.real_label)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss.generator`."""
        if real_logits is None:
            raise ValueError("the relativistic generator loss needs the real images' logits")
        return _relativistic(fake_logits, real_logits, 1.0)


def _relativistic(more: Tensor, less: Tensor, label: float) -> Tensor:
    more, less = more.float(), less.float()
    return _cross_entropy(more - less.mean(), label) + _cross_entropy(less - more.mean(), 0.0)


@ADVERSARIAL_LOSSES.register("least-squares")
class LeastSquares(AdversarialLoss):
    """LSGAN (arXiv:1611.04076, eq. 9): ½ (D(HR) - label)² + ½ D(SR)², G: ½ (D(SR) - 1)².

    Args:
        real_label: what D should answer for real images; the paper's is 1.
    """

    def __init__(self, real_label: float = 0.9) -> None:
        self.real_label = real_label

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """See `AdversarialLoss.discriminator`."""
        real, fake = real_logits.float(), fake_logits.float()
        return 0.5 * (real - self.real_label).square().mean() + 0.5 * fake.square().mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss.generator`."""
        return 0.5 * (fake_logits.float() - 1).square().mean()


@ADVERSARIAL_LOSSES.register("hinge")
class Hinge(AdversarialLoss):
    """Hinge loss (arXiv:1802.05957, eq. 16-17): [1 - D(HR)]₊ + [1 + D(SR)]₊, G: -D(SR)."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """See `AdversarialLoss.discriminator`."""
        return F.relu(1 - real_logits.float()).mean() + F.relu(1 + fake_logits.float()).mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss.generator`."""
        return -fake_logits.float().mean()


@ADVERSARIAL_LOSSES.register("wgan-gp")
class WassersteinGradientPenalty(AdversarialLoss):
    """WGAN with gradient penalty (arXiv:1704.00028, eq. 3): D(SR) - D(HR) + penalty, G: -D(SR).

    The penalty is about each image's own gradient, so the discriminator must have no batch
    normalisation (sec. 4). Of a map of logits its mean is the image's value.

    Args:
        gradient_penalty: the factor λ; the paper's is 10.
    """

    allows_batch_statistics = False
    # The penalty's gradient is one of a gradient.
    allows_compilation = False

    def __init__(self, gradient_penalty: float = 10.0) -> None:
        check_number("losses.options.gradient_penalty", gradient_penalty, minimum=0)
        self.gradient_penalty = gradient_penalty

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """See `AdversarialLoss.discriminator`."""
        return fake_logits.float().mean() - real_logits.float().mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss.generator`."""
        return -fake_logits.float().mean()

    def penalty(
        self,
        discriminator: nn.Module,
        real: Tensor,
        fake: Tensor,
        generator: torch.Generator,
        share: Share = ALONE,
    ) -> Tensor:
        """λ (‖∇D‖ - 1)² at one point between each real image and a fake one.

        Args:
            discriminator: images (N, C, H, W) -> logits.
            real: (N, C, H, W).
            fake: (N, C, H, W).
            generator: draws where between the two, for the whole batch.
            share: the rows of the batch that ``real`` and ``fake`` are.
        """
        total = len(real) * share.count
        places = torch.rand(total, *[1] * (real.dim() - 1), generator=generator)
        places = places[share.rows(total)].to(real, non_blocking=True)
        between = torch.lerp(real.detach(), fake.detach().to(real), places).requires_grad_()
        values = discriminator(between).float().flatten(1).mean(1)
        (gradients,) = torch.autograd.grad(values.sum(), between, create_graph=True)
        norms = gradients.float().flatten(1).norm(dim=1)
        return self.gradient_penalty * (norms - 1).square().mean()


def create_adversarial_loss(
    name: str = "bce", real_label: float = 0.9, **options: Any
) -> AdversarialLoss:
    """An adversarial loss by name.

    Args:
        name: a name in `ADVERSARIAL_LOSSES`.
        real_label: in [0.5, 1], what D is trained to answer for real images; losses without labels
            (hinge, wgan-gp) have no use for it.
        options: what only the loss ``name`` takes.

    Raises:
        UserError: an argument is out of range, or an option is not the loss's.

    Example:
        >>> loss = create_adversarial_loss("bce", real_label=1.0)
        >>> round(loss.generator(torch.zeros(2, 1)).item(), 4)
        0.6931
    """
    check_choice("losses.adversarial", name, list(ADVERSARIAL_LOSSES))
    check_number("losses.real_label", real_label, minimum=0.5, maximum=1)
    options = complete_options(ADVERSARIAL_LOSSES, name, ("real_label",), options)
    if "real_label" in ADVERSARIAL_LOSSES.parameters(name):
        options["real_label"] = real_label
    return ADVERSARIAL_LOSSES[name](**options)
