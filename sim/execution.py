"""What a machine does with a trace's operations: action counts per component, and time.

The result is a table of actions without any energy in it; `energy.estimate` multiplies it with a price table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .architecture import Architecture, Event, Grid, Memory, Operations
from .errors import InvalidInput
from .manycore import run_trace
from .mapping import Placement, convolved_once, keeps_current, place
from .operations import Counts, LayerOperations, OperationCounts
from .synops import SynapticCounts
from .workload import INPUT, Layer, Workload

if TYPE_CHECKING:
    import pandas as pd

    from .trace import SpikeTrace

OUTSIDE_THE_CONVENTION = ("neuron updates", "memory", "routing", "gate", "bias", "pooling and residual sums")
Key = tuple[str, str, str]  # layer, component, action
Add = Callable[[str, str, Counts | int], None]  # component, action, counts


@dataclass(frozen=True)
class ActionCounts:
    """How often each component of a machine acts, and how long each layer takes.

    Attributes
    ----------
    counts : mapping of (layer, component, action) to int64 array (steps, samples)
        An action on logic is ``operation.type`` (``add.float32``); on a memory ``read`` or ``write`` of one word.
    seconds : mapping of layer to float64 array (steps, samples), or empty
        Empty for machines without a clock.
    omitted : mapping of part to reason
        What the machine's model leaves out on purpose.
    """

    steps: int
    samples: int
    counts: Mapping[Key, Counts]
    seconds: Mapping[str, NDArray[np.float64]]
    omitted: Mapping[str, str]

    @property
    def latency_s(self) -> NDArray[np.float64] | None:
        """Time per inference of each sample; None for machines without a clock."""
        if not self.seconds:
            return None
        return np.sum([times.sum(axis=0) for times in self.seconds.values()], axis=0)

    def to_frame(self) -> pd.DataFrame:
        """Tidy table ``step, layer, component, action, count``: sums over samples, int64."""
        import pandas as pd

        frames = []
        for (layer, component, action), counts in self.counts.items():
            row = {
                "layer": layer,
                "component": component,
                "action": action,
                "count": counts.sum(axis=1, dtype=np.int64),
            }
            frames.append(pd.DataFrame({"step": np.arange(self.steps), **row}))
        return pd.concat(frames, ignore_index=True)


def execute(operations: OperationCounts, architecture: Architecture) -> ActionCounts:
    """Run a trace's operations on a machine.

    Parameters
    ----------
    operations : OperationCounts
    architecture : Operations or Grid

    Returns
    -------
    ActionCounts

    Raises
    ------
    InvalidInput
        When the machine cannot do what the network needs, such as a live gate without ``layer_mean_gate``; for
        machines of kind ``event``, which need the spikes themselves: use `execute_trace`.
    """
    if isinstance(architecture, Operations):
        return _synaptic_only(operations, architecture)
    if isinstance(architecture, Grid):
        return _scatter(operations, architecture)
    raise InvalidInput("a machine of kind event routes single spikes, so counts are not enough: give it the trace")


def execute_trace(trace: SpikeTrace, operations: OperationCounts, architecture: Architecture) -> ActionCounts:
    """Run a trace on a machine of any kind; ``operations`` are its counts.

    Layers are laid out on the cores of an ``event`` machine by its ``mapping``. Without a replay every neuron counts as
    updated at every step of its trace, an upper bound.
    """
    if not isinstance(architecture, Event):
        return execute(operations, architecture)
    many = run_trace(trace, architecture)
    return ActionCounts(many.steps, many.samples, many.counts, many.seconds, many.omitted)


def _synaptic_only(operations: OperationCounts, architecture: Operations) -> ActionCounts:
    counts: dict[Key, Counts] = {}
    for layer in operations.workload.layers:
        if not layer.weights:
            continue
        synaptic = operations.layers[layer.name].synaptic
        nonzero_only = architecture.weights == "nonzero"
        pairs = _executed(layer, synaptic, dense=architecture.analog_zero == "dense", nonzero_only=nonzero_only)
        if convolved_once(layer, operations.workload, architecture.first_layer):
            pairs = _first_step_only(pairs)
        counts[layer.name, "synapse", layer.operation] = pairs
    omitted = dict.fromkeys(OUTSIDE_THE_CONVENTION, "not part of the convention")
    return ActionCounts(operations.steps, operations.samples, counts, {}, omitted)


def _executed(layer: Layer, synaptic: SynapticCounts, *, dense: bool, nonzero_only: bool) -> Counts:
    """Pairs a machine works on: it may treat zeros of an analog input, or zero weights, like any other value."""
    if layer.input_kind == "analog" and dense:
        return np.full_like(synaptic.all_weights, synaptic.dense)
    return synaptic.nonzero_weights if nonzero_only else synaptic.all_weights


def _first_step_only(counts: Counts) -> Counts:
    result = np.zeros_like(counts)
    result[0] = counts[0]
    return result


def _scatter(operations: OperationCounts, grid: Grid) -> ActionCounts:
    """Event scatter: every input event fetches its weight rows and adds them to the potentials they reach."""
    workload = operations.workload
    placement = place(workload, grid)
    counts: dict[Key, Counts] = {}
    seconds: dict[str, NDArray[np.float64]] = {}
    buffers = {signal: _SpikeTraffic.of(operations, signal, grid) for signal in workload.signals}
    input_buffer = buffers[INPUT]
    input_buffer.charge(counts, INPUT, "write", 1)
    for layer in workload.layers:
        if not layer.weights or layer.delay:
            raise InvalidInput(
                f"layer {layer.name!r}: {type(layer).__name__} has no rule on an event-scatter grid; use an "
                f"accelerator of kind operations, or fold the layer into its neighbours"
            )
        if layer.gate == "live" and "layer_mean_gate" not in grid.neuron.supports:
            raise InvalidInput(
                f"layer {layer.name!r} has a live gate, which this machine cannot run: its neuron.supports lacks "
                f"'layer_mean_gate'. Use the frozen gate, or a machine that declares it"
            )
        work = _LayerOnGrid(layer, operations.layers[layer.name], workload, grid, placement)
        for (component, action), value in work.actions().items():
            counts[layer.name, component, action] = value
        buffers[layer.source].charge(counts, layer.name, "read", placement.passes[layer.name])
        if layer.name in buffers:
            buffers[layer.name].charge(counts, layer.name, "write", 1)
        actions = {(c, a): n for (name, c, a), n in counts.items() if name == layer.name}
        seconds[layer.name] = work.seconds(actions)
    omitted = {
        "static power": "no leakage figure with a source for these memories and lanes; dynamic energy only",
        "control and clock": "no source; instruction, sequencing and clock-tree energy are not modelled",
        "pooling adds": "event scatter pools by address arithmetic into the pooled potential",
        "input and output links": "the sensor and the host are outside the machine",
    }
    return ActionCounts(operations.steps, operations.samples, counts, seconds, omitted)


@dataclass(frozen=True)
class _SpikeTraffic:
    """Words that one pass over a signal moves, per step and sample, and the memory that holds them for each sample."""

    words: Counts
    buffer: Memory
    backing: Memory
    fits: NDArray[np.bool_]  # (samples,)

    @classmethod
    def of(cls, operations: OperationCounts, signal: str, grid: Grid) -> _SpikeTraffic:
        workload = operations.workload
        shape, kind = workload.signals[signal]
        size = int(np.prod(shape))
        events = operations.input_events if signal == INPUT else operations.layers[signal].spikes
        if events is None:
            raise InvalidInput(f"signal {signal!r} emits no spikes")
        levels = grid.levels("spike")
        if kind == "analog":  # values, not events: the whole map at the width of the state
            bits = np.full_like(events, size * workload.state_bits)
            if workload.held_input:
                bits = _first_step_only(bits)
        elif grid.dataflow.spike_code == "bitmap":
            bits = np.full_like(events, size)
        else:
            bits = events * max(1, (size - 1).bit_length())
        held = bits.sum(axis=0) if grid.dataflow.time == "inner" else bits.max(axis=0)
        words = -(-bits // levels[0].word_bits)
        return cls(words, levels[0], levels[-1], held <= levels[0].bits)

    def charge(self, counts: dict[Key, Counts], layer: str, action: str, passes: int) -> None:
        """Add ``passes`` reads or writes of the signal to the memory that holds it."""
        for memory, mask in ((self.buffer, self.fits), (self.backing, ~self.fits)):
            if (self.words * mask).any():
                key = (layer, memory.name, action)
                counts[key] = counts.get(key, 0) + passes * self.words * mask


@dataclass(frozen=True)
class _LayerOnGrid:
    """One layer on an event-scatter grid: docs/definitions.md, 9, 13 and 14."""

    layer: Layer
    operations: LayerOperations
    workload: Workload
    grid: Grid
    placement: Placement
    shape: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.operations.synaptic.all_weights.shape)

    @property
    def rows(self) -> Counts:
        """(event, tap) runs: each fetches one run of weights and touches one run of potentials."""
        return self._pairs(nonzero_only=False) // self.layer.run_length

    def _pairs(self, *, nonzero_only: bool) -> Counts:
        dense = self.grid.compute.analog_zero == "dense"
        pairs = _executed(self.layer, self.operations.synaptic, dense=dense, nonzero_only=nonzero_only)
        return _first_step_only(pairs) if self._once else pairs

    @property
    def _once(self) -> bool:
        return convolved_once(self.layer, self.workload, self.grid.dataflow.first_layer)

    def actions(self) -> dict[tuple[str, str], Counts]:
        result: dict[tuple[str, str], Counts] = {}

        def add(component: str, action: str, counts: Counts | int) -> None:
            values = np.broadcast_to(np.asarray(counts, np.int64), self.shape)
            if values.any():
                result[component, action] = result.get((component, action), 0) + values

        self._synapses(add)
        self._weights(add)
        self._potentials(add)
        self._neurons(add)
        return result

    def _synapses(self, add: Add) -> None:
        state, pairs = self._state_type, self._pairs(nonzero_only=self.grid.compute.zero_weights == "skip")
        add("synapse", f"add.{state}", pairs)  # at accumulator width, whatever the weight: definitions, 1
        if self.layer.operation == "multiply_accumulate":
            real = self.layer.weight_kind == "float" or self.layer.input_kind == "analog"
            width = state if real else f"int{max(8, int(self.layer.weight_bits or 0))}"
            add("synapse", f"multiply.{width}", pairs)

    @property
    def _state_type(self) -> str:
        prefix = "float" if self.workload.state_type == "float" else "int"
        return f"{prefix}{self.workload.state_bits}"

    def _weights(self, add: Add) -> None:
        memory, layer = self.placement.weight, self.layer
        bits = int(layer.weight_bits or 0)
        add(memory.name, "read", self.rows * _words(layer.run_length, bits, memory))
        vectors = layer.channel_vectors * layer.out_shape[0]
        add(memory.name, "read", self._every_step(_words(vectors, 32, memory)) if layer.neuron else 0)
        backing = self.placement.backing
        if backing is not None:
            loads = _words(layer.weights, bits, backing) + _words(vectors, 32, backing)
            stored = _words(layer.weights, bits, memory) + _words(vectors, 32, memory)
            once = np.zeros(self.shape, np.int64)
            once[0 if self.grid.dataflow.time == "inner" else slice(None)] = 1
            add(backing.name, "read", once * loads)
            add(memory.name, "write", once * stored)

    def _every_step(self, per_step: int) -> Counts:
        """Per-step work of the neurons; a readout only reads its bias once."""
        result = np.full(self.shape, per_step, np.int64)
        return _first_step_only(result) if self.layer.neuron == "readout" else result

    def _potentials(self, add: Add) -> None:
        memory, bits = self.placement.potential[self.layer.name], self.workload.state_bits
        run = _words(self.layer.run_length, bits, memory)
        touched = self.rows * run if self.grid.dataflow.state_run == "cout" else self._pairs(nonzero_only=False)
        add(memory.name, "read", touched)
        add(memory.name, "write", touched)
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
        words = _words(self.layer.neurons, bits, memory)
        result = np.full(self.shape, words, np.int64)
        if self.layer.neuron == "readout":
            result[:-1] = 0
        return result

    def _neurons(self, add: Add) -> None:
        for (part, operation), counts in self.operations.rows.items():
            if part == "pool":
                continue  # address arithmetic on a scatter machine
            if (part, operation) == ("neuron", "add") and not keeps_current(self.layer, self.workload, self.grid):
                continue  # the events were added to the potential itself
            add(part, f"{operation}.{self._state_type}", counts)

    def seconds(self, actions: Mapping[tuple[str, str], Counts]) -> NDArray[np.float64]:
        """Time per step and sample: the busiest of lanes and memory ports; the phases of a live gate do not overlap."""
        grid, runs = self.grid, self.rows
        busy = [runs * -(-self.layer.run_length // grid.compute.lanes)]
        sweeps = 0
        if self.layer.neuron not in (None, "readout"):
            sweeps = -(-self.layer.neurons // grid.neuron.lanes)
            busy.append(np.full(self.shape, sweeps))
        off_chip = np.zeros(self.shape)
        for memory in grid.memories:
            reads, writes = (
                actions.get((memory.name, kind), np.zeros(self.shape, np.int64)) for kind in ("read", "write")
            )
            if memory.bandwidth_bytes_per_s is None:
                busy += [reads, writes]
            else:
                off_chip += (reads + writes) * memory.word_bits / 8 / memory.bandwidth_bytes_per_s
        cycles = np.max(busy, axis=0) + (2 * sweeps if self.layer.gate == "live" else 0)
        return np.maximum(cycles / grid.clock_hz, off_chip)


def _words(elements: int, bits: int, memory: Memory) -> int:
    """Accesses to read one contiguous run of elements."""
    return -(-elements * bits // memory.word_bits)
