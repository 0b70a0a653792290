"""Layers with weights: convolutions, transposed convolutions, fully connected and recurrent layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .connections import NOWHERE
from .layers import Layer, is_count


@dataclass(frozen=True, kw_only=True, repr=False)
class Convolution(Layer):
    """What convolutions of any dimension share (cross-correlation, as the frameworks mean it); use `Conv2d` and others.

    ``padding`` is a number, one per axis, or ``(before, after)`` of each axis in turn; it is filled with zeros, which
    never count. Weight shape ``(out_channels, in_channels / groups, *kernel_size)``; a depthwise convolution has as
    many groups as input channels.
    """

    out_channels: int
    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    dilation: int | tuple[int, ...] = 1
    groups: int = 1

    def _check_geometry(self) -> None:
        for name in ("kernel_size", "stride", "dilation"):
            self._spread(name, 1)
        self._spread_sides("padding")
        self._check(
            "out_channels", self.out_channels, is_count(self.out_channels) and self.out_channels > 0, "positive"
        )
        ok = is_count(self.groups) and self.groups > 0
        ok = ok and self.in_shape[0] % self.groups == 0 and self.out_channels % self.groups == 0
        self._check(
            "groups", self.groups, ok, f"a divisor of {self.in_shape[0]} in and {self.out_channels} out channels"
        )
        self._check_sizes()

    def _check_sizes(self) -> None:
        ok = all(size > 0 for size in self.out_shape)
        self._check("kernel_size", self.kernel_size, ok, f"no larger than the padded input {self.in_shape[1:]}")

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.out_channels, *(self._out_size(axis) for axis in range(len(self.in_shape) - 1)))

    def _out_size(self, axis: int) -> int:
        return self._window_count(axis)

    @property
    def channel_groups(self) -> tuple[int, int, int]:
        return self.groups, self.in_shape[0], self.out_channels

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_shape[0] // self.groups, *self._sizes("kernel_size"))

    def axis_targets(self, axis: int) -> NDArray[np.int64]:
        return self._window_targets(axis)

    def weight_index(self, channel: int, out_channel: int, taps: tuple[int, ...]) -> tuple[int, ...]:
        return (out_channel, channel % (self.in_shape[0] // self.groups), *taps)

    @property
    def nonzero_taps(self) -> NDArray[np.bool_] | None:
        if self.nonzero is None:
            return None
        per_group = self.nonzero.reshape(self.groups, self.run_length, *self.weight_shape[1:])
        return np.moveaxis(per_group, 1, -1).reshape(self.in_shape[0], *self.weight_shape[2:], self.run_length)


@dataclass(frozen=True, kw_only=True, repr=False)
class Conv1d(Convolution):
    """Convolution along one axis; ``in_shape`` is ``(channels, length)``."""

    spatial_dims: ClassVar[int | None] = 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Conv2d(Convolution):
    """Two-dimensional convolution (cross-correlation, as the frameworks mean it), zero padding.

    ``padding`` is a number, one per axis, or ``(top, bottom, left, right)``. Weight shape
    ``(out_channels, in_channels / groups, kernel, kernel)``.

    Examples
    --------
    >>> layer = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=1)
    >>> layer.out_shape
    (2, 4, 4)
    >>> layer.fan_out()[0]
    array([[ 8, 12, 12,  8],
           [12, 18, 18, 12],
           [12, 18, 18, 12],
           [ 8, 12, 12,  8]])
    """

    spatial_dims: ClassVar[int | None] = 2


@dataclass(frozen=True, kw_only=True, repr=False)
class Conv3d(Convolution):
    """Convolution along three axes; ``in_shape`` is ``(channels, depth, height, width)``."""

    spatial_dims: ClassVar[int | None] = 3


@dataclass(frozen=True, kw_only=True, repr=False)
class TransposedConvolution(Convolution):
    """What transposed convolutions share; use `ConvTranspose1d` or `ConvTranspose2d`.

    Input position i reaches output ``i * stride - padding before + tap * dilation``. ``padding`` is cut off the output,
    ``output_padding`` (smaller than the stride or the dilation) is added at its end. Weight shape
    ``(in_channels, out_channels / groups, *kernel_size)``, as in PyTorch.
    """

    output_padding: int | tuple[int, ...] = 0

    def _check_sizes(self) -> None:
        extra = self._spread("output_padding", 0)
        steps = zip(self._sizes("stride"), self._sizes("dilation"), strict=True)
        ok = all(pad < max(step) for pad, step in zip(extra, steps, strict=True))
        self._check("output_padding", self.output_padding, ok, "smaller than the stride or the dilation")
        ok = all(size > 0 for size in self.out_shape)
        self._check("padding", self.padding, ok, "less than the output it is cut from")

    def _out_size(self, axis: int) -> int:
        kernel, stride, dilation, before, after = self._window(axis)
        extra = self._sizes("output_padding")[axis]
        return (self.in_shape[1 + axis] - 1) * stride - before - after + dilation * (kernel - 1) + extra + 1

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.in_shape[0], self.out_channels // self.groups, *self._sizes("kernel_size"))

    def axis_targets(self, axis: int) -> NDArray[np.int64]:
        kernel, stride, dilation, before, _ = self._window(axis)
        reached = np.arange(self.in_shape[1 + axis])[:, None] * stride - before
        reached = reached + dilation * np.arange(kernel)[None, :]
        return np.where((reached >= 0) & (reached < self._out_size(axis)), reached, NOWHERE)

    def weight_index(self, channel: int, out_channel: int, taps: tuple[int, ...]) -> tuple[int, ...]:
        return (channel, out_channel % self.run_length, *taps)

    @property
    def nonzero_taps(self) -> NDArray[np.bool_] | None:
        return None if self.nonzero is None else np.moveaxis(self.nonzero, 1, -1)


@dataclass(frozen=True, kw_only=True, repr=False)
class ConvTranspose1d(TransposedConvolution):
    """Transposed convolution along one axis; ``in_shape`` is ``(channels, length)``."""

    spatial_dims: ClassVar[int | None] = 1


@dataclass(frozen=True, kw_only=True, repr=False)
class ConvTranspose2d(TransposedConvolution):
    """Transposed convolution along two axes; ``in_shape`` is ``(channels, height, width)``."""

    spatial_dims: ClassVar[int | None] = 2


@dataclass(frozen=True, kw_only=True, repr=False)
class Linear(Layer):
    """Fully connected layer. Weight shape ``(out_features, inputs)``.

    With ``pooled=True`` the input map ``(C, ...)`` is averaged over space inside the weights: global average pooling
    folded into the classifier. Every spike still meets ``out_features`` weights, but only ``(out_features, C)`` are
    stored.
    """

    out_features: int
    pooled: bool = False

    def _check_geometry(self) -> None:
        ok = is_count(self.out_features) and self.out_features > 0
        self._check("out_features", self.out_features, ok, "a positive integer")

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.out_features,)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_features, self._view[0])

    @property
    def _view(self) -> tuple[int, ...]:
        return self.in_shape if self.pooled else (self.inputs,)

    @property
    def channel_groups(self) -> tuple[int, int, int]:
        return 1, self._view[0], self.out_features

    def axis_targets(self, axis: int) -> NDArray[np.int64]:
        return np.zeros((self._view[1 + axis], 1), np.int64)  # pooled: every position reaches the one output position

    def weight_index(self, channel: int, out_channel: int, taps: tuple[int, ...]) -> tuple[int, ...]:
        return (out_channel, channel)

    @property
    def nonzero_taps(self) -> NDArray[np.bool_] | None:
        if self.nonzero is None:
            return None
        return self.nonzero.T.reshape(self._view[0], *(1 for _ in self._view[1:]), self.out_features)


@dataclass(frozen=True, kw_only=True, repr=False)
class RecurrentLinear(Linear):
    """Fully connected self-connections: a population's spikes of the previous step, summed into its own current.

    ``source`` and ``joins`` both name that population, and ``out_features`` is its size. The first step receives
    nothing.

    Examples
    --------
    >>> RecurrentLinear(name="back", in_shape=(5,), out_features=5, source="hidden", joins="hidden").delay
    1
    """

    neuron: str | None = None

    delay: ClassVar[int] = 1

    def _check_geometry(self) -> None:
        super()._check_geometry()
        self._check("joins", self.joins, self.joins == self.source, f"its own source {self.source!r}")
        ok = self.out_features == self.inputs and not self.pooled
        self._check("out_features", self.out_features, ok, f"the size {self.inputs} of its population, not pooled")
