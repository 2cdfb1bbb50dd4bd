"""Torch's layers, with the same parameters and results, at a fraction of their time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized


class Dense(nn.Linear):
    """A dense layer that spectral normalisation costs little.

    Torch's divides the weight by its largest singular value and takes the division's gradient, each
    several passes over a matrix that holds most of a discriminator's parameters. The output is
    divided here, and the singular vector goes through the product as one more image, which is all
    that its gradient needs. Names in the state are torch's.
    """

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs) -> (N, outputs)."""
        own: Any = []
        if is_parametrized(self, "weight"):
            own = self.parametrizations.weight  # type: ignore[union-attr]
        if [type(each) for each in own] != [_SpectralNorm]:
            return super().forward(features)
        weight, norm = own.original, own[0]
        if norm.training:
            # Detached: autocast on GPUs may keep what it makes of a weight without a gradient, and
            # give it to the product below (torch issue 158232).
            norm._power_method(weight.detach(), norm.n_power_iterations)
        # The next forward changes both in place; `cat` copies the other.
        left, right = norm._u.clone(), norm._v
        product = F.linear(torch.cat([features, right[None].to(features)]), weight)
        result = product[:-1] / torch.dot(left, product[-1].to(left))
        return result if self.bias is None else result + self.bias


class PReLU(nn.PReLU):
    """A leaky ReLU with one learnt slope (arXiv:1502.01852), as torch's, and faster on CPUs.

    Torch's writes a gradient of the slope for each pixel and then adds them up, which took a tenth
    of the default networks' training step. With bfloat16 images the slope and its gradient stay
    float32 here.

    Example:
        >>> PReLU(init=0.25)(torch.tensor([-4.0, 4.0])).tolist()
        [-1.0, 4.0]
    """

    def forward(self, features: Tensor) -> Tensor:
        """Of any shape."""
        as_torch = (
            features.device.type != "cpu"  # to read the slope would be to wait for the device
            or self.num_parameters != 1
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()
        )
        if as_torch:
            return super().forward(features)
        if torch.is_grad_enabled():
            return _OneSlope.apply(features, self.weight)
        return F.leaky_relu(features, self.weight.item())


class _OneSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, slope):  # type: ignore[override]
        ctx.save_for_backward(features, slope)
        return F.leaky_relu(features, slope.item())

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[override]
        features, slope = ctx.saved_tensors
        of_features = of_slope = None
        if ctx.needs_input_grad[1]:
            products = features.clamp(max=0) * gradient
            of_slope = products.sum(dtype=slope.dtype).view_as(slope)
        if ctx.needs_input_grad[0]:
            if torch.is_grad_enabled():  # somebody wants this one's gradient, to the slope too
                of_features = torch.where(features > 0, gradient, slope.to(gradient) * gradient)
            else:
                of_features = torch.ops.aten.leaky_relu_backward(
                    gradient, features, slope.item(), False
                )
        return of_features, of_slope
