"""What event scatter and dense arrays share: words, spike buffers, rows beside the synapses, and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ...counting.layer_counts import Counts, SynapticCounts
from ...counting.operations import LayerOperations
from ...errors import InvalidInput
from ...network.workload import Layer, Workload
from ..architecture import Grid, Memory
from .placement import Placement, branch_constants, gain_words, vector_words

Key = tuple[str, str, str]  # layer, component, action
Actions = dict[tuple[str, str], Counts]  # component, action
Amounts = Counts | NDArray[np.float64]  # a share of a load need not be whole where it becomes time
Add = Callable[[str, str, Counts | int], None]  # component, action, counts of one inference, or of a hardware batch
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


def collector(shape: tuple[int, int], hardware_batch: int) -> tuple[Actions, Add, Add]:
    """An empty set of actions of a hardware batch, and two functions that add counts to it; zeros leave no row.

    The first takes what each inference of the batch does, the second what all of them do together. Counts are int64
    ``(steps, samples)``: those of a batch of inferences like each sample (see `load_sharing`).
    """
    result: Actions = {}

    def together(component: str, action: str, counts: Counts | int) -> None:
        values = np.broadcast_to(np.asarray(counts, np.int64), shape)
        if values.any():
            result[component, action] = result.get((component, action), 0) + values

    def each(component: str, action: str, counts: Counts | int) -> None:
        together(component, action, hardware_batch * np.asarray(counts, np.int64))

    return result, each, together


def check_layer(layer: Layer, workload: Workload, grid: Grid) -> None:
    """Refuse a layer that a grid has no rule for, or lacks the hardware for."""
    compute = grid.compute
    if not layer.weights:
        _check_weightless(layer)
    if layer.gate == "live" and "layer_mean_gate" not in grid.neuron.supports:
        raise InvalidInput(
            f"layer {layer.name!r} has a live gate, which this machine cannot run: its neuron.supports lacks "
            f"'layer_mean_gate'. Use the frozen gate, or a machine that declares it"
        )
    if compute.unit == "ac" and layer.operation_with(grid.dataflow.graded) == "multiply_accumulate":
        raise InvalidInput(
            f"layer {layer.name!r} multiplies {layer.input_kind} inputs with {layer.weight_kind} weights, which this "
            f"machine cannot do: its compute.unit is ac. Use binary weights or spike inputs, or a mac machine"
        )
    weight_bits = layer.weight_bits if layer.weights else 0
    widths = (("weight_bits", weight_bits, "weights"), ("accumulator_bits", workload.state_bits, "states"))
    for key, bits, what in widths:
        widest = getattr(compute, key)
        if widest is not None and int(bits or 0) > widest:
            raise InvalidInput(
                f"layer {layer.name!r} has {what} of {bits} bits, but this machine's compute.{key} is {widest}; "
                f"quantise the network, or use a wider machine"
            )


def _check_weightless(layer: Layer) -> None:
    """Refuse what has to be known as a signal of its own before it can be added or sent on."""
    passes = layer.neuron is None and layer.joins is None
    if layer.operation in ("compare", "logic") and not passes:
        raise InvalidInput(
            f"layer {layer.name!r} feeds {layer.operation} results ({type(layer).__name__}) straight into neurons, and "
            f"a trace does not say which of them are not zero; let it pass them on as a signal, which an Identity reads"
        )
    if layer.pool is not None and passes:
        raise InvalidInput(f"layer {layer.name!r} pools what it passes on; make the pooling a layer of its own")


def synapse_actions(add: Add, layer: Layer, workload: Workload, pairs: Counts, graded: str = "value") -> None:
    """Adds at accumulator width whatever the weight (definitions, 1), and multiplications where the kinds need them."""
    state = state_type(workload)
    add("synapse", f"add.{state}", pairs)
    if layer.operation_with(graded) == "multiply_accumulate":
        real = layer.weight_kind == "float" or layer.input_kind == "analog"
        width = state if real else f"int{max(8, int(layer.weight_bits or 0))}"
        add("synapse", f"multiply.{width}", pairs)


def neuron_actions(add: Add, operations: LayerOperations, workload: Workload, leave_out: set[tuple[str, str]]) -> None:
    """The rows beside the synapses, but those that a machine does not execute."""
    for (part, operation), counts in operations.rows.items():
        if (part, operation) not in leave_out:
            add(part, f"{operation}.{state_type(workload)}", counts)


def vector_reads(add: Add, layer: Layer, workload: Workload, memory: Memory, shape: tuple[int, int]) -> None:
    """Channel vectors, 32 bits each, and a per-step gain's part of its table at every step; a readout's bias once.

    A branch into another layer's current reads the factors that it keeps (`branch_constants`) at every step.
    """
    if layer.joins is not None:
        add(memory.name, "read", words(branch_constants(layer, workload), 32, memory))
    if layer.neuron is not None:
        reads = np.full(shape, words(layer.channel_vectors * layer.out_shape[0], 32, memory), np.int64)
        add(memory.name, "read", first_step_only(reads) if layer.neuron == "readout" else reads)
        add(memory.name, "read", words(gain_words(layer), 32, memory))


def weight_loads(
    add: Add,
    layer: Layer,
    workload: Workload,
    placement: Placement,
    times: Counts,
    runs: Counts | None = None,
    run_length: int | None = None,
) -> None:
    """Weights and channel vectors that come from outside the weight memory, ``times`` per step and sample.

    ``runs``: fetch runs that are needed, where weights come run by run and not whole if that is less; of ``run_length``
    weights each, those of one (event, tap) unless given. A hardware batch shares both.
    """
    backing, bits = placement.backing, int(layer.weight_bits or 0)
    if backing is None:
        return
    for memory, action in ((backing, "read"), (placement.weight, "write")):
        weights = times * words(layer.weights, bits, memory)
        if runs is not None:
            weights = np.minimum(weights, runs * words(run_length or layer.run_length, bits, memory))
        add(memory.name, action, weights + times * words(vector_words(layer, workload), 32, memory))


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
    grid: Grid, actions: Mapping[tuple[str, str], Amounts], busy: list[Counts], extra: int
) -> NDArray[np.float64]:
    """Time per step and sample: the busiest of ``busy`` cycles, memory ports and DRAM, plus ``extra`` cycles.

    Of a hardware batch, if ``actions``, ``busy`` and ``extra`` are. Transfers are double-buffered: they overlap with
    work, within a layer and step.
    """
    shape = busy[0].shape
    cycles_of: list[Amounts] = [*busy]
    off_chip = np.zeros(shape)
    for memory in grid.memories:
        reads, writes = (actions.get((memory.name, kind), np.zeros(shape, np.int64)) for kind in ("read", "write"))
        if memory.bandwidth_bytes_per_s is None:
            cycles_of += [reads, writes]
        else:
            off_chip += (reads + writes) * memory.word_bits / 8 / memory.bandwidth_bytes_per_s
    cycles = np.max(cycles_of, axis=0) + extra
    return np.maximum(cycles / grid.clock_hz, off_chip)
