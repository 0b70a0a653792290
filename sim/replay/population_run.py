"""One sample through one population: the currents of all its branches, the live gate, the neurons, step after step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.layers import Layer
from .neuron_kernels import ROUNDINGS, scatter, update_fixed, update_real
from .parameters import FixedPoint, Prepared
from .populations import Population


@dataclass(frozen=True, eq=False)
class Runs:
    """What one population does in every sample: arrays (steps, samples, neurons); those not wanted have no steps."""

    spikes: NDArray[np.uint8]
    potentials: NDArray[np.float64]
    updated: NDArray[np.uint8]
    saturated: NDArray[np.int64]
    last: NDArray[np.float64]

    @classmethod
    def empty(cls, item: Population, shape: tuple[int, ...], potentials: bool, updated: bool) -> Runs:
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


def run_sample(own: Prepared, signals: Mapping[str, NDArray], delay: int, runs: Runs, sample: int) -> int:
    """One sample through the population, into ``runs``; returns its synaptic operations.

    ``signals`` (steps, samples, inputs) holds what its layers read, but for its own spikes.
    """
    branches = list(zip(own.item.synapses, own.weights, strict=True))
    back = [(layer, weights) for layer, weights in branches if layer.delay]
    sources = [(layer, weights, signals[layer.source][:, sample]) for layer, weights in branches if not layer.delay]
    current, touched, done = _current(own, sources, delay, whole_channels=bool(back))
    state = np.zeros(current.shape[1:], current.dtype)
    if not back:
        _update(own, state, current, touched, slice(None), runs, sample)
    else:
        for step in range(len(current)):
            now = slice(step, step + 1)
            if step:  # the spikes of the step before, whatever the delay between layers
                emitted = runs.spikes[step - 1 : step, sample]
                done += _add_back(own, back, emitted, current[now], touched[now])
            _update(own, state, current[now], touched[now], now, runs, sample)
    runs.last[sample] = state.T.ravel()
    if isinstance(own.number, FixedPoint):
        unit = 2.0**-own.number.frac_bits
        runs.potentials[:, sample] *= unit
        runs.last[sample] *= unit
    return done


def _current(
    own: Prepared, sources: Sequence[tuple[Layer, NDArray, NDArray]], delay: int, *, whole_channels: bool
) -> tuple[NDArray, NDArray[np.uint8], int]:
    """What the branches bring in, own layer first; each may see the neurons as channels and positions of its own.

    Where events arrived is by channel if there are several branches or ``whole_channels``, else by group of channels.
    """
    fixed, shape = isinstance(own.number, FixedPoint), own.item.layer.neuron_shape
    parts = [
        _branch(layer, weights, np.ascontiguousarray(values), delay, fixed=fixed) for layer, weights, values in sources
    ]
    current, touched, done = parts[0]
    if len(parts) == 1 and current.shape[2] == shape[0] and not whole_channels:
        return current, touched, done
    touched = np.ascontiguousarray(_arranged(_by_channel(touched, current), shape))
    current = np.ascontiguousarray(_arranged(current, shape))
    for more, flags, events in parts[1:]:
        current += _arranged(more, shape)
        touched |= _arranged(_by_channel(flags, more), shape)
        done += events
    return current, touched, done


def _add_back(
    own: Prepared, back: Sequence[tuple[Layer, NDArray]], emitted: NDArray, current: NDArray, touched: NDArray
) -> int:
    """Add the self-connections' current of one step; returns its synaptic operations."""
    fixed, shape, done = isinstance(own.number, FixedPoint), own.item.layer.neuron_shape, 0
    for layer, weights in back:
        more, flags, events = _branch(layer, weights, emitted, 0, fixed=fixed)
        current += _arranged(more, shape)
        touched |= _arranged(_by_channel(flags, more), shape)
        done += events
    return done


def _update(
    own: Prepared, state: NDArray, current: NDArray, touched: NDArray, steps: slice, runs: Runs, sample: int
) -> None:
    """Gate and neurons at some steps, whose current it is given; ``state`` holds the potentials before and after."""
    leak, threshold, bias = (_at(values, steps) for values in (own.leak, own.threshold, own.bias))
    saturated = runs.saturated[steps, sample]
    if own.gain is not None:
        current = _gated(own, _at(own.gain, steps), current + bias[:, None, :], saturated)
        touched[...] = 1
        bias = np.zeros_like(bias[:1])
    rule = own.spiking, str(own.item.layer.neuron).endswith("soft"), own.reset
    common = (state, current, touched, leak, threshold, bias, rule)
    at = steps, sample
    spikes, potentials, updated = runs.spikes[at], runs.potentials[at], runs.updated[at]
    if isinstance(own.number, FixedPoint):
        number = own.number
        limits = number.lowest, number.highest, number.leak_bits, ROUNDINGS[number.leak_rounding]
        update_fixed(*common, limits, spikes, potentials, updated, saturated)
    else:
        bits = own.number.leak_frac_bits
        update_real(*common, 0.0 if bits is None else 2.0**bits, spikes, potentials, updated)


def _at(values: NDArray, steps: slice) -> NDArray:
    """Rows of parameters that are given once for all steps, or by step."""
    return values if len(values) == 1 else values[steps]


def _gated(own: Prepared, alpha: NDArray[np.float64], driven: NDArray, saturated: NDArray[np.int64]) -> NDArray:
    """The current (steps, positions, channels) of one sample, which includes the bias, behind its live gate."""
    if isinstance(own.number, FixedPoint):
        cut = driven.clip(own.number.lowest, own.number.highest)
        saturated += (cut != driven).sum(axis=(1, 2))
        driven = cut
    over = 1 if own.item.layer.gate_axes == "channel" else (1, 2)
    mean = (driven * own.unit).mean(axis=over, keepdims=True)
    # alpha x sigmoid(mean), written so that no mean overflows
    gated = alpha[:, None, None] * (0.5 + 0.5 * np.tanh(0.5 * mean)) * driven
    return np.rint(gated).astype(np.int64) if isinstance(own.number, FixedPoint) else gated


def _branch(
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


def _by_channel(touched: NDArray, current: NDArray) -> NDArray:
    return np.repeat(touched, current.shape[2] // touched.shape[2], axis=2)


def _arranged(values: NDArray, shape: tuple[int, ...]) -> NDArray:
    """(steps, positions, channels) as one layer sees its outputs, as the positions and channels of the neurons."""
    steps = len(values)
    return values.transpose(0, 2, 1).reshape(steps, shape[0], -1).transpose(0, 2, 1)
