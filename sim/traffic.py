"""What event scatter and dense arrays share: words, spike buffers, rows beside the synapses, and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .architecture import Grid, Memory
from .errors import InvalidInput
from .mapping import Placement, gain_words
from .operations import Counts, LayerOperations, OperationCounts
from .synops import SynapticCounts
from .workload import INPUT, Layer, Workload

Key = tuple[str, str, str]  # layer, component, action
Actions = dict[tuple[str, str], Counts]  # component, action
Add = Callable[[str, str, Counts | int], None]  # component, action, counts
OMITTED = {
    "static power": "no leakage figure with a source for these memories and lanes; dynamic energy only",
    "control and clock": "no source; instruction, sequencing and clock-tree energy are not modelled",
    "input and output links": "the sensor and the host are outside the machine",
}


def executed(layer: Layer, synaptic: SynapticCounts, *, dense: bool, nonzero_only: bool) -> Counts:
    """Pairs a machine works on: it may treat zeros of an analog input, or zero weights, like any other value."""
    if layer.input_kind == "analog" and dense:
        return np.full_like(synaptic.all_weights, synaptic.dense)
    return synaptic.nonzero_weights if nonzero_only else synaptic.all_weights


def first_step_only(counts: Counts) -> Counts:
    result = np.zeros_like(counts)
    result[0] = counts[0]
    return result


def words(elements: int, bits: int, memory: Memory) -> int:
    """Accesses to read one contiguous run of elements."""
    return -(-elements * bits // memory.word_bits)


def state_type(workload: Workload) -> str:
    """Type of potentials and accumulators, as logic is priced by it: ``float32``, ``int16``."""
    return f"{'float' if workload.state_type == 'float' else 'int'}{workload.state_bits}"


def collector(shape: tuple[int, int]) -> tuple[Actions, Add]:
    """An empty set of actions of ``(steps, samples)`` and the function that adds counts to it; zeros leave no row."""
    result: Actions = {}

    def add(component: str, action: str, counts: Counts | int) -> None:
        values = np.broadcast_to(np.asarray(counts, np.int64), shape)
        if values.any():
            result[component, action] = result.get((component, action), 0) + values

    return result, add


def check_layer(layer: Layer, workload: Workload, grid: Grid, machine: str) -> None:
    """Refuse a layer that a grid has no rule for, or lacks the hardware for."""
    compute = grid.compute
    if not layer.weights or layer.delay:
        raise InvalidInput(
            f"layer {layer.name!r}: {type(layer).__name__} has no rule on {machine}; use an "
            f"accelerator of kind operations, or fold the layer into its neighbours"
        )
    if layer.gate == "live" and "layer_mean_gate" not in grid.neuron.supports:
        raise InvalidInput(
            f"layer {layer.name!r} has a live gate, which this machine cannot run: its neuron.supports lacks "
            f"'layer_mean_gate'. Use the frozen gate, or a machine that declares it"
        )
    if compute.unit == "ac" and layer.operation == "multiply_accumulate":
        raise InvalidInput(
            f"layer {layer.name!r} multiplies {layer.input_kind} inputs with {layer.weight_kind} weights, which this "
            f"machine cannot do: its compute.unit is ac. Use binary weights or spike inputs, or a mac machine"
        )
    widths = (("weight_bits", layer.weight_bits, "weights"), ("accumulator_bits", workload.state_bits, "states"))
    for key, bits, what in widths:
        widest = getattr(compute, key)
        if widest is not None and int(bits or 0) > widest:
            raise InvalidInput(
                f"layer {layer.name!r} has {what} of {bits} bits, but this machine's compute.{key} is {widest}; "
                f"quantise the network, or use a wider machine"
            )


def synapse_actions(add: Add, layer: Layer, workload: Workload, pairs: Counts) -> None:
    """Adds at accumulator width whatever the weight (definitions, 1), and multiplications where the kinds need them."""
    state = state_type(workload)
    add("synapse", f"add.{state}", pairs)
    if layer.operation == "multiply_accumulate":
        real = layer.weight_kind == "float" or layer.input_kind == "analog"
        width = state if real else f"int{max(8, int(layer.weight_bits or 0))}"
        add("synapse", f"multiply.{width}", pairs)


def neuron_actions(add: Add, operations: LayerOperations, workload: Workload, leave_out: set[tuple[str, str]]) -> None:
    """The rows beside the synapses, but those that a machine does not execute."""
    for (part, operation), counts in operations.rows.items():
        if (part, operation) not in leave_out:
            add(part, f"{operation}.{state_type(workload)}", counts)


def vector_reads(add: Add, layer: Layer, memory: Memory, shape: tuple[int, int]) -> None:
    """Channel vectors, 32 bits each, and a per-step gain's part of its table at every step; a readout's bias once."""
    if layer.neuron is not None:
        reads = np.full(shape, words(layer.channel_vectors * layer.out_shape[0], 32, memory), np.int64)
        add(memory.name, "read", first_step_only(reads) if layer.neuron == "readout" else reads)
        add(memory.name, "read", words(gain_words(layer), 32, memory))


def weight_loads(add: Add, layer: Layer, placement: Placement, times: Counts) -> None:
    """Weights and channel vectors that come from outside the weight memory, ``times`` per step and sample."""
    backing, memory, bits = placement.backing, placement.weight, int(layer.weight_bits or 0)
    if backing is None:
        return
    vectors = layer.channel_vectors * layer.out_shape[0]
    add(backing.name, "read", times * (words(layer.weights, bits, backing) + words(vectors, 32, backing)))
    add(memory.name, "write", times * (words(layer.weights, bits, memory) + words(vectors, 32, memory)))


def gain_loads(add: Add, layer: Layer, placement: Placement, grid: Grid, shape: tuple[int, int]) -> None:
    """A per-step gain's table that comes from outside: whole at the first step; with time outer, each step its part."""
    backing, memory, inner = placement.backing, placement.weight, grid.dataflow.time == "inner"
    if backing is None:
        return
    loads = np.ones(shape, np.int64)
    times, moved = first_step_only(loads) if inner else loads, gain_words(layer) * (shape[0] if inner else 1)
    add(backing.name, "read", times * words(moved, 32, backing))
    add(memory.name, "write", times * words(moved, 32, memory))


