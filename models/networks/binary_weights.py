"""Binary weights: the sign with a straight-through estimator, and convolution and linear layers that use it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return torch.where(weight >= 0, 1.0, -1.0).to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (weight,) = ctx.saved_tensors
        return gradients[0] * (weight.abs() <= 1)


def binarise(weight: Tensor) -> Tensor:
    """Sign of the latent weights, +-1, with the straight-through estimator as its gradient.

    ``sign(0) = +1``; ``d sign / d w = 1`` for ``|w| <= 1`` and 0 beyond, so that a latent weight far out does not drift
    further (Courbariaux et al. 2016, arXiv 1602.02830; as used by AGMM, arXiv 2502.14344).

    Parameters
    ----------
    weight : float tensor of any shape

    Returns
    -------
    tensor of the same shape and type, every element -1 or +1

    Examples
    --------
    >>> binarise(torch.tensor([-0.3, 0.0, 2.0]))
    tensor([-1.,  1.,  1.])
    """
    result: Tensor = _Sign.apply(weight)
    return result


class BinaryConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` whose latent `weight` is binarised in every forward pass.

    There is no per-channel scale: under the batch norm that follows it would change nothing.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, binarise(self.weight), self.bias)


class BinaryLinear(nn.Linear):
    """`torch.nn.Linear` whose latent `weight` is binarised in every forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, binarise(self.weight), self.bias)
