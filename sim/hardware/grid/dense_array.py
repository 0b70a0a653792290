"""Dense arrays on a grid: weight, output or input stationary, time inner or outer, zeros worked on, gated or skipped.

How often operands move follows from `dataflow.Schedule`; here they become words of the grid's memories. Per layer and
step (docs/definitions.md, 5, 9 and 13 to 15):

- weights: a fetch run is what one row of the array takes at once, the columns of a fold; an input-stationary row takes
  all output channels of its tap. Every run starts at a word. In ``kernel_major`` a run goes along the rows instead, the
  taps of a fold for one output channel; output stationary takes weights of different channels in each cycle, so without
  a buffer between memory and array each is an access of its own.
- inputs: ``positions x taps`` bits for each fold along the columns, packed; from wherever the signal lives, no line
  buffer in between.
- sums and potentials: the columns of one fold leave as one run. With time inner a buffer holds the sums of all steps
  where taps fold, and the currents of all steps under a live gate or a join; with time outer the potentials of all
  layers stay in memory. What does not fit goes to the next memory as a whole.

``skip`` fetches an operand only where a pair needs it. Which pairs share a fetch is not in the counts, so each row is
the smaller of one fetch per (input, tap) and the dense array's own: an upper bound, never above ``gate``. Weights that
stay in the array are loaded before the inputs are known, so skipping saves none of them.

A hardware batch has B times the positions, so everything above that is of the array is of the batch (`load_sharing`);
its inputs are read for each inference, from a word of their own.

Not modelled: stalls, halo and line buffers, overlap of layers, multicast and control energy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...counting.layer_counts import Counts, SynapticCounts, delayed
from ...counting.operations import LayerOperations, OperationCounts
from ...network.neuron_models import NEURON_MODELS
from ...network.workload import Layer, Workload
from ..architecture import Compute, Grid, Memory
from .dataflow import MatrixShape, Schedule, matrix_shape
from .layer_walk import Work, walk_layers
from .placement import Placement, convolved_once, place
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
from .weightless_layers import AddingOnArray, PassingOn, rescales

INSIDE_THE_ARRAY = {
    "idle and gated elements": "no source for an element that only passes its operands on",
    "registers of the array": "sums and operands inside an element: no figure at 45 nm; at 65 nm SATA's simulator "
    "has 0.06 pJ per access of 32 bits",
}


def dense_actions(
    operations: OperationCounts, grid: Grid
) -> tuple[dict[Key, Counts], dict[str, NDArray[np.float64]], dict[str, str]]:
    """Action counts, seconds per layer and what is left out, for a grid whose dataflow keeps an operand in an array.

    Raises
    ------
    InvalidInput
        For a live gate on a machine that cannot run it, maxima and bit operations that feed neurons without being a
        signal, and widths or multiplications that the array does not have.
    """
    workload = operations.workload
    for layer in workload.layers:
        check_layer(layer, workload, grid)
    placement, states = place(workload, grid, operations.steps), _place_states(workload, grid, operations.steps)
    self_connected = _stepwise(workload)

    def work_on(
        layer: Layer, own: LayerOperations, sources: list[SpikeTraffic], signals: Mapping[str, SpikeTraffic]
    ) -> Work:
        common, stepwise = (layer, own, workload, grid), layer.name in self_connected
        if layer.weights:
            return _LayerOnArray(*common, placement, states[layer.name], sources[0], stepwise)
        if layer.neuron is None and layer.joins is None:
            return PassingOn(*common, sources, states[layer.name], signals[layer.name])
        return AddingOnArray(*common, sources, states[layer.name], placement, stepwise)

    return walk_layers(operations, grid, placement, work_on, INSIDE_THE_ARRAY)


def pair_counts(layer: Layer, synaptic: SynapticCounts, compute: Compute) -> tuple[Counts, Counts]:
    """Pairs that an array works on, and pairs whose operation is gated: int64 arrays (steps, samples).

    Together they are all positions of the loop nest (P K M, padding included), except where zeros are skipped.
    """
    every = np.full_like(synaptic.all_weights, matrix_shape(layer).pairs)
    every[: layer.delay] = 0  # self-connections have nothing to read in the first step
    if compute.zero == "dense":
        return every, np.zeros_like(every)
    nonzero_only = compute.zero_weights == "skip"
    active = executed(layer, synaptic, dense=compute.analog_zero == "dense", nonzero_only=nonzero_only)
    return active, every - active if compute.zero == "gate" else np.zeros_like(every)


def layer_schedule(layer: Layer, grid: Grid, steps: int) -> Schedule:
    """The schedule of a layer on a grid's array, for a whole hardware batch.

    Self-connections need all spikes of one step before the next, so they run with time outer on any grid.
    """
    compute, flow = grid.compute, grid.dataflow
    time = "outer" if layer.delay else flow.time
    rows, cols = compute.rows or 0, compute.cols or 0  # a Grid without them has no dense dataflow
    shape = matrix_shape(layer, grid.hardware_batch)
    return Schedule(shape, rows, cols, flow.stationary, steps, time, compute.accumulators)


def _stepwise(workload: Workload) -> set[str]:
    """Populations with self-connections: their neurons update step by step, whatever the order of time."""
    return {str(layer.joins) for layer in workload.layers if layer.delay}


def _place_states(workload: Workload, grid: Grid, steps: int) -> dict[str, Memory]:
    """The memory of each layer's sums, currents and potentials: the first with room for all that it must hold."""
    levels, needs = grid.levels("potential"), state_needs(workload, grid, steps)
    return {name: next(memory for memory in levels if need <= memory.bits) for name, need in needs.items()}


