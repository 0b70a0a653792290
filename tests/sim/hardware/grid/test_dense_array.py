"""Dense arrays: words, operations and time of layers worked out by hand, and what must hold on all.

The ledger's network: 1x4x4 -> 2 maps by a 3x3 convolution without padding (4 positions, 9 taps, 2 channels, 8 neurons)
-> 3 classes, two steps. Step 0: input spikes at (0, 0) and (1, 1), which meet 5 (place, tap) pairs; step 1: at (3, 3),
which meets 1. The array has 4 rows and 2 columns: 3 folds of the convolution's taps, 2 x 2 folds of the classifier.
"""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.machines.prices import load_technology
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.operations import count
from spikejoule.sim.counting.synthetic import bernoulli_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.architecture import Compute, Dataflow, Grid, Memory, NeuronUnit
from spikejoule.sim.hardware.execution import execute
from spikejoule.sim.hardware.grid.dense_array import pair_counts
from spikejoule.sim.network.workload import AveragePool, Conv2d, Linear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

CONV = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, bias=True, channel_vectors=2)
READOUT = Linear(
    name="fc", in_shape=(2, 2, 2), out_features=3, source="conv", neuron="readout", bias=True, channel_vectors=1
)
EVERYTHING = ("weight", "potential", "spike")
GRID = Grid(
    clock_hz=1e6,
    compute=Compute(rows=4, cols=2, zero="gate"),
    neuron=NeuronUnit(lanes=4, supports=("layer_mean_gate",)),
    dataflow=Dataflow(stationary="weight", spike_code="bitmap"),
    memories=(
        Memory(name="weights", holds=("weight",), kib=1, word_bits=64),
        Memory(name="states", holds=("potential",), kib=1, word_bits=64),
        Memory(name="spikes", holds=("spike",), kib=1, word_bits=64),
        Memory(name="dram", holds=EVERYTHING, word_bits=64, bandwidth_bytes_per_s=8e6),
    ),
)
CASES = json.loads((Path(__file__).parents[3] / "cases" / "scalesim_16x16.json").read_text())
NAMES = {"ws": "weight", "os": "output", "is": "input"}


def changed(grid: Grid = GRID, **values) -> Grid:
    """The grid with other fields of its compute or dataflow."""
    compute = {name: value for name, value in values.items() if hasattr(grid.compute, name)}
    flow = {name: value for name, value in values.items() if name not in compute}
    return replace(grid, compute=replace(grid.compute, **compute), dataflow=replace(grid.dataflow, **flow))


def with_memory(name: str, kib: float, grid: Grid = GRID) -> Grid:
    return replace(grid, memories=tuple(replace(m, kib=kib) if m.name == name else m for m in grid.memories))


def record(path, net: Workload, steps: int, samples: int = 3, rate: float = 0.3, seed: int = 0):
    rng = np.random.default_rng(seed)
    signals = {name: rng.random((steps, samples, *shape)) < rate for name, (shape, _) in net.signals.items()}
    with TraceWriter(path, net, steps, overwrite=True) as writer:
        writer.append(signals)
    return count(SpikeTrace.open(path))


@pytest.fixture
def counts(tmp_path):
    def make(conv: Conv2d = CONV, readout: Linear = READOUT, **workload):
        spikes_in, spikes_out = np.zeros((2, 1, 1, 4, 4), np.uint8), np.zeros((2, 1, 2, 2, 2), np.uint8)
        for step, y, x in ((0, 0, 0), (0, 1, 1), (1, 3, 3)):
            spikes_in[step, 0, 0, y, x] = 1
        if workload.get("held_input"):
            spikes_in[1] = spikes_in[0]
        spikes_out[0, 0, 0, 0, :] = spikes_out[0, 0, 1, 1, 1] = spikes_out[1, 0, 1, 0, 0] = 1
        net = Workload(name="ledger", input_shape=(1, 4, 4), layers=(conv, readout), **workload)
        path = tmp_path / "ledger.zarr"
        with TraceWriter(path, net, 2, overwrite=True) as writer:
            writer.append({"input": spikes_in, "conv": spikes_out})
        return count(SpikeTrace.open(path))

    return make


