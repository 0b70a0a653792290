"""Graded signals on machines that deliver a value n as n unit events (docs/definitions.md, 2).

A count of operations holds both readings side by side, value by value and unit event by unit event; which of them a
machine executes is its own ``graded: value | events``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..network.layers import Layer
from ..network.merging_layers import Add
from ..trace.packing import Words
from .layer_counts import SynapticCounts, count_packed, count_planes

if TYPE_CHECKING:
    from .operations import LayerOperations, OperationCounts

Counts = NDArray[np.int64]  # (steps, samples)


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


def as_delivered(operations: OperationCounts, graded: str) -> OperationCounts:
    """Operation counts as a machine executes them: with ``events``, pairs and signals of graded values count n times.

    Raises
    ------
    InvalidInput
        With ``events``, for counts that do not know the values, such as random spikes, and for what `check_units`
        refuses.
    """
    if graded == "value":
        return operations
    for layer in operations.workload.layers:
        check_units(layer)
    layers = {name: _delivered(name, operations) for name in operations.layers}
    input_events = operations.unit_events.get("input", operations.input_events)
    return replace(operations, layers=layers, input_events=input_events)


def _delivered(name: str, operations: OperationCounts) -> LayerOperations:
    layer, own = operations.workload.layer(name), operations.layers[name]
    if reads_graded(layer) and own.units is None:
        raise InvalidInput(
            f"layer {name!r} reads graded values, and this machine takes them as unit events (graded: events), but "
            f"how large they are is not in these counts; count a recorded trace, or set graded to value"
        )
    return replace(own, synaptic=own.units or own.synaptic, spikes=operations.unit_events.get(name, own.spikes))


def check_units(layer: Layer) -> None:
    """Refuse a layer that needs whole values, which a machine that delivers unit events never has."""
    if not reads_graded(layer):
        return
    if layer.operation == "compare" or (isinstance(layer, Add) and layer.output_kind == "analog"):
        what = "takes the largest of" if layer.operation == "compare" else "adds real numbers to"
        raise InvalidInput(
            f"layer {layer.name!r} {what} graded values, which a machine with graded: events never holds whole; set "
            f"graded to value"
        )


def joins_lists(layer: Layer, graded: str) -> bool:
    """Whether a sum of signals is only their unit events one after the other, with nothing to add."""
    return graded == "events" and isinstance(layer, Add) and layer.mode == "graded" and layer.neuron is None
