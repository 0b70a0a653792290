"""What networks are made of: synapses of each weight width, batch norm, pooling, gate and neurons in one block."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .agmm import Gate, GateConfig
from .binary_weights import BinaryConv2d, BinaryLinear
from .integer_weights import IntegerConv2d, IntegerLinear, IntegerPooledLinear
from .neurons import Neurons

Synapses = nn.Conv2d | nn.Linear | IntegerConv2d | IntegerLinear

# parts of a block's state that a constant gain on its whole current multiplies (`models.training.derive_variants`)
GAINED = ("norm.weight", "norm.bias", "shortcut.norm.weight", "shortcut.norm.bias", "shortcut.scale", "recurrent.scale")


class PooledLinear(nn.Linear):
    """Linear layer on the spatial mean of spike maps: ``(n, channels, height, width)`` to ``(n, features)``."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x.mean(dim=(2, 3)), self.weight, self.bias)


class PooledBinaryLinear(BinaryLinear):
    """`PooledLinear` whose latent `weight` is binarised in every forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mean(dim=(2, 3)))


def convolution(bits: int, inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d | IntegerConv2d:
    """A convolution with weights of 1, 8 or 32 bits, without bias: batch norm follows. It pads by half its kernel."""
    kind = {1: BinaryConv2d, 8: IntegerConv2d, 32: nn.Conv2d}[bits]
    return kind(inputs, outputs, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False)


def linear(bits: int, inputs: int, outputs: int, *, pooled: bool, bias: bool) -> nn.Linear | IntegerLinear:
    """A linear layer with weights of 1, 8 or 32 bits, on vectors or (``pooled``) on the spatial mean of maps."""
    kinds = {1: (BinaryLinear, PooledBinaryLinear), 8: (IntegerLinear, IntegerPooledLinear)}
    return kinds.get(bits, (nn.Linear, PooledLinear))[pooled](inputs, outputs, bias=bias)


class Shortcut(nn.Module):
    """A skip path into a current: 1 x 1 convolution and batch norm, or the spikes themselves times ``scale``.

    ``scale`` is state, not trained: ones, until a frozen gate is folded into it.
    """

    scale: Tensor

    def __init__(self, conv: nn.Conv2d | IntegerConv2d | None, channels: int) -> None:
        super().__init__()
        self.conv = conv
        self.norm = None if conv is None else nn.BatchNorm2d(channels)
        if conv is None:
            self.register_buffer("scale", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.conv is None or self.norm is None:
            return x * self.scale.to(x.dtype).view(-1, 1, 1)
        result: Tensor = self.norm(self.conv(x))
        return result


class Recurrent(nn.Module):
    """Self-connections of a population: from its spikes of the step before, times one trained factor per neuron.

    No batch norm stands behind them, so the factor gives +-1 weights a size: it starts at ``1 / sqrt(n)`` there and at
    1 elsewhere. On hardware it lives in the weights, which then are plus or minus a constant per neuron.
    """

    def __init__(self, bits: int, size: int) -> None:
        super().__init__()
        self.synapses = linear(bits, size, size, pooled=False, bias=False)
        self.scale = nn.Parameter(torch.full((size,), 1 / math.sqrt(size) if bits == 1 else 1.0))

    def forward(self, spikes: Tensor) -> Tensor:
        current: Tensor = self.synapses(spikes) * self.scale
        return current


class Block(nn.Module):
    """Synapses, batch norm, average pooling of the current, gate, neurons: one population.

    Parameters
    ----------
    conv : module
        The synapses: a convolution or a linear layer, without bias.
    channels : int
        Output channels or features.
    pool : int
        Window of the average pooling of the current; 1 for none.
    gate : GateConfig or None
    steps : int
    threshold, leak : float
    shortcut : Shortcut, optional
        A second branch, summed into the current behind batch norm and before the gate (residual kind ``current``).
    recurrent : Recurrent, optional
        Self-connections, summed into the current of every step before the gate.
    """

    def __init__(
        self,
        conv: Synapses,
        channels: int,
        pool: int,
        gate: GateConfig | None,
        steps: int,
        threshold: float,
        leak: float,
        shortcut: Shortcut | None = None,
        recurrent: Recurrent | None = None,
    ) -> None:
        super().__init__()
        self.conv = conv
        maps = isinstance(conv, nn.Conv2d | IntegerConv2d)
        self.norm = nn.BatchNorm2d(channels) if maps else nn.BatchNorm1d(channels)
        self.pool_size = pool
        self.pool = nn.AvgPool2d(pool) if pool > 1 else None
        self.shortcut, self.recurrent = shortcut, recurrent
        self.gate = None if gate is None else Gate(gate, steps)
        self.neurons = Neurons(threshold, leak)

    def current(self, x: Tensor, steps: int, skipped: Tensor | None = None) -> Tensor:
        """The current before the gate, (steps, batch, channels, ...), without self-connections.

        ``x`` is (steps * batch, ...), what the synapses read; ``skipped`` is what the shortcut reads.
        """
        x = self.norm(self.conv(x))
        x = x if self.pool is None else self.pool(x)
        if self.shortcut is not None:
            x = x + self.shortcut(skipped)
        return x.view(steps, -1, *x.shape[1:])

    def forward(self, x: Tensor, steps: int, skipped: Tensor | None = None) -> Tensor:
        """Spikes (steps * batch, channels, ...)."""
        current = self.current(x, steps, skipped)
        spikes = self.neurons(self._gated(current)) if self.recurrent is None else self._recur(current)
        return spikes.flatten(0, 1)

    def _recur(self, current: Tensor) -> Tensor:
        assert self.recurrent is not None
        state, spikes = None, list[Tensor]()
        for step, own in enumerate(current):
            own = own + self.recurrent(spikes[-1]) if spikes else own
            emitted, state = self.neurons.step(self._gated(own[None], step)[0], state)
            spikes.append(emitted)
        return torch.stack(spikes)

    def _gated(self, current: Tensor, step: int | None = None) -> Tensor:
        if self.gate is None:
            return current
        maps = current if current.dim() == 5 else current[..., None, None]  # features are maps of one place
        gated: Tensor = self.gate(maps, step)
        return gated.view(current.shape)


class Merge(nn.Module):
    """Spikes of two populations merged element by element: summed (``graded``), or their ``and`` or ``or``."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        if self.mode == "graded":
            return first + second
        # of 0/1 values: the product, and the sum less the product; both have a gradient
        both = first * second
        return both if self.mode == "and" else first + second - both
