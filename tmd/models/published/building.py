"""Networks of other packages' classes, made to take images of any size and to give float32."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from tmd.errors import UserError
from tmd.models.contract import GeneratorContract
from tmd.models.layers import padded
from tmd.models.published.architecture import Architecture


class SingleConv2d(nn.Conv2d):
    """A convolution in single precision, autocast or not."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H', W'), of the weights' type."""
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.to(self.weight.dtype))


class WidenedConv2d(nn.Conv2d):
    """A convolution whose result is of the weights' type, whatever it is computed in."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H', W')."""
        return super().forward(features).to(self.weight.dtype)


class Fitted:
    """Mixin before a network's class: pads what does not fit its windows, and crops the result."""

    contract: GeneratorContract
    fit = (1, 1)
    writes_input = False

    def forward(self, lr: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W)."""
        height, width = lr.shape[-2:]
        fitting = padded(lr, *self.fit)
        if fitting is lr and self.writes_input:
            fitting = lr.clone()
        sr = super().forward(fitting).to(lr.dtype)  # type: ignore[misc]
        scale = self.contract.scale
        return sr[..., : scale * height, : scale * width]


@cache
def _fitted(family: str, class_name: str) -> type[nn.Module]:
    """Spandrel's class with `Fitted` before it; imported when it is first asked for."""
    module = importlib.import_module(f"spandrel.architectures.{family}")
    network = getattr(module, class_name)
    return type(class_name, (Fitted, network), {"hyperparameters": {}})


#: Upsamplers of the windowed networks that have no stage at scale 1.
_ENLARGING = ("pixelshuffle", "nearest+conv")


class Published:
    """Builder of a network of the field, for the registry of generators.

    Args:
        name: the registry's.
        architecture: its description.
    """

    #: Arguments that all of our own generators have say nothing of these.
    has_sizes_of_its_own = True

    def __init__(self, name: str, architecture: Architecture) -> None:
        self.name = name
        self.architecture = architecture
        self.__signature__ = inspect.Signature(
            [
                inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default)
                for option, default in architecture.options.items()
            ]
        )

    def __call__(self, scale: int, channels: int, **options: Any) -> nn.Module:
        """The network, freshly initialised, with its ``contract``.

        Raises:
            UserError: the options are of another kind than the defaults, or do not go together.
        """
        own = self.architecture
        _check_kinds(own.options, options)
        if channels != 3 and not (own.channel_arguments or own.rgb_layers):
            raise UserError(f"channels={channels}: {self.name} is made for 3 alone")
        if scale == 1 and {**own.constants, **options}.get("upsampler") in _ENLARGING:
            way = "; generator.options.upsampler='' restores" if "upsampler" in options else ""
            raise UserError(f"scale=1: {self.name} is made to enlarge{way}")
        hollow = torch.get_default_device().type == "meta"
        # Their constructors read numbers back from tensors, which have none on "meta".
        with torch.device("cpu") if hollow else nullcontext():
            try:
                network = self._build(scale, channels, options)
            except IndexError:  # without a stage, its upsampler holds no layer
                raise UserError(f"scale={scale}: {self.name} is made to enlarge") from None
        network.contract = GeneratorContract(  # type: ignore[assignment]
            scale=scale,
            channels=channels,
            receptive_field=own.reach(options, scale),
            multiple=own.multiple(options),
            minimum_size=own.minimum_size(options),
            minimum_batch=own.minimum_batch,
            dtypes=own.dtypes,
        )
        network.fit = own.fit  # type: ignore[assignment]
        network.writes_input = own.writes_input  # type: ignore[assignment]
        if hollow:
            self._try(network, options)
        return network.to("meta") if hollow else network

    def _try(self, network: nn.Module, options: Mapping[str, Any]) -> None:
        """Raise `UserError` for sizes that do not go together, as far as the constructor let them.

        Many a class finds out in its forward pass alone.
        """
        contract: GeneratorContract = network.contract  # type: ignore[assignment]
        side = contract.minimum_size
        try:
            with torch.device("cpu"), torch.no_grad():
                network.eval()(torch.zeros(1, contract.channels, side, side))
        except Exception as problem:  # of whatever shape
            raise self._unfit(options, problem) from None
        network.train()

    def _unfit(self, options: Mapping[str, Any], problem: Exception) -> UserError:
        given = {k: v for k, v in options.items() if v != self.architecture.options[k]}
        told = str(problem).splitlines()
        return UserError(
            f"generator.options={given}: {self.name} can't be built of these"
            + (f" ({told[0]})" if told else "")
        )

    def _build(self, scale: int, channels: int, options: Mapping[str, Any]) -> nn.Module:
        own = self.architecture
        arguments = {
            own.scale_argument: scale,
            **dict.fromkeys(own.channel_arguments, channels),
            **own.constants,
            **{own.renamed.get(option, option): value for option, value in options.items()},
        }
        if channels != 3 and "rgb_norm" in options:
            arguments[own.renamed["rgb_norm"]] = False  # colours' means are of three channels
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of theirs, on `torch.meshgrid`
                network = _fitted(own.family, own.class_name)(**arguments)
        except Exception as problem:  # whatever sizes that do not go together lead to
            raise self._unfit(options, problem) from None
        if channels != 3 and own.rgb_layers:
            _refit(network, own.rgb_layers, channels)
        for kind, paths in ((SingleConv2d, own.outputs), (WidenedConv2d, own.widened)):
            for layer in (_layer(network, path) for path in paths):
                if isinstance(layer, nn.Conv2d):
                    layer.__class__ = kind
        return network


def _check_kinds(defaults: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    for option, value in options.items():
        default = defaults[option]
        kinds: tuple[type, ...] = (int, float) if type(default) is float else (type(default),)
        if isinstance(default, list):
            kinds = (list, tuple)
        fits = isinstance(value, kinds) and (isinstance(default, bool) or type(value) is not bool)
        if fits and isinstance(default, list):
            fits = all(type(each) is int and each > 0 for each in value)
        elif fits and type(default) is int:
            fits = value > 0
        if not fits:
            wanted = {
                bool: "True or False",
                int: "an integer at least 1",
                float: "a number",
                str: "a text",
                list: "a list of integers at least 1",
            }[type(default)]
            raise UserError(f"generator.options.{option}={value!r}: must be {wanted}")


def _layer(network: nn.Module, path: str) -> nn.Module | None:
    """The module at ``path``, whose numbers may count from the end."""
    found: Any = network
    for part in path.split("."):
        if isinstance(found, nn.Sequential | nn.ModuleList) and part.lstrip("-").isdigit():
            found = found[int(part)]
        else:
            found = getattr(found, part, None)
    return found


def _refit(network: nn.Module, layers: tuple[str, str], channels: int) -> None:
    """Make the first and the last convolution anew, for images of ``channels``."""
    first, last = (_layer(network, path) for path in layers)
    assert isinstance(first, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    for layer, inputs, outputs in (
        (first, channels, first.out_channels),
        (last, last.in_channels, last.out_channels // 3 * channels),
    ):
        other = nn.Conv2d(inputs, outputs, layer.kernel_size, padding=layer.padding)  # type: ignore[arg-type]
        nn.init.trunc_normal_(other.weight, std=0.02)
        layer.in_channels, layer.out_channels = inputs, outputs
        layer.weight, layer.bias = other.weight, other.bias
