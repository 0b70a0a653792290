"""Graded signals counted as unit events: each value n as n events of one (docs/definitions.md, 2).

A count of operations holds both readings side by side, value by value and unit event by unit event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ..network.fan_out import Words
from ..network.layers import Layer
from .layer_counts import Counts, SynapticCounts, count_packed, count_planes


def reads_graded(layer: Layer) -> bool:
    """Whether any signal that a layer reads is graded."""
    return any(kind == "graded" for _, _, kind in layer.reads)


def unit_events(planes: Iterable[Words]) -> Counts:
    """Sum of the values of a graded signal, int64 (steps, samples), from its bit planes, least significant first."""
    parts = (np.bitwise_count(words).sum(axis=-1, dtype=np.int64) << plane for plane, words in enumerate(planes))
    return np.asarray(sum(parts), np.int64)


def count_units(layer: Layer, *signals: Iterable[Words]) -> SynapticCounts:
    """Count a layer that reads graded signals, each value n as n unit events.

    Parameters
    ----------
    layer : Layer
    *signals : iterables of uint64 arrays (steps, samples, words)
        Per signal of ``layer.sources`` its bit planes, least significant first; one plane for a signal of another kind.

    Returns
    -------
    SynapticCounts
        Sums of n over the pairs. A layer that counts itself (merges, maxima) keeps its operations by value, for unit
        events need none (see `check_units`); its events are unit events.
    """
    if not layer.counts_itself:
        return count_planes(layer, signals[0])
    planes = [list(signal) for signal in signals]
    values = count_packed(layer, *(np.bitwise_or.reduce(signal) for signal in planes))
    return replace(values, events=np.sum([unit_events(signal) for signal in planes], axis=0))