def rows(actions, layer: str | None = None) -> dict:
    return {key: values[:, 0].tolist() for key, values in actions.counts.items() if layer in (None, key[0])}


def on(operations, **values) -> dict:
    return rows(execute(operations, changed(**values)))


LEDGER = {
    ("input", "spikes", "write"): [1, 1],  # a bitmap of 16 bits
    ("conv", "spikes", "read"): [1, 1],  # 4 positions x 9 taps, one fold of channels: 36 bits
    ("conv", "spikes", "write"): [1, 1],
    ("conv", "synapse", "add.float32"): [10, 2],
    ("conv", "weights", "read"): [9 + 2, 2],  # a run of 2 x 32 bits per tap, once; 4 vectors are 2 words, every step
    ("conv", "states", "read"): [8, 8],  # 2 folds of sums wait for the next: 2 x 4 positions x 1 word
    ("conv", "states", "write"): [8, 8],
    ("conv", "neuron", "multiply.float32"): [8, 8],
    ("conv", "neuron", "add.float32"): [8, 8],  # the sum is added to the potential
    ("conv", "neuron", "compare.float32"): [8, 8],
    ("conv", "reset", "add.float32"): [3, 1],
    ("conv", "bias", "add.float32"): [8, 8],
    ("fc", "spikes", "read"): [1, 1],  # 8 taps x 2 folds of channels
    ("fc", "synapse", "add.float32"): [9, 3],
    ("fc", "weights", "read"): [8 * 2 + 2, 0],  # runs of 2 and of 1 weight are a word each; the bias once
    ("fc", "states", "read"): [2, 2],  # 1 fold of sums: 2 words
    ("fc", "states", "write"): [2, 2],
    ("fc", "neuron", "add.float32"): [3, 3],
    ("fc", "bias", "add.float32"): [3, 0],
    ("fc", "readout", "compare.float32"): [0, 2],
}


def test_every_row_of_the_ungated_ledger(counts):
    assert rows(execute(counts(), GRID)) == LEDGER


def test_every_row_of_the_live_gate(counts):
    gated = LEDGER | {
        ("conv", "states", "read"): [8 + 2 * 4, 8 + 2 * 4],  # currents of 4 positions: for the mean, for the update
        ("conv", "states", "write"): [8 + 4, 8 + 4],
        ("conv", "gate", "add.float32"): [8, 8],
        ("conv", "gate", "sigmoid.float32"): [2, 2],
        ("conv", "gate", "multiply.float32"): [8 + 2, 8 + 2],
        ("conv", "scale", "multiply.float32"): [4, 4],
        ("conv", "scale", "add.float32"): [2, 2],
    }
    assert rows(execute(counts(replace(CONV, gate="live")), GRID)) == gated


def test_every_row_of_a_gain_per_step(counts):
    gained = LEDGER | {("conv", "weights", "read"): [9 + 2 + 2, 2 + 2]}  # 2 leaks and 2 thresholds of 32 bits
    assert rows(execute(counts(replace(CONV, gate="per_step")), GRID)) == gained
    gained[("conv", "gate", "multiply.float32")] = gained.pop(("conv", "neuron", "multiply.float32"))
    assert rows(execute(counts(replace(CONV, gate="per_step", neuron="if_soft")), GRID)) == gained


def test_the_table_of_a_gain_per_step_takes_room(counts):
    full, gained = with_memory("weights", 1568 / 8192), counts(replace(CONV, gate="per_step"))
    assert ("conv", "dram", "read") not in rows(execute(counts(), full))
    assert rows(execute(gained, full))["conv", "dram", "read"] == [11 + 4, 0]
    assert rows(execute(gained, changed(full, time="outer")))["conv", "dram", "read"] == [11 + 2, 11 + 2]


