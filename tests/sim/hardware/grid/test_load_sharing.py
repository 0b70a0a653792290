"""Hardware batches and loads of whole networks: words worked out by hand, and what must hold on every machine.

The network: 1x4x4 -> 2 maps by a 3x3 convolution without padding (18 weights, 4 words of vectors, 8 neurons) -> 3
classes (24 weights, 3 words of bias). In words of 64 bits one load takes 9 + 2 and 12 + 2; in bits 704 + 864 = 1,568.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from spikejoule.energy.explaining.what_if_sweep import sweep
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.operations import count
from spikejoule.sim.counting.synthetic import bernoulli_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.architecture import Compute, Dataflow, Grid, Memory, NeuronUnit
from spikejoule.sim.hardware.execution import execute
from spikejoule.sim.hardware.grid.load_sharing import share
from spikejoule.sim.network.workload import Conv2d, Linear, RecurrentLinear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

CONV = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, bias=True, channel_vectors=2)
READOUT = Linear(
    name="fc", in_shape=(2, 2, 2), out_features=3, source="conv", neuron="readout", bias=True, channel_vectors=1
)
NET = Workload(name="ledger", input_shape=(1, 4, 4), layers=(CONV, READOUT))
SCATTER = Grid(
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
ARRAY = replace(
    SCATTER,
    compute=Compute(rows=4, cols=2, zero="gate"),
    dataflow=Dataflow(stationary="weight", spike_code="bitmap"),
)
RICH = Workload(  # a live gate, a skip path, a gain per step and a self-connection
    name="rich",
    input_shape=(1, 4, 4),
    layers=(
        replace(CONV, padding=1, gate="live"),
        Conv2d(name="skip", in_shape=(1, 4, 4), out_channels=2, kernel_size=1, joins="conv", neuron=None),
        Linear(name="hidden", in_shape=(2, 4, 4), out_features=5, source="conv", gate="per_step"),
        RecurrentLinear(name="again", in_shape=(5,), out_features=5, source="hidden", joins="hidden", neuron=None),
        replace(READOUT, in_shape=(5,), source="hidden"),
    ),
)


def drawn(net: Workload = NET, samples: int = 12, steps: int = 2, rate: float = 0.3):
    return bernoulli_counts(net, rate, steps=steps, samples=samples)


def sized(name: str, bits: float, grid: Grid = SCATTER) -> Grid:
    return replace(grid, memories=tuple(replace(m, kib=bits / 8192) if m.name == name else m for m in grid.memories))


def every_machine():
    """Scatter and arrays, in both orders of time, with weights that fit and that do not."""
    for time, bits in itertools.product(("inner", "outer"), (8192, 1000)):
        yield sized("weights", bits, replace(SCATTER, dataflow=replace(SCATTER.dataflow, time=time)))
        for stationary, zero in itertools.product(("weight", "output", "input"), ("gate", "skip")):
            compute = replace(ARRAY.compute, zero=zero, accumulators=2)
            flow = replace(ARRAY.dataflow, stationary=stationary, time=time)
            yield sized("weights", bits, replace(ARRAY, compute=compute, dataflow=flow))


def summed(actions, *components: str) -> dict:
    """Counts over all steps and samples, of these components or (none given) all."""
    return {key: int(n.sum()) for key, n in actions.counts.items() if not components or key[1] in components}


# Shares


def test_shares_of_any_first_samples_are_those_of_their_sum():
    rng = np.random.default_rng(0)
    for inferences in (1, 2, 3, 7, 1000):
        totals = rng.integers(0, 50, (3, 40))
        totals[0] = totals[0, 0]
        together = np.cumsum(share(totals, inferences), axis=1)
        assert (together == np.cumsum(totals, axis=1) // inferences).all()


def test_what_every_inference_does_alone_is_not_touched():
    own = np.random.default_rng(0).integers(0, 2**40, (2, 9))
    assert (share(6 * own, 6) == own).all()


def test_shares_differ_by_one_at_most():
    assert share(np.full((1, 8), 11), 4).tolist() == [[2, 3, 3, 3, 2, 3, 3, 3]]


# Loads of a whole network


@pytest.mark.parametrize("grid", [SCATTER, ARRAY], ids=["scatter", "array"])
@pytest.mark.parametrize("time", ["inner", "outer"])
def test_a_network_that_fits_is_reloaded_whole_in_the_first_step(grid, time):
    machine = replace(grid, weights="reload", dataflow=replace(grid.dataflow, time=time))
    counts = execute(drawn(), machine).counts
    loads = {key: n[:, 3].tolist() for key, n in counts.items() if key[1:] in (("dram", "read"), ("weights", "write"))}
    assert loads == {
        (name, *action): [words, 0]
        for name, words in (("conv", 11), ("fc", 14))
        for action in (("dram", "read"), ("weights", "write"))
    }


def test_a_load_takes_the_whole_table_of_a_gain_per_step():
    net = replace(NET, layers=(replace(CONV, gate="per_step"), READOUT))  # 2 steps x 2 channels x 2 words of 32 bits
    assert execute(drawn(net), replace(SCATTER, weights="reload")).counts["conv", "dram", "read"][0, 0] == 11 + 4


def test_several_inferences_share_a_load_in_whole_words():
    shared = execute(drawn(samples=8), replace(SCATTER, weights="reload", inferences_per_load=4))
    assert shared.counts["conv", "dram", "read"].tolist() == [[2, 3, 3, 3, 2, 3, 3, 3], [0] * 8]


@pytest.mark.parametrize("weights", [None, "resident", "reload"])
def test_a_shared_load_is_the_same_whatever_keeps_the_network(weights):
    machine = replace(SCATTER, weights=weights, inferences_per_load=3)
    assert summed(execute(drawn(samples=12), machine), "dram") == {
        ("conv", "dram", "read"): 44,
        ("fc", "dram", "read"): 56,
    }


@pytest.mark.parametrize("samples", [1, 5, 64, 1001])
def test_the_mean_of_a_shared_load_does_not_depend_on_how_many_samples_there_are(samples):
    read = execute(drawn(samples=samples), replace(SCATTER, inferences_per_load=100)).counts["conv", "dram", "read"]
    assert read.dtype == np.int64
    assert read.sum() == 11 * samples // 100


@pytest.mark.parametrize("grid", [SCATTER, ARRAY], ids=["scatter", "array"])
def test_loads_add_their_words_and_nothing_else(grid):
    plain, loaded = (execute(drawn(), replace(grid, weights=weights)) for weights in ("resident", "reload"))
    differ = {
        key for key in loaded.counts if key not in plain.counts or (loaded.counts[key] != plain.counts[key]).any()
    }
    assert {key[1:] for key in differ} == {("dram", "read"), ("weights", "write")}


def test_residence_is_free_and_listed_as_left_out():
    by_size, resident = (execute(drawn(), replace(SCATTER, weights=weights)) for weights in (None, "resident"))
    assert summed(by_size) == summed(resident)
    for actions in (by_size, resident):
        assert "once for all inferences" in actions.omitted["loading of resident weights"]
    for change in ({"weights": "reload"}, {"inferences_per_load": 9}):
        assert "loading of resident weights" not in execute(drawn(), replace(SCATTER, **change)).omitted


def test_a_network_that_does_not_fit_is_no_resident():
    exact = replace(sized("weights", 1568), weights="resident")
    assert ("conv", "dram", "read") not in execute(drawn(), exact).counts
    with pytest.raises(InvalidInput, match="'ledger' needs 1,568 bits of weights, but 'weights' holds 1,567"):
        execute(drawn(), replace(sized("weights", 1567), weights="resident"))


def test_layers_that_displace_each_other_share_no_load_beyond_a_batch():
    small = replace(sized("weights", 1000), inferences_per_load=6, hardware_batch=2)
    with pytest.raises(InvalidInput, match="one hardware batch of 2, not architecture.inferences_per_load 6"):
        execute(drawn(), replace(small, weights="reload"))
    by_size = execute(drawn(samples=6), small)  # where size decides, the number is of networks that fit
    assert by_size.counts["conv", "dram", "read"].tolist() == [[5, 6, 5, 6, 5, 6], [0] * 6]


def test_time_has_an_even_part_of_a_load():
    slow = replace(SCATTER, memories=(*SCATTER.memories[:3], replace(SCATTER.memories[3], bandwidth_bytes_per_s=8e3)))
    for inferences, words in ((1, 11), (4, 11 / 4), (22, 1 / 2)):
        seconds = execute(drawn(), replace(slow, weights="reload", inferences_per_load=inferences)).seconds["conv"]
        assert seconds[0].tolist() == pytest.approx([words * 8 / 8e3] * 12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hardware_batch": 0}, "hardware_batch is 0; it must be a positive"),
        ({"inferences_per_load": 0}, "inferences_per_load is 0; it must be a positive"),
        ({"inferences_per_load": 6, "hardware_batch": 4}, "whole batches; use a multiple of 4"),
        ({"weights": "reload", "memories": SCATTER.memories[1:]}, "'dram' is the only memory that holds weights"),
    ],
)
def test_loads_that_make_no_sense_are_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        replace(SCATTER, **change)


# Hardware batches


@pytest.mark.parametrize("net", [NET, RICH], ids=["ledger", "rich"])
def test_a_batch_computes_what_its_inferences_compute(net):
    operations = drawn(net)
    logic = ("synapse", "neuron", "reset", "bias", "gate", "scale", "readout", "pool", "merge")
    for machine in every_machine():
        one, many = (execute(operations, replace(machine, hardware_batch=batch)) for batch in (1, 5))
        for key in {*one.counts, *many.counts}:
            if key[1] in logic:
                assert (one.counts[key] == many.counts[key]).all(), (key, machine)


@pytest.mark.parametrize("net", [NET, RICH], ids=["ledger", "rich"])
def test_a_larger_batch_never_takes_more_words_of_weights(net):
    operations = drawn(net, samples=24)
    for machine in every_machine():
        runs = [execute(operations, replace(machine, hardware_batch=batch)) for batch in (1, 2, 6, 12, 24)]
        for fewer, more in itertools.pairwise(runs):
            for key, counts in more.counts.items():
                if key[1] == "weights":
                    assert counts.sum() <= fewer.counts[key].sum(), (key, machine)


def test_a_batch_on_scatter_shares_nothing_but_loads():
    operations = drawn(RICH)
    for machine in (m for m in every_machine() if m.dataflow.stationary == "scatter"):
        roomy = sized("states", 2**20, sized("spikes", 2**20, machine))  # what spills is not shared, but comes with B
        one, many = (execute(operations, replace(roomy, hardware_batch=batch)).counts for batch in (1, 4))
        differ = {key for key, counts in many.items() if (one[key] != counts).any()}
        assert {key[1:] for key in differ} <= {("dram", "read"), ("weights", "write")}
        whole = [key for key in differ if key[0] not in ("hidden", "again")]  # theirs may come row by row
        for key in whole:  # 12 samples are 3 batches
            assert 4 * many[key].sum() == one[key].sum()


def test_layers_that_do_not_fit_are_loaded_once_for_a_batch():
    counts = execute(drawn(samples=8), replace(sized("weights", 1000), hardware_batch=4)).counts
    assert counts["conv", "dram", "read"].tolist() == [[2, 3, 3, 3, 2, 3, 3, 3], [0] * 8]
    assert counts["fc", "weights", "write"].sum() == 2 * 14


def test_a_reload_serves_a_whole_batch_unless_more_are_given():
    machine = replace(SCATTER, weights="reload", hardware_batch=4)
    assert execute(drawn(samples=8), machine).counts["conv", "dram", "read"].sum() == 2 * 11


@pytest.mark.parametrize("grid", [SCATTER, ARRAY], ids=["scatter", "array"])
def test_potentials_of_a_whole_batch_are_held(grid):
    outer = replace(grid, dataflow=replace(grid.dataflow, time="outer"), hardware_batch=3)
    for bits, where in ((3 * (8 + 3) * 32, "states"), (3 * (8 + 3) * 32 - 1, "dram")):
        counts = execute(drawn(), sized("states", bits, outer)).counts
        assert {key[1] for key in counts if key[0] == "fc" and key[2] == "write" and key[1] != "weights"} == {where}


def test_sums_of_a_whole_batch_are_held():
    for bits, where in ((3 * 2 * 8 * 32, "states"), (3 * 2 * 8 * 32 - 1, "dram")):
        counts = execute(drawn(), replace(sized("states", bits, ARRAY), hardware_batch=3)).counts
        assert counts["conv", where, "read"][:, 0].tolist() == [8, 8]


def test_spikes_of_a_whole_batch_are_held():
    for bits, where in ((3 * 2 * 16, "spikes"), (3 * 2 * 16 - 1, "dram")):  # a bitmap of 16 places, two steps
        counts = execute(drawn(), replace(sized("spikes", bits, ARRAY), hardware_batch=3)).counts
        assert counts["input", where, "write"].tolist() == [[1] * 12] * 2


def test_all_of_a_batch_finish_together():
    plain = execute(drawn(), SCATTER)
    batch = execute(drawn(), replace(SCATTER, hardware_batch=4))
    assert batch.latency_s == pytest.approx(4 * plain.latency_s)
    assert batch.seconds_per_inference == pytest.approx(plain.latency_s)
    assert plain.seconds_per_inference.tolist() == plain.latency_s.tolist()


def test_an_array_fills_and_drains_once_for_a_batch():
    machine = replace(ARRAY, neuron=NeuronUnit(lanes=64), hardware_batch=2)
    machine = replace(machine, memories=tuple(replace(m, bandwidth_bytes_per_s=1e15) for m in machine.memories))
    seconds = execute(drawn(), machine).seconds["conv"]
    assert seconds[:, 0].tolist() == pytest.approx([(3 * (2 * 4 + 2 + 8 - 2) - 1) * 1e-6, 3 * 8 * 1e-6])


def test_inferences_that_take_the_same_work_take_the_same_time():
    dense = replace(ARRAY, compute=replace(ARRAY.compute, zero="dense"), weights="reload", hardware_batch=5)
    assert len(set(execute(drawn(), dense).latency_s.tolist())) == 1


def test_utilisation_of_a_batch_is_a_share():
    for machine in every_machine():
        actions = execute(drawn(rate=0.9), replace(machine, hardware_batch=7))
        assert all(((share >= 0) & (share <= 1)).all() for share in actions.utilisation.values())
    one, many = (execute(drawn(), replace(ARRAY, hardware_batch=batch)).mean_utilisation() for batch in (1, 7))
    assert many > one


def test_the_batch_of_the_recording_does_not_matter(tmp_path):
    rng = np.random.default_rng(0)
    spikes = {name: rng.random((2, 6, *shape)) < 0.3 for name, (shape, _) in NET.signals.items()}
    found = []
    for size in (1, 4, 6):
        with TraceWriter(tmp_path / "t.zarr", NET, 2, overwrite=True) as writer:
            for start in range(0, 6, size):
                writer.append({name: values[:, start : start + size] for name, values in spikes.items()})
        machine = replace(sized("weights", 1000), hardware_batch=4)
        found.append(execute(count(SpikeTrace.open(tmp_path / "t.zarr")), machine))
    for other in found[1:]:
        assert all((other.counts[key] == counts).all() for key, counts in found[0].counts.items())


# Energy


def test_power_is_energy_per_time_of_a_finished_inference():
    chip = load_accelerator("grid-45nm")
    result = estimate(drawn(), replace(chip, architecture=replace(chip.architecture, hardware_batch=8)))
    assert result.latency_s == pytest.approx(8 * result.seconds_per_inference)
    assert result.power_w == pytest.approx(result.energy_pj * 1e-12 / result.seconds_per_inference)


def test_a_batch_on_the_shipped_array_saves_energy_and_time():
    chip = load_accelerator("grid-45nm")
    one, many = (
        estimate(drawn(), replace(chip, architecture=replace(chip.architecture, hardware_batch=batch)))
        for batch in (1, 16)
    )
    assert many.energy_pj < one.energy_pj
    assert many.seconds_per_inference < one.seconds_per_inference < many.latency_s


def test_a_sweep_says_which_networks_stay_and_what_batches_take():
    chip = load_accelerator("event-driven-45nm")
    for weights, stays in ((None, True), ("reload", False)):
        machine = replace(chip, architecture=replace(chip.architecture, weights=weights, hardware_batch=4))
        row = sweep(NET, machine, rates=[0.2], steps=[2]).iloc[0]
        assert row["resident"] == stays
        assert row["latency_s"] == pytest.approx(4 * row["seconds_per_inference"])