def busy_seconds(
    grid: Grid, actions: Mapping[tuple[str, str], Counts], busy: list[Counts], extra: int
) -> NDArray[np.float64]:
    """Time per step and sample: the busiest of ``busy`` cycles, memory ports and DRAM, plus ``extra`` cycles.

    Transfers are double-buffered: they overlap with work, within a layer and step.
    """
    shape = busy[0].shape
    cycles_of, off_chip = list(busy), np.zeros(shape)
    for memory in grid.memories:
        reads, writes = (actions.get((memory.name, kind), np.zeros(shape, np.int64)) for kind in ("read", "write"))
        if memory.bandwidth_bytes_per_s is None:
            cycles_of += [reads, writes]
        else:
            off_chip += (reads + writes) * memory.word_bits / 8 / memory.bandwidth_bytes_per_s
    cycles = np.max(cycles_of, axis=0) + extra
    return np.maximum(cycles / grid.clock_hz, off_chip)


@dataclass(frozen=True)
class SpikeTraffic:
    """Words that one pass over a signal moves, per step and sample, and the memory that holds them for each sample.

    Attributes
    ----------
    words : int64 array (steps, samples)
    buffer, backing : Memory
    fits : bool array (samples,)
        Whether the signal fits in ``buffer``; else it lives in ``backing``.

    Notes
    -----
    A spike takes one bit of a bitmap, or an address; the value of a graded or signed one is not counted.
    """

    words: Counts
    buffer: Memory
    backing: Memory
    fits: NDArray[np.bool_]

    @classmethod
    def of(cls, operations: OperationCounts, signal: str, grid: Grid) -> SpikeTraffic:
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
                bits = first_step_only(bits)
        elif grid.dataflow.spike_code == "bitmap":
            bits = np.full_like(events, size)
        else:
            bits = events * max(1, (size - 1).bit_length())
        held = bits.sum(axis=0) if grid.dataflow.time == "inner" else bits.max(axis=0)
        per_pass = -(-bits // levels[0].word_bits)
        return cls(per_pass, levels[0], levels[-1], held <= levels[0].bits)

    def charge(self, counts: dict[Key, Counts], layer: str, action: str, moved: Counts) -> None:
        """Add ``moved`` words, read or written, to the memory that holds the signal."""
        for memory, mask in ((self.buffer, self.fits), (self.backing, ~self.fits)):
            if (moved * mask).any():
                key = (layer, memory.name, action)
                counts[key] = counts.get(key, 0) + moved * mask
