"""Growing a ×2 network into a ×4 one and that into a ×8 one, with nothing lost on the way.

Every layer is carried over, a new upsampling stage follows the last one, and what comes after the
stages is kept. Nothing is loaded loosely: a `FitReport` names what was carried and what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.errors import UserError
from tmd.models.discriminators import create_discriminator
from tmd.models.generators import COMMON, SCALES, create_generator
from tmd.models.upsampling import BicubicUpsampling, UpsamplingStage
from tmd.models.weights import FitReport, fit_weights

# The new stage gives the parent's output upsampled the more closely the smaller RIDGE is, and stays
# the closer to a plain interpolation the larger it is. FLAT is how much more than fine detail the
# flat parts of an image count: features have a mean, and an error on it would be a colour cast.
RIDGE = 0.01
FLAT = 10.0


def grown_config(parent: Mapping[str, Any]) -> dict[str, Any]:
    """The ``config`` of the network that a generator with the config ``parent`` grows into."""
    return {**parent, "scale": 2 * parent["scale"]}


def check_growth(parent: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise `UserError` unless a generator of config ``parent`` can grow into one of ``wanted``.

    Args:
        parent: the ``config`` of a generator, or a checkpoint's ``generator_config``.
        wanted: the arguments of `create_generator` for the grown one.
    """
    old, new = parent["scale"], wanted["scale"]
    if new == 1:
        raise UserError("scale=1: no network has half that scale to grow from")
    if new != 2 * old or new not in SCALES:
        raise UserError(f"scale={new}: a ×{old} network {_ways_on(old, new)}")
    for key in dict.fromkeys(["name", *wanted]):
        has, wants = parent.get(key), wanted.get(key)
        if key != "scale" and has != wants:
            raise UserError(
                f"{_config_key(key)}={wants!r}: the network to grow has {has!r}, and growth keeps "
                f"all but the scale; use {_config_key(key)}={has}"
            )


def _config_key(argument: str) -> str:
    """The key of the config that sets ``argument`` of `create_generator`."""
    if argument == "channels":
        return argument
    return f"generator.{'' if argument in ('name', *COMMON) else 'options.'}{argument}"


def _ways_on(old: int, new: int) -> str:
    """End of a message about growing from ×``old`` to ×``new``."""
    if new == old:
        return "need not grow; start_from= begins with it, resume= goes on"
    grown = 2 * old
    if grown in SCALES:
        further = f", and that to {new}" if new == 2 * grown else ""
        return f"grows to {grown}: use scale={grown}{further}"
    ways = [f"grow a ×{new // 2} one"] if new in (2, 4, 8) else []
    ways += [f"train ×{new} from scratch"] if new in SCALES else []
    return "cannot grow, only 1 -> 2 -> 4 -> 8" + (f"; {' or '.join(ways)}" if ways else "")


def grow(parent: nn.Module, wanted: Mapping[str, Any] | None = None) -> tuple[nn.Module, FitReport]:
    """A generator of twice the scale that begins as ``parent`` followed by an upsampling.

    The new stage is linear at first: it interpolates, corrected (by least squares) for the kept
    layers after it, which work at twice the resolution now, so that the grown network's output is
    as close to the parent's output upsampled as such a stage allows.

    Args:
        parent: a generator of `create_generator`.
        wanted: the config that the grown one is to have; checked with `check_growth`.

    Returns:
        The grown generator, on the parent's device, in training mode, and what was carried.

    Raises:
        UserError: in one line that says what would work.

    Example:
        >>> parent = create_generator(scale=2, n_blocks=1, n_features=8)
        >>> grown, report = grow(parent)
        >>> grown.scale, sorted(set(name.split(".")[1] for name in report.new))
        (4, ['1'])
    """
    config: dict[str, Any] = parent.config  # type: ignore[assignment]
    check_growth(config, wanted or grown_config(config))
    if not hasattr(parent, "after_stages"):
        raise UserError(f"generator.name={config['name']!r}: has no upsampling stages to add to")
    generator = create_generator(**grown_config(config))
    report = fit_weights(generator, parent.state_dict())
    generator.eval()  # looking at a spectrally normalised weight would move its estimate
    _start_as_upsampling(
        generator.get_submodule("stages")[-1],  # type: ignore[index]
        generator.get_submodule(generator.after_stages[0]),  # type: ignore[arg-type,index]
    )
    return generator.train().to(next(parent.parameters()).device), report


