"""Event scatter on a grid: every input event fetches its weight rows and adds them to the potentials they reach.

Layers that join a population scatter into its potentials, step by step with its own layer. Events of a skip path add to
one potential each and fetch no weight; those of self-connections are the spikes of the step before. With ``graded:
events`` a graded value n is n such events. With weights in `kernel_major` an event fetches the taps it needs of every
output channel's kernel; `kernel_fetches` counts those words. The inferences of a hardware batch share what comes from
outside the weight memory and nothing else (`load_sharing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ...counting.delivery import as_delivered
from ...counting.layer_counts import Counts, delayed
from ...counting.neuron_operations import multiplies_branch
from ...counting.operations import KernelWords, LayerOperations, OperationCounts
from ...errors import InvalidInput
from ...network.workload import Layer, Workload
from ..architecture import Grid, Memory
from .layer_walk import Work, walk_layers
from .placement import Placement, convolved_once, keeps_current, place
from .shared_actions import (
    Actions,
    Add,
    Amounts,
    Key,
    busy_seconds,
    check_layer,
    collector,
    executed,
    first_step_only,
    gain_loads,
    neuron_actions,
    state_type,
    synapse_actions,
    vector_reads,
    weight_loads,
    words,
)
from .spike_buffers import SpikeTraffic
from .weightless_layers import PassingOn, arrivals, rescales


def scatter_actions(
    operations: OperationCounts, grid: Grid
) -> tuple[dict[Key, Counts], dict[str, NDArray[np.float64]], dict[str, str]]:
    """Action counts, seconds per layer and what is left out, for a grid whose dataflow is ``scatter``."""
    workload = operations.workload
    for layer in workload.layers:
        check_layer(layer, workload, grid)
        _check_kernels(layer, grid)
    operations = as_delivered(operations, grid.dataflow.graded)
    placement = place(workload, grid, operations.steps)

    def work_on(
        layer: Layer, own: LayerOperations, sources: list[SpikeTraffic], signals: Mapping[str, SpikeTraffic]
    ) -> Work:
        if layer.neuron is None and layer.joins is None:
            states = placement.potential[layer.name]
            return PassingOn(layer, own, workload, grid, sources, states, signals[layer.name])
        return _LayerOnScatter(layer, own, workload, grid, sources, placement)

    pooling = {"pooling adds": "event scatter pools by address arithmetic into the pooled potential"}
    return walk_layers(operations, grid, placement, work_on, pooling)


def _check_kernels(layer: Layer, grid: Grid) -> None:
    flow = grid.dataflow
    if (
        layer.weights
        and layer.input_kind == "graded"
        and (flow.weight_layout, flow.graded) == ("kernel_major", "events")
    ):
        raise InvalidInput(
            f"layer {layer.name!r}: graded values as unit events are not counted for weights in kernel_major; set "
            f"graded: value, or weight_layout: tap_major"
        )


@dataclass(frozen=True)
class _LayerOnScatter:
    """One layer on an event-scatter grid: docs/definitions.md, 9, 13 and 14."""

    layer: Layer
    operations: LayerOperations
    workload: Workload
    grid: Grid
    sources: list[SpikeTraffic]
    placement: Placement
    shape: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.operations.synaptic.all_weights.shape)

    @property
    def input_words(self) -> list[Counts]:
        """A list of events is read as often as the layer's weights pass through the memory."""
        passes = self.placement.passes[self.layer.name]
        return [passes * delayed(source.words, self.layer.delay) for source in self.sources]

    @property
    def rows(self) -> Counts:
        """(event, tap) runs: each fetches one run of weights and touches one run of potentials."""
        return self._pairs(nonzero_only=False) // self._run

    @property
    def _run(self) -> int:
        """Targets of one run; without weights every event finds its targets one by one."""
        return self.layer.run_length if self.layer.weights else 1

    @property
    def _by_kernel(self) -> bool:
        return self.grid.dataflow.weight_layout == "kernel_major" and self.layer.weights > 0

    @property
    def _kernels(self) -> KernelWords:
        """What is fetched in `kernel_major`: for events or, where zeros of an analog input count, for all of it."""
        layer, found = self.layer, self.operations.kernels
        memory, bits = self.placement.weight, int(self.layer.weight_bits or 0)
        if found is None or found.made_for != (bits, memory.word_bits, self.grid.compute.width):
            raise InvalidInput(
                f"layer {layer.name!r}: what its events fetch of weights in kernel_major depends on where they are, so "
                f"counts are not enough: give this machine the trace itself, or set weight_layout: tap_major"
            )
        fetched, busy = found.words, found.cycles
        if layer.input_kind == "analog" and self.grid.compute.analog_zero == "dense":
            fetched, busy = np.full(self.shape, found.all_words), np.full(self.shape, found.all_cycles)
        if self._once:
            fetched, busy = first_step_only(fetched), first_step_only(busy)
        return replace(found, words=fetched, cycles=busy)

    def _pairs(self, *, nonzero_only: bool) -> Counts:
        dense = self.grid.compute.analog_zero == "dense"
        if self.layer.weights:
            pairs = executed(self.layer, self.operations.synaptic, dense=dense, nonzero_only=nonzero_only)
        else:
            pairs = arrivals(self.layer, self.operations.synaptic, dense=dense)
        return first_step_only(pairs) if self._once else pairs

    @property
    def _once(self) -> bool:
        """A branch too needs the held current of its population for that."""
        owner = self.workload.layer(self.layer.joins or self.layer.name)
        return all(convolved_once(x, self.workload, self.grid.dataflow.first_layer) for x in (self.layer, owner))

    def actions(self) -> Actions:
        result, add, together = collector(self.shape, self.grid.hardware_batch)
        pairs = self._pairs(nonzero_only=self.grid.compute.zero_weights == "skip")
        graded = self.grid.dataflow.graded
        synapse_actions(add, self.layer, self.workload, pairs, graded)
        if rescales(self.layer, self.workload, graded):
            add("synapse", f"multiply.{state_type(self.workload)}", pairs)
        self._weights(add, together)
        self._potentials(add)
        # pooling is address arithmetic; events are added to the potential itself unless a current is kept apart
        apart = keeps_current(self.layer, self.workload, self.grid)
        leave_out = {("pool", "add")} | (set() if apart else {("neuron", "add")})
        neuron_actions(add, self.operations, self.workload, leave_out)
        return result

    def _weights(self, add: Add, together: Add) -> None:
        memory, layer = self.placement.weight, self.layer
        if self._by_kernel:
            add(memory.name, "read", self._kernels.words)
        elif layer.weights:
            add(memory.name, "read", self.rows * words(layer.run_length, int(layer.weight_bits or 0), memory))
        vector_reads(add, layer, self.workload, memory, self.shape)
        loads, runs = np.ones(self.shape, np.int64), None
        run = 1 if self._by_kernel else layer.run_length  # in kernel_major: self-connections have one tap
        if self.grid.dataflow.time == "inner":
            if layer.name not in self.placement.every_step:
                loads = first_step_only(loads)
            elif layer.weights:  # for one step only, so the rows of its events and no others
                runs = self.grid.hardware_batch * self.rows * (layer.run_length // run)
        weight_loads(together, layer, self.workload, self.placement, loads, runs, run)
        gain_loads(together, layer, self.placement, self.grid, self.shape)

    def _potentials(self, add: Add) -> None:
        memory, bits = self.placement.potential[self.layer.name], self.workload.state_bits
        run = words(self._run, bits, memory)
        touched = self.rows * run if self.grid.dataflow.state_run == "cout" else self._pairs(nonzero_only=False)
        add(memory.name, "read", touched)
        add(memory.name, "write", touched)
        if multiplies_branch(self.layer):  # an array of its own: read to be rescaled, and cleared
            add(memory.name, "read", words(self.layer.neurons, bits, memory))
            add(memory.name, "write", words(self.layer.neurons, bits, memory))
        if self.layer.neuron is None:
            return
        sweep = self._sweep_words(memory, bits)
        add(memory.name, "read", sweep)
        add(memory.name, "write", sweep)
        if self.layer.gate == "live":  # the current array: one pass for the mean, one for the update, then cleared
            add(memory.name, "read", 2 * sweep)
            add(memory.name, "write", sweep)
        elif self._once:  # the held current is read again at every step; its scatter wrote it
            add(memory.name, "read", sweep)

    def _sweep_words(self, memory: Memory, bits: int) -> Counts:
        """One pass over all potentials: leak and threshold at every step; a readout is read once, at the end."""
        result = np.full(self.shape, words(self.layer.neurons, bits, memory), np.int64)
        if self.layer.neuron == "readout":
            result[:-1] = 0
        return result

    def seconds(self, actions: Mapping[tuple[str, str], Amounts]) -> NDArray[np.float64]:
        """Time per step and sample of a batch: the busiest of lanes and ports; phases of a live gate do not overlap."""
        batch = self.grid.hardware_batch
        cycles = self._kernels.cycles if self._by_kernel else self.rows * -(-self._run // self.grid.compute.width)
        busy = [batch * cycles]
        sweeps = 0
        if self.layer.neuron not in (None, "readout") or multiplies_branch(self.layer):
            sweeps = -(-batch * self.layer.neurons // self.grid.neuron.lanes)
            busy.append(np.full(self.shape, sweeps))
        return busy_seconds(self.grid, actions, busy, 2 * sweeps if self.layer.gate == "live" else 0)