def test_time_outer_loads_weights_and_moves_potentials_at_every_step(counts):
    result = on(counts(), time="outer")
    differs = {key: value for key, value in result.items() if LEDGER[key] != value}
    assert differs == {
        ("conv", "weights", "read"): [11, 11],
        ("conv", "states", "read"): [12, 12],  # N x folds: 4 words x 3
        ("conv", "states", "write"): [12, 12],
        ("fc", "weights", "read"): [16 + 2, 16],
        ("fc", "states", "read"): [4, 4],
        ("fc", "states", "write"): [4, 4],
    }


def test_output_stationary_with_time_inner_moves_no_potentials(counts):
    result = on(counts(), stationary="output")
    assert not any(component == "states" for _, component, _ in result)
    assert result["conv", "weights", "read"] == [11, 11]  # one accumulator: weights at every step


def test_an_accumulator_per_step_reads_the_weights_once(counts):
    result = on(counts(), stationary="output", accumulators=2)
    assert result["conv", "weights", "read"] == [11, 2]


def test_input_stationary_reads_weights_per_fold_of_positions(counts):
    result = on(counts(), stationary="input")
    assert result["conv", "weights", "read"] == [9 * 2 + 2, 9 * 2 + 2]  # runs of 2 weights, 2 folds
    # sums: 2 folds x 2 channels x 2 runs of 2 positions; potentials 4 words, as a column serves both channels in turn
    assert result["conv", "states", "read"] == [8 + 4, 8 + 4]


def test_a_dense_array_adds_padding_too(tmp_path):
    net = Workload(name="padded", input_shape=(1, 4, 4), layers=(replace(CONV, padding=1),))
    operations = record(tmp_path / "t.zarr", net, 1, rate=1.0)
    assert on(operations, zero="gate")["conv", "synapse", "add.float32"] == [100 * 2]  # taps in range
    assert on(operations, zero="dense")["conv", "synapse", "add.float32"] == [16 * 9 * 2]


@pytest.mark.parametrize(
    ("zero", "active", "gated"), [("dense", [72, 72], [0, 0]), ("gate", [10, 2], [62, 70]), ("skip", [10, 2], [0, 0])]
)
def test_active_and_gated_pairs(counts, zero, active, gated):
    found = pair_counts(CONV, counts().layers["conv"].synaptic, Compute(rows=4, cols=2, zero=zero))
    assert [pairs[:, 0].tolist() for pairs in found] == [active, gated]


def test_skip_fetches_what_its_pairs_need_and_no_more(counts):
    result = on(counts(), stationary="output", zero="skip")
    assert result["conv", "weights", "read"] == [5 + 2, 1 + 2]  # one run per (spike, tap)
    assert on(counts(), zero="skip")["conv", "states", "read"] == [5, 1]
    assert on(counts(), zero="skip")["conv", "weights", "read"] == LEDGER["conv", "weights", "read"]


def test_skip_reads_addresses_once_per_fold_of_channels(counts):
    result = on(counts(), zero="skip", spike_code="address")
    assert result["fc", "spikes", "read"] == [1, 1]  # 3 and 1 addresses of 3 bits, less than two scans


def test_element_runs_access_every_sum_by_itself(counts):
    assert on(counts(), state_run="element")["conv", "states", "read"] == [16, 16]


def test_pooling_is_one_add_per_element_before_it(counts):
    conv = replace(CONV, padding=1, pool=AveragePool(kernel_size=(2, 2)))
    result = rows(execute(counts(conv), GRID))
    assert result["conv", "pool", "add.float32"] == [32, 32]
    assert result["conv", "states", "read"] == [32, 32]  # sums before the pooling: 16 positions x 2
    outer = on(counts(conv), time="outer")
    assert outer["conv", "states", "read"] == [32 + 4, 32 + 4]  # potentials after it


