"""Event scatter on a machine small enough to work every row out by hand.

Network: 1x4x4 -> 2 maps by a 3x3 convolution without padding (8 neurons) -> 3 classes; two steps, one sample.
Step 0: input spikes at (0, 0) and (1, 1); step 1: at (3, 3). The first meets 1 tap of 1 output place, the second 4, the
third 1; each tap has a run of 2 output channels. The convolution's neurons fire 3 times, then once.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.networks.layouts import NETWORKS, Layout, Node
from spikejoule.models.networks.network_config import NetworkConfig
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikejoule.models.training.derive_variants import fold_gains
from spikejoule.sim.counting.operations import count
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.architecture import Compute, Dataflow, Grid, Memory, NeuronUnit, Operations
from spikejoule.sim.hardware.execution import execute
from spikejoule.sim.network.workload import AveragePool, Conv2d, Linear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

CONV = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, bias=True, channel_vectors=2)
READOUT = Linear(
    name="fc", in_shape=(2, 2, 2), out_features=3, source="conv", neuron="readout", bias=True, channel_vectors=1
)
GRID = Grid(
    clock_hz=1e6,
    compute=Compute(lanes=2),
    neuron=NeuronUnit(lanes=4, supports=("layer_mean_gate",)),
    dataflow=Dataflow(stationary="scatter"),
    memories=(
        Memory(name="weights", holds=("weight",), kib=1, word_bits=64),
        Memory(name="states", holds=("potential",), kib=1, word_bits=64),
        Memory(name="spikes", holds=("spike",), kib=1, word_bits=64),
        Memory(name="dram", holds=("weight", "potential", "spike"), word_bits=64, bandwidth_bytes_per_s=8e6),
    ),
)
FIRED = ((0, 0, 0, 0), (0, 0, 0, 1), (0, 1, 1, 1), (1, 1, 0, 0))  # step, channel, y, x


@pytest.fixture
def counts(tmp_path):
    def make(conv: Conv2d = CONV, readout: Linear = READOUT, fired=FIRED, **workload):
        spikes_in, spikes_out = np.zeros((2, 1, 1, 4, 4), np.uint8), np.zeros((2, 1, 2, 2, 2), np.uint8)
        for step, y, x in ((0, 0, 0), (0, 1, 1), (1, 3, 3)):
            spikes_in[step, 0, 0, y, x] = 1
        for step, channel, y, x in fired:
            spikes_out[step, 0, channel, y, x] = 1
        net = Workload(name="ledger", input_shape=(1, 4, 4), layers=(conv, readout), **workload)
        path = tmp_path / "ledger.zarr"
        with TraceWriter(path, net, 2, overwrite=True) as writer:
            writer.append({"input": spikes_in, "conv": spikes_out}, labels=[0], predictions=[0])
        return count(SpikeTrace.open(path))

    return make


def rows(actions) -> dict:
    return {key: values[:, 0].tolist() for key, values in actions.counts.items()}


UNGATED = {
    ("input", "spikes", "write"): [1, 1],  # 2 and 1 addresses of 4 bits
    ("conv", "spikes", "read"): [1, 1],
    ("conv", "spikes", "write"): [1, 1],  # 3 and 1 addresses of 3 bits
    ("conv", "synapse", "add.float32"): [10, 2],  # (1 + 4) x 2, 1 x 2
    ("conv", "weights", "read"): [5 + 2, 1 + 2],  # 5 and 1 runs of one word; 2 vectors x 2 channels = 2 words
    ("conv", "states", "read"): [5 + 4, 1 + 4],  # a run of two 32-bit states is one word; 8 states are 4
    ("conv", "states", "write"): [5 + 4, 1 + 4],
    ("conv", "neuron", "multiply.float32"): [8, 8],
    ("conv", "neuron", "compare.float32"): [8, 8],
    ("conv", "reset", "add.float32"): [3, 1],
    ("conv", "bias", "add.float32"): [8, 8],
    ("fc", "spikes", "read"): [1, 1],
    ("fc", "synapse", "add.float32"): [9, 3],
    ("fc", "weights", "read"): [3 * 2 + 2, 1 * 2],  # runs of three 32-bit weights are two words; the bias once
    ("fc", "states", "read"): [3 * 2, 1 * 2 + 2],  # three sums are two words, read once at the end
    ("fc", "states", "write"): [3 * 2, 1 * 2 + 2],
    ("fc", "bias", "add.float32"): [3, 0],
    ("fc", "readout", "compare.float32"): [0, 2],
}


def test_every_row_of_the_ungated_ledger(counts):
    assert rows(execute(counts(), GRID)) == UNGATED


def test_every_row_of_the_live_gate(counts):
    gated = UNGATED | {
        ("conv", "states", "read"): [5 + 4 * 3, 1 + 4 * 3],  # potentials, and the current array twice
        ("conv", "states", "write"): [5 + 4 * 2, 1 + 4 * 2],  # potentials, and clearing the current array
        ("conv", "neuron", "add.float32"): [8, 8],  # the gated current is added to the potential
        ("conv", "gate", "add.float32"): [8, 8],
        ("conv", "gate", "sigmoid.float32"): [2, 2],
        ("conv", "gate", "multiply.float32"): [8 + 2, 8 + 2],
        ("conv", "scale", "multiply.float32"): [4, 4],  # per channel: the mean's 1/N, gain x bias
        ("conv", "scale", "add.float32"): [2, 2],
    }
    assert rows(execute(counts(replace(CONV, gate="live")), GRID)) == gated


def frozen(monkeypatch) -> Workload:
    """Of a network with live gates, gains folded: 1x4x4 -> 2 maps (padded) -> 4 binary neurons -> 3 classes."""
    nodes = [
        Node(name="conv1", source="input", channels=2),
        Node(name="fc1", kind="linear", source="conv1", channels=4),
    ]
    monkeypatch.setitem(NETWORKS, "ledger", Layout(lambda residual: nodes, pooled=False))
    config = NetworkConfig(
        network="ledger", input_shape=(1, 4, 4), classes=3, steps=2, weight_bits=1, gate=GateConfig()
    )
    live = SpikingNetwork(config)
    assert [layer.gate for layer in live.workload().layers] == ["live", "live", None]
    return fold_gains(live, {"conv1": torch.tensor([0.5, 2.0]), "fc1": torch.tensor([0.5, 1.0, 2.0, 3.0])}).workload()


def test_every_row_of_the_frozen_gate(tmp_path, monkeypatch):
    # The gain is in batch norm's two constants per channel and in the threshold that they fold into: no row of a gate,
    # none of a scale. Input as above: padded, its spikes meet 4, 9 and 4 taps.
    net = frozen(monkeypatch)
    spikes = {name: np.zeros((2, 1, *shape), np.uint8) for name, (shape, _) in net.signals.items()}
    for step, y, x in ((0, 0, 0), (0, 1, 1), (1, 3, 3)):
        spikes["input"][step, 0, 0, y, x] = 1
    for step, neuron in ((0, 0), (1, 5), (1, 31)):
        spikes["conv1"][step, 0].flat[neuron] = 1
    for step, neuron in ((0, 0), (0, 3), (1, 2)):
        spikes["fc1"][step, 0].flat[neuron] = 1
    with TraceWriter(tmp_path / "frozen.zarr", net, 2) as writer:
        writer.append(spikes, labels=[0], predictions=[0])
    assert rows(execute(count(SpikeTrace.open(tmp_path / "frozen.zarr")), GRID)) == {
        ("input", "spikes", "write"): [1, 1],
        ("conv1", "spikes", "read"): [1, 1],
        ("conv1", "spikes", "write"): [1, 1],  # 1 and 2 addresses of 5 bits
        ("conv1", "synapse", "add.float32"): [(4 + 9) * 2, 4 * 2],
        ("conv1", "weights", "read"): [4 + 9 + 2, 4 + 2],  # 2 words: gamma and beta, the gain in both, of 2 channels
        ("conv1", "states", "read"): [4 + 9 + 16, 4 + 16],  # 32 states are 16 words
        ("conv1", "states", "write"): [4 + 9 + 16, 4 + 16],
        ("conv1", "neuron", "multiply.float32"): [32, 32],
        ("conv1", "neuron", "compare.float32"): [32, 32],
        ("conv1", "reset", "add.float32"): [1, 2],
        ("conv1", "bias", "add.float32"): [32, 32],
        ("fc1", "spikes", "read"): [1, 1],
        ("fc1", "spikes", "write"): [1, 1],
        ("fc1", "synapse", "add.float32"): [1 * 4, 2 * 4],
        ("fc1", "weights", "read"): [1 + 4, 2 + 4],  # a run of four bits is a word; 2 vectors x 4 neurons are 4
        ("fc1", "states", "read"): [1 * 2 + 2, 2 * 2 + 2],
        ("fc1", "states", "write"): [1 * 2 + 2, 2 * 2 + 2],
        ("fc1", "neuron", "multiply.float32"): [4, 4],
        ("fc1", "neuron", "compare.float32"): [4, 4],
        ("fc1", "reset", "add.float32"): [2, 1],
        ("fc1", "bias", "add.float32"): [4, 4],
        ("classifier", "spikes", "read"): [1, 1],
        ("classifier", "synapse", "add.float32"): [2 * 3, 1 * 3],
        ("classifier", "weights", "read"): [2 * 2 + 2, 1 * 2],
        ("classifier", "states", "read"): [2 * 2, 1 * 2 + 2],
        ("classifier", "states", "write"): [2 * 2, 1 * 2 + 2],
        ("classifier", "bias", "add.float32"): [3, 0],
        ("classifier", "readout", "compare.float32"): [0, 2],
    }


def test_every_row_of_a_gain_per_step(counts):
    # the leak becomes lambda g[t-1] / g[t], the threshold V_th / g[t]: 2 x 2 channels x 32 bits more are read per step
    gained = UNGATED | {("conv", "weights", "read"): [5 + 2 + 2, 1 + 2 + 2]}
    assert rows(execute(counts(replace(CONV, gate="per_step")), GRID)) == gained


def test_a_gain_per_step_gives_neurons_without_leak_a_multiply(counts):
    gained = UNGATED | {
        ("conv", "weights", "read"): [5 + 2 + 2, 1 + 2 + 2],
        ("conv", "gate", "multiply.float32"): [8, 8],
    }
    del gained["conv", "neuron", "multiply.float32"]
    assert rows(execute(counts(replace(CONV, gate="per_step", neuron="if_soft")), GRID)) == gained


def test_a_gain_per_step_and_sample_reads_one_leak_and_one_threshold(counts):
    conv = replace(CONV, gate="per_step", gate_axes="sample")
    assert rows(execute(counts(conv), GRID))["conv", "weights", "read"] == [5 + 2 + 1, 1 + 2 + 1]


def test_the_table_of_a_gain_per_step_takes_room(counts):
    full = replace(GRID, memories=(replace(GRID.memories[0], kib=1568 / 8192), *GRID.memories[1:]))  # 49 words of 32
    outer = replace(full, dataflow=replace(GRID.dataflow, time="outer"))
    assert ("conv", "dram", "read") not in rows(execute(counts(), full))
    gained = counts(replace(CONV, gate="per_step"))  # 2 steps x 2 channels x 2 words more
    inner = rows(execute(gained, full))
    assert inner["conv", "dram", "read"] == [11 + 4, 0]
    assert inner["conv", "weights", "write"] == [11 + 4, 0]
    assert rows(execute(gained, outer))["conv", "dram", "read"] == [11 + 2, 11 + 2]


def test_the_operations_kind_leaves_gains_out_and_says_so(counts):
    actions = execute(counts(replace(CONV, gate="per_step")), Operations())
    assert not any(component == "gate" for _, component, _ in actions.counts)
    assert actions.omitted["gate"] == "not part of the convention"


def test_a_live_gate_on_binary_weights_keeps_the_batch_norm_scale(counts):
    conv = replace(CONV, gate="live", weight_kind="binary", weight_bits=None, scale="explicit")
    assert rows(execute(counts(conv), GRID))["conv", "scale", "multiply.float32"] == [6, 6]


def test_binary_weights_change_weight_words_and_nothing_else(counts):
    conv = replace(CONV, out_channels=2, weight_kind="binary", weight_bits=None)
    fc = replace(READOUT, weight_kind="binary", weight_bits=None)
    changed = {key: value for key, value in rows(execute(counts(conv, fc), GRID)).items() if UNGATED[key] != value}
    assert changed == {("fc", "weights", "read"): [3 * 1 + 2, 1 * 1]}


def test_pooling_is_address_arithmetic_into_the_pooled_state(counts):
    conv = replace(CONV, padding=1, pool=AveragePool(kernel_size=(2, 2)))
    result = rows(execute(counts(conv), GRID))
    assert result["conv", "synapse", "add.float32"] == [(4 + 9) * 2, 4 * 2]
    assert result["conv", "states", "read"] == [13 + 4, 4 + 4]
    assert ("conv", "pool", "add.float32") not in result


def test_weights_that_do_not_fit_come_from_dram_once_per_inference(counts):
    tiny = replace(GRID, memories=(replace(GRID.memories[0], kib=0.125), *GRID.memories[1:]))  # 1,024 bits
    result = rows(execute(counts(), tiny))
    # conv: 18 weights are 9 words, 4 vector words 2; it fits by itself: 704 bits, one pass
    assert result["conv", "dram", "read"] == [11, 0]
    assert result["conv", "weights", "write"] == [11, 0]
    assert result["conv", "spikes", "read"] == [1, 1]
    # fc: 24 weights are 12 words, 3 bias words 2; 864 bits, one pass
    assert result["fc", "dram", "read"] == [14, 0]


@pytest.mark.parametrize(("kib", "backing"), [(0.25, "middle"), (0.1875, "dram")])  # 2,048 bits; 1,536
def test_weights_come_from_the_first_later_level_with_room_for_the_whole_network(counts, kib, backing):
    # 704 + 864 = 1,568 bits in all; the first level holds 1,024
    first = replace(GRID.memories[0], kib=0.125)
    middle = Memory(name="middle", holds=("weight",), kib=kib, word_bits=64)
    result = rows(execute(counts(), replace(GRID, memories=(first, middle, *GRID.memories[1:]))))
    assert {key: value for key, value in result.items() if key[1] in ("middle", "dram")} == {
        ("conv", backing, "read"): [11, 0],
        ("fc", backing, "read"): [14, 0],
    }


def test_a_layer_larger_than_the_weight_memory_reads_its_input_once_per_pass(counts):
    tiny = replace(GRID, memories=(replace(GRID.memories[0], kib=0.0625), *GRID.memories[1:]))  # 512 bits
    assert rows(execute(counts(), tiny))["conv", "spikes", "read"] == [2, 2]  # ceil(704 / 512)


def test_time_outer_loads_the_weights_at_every_step(counts):
    outer = replace(GRID, dataflow=replace(GRID.dataflow, time="outer"))
    tiny = replace(outer, memories=(replace(GRID.memories[0], kib=0.125), *GRID.memories[1:]))
    assert rows(execute(counts(), tiny))["conv", "dram", "read"] == [11, 11]


def test_potentials_that_do_not_fit_live_in_dram(counts):
    tiny = replace(
        GRID, memories=(GRID.memories[0], replace(GRID.memories[1], kib=0.02), *GRID.memories[2:])
    )  # 163 bits
    result = rows(execute(counts(), tiny))
    assert result["conv", "dram", "read"] == [9, 5]  # 8 x 32 bits
    assert result["fc", "states", "read"] == [6, 4]  # 3 x 32 bits still fit


def test_element_runs_access_every_state_by_itself(counts):
    element = replace(GRID, dataflow=replace(GRID.dataflow, state_run="element"))
    assert rows(execute(counts(), element))["conv", "states", "read"] == [10 + 4, 2 + 4]


def test_bitmaps_are_scanned_whole(counts):
    bitmap = replace(GRID, dataflow=replace(GRID.dataflow, spike_code="bitmap"))
    assert rows(execute(counts(), bitmap))["conv", "spikes", "read"] == [1, 1]  # 16 bits


def test_latency_is_that_of_the_busiest_port(counts):
    seconds = execute(counts(), GRID).seconds
    assert seconds["conv"][:, 0].tolist() == pytest.approx([9e-6, 5e-6])  # state reads; 2 cycles of neurons are hidden
    assert seconds["fc"][:, 0].tolist() == pytest.approx([8e-6, 4e-6])  # weight reads; state reads


def test_utilisation_is_busy_over_offered_lane_cycles(counts):
    actions = execute(counts(), GRID)  # 2 lanes; 9 and 5 cycles, 8 and 4
    assert actions.utilisation["conv"][:, 0].tolist() == pytest.approx([10 / 18, 2 / 10])
    assert actions.utilisation["fc"][:, 0].tolist() == pytest.approx([9 / 16, 3 / 8])
    assert actions.mean_utilisation("conv") == pytest.approx(12 / 28)
    assert actions.mean_utilisation() == pytest.approx(24 / 52)


def test_machines_without_lanes_have_no_utilisation(counts):
    assert execute(counts(), Operations()).mean_utilisation() is None


def test_a_step_that_takes_no_time_uses_nothing(counts):
    silent = execute(counts(fired=()), GRID)  # no spike reaches the classifier: its first step reads its bias
    assert silent.utilisation["fc"].tolist() == [[0.0], [0.0]]


def test_the_table_holds_counts_and_seconds_once(counts):
    actions = execute(counts(), GRID)
    table = actions.to_frame()
    assert list(table.columns) == ["step", "layer", "component", "action", "count", "seconds"]
    added = table[(table["component"] == "synapse") & (table["layer"] == "conv")]
    assert added["count"].tolist() == [10, 2]
    assert added["seconds"].isna().all()
    times = table[table["component"] == "time"]
    assert list(zip(times["layer"], times["step"], times["seconds"].round(9), strict=True)) == [
        ("conv", 0, 9e-6),
        ("conv", 1, 5e-6),
        ("fc", 0, 8e-6),
        ("fc", 1, 4e-6),
    ]
    assert table["seconds"].sum() == pytest.approx(actions.latency_s.sum())


def test_the_live_gate_is_a_barrier(counts):
    seconds = execute(counts(replace(CONV, gate="live")), GRID).seconds["conv"][:, 0]
    assert seconds.tolist() == pytest.approx([17e-6 + 4e-6, 13e-6 + 4e-6])  # two more sweeps of 8 neurons on 4 lanes


def test_a_machine_without_a_layer_mean_refuses_the_live_gate(counts):
    plain = replace(GRID, neuron=NeuronUnit(lanes=4))
    with pytest.raises(InvalidInput, match="layer 'conv' has a live gate.*frozen"):
        execute(counts(replace(CONV, gate="live")), plain)


def test_the_operations_kind_counts_synapses_only(counts):
    assert rows(execute(counts(), Operations())) == {
        ("conv", "synapse", "accumulate"): [10, 2],
        ("fc", "synapse", "accumulate"): [9, 3],
    }


def test_a_held_analog_input_is_counted_once_or_per_step(counts):
    conv = replace(CONV, input_kind="analog")
    held = counts(conv, input_kind="analog", held_input=True)
    per_step = rows(execute(held, Operations()))["conv", "synapse", "multiply_accumulate"]
    once = rows(execute(held, Operations(first_layer="once")))["conv", "synapse", "multiply_accumulate"]
    assert (per_step, once) == ([72, 72], [72, 0])  # dense: 4 output places x 9 taps x 2 channels


def test_a_held_current_is_written_once_and_read_at_every_step(counts):
    conv = replace(CONV, input_kind="analog")
    once = replace(GRID, dataflow=replace(GRID.dataflow, first_layer="once"))
    result = rows(execute(counts(conv, input_kind="analog", held_input=True), once))
    assert result["conv", "synapse", "multiply.float32"] == [72, 0]
    assert result["conv", "states", "read"] == [36 + 4 + 4, 4 + 4]  # scatter runs, potentials, held current
    assert result["conv", "states", "write"] == [36 + 4, 4]
    assert result["conv", "neuron", "add.float32"] == [8, 8]


def test_a_binary_weight_never_multiplies(counts):
    conv = replace(CONV, input_kind="analog", weight_kind="binary", weight_bits=None)
    result = rows(execute(counts(conv, input_kind="analog", held_input=True), GRID))
    assert ("conv", "synapse", "multiply.float32") not in result
    assert result["conv", "synapse", "add.float32"] == [72, 72]
