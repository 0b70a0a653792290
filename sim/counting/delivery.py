"""Which reading of graded values a machine executes: its own ``graded: value | events`` (docs/definitions.md, 2)."""

from __future__ import annotations

from dataclasses import replace

from ..errors import InvalidInput
from ..network.layers import Layer
from ..network.merging_layers import Add
from .graded import reads_graded
from .operations import LayerOperations, OperationCounts


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