def state_needs(workload: Workload, grid: Grid, steps: int) -> dict[str, int]:
    """Bits that the memory of each layer's sums, currents and potentials has to hold on a dense array."""
    joined = {layer.joins for layer in workload.layers if layer.weights} - {None}
    held = {x.name: _population_bits(x, workload, grid, steps, x.name in joined) for x in workload.layers}
    sums = {layer.name: _partial_bits(layer, workload, grid, steps) for layer in workload.layers}
    if grid.dataflow.time == "outer":
        return dict.fromkeys(held, sum(held.values()) + max(sums.values()))
    return {layer.name: held[layer.joins or layer.name] + sums[layer.name] for layer in workload.layers}


def _population_bits(layer: Layer, workload: Workload, grid: Grid, steps: int, joined: bool) -> int:
    """Bits of potentials and currents that a population keeps outside the array, for a whole hardware batch."""
    if layer.neuron is None:
        return 0
    once = bool(layer.weights) and convolved_once(layer, workload, grid.dataflow.first_layer)
    outer, live = grid.dataflow.time == "outer", layer.gate == "live"
    copies = once + (live or joined) * (1 if outer else steps)
    leaves = bool(layer.weights) and layer_schedule(layer, grid, steps).stores_potentials and not live and not once
    if outer or leaves or layer.name in _stepwise(workload):
        copies += NEURON_MODELS[layer.neuron].state_words
    return grid.hardware_batch * layer.neurons * copies * workload.state_bits


def _partial_bits(layer: Layer, workload: Workload, grid: Grid, steps: int) -> int:
    """Bits of sums that wait for the next fold; with time outer the potential takes them, unless it is pooled."""
    if not layer.weights:
        return 0
    schedule = layer_schedule(layer, grid, steps)
    if not schedule.partial_folds:
        return 0
    if schedule.time == "inner":
        waiting = 1 if convolved_once(layer, workload, grid.dataflow.first_layer) else steps
    else:
        waiting = 1 if layer.pool is not None else 0
    return schedule.shape.outputs * waiting * workload.state_bits


