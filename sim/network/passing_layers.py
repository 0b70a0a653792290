"""Layers without weights that stand between signals: what they share, up-sampling and skip paths.

Each passes values on under its own name, unless it feeds a neuron or joins another layer's current. What it executes is
a row of its own (`operation`), never part of a synaptic count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .layers import Layer

COUNTED_KINDS = ("spike", "graded")  # values from 0, whose sums are small integers


@dataclass(frozen=True, kw_only=True, repr=False)
class PassingLayer(Layer):
    """What layers without weights share."""

    neuron: str | None = None

    passes_values: ClassVar[bool] = True

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (0,)

    @property
    def channel_groups(self) -> tuple[int, int, int]:  # every channel for itself
        return self._view[0], self._view[0], self._view[0]

    def weight_index(self, channel: int, out_channel: int, taps: tuple[int, ...]) -> tuple[int, ...]:
        return ()

    @property
    def value_kind(self) -> str:
        return self.input_kind


@dataclass(frozen=True, kw_only=True, repr=False)
class Upsample(PassingLayer):
    """Nearest up-sampling by whole factors: every non-zero value is sent on once per place it fills (``copy``)."""

    factor: int | tuple[int, ...]

    def _check_geometry(self) -> None:
        self._check("in_shape", self.in_shape, 2 <= len(self.in_shape) <= 4, "channels and one to three sizes")
        self._spread("factor", 1)

    @property
    def operation(self) -> str:
        return "copy"

    @property
    def out_shape(self) -> tuple[int, ...]:
        sizes = zip(self.in_shape[1:], self._sizes("factor"), strict=True)
        return (self.in_shape[0], *(size * factor for size, factor in sizes))

    def axis_targets(self, axis: int) -> NDArray[np.int64]:
        factor = self._sizes("factor")[axis]
        return np.arange(self.in_shape[1 + axis])[:, None] * factor + np.arange(factor)


@dataclass(frozen=True, kw_only=True, repr=False)
class Identity(PassingLayer):
    """A skip path without weights: every non-zero value is added once to the current it joins (``add``)."""

    @property
    def operation(self) -> str:
        return "add"

    @property
    def _view(self) -> tuple[int, ...]:
        return (self.inputs,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.in_shape

    @property
    def _out_axes(self) -> tuple[int, ...]:
        return ()

    def axis_targets(self, axis: int) -> NDArray[np.int64]:
        raise IndexError(axis)  # every input is a channel of its own
