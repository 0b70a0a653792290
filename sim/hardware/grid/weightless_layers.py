"""What scatter and dense machines do with layers without weights: skip paths, merges, pooling and copies of signals.

Such a layer either adds to a population (it feeds neurons, or joins another layer's current) or passes a signal on:

- Adding, on scatter: every event adds to the potentials it reaches, one state read and written each, no weight fetched.
- Adding, on a dense array: the map is read beside the sums that leave the array, and added by the neuron lanes. No
  current is stored for it.
- Passing on: the lanes of the neurons read the sources and write a new map. A merge takes one operation for each
  further value of an element. Pooling windows on scatter are kept as states, one read and write per event and window,
  and read out and cleared at every step; on a dense array a window is read whole, no line buffer in between, and needs
  no state. Copies (concatenation, up-sampling, an identity) take no operation: addresses are arithmetic.

What an array does about zeros (``compute.zero``) holds here too: ``dense`` works on every element, ``gate`` and
``skip`` on non-zero ones. Widths: values between signals are small integers, priced by the smallest of int8, int16 and
int32 that holds the largest; real numbers by the state. The and and the or of two spikes are the smaller and the larger
of two values, so both are comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...counting.delivery import joins_lists
from ...counting.layer_counts import Counts, SynapticCounts
from ...counting.operations import LayerOperations
from ...network.merging_layers import Add as Merging
from ...network.pooling_layers import PoolingLayer
from ...network.workload import NEURON_MODELS, Layer, Workload
from ..architecture import Grid, Memory
from .placement import Placement, branch_constants
from .shared_actions import (
    Actions,
    Add,
    Amounts,
    busy_seconds,
    collector,
    first_step_only,
    gain_loads,
    neuron_actions,
    state_type,
    vector_reads,
    weight_loads,
    words,
)
from .spike_buffers import SpikeTraffic

ONES = ("spike", "signed_spike")  # kinds whose values are 0 and +-1: adding a factor times a value takes no multiply


def arrivals(layer: Layer, synaptic: SynapticCounts, *, dense: bool) -> Counts:
    """Values that a layer without weights adds to its targets, per step and sample: (event, target) pairs.

    ``dense``: zeros of analog signals are values like any other.
    """
    every = dense and any(kind == "analog" for _, _, kind in layer.reads)
    if layer.counts_itself:  # one target for each element of each signal
        return np.full_like(synaptic.events, _all_arrivals(layer)) if every else synaptic.events
    return np.full_like(synaptic.events, layer.dense) if every else synaptic.all_weights


def _all_arrivals(layer: Layer) -> int:
    """(element, target) pairs of one step, whatever their values."""
    if isinstance(layer, PoolingLayer):
        return layer.window_inputs
    return sum(math.prod(shape) for _, shape, _ in layer.reads) if layer.counts_itself else layer.dense


def rescales(layer: Layer, workload: Workload, graded: str = "value") -> bool:
    """Whether each value is multiplied by a factor before it is added; a factor times 0 or +-1 is added as it is."""
    ones = (*ONES, "graded") if graded == "events" else ONES
    if all(kind in ones for _, _, kind in layer.reads):
        return False
    factor = branch_constants(layer, workload) > 0
    if layer.weights:  # +-1 weights beside a factor; integer ones are rescaled after the sum
        return factor and layer.operation == "add_subtract"
    return factor or (isinstance(layer, PoolingLayer) and layer.scale == "explicit")


def omitted(workload: Workload) -> dict[str, str]:
    """What the rules of layers without weights and of branches leave out, where a network has such layers."""
    found = {}
    if any(not layer.weights for layer in workload.layers):
        found["addresses of merges and copies"] = "merging, joining and copying lists of events is address arithmetic"
    if any(branch_constants(layer, workload) for layer in workload.layers):
        found["factors of branches"] = "read once per step and kept beside the lanes; no price for such registers"
    return found


@dataclass(frozen=True)
class Elementwise:
    """A layer without weights on a machine, worked by the lanes of the neurons: what both roles below share.

    ``sources`` are the signals it reads; ``states`` is the memory of its windows or potentials.
    """

    layer: Layer
    operations: LayerOperations
    workload: Workload
    grid: Grid
    sources: list[SpikeTraffic]
    states: Memory

    @property
    def shape(self) -> tuple[int, int]:
        steps, samples = self.operations.synaptic.events.shape
        return steps, samples

    @property
    def _scatters(self) -> bool:
        return self.grid.dataflow.stationary == "scatter"

    def _worked_on(self, every: int, nonzero: Counts) -> Counts:
        """Operations on all elements, or on non-zero ones, by what the machine does about zeros."""
        compute = self.grid.compute
        analog = any(kind == "analog" for _, _, kind in self.layer.reads)
        if compute.zero == "dense" or (analog and compute.analog_zero == "dense"):
            return np.full(self.shape, every, np.int64)
        return nonzero

    @property
    def input_words(self) -> list[Counts]:
        """Words read of each source: lists of events or, on an array that does not skip, whole maps or windows."""
        found = []
        for source, (_, shape, _) in zip(self.sources, self.layer.reads, strict=True):
            elements = self.layer.window_inputs if isinstance(self.layer, PoolingLayer) else math.prod(shape)
            streamed = np.broadcast_to(source.run_words(elements), self.shape)
            if self._scatters:
                found.append(source.words)
            else:
                found.append(np.minimum(source.words, streamed) if self.grid.compute.zero == "skip" else streamed)
        return found

    @property
    def _lane_cycles(self) -> Counts:
        """Cycles of the lanes for a hardware batch: an element each, all of them where zeros are not skipped."""
        elements = np.full(self.shape, _all_arrivals(self.layer), np.int64)
        if self._scatters or self.grid.compute.zero == "skip":
            elements = np.minimum(elements, self._touched)
        return -(-self.grid.hardware_batch * elements // self.grid.neuron.lanes)

    @property
    def _touched(self) -> Counts:
        """(Value, target) pairs. A window with n candidates for its maximum takes n - 1 comparisons, and passes one on.

        A zero that stands for the others of a window counts as one where values may be negative: an upper bound by one
        per window.
        """
        synaptic, spikes = self.operations.synaptic, self.operations.spikes
        if self.layer.operation == "compare" and spikes is not None:
            return self._worked_on(_all_arrivals(self.layer), synaptic.all_weights + spikes)
        return arrivals(self.layer, synaptic, dense=self.grid.compute.analog_zero == "dense")


@dataclass(frozen=True)
class PassingOn(Elementwise):
    """A layer that reads signals and writes one, on a scatter or a dense machine."""

    out: SpikeTraffic

    def actions(self) -> Actions:
        layer, (result, add, _) = self.layer, collector(self.shape, self.grid.hardware_batch)
        pools = isinstance(layer, PoolingLayer)
        part, state = "pool" if pools else "merge", state_type(self.workload)
        if pools or (isinstance(layer, Merging) and not joins_lists(layer, self.grid.dataflow.graded)):
            operation = "add" if layer.operation == "add" else "compare"
            width = state if layer.output_kind == "analog" else self._integer
            add(part, f"{operation}.{width}", self._worked_on(layer.dense, self.operations.synaptic.all_weights))
        if pools and layer.operation == "add" and layer.output_kind == "analog" and layer.scale == "explicit":
            outputs = self.operations.spikes
            assert outputs is not None  # it emits: what it passes on bears its name
            add(part, f"multiply.{state}", self._worked_on(layer.neurons, outputs))
        if pools and self._scatters:
            sweep = words(layer.neurons, self.out.element_bits, self.states)
            for action in ("read", "write"):  # one for each event and window; then read out, and cleared
                add(self.states.name, action, self._touched)
                add(self.states.name, action, sweep)
        return result

    @property
    def _integer(self) -> str:
        """Type of operations on small integers."""
        return f"int{next(bits for bits in (8, 16, 32, 64) if self.out.element_bits <= bits)}"

    def seconds(self, actions: Mapping[tuple[str, str], Amounts]) -> NDArray[np.float64]:
        """Time per step and sample: the busiest of lanes, memory ports and DRAM."""
        return busy_seconds(self.grid, actions, [self._lane_cycles], 0)


@dataclass(frozen=True)
class AddingOnArray(Elementwise):
    """A layer without weights that adds to a population of a dense array, beside the sums that leave the array.

    ``stepwise``: its population runs step by step, so that potentials leave the lanes between steps.
    """

    placement: Placement
    stepwise: bool

    def actions(self) -> Actions:
        layer, (result, add, together) = self.layer, collector(self.shape, self.grid.hardware_batch)
        added = self._worked_on(_all_arrivals(layer), self._touched)
        add("merge", f"add.{state_type(self.workload)}", added)
        if rescales(layer, self.workload):
            add("merge", f"multiply.{state_type(self.workload)}", added)
        vector_reads(together, layer, self.workload, self.placement.weight, self.shape)
        loads = np.ones(self.shape, np.int64)
        once = self.grid.dataflow.time == "inner"
        weight_loads(together, layer, self.workload, self.placement, first_step_only(loads) if once else loads)
        gain_loads(together, layer, self.placement, self.grid, self.shape)
        self._states(add)
        neuron_actions(add, self.operations, self.workload, set())
        return result

    def _states(self, add: Add) -> None:
        """Currents that wait for the mean of a live gate, and potentials that wait for the next step."""
        layer, name, bits = self.layer, self.states.name, self.workload.state_bits
        if layer.neuron is None:
            return
        element = self.grid.dataflow.state_run == "element"
        sweep = layer.neurons if element else words(layer.neurons, bits, self.states)
        if layer.gate == "live":
            add(name, "write", sweep)
            add(name, "read", 2 * sweep)
        if self.stepwise or self.grid.dataflow.time == "outer":
            add(name, "read", sweep * NEURON_MODELS[layer.neuron].state_words)
            add(name, "write", sweep * NEURON_MODELS[layer.neuron].state_words)

    def seconds(self, actions: Mapping[tuple[str, str], Amounts]) -> NDArray[np.float64]:
        """Time per step and sample: the busiest of lanes, memory ports and DRAM; two more sweeps under a live gate."""
        busy, sweeps = [self._lane_cycles], 0
        if self.layer.neuron is not None:
            sweeps = -(-self.grid.hardware_batch * self.layer.neurons // self.grid.neuron.lanes)
            busy.append(np.full(self.shape, sweeps))
        return busy_seconds(self.grid, actions, busy, 2 * sweeps if self.layer.gate == "live" else 0)