def grow_discriminator(
    parent: nn.Module, wanted: Mapping[str, Any] | None = None
) -> tuple[nn.Module, FitReport]:
    """A discriminator of the config ``wanted`` with all of ``parent``'s weights that fit it.

    A discriminator sees HR images of any size, so with the same config all of it is carried over.

    Args:
        parent: a discriminator of `create_discriminator`.
        wanted: the arguments of `create_discriminator`; the parent's when None.

    Returns:
        The discriminator, on the parent's device, in training mode, and what was carried.
    """
    config: dict[str, Any] = parent.config  # type: ignore[assignment]
    discriminator = create_discriminator(**(wanted or config))
    # Names that two architectures happen to share do not mean the same layer.
    same = discriminator.config["name"] == config["name"]  # type: ignore[index]
    report = fit_weights(discriminator, parent.state_dict() if same else {})
    return discriminator.to(next(parent.parameters()).device), report


@torch.no_grad()
def _start_as_upsampling(stage: UpsamplingStage, following: nn.Conv2d) -> None:
    """Give ``stage`` the weights with which ``following`` does after it what it did before, larger.

    With w the convolution ``following``, u bicubic upsampling and s the stage, s should satisfy
    w ∗ s(f) = u(w ∗ f) for all features f. Both sides are linear in f, so it is enough to compare
    their impulse responses, and those of all input channels by one and the same matrix.
    """
    weight = following.weight.detach().double().cpu()
    outputs, features = weight.shape[:2]
    taps = stage.interpolating_taps()
    # (features · taps, features): each channel is interpolated by itself.
    weights = torch.kron(torch.eye(features, dtype=torch.float64), taps[:, None])
    if weight.any():  # a last layer that is still zero gives zero after any upsampling
        responses, wanted = _impulse_responses(stage, weight)
        ridge = RIDGE * weight.square().sum() / outputs
        weights += _ridge_regression(responses, wanted - responses @ weights, ridge)
    stage.become_linear(weights.reshape(features, len(taps), features))


def _impulse_responses(stage: UpsamplingStage, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Response of ``weight`` after the stage to an impulse, and the one it should have.

    Args:
        stage: the new stage.
        weight: (O, F, k, k), the convolution after it.

    Returns:
        (rows, F · taps), the response to a unit weight of the stage, and (rows, F), the wanted
        response to an impulse in each input channel. The rows are O outputs by HR pixels, then,
        `FLAT` times, O outputs by the four phases of a flat image.
    """
    outputs, features, kernel, _ = weight.shape
    radius = kernel // 2
    reach = radius + BicubicUpsampling.radius
    size = 2 * reach + 1
    impulse = torch.zeros(size, size, dtype=torch.float64)
    impulse[reach, reach] = 1

    def convolved(images: Tensor) -> Tensor:
        planes = weight.reshape(outputs * features, 1, kernel, kernel)
        return F.conv2d(images[:, None], planes, padding=radius)

    responses = convolved(stage.tap_responses(impulse))
    responses = responses.unflatten(1, (outputs, features)).permute(1, 3, 4, 2, 0).flatten(3)
    wanted = BicubicUpsampling(stage.factor).double()(convolved(impulse[None]))
    wanted = wanted.unflatten(1, (outputs, features)).permute(0, 1, 3, 4, 2).flatten(0, 1)

    def with_flat_rows(rows: Tensor) -> Tensor:
        phases = rows.reshape(outputs, size, stage.factor, size, stage.factor, -1)
        flat = FLAT * phases.sum((1, 3)).flatten(0, 2)
        return torch.cat([rows.flatten(0, 2), flat])

    return with_flat_rows(responses), with_flat_rows(wanted)


def _ridge_regression(matrix: Tensor, target: Tensor, ridge: Tensor) -> Tensor:
    """The x of the smallest ‖matrix · x - target‖² + ridge ‖x‖²."""
    rows, columns = matrix.shape
    identity = ridge * torch.eye(min(rows, columns), dtype=matrix.dtype)
    if rows < columns:
        return matrix.T @ torch.linalg.solve(matrix @ matrix.T + identity, target)
    return torch.linalg.solve(matrix.T @ matrix + identity, matrix.T @ target)


def trained_after_growth(
    network: nn.Module, report: FitReport, freeze_output: bool = True
) -> list[str]:
    """Names of the parameters that learn while what is carried is frozen.

    Args:
        network: what `grow` or `grow_discriminator` returned.
        report: what it returned with it.
        freeze_output: freeze a generator's carried layers after the stages, too.

    Example:
        >>> grown, report = grow(create_generator(scale=2, n_blocks=1, n_features=8))
        >>> sorted({name.split(".")[0] for name in trained_after_growth(grown, report)})
        ['stages']
    """
    output = tuple(f"{layer}." for layer in getattr(network, "after_stages", ()))
    carried = set(report.carried)
    return [
        name
        for name, _ in network.named_parameters()
        if name not in carried or (not freeze_output and name.startswith(output))
    ]