@dataclass(frozen=True)
class _LayerOnArray:
    """One layer on a dense array; ``states`` holds its sums and potentials, ``source`` is the signal it reads.

    ``stepwise``: its population has self-connections, so that potentials leave the array between steps.
    """

    layer: Layer
    operations: LayerOperations
    workload: Workload
    grid: Grid
    placement: Placement
    states: Memory
    source: SpikeTraffic
    stepwise: bool

    @property
    def shape(self) -> tuple[int, int]:
        steps, samples = self.operations.synaptic.all_weights.shape
        return steps, samples

    @cached_property
    def schedule(self) -> Schedule:
        return layer_schedule(self.layer, self.grid, 1 if self._once else self.shape[0])

    @property
    def _matrix(self) -> MatrixShape:
        """Of one inference; that of the schedule is the batch's."""
        return matrix_shape(self.layer)

    @property
    def _batch(self) -> int:
        return self.grid.hardware_batch

    @property
    def _once(self) -> bool:
        return convolved_once(self.layer, self.workload, self.grid.dataflow.first_layer)

    @property
    def _skips(self) -> bool:
        return self.grid.compute.zero == "skip"

    @property
    def active(self) -> Counts:
        """Pairs the array works on."""
        active, _ = pair_counts(self.layer, self.operations.synaptic, self.grid.compute)
        return first_step_only(active) if self._once else active

    @property
    def runs(self) -> Counts:
        """(input, tap) runs that an array which skips has to serve, zero weights included."""
        dense = self.grid.compute.analog_zero == "dense"
        pairs = executed(self.layer, self.operations.synaptic, dense=dense, nonzero_only=False)
        return (first_step_only(pairs) if self._once else pairs) // self.layer.run_length

    def _at_work(self, per_step: int | Counts, interval: int = 1) -> Counts:
        """A constant in every ``interval``-th step in which the array runs this layer."""
        result = np.zeros(self.shape, np.int64)
        result[self.layer.delay : self.schedule.steps : interval] = per_step
        return result

    def actions(self) -> Actions:
        result, each, together = collector(self.shape, self._batch)
        synapse_actions(each, self.layer, self.workload, self.active)
        if rescales(self.layer, self.workload):
            each("synapse", f"multiply.{state_type(self.workload)}", self.active)
        together(self.placement.weight.name, "read", self._weight_words())
        vector_reads(together, self.layer, self.workload, self.placement.weight, self.shape)
        weight_loads(together, self.layer, self.workload, self.placement, self._loads())
        gain_loads(together, self.layer, self.placement, self.grid, self.shape)
        self._sums(together)
        self._potentials(together)
        neuron_actions(each, self.operations, self.workload, set())
        return result

    @property
    def input_words(self) -> list[Counts]:
        """Words read from the source's buffer for one inference; self-connections read those of the step before."""
        layer, matrix, passes = self.layer, self._matrix, self.schedule.input_passes
        streamed = self._at_work(self.source.run_words(matrix.groups * matrix.positions * matrix.taps * passes))
        if not self._skips:
            return [streamed]
        scan = delayed(self.source.words, layer.delay)
        if layer.input_kind == "analog":
            scan = self._at_work(self.source.run_words(layer.inputs))
        return [np.minimum(passes * scan, streamed)]

    def _weight_words(self) -> Counts:
        """Words read from the weight memory for the batch.

        ``run``: what one (input, tap) takes, all output channels; ``once``: what one pass over a group's weights takes.
        """
        schedule, memory, bits = self.schedule, self.placement.weight, int(self.layer.weight_bits or 0)
        taps, channels, interval = self._matrix.taps, self._matrix.channels, schedule.load_interval
        if self.grid.dataflow.weight_layout == "tap_major":
            run = _chunks(channels, channels if schedule.stationary == "input" else schedule.cols, bits, memory)
            once = taps * run
        else:
            run = channels * words(1, bits, memory)
            along_rows = 1 if schedule.stationary == "output" else schedule.rows
            once = channels * _chunks(taps, along_rows, bits, memory)
        dense = self._at_work(self._matrix.groups * once * schedule.weight_passes, interval)
        if not self._skips or schedule.stationary == "weight":
            return dense
        needed = np.zeros(self.shape, np.int64)
        runs = self._batch * self.runs
        needed[::interval] = run * np.add.reduceat(runs, np.arange(0, self.shape[0], interval), axis=0)
        return np.minimum(needed, dense)

    def _loads(self) -> Counts:
        """How often the layer's weights come from outside: once, if the memory keeps what the folds in turn share."""
        schedule, matrix = self.schedule, self._matrix
        if self.layer.delay and self.grid.dataflow.time == "inner":  # no other layer comes between the steps
            whole = self.layer.weights * int(self.layer.weight_bits or 0) <= self.placement.weight.bits
            if whole:
                return self._at_work(1, schedule.steps)
        rows = matrix.taps if schedule.stationary == "output" else min(schedule.rows, matrix.taps)
        cols = matrix.channels if schedule.stationary == "input" else min(schedule.cols, matrix.channels)
        if rows * cols * int(self.layer.weight_bits or 0) > self.placement.weight.bits:
            return self._at_work(schedule.weight_passes, schedule.load_interval)
        return self._at_work(1, schedule.steps if schedule.time == "inner" else 1)

    def _pass_words(self, positions: int) -> int:
        """One pass over the sums of so many positions of every inference of the batch, all channels."""
        matrix, cols, bits = self._matrix, self.schedule.cols, self.workload.state_bits
        positions *= self._batch
        if self.grid.dataflow.state_run == "element":
            return positions * matrix.channels * matrix.groups
        if self.schedule.stationary == "input":  # the columns are positions
            return matrix.groups * matrix.channels * _chunks(positions, cols, bits, self.states)
        return matrix.groups * positions * _chunks(matrix.channels, cols, bits, self.states)

    def _sums(self, add: Add) -> None:
        """Partial sums between folds along the taps."""
        matrix, name = self._matrix, self.states.name
        partial = self._at_work(self._pass_words(matrix.positions) * self.schedule.partial_folds)
        if self._skips:
            apart = self.schedule.stationary == "input" or self.grid.dataflow.state_run == "element"
            bits, cols = self.workload.state_bits, self.schedule.cols
            touched = matrix.channels if apart else _chunks(matrix.channels, cols, bits, self.states)
            partial = np.minimum(partial, self._batch * self.runs * touched)
        add(name, "read", partial)
        add(name, "write", partial)

    def _potentials(self, add: Add) -> None:
        """Currents and potentials that leave the array."""
        layer, name = self.layer, self.states.name
        sweep = self._pass_words(math.prod(layer.neuron_shape[1:]))
        live = layer.gate == "live"
        if live or self._once:  # the current is written whole, before any update reads it
            add(name, "write", self._at_work(sweep))
            add(name, "read", (2 if live else 1) * sweep)  # live: for the mean, then for the update
        if layer.joins:  # added to the current of the population it joins
            add(name, "read", sweep)
            add(name, "write", sweep)
        if layer.neuron is None:
            return
        in_turn = live or self._once  # with the currents of all steps at hand, a neuron runs its steps in one go
        leaves = self.schedule.stores_potentials and not in_turn
        if self.grid.dataflow.time == "outer" or leaves or self.stepwise:
            state = sweep * NEURON_MODELS[layer.neuron].state_words
            add(name, "read", state)
            add(name, "write", state)

    def seconds(self, actions: Mapping[tuple[str, str], Amounts]) -> NDArray[np.float64]:
        """Time per step and sample of a batch: the busiest of array, neuron lanes, memory ports and DRAM.

        The phases of a live gate do not overlap: two more sweeps over its neurons. Where zeros are skipped the array
        is busy with its pairs, perfectly balanced; no array finishes sooner (SCALE-Sim numbers its cycles from 0, so at
        1 x 1 its form would have one too few).
        """
        schedule, sweeps = self.schedule, 0
        busy = [-(-self._batch * self.active // self.grid.compute.width)]
        if not self._skips:
            cycles = np.zeros(self.shape, np.int64)
            for step in range(self.layer.delay, schedule.steps):
                cycles[step] = schedule.step_cycles(step)
            busy.append(cycles)
        if self.layer.neuron is not None:
            sweeps = -(-self._batch * self.layer.neurons // self.grid.neuron.lanes)
            busy.append(np.full(self.shape, sweeps))
        return busy_seconds(self.grid, actions, busy, 2 * sweeps if self.layer.gate == "live" else 0)


def _chunks(elements: int, together: int, bits: int, memory: Memory) -> int:
    """Accesses to read contiguous elements in runs of at most ``together``, each from the start of a word."""
    whole, rest = divmod(elements, together)
    return whole * words(together, bits, memory) + words(rest, bits, memory)
