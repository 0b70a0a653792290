"""Post-training integer weights: one symmetric scale per output channel, no retraining."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def quantise(weight: Tensor, bits: int = 8) -> tuple[Tensor, Tensor]:
    """Symmetric integers per output channel: ``weight ~ integer * scale``, the largest magnitude ends the range.

    Parameters
    ----------
    weight : float tensor, shape (out, ...)
    bits : int
        Width from 2 to 8; the range is ``-(2**(bits-1) - 1)`` to ``2**(bits-1) - 1``.

    Returns
    -------
    integers : int8 tensor of the weight's shape
        Rounded half to even.
    scale : float tensor, shape (out,)
        Positive; 1 for a channel of zeros.

    Examples
    --------
    >>> quantise(torch.tensor([[1.0, -0.5], [0.0, 0.0]]))
    (tensor([[127, -64],
            [  0,   0]], dtype=torch.int8), tensor([0.0079, 1.0000]))
    """
    largest = weight.detach().flatten(1).abs().amax(1)
    scale = torch.where(largest > 0, largest / (2 ** (bits - 1) - 1), torch.ones_like(largest))
    integers = torch.round(weight.detach() / scale.view(-1, *[1] * (weight.dim() - 1)))
    return integers.to(torch.int8), scale


class _Integer(nn.Module):
    """Holds int8 weights and their scales, which are state but no parameters: nothing here is trained."""

    weight: Tensor
    scale: Tensor

    def _hold(self, *shape: int) -> None:
        self.register_buffer("weight", torch.zeros(shape, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(shape[0]))


class IntegerConv2d(_Integer):
    """Convolution with int8 weights, then one factor per output channel, which the batch norm behind it takes up."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, padding: int, stride: int = 1, bias: bool = False
    ) -> None:
        super().__init__()
        if bias:
            raise NotImplementedError("integer convolutions here stand before batch norm and have no bias")
        self.out_channels, self.kernel_size = out_channels, (kernel_size,) * 2
        self.padding, self.stride = (padding,) * 2, (stride,) * 2
        self._hold(out_channels, in_channels, kernel_size, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        current = functional.conv2d(x, self.weight.to(x.dtype), stride=self.stride, padding=self.padding)
        return current * self.scale.view(-1, 1, 1)


class IntegerLinear(_Integer):
    """Linear layer with int8 weights, then one factor per output, then the bias if there is one."""

    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.out_features = out_features
        self._hold(out_features, in_features)
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)

    def forward(self, x: Tensor) -> Tensor:
        current = functional.linear(x, self.weight.to(x.dtype)) * self.scale
        return current if self.bias is None else current + self.bias


class IntegerPooledLinear(IntegerLinear):
    """`IntegerLinear` on the spatial mean of spike maps ``(n, channels, height, width)``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mean(dim=(2, 3)))
