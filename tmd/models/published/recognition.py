"""Recognition of other programs' weights by their names and shapes, as spandrel does it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from tmd.errors import UserError
from tmd.models.published.architecture import Architecture
from tmd.models.published.architectures import ARCHITECTURES


class Identified(NamedTuple):
    """A network that weights belong to: arguments of `tmd.models.create_generator`.

    ``tuple``-like: ``name, scale, channels, options``.
    """

    name: str
    scale: int
    channels: int
    options: dict[str, Any]


def identify(state_dict: Mapping[str, Tensor]) -> Identified:
    """The architecture and its options that ``state_dict`` is of.

    Args:
        state_dict: weights by the field's names, as they lie in a file, or under ``params_ema``,
            ``params`` or ``state_dict`` in it; spandrel's recognition tells whose.

    Raises:
        UserError: nobody knows them, or it is a network that is not built here; says which.
    """
    return recognised(state_dict)[0]


def recognised(state_dict: Mapping[str, Tensor]) -> tuple[Identified, dict[str, Tensor]]:
    """Result of `identify`, and the weights by the names of the network of that name.

    Raises:
        UserError: as `identify`.
    """
    import spandrel

    state = spandrel.canonicalize_state_dict(dict(state_dict))
    try:
        found = spandrel.MAIN_REGISTRY.load(dict(state))
    except spandrel.UnsupportedModelError:
        raise UserError(
            "weights: their names and shapes are of no architecture that spandrel knows"
        ) from None
    except Exception as problem:  # shapes that contradict each other
        raise UserError(f"weights: recognised, but not loaded ({_line(problem)})") from None
    network, architecture = found.model, found.architecture.id
    weights = dict(network.state_dict())
    scale, channels = int(found.scale), int(found.input_channels)
    if found.input_channels != found.output_channels:
        raise UserError(
            f"weights: a {architecture} network from {found.input_channels} to "
            f"{found.output_channels} channels; generators here keep their number"
        )
    if architecture == "SPAN":
        return _span(network, scale, channels), weights
    if architecture == "ESRGAN":
        return _esrgan(network, scale, channels), _by_todays_names(weights)
    for name, own in ARCHITECTURES.items():
        if type(network).__name__ == _class_of(own).__name__:
            return Identified(name, scale, channels, _options(own, network)), weights
    raise UserError(
        f"weights: of a network of {found.architecture.name}, which is not among "
        f"{', '.join(sorted({*ARCHITECTURES, 'esrgan', 'span'}))}"
    )


def spandrels_network(state_dict: Mapping[str, Tensor]) -> nn.Module:
    """The module that spandrel's own loader makes of weights by the field's names."""
    import spandrel

    network: nn.Module = spandrel.MAIN_REGISTRY.load(dict(state_dict)).model
    return network


def _line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0][:200]


def _class_of(own: Architecture) -> type:
    import importlib

    found: type = getattr(
        importlib.import_module(f"spandrel.architectures.{own.family}"), own.class_name
    )
    return found


def _options(own: Architecture, network: nn.Module) -> dict[str, Any]:
    given: dict[str, Any] = network.hyperparameters  # type: ignore[assignment]
    found = {}
    for option, default in own.options.items():
        value = given[own.renamed.get(option, option)]
        if isinstance(default, list):
            value = [int(each) for each in value]
        elif isinstance(default, int | float) and not isinstance(default, bool):
            value = int(value) if float(value).is_integer() else float(value)
            value = float(value) if isinstance(default, float) else value
        # An option of training alone is no property of the weights.
        found[option] = default if option.startswith("drop_path") else value
    return found


def _span(network: nn.Module, scale: int, channels: int) -> Identified:
    given: dict[str, Any] = network.hyperparameters  # type: ignore[assignment]
    options = {"feature_channels": int(given["feature_channels"]), "rgb_norm": bool(given["norm"])}
    return Identified("span", scale, channels, options)


def _esrgan(network: nn.Module, scale: int, channels: int) -> Identified:
    given: dict[str, Any] = network.hyperparameters  # type: ignore[assignment]
    if given["plus"]:
        raise UserError("weights: of ESRGAN+, which is not built here")
    options = {
        "num_feat": int(given["num_filters"]),
        "num_block": int(given["num_blocks"]),
        "unshuffle": bool(given["shuffle_factor"]) or scale > 2,
    }
    return Identified("esrgan", scale, channels, options)


def _by_todays_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """ESRGAN's weights from the numbered names of its first release."""
    blocks = max(int(m[1]) for n in weights if (m := re.match(r"model\.1\.sub\.(\d+)\.", n)))
    layers = sorted({int(n.split(".")[1]) for n in weights if not n.startswith("model.1.")})
    *ups, hr, last = layers[1:]
    names = {
        "model.0": "conv_first",
        f"model.1.sub.{blocks}": "conv_body",
        **{f"model.{n}": f"conv_up{i}" for i, n in enumerate(ups, start=1)},
        f"model.{hr}": "conv_hr",
        f"model.{last}": "conv_last",
    }
    renamed = {}
    for name, value in weights.items():
        layer, kind = name.rsplit(".", 1)
        inner = re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0", layer)
        layer = f"body.{inner[1]}.rdb{inner[2]}.conv{inner[3]}" if inner else names[layer]
        renamed[f"{layer}.{kind}"] = value
    return renamed
