"""Compiled loops that visit every spike: neurons touched, traffic between cores, spike times. Serial, lock free."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..network.connections import Ints
from ..network.fan_out import Words
from .popcount_kernels import lowest_bit


@njit(cache=True, nogil=True)
def touched_by_groups(
    words: Words, groups: int, in_channels: int, run: int, starts: Ints, outs: Ints, out_positions: int, out: Words
) -> None:
    """Neurons that each row of spikes reaches, set in ``out`` (rows, words of neurons), which comes in as zeros.

    No weight is zero, so a group's spikes at one position reach the same neurons, whatever their channel.
    """
    positions, per_group = starts.size - 1, in_channels // groups
    hit = np.zeros((groups, positions), np.uint8)
    reached = np.zeros(out_positions, np.uint8)
    for row in range(words.shape[0]):
        hit[:] = 0
        for index in range(words.shape[1]):
            word = words[row, index]
            while word:
                channel, position = divmod(64 * index + lowest_bit(word), positions)
                hit[channel // per_group, position] = 1
                word &= word - np.uint64(1)
        for group in range(groups):
            reached[:] = 0
            for position in range(positions):
                if hit[group, position]:
                    for edge in range(starts[position], starts[position + 1]):
                        reached[outs[edge]] = 1
            first = group * run * out_positions
            for position in range(out_positions):
                if reached[position]:
                    for bit in range(first + position, first + run * out_positions, out_positions):
                        out[row, bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)


@njit(cache=True, nogil=True)
def touched_through_weights(
    words: Words,
    groups: int,
    starts: Ints,
    outs: Ints,
    taps: Ints,
    nonzero: NDArray[np.uint8],
    out_positions: int,
    out: Words,
) -> None:
    """As `touched_by_groups`, through weights that are not zero: ``nonzero`` is (in channels, taps, run) uint8."""
    positions, per_group, run = starts.size - 1, nonzero.shape[0] // groups, nonzero.shape[2]
    reached = np.zeros((out_positions, groups * run), np.uint8)
    for row in range(words.shape[0]):
        reached[:] = 0
        for index in range(words.shape[1]):
            word = words[row, index]
            while word:
                channel, position = divmod(64 * index + lowest_bit(word), positions)
                first = channel // per_group * run
                for edge in range(starts[position], starts[position + 1]):
                    target, weights = reached[outs[edge]], nonzero[channel, taps[edge]]
                    for channel_out in range(run):
                        target[first + channel_out] |= weights[channel_out]
                word &= word - np.uint64(1)
        for position in range(out_positions):
            for channel_out in range(groups * run):
                if reached[position, channel_out]:
                    bit = channel_out * out_positions + position
                    out[row, bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)


@njit(cache=True, nogil=True)
def core_fan_out(
    groups: int,
    in_channels: int,
    run: int,
    starts: Ints,
    outs: Ints,
    taps: Ints,
    nonzero: NDArray[np.uint8],
    out_positions: int,
    cores: Ints,
    bounds: Ints,
    core: Ints,
    weights: Ints,
) -> None:
    """Synapses of every input on every core: those of input i are ``bounds[i]`` to ``bounds[i + 1] - 1``.

    Called twice: with empty ``core`` and ``weights`` it only fills ``bounds``. ``nonzero`` is empty where every weight
    counts.
    """
    positions, per_group = starts.size - 1, in_channels // groups
    synapses = np.zeros(cores.max() + 1, np.int64)
    filled = 0
    for channel in range(in_channels):
        first = channel // per_group * run
        for position in range(positions):
            synapses[:] = 0
            for edge in range(starts[position], starts[position + 1]):
                for channel_out in range(run):
                    if nonzero.size == 0 or nonzero[channel, taps[edge], channel_out]:
                        synapses[cores[(first + channel_out) * out_positions + outs[edge]]] += 1
            for index in range(synapses.size):
                if synapses[index]:
                    if core.size:
                        core[filled], weights[filled] = index, synapses[index]
                    filled += 1
            bounds[channel * positions + position + 1] = filled


@njit(cache=True, nogil=True)
def core_traffic(
    words: Words, source_cores: Ints, bounds: Ints, core: Ints, weights: Ints, spikes: Ints, events: Ints, packets: Ints
) -> None:
    """Per row: spikes by source core, synaptic events by target core, packets by (source, target), all int64 from 0."""
    for row in range(words.shape[0]):
        for index in range(words.shape[1]):
            word = words[row, index]
            while word:
                neuron = 64 * index + lowest_bit(word)
                source = source_cores[neuron]
                spikes[row, source] += 1
                for entry in range(bounds[neuron], bounds[neuron + 1]):
                    events[row, core[entry]] += weights[entry]
                    packets[row, source, core[entry]] += 1
                word &= word - np.uint64(1)


@njit(cache=True, nogil=True)
def spike_times(words: Words, per_neuron: Ints, histogram: Ints, intervals: Ints, silent: Ints) -> None:
    """Spike counts and intervals of ``words`` (steps, samples, words), added to int64 arrays.

    Parameters
    ----------
    per_neuron : (neurons,)
        Spikes of each neuron over all steps and samples.
    histogram : (steps + 1,)
        Pairs of a neuron and a sample by their number of spikes.
    intervals : (steps,)
        Pairs of consecutive spikes of one neuron in one sample by the steps between them.
    silent : (samples,)
        Neurons without a spike.
    """
    steps, samples, size = words.shape
    neurons = per_neuron.size
    counts = np.zeros(neurons, np.int64)
    last = np.zeros(neurons, np.int64)
    for sample in range(samples):
        counts[:] = 0
        for step in range(steps):
            for index in range(size):
                word = words[step, sample, index]
                while word:
                    neuron = 64 * index + lowest_bit(word)
                    if counts[neuron]:
                        intervals[step - last[neuron]] += 1
                    counts[neuron] += 1
                    last[neuron] = step
                    word &= word - np.uint64(1)
        for neuron in range(neurons):
            per_neuron[neuron] += counts[neuron]
            histogram[counts[neuron]] += 1
            silent[sample] += counts[neuron] == 0
