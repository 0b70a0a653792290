"""Compiled loops of the replay: scatter events into currents, then update the neurons of one population.

Currents are ``(steps, positions, channels)``, channels innermost, so that one event adds one contiguous row of weights
at every output position it reaches. Signals are ``(steps, channels x positions)``, as traces keep them.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..network.connections import Ints

Reals = NDArray[np.float64]
Values = NDArray[np.generic]  # float64 or int64, as the state is; those of signals also narrower
Flags = NDArray[np.uint8]
ROUNDINGS = {"floor": 0, "nearest": 1, "toward_zero": 2}


@njit(cache=True, nogil=True)
def scatter(
    values: Values,
    delay: int,
    starts: Ints,
    outs: Ints,
    taps: Ints,
    group_size: int,
    weights: Values,
    current: Values,
    touched: Flags,
) -> int:
    """Add the events of one sample to a population's current; returns the synaptic operations done.

    ``values`` (steps, inputs); ``weights`` (input channel, tap, output channel of the group); ``current`` (steps,
    positions, channels); ``touched`` (steps, positions, groups) is set where an event arrives, whatever its weights.
    """
    steps = values.shape[0] - delay
    positions = starts.size - 1
    channels, run = weights.shape[0], weights.shape[2]
    done = 0
    for step in range(steps):
        for channel in range(channels):
            group = channel // group_size
            first = group * run
            for position in range(positions):
                value = values[step, channel * positions + position]
                if value == 0:
                    continue
                done += (starts[position + 1] - starts[position]) * run
                for edge in range(starts[position], starts[position + 1]):
                    out = outs[edge]
                    touched[step + delay, out, group] = 1
                    row = weights[channel, taps[edge]]
                    target = current[step + delay, out, first : first + run]
                    for index in range(run):
                        target[index] += value * row[index]
    return done


@njit(cache=True, nogil=True)
def update_real(
    state: Reals,
    current: Reals,
    touched: Flags,
    leak: Reals,
    threshold: Reals,
    bias: Reals,
    rule: tuple[bool, bool, float],
    grid: float,
    spikes: Flags,
    potentials: Reals,
    updated: Flags,
) -> None:
    """Neurons of one sample in float64. ``rule`` is (spikes at all, soft reset, reset value); ``grid`` 0: no rounding.

    ``state`` (positions, channels) holds the potentials before and after. ``leak``, ``threshold`` and ``bias`` are
    (1 or steps, channels); the outputs ``spikes``, ``potentials`` and
    ``updated`` are (steps, channels x positions), the last two may have no rows.
    """
    steps, positions, channels = current.shape
    spiking, soft, reset = rule
    run = channels // touched.shape[2]
    for step in range(steps):
        at_leak, at_threshold, at_bias = step % len(leak), step % len(threshold), step % len(bias)
        for position in range(positions):
            for channel in range(channels):
                before = state[position, channel]
                value = before * leak[at_leak, channel]
                if grid > 0:
                    value = np.trunc(value * grid) / grid
                constant = bias[at_bias, channel]
                value += current[step, position, channel] + constant
                level = threshold[at_threshold, channel]
                fires = spiking and value > level
                if fires:
                    value = value - level if soft else reset
                state[position, channel] = value
                neuron = channel * positions + position
                spikes[step, neuron] = fires
                if len(potentials) > 0:
                    potentials[step, neuron] = value
                if len(updated) > 0:
                    event = touched[step, position, channel // run] != 0
                    updated[step, neuron] = before != 0 or event or fires or constant != 0


@njit(cache=True, nogil=True)
def update_fixed(
    state: Ints,
    current: Ints,
    touched: Flags,
    leak: Ints,
    threshold: Ints,
    bias: Ints,
    rule: tuple[bool, bool, float],
    number: tuple[int, int, int, int],
    spikes: Flags,
    potentials: Reals,
    updated: Flags,
    saturated: Ints,
) -> None:
    """As `update_real`, on integers that saturate; ``number`` is (lowest, highest, bits of the leak, its rounding).

    ``saturated`` (steps,) counts the neurons whose potential was cut at either end.
    """
    steps, positions, channels = current.shape
    spiking, soft, reset = rule
    lowest, highest, shift, rounding = number
    run = channels // touched.shape[2]
    half = (np.int64(1) << shift) >> 1
    for step in range(steps):
        at_leak, at_threshold, at_bias = step % len(leak), step % len(threshold), step % len(bias)
        for position in range(positions):
            for channel in range(channels):
                before = state[position, channel]
                product = before * leak[at_leak, channel]
                if rounding == 1:
                    product += half
                value = -(-product >> shift) if rounding == 2 and product < 0 else product >> shift
                constant = bias[at_bias, channel]
                exact = value + current[step, position, channel] + constant
                value = min(max(exact, lowest), highest)
                level = threshold[at_threshold, channel]
                fires = spiking and value > level
                if fires:
                    value = min(max(value - level, lowest), highest) if soft else reset
                saturated[step] += exact < lowest or exact > highest
                state[position, channel] = value
                neuron = channel * positions + position
                spikes[step, neuron] = fires
                if len(potentials) > 0:
                    potentials[step, neuron] = value
                if len(updated) > 0:
                    event = touched[step, position, channel // run] != 0
                    updated[step, neuron] = before != 0 or event or fires or constant != 0