@pytest.mark.parametrize("stationary", ["weight", "output", "input"])
def test_binary_weights_change_weight_words_and_nothing_else(tmp_path, stationary):
    layers = (replace(CONV, out_channels=8), replace(READOUT, in_shape=(8, 2, 2)))
    binary = tuple(replace(layer, weight_kind="binary", weight_bits=None) for layer in layers)
    nets = [Workload(name="net", input_shape=(1, 4, 4), layers=layers) for layers in (layers, binary)]
    full, one = (on(record(tmp_path / "t.zarr", net, 3), stationary=stationary, cols=8) for net in nets)
    assert full.keys() == one.keys()
    assert {key[1] for key in full if full[key] != one[key]} == {"weights"}
    assert sum(full["conv", "weights", "read"]) > sum(one["conv", "weights", "read"])


def test_analog_zeros_are_worked_on_unless_the_machine_says_otherwise(counts):
    conv = replace(CONV, input_kind="analog")
    operations = counts(conv, input_kind="analog")
    for zero in ("dense", "gate", "skip"):
        assert on(operations, zero=zero)["conv", "synapse", "multiply.float32"] == [72, 72]
    assert on(operations, analog_zero="skip")["conv", "synapse", "multiply.float32"] == [10, 2]


def test_a_held_input_convolved_once_leaves_a_current_that_is_read_at_every_step(counts):
    operations = counts(replace(CONV, input_kind="analog"), input_kind="analog", held_input=True)
    result = on(operations, first_layer="once")
    assert result["conv", "synapse", "add.float32"] == [72, 0]
    assert result["conv", "spikes", "read"] == [18, 0]  # 36 values of 32 bits
    assert result["conv", "states", "write"] == [8 + 4, 0]
    assert result["conv", "states", "read"] == [8 + 4, 4]


def test_weights_that_do_not_fit_are_loaded_once_if_a_slice_does(counts):
    small = with_memory("weights", 0.125)  # 1,024 bits; the network needs 1,568
    assert rows(execute(counts(), small))["conv", "dram", "read"] == [11, 0]
    assert rows(execute(counts(), changed(small, time="outer")))["conv", "dram", "read"] == [11, 11]


def test_weights_whose_slice_does_not_fit_are_loaded_at_every_use(counts):
    tiny = changed(with_memory("weights", 0.03125), stationary="output", rows=2)  # 256 bits; 9 x 2 x 32 needed
    assert rows(execute(counts(), tiny))["conv", "dram", "read"] == [22, 22]  # 2 folds of positions, every step


def test_sums_that_do_not_fit_live_in_dram(counts):
    fits = with_memory("states", 8 * 2 * 32 / 8192)  # the convolution's sums of two steps
    less = with_memory("states", 8 * 2 * 32 / 8192 - 1e-3)
    assert ("conv", "dram", "read") not in rows(execute(counts(), fits))
    result = rows(execute(counts(), less))
    assert result["conv", "dram", "read"] == [8, 8]
    assert result["fc", "states", "read"] == [2, 2]  # the classifier's are smaller


def test_with_time_outer_the_potentials_of_all_layers_must_fit(counts):
    for bits, where in (((8 + 3) * 32, "states"), ((8 + 3) * 32 - 1, "dram")):
        outer = changed(with_memory("states", bits / 8192), time="outer")
        result = rows(execute(counts(), outer))
        assert result["fc", where, "read"] == [4, 4]


def test_latency_is_that_of_the_array(counts):
    seconds = execute(counts(), GRID).seconds["conv"][:, 0]
    assert seconds.tolist() == pytest.approx([(3 * (2 * 4 + 2 + 4 - 2) - 1) * 1e-6, 3 * 4 * 1e-6])


def test_latency_is_that_of_the_neuron_lanes_where_they_are_few(counts):
    slow = replace(GRID, neuron=NeuronUnit(lanes=1))
    assert execute(counts(), changed(slow, zero="skip")).seconds["conv"][1, 0] == pytest.approx(8e-6)


