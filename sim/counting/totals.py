"""Totals of one layer from spikes turned round in memory: the fastest way when no per-sample figure is asked.

Turned round, a neuron's words hold its spikes over all steps and samples. Sorted by fan-out, neurons of one fan-out lie
side by side, and a total is one plain popcount per class: no mask, and zero weights cost nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InvalidInput
from ..network.connections import Ints
from ..network.fan_out import Words, words_per_row
from ..network.layers import Layer
from .popcount_kernels import segment_popcounts, transpose_bits


@dataclass(frozen=True)
class TurnedSpikes:
    """Packed spikes per neuron, neurons sorted by their fan-out in one layer.

    Attributes
    ----------
    words : uint64 array (neurons * ceil(rows / 64),)
    bounds : int64 array (classes + 1,)
        First word of each class of equal fan-out.
    nonzero_weights, all_weights : int64 array (classes,)
        Fan-out of each class.
    """

    words: Words
    bounds: Ints
    nonzero_weights: Ints
    all_weights: Ints


@dataclass(frozen=True)
class Totals:
    """Operations and events of a layer, summed over steps and samples; exact Python integers."""

    nonzero_weights: int
    all_weights: int
    events: int


def turn_spikes(layer: Layer, words: Words) -> TurnedSpikes:
    """Turn packed rows (steps, samples, words) round for one layer that counts by fan-out."""
    if layer.counts_itself or layer.delay:
        raise InvalidInput(f"layer {layer.name!r}: a {type(layer).__name__} is counted by count_packed alone")
    every = layer.fan_out().ravel()
    nonzero = every if layer.nonzero is None else layer.fan_out(skip_zero_weights=True).ravel()
    order = np.lexsort((every, nonzero))
    pairs = np.stack([nonzero[order], every[order]])
    starts = np.flatnonzero(np.diff(pairs, axis=1, prepend=-1).any(axis=0))
    ranks = np.empty(layer.inputs, np.int64)
    ranks[order] = np.arange(layer.inputs)
    rows = np.ascontiguousarray(words).reshape(words.shape[0] * words.shape[1], words.shape[2])
    turned = np.empty((layer.inputs, words_per_row(len(rows))), np.uint64)
    transpose_bits(rows, ranks, turned)
    bounds = np.append(starts, layer.inputs).astype(np.int64) * turned.shape[1]
    return TurnedSpikes(turned.ravel(), bounds, pairs[0, starts], pairs[1, starts])


def count_totals(spikes: TurnedSpikes) -> Totals:
    """Total operations of the layer that the spikes were turned round for."""
    bits = np.empty(len(spikes.bounds) - 1, np.int64)
    segment_popcounts(spikes.words, spikes.bounds, bits)
    events = int(bits.sum())
    return Totals(_dot(bits, spikes.nonzero_weights), _dot(bits, spikes.all_weights), events)


def _dot(bits: Ints, fan_outs: Ints) -> int:
    """Exact sum of products; a sum over a whole data set may leave an int64 where one step and sample cannot."""
    if int(bits.sum()) * int(fan_outs.max(initial=0)) < 2**63:
        return int(bits @ fan_outs)
    return sum(int(count) * int(fan_out) for count, fan_out in zip(bits, fan_outs, strict=True))
