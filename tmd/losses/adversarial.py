"""Adversarial losses on logits: what D minimises, what G minimises, and D's penalty.

Logits are (N, 1), or maps (N, 1, h, w) of a discriminator that judges places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.errors import check_choice, check_number
from tmd.models.registry import complete_options
from tmd.registry import Registry

ADVERSARIAL_LOSSES: Registry[Callable[..., AdversarialLoss]] = Registry("losses.adversarial")


class AdversarialLoss:
    """What the trainer asks of an adversarial loss.

    Attributes:
        generator_needs_real: whether `generator` needs the logits of real images too.
        allows_batch_statistics: whether the discriminator may have batch normalisation.
    """

    generator_needs_real = False
    allows_batch_statistics = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The scalar that the discriminator's update minimises."""
        raise NotImplementedError

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """The scalar that the generator's update minimises, to be weighted by the caller."""
        raise NotImplementedError

    def penalty(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator
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
        return _cross_entropy(real_logits, self.real_label) + _cross_entropy(fake_logits, 0.0)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        return _cross_entropy(fake_logits, 1.0)


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
