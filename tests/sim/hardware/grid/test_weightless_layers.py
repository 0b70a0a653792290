"""What scatter and dense machines charge for branches, self-connections, merges, pooling and copies, by hand.

Machines: words of 64 bits, states of 32; scatter with 2 lanes, a dense array of 4 x 2 elements that gates zeros. Two
steps, one sample. The nets are small enough that every row is written out.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.networks.layouts import NETWORKS, RESIDUALS
from spikejoule.models.networks.network_config import NetworkConfig
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikejoule.models.recording.record import record
from spikejoule.sim.counting.operations import count
from spikejoule.sim.counting.synthetic import bernoulli_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.architecture import Compute, Dataflow, Grid, Memory, NeuronUnit
from spikejoule.sim.hardware.execution import execute
from spikejoule.sim.hardware.grid.spike_buffers import element_bits, lifetimes
from spikejoule.sim.network.workload import (
    LAYER_TYPES,
    AdaptivePool,
    Add,
    Concatenate,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    Identity,
    Linear,
    Pool,
    RecurrentLinear,
    Upsample,
    Workload,
)
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

EVERYTHING = ("weight", "potential", "spike")
SCATTER = Grid(
    clock_hz=1e6,
    compute=Compute(lanes=2),
    neuron=NeuronUnit(lanes=4, supports=("layer_mean_gate",)),
    dataflow=Dataflow(stationary="scatter"),
    memories=(
        Memory(name="weights", holds=("weight",), kib=1, word_bits=64),
        Memory(name="states", holds=("potential",), kib=1, word_bits=64),
        Memory(name="spikes", holds=("spike",), kib=1, word_bits=64),
        Memory(name="dram", holds=EVERYTHING, word_bits=64, bandwidth_bytes_per_s=8e6),
    ),
)
DENSE = replace(
    SCATTER,
    compute=Compute(rows=4, cols=2, zero="gate"),
    dataflow=Dataflow(stationary="weight", spike_code="bitmap"),
)


def with_memory(name: str, bits: int, grid: Grid) -> Grid:
    return replace(grid, memories=tuple(replace(m, kib=bits / 8192) if m.name == name else m for m in grid.memories))


def zeros(how: str, stationary: str = "weight", time: str = "inner") -> Grid:
    flow = replace(DENSE.dataflow, stationary=stationary, time=time)
    return replace(DENSE, compute=replace(DENSE.compute, zero=how), dataflow=flow)


@pytest.fixture
def counts(tmp_path):
    """Counts of a net from the places (flat) at which each signal is not zero, for each step."""

    def make(layers, signals: dict[str, list[list[int]]], **workload):
        net = Workload(name="net", input_shape=layers[0].in_shape, layers=tuple(layers), **workload)
        values = {}
        for name, (shape, _) in net.signals.items():
            values[name] = np.zeros((2, 1, *shape), np.uint8)
            for step, places in enumerate(signals[name]):
                values[name].reshape(2, -1)[step, places] = 1
        with TraceWriter(tmp_path / "net.zarr", net, 2, overwrite=True) as writer:
            writer.append(values)
        return count(SpikeTrace.open(tmp_path / "net.zarr"))

    return make


def rows(operations, grid: Grid, *layers: str) -> dict:
    actions = execute(operations, grid)
    return {key: n[:, 0].tolist() for key, n in actions.counts.items() if not layers or key[0] in layers}


# Residual kind `current`: 2 x 2 x 2 -> a -> b with a skip path from the input -> 3 classes ----------------------------
A = Conv2d(name="a", in_shape=(2, 2, 2), out_channels=2, kernel_size=1)
B = replace(A, name="b", source="a")
SKIP = Identity(name="skip", in_shape=(2, 2, 2), joins="b")
FC = Linear(name="fc", in_shape=(2, 2, 2), out_features=3, source="b", neuron="readout")
FIRED = {"input": [[0, 7], [2]], "a": [[0], []], "b": [[5, 7], [0]]}
UPDATES = {("neuron", "multiply.float32"): [8, 8], ("neuron", "compare.float32"): [8, 8]}

RESIDUAL = {
    ("input", "spikes", "write"): [1, 1],  # addresses of 3 bits
    ("a", "spikes", "read"): [1, 1],
    ("a", "spikes", "write"): [1, 0],
    ("a", "synapse", "add.float32"): [4, 2],  # one tap, 2 channels
    ("a", "weights", "read"): [2, 1],
    ("a", "states", "read"): [2 + 4, 1 + 4],  # a run of 2 states is a word; 8 states are 4
    ("a", "states", "write"): [2 + 4, 1 + 4],
    ("a", "reset", "add.float32"): [1, 0],
    ("b", "spikes", "read"): [1, 0],
    ("b", "spikes", "write"): [1, 1],
    ("b", "synapse", "add.float32"): [2, 0],
    ("b", "weights", "read"): [1, 0],
    ("b", "states", "read"): [1 + 4, 4],
    ("b", "states", "write"): [1 + 4, 4],
    ("b", "reset", "add.float32"): [2, 1],
    ("skip", "spikes", "read"): [1, 1],  # the input's map again
    ("skip", "synapse", "add.float32"): [2, 1],  # one potential for each event
    ("skip", "states", "read"): [2, 1],
    ("skip", "states", "write"): [2, 1],
    ("fc", "spikes", "read"): [1, 1],
    ("fc", "synapse", "add.float32"): [6, 3],
    ("fc", "weights", "read"): [4, 2],  # 3 weights are 2 words
    ("fc", "states", "read"): [4, 2 + 2],
    ("fc", "states", "write"): [4, 2 + 2],
    ("fc", "readout", "compare.float32"): [0, 2],
    **{(layer, *key): value for layer in "ab" for key, value in UPDATES.items()},
}


def test_every_row_of_a_skip_path_on_scatter(counts):
    assert rows(counts([A, B, SKIP, FC], FIRED), SCATTER) == RESIDUAL


def test_a_skip_path_beside_scaled_binary_weights_reads_its_factor_per_channel(counts):
    binary = replace(B, weight_kind="binary", weight_bits=None, scale="folded")
    expected = RESIDUAL | {("skip", "weights", "read"): [1, 1]}  # 2 channels x 32 bits, at every step
    assert rows(counts([A, binary, SKIP, FC], FIRED), SCATTER) == expected


def test_the_factors_of_a_skip_path_are_stored_and_loaded(counts):
    binary = [replace(layer, weight_kind="binary", weight_bits=None, scale="folded") for layer in (A, B, FC)]
    operations = counts([binary[0], binary[1], SKIP, binary[2]], FIRED)  # 4 + 4 + 24 weights, 2 factors: 96 bits
    assert not any("dram" in key for key in rows(operations, with_memory("weights", 96, SCATTER)))
    loaded = rows(operations, with_memory("weights", 95, SCATTER), "skip")
    assert loaded["skip", "dram", "read"] == [1, 0]
    assert loaded["skip", "weights", "write"] == [1, 0]


def test_every_row_of_a_skip_path_on_a_dense_array(counts):
    operations = counts([A, B, SKIP, FC], FIRED)
    assert rows(operations, DENSE, "skip") == {
        ("skip", "spikes", "read"): [1, 1],  # 8 bits beside the sums that leave the array: no current is stored
        ("skip", "merge", "add.float32"): [2, 1],
    }
    assert rows(operations, zeros("dense"), "skip")["skip", "merge", "add.float32"] == [8, 8]
    without = counts([A, B, FC], FIRED)
    assert rows(operations, DENSE, "input", "a", "b", "fc") == rows(without, DENSE)


BRANCH = replace(A, name="branch", joins="b", neuron=None, weight_kind="integer", weight_bits=None, scale="folded")


def test_an_integer_branch_is_summed_apart_and_rescaled(counts):
    assert rows(counts([A, B, BRANCH, FC], FIRED), SCATTER, "branch") == {
        ("branch", "spikes", "read"): [1, 1],
        ("branch", "synapse", "add.float32"): [4, 2],
        ("branch", "weights", "read"): [2 + 1, 1 + 1],  # runs of 2 bytes; 2 factors
        ("branch", "states", "read"): [2 + 4, 1 + 4],  # read to be rescaled
        ("branch", "states", "write"): [2 + 4, 1 + 4],  # and cleared
        ("branch", "scale", "multiply.float32"): [8, 8],
        ("branch", "scale", "add.float32"): [8, 8],
    }


def test_the_sums_of_an_integer_branch_take_room(counts):
    operations = counts([A, B, BRANCH, FC], FIRED)  # b: 8 potentials and 8 sums of 32 bits
    for bits, memory in ((512, "states"), (511, "dram")):
        found = rows(operations, with_memory("states", bits, SCATTER), "b", "branch", "a")
        assert ("branch", memory, "write") in found
        assert ("b", memory, "write") in found
        assert ("a", "states", "write") in found


@pytest.mark.parametrize(
    ("kind", "expected"), [("float", [2, 1]), ("binary", [2 + 1, 1 + 1]), ("ternary", [2 + 1, 1 + 1])]
)
def test_a_branch_of_real_weights_carries_its_factor_in_them(counts, kind, expected):
    branch = replace(BRANCH, weight_kind=kind, weight_bits=None)
    found = rows(counts([A, B, branch, FC], FIRED), SCATTER, "branch")
    assert found["branch", "weights", "read"] == expected
    assert not any(part == "scale" for _, part, _ in found)


def test_values_that_are_no_spikes_are_multiplied_by_the_factor(counts):
    graded = [replace(A, input_kind="graded"), replace(B, weight_kind="binary", weight_bits=None, scale="folded")]
    skip = replace(SKIP, input_kind="graded")
    operations = counts([*graded, skip, FC], FIRED, input_kind="graded")
    assert rows(operations, SCATTER)["skip", "synapse", "multiply.float32"] == [2, 1]
    assert rows(operations, DENSE)["skip", "merge", "multiply.float32"] == [2, 1]


def test_layers_of_one_population_share_the_weight_memory(counts):
    net = [A, B, replace(BRANCH, weight_kind="float", weight_bits=None), FC]  # a, b and branch: 4 weights of 32 bits
    found = rows(counts(net, FIRED), with_memory("weights", 128, SCATTER))
    assert found["a", "spikes", "read"] == [1, 1]
    assert found["branch", "spikes", "read"] == [2, 2]  # b and branch together are 256 bits: two passes
    assert found["b", "dram", "read"] == [2, 0]


# Buffers --------------------------------------------------------------------------------------------------------------
def test_a_map_is_kept_until_its_last_reader(counts):
    plain, skip = counts([A, B, FC], FIRED), counts([A, B, SKIP, FC], FIRED)
    bitmap = replace(SCATTER, dataflow=replace(SCATTER.dataflow, spike_code="bitmap"))  # 2 steps of 8 bits each
    one, two = with_memory("spikes", 16, bitmap), with_memory("spikes", 32, bitmap)
    assert not any("dram" in key for key in (*rows(plain, one), *rows(skip, two)))
    # while a's map is written, the input's waits for the skip path; b's comes when both are done with
    assert {key for key in rows(skip, one) if "dram" in key} == {("a", "dram", "write"), ("b", "dram", "read")}


@pytest.mark.parametrize(("bits", "home"), [(16, "middle"), (15, "dram")])
def test_a_map_without_room_in_the_first_memory_goes_to_the_next_that_has(counts, bits, home):
    bitmap = replace(SCATTER, dataflow=replace(SCATTER.dataflow, spike_code="bitmap"))  # 2 steps of 8 bits each
    middle = Memory(name="middle", holds=("spike",), kib=bits / 8192, word_bits=64)
    *inner, dram = with_memory("spikes", 16, bitmap).memories
    found = rows(counts([A, B, SKIP, FC], FIRED), replace(bitmap, memories=(*inner, middle, dram)))
    assert {key for key in found if key[1] in ("middle", "dram")} == {("a", home, "write"), ("b", home, "read")}


def test_room_is_counted_in_each_memory_apart(counts):
    bitmap = replace(SCATTER, dataflow=replace(SCATTER.dataflow, spike_code="bitmap"))
    middle = Memory(name="middle", holds=("spike",), kib=16 / 8192, word_bits=64)
    *inner, dram = with_memory("spikes", 16, bitmap).memories
    later = Identity(name="later", in_shape=(2, 2, 2), source="a", joins="c")
    net = [A, B, SKIP, replace(B, name="c", source="b"), later, replace(FC, source="c")]
    found = rows(counts(net, {**FIRED, "c": [[1], []]}), replace(bitmap, memories=(*inner, middle, dram)))
    # a waits in the middle for its second reader; the first memory holds the input, then b, then c as b leaves
    assert {key for key in found if key[1] == "middle"} == {
        ("a", "middle", "write"),
        ("b", "middle", "read"),
        ("later", "middle", "read"),
    }
    assert not any("dram" in key for key in found)


def test_lifetimes_end_where_the_population_is_complete():
    net = Workload(name="net", input_shape=(2, 2, 2), layers=(A, B, SKIP, FC))
    made, last = lifetimes(net)
    assert made == {"input": -1, "a": 0, "b": 2, "fc": 3}
    assert last == {"input": 2, "a": 2, "b": 3, "fc": -1}


def test_with_time_outer_spikes_that_are_read_a_step_later_stay_throughout(counts):
    flow = replace(SCATTER.dataflow, spike_code="bitmap", time="outer")
    operations = counts([HIDDEN, BACK, OUT], RECURRENT_FIRED)  # 4 bits each
    tight = with_memory("spikes", 7, replace(SCATTER, dataflow=flow))
    assert ("input", "dram", "write") in rows(operations, tight)
    assert not any("dram" in key for key in rows(operations, with_memory("spikes", 8, tight)))


# Self-connections -----------------------------------------------------------------------------------------------------
HIDDEN = Linear(name="hidden", in_shape=(4,), out_features=4)
BACK = RecurrentLinear(name="back", in_shape=(4,), out_features=4, source="hidden", joins="hidden")
OUT = Linear(name="out", in_shape=(4,), out_features=2, source="hidden", neuron="readout")
RECURRENT_FIRED = {"input": [[0, 1], [2]], "hidden": [[0, 3], [1]]}


def test_every_row_of_self_connections_on_scatter(counts):
    assert rows(counts([HIDDEN, BACK, OUT], RECURRENT_FIRED), SCATTER, "hidden", "back") == {
        ("hidden", "spikes", "read"): [1, 1],
        ("hidden", "spikes", "write"): [1, 1],
        ("hidden", "synapse", "add.float32"): [8, 4],
        ("hidden", "weights", "read"): [4, 2],  # 4 weights are 2 words
        ("hidden", "states", "read"): [4 + 2, 2 + 2],
        ("hidden", "states", "write"): [4 + 2, 2 + 2],
        ("hidden", "neuron", "multiply.float32"): [4, 4],
        ("hidden", "neuron", "compare.float32"): [4, 4],
        ("hidden", "reset", "add.float32"): [2, 1],
        ("back", "spikes", "read"): [0, 1],  # the two spikes of the step before
        ("back", "synapse", "add.float32"): [0, 8],
        ("back", "weights", "read"): [0, 4],
        ("back", "states", "read"): [0, 4],
        ("back", "states", "write"): [0, 4],
    }


def test_binary_self_connections_read_a_factor_per_neuron(counts):
    back = replace(BACK, weight_kind="binary", weight_bits=None, scale="folded", channel_vectors=1)
    found = rows(counts([HIDDEN, back, OUT], RECURRENT_FIRED), SCATTER, "back")
    assert found["back", "weights", "read"] == [2, 2 + 2]  # 4 factors are 2 words; 2 runs of 4 bits
    assert found["back", "synapse", "add.float32"] == [0, 8]


def test_self_connected_weights_stay_if_they_fit_together(counts):
    operations = counts([HIDDEN, BACK, OUT], RECURRENT_FIRED)  # 512 + 512 bits, and 256 of the classifier
    stay = rows(operations, with_memory("weights", 1024, SCATTER))
    assert stay["hidden", "dram", "read"] == stay["back", "dram", "read"] == [8, 0]
    assert stay["out", "dram", "read"] == [4, 0]
    come = rows(operations, with_memory("weights", 1023, SCATTER))
    assert come["hidden", "dram", "read"] == [4, 2]  # no block can run all its steps: the rows of the events, 2 words
    assert come["back", "dram", "read"] == come["back", "weights", "write"] == [0, 4]
    assert come["hidden", "spikes", "read"] == [2, 2]
    assert come["out", "dram", "read"] == [4, 0]


def test_weights_that_come_at_every_step_are_no_more_than_all_of_them(counts):
    crowd = RECURRENT_FIRED | {"input": [[0, 1, 2, 3], [2]]}
    hidden = replace(HIDDEN, channel_vectors=1)
    fetched = rows(counts([hidden, BACK, OUT], crowd), with_memory("weights", 1023, SCATTER))
    assert fetched["hidden", "dram", "read"] == [8 + 2, 2 + 2]  # its 4 vector words are 2, at every step


DENSE_BACK = {
    ("hidden", "spikes", "read"): [1, 1],  # 4 taps for each of 2 folds of channels
    ("hidden", "spikes", "write"): [1, 1],
    ("hidden", "synapse", "add.float32"): [8, 4],
    ("hidden", "weights", "read"): [8, 0],  # its current is computed for all steps, so weights stay
    ("hidden", "states", "read"): [2, 2],  # potentials leave the array: the neurons run step by step
    ("hidden", "states", "write"): [2, 2],
    ("hidden", "neuron", "multiply.float32"): [4, 4],
    ("hidden", "neuron", "add.float32"): [4, 4],
    ("hidden", "neuron", "compare.float32"): [4, 4],
    ("hidden", "reset", "add.float32"): [2, 1],
    ("back", "spikes", "read"): [0, 1],
    ("back", "synapse", "add.float32"): [0, 8],
    ("back", "weights", "read"): [0, 8],  # at every step that has one before it
    ("back", "states", "read"): [2, 2],  # the current of the own layer
    ("back", "states", "write"): [2, 2],
}


def test_every_row_of_self_connections_on_a_dense_array(counts):
    operations = counts([HIDDEN, BACK, OUT], RECURRENT_FIRED)
    assert rows(operations, DENSE, "hidden", "back") == DENSE_BACK
    assert rows(operations, zeros("dense"), "back")["back", "synapse", "add.float32"] == [0, 16]


def test_self_connections_of_a_dense_array_take_time_in_steps_with_one_before(counts):
    cycles = execute(counts([HIDDEN, BACK, OUT], RECURRENT_FIRED), DENSE).seconds["back"][:, 0] * 1e6
    # 2 folds of (preload 4 + 4 rows + 2 columns + 1 position - 2) cycles, less one; in the first step 2 words move
    assert np.rint(cycles).tolist() == [2, 2 * 9 - 1]


def test_potentials_and_currents_of_self_connections_take_room_on_a_dense_array(counts):
    operations = counts([HIDDEN, BACK, OUT], RECURRENT_FIRED)  # 4 x 32 bits: 2 currents and a potential
    assert ("back", "states", "read") in rows(operations, with_memory("states", 384, DENSE))
    assert ("back", "dram", "read") in rows(operations, with_memory("states", 383, DENSE))


@pytest.mark.parametrize(("bits", "loads"), [(512, [0, 8, 0]), (511, [0, 8, 8])])
def test_a_dense_array_loads_self_connections_at_every_step_unless_all_of_them_stay(tmp_path, bits, loads):
    net = Workload(name="net", input_shape=(4,), layers=(HIDDEN, BACK, OUT))
    with TraceWriter(tmp_path / "net.zarr", net, 3) as writer:
        writer.append({"input": np.ones((3, 1, 4)), "hidden": np.ones((3, 1, 4))})
    operations = count(SpikeTrace.open(tmp_path / "net.zarr"))
    assert rows(operations, with_memory("weights", bits, DENSE))["back", "dram", "read"] == loads


# Merges: sum of a and the input, which 2 classes read -----------------------------------------------------------------
MERGED = replace(HIDDEN, name="a")
READER = Linear(name="fc", in_shape=(4,), out_features=2, source="sum", neuron="readout")
MERGE_FIRED = {"input": [[0, 1], [2]], "a": [[0, 3], [1]]}
UNION, BOTH = [[0, 1, 3], [1, 2]], [[0], []]


def merge(mode: str) -> Add:
    return Add(name="sum", in_shape=(4,), source="a", others=("input",), mode=mode)


def merged(counts, mode: str):
    fired = MERGE_FIRED | {"sum": BOTH if mode == "and" else UNION}
    return counts([MERGED, merge(mode), replace(READER, input_kind=merge(mode).output_kind)], fired)


def test_every_row_of_a_graded_sum(counts):
    assert rows(merged(counts, "graded"), SCATTER, "sum", "fc") == {
        ("sum", "spikes", "read"): [2, 2],  # a list of each source
        ("sum", "spikes", "write"): [1, 1],
        ("sum", "merge", "add.int8"): [1, 0],  # where both are set
        ("fc", "spikes", "read"): [1, 1],
        ("fc", "synapse", "add.float32"): [6, 4],
        ("fc", "synapse", "multiply.float32"): [6, 4],  # a value times a real weight
        ("fc", "weights", "read"): [3, 2],
        ("fc", "states", "read"): [3, 2 + 1],
        ("fc", "states", "write"): [3, 2 + 1],
        ("fc", "readout", "compare.float32"): [0, 1],
    }


@pytest.mark.parametrize("mode", ["and", "or"])
def test_every_row_of_a_merge_of_spikes(counts, mode):
    found = rows(merged(counts, mode), SCATTER, "sum")
    assert found.pop(("sum", "spikes", "write")) == ([1, 0] if mode == "and" else [1, 1])
    assert found == {("sum", "spikes", "read"): [2, 2], ("sum", "merge", "compare.int8"): [1, 0]}


@pytest.mark.parametrize(("how", "operations"), [("skip", [1, 0]), ("gate", [1, 0]), ("dense", [4, 4])])
def test_every_row_of_a_merge_on_a_dense_array(counts, how, operations):
    assert rows(merged(counts, "or"), zeros(how), "sum") == {
        ("sum", "spikes", "read"): [2, 2],
        ("sum", "spikes", "write"): [1, 1],
        ("sum", "merge", "compare.int8"): operations,
    }


def test_the_elements_of_a_sum_take_the_bits_of_its_largest_value(counts):
    inner = merge("graded")
    outer = Add(
        name="more",
        in_shape=(4,),
        source="sum",
        input_kind="graded",
        others=("a",),
        other_kinds=("spike",),
        mode="graded",
    )
    pool = Pool(name="pool", in_shape=(1, 4), source="a", mode="average", scale="folded", kernel_size=3)
    net = Workload(name="net", input_shape=(4,), layers=(MERGED, inner, outer, pool))
    assert element_bits(net) == {"input": 1, "a": 1, "sum": 2, "more": 2, "pool": 2}
    signed = Workload(
        name="s", input_shape=(4,), input_kind="signed_spike", layers=(replace(MERGED, input_kind="signed_spike"),)
    )
    assert element_bits(signed) == {"input": 2, "a": 1}
    wide = replace(signed, input_kind="graded", layers=(replace(MERGED, input_kind="graded"),))
    assert element_bits(wide) == {"input": 8, "a": 1}


def test_graded_events_carry_their_value_beside_the_address(counts):
    tight = replace(
        SCATTER, memories=tuple(replace(m, word_bits=3) if m.name == "spikes" else m for m in SCATTER.memories)
    )
    found = rows(merged(counts, "graded"), tight, "sum")
    assert found["sum", "spikes", "write"] == [3, 2]  # an event: 2 bits of address, 1 that tells 1 from 2
    assert found["sum", "spikes", "read"] == [2 + 2, 1 + 1]  # 2 and 2 events of 2 bits; then 1 and 1


# Pooling between signals: 1 x 4 x 4 -> windows of 2 x 2 ---------------------------------------------------------------
POOL_FIRED = {"input": [[0, 5, 2], [15]], "pool": [[0, 1], [3]]}


def pooled(counts, mode: str, scale: str = "explicit"):
    pool = Pool(name="pool", in_shape=(1, 4, 4), mode=mode, scale=scale, kernel_size=2)
    reader = Linear(name="fc", in_shape=(1, 2, 2), source="pool", out_features=2, neuron="readout")
    return counts([pool, replace(reader, input_kind=pool.output_kind)], POOL_FIRED)


WINDOWS = {("pool", "spikes", "read"): [1, 1], ("pool", "spikes", "write"): [1, 1]}
POOLS = {
    # one state for each event and window; 4 windows of 1 bit, 3 bits and 32 bits are read out and cleared
    ("max", "explicit"): ({("pool", "pool", "compare.int8"): [1, 0]}, [3 + 1, 1 + 1]),
    ("average", "folded"): ({("pool", "pool", "add.int8"): [3, 1]}, [3 + 1, 1 + 1]),
    ("average", "explicit"): (
        {
            ("pool", "pool", "add.float32"): [3, 1],
            ("pool", "pool", "multiply.float32"): [2, 1],
            ("pool", "spikes", "write"): [2, 2],  # real numbers: the whole map
        },
        [3 + 2, 1 + 2],
    ),
}


@pytest.mark.parametrize("kind", POOLS)
def test_every_row_of_pooling_on_scatter(counts, kind):
    own, states = POOLS[kind]
    expected = WINDOWS | own | {("pool", "states", action): states for action in ("read", "write")}
    assert rows(pooled(counts, *kind), SCATTER, "pool") == expected


@pytest.mark.parametrize("kind", POOLS)
def test_pooling_on_a_dense_array_needs_no_state(counts, kind):
    assert rows(pooled(counts, *kind), DENSE, "pool") == WINDOWS | POOLS[kind][0]


@pytest.mark.parametrize(("kind", "expected"), [(("max", "explicit"), [12, 12]), (("average", "folded"), [16, 16])])
def test_pooling_on_an_array_that_looks_at_no_zero(counts, kind, expected):
    found = rows(pooled(counts, *kind), zeros("dense"), "pool")
    assert [n for (_, part, _), n in found.items() if part == "pool"] == [expected]


def test_windows_that_do_not_fit_are_kept_outside(counts):
    found = rows(pooled(counts, "average"), with_memory("states", 127, SCATTER), "pool")
    assert found["pool", "dram", "read"] == [5, 3]


def test_overlapping_windows_read_their_inputs_anew_on_a_dense_array(counts):
    pool = Pool(name="pool", in_shape=(1, 4, 4), mode="max", kernel_size=3, stride=1)  # 4 windows of 9
    reader = Linear(name="fc", in_shape=(1, 2, 2), source="pool", out_features=2, neuron="readout")
    narrow = replace(
        DENSE, memories=tuple(replace(m, word_bits=1) if m.name == "spikes" else m for m in DENSE.memories)
    )
    operations = counts([pool, reader], POOL_FIRED)
    assert rows(operations, narrow, "pool")["pool", "spikes", "read"] == [36, 36]
    skip = replace(narrow, compute=replace(narrow.compute, zero="skip"))
    assert rows(operations, skip, "pool")["pool", "spikes", "read"] == [16, 16]  # the map, scanned once


# Copies and layers that feed neurons of their own ---------------------------------------------------------------------
def test_copies_move_words_and_execute_nothing(counts):
    cat = Concatenate(name="cat", in_shape=(1, 2, 2), others=("up",), source="input", other_channels=(1,))
    layers = [
        Pool(name="small", in_shape=(1, 2, 2), mode="max", kernel_size=2),
        Upsample(name="up", in_shape=(1, 1, 1), source="small", factor=2),
        cat,
        Linear(name="fc", in_shape=(2, 2, 2), out_features=2, source="cat", neuron="readout"),
    ]
    fired = {"input": [[0], []], "small": [[0], []], "up": [[0, 1, 2, 3], []], "cat": [[0, 4, 5, 6, 7], []]}
    for grid in (SCATTER, zeros("skip")):
        found = rows(counts(layers, fired), grid, "up", "cat")
        assert {part for _, part, _ in found} == {"spikes"}
        assert found["up", "spikes", "read"][0] == found["up", "spikes", "write"][0] == 1
        assert found["cat", "spikes", "read"][0] == 2


def test_every_row_of_neurons_that_are_fed_without_weights(counts):
    relay = Identity(name="relay", in_shape=(4,), neuron="lif_hard", bias=True, channel_vectors=1)
    fc = Linear(name="fc", in_shape=(4,), out_features=2, source="relay", neuron="readout")
    operations = counts([relay, fc], {"input": [[0, 1], [2]], "relay": [[0], []]})
    common = {
        ("relay", "spikes", "read"): [1, 1],
        ("relay", "neuron", "multiply.float32"): [4, 4],
        ("relay", "neuron", "compare.float32"): [4, 4],
        ("relay", "bias", "add.float32"): [4, 4],
        ("relay", "weights", "read"): [2, 2],  # 4 words of bias
    }
    assert rows(operations, SCATTER, "relay") == common | {
        ("relay", "spikes", "write"): [1, 0],
        ("relay", "synapse", "add.float32"): [2, 1],
        ("relay", "states", "read"): [2 + 2, 1 + 2],
        ("relay", "states", "write"): [2 + 2, 1 + 2],
    }
    dense = common | {
        ("relay", "spikes", "write"): [1, 1],
        ("relay", "merge", "add.float32"): [2, 1],
        ("relay", "neuron", "add.float32"): [4, 4],
    }
    assert rows(operations, DENSE, "relay") == dense
    moved = {("relay", "states", "read"): [2, 2], ("relay", "states", "write"): [2, 2]}
    assert rows(operations, zeros("gate", time="outer"), "relay") == dense | moved


# All kinds ------------------------------------------------------------------------------------------------------------
MAPS, VECTOR = {"in_shape": (2, 4, 4), "source": "first"}, {"in_shape": (32,), "source": "first"}
KERNEL = {"out_channels": 3, "kernel_size": 2}
EXAMPLES = {
    "Conv1d": Conv1d(name="x", **KERNEL, in_shape=(4, 8), source="first"),
    "Conv2d": Conv2d(name="x", **KERNEL, **MAPS),
    "Conv3d": Conv3d(name="x", **KERNEL, in_shape=(2, 2, 2, 4), source="first"),
    "ConvTranspose1d": ConvTranspose1d(name="x", **KERNEL, in_shape=(4, 8), source="first"),
    "ConvTranspose2d": ConvTranspose2d(name="x", **KERNEL, **MAPS),
    "Linear": Linear(name="x", out_features=5, **MAPS),
    "RecurrentLinear": RecurrentLinear(name="x", out_features=32, in_shape=(32,), source="first", joins="first"),
    "Pool": Pool(name="x", mode="max", kernel_size=3, stride=1, **MAPS),
    "AdaptivePool": AdaptivePool(name="x", mode="average", scale="folded", output_size=3, **MAPS),
    "Upsample": Upsample(name="x", factor=2, **MAPS),
    "Identity": Identity(name="x", joins="second", **MAPS),
    "Add": Add(name="x", mode="or", others=("second",), **MAPS),
    "Concatenate": Concatenate(name="x", others=("second",), **MAPS),
}
FIRST = Conv2d(name="first", in_shape=(2, 4, 4), out_channels=2, kernel_size=3, padding=1, bias=True, channel_vectors=2)
ROOMY = with_memory("weights", 2**20, SCATTER)
MACHINES = {
    "scatter": ROOMY,
    "scatter, time outer": replace(ROOMY, dataflow=replace(ROOMY.dataflow, time="outer")),
    **{
        f"{s} {z} {t}": zeros(z, s, t)
        for s, z, t in itertools.product(("weight", "output", "input"), ("skip", "gate", "dense"), ("inner", "outer"))
    },
}


def example(kind: str, rate: float, path):
    """A trace of a net with one layer of a kind, with maxima and merges that follow from what they read."""
    layer = EXAMPLES[kind]
    layers = [FIRST, replace(FIRST, name="second", source="first"), layer]
    reads = layer.name if layer.emits else "second"
    shape, input_kind = (layer.neuron_shape, layer.output_kind) if layer.emits else ((2, 4, 4), "spike")
    layers.append(
        Linear(name="fc", in_shape=shape, input_kind=input_kind, source=reads, out_features=3, neuron="readout")
    )
    net = Workload(name=kind, input_shape=(2, 4, 4), layers=tuple(layers))
    rng = np.random.default_rng(1)
    signals = {name: (rng.random((3, 2, *own)) < rate).astype(np.uint8) for name, (own, _) in net.signals.items()}
    if not layer.weights and layer.emits:
        signals["x"] = passed_on(layer, signals)
    with TraceWriter(path, net, 3) as writer:
        writer.append(signals)
    return count(SpikeTrace.open(path)), signals


def passed_on(layer, signals):
    """Edge by edge, the slow way: 1 where anything that is not zero arrives."""
    result = np.zeros((3, 2, *layer.out_shape), np.uint8)
    if isinstance(layer, Add):
        return signals["first"] | signals["second"]
    if isinstance(layer, Concatenate):
        return np.concatenate([signals["first"], signals["second"]], axis=2)
    for index in np.ndindex(layer.in_shape):
        for target, _ in layer.targets(index):
            result[(slice(None), slice(None), *target)] |= signals["first"][(slice(None), slice(None), *index)]
    return result


def test_every_kind_of_layer_has_an_example():
    assert EXAMPLES.keys() == LAYER_TYPES.keys()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_kind_runs_on_every_machine_and_skip_costs_no_more_than_gate(tmp_path, kind):
    operations, _ = example(kind, 0.4, tmp_path / "t.zarr")
    done = {name: execute(operations, machine) for name, machine in MACHINES.items()}
    for name, actions in done.items():
        assert all((n >= 0).all() for n in actions.counts.values()), name
        assert all(np.isfinite(times).all() and (times >= 0).all() for times in actions.seconds.values()), name
        assert set(actions.seconds) == {layer.name for layer in operations.workload.layers}
        if "gate" in name:
            less, more = done[name.replace("gate", "skip")], done[name.replace("gate", "dense")]
            assert all((n <= actions.counts[key]).all() for key, n in less.counts.items()), name
            assert all((n <= more.counts[key]).all() for key, n in actions.counts.items()), name


@pytest.mark.parametrize("kind", EXAMPLES)
def test_energy_of_every_kind_is_the_sum_of_its_parts(tmp_path, kind):
    operations, _ = example(kind, 0.4, tmp_path / "t.zarr")
    for chip in ("event-driven-45nm", "event-driven-45nm-tiny", "grid-45nm"):
        result = estimate(operations, load_accelerator(chip))
        assert result.by("layer").sum() == pytest.approx(result.energy_pj)
        assert result.sample_pj.mean() == pytest.approx(result.energy_pj)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_without_spikes_nothing_is_left_but_accesses_and_updates(tmp_path, kind):
    operations, _ = example(kind, 0.0, tmp_path / "t.zarr")
    for name in ("scatter", "output gate inner"):
        parts = {part for _, part, _ in execute(operations, with_memory("weights", 2**20, MACHINES[name])).counts}
        assert parts <= {"neuron", "bias", "readout", "weights", "states", "spikes"}, name


@pytest.mark.parametrize("kind", ["Pool", "AdaptivePool", "Upsample", "Identity"])
def test_adds_and_states_are_those_of_the_edges_one_by_one(tmp_path, kind):
    operations, signals = example(kind, 0.4, tmp_path / "t.zarr")
    layer = EXAMPLES[kind]
    edges = np.zeros((3, 2), np.int64)
    for index in np.ndindex(layer.in_shape):
        edges += len(list(layer.targets(index))) * signals["first"][(slice(None), slice(None), *index)]
    counts = execute(operations, SCATTER).counts
    if kind == "Upsample":
        assert operations.layers["x"].spikes.tolist() == edges.tolist()
        return
    sweep = 0 if kind == "Identity" else -(-layer.neurons * (1 if kind == "Pool" else 3) // 64)
    assert (counts["x", "states", "read"] == edges + sweep).all()
    if kind == "Pool":  # n candidates of a window take n - 1 comparisons
        assert (counts["x", "pool", "compare.int8"] == edges - operations.layers["x"].spikes).all()


@pytest.mark.parametrize(
    "layer",
    [
        Pool(name="x", mode="max", kernel_size=2, joins="small", **MAPS),
        Add(name="x", mode="and", others=("second",), joins="second", **MAPS),
    ],
    ids=["max", "and"],
)
@pytest.mark.parametrize("machine", ["scatter", "output gate inner"])
def test_maxima_and_bit_operations_need_a_signal_of_their_own(counts, layer, machine):
    small = Linear(name="small", in_shape=(2, 4, 4), out_features=8, source="second")
    layers = [FIRST, replace(FIRST, name="second", source="first"), small]
    if isinstance(layer, Add):
        layer = replace(layer, others=("input",))
    fired = {name: [[0], [1]] for name in ("input", "first", "second", "small")}
    with pytest.raises(InvalidInput, match="'x' feeds (compare|logic) results .* straight into neurons"):
        execute(counts([*layers, layer], fired), MACHINES[machine])


def test_what_the_rules_leave_out_is_listed(counts):
    omitted = execute(counts([A, B, SKIP, FC], FIRED), SCATTER).omitted
    assert "addresses of merges and copies" in omitted
    assert "factors of branches" not in omitted
    assert "addresses of merges and copies" not in execute(counts([A, B, FC], FIRED), SCATTER).omitted


# Networks -------------------------------------------------------------------------------------------------------------
CHIPS = ("event-driven-45nm", "grid-45nm", "sop-45nm")
SUMS = [(name, "current", bits, gate) for name in NETWORKS for bits in (1, 32) for gate in (None, GateConfig())]
MERGES = [
    (name, mode, bits, gate)
    for name in ("resnet18", "resnet19")
    for mode, bits, gate in itertools.product(RESIDUALS[1:], (1, 32), (None, GateConfig()))
    if (bits == 1) == (gate is None) or name == "resnet18"
]


@pytest.mark.parametrize(("name", "residual", "bits", "gate"), SUMS + MERGES)
def test_every_network_is_recorded_counted_and_priced(tmp_path, name, residual, bits, gate):
    torch.manual_seed(0)
    shape = {"vggsnn": (2, 16, 16), "recurrent": (20,)}.get(name, (2, 8, 8))
    common = {"input_shape": shape, "steps": 3, "classes": 4, "weight_bits": bits, "gate": gate, "residual": residual}
    model = SpikingNetwork(NetworkConfig(network=name, width=0.05 if name == "resnet19" else 0.1, **common)).eval()
    trace = record(model, [(torch.rand(3, 2, *shape) < 0.4).float()], path=tmp_path / "t.zarr")
    operations = count(trace)
    for chip in CHIPS:
        result = estimate(operations, load_accelerator(chip))
        assert np.isfinite(result.sample_pj).all()
        assert (result.sample_pj > 0).all()
        assert result.by("layer").sum() == pytest.approx(result.energy_pj)
    loihi = load_accelerator("loihi1-davies2018")
    if gate is None:
        assert estimate(trace, loihi).energy_pj > 0
    else:
        with pytest.raises(InvalidInput, match="has a live gate, which many-core chips cannot run"):
            estimate(trace, loihi)


# Spikes that do not fit in their first memory -------------------------------------------------------------------------
@pytest.mark.parametrize(("kib", "name", "words"), [(1, "middle", 2), (1 / 1024, "dram", 3)])
def test_spikes_that_leave_their_first_memory_move_in_words_of_the_one_that_holds_them(kib, name, words):
    """64 addresses of 6 bits are 384: 6 words of 64 bits, 2 of 256 and 3 of 128; a pass writes and reads them."""
    net = Workload(name="net", input_shape=(64,), layers=(Linear(name="fc", in_shape=(64,), out_features=2),))
    middle = Memory(name="middle", holds=("spike",), kib=kib, word_bits=256)
    first, last = with_memory("spikes", 32, SCATTER).memories[:3], replace(SCATTER.memories[3], word_bits=128)
    grid = replace(SCATTER, memories=(*first, middle, last))
    counts = execute(bernoulli_counts(net, {"input": 1.0, "fc": 0.0}, steps=1), grid).counts
    assert (counts["input", name, "write"].item(), counts["fc", name, "read"].item()) == (words, words)


def test_maps_that_leave_their_first_memory_are_streamed_in_words_of_the_one_that_holds_them():
    """Two classes are one pass of the columns over 64 bits of a map: a word of 256 bits."""
    net = Workload(name="net", input_shape=(64,), layers=(Linear(name="fc", in_shape=(64,), out_features=2),))
    grid = replace(
        DENSE, memories=(*DENSE.memories[:2], *with_memory("spikes", 32, DENSE).memories[2:3], DENSE.memories[3])
    )
    wide = replace(grid, memories=(*grid.memories[:3], replace(grid.memories[3], word_bits=256)))
    narrow = replace(grid, memories=(*grid.memories[:3], replace(grid.memories[3], word_bits=16)))
    operations = bernoulli_counts(net, {"input": 1.0, "fc": 0.0}, steps=1)
    for machine, words in ((wide, 1), (narrow, 4)):
        assert execute(operations, machine).counts["fc", "dram", "read"].item() == words