def test_latency_is_that_of_the_dram_where_everything_comes_from_there(counts):
    starved = replace(GRID, memories=(*GRID.memories[:3], replace(GRID.memories[3], bandwidth_bytes_per_s=8e3)))
    seconds = execute(counts(), with_memory("states", 1e-3, starved)).seconds["conv"][:, 0]
    assert seconds.tolist() == pytest.approx([16 * 8 / 8e3] * 2)  # 8 words out and back


@pytest.mark.parametrize("zero", ["skip", "gate", "dense"])
@pytest.mark.parametrize("stationary", ["weight", "output", "input"])
def test_utilisation_is_a_share_of_all_lane_cycles(tmp_path, stationary, zero):
    net = Workload(name="one", input_shape=(1, 4, 4), layers=(replace(CONV, padding=1),))
    spikes = np.random.default_rng(0).random((2, 1, 4, 4)) < 0.6
    with TraceWriter(tmp_path / "t.zarr", net, 2) as writer:
        writer.append({"input": spikes[:, None], "conv": np.zeros((2, 1, 2, 4, 4))})
    operations = count(SpikeTrace.open(tmp_path / "t.zarr"))
    busy = [0, 0]  # of 2 channels: every tap of every output place, on a spike or (dense) on anything
    for step, y, x, dy, dx in np.ndindex(2, 4, 4, 3, 3):
        inside = 0 <= y + dy - 1 < 4 and 0 <= x + dx - 1 < 4
        busy[step] += 2 * (zero == "dense" or (inside and bool(spikes[step, 0, y + dy - 1, x + dx - 1])))
    for rows_, cols, lanes, time in itertools.product((1, 2, 5), (1, 3), (1, 64), ("inner", "outer")):
        machine = replace(GRID, neuron=NeuronUnit(lanes=lanes))
        shape = {"rows": rows_, "cols": cols, "zero": zero, "stationary": stationary, "time": time}
        actions = execute(operations, changed(machine, **shape))
        cycles = np.rint(actions.seconds["conv"][:, 0] * GRID.clock_hz)
        share = actions.utilisation["conv"][:, 0]
        assert share.tolist() == pytest.approx((np.array(busy) / (rows_ * cols * cycles)).tolist())
        assert all(busy[step] <= rows_ * cols * cycles[step] for step in range(2))
        assert (share <= 1).all()


def test_the_live_gate_is_a_barrier(counts):
    plain, live = (execute(counts(replace(CONV, gate=gate)), GRID).seconds["conv"] for gate in (None, "live"))
    assert (live - plain)[0, 0] == pytest.approx(4e-6)  # two more sweeps of 8 neurons on 4 lanes


@pytest.mark.parametrize("case", CASES, ids=[case["dataflow"] for case in CASES])
def test_one_step_moves_and_takes_what_scale_sim_says(tmp_path, case):
    at = case["layer"]
    layer = Conv2d(name="c", in_shape=(at["ci"], at["hi"], at["wi"]), out_channels=at["co"], kernel_size=at["k"])
    net = Workload(name="one", input_shape=layer.in_shape, layers=(layer,))
    memories = tuple(
        Memory(name=name, holds=(name,), kib=4096, word_bits=bits)
        for name, bits in (("weight", 32), ("potential", 32), ("spike", 1))
    )
    machine = replace(
        GRID,
        compute=Compute(rows=16, cols=16, zero="dense"),
        neuron=NeuronUnit(lanes=8192),
        dataflow=Dataflow(stationary=NAMES[case["dataflow"]], spike_code="bitmap"),
        memories=(*memories, GRID.memories[3]),
    )
    result = execute(record(tmp_path / "t.zarr", net, 1, samples=1), machine)
    assert result.counts["c", "weight", "read"].item() == case["formula"]["filter"]
    assert result.counts["c", "spike", "read"].item() == case["formula"]["ifmap"]
    sums = result.counts.get(("c", "potential", "write"), np.zeros(1, np.int64)).item()
    assert sums + net.layer("c").neurons == case["formula"]["ofmap"]  # final sums go to the neurons
    assert result.counts["c", "synapse", "add.float32"].item() == 256 * 144 * 32


