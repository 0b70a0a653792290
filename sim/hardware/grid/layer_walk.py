"""One layer after the other on a grid: what each does, the signals it moves, its time; batches spread over inferences.

What a layer does is the machine's own business (`event_scatter`, `dense_array`); how signals are charged between
layers, and how hardware batches become single inferences, is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...counting.layer_counts import Counts
from ...counting.operations import LayerOperations, OperationCounts
from ...network.workload import INPUT, Layer
from ..architecture import Grid
from .load_sharing import Sharing
from .placement import Placement
from .shared_actions import OMITTED, Actions, Amounts, Key
from .spike_buffers import SpikeTraffic, spike_traffic
from .weightless_layers import omitted


class Work(Protocol):
    """One layer at work on a machine."""

    def actions(self) -> Actions:
        """Everything but the signals it reads and writes, of a hardware batch."""

    @property
    def input_words(self) -> Sequence[Counts]:
        """Words read of each of its sources, by one inference."""

    def seconds(self, actions: Mapping[tuple[str, str], Amounts]) -> NDArray[np.float64]:
        """Time per step and sample, for a hardware batch that does all this."""


# a layer, its counts, the signals it reads, and all signals -> the layer at work
WorkOn = Callable[[Layer, LayerOperations, list[SpikeTraffic], Mapping[str, SpikeTraffic]], Work]


def walk_layers(
    operations: OperationCounts, grid: Grid, placement: Placement, work_on: WorkOn, left_out: dict[str, str]
) -> tuple[dict[Key, Counts], dict[str, NDArray[np.float64]], dict[str, str]]:
    """Action counts per inference, seconds per layer, and what is left out: ``left_out`` and what every grid omits."""
    workload, batch = operations.workload, grid.hardware_batch
    sharing = Sharing(workload, grid, placement, (operations.steps, operations.samples))
    counts: dict[Key, Counts] = {}  # of a whole batch, until the end
    seconds: dict[str, NDArray[np.float64]] = {}
    buffers = spike_traffic(operations, grid)
    buffers[INPUT].charge(counts, INPUT, "write", batch * buffers[INPUT].words)
    for layer in workload.layers:
        sources = [buffers[name] for name in layer.sources]
        work = work_on(layer, operations.layers[layer.name], sources, buffers)
        for (component, action), value in work.actions().items():
            counts[layer.name, component, action] = value
        for source, moved in zip(sources, work.input_words, strict=True):
            source.charge(counts, layer.name, "read", batch * moved)
        if layer.name in buffers:
            buffers[layer.name].charge(counts, layer.name, "write", batch * buffers[layer.name].words)
        seconds[layer.name] = work.seconds(sharing.actions(counts, layer.name))
    return sharing.per_inference(counts), seconds, OMITTED | left_out | sharing.omitted | omitted(workload)
