"""Networks as data: layers with their shapes, kinds and neurons, and who feeds whom. Knows neither torch nor joules.

A *signal* is what travels between layers and is recorded in a trace: ``"input"``, or the spikes that the neurons of a
layer emit, named after that layer. A layer reads one signal (``source``) through its synapses and, unless it joins
another layer's current (``joins``), feeds the neuron population that bears its name.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput

INPUT_KINDS = ("spike", "signed_spike", "graded", "analog")
WEIGHT_BITS = {"binary": 1, "ternary": 2, "integer": 8, "float": 32}  # kind -> bits unless said
GATES = ("live", "per_step")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")
INPUT = "input"


@dataclass(frozen=True)
class NeuronModel:
    """What one neuron population does, per neuron and step unless said, in operations on its state.

    Attributes
    ----------
    multiplies, compares : int
        Leak multiplications and threshold comparisons per update.
    integrates : int
        Additions of a separately accumulated current to the potential. A machine that scatters synaptic events straight
        into the potential does not execute them.
    adds_per_spike : int
        Additions when the neuron fires (soft reset: subtract the threshold).
    state_words : int
        Words of state per neuron that are kept from step to step.
    spikes : bool
        Whether it emits spikes; a readout only accumulates.
    """

    multiplies: int
    compares: int
    integrates: int
    adds_per_spike: int
    state_words: int
    spikes: bool = True


NEURON_MODELS = {
    # u = leak * u + x; fires at u > threshold; soft reset subtracts the threshold, hard reset overwrites the potential
    "lif_soft": NeuronModel(multiplies=1, compares=1, integrates=1, adds_per_spike=1, state_words=1),
    "lif_hard": NeuronModel(multiplies=1, compares=1, integrates=1, adds_per_spike=0, state_words=1),
    "if_soft": NeuronModel(multiplies=0, compares=1, integrates=1, adds_per_spike=1, state_words=1),
    "if_hard": NeuronModel(multiplies=0, compares=1, integrates=1, adds_per_spike=0, state_words=1),
    # sums its input over all steps; the class is the largest sum (the mean over steps only rescales it)
    "readout": NeuronModel(multiplies=0, compares=0, integrates=1, adds_per_spike=0, state_words=1, spikes=False),
}


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
        Where the per-channel factor of batch norm or of quantised weights went. 'explicit' factors are multiplied at run time.
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

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name) or self.name == INPUT:
            raise InvalidInput(
                f"layer name {self.name!r}: use 1 to 100 letters, digits, '_', '.' or '-', starting with none of "
                f"the last two, and not 'input'"
            )
        self._check("in_shape", self.in_shape, _is_shape(self.in_shape), "positive integers, channels first")
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
        bits_ok = _is_count(self.weight_bits) and 1 <= int(self.weight_bits or 0) <= 64
        self._check("weight_bits", self.weight_bits, bits_ok, "an integer from 1 to 64")
        self._check("channel_vectors", self.channel_vectors, _is_count(self.channel_vectors), "an integer from 0")
        self._check("bias", self.bias, isinstance(self.bias, bool), "true or false")
        if (self.neuron is None) != (self.joins is not None):
            raise InvalidInput(f"layer {self.name!r}: give either a neuron or the layer it joins, not both or neither")
        self._check_geometry()
        if self.nonzero is not None:
            mask = np.ascontiguousarray(self.nonzero)
            if mask.dtype != np.bool_ or mask.shape != self.weight_shape:
                raise InvalidInput(
                    f"layer {self.name!r}: nonzero is {mask.dtype} {mask.shape}; it must be bool {self.weight_shape}, "
                    f"the shape of the weights"
                )
            object.__setattr__(self, "nonzero", mask)
        if self.pool is not None:
            kernel = self.pool.kernel_size
            ok = len(kernel) == len(self.out_shape) - 1 and _is_shape(kernel)
            ok = ok and all(k <= size for k, size in zip(kernel, self.out_shape[1:], strict=True))
            self._check("pool.kernel_size", kernel, ok, f"one size per axis of {self.out_shape[1:]}, not larger")

    def _check_geometry(self) -> None:
        """Overridden by each kind: its own fields."""

    def _check(self, name: str, value: object, ok: bool, allowed: str) -> None:
        if not ok:
            raise InvalidInput(f"layer {self.name!r}: {name} is {value!r}; it must be {allowed}")

    def _choice(self, name: str, allowed: Sequence[str | None]) -> None:
        value = getattr(self, name)
        self._check(name, value, value in allowed, "one of " + ", ".join(map(str, allowed)))

    # What every kind offers -----------------------------------------------------------------------------------------
    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the current it produces, before pooling."""
        raise NotImplementedError(type(self).__name__)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        raise NotImplementedError(type(self).__name__)

    @property
    def run_length(self) -> int:
        """Weights of one fetch run in the tap-major layout: the targets of one (input element, kernel tap)."""
        raise NotImplementedError(type(self).__name__)

    def fan_out(self, *, skip_zero_weights: bool = False) -> NDArray[np.int64]:
        """In-range weights that each input element meets: int64 of `in_shape`, exact at borders."""
        raise NotImplementedError(type(self).__name__)

    def targets(self, index: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """(output index, weight index) of every in-range weight of one input element: the slow, obvious definition."""
        raise NotImplementedError(type(self).__name__)

    # Derived from them ----------------------------------------------------------------------------------------------
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


@dataclass(frozen=True, kw_only=True)
class Conv2d(Layer):
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

    out_channels: int
    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    dilation: int | tuple[int, ...] = 1
    groups: int = 1

    spatial_dims: ClassVar[int | None] = 2

    def _check_geometry(self) -> None:
        dims = len(self.in_shape) - 1
        for name, low in (("kernel_size", 1), ("stride", 1), ("dilation", 1)):
            value = getattr(self, name)
            sizes = (value,) * dims if _is_count(value) else value
            ok = isinstance(sizes, Sequence) and len(sizes) == dims and all(_is_count(s) and s >= low for s in sizes)
            self._check(name, value, ok, f"one integer from {low}, or {dims} of them")
            object.__setattr__(self, name, tuple(int(size) for size in sizes))
        pads = self.padding
        pads = (pads,) * dims if _is_count(pads) else pads
        ok = isinstance(pads, Sequence) and len(pads) in (dims, 2 * dims) and all(_is_count(pad) for pad in pads)
        self._check("padding", self.padding, ok, f"one integer from 0, {dims}, or {2 * dims} (before and after each axis)")
        pads = tuple(int(pad) for pad in pads)
        object.__setattr__(self, "padding", pads if len(pads) == 2 * dims else tuple(p for p in pads for _ in "ba"))
        self._check("out_channels", self.out_channels, _is_count(self.out_channels) and self.out_channels > 0, "positive")
        ok = _is_count(self.groups) and self.groups > 0
        ok = ok and self.in_shape[0] % self.groups == 0 and self.out_channels % self.groups == 0
        self._check("groups", self.groups, ok, f"a divisor of {self.in_shape[0]} in and {self.out_channels} out channels")
        ok = all(size > 0 for size in self.out_shape)
        self._check("kernel_size", self.kernel_size, ok, f"no larger than the padded input {self.in_shape[1:]}")

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.out_channels, *(size for size, _ in map(self._axis, range(len(self.in_shape) - 1))))

    def _axis(self, axis: int) -> tuple[int, tuple[int, int, int, int]]:
        """Output size along one axis, and its (kernel, stride, padding before, dilation)."""
        kernel, stride, dilation = (_nth(value, axis) for value in (self.kernel_size, self.stride, self.dilation))
        before, after = _nth(self.padding, 2 * axis), _nth(self.padding, 2 * axis + 1)
        size = (self.in_shape[1 + axis] + before + after - dilation * (kernel - 1) - 1) // stride + 1
        return size, (kernel, stride, before, dilation)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        kernel = tuple(_nth(self.kernel_size, axis) for axis in range(len(self.in_shape) - 1))
        return (self.out_channels, self.in_shape[0] // self.groups, *kernel)

    @property
    def run_length(self) -> int:
        return self.out_channels // self.groups

    def _reach(self, axis: int) -> NDArray[np.bool_]:
        """(input position, kernel tap): whether that tap of some output reads that input."""
        out_size, (kernel, stride, before, dilation) = self._axis(axis)
        offset = np.arange(self.in_shape[1 + axis])[:, None] + before - dilation * np.arange(kernel)[None, :]
        return (offset % stride == 0) & (offset >= 0) & (offset < out_size * stride)

    def fan_out(self, *, skip_zero_weights: bool = False) -> NDArray[np.int64]:
        dims = len(self.in_shape) - 1
        if skip_zero_weights and self.nonzero is not None:  # non-zero weights per input channel and tap
            per_group = self.nonzero.reshape(self.groups, self.run_length, *self.weight_shape[1:])
            result = per_group.sum(axis=1, dtype=np.int64).reshape(self.in_shape[0], *self.weight_shape[2:])
        else:
            result = np.full((self.in_shape[0], *self.weight_shape[2:]), self.run_length, np.int64)
        for axis in range(dims):  # sum the taps that reach each position, one axis after the other
            result = np.moveaxis(np.tensordot(result, self._reach(axis).astype(np.int64), axes=(1, 1)), -1, dims)
        return np.ascontiguousarray(result)

    def targets(self, index: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        channel, *position = index
        group, local = divmod(channel, self.in_shape[0] // self.groups)
        axes = []
        for axis, place in enumerate(position):
            out_size, (kernel, stride, before, dilation) = self._axis(axis)
            pairs = [((place + before - dilation * tap) / stride, tap) for tap in range(kernel)]
            axes.append([(int(out), tap) for out, tap in pairs if out == int(out) and 0 <= out < out_size])
        for hits in itertools.product(*axes):
            outs, taps = tuple(out for out, _ in hits), tuple(tap for _, tap in hits)
            for out_channel in range(group * self.run_length, (group + 1) * self.run_length):
                yield (out_channel, *outs), (out_channel, local, *taps)


@dataclass(frozen=True, kw_only=True)
class Linear(Layer):
    """Fully connected layer. Weight shape ``(out_features, inputs)``.

    With ``pooled=True`` the input map ``(C, ...)`` is averaged over space inside the weights: global average pooling
    folded into the classifier. Every spike still meets ``out_features`` weights, but only ``(out_features, C)`` are stored.
    """

    out_features: int
    pooled: bool = False

    def _check_geometry(self) -> None:
        ok = _is_count(self.out_features) and self.out_features > 0
        self._check("out_features", self.out_features, ok, "a positive integer")

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.out_features,)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_features, self.in_shape[0] if self.pooled else self.inputs)

    @property
    def run_length(self) -> int:
        return self.out_features

    def fan_out(self, *, skip_zero_weights: bool = False) -> NDArray[np.int64]:
        if not (skip_zero_weights and self.nonzero is not None):
            return np.full(self.in_shape, self.out_features, np.int64)
        per_column = self.nonzero.sum(axis=0, dtype=np.int64)
        if self.pooled:
            per_column = np.repeat(per_column, self.inputs // self.in_shape[0])
        return per_column.reshape(self.in_shape)

    def targets(self, index: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        column = index[0] if self.pooled else int(np.ravel_multi_index(tuple(index), self.in_shape))
        for out in range(self.out_features):
            yield (out,), (out, column)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A network's layers in the order they are computed, and everything a counter needs to know about them.

    Attributes
    ----------
    name : str
    input_shape : tuple of int
        Shape of the network's input at one step.
    input_kind : str
        Kind of the recorded ``"input"`` signal.
    layers : tuple of Layer
    held_input : bool
        True when every step sees the same input (direct encoding of static data).
    state_bits : int
        Width of potentials and accumulators, as the trace was produced.
    state_type : {'float', 'fixed'}
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    input_kind: str = "spike"
    held_input: bool = False
    state_bits: int = 32
    state_type: str = "float"

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        object.__setattr__(self, "layers", tuple(self.layers))
        if self.input_kind not in INPUT_KINDS:
            raise InvalidInput(f"workload {self.name!r}: input_kind {self.input_kind!r}; use one of {', '.join(INPUT_KINDS)}")
        if self.state_type not in ("float", "fixed") or not _is_count(self.state_bits) or not 1 <= self.state_bits <= 64:
            raise InvalidInput(f"workload {self.name!r}: state {self.state_type!r} of {self.state_bits!r} bits is not known")
        seen: dict[str, Layer] = {}
        for layer in self.layers:
            if layer.name in seen:
                raise InvalidInput(f"workload {self.name!r}: two layers are called {layer.name!r}")
            shape, kind = self._signal(layer.source, seen, layer.name)
            if math.prod(shape) != layer.inputs or kind != layer.input_kind:
                raise InvalidInput(
                    f"workload {self.name!r}: layer {layer.name!r} expects {layer.input_kind} {layer.in_shape}, "
                    f"but its source {layer.source!r} is {kind} {shape}"
                )
            seen[layer.name] = layer
        for layer in self.layers:
            if layer.joins is not None and (
                layer.joins not in seen or seen[layer.joins].neuron is None or seen[layer.joins].neurons != layer.neurons
            ):
                raise InvalidInput(
                    f"workload {self.name!r}: layer {layer.name!r} joins {layer.joins!r}, which is no layer with "
                    f"{layer.neurons} neurons of its own"
                )

    def _signal(self, name: str, seen: Mapping[str, Layer], reader: str) -> tuple[tuple[int, ...], str]:
        if name == INPUT:
            return self.input_shape, self.input_kind
        if name not in seen or seen[name].neuron is None or not NEURON_MODELS[str(seen[name].neuron)].spikes:
            raise InvalidInput(
                f"workload {self.name!r}: layer {reader!r} reads {name!r}, which no earlier layer emits; "
                f"known: {', '.join([INPUT, *seen])}"
            )
        return seen[name].neuron_shape, "spike"

    @property
    def signals(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and kind of every signal a trace must hold: what some layer reads, and what every layer emits."""
        seen = {layer.name: layer for layer in self.layers}
        names = [INPUT, *(x.name for x in self.layers if x.neuron is not None and NEURON_MODELS[x.neuron].spikes)]
        return {name: self._signal(name, seen, "trace") for name in names}

    def layer(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise InvalidInput(f"workload {self.name!r} has no layer {name!r}; it has {', '.join(x.name for x in self.layers)}")

    @property
    def model_bytes(self) -> int:
        """Bytes of the stored parameters: every weight at its own width, 4 bytes per channel vector.

        The rule that reproduces the sizes in BSO (Liang et al., ICML 2025, Table 2): 4 bytes per full-precision
        weight, 1 bit per binary weight, batch norm's gamma and beta 4 bytes each per channel.
        """
        weight_bits = sum(layer.weights * int(layer.weight_bits or 0) for layer in self.layers)
        vectors = sum(layer.out_shape[0] * layer.channel_vectors for layer in self.layers)
        return -(-weight_bits // 8) + 4 * vectors


LAYER_TYPES: dict[str, type[Layer]] = {"Conv2d": Conv2d, "Linear": Linear}


def workload_to_dict(workload: Workload) -> dict[str, Any]:
    """Plain JSON data; zero-weight maps are left out (a trace keeps them as arrays)."""
    result = {f.name: getattr(workload, f.name) for f in dataclasses.fields(workload) if f.name != "layers"}
    result["layers"] = [_layer_to_dict(layer) for layer in workload.layers]
    return result


def _layer_to_dict(layer: Layer) -> dict[str, Any]:
    values = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer) if f.name != "nonzero"}
    values["pool"] = None if layer.pool is None else dataclasses.asdict(layer.pool)
    return {"type": type(layer).__name__, **values}


def workload_from_dict(data: Mapping[str, Any], nonzero: Mapping[str, NDArray[np.bool_]] | None = None) -> Workload:
    """The inverse of `workload_to_dict`, with every field checked; ``nonzero`` holds zero-weight maps by layer name."""
    masks = nonzero or {}
    try:
        fields = dict(data)
        layers = [_layer_from_dict(entry, masks.get(entry.get("name"))) for entry in fields.pop("layers")]
        fields["input_shape"] = tuple(fields["input_shape"])
        return Workload(**fields, layers=tuple(layers))
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"workload description is not usable: {error}") from error


def _layer_from_dict(entry: Mapping[str, Any], mask: NDArray[np.bool_] | None) -> Layer:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    kind = fields.pop("type", None)
    if kind not in LAYER_TYPES:
        raise InvalidInput(f"layer {fields.get('name')!r}: type {kind!r} has no rule; known: {', '.join(LAYER_TYPES)}")
    if fields.get("pool") is not None:
        fields["pool"] = AveragePool(kernel_size=tuple(fields["pool"]["kernel_size"]))
    return LAYER_TYPES[kind](**fields, nonzero=mask)


def _is_count(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 0


def _is_shape(value: object) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(_is_count(size) and 0 < size < 2**31 for size in value)


def _nth(value: int | tuple[int, ...], index: int) -> int:
    return value[index] if isinstance(value, tuple) else value