CSNN = Workload(
    name="csnn",
    input_shape=(2, 8, 8),
    layers=(
        Conv2d(
            name="c1",
            in_shape=(2, 8, 8),
            out_channels=6,
            kernel_size=3,
            padding=1,
            pool=AveragePool(kernel_size=(2, 2)),
        ),
        Conv2d(
            name="c2", in_shape=(6, 4, 4), out_channels=8, kernel_size=3, padding=1, bias=True, gate="live", source="c1"
        ),
        Conv2d(name="skip", in_shape=(6, 4, 4), out_channels=8, kernel_size=1, source="c1", joins="c2", neuron=None),
        Linear(name="fc", in_shape=(8, 4, 4), out_features=5, pooled=True, neuron="readout", source="c2"),
    ),
)
CHIP = load_accelerator("grid-45nm")


@pytest.mark.parametrize("time", ["inner", "outer"])
@pytest.mark.parametrize("stationary", ["weight", "output", "input"])
@pytest.mark.parametrize("rate", [0.0, 0.05, 0.4, 1.0])
def test_skip_costs_no_more_than_gate_and_gate_no_more_than_dense(tmp_path, stationary, time, rate):
    operations = record(tmp_path / "t.zarr", CSNN, 3, rate=rate, seed=int(rate * 100))
    flow = {"stationary": stationary, "time": time}
    runs = {}
    for zero in ("skip", "gate", "dense"):
        machine = changed(CHIP.architecture, rows=5, cols=4, zero=zero, accumulators=2, **flow)
        runs[zero] = estimate(operations, replace(CHIP, architecture=machine))
    for less, more in (("skip", "gate"), ("gate", "dense")):
        few, many = runs[less].actions, runs[more].actions
        assert all((counts <= many.counts[key]).all() for key, counts in few.counts.items())
        assert (runs[less].sample_pj <= runs[more].sample_pj).all()
        assert all((few.seconds[name] <= many.seconds[name]).all() for name in few.seconds)


def test_the_shipped_grid_prices_a_small_network_in_full(tmp_path):
    result = estimate(record(tmp_path / "t.zarr", CSNN, 4), CHIP)
    assert np.isfinite(result.sample_pj).all()
    assert (result.sample_pj > 0).all()
    assert result.by("component").min() > 0
    assert result.latency_s > 0
    assert set(result.table["component"]) >= {"synapse", "neuron", "pool", "gate", "weight_sram", "state_sram"}


def test_the_shipped_grid_keeps_sums_and_potentials_in_the_array(tmp_path):
    plain = replace(CSNN, layers=tuple(replace(x, gate=None) for x in CSNN.layers if x.name != "skip"))
    result = estimate(record(tmp_path / "t.zarr", plain, 10), CHIP)
    assert not any(component in ("state_sram", "dram") for component in result.table["component"])
    # c1: 64 positions on 16 rows are 4 folds, 18 taps, 6 channels x 32 bits are 3 words; no vectors
    assert result.actions.counts["c1", "weight_sram", "read"][:, 0].tolist() == [4 * 18 * 3, *[0] * 9]


@pytest.mark.parametrize(("kind", "times"), [("float", 18), ("binary", 24.4)])
def test_weight_stationary_costs_as_much_more_as_the_notes_say(kind, times):
    size, layers, source = (2, 16, 16), [], "input"
    for index, (channels, pool) in enumerate(((16, 2), (32, 2), (32, 1))):
        weights = kind if index else "float"
        fields = {"in_shape": size, "out_channels": channels, "source": source, "weight_kind": weights}
        pooling = AveragePool(kernel_size=(pool, pool))
        conv = Conv2d(name=f"c{index}", kernel_size=3, padding=1, pool=pooling, bias=True, channel_vectors=2, **fields)
        layers, size, source = [*layers, conv], conv.neuron_shape, conv.name
    fields = {"in_shape": size, "out_features": 10, "source": source, "neuron": "readout", "channel_vectors": 1}
    fc = Linear(name="fc", pooled=True, bias=True, **fields)
    net = Workload(name="csnn", input_shape=(2, 16, 16), layers=(*layers, fc))
    counts = bernoulli_counts(net, 0.12, steps=10)
    machine = with_memory("state_sram", 512, changed(CHIP.architecture, stationary="weight"))
    state = load_technology("horowitz-45nm").sram_access(512, 64)
    prices = {**CHIP.prices, "state_sram.read": state, "state_sram.write": state}
    other = replace(CHIP, architecture=machine, prices=prices)
    assert estimate(counts, other).energy_pj / estimate(counts, CHIP).energy_pj == pytest.approx(times, rel=0.03)


