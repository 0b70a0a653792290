"""LIF and IF networks run again from a trace's input and parameters: event by event, without torch.

Why: machines charge a neuron update only where there was something to update, so potentials are needed; and an energy
at a narrow state is worth nothing without the accuracy and the spikes at that width (docs/definitions.md, 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dynamics import ROUNDINGS, scatter, update_fixed, update_real
from .errors import InvalidInput
from .layers import INPUT, Layer
from .neurons import NEURON_MODELS
from .populations import Population, populations, tap_major
from .workload import Workload


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerParameters:
    """What one layer needs beyond its geometry.

    ``leak``, ``threshold`` and ``bias`` are one number, one per channel of the neurons, or ``(steps, channels)``: a gain
    that varies with the step folds into the last (docs/definitions.md, 10). A layer that joins another only needs weights.

    Attributes
    ----------
    weights : array of the layer's ``weight_shape``
        With everything folded in: batch norm, quantisation scales, the 1/size of average pooling. A skip path without
        weights takes one number.
    leak : array_like
        Factor on the potential per step; 1 for ``if_*`` neurons.
    threshold : array_like
        A neuron fires when its potential is strictly greater.
    bias : array_like
        Added to every neuron at every step.
    reset : float
        Potential after a spike, for ``*_hard`` neurons.
    """

    weights: ArrayLike
    leak: ArrayLike = 1.0
    threshold: ArrayLike = 1.0
    bias: ArrayLike = 0.0
    reset: float = 0.0


@dataclass(frozen=True)
class Real:
    """float64 state.

    ``leak_frac_bits``: the potential is cut toward zero to that many bits after the point once it has leaked, before
    the current is added; None: no rounding. (SANA-FE's model of Loihi keeps 6.)
    """

    leak_frac_bits: int | None = None

    def __post_init__(self) -> None:
        if self.leak_frac_bits is not None and not 0 <= self.leak_frac_bits <= 52:
            raise InvalidInput(f"leak_frac_bits is {self.leak_frac_bits}; it must be from 0 to 52, or None")


@dataclass(frozen=True, kw_only=True)
class FixedPoint:
    """Saturating two's complement state of ``state_bits``, ``frac_bits`` of them after the point.

    Weights, biases, thresholds and reset values are rounded to the nearest such number (weights and biases may exceed
    the range of a state). The current of one step is summed exactly; the leaked potential plus that current is cut to
    the range once per step. The leak factor has ``leak_bits`` bits after the point, and the product is rounded as
    ``leak_rounding`` says ('nearest': ties up). A real input's current is rounded to the nearest number once per step.
    """

    state_bits: int
    frac_bits: int
    leak_rounding: Literal["floor", "nearest", "toward_zero"] = "toward_zero"
    leak_bits: int = 12

    def __post_init__(self) -> None:
        limits = {"state_bits": (2, 40), "frac_bits": (0, 30), "leak_bits": (0, 20)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be from {low} to {high}")
        if self.leak_rounding not in ROUNDINGS:
            raise InvalidInput(f"leak_rounding is {self.leak_rounding!r}; it must be one of {', '.join(ROUNDINGS)}")

    @property
    def lowest(self) -> int:
        return -(1 << (self.state_bits - 1))

    @property
    def highest(self) -> int:
        return (1 << (self.state_bits - 1)) - 1


Number = Real | FixedPoint


@dataclass(frozen=True, eq=False)
class ReplayResult:
    """What a network did when it was run again.

    Attributes
    ----------
    spikes : mapping of layer to bool array (steps, samples, *neuron_shape)
        Of every population that spikes.
    potentials : mapping of layer to float64 array of that shape
        After each step, resets done; empty unless kept. Readouts included.
    updated : mapping of layer to bool array of that shape
        Where the potential was not 0 before the step, an event arrived (even if the weights cancel), a bias was added or
        the neuron fired; empty unless kept. Readouts included.
    saturated : mapping of layer to int64 array (steps, samples)
        Neurons whose potential was cut to the range; zero in float64.
    scores : float64 array (samples, classes)
        Sums of the last population: its potential after the last step if it is a readout, else its spikes.
    synaptic_operations : int
        Events times the weights in range that they met.
    """

    spikes: Mapping[str, NDArray[np.bool_]]
    potentials: Mapping[str, NDArray[np.float64]]
    updated: Mapping[str, NDArray[np.bool_]]
    saturated: Mapping[str, NDArray[np.int64]]
    scores: NDArray[np.float64]
    synaptic_operations: int

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Class of the largest score of every sample, the first of equals."""
        return self.scores.argmax(axis=1)


@dataclass(frozen=True)
class SpikeMismatch:
    """How far the spikes of one population differ from recorded ones: counts of (neuron, step, sample)."""

    differing: int
    recorded: int
    places: int

    @property
    def per_place(self) -> float:
        """Share of all neurons and steps at which the two disagree."""
        return self.differing / self.places if self.places else 0.0

    @property
    def per_spike(self) -> float:
        """Disagreements per recorded spike; infinite if there was none to agree with."""
        if self.recorded == 0:
            return float("inf") if self.differing else 0.0
        return self.differing / self.recorded


@dataclass(frozen=True)
class Comparison:
    """A replay against a recording: spike mismatch by layer, and accuracy (None where there are no labels)."""

    mismatch: Mapping[str, SpikeMismatch]
    accuracy: float | None


def replay(
    workload: Workload,
    parameters: Mapping[str, LayerParameters],
    inputs: NDArray,
    *,
    number: Number | None = None,
    delay: int = 0,
    keep_potentials: bool = False,
    keep_updated: bool = False,
) -> ReplayResult:
    """Run a network of LIF and IF neurons again.

    Parameters
    ----------
    workload : Workload
        Layers with neurons, and layers that join their current (fully connected, convolutions of any kind, skip paths).
    parameters : mapping of layer name to LayerParameters
    inputs : array (steps, samples, *input_shape)
        The values of the network's input: spikes, or numbers under direct encoding.
    number : Real or FixedPoint, optional
        What potentials are kept in; float64 unless given.
    delay : {0, 1}
        Steps from a spike to the current it makes: 0 in deep-learning frameworks, 1 per layer on chips.
    keep_potentials, keep_updated : bool
        Whether to return these; float64 potentials take 64 times the memory of packed spikes.

    Returns
    -------
    ReplayResult

    Notes
    -----
    Per step ``u = leak u (+ rounding) + current + bias``; fires at ``u > threshold``; soft reset subtracts the threshold,
    hard reset overwrites. Potentials start at 0, so the leak of the first step has no effect. A readout only sums.
    Sums run in the order of the events, so float64 may differ from a framework's float32 in the last bits.

    Raises
    ------
    InvalidInput
        Missing or misshapen parameters, gates (fold them), self-connections, values that do not fit the state.
    """
    number = Real() if number is None else number
    inputs = np.asarray(inputs)
    if delay not in (0, 1):
        raise InvalidInput(f"delay is {delay!r}; it must be 0 (framework) or 1 (chip)")
    if inputs.ndim < 3 or inputs.shape[2:] != workload.input_shape or 0 in inputs.shape[:2]:
        raise InvalidInput(f"inputs are {inputs.shape}; they must be (steps, samples, *{workload.input_shape})")
    if inputs.dtype.kind not in "biuf" or not np.isfinite(inputs).all():
        raise InvalidInput(f"inputs are {inputs.dtype}; they must be finite numbers")
    signals: dict[str, NDArray] = {INPUT: _plain(inputs)}
    kept: dict[str, dict[str, NDArray]] = {"potentials": {}, "updated": {}, "saturated": {}}
    operations = 0
    for item in populations(workload):
        runner = _Runner.prepare(item, parameters, number, len(inputs))
        runs = _Runs.empty(item, inputs.shape[:2], keep_potentials, keep_updated)
        for sample in range(inputs.shape[1]):
            sources = [signals[layer.source][:, sample] for layer in item.synapses]
            operations += runner.run(sources, delay, runs, sample)
        runs.keep(item, kept)
        if runner.spiking:
            signals[item.name] = runs.spikes
    scores = runs.spikes.sum(axis=0).astype(np.float64) if runner.spiking else runs.last
    emitted = {
        name: spikes.reshape(*inputs.shape[:2], *workload.layer(name).neuron_shape).view(np.bool_)
        for name, spikes in signals.items()
        if name != INPUT
    }
    return ReplayResult(emitted, **kept, scores=scores, synaptic_operations=operations)


def compare(
    result: ReplayResult, recorded: Mapping[str, NDArray], labels: NDArray[np.int64] | None = None
) -> Comparison:
    """Hold a replay against recorded spikes.

    Parameters
    ----------
    result : ReplayResult
    recorded : mapping of layer to array (steps, samples, *neuron_shape)
        Non-zero where the neuron fired; layers that are not in it are left out.
    labels : int64 array (samples,), optional
    """
    mismatch = {}
    for name, spikes in result.spikes.items():
        if name in recorded:
            other = np.asarray(recorded[name]) != 0
            if other.shape != spikes.shape:
                raise InvalidInput(f"recorded spikes of {name!r} are {other.shape}; the replay made {spikes.shape}")
            mismatch[name] = SpikeMismatch(int((other != spikes).sum()), int(other.sum()), spikes.size)
    accuracy = None if labels is None else float((result.predictions == np.asarray(labels)).mean())
    return Comparison(mismatch, accuracy)


def binary_weights(words: NDArray[np.uint64], layer: Layer, scale: ArrayLike = 1.0) -> NDArray[np.float64]:
    """Packed binary weights as numbers: bit 0 first in the order of the layer's weights, 1 for +1 and 0 for -1.

    ``scale`` is one number or one per output channel (of convolutions and fully connected layers).
    """
    bits = np.unpackbits(np.ascontiguousarray(words, "<u8").view(np.uint8), count=layer.weights, bitorder="little")
    signs = 2.0 * bits.reshape(layer.weight_shape) - 1.0
    factors = np.asarray(scale, np.float64)
    return signs * (factors if factors.ndim == 0 else factors.reshape(-1, *(1,) * (signs.ndim - 1)))


@dataclass(frozen=True, eq=False)
class _Runs:
    """What one population does in every sample: arrays (steps, samples, neurons); those not wanted have no steps."""

    spikes: NDArray[np.uint8]
    potentials: NDArray[np.float64]
    updated: NDArray[np.uint8]
    saturated: NDArray[np.int64]
    last: NDArray[np.float64]

    @classmethod
    def empty(cls, item: Population, shape: tuple[int, ...], potentials: bool, updated: bool) -> _Runs:
        steps, samples = shape
        neurons = item.layer.neurons
        return cls(
            np.zeros((steps, samples, neurons), np.uint8),
            np.zeros((steps * potentials, samples, neurons)),
            np.zeros((steps * updated, samples, neurons), np.uint8),
            np.zeros((steps, samples), np.int64),
            np.zeros((samples, neurons)),
        )

    def keep(self, item: Population, kept: Mapping[str, dict[str, NDArray]]) -> None:
        shape = (*self.saturated.shape, *item.layer.neuron_shape)
        kept["saturated"][item.name] = self.saturated
        if len(self.potentials):
            kept["potentials"][item.name] = self.potentials.reshape(shape)
        if len(self.updated):
            kept["updated"][item.name] = self.updated.reshape(shape).view(np.bool_)


@dataclass(frozen=True, eq=False)
class _Runner:
    """One population with its parameters in the number it is kept in."""

    item: Population
    number: Number
    weights: tuple[NDArray, ...]
    leak: NDArray
    threshold: NDArray
    bias: NDArray
    reset: float | int

    @classmethod
    def prepare(
        cls, item: Population, parameters: Mapping[str, LayerParameters], number: Number, steps: int
    ) -> _Runner:
        for layer in item.synapses:
            _check_layer(layer, parameters)
        own = parameters[item.name]
        channels = item.layer.neuron_shape[0]
        leak, threshold, bias = (
            _per_channel(getattr(own, name), steps, channels, f"layer {item.name!r}: {name}")
            for name in ("leak", "threshold", "bias")
        )
        if not str(item.layer.neuron).startswith("lif") and (leak != 1).any():
            raise InvalidInput(f"layer {item.name!r}: leak is not 1, but {item.layer.neuron} neurons do not leak")
        weights = [tap_major(layer, np.asarray(parameters[layer.name].weights, np.float64)) for layer in item.synapses]
        if not all(np.isfinite(values).all() for values in (*weights, leak, threshold, bias, own.reset)):
            raise InvalidInput(f"layer {item.name!r}: a parameter is not finite")
        if isinstance(number, Real):
            return cls(item, number, tuple(weights), leak, threshold, bias, float(own.reset))
        whole = [_whole(values, number.frac_bits) for values in (*weights, threshold, bias, np.asarray(own.reset))]
        reset = int(whole.pop())
        _check_range(item, number, whole[-2], reset)
        return cls(item, number, tuple(whole[:-2]), _whole(leak, number.leak_bits), whole[-2], whole[-1], reset)

    @property
    def spiking(self) -> bool:
        return NEURON_MODELS[str(self.item.layer.neuron)].spikes

    def run(self, sources: list[NDArray], delay: int, runs: _Runs, sample: int) -> int:
        """One sample through the population; returns its synaptic operations."""
        shape = self.item.layer.neuron_shape
        channels, positions, steps = shape[0], int(np.prod(shape[1:], dtype=np.int64)), len(sources[0])
        fixed = isinstance(self.number, FixedPoint)
        current = np.zeros((steps, positions, channels), np.int64 if fixed else np.float64)
        groups = max((layer.neuron_connections.groups for layer in self.item.synapses), default=1)
        touched = np.zeros((steps, positions, groups), np.uint8)
        done = 0
        for layer, weights, values in zip(self.item.synapses, self.weights, sources, strict=True):
            done += _scatter(layer, weights, np.ascontiguousarray(values), delay, current, touched)
        state = np.zeros((positions, channels), current.dtype)
        rule = self.spiking, str(self.item.layer.neuron).endswith("soft"), self.reset
        common = (state, current, touched, self.leak, self.threshold, self.bias, rule)
        outputs = runs.spikes[:, sample], runs.potentials[:, sample], runs.updated[:, sample]
        if isinstance(self.number, FixedPoint):
            number = self.number
            limits = number.lowest, number.highest, number.leak_bits, ROUNDINGS[number.leak_rounding]
            update_fixed(*common, limits, *outputs, runs.saturated[:, sample])
            unit = 2.0**-number.frac_bits
            runs.potentials[:, sample] *= unit
            runs.last[sample] = state.T.ravel() * unit
        else:
            bits = self.number.leak_frac_bits
            update_real(*common, 0.0 if bits is None else 2.0**bits, *outputs)
            runs.last[sample] = state.T.ravel()
        return done


def _scatter(
    layer: Layer, weights: NDArray, values: NDArray, delay: int, current: NDArray, touched: NDArray
) -> int:
    """One layer's events into the current; on integers a real input's current is rounded once per step."""
    edges = layer.neuron_connections
    target, flags = current, touched
    rounded = current.dtype == np.int64 and values.dtype == np.float64
    if rounded:
        target, weights = np.zeros(current.shape), weights.astype(np.float64)
    if edges.groups < touched.shape[2]:  # joined by a layer of more groups: its flags spread over the finer ones
        flags = np.zeros((*touched.shape[:2], edges.groups), np.uint8)
    group_size = edges.in_channels // edges.groups
    done: int = scatter(values, delay, edges.starts, edges.outs, edges.taps, group_size, weights, target, flags)
    if rounded:
        current += np.rint(target).astype(np.int64)
    if flags is not touched:
        touched |= np.repeat(flags, touched.shape[2] // edges.groups, axis=2)
    return done


def _check_layer(layer: Layer, parameters: Mapping[str, LayerParameters]) -> None:
    if layer.name not in parameters:
        raise InvalidInput(f"layer {layer.name!r}: no parameters given; known: {', '.join(parameters) or 'none'}")
    if layer.gate is not None:
        raise InvalidInput(
            f"layer {layer.name!r}: has a {layer.gate} gate; fold it into threshold and leak and set gate to None "
            f"(a live gate cannot be folded: freeze it first)"
        )
    if layer.delay:
        raise InvalidInput(f"layer {layer.name!r}: self-connections cannot be replayed; only feed-forward layers can")


def _check_range(item: Population, number: FixedPoint, threshold: NDArray, reset: int) -> None:
    """A threshold that the state cannot exceed would silence the layer without a word."""
    spiking = NEURON_MODELS[str(item.layer.neuron)].spikes
    if spiking and (threshold >= number.highest).any():
        raise InvalidInput(
            f"layer {item.name!r}: its threshold {threshold.max() * 2.0**-number.frac_bits:g} is out of reach of a state "
            f"of {number.state_bits} bits with {number.frac_bits} after the point; take fewer frac_bits, or scale weights "
            f"and threshold down together"
        )
    if not number.lowest <= reset <= number.highest:
        raise InvalidInput(f"layer {item.name!r}: reset does not fit a state of {number.state_bits} bits")


def _per_channel(value: ArrayLike, steps: int, channels: int, what: str) -> NDArray[np.float64]:
    """(1 or steps, channels) from one number, one per channel, or (steps, 1 or channels)."""
    values = np.asarray(value, np.float64)
    if values.shape not in ((), (channels,), (steps, channels), (steps, 1)):
        raise InvalidInput(
            f"{what} is {values.shape}; it must be one number, ({channels},) by channel, or ({steps}, {channels}) by step"
        )
    rows = values if values.ndim == 2 else values.reshape(1, -1)
    return np.ascontiguousarray(np.broadcast_to(rows, (len(rows), channels)))


def _whole(values: NDArray, frac_bits: int) -> NDArray[np.int64]:
    scaled = np.rint(np.asarray(values, np.float64) * 2.0**frac_bits)
    if np.abs(scaled).max(initial=0) >= 2.0**53:
        raise InvalidInput(f"a parameter is too large for {frac_bits} bits after the point")
    return scaled.astype(np.int64)


def _plain(inputs: NDArray) -> NDArray:
    """(steps, samples, n): bytes for spikes, int64 for other integers, float64 for real numbers."""
    flat = inputs.reshape(*inputs.shape[:2], -1)
    if flat.dtype.kind == "f":
        return flat.astype(np.float64)
    small = flat.dtype == np.bool_ or (flat.size and 0 <= flat.min() and flat.max() <= 255)
    return flat.astype(np.uint8 if small else np.int64)
