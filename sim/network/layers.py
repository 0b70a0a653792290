"""What every layer is: a name, shapes, declared kinds, and the edges from its inputs to its outputs.

The kinds themselves are in `weighted_layers`, and without weights in `pooling_layers`, `merging_layers` and
`passing_layers`; `workload` gathers them all, and is where users import them from.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from ..display import brief
from ..errors import InvalidInput
from .connections import NOWHERE, Connections, edge_product, join_axes, pool_map, redirect
from .fan_out import MaskedSum, Words, decompose
from .neuron_models import NEURON_MODELS

INPUT_KINDS = ("spike", "signed_spike", "graded", "analog")
WEIGHT_BITS = {"binary": 1, "ternary": 2, "integer": 8, "float": 32}  # kind -> bits unless said
GATES = ("live", "per_step")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")
INPUT = "input"


@dataclass(frozen=True, kw_only=True)
class AveragePool:
    """Average pooling of a layer's current, before the neuron. Its 1/size scale is folded into the weights."""

    kernel_size: tuple[int, ...]

    def out_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (shape[0], *(size // kernel for size, kernel in zip(shape[1:], self.kernel_size, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What all synaptic layers share; use `Conv2d`, `Linear` and the other kinds in `LAYER_TYPES`.

    Parameters
    ----------
    name : str
        Letters, digits, ``_ . -``; unique in the workload. The spikes of its neurons bear the same name.
    in_shape : tuple of int
        Shape of one input at one step, channels first; no batch, no time.
    input_kind : {'spike', 'signed_spike', 'graded', 'analog'}
        Declared kind of the input values: 0/1, -1/0/1, small integers from 0, or real.
    weight_kind : {'binary', 'ternary', 'integer', 'float'}
        Declared kind of the weights: +-1, -1/0/1, integer, real.
    weight_bits : int, optional
        Bits stored per weight; by kind 1, 2, 8 and 32 unless given.
    nonzero : bool array of the weight's shape, optional
        False where the weight is exactly zero. None: no weight is zero.
    source : str
        The signal it reads: ``"input"`` or the name of the layer whose neurons emit it.
    joins : str, optional
        Name of the layer into whose current this one's is summed before the neuron (residual kind ``current``).
    pool : AveragePool, optional
        Pooling of the current between the synapses and the neuron.
    neuron : str, optional
        A row of `NEURON_MODELS`; None only for a layer that joins another.
    bias : bool
        Whether a constant is added to every neuron at every step (a folded batch norm leaves one).
    scale : {'none', 'folded', 'explicit'}
        Where the per-channel factor of batch norm or of quantised weights went. 'explicit' factors are multiplied at
        run time.
    gate : {None, 'live', 'per_step'}
        A data-dependent gain on the current (the AGMM gate), or a gain that varies with the step. Constant gains fold
        into the weights or the threshold and are no gate.
    gate_axes : {'channel', 'sample'}
        One gate value per channel, or one for all channels of a sample.
    channel_vectors : int
        Stored 32-bit words per output channel beside the weights: batch norm's gamma and beta 2, a bias 1.
    """

    name: str
    in_shape: tuple[int, ...]
    input_kind: str = "spike"
    weight_kind: str = "float"
    weight_bits: int | None = None
    nonzero: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    source: str = INPUT
    joins: str | None = None
    pool: AveragePool | None = None
    neuron: str | None = "lif_soft"
    bias: bool = False
    scale: str = "none"
    gate: str | None = None
    gate_axes: str = "channel"
    channel_vectors: int = 0

    spatial_dims: ClassVar[int | None] = None
    passes_values: ClassVar[bool] = False  # whether it may stand between signals, with neither neuron nor join
    delay: ClassVar[int] = 0  # steps between a source's spike and its arrival

    def __repr__(self) -> str:
        return brief(self)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name) or self.name == INPUT:
            raise InvalidInput(
                f"layer name {self.name!r}: use 1 to 100 letters, digits, '_', '.' or '-', starting with none of "
                f"the last two, and not 'input'"
            )
        self._check("in_shape", self.in_shape, is_shape(self.in_shape), "positive integers, channels first")
        object.__setattr__(self, "in_shape", tuple(int(size) for size in self.in_shape))
        if self.spatial_dims is not None:
            ok = len(self.in_shape) == 1 + self.spatial_dims
            self._check("in_shape", self.in_shape, ok, f"channels and {self.spatial_dims} sizes")
        self._choice("input_kind", INPUT_KINDS)
        self._choice("weight_kind", tuple(WEIGHT_BITS))
        self._choice("neuron", (*NEURON_MODELS, None))
        self._choice("scale", ("none", "folded", "explicit"))
        self._choice("gate", (*GATES, None))
        self._choice("gate_axes", ("channel", "sample"))
        if self.weight_bits is None:
            object.__setattr__(self, "weight_bits", WEIGHT_BITS[self.weight_kind])
        bits_ok = is_count(self.weight_bits) and 1 <= int(self.weight_bits or 0) <= 64
        self._check("weight_bits", self.weight_bits, bits_ok, "an integer from 1 to 64")
        self._check("channel_vectors", self.channel_vectors, is_count(self.channel_vectors), "an integer from 0")
        self._check("bias", self.bias, isinstance(self.bias, bool), "true or false")
        if (self.neuron is None) == (self.joins is None) and not (self.passes_values and self.neuron is None):
            raise InvalidInput(f"layer {self.name!r}: give either a neuron or the layer it joins, not both or neither")
        self._check_geometry()
        if self.nonzero is not None:
            object.__setattr__(self, "nonzero", self._checked_mask(self.nonzero))
        if self.pool is not None:
            self._check_pool(self.pool.kernel_size)

    def _check_geometry(self) -> None:
        """Overridden by each kind: its own fields."""

    def _checked_mask(self, nonzero: NDArray[np.bool_]) -> NDArray[np.bool_]:
        mask = np.ascontiguousarray(nonzero)
        if mask.dtype != np.bool_ or mask.shape != self.weight_shape:
            raise InvalidInput(
                f"layer {self.name!r}: nonzero is {mask.dtype} {mask.shape}; it must be bool {self.weight_shape}, "
                f"the shape of the weights"
            )
        return mask

    def _check_pool(self, kernel: tuple[int, ...]) -> None:
        ok = len(kernel) == len(self.out_shape) - 1 and is_shape(kernel)
        ok = ok and all(k <= size for k, size in zip(kernel, self.out_shape[1:], strict=True))
        self._check("pool.kernel_size", kernel, ok, f"one size per axis of {self.out_shape[1:]}, not larger")

    def _check(self, name: str, value: object, ok: bool, allowed: str) -> None:
        if not ok:
            raise InvalidInput(f"layer {self.name!r}: {name} is {value!r}; it must be {allowed}")

    def _choice(self, name: str, allowed: Sequence[str | None]) -> None:
        value = getattr(self, name)
        self._check(name, value, value in allowed, "one of " + ", ".join(map(str, allowed)))

    # What every kind offers
    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the current it produces, before pooling."""
        raise NotImplementedError(type(self).__name__)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the stored weights, in the order the frameworks keep them; ``(0,)`` for a layer without weights."""
        raise NotImplementedError(type(self).__name__)

    @property
    def channel_groups(self) -> tuple[int, int, int]:
        """Groups, input channels and output channels; every input channel reaches all output channels of its group."""
        raise NotImplementedError(type(self).__name__)

    def axis_targets(self, axis: int) -> NDArray[np.int64]:
        """(input size, taps) along one axis after the channels: the output position reached, -1 for none."""
        raise NotImplementedError(type(self).__name__)

    def weight_index(self, channel: int, out_channel: int, taps: tuple[int, ...]) -> tuple[int, ...]:
        """Place in the stored weights of the weight of one edge; empty for a layer without weights."""
        raise NotImplementedError(type(self).__name__)

    @property
    def nonzero_taps(self) -> NDArray[np.bool_] | None:
        """`nonzero` as (input channel, taps of each axis ..., output channel of the group); None without one."""
        return None

    @property
    def counts_itself(self) -> bool:
        """Whether operations are not input x fan-out, and come from its own `count`."""
        return False

    def count(self, *words: Words) -> NDArray[np.int64]:
        """Operations (steps, samples) from the packed signals, of kinds where they are not input x fan-out."""
        raise NotImplementedError(f"{type(self).__name__} counts by fan-out")

    # Derived from them
    @property
    def _view(self) -> tuple[int, ...]:
        """The input shape as channels and the axes it is connected along."""
        return self.in_shape

    @property
    def run_length(self) -> int:
        """Weights of one fetch run in the tap-major layout: the targets of one (input element, kernel tap)."""
        groups, _, out_channels = self.channel_groups
        return out_channels // groups

    @property
    def _axes(self) -> list[NDArray[np.int64]]:
        return [self.axis_targets(axis) for axis in range(len(self._view) - 1)]

    @property
    def _out_axes(self) -> tuple[int, ...]:
        """Output sizes along the connected axes."""
        return self.out_shape[1:] if len(self.out_shape) == len(self._view) else (1,) * (len(self._view) - 1)

    @cached_property
    def dense(self) -> int:
        """In-range pairs per step and sample, exact, whatever the input and the weights."""
        return self._view[0] * self.run_length * edge_product(self._axes)

    def fan_out(self, *, skip_zero_weights: bool = False) -> NDArray[np.int64]:
        """In-range weights that each input element meets: int64 of `in_shape`, exact at borders."""
        reach = [(table != NOWHERE).astype(np.int64) for table in self._axes]
        mask = self.nonzero_taps if skip_zero_weights else None
        if mask is None:
            per_position = np.full((), self.run_length, np.int64)
            for taps in reach:
                per_position = per_position[..., None] * taps.sum(axis=1)
            return np.broadcast_to(per_position, self._view).reshape(self.in_shape).copy()
        result = mask.sum(axis=-1, dtype=np.int64)
        for taps in reach:  # sum the taps that reach each position, one axis after the other
            result = np.tensordot(result, taps, axes=(1, 1))
        return np.ascontiguousarray(result).reshape(self.in_shape)

    @cached_property
    def fan_out_masks(self) -> tuple[MaskedSum, MaskedSum]:
        """`fan_out` over all weights and over the non-zero ones, as masks for the compiled counter."""
        every = decompose(self.fan_out().ravel())
        if self.nonzero is None:
            return every, every
        return every, decompose(self.fan_out(skip_zero_weights=True).ravel())

    def targets(self, index: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """(output index, weight index) of every in-range weight of one input element: slow and obvious."""
        place = int(np.ravel_multi_index(tuple(index), self.in_shape))
        channel, *position = (int(i) for i in np.unravel_index(place, self._view))
        groups, in_channels, _ = self.channel_groups
        first = channel // (in_channels // groups) * self.run_length
        reached = [
            [(int(out), tap) for tap, out in enumerate(table[spot]) if out != NOWHERE]
            for table, spot in zip(self._axes, position, strict=True)
        ]
        for hits in itertools.product(*reached):
            outs, taps = tuple(out for out, _ in hits), tuple(tap for _, tap in hits)
            for out_channel in range(first, first + self.run_length):
                target = (out_channel, *outs)[: len(self.out_shape)]
                yield target, self.weight_index(channel, out_channel, taps)

    @cached_property
    def connections(self) -> Connections:
        """Its edges to the current it produces, as arrays."""
        mask, weights = self.nonzero_taps, None
        if mask is not None:
            weights = np.ascontiguousarray(mask.reshape(self._view[0], -1, self.run_length)).view(np.uint8)
        sizes = self._out_axes
        positions = math.prod(self._view[1:]), math.prod(sizes)
        starts, outs, taps = join_axes(self._axes, sizes)
        return Connections(*self.channel_groups, *positions, starts, outs, taps, weights)

    @cached_property
    def neuron_connections(self) -> Connections:
        """Its edges to the neurons it feeds: as `connections`, past the pooling of the current if there is any.

        Edges into outputs that no whole pooling window holds are left out: they reach no neuron.
        """
        if self.pool is None:
            return self.connections
        positions = pool_map(self.out_shape[1:], self.pool.kernel_size)
        return redirect(self.connections, positions, math.prod(self.neuron_shape[1:]))

    @property
    def reads(self) -> tuple[tuple[str, tuple[int, ...], str], ...]:
        """Name, shape and kind of every signal it reads, in order."""
        return ((self.source, self.in_shape, self.input_kind),)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the signals it reads, in order."""
        return tuple(name for name, _, _ in self.reads)

    @property
    def emits(self) -> bool:
        """Whether a signal bears its name: its neurons' spikes, or what it passes on between signals."""
        return self.joins is None if self.neuron is None else NEURON_MODELS[self.neuron].spikes

    @property
    def value_kind(self) -> str:
        """Kind of its outputs before any neuron."""
        return "analog"

    @property
    def output_kind(self) -> str:
        """Kind of the signal that bears its name."""
        return self.value_kind if self.neuron is None else "spike"

    @property
    def neuron_shape(self) -> tuple[int, ...]:
        """Shape of the population it feeds: the current after pooling."""
        return self.out_shape if self.pool is None else self.pool.out_shape(self.out_shape)

    @property
    def neurons(self) -> int:
        return math.prod(self.neuron_shape)

    @property
    def inputs(self) -> int:
        return math.prod(self.in_shape)

    @property
    def weights(self) -> int:
        return math.prod(self.weight_shape)

    @property
    def operation(self) -> str:
        """The class of one synaptic operation, from the declared kinds (docs/definitions.md, Counting).

        A +-1 weight never multiplies, whatever the input; a value that is not 0 or +-1 times any other weight does.
        """
        if self.weight_kind == "binary":
            return "add_subtract"
        if self.input_kind in ("spike", "signed_spike"):
            return "accumulate"
        return "multiply_accumulate"

    def operation_with(self, graded: str = "value") -> str:
        """`operation` under a choice for graded input: one operation of n (``value``), or n unit ones (``events``)."""
        if graded not in ("value", "events"):
            raise InvalidInput(
                f"graded is {graded!r}; use 'value' (one operation carries n) or 'events' (n accumulates)"
            )
        if graded == "events" and self.input_kind == "graded" and self.operation == "multiply_accumulate":
            return "accumulate"
        return self.operation

    # Windows along axes, for the kinds that have them
    def _spread(self, name: str, low: int) -> tuple[int, ...]:
        """Write a field given as one integer, or one per axis, back as one per axis."""
        value, dims = getattr(self, name), len(self.in_shape) - 1
        sizes = (value,) * dims if is_count(value) else value
        ok = (
            isinstance(sizes, Sequence) and len(sizes) == dims and all(is_count(size) and size >= low for size in sizes)
        )
        self._check(name, value, ok, f"one integer from {low}, or {dims} of them")
        object.__setattr__(self, name, tuple(int(size) for size in sizes))
        return self._sizes(name)

    def _spread_sides(self, name: str) -> None:
        """Write a padding given as one integer, one per axis, or before and after each axis, back as the last."""
        value, dims = getattr(self, name), len(self.in_shape) - 1
        pads = (value,) * dims if is_count(value) else value
        ok = isinstance(pads, Sequence) and len(pads) in (dims, 2 * dims) and all(is_count(pad) for pad in pads)
        self._check(name, value, ok, f"one integer from 0, {dims}, or {2 * dims} (before and after each axis)")
        pads = tuple(int(pad) for pad in pads)
        object.__setattr__(self, name, pads if len(pads) == 2 * dims else tuple(pad for pad in pads for _ in "ba"))

    def _sizes(self, name: str) -> tuple[int, ...]:
        """A field that `_spread` or `_spread_sides` has written back."""
        return cast(tuple[int, ...], getattr(self, name))

    def _window(self, axis: int) -> tuple[int, int, int, int, int]:
        """Kernel, stride, dilation, and padding before and after along one axis."""
        kernel, stride, dilation = (self._sizes(name)[axis] for name in ("kernel_size", "stride", "dilation"))
        before, after = self._sizes("padding")[2 * axis : 2 * axis + 2]
        return kernel, stride, dilation, before, after

    def _window_count(self, axis: int) -> int:
        kernel, stride, dilation, before, after = self._window(axis)
        return (self.in_shape[1 + axis] + before + after - dilation * (kernel - 1) - 1) // stride + 1

    def _window_targets(self, axis: int) -> NDArray[np.int64]:
        """(input size, taps): the window whose tap reads each input position along one axis, or `NOWHERE`."""
        kernel, stride, dilation, before, _ = self._window(axis)
        offset = np.arange(self.in_shape[1 + axis])[:, None] + before - dilation * np.arange(kernel)[None, :]
        inside = (offset % stride == 0) & (offset >= 0) & (offset < self._window_count(axis) * stride)
        return np.where(inside, offset // stride, NOWHERE)


def is_count(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 0)


def is_shape(value: object) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(is_count(size) and 0 < size < 2**31 for size in value)