@pytest.mark.parametrize(("side", "where"), [(17, "state_sram"), (18, "dram")])
def test_the_shipped_grid_holds_the_currents_of_a_gate_on_the_frames_of_its_notes(side, where):
    shape = (2, 2 * side, 2 * side)
    conv = Conv2d(name="c", in_shape=shape, out_channels=16, kernel_size=3, padding=1, gate="live")
    net = Workload(name="net", input_shape=shape, layers=(replace(conv, pool=AveragePool(kernel_size=(2, 2))),))
    result = execute(bernoulli_counts(net, 0.1, steps=10), CHIP.architecture)
    assert result.counts["c", where, "write"].sum() == 10 * side * side * 16 * 32 / 64


def test_without_spikes_only_accesses_and_updates_are_left(tmp_path):
    result = execute(record(tmp_path / "t.zarr", CSNN, 2, rate=0.0), CHIP.architecture)
    assert not any(component in ("synapse", "reset") for _, component, _ in result.counts)
    assert any(component == "weight_sram" for _, component, _ in result.counts)


def test_a_joining_layer_adds_to_the_current_of_its_population(tmp_path):
    result = execute(record(tmp_path / "t.zarr", CSNN, 2), CHIP.architecture)
    # one fold of 6 taps on 16 rows; 16 positions, runs of 8 x 32 bits are 4 words
    assert result.counts["skip", "state_sram", "read"][:, 0].tolist() == [64, 64]
    assert ("skip", "neuron", "add.float32") not in result.counts


def test_a_machine_without_a_layer_mean_refuses_the_live_gate(counts):
    with pytest.raises(InvalidInput, match="layer 'conv' has a live gate.*frozen"):
        execute(counts(replace(CONV, gate="live")), replace(GRID, neuron=NeuronUnit(lanes=4)))


def test_an_array_without_multipliers_refuses_what_needs_them(counts):
    operations = counts(replace(CONV, input_kind="analog"), input_kind="analog")
    with pytest.raises(InvalidInput, match="'conv' multiplies analog inputs with float weights.*compute.unit is ac"):
        execute(operations, changed(unit="ac"))
    assert on(counts(), unit="ac") == LEDGER


@pytest.mark.parametrize(("key", "what"), [("weight_bits", "weights"), ("accumulator_bits", "states")])
def test_an_array_refuses_what_is_wider_than_itself(counts, key, what):
    with pytest.raises(
        InvalidInput, match=f"layer 'conv' has {what} of 32 bits, but this machine's compute.{key} is 8"
    ):
        execute(counts(), changed(**{key: 8}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": None}, "'weight' needs rows, cols and zero"),
        ({"zero": None}, "'weight' needs rows, cols and zero"),
        ({"lanes": 4}, "no lanes"),
        ({"spike_code": "address"}, "gate streams every input"),
        ({"zero": "dense", "zero_weights": "skip"}, "dense looks at no operand"),
        ({"stationary": "scatter"}, "'scatter' needs lanes"),
        ({"cols": 0}, "compute.cols is 0"),
    ],
)
def test_a_compute_section_that_does_not_fit_the_dataflow_is_refused(values, message):
    with pytest.raises(InvalidInput, match=message):
        changed(**values)
