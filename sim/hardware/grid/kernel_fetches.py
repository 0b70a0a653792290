"""Weight words that events fetch where the weights of one output channel lie together (``kernel_major``).

Which taps of a kernel an event needs depends on where it is: all of them inside a map, fewer at a border, every other
one under a stride. How many words that is depends on the widths of weight and memory. So it is counted from the spikes
for one machine, and kept beside the operation counts, which no machine enters into.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from ...counting.layer_counts import delayed, sum_maps
from ...counting.operations import KernelWords, OperationCounts
from ...network.fan_out import decompose
from ...network.layers import Layer
from ...trace.spike_trace import SpikeTrace
from ..architecture import Architecture, Event, Grid


def needs_spikes(architecture: Architecture) -> bool:
    """Whether operation counts are not enough for a machine, which has to know where the spikes are."""
    return isinstance(architecture, Event) or fetches_kernels(architecture)


def fetches_kernels(architecture: Architecture) -> TypeGuard[Grid]:
    """Whether a machine scatters events whose weights lie in `kernel_major`."""
    if not isinstance(architecture, Grid):
        return False
    return architecture.dataflow.stationary == "scatter" and architecture.dataflow.weight_layout == "kernel_major"


def fetch_maps(layer: Layer, word_bits: int, lanes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words that an event fetches for its weights, and cycles of the lanes that add them, by its place in the input.

    Parameters
    ----------
    layer : Layer
        With weights.
    word_bits : int
        Of the weight memory.
    lanes : int
        Weights that are added per cycle.

    Returns
    -------
    words, cycles : int64 arrays (inputs,)
        Over all output channels that the element reaches.

    Notes
    -----
    The kernel of a pair of an input and an output channel starts at a word, and its weights follow each other, the
    last axis fastest: tap t takes bits ``t b`` to ``t b + b - 1``. An event reads, for every output channel, each word
    that holds part of a tap in range, once. Cycles: the taps of one output channel after those of another. Ours; the
    room that the start at a word leaves empty is not counted in capacities.

    Examples
    --------
    >>> from spikejoule.sim.network.workload import Conv2d
    >>> layer = Conv2d(name="conv", in_shape=(1, 3, 3), out_channels=2, kernel_size=3, padding=1)
    >>> fetch_maps(layer, 64, 16)[0].reshape(3, 3)  # 32-bit weights, two a word: 9 taps in the middle are 5 words
    array([[ 6,  6,  6],
           [ 8, 10, 10],
           [ 6,  8,  6]])
    """
    edges, bits = layer.connections, int(layer.weight_bits or 0)
    positions = np.repeat(np.arange(edges.in_positions), np.diff(edges.starts))
    needed = np.zeros((edges.in_positions, int(edges.taps.max(initial=0)) + 1), bool)
    needed[positions, edges.taps] = True
    patterns, of_position = np.unique(needed, axis=0, return_inverse=True)
    words = np.array([_words(np.flatnonzero(taps), bits, word_bits) for taps in patterns], np.int64)
    cycles = -(-patterns.sum(axis=1, dtype=np.int64) // lanes)
    by_position = (layer.run_length * each[of_position.ravel()] for each in (words, cycles))
    fetched, busy = (np.tile(each, edges.in_channels) for each in by_position)
    return fetched, busy


def _words(taps: NDArray[np.int64], bits: int, word_bits: int) -> int:
    """Distinct words that hold some taps of a kernel whose first weight starts a word."""
    first, last = taps * bits // word_bits, (taps * bits + bits - 1) // word_bits
    spans = [np.arange(start, stop + 1) for start, stop in zip(first.tolist(), last.tolist(), strict=True)]
    return len(np.unique(np.concatenate(spans))) if spans else 0


def with_kernel_words(trace: SpikeTrace, operations: OperationCounts, grid: Grid) -> OperationCounts:
    """Counts of a trace with the words and cycles of `fetch_maps` of every layer, for one `kernel_major` machine.

    Counts that have them already, for the same widths, come back as they are.
    """
    memory, lanes = grid.levels("weight")[0], grid.compute.width
    layers = dict(operations.layers)
    for layer in operations.workload.layers:
        known = layers[layer.name].kernels
        wanted = (int(layer.weight_bits or 0), memory.word_bits, lanes)
        if not layer.weights or (known is not None and known.made_for == wanted):
            continue
        fetched, busy = fetch_maps(layer, memory.word_bits, lanes)
        maps = decompose(fetched), decompose(busy)
        counts = np.zeros((2, trace.steps, trace.samples), np.int64)
        for samples, steps in trace.blocks(layer.source):
            sums, _ = sum_maps(trace.packed(layer.source, samples, steps), maps)
            counts[:, steps, samples] = sums
        words, cycles = (delayed(each, layer.delay) for each in counts)
        kernels = KernelWords(wanted, words, cycles, int(fetched.sum()), int(busy.sum()))
        layers[layer.name] = replace(layers[layer.name], kernels=kernels)
    return replace(operations, layers=layers)
