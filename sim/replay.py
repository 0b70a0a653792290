"""LIF and IF networks run again from a trace's input and parameters: event by event, without torch.

Why: machines charge a neuron update only where there was something to update, so potentials are needed; and an energy
at a narrow state is worth nothing without the accuracy and the spikes at that width (docs/definitions.md, 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dynamics import ROUNDINGS, scatter, update_fixed, update_real
from .errors import InvalidInput
from .layers import INPUT, Layer
from .parameters import FixedPoint, LayerParameters, Number, Prepared, Real
from .populations import Population, populations
from .workload import Workload


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
        Where the potential was not 0 before the step, an event arrived (even if the weights cancel), a bias was
        added or the neuron fired; behind a live gate, which touches every current, everywhere. Empty unless kept.
        Readouts included.
    saturated : mapping of layer to int64 array (steps, samples)
        Potentials, and currents before a live gate, that were cut to the range; zero in float64.
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
    number: Number | Mapping[str, Number] | None = None,
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
    number : Real or FixedPoint, or mapping of layer name to one of them, optional
        What potentials are kept in, of every population or of those named; float64 unless given.
    delay : {0, 1}
        Steps from a spike to the current it makes: 0 in deep-learning frameworks, 1 per layer on chips.
    keep_potentials, keep_updated : bool
        Whether to return these; float64 potentials take 64 times the memory of packed spikes.

    Returns
    -------
    ReplayResult

    Notes
    -----
    Per step ``u = leak u (+ rounding) + current + bias``; fires at ``u > threshold``; soft reset subtracts the
    threshold, hard reset overwrites. Potentials start at 0, so the leak of the first step has no effect. A readout
    only sums. A live gate multiplies ``current + bias`` by ``alpha[t] sigmoid(mean)``, mean over one sample and step,
    before the neuron (see `LayerParameters.gain`), so the batch never matters. Sums run in the order of the events, so
    float64 may differ from a framework's float32 in the last bits.

    Raises
    ------
    InvalidInput
        Missing or misshapen parameters, gates without their alpha or not folded, self-connections, values that do not
        fit the state.
    """
    numbers = number if isinstance(number, Mapping) else {x.name: number or Real() for x in workload.layers}
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
        own = Prepared.prepare(item, parameters, numbers.get(item.name, Real()), len(inputs))
        runs = _Runs.empty(item, inputs.shape[:2], keep_potentials, keep_updated)
        for sample in range(inputs.shape[1]):
            sources = [signals[layer.source][:, sample] for layer in item.synapses]
            operations += _run(own, sources, delay, runs, sample)
        runs.keep(item, kept)
        if own.spiking:
            signals[item.name] = runs.spikes
    scores = runs.spikes.sum(axis=0).astype(np.float64) if own.spiking else runs.last
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


def _current(own: Prepared, sources: list[NDArray], delay: int) -> tuple[NDArray, NDArray[np.uint8], int]:
    """What all layers of the population bring in; each may see the neurons as channels and positions of its own."""
    fixed, shape = isinstance(own.number, FixedPoint), own.item.layer.neuron_shape
    parts = [
        _scatter(layer, weights, np.ascontiguousarray(values), delay, fixed=fixed)
        for layer, weights, values in zip(own.item.synapses, own.weights, sources, strict=True)
    ]
    current, touched, done = parts[0]
    if len(parts) == 1 and current.shape[2] == shape[0]:
        return current, touched, done
    current = np.sum([_arranged(part, shape) for part, _, _ in parts], axis=0)
    flags = [np.repeat(part, whole.shape[2] // part.shape[2], axis=2) for whole, part, _ in parts]
    touched = np.bitwise_or.reduce([_arranged(part, shape) for part in flags])
    return np.ascontiguousarray(current), np.ascontiguousarray(touched), sum(part[2] for part in parts)


def _run(own: Prepared, sources: list[NDArray], delay: int, runs: _Runs, sample: int) -> int:
    """One sample through the population; returns its synaptic operations."""
    current, touched, done = _current(own, sources, delay)
    bias = own.bias
    if own.gain is not None:
        current = _gated(own, own.gain, current, runs.saturated[:, sample])
        touched[...] = 1
        bias = np.zeros_like(bias[:1])
    state = np.zeros(current.shape[1:], current.dtype)
    rule = own.spiking, str(own.item.layer.neuron).endswith("soft"), own.reset
    common = (state, current, touched, own.leak, own.threshold, bias, rule)
    outputs = runs.spikes[:, sample], runs.potentials[:, sample], runs.updated[:, sample]
    if isinstance(own.number, FixedPoint):
        number = own.number
        limits = number.lowest, number.highest, number.leak_bits, ROUNDINGS[number.leak_rounding]
        update_fixed(*common, limits, *outputs, runs.saturated[:, sample])
        unit = 2.0**-number.frac_bits
        runs.potentials[:, sample] *= unit
        runs.last[sample] = state.T.ravel() * unit
    else:
        bits = own.number.leak_frac_bits
        update_real(*common, 0.0 if bits is None else 2.0**bits, *outputs)
        runs.last[sample] = state.T.ravel()
    return done


def _gated(own: Prepared, alpha: NDArray[np.float64], current: NDArray, saturated: NDArray[np.int64]) -> NDArray:
    """The current (steps, positions, channels) of one sample, bias included, behind its live gate."""
    driven = current + own.bias[:, None, :]
    if isinstance(own.number, FixedPoint):
        cut = driven.clip(own.number.lowest, own.number.highest)
        saturated += (cut != driven).sum(axis=(1, 2))
        driven = cut
    over = 1 if own.item.layer.gate_axes == "channel" else (1, 2)
    mean = (driven * own.unit).mean(axis=over, keepdims=True)
    # alpha x sigmoid(mean), written so that no mean overflows
    gated = alpha[:, None, None] * (0.5 + 0.5 * np.tanh(0.5 * mean)) * driven
    return np.rint(gated).astype(np.int64) if isinstance(own.number, FixedPoint) else gated


def _scatter(
    layer: Layer, weights: NDArray, values: NDArray, delay: int, *, fixed: bool
) -> tuple[NDArray, NDArray[np.uint8], int]:
    """One layer's current (steps, positions, channels), where events arrived (steps, positions, groups), operations.

    On integers a real input's current is rounded once per step.
    """
    edges = layer.neuron_connections
    whole = fixed and values.dtype != np.float64
    shape = len(values), edges.out_positions
    current = np.zeros((*shape, edges.out_channels), np.int64 if whole else np.float64)
    touched = np.zeros((*shape, edges.groups), np.uint8)
    group_size = edges.in_channels // edges.groups
    weights = weights.astype(current.dtype, copy=False)
    done = scatter(values, delay, edges.starts, edges.outs, edges.taps, group_size, weights, current, touched)
    return np.rint(current).astype(np.int64) if fixed and not whole else current, touched, int(done)


def _arranged(values: NDArray, shape: tuple[int, ...]) -> NDArray:
    """(steps, positions, channels) as one layer sees its outputs, as the positions and channels of the neurons."""
    steps = len(values)
    return values.transpose(0, 2, 1).reshape(steps, shape[0], -1).transpose(0, 2, 1)


def _plain(inputs: NDArray) -> NDArray:
    """(steps, samples, n): bytes for spikes, int64 for other integers, float64 for real numbers."""
    flat = inputs.reshape(*inputs.shape[:2], -1)
    if flat.dtype.kind == "f":
        return flat.astype(np.float64)
    small = flat.dtype == np.bool_ or (flat.size and flat.min() >= 0 and flat.max() <= 255)
    return flat.astype(np.uint8 if small else np.int64)
