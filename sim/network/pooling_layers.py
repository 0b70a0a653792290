"""Pooling layers between signals: averages and maxima over fixed or adaptive windows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .connections import NOWHERE
from .fan_out import Words
from .passing_layers import COUNTED_KINDS, PassingLayer


@dataclass(frozen=True, kw_only=True, repr=False)
class PoolingLayer(PassingLayer):
    """What pooling layers share; use `Pool` or `AdaptivePool`.

    Parameters
    ----------
    mode : {'average', 'max'}
        An average adds every non-zero input once to each window that holds it (``add``). With ``scale='folded'`` the
        factor 1/size lives in the next layer's weights and sums are passed on, graded for spikes; with ``'explicit'``
        every output is multiplied, and the result is analog. A maximum keeps the kind of its input; n candidates of a
        window take n - 1 comparisons (``compare``). Zeros are no candidates, save that one stands for all zeros of a
        window where values may be negative.
    """

    mode: str
    scale: str = "explicit"

    def _check_geometry(self) -> None:
        self._choice("mode", ("average", "max"))
        self._choice("scale", ("folded", "explicit"))
        self._check("in_shape", self.in_shape, 2 <= len(self.in_shape) <= 4, "channels and one to three sizes")

    @property
    def operation(self) -> str:
        return "compare" if self.mode == "max" else "add"

    @property
    def value_kind(self) -> str:
        if self.mode == "max":
            return self.input_kind
        return "graded" if self.scale == "folded" and self.input_kind in COUNTED_KINDS else "analog"

    @property
    def counts_itself(self) -> bool:
        return self.mode == "max"

    @property
    def _window_sizes(self) -> NDArray[np.int64]:
        """Inputs inside the window of each output position."""
        edges = self.connections
        return np.bincount(edges.outs, minlength=edges.out_positions).astype(np.int64)

    @property
    def largest_window(self) -> int:
        """Inputs inside the largest window; windows at the border hold fewer."""
        return int(self._window_sizes.max())

    @property
    def window_inputs(self) -> int:
        """(input, window) pairs of one step, all channels: what is read if every window reads its inputs anew."""
        return self.in_shape[0] * int(self._window_sizes.sum())

    @cached_property
    def dense(self) -> int:
        if self.mode == "average":
            return int(super().dense)
        return self.in_shape[0] * int(np.maximum(self._window_sizes - 1, 0).sum())

    def count(self, *words: Words) -> NDArray[np.int64]:
        from .window_kernel import window_comparisons  # numba: only the counter needs it

        steps, samples, size = words[0].shape
        edges, rows = self.connections, np.ascontiguousarray(words[0]).reshape(steps * samples, size)
        # how many comparisons a window can need at most: its size - 1; from 0 on the zeros are no candidates
        signed = self.input_kind not in COUNTED_KINDS
        result = np.empty(len(rows), np.int64)
        window_comparisons(rows, edges.in_channels, edges.starts, edges.outs, self._window_sizes, signed, result)
        return result.reshape(steps, samples)


@dataclass(frozen=True, kw_only=True, repr=False)
class Pool(PoolingLayer):
    """Pooling over windows of a fixed size, along one to three axes; see `PoolingLayer` for what it executes.

    ``stride`` is the kernel size unless given; ``padding`` as in `Conv2d`, never counted. A ``ceil_mode`` of other
    frameworks is a larger padding after the last element.

    Examples
    --------
    >>> Pool(name="pool", in_shape=(8, 28, 28), mode="max", kernel_size=2).out_shape
    (8, 14, 14)
    """

    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...] | None = None
    padding: int | tuple[int, ...] = 0
    dilation: int | tuple[int, ...] = 1

    def _check_geometry(self) -> None:
        super()._check_geometry()
        kernel = self._spread("kernel_size", 1)
        if self.stride is None:
            object.__setattr__(self, "stride", kernel)
        self._spread("stride", 1)
        self._spread("dilation", 1)
        self._spread_sides("padding")
        ok = all(size > 0 for size in self.out_shape)
        self._check("kernel_size", self.kernel_size, ok, f"no larger than the padded input {self.in_shape[1:]}")

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.in_shape[0], *(self._window_count(axis) for axis in range(len(self.in_shape) - 1)))

    def axis_targets(self, axis: int) -> NDArray[np.int64]:
        return self._window_targets(axis)


@dataclass(frozen=True, kw_only=True, repr=False)
class AdaptivePool(PoolingLayer):
    """Pooling to a given output size: window i of n spans ``floor(i size / n)`` to ``ceil((i + 1) size / n)``."""

    output_size: int | tuple[int, ...]

    def _check_geometry(self) -> None:
        super()._check_geometry()
        self._spread("output_size", 1)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.in_shape[0], *self._sizes("output_size"))

    def axis_targets(self, axis: int) -> NDArray[np.int64]:
        size, windows = self.in_shape[1 + axis], self.out_shape[1 + axis]
        window = np.arange(windows)
        begin, end = window * size // windows, -(-(window + 1) * size // windows)
        place = np.arange(size)[:, None]
        inside = (place >= begin) & (place < end)
        # a column per window that an element can lie in: the first it lies in, and those after
        column = window - inside.argmax(axis=1)[:, None]
        table = np.full((size, int(inside.sum(axis=1).max())), NOWHERE, np.int64)
        rows, windows_in = np.nonzero(inside)
        table[rows, column[rows, windows_in]] = windows_in
        return table
