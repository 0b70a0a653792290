"""Graded values as one event or as n unit events: against brute force, and against inputs that really are n spikes."""

from dataclasses import replace

import numpy as np
import pytest
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.machines.yaml_files import validate
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.operations import count
from spikejoule.sim.counting.synthetic import bernoulli_counts, packed_counts, recast_counts, scaled_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.architecture import Grid
from spikejoule.sim.hardware.chip.core_mapping import Run
from spikejoule.sim.hardware.chip.many_core import lay_out
from spikejoule.sim.hardware.execution import execute
from spikejoule.sim.hardware.mesh import Core, Event, HopLatency, Latency, Mesh, SynapticLatency
from spikejoule.sim.network.workload import Add, Conv2d, Linear, Pool, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

SCATTER = load_accelerator("event-driven-45nm").architecture
UNITS = replace(SCATTER, dataflow=replace(SCATTER.dataflow, graded="events"))
RNG = np.random.default_rng(7)
MASK = RNG.random((3, 2, 3, 3)) < 0.6
CONV = Conv2d(name="conv", in_shape=(2, 5, 5), out_channels=3, kernel_size=3, padding=1, stride=2, input_kind="graded")
LAYERS = {
    "integer": replace(CONV, weight_kind="integer"),
    "binary": replace(CONV, weight_kind="binary"),
    "float": CONV,
    "zeros": replace(CONV, weight_kind="integer", nonzero=MASK),
    "linear": Linear(name="conv", in_shape=(2, 5, 5), out_features=4, weight_kind="integer", input_kind="graded"),
}


def network(layer):
    return Workload(name="net", input_shape=layer.in_shape, input_kind="graded", layers=(layer,))


def record(path, net, signals):
    with TraceWriter(path, net, len(signals["input"])) as writer:
        writer.append(signals)
    return SpikeTrace.open(path)


def recorded(path, layer, values):
    """A trace of one layer: its graded input, and spikes of its neurons."""
    spikes = np.random.default_rng(1).random((*values.shape[:2], *layer.neuron_shape)) < 0.3
    return record(path, network(layer), {"input": values, layer.name: spikes})


def draw(shape, largest=300, steps=3, samples=2):
    values = RNG.integers(0, largest + 1, (steps, samples, *shape))
    return values * (RNG.random(values.shape) < 0.4)


def total(actions, component, action):
    return int(sum(n.sum() for (_, part, act), n in actions.counts.items() if (part, act) == (component, action)))


def multiplies(actions):
    return sum(int(n.sum()) for (_, part, act), n in actions.counts.items() if part == "synapse" and "multiply" in act)


# Counting -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_unit_events_are_sums_of_n_over_pairs(layer, tmp_path):
    values = draw(layer.in_shape)
    units = count(recorded(tmp_path / "trace.zarr", layer, values)).layers["conv"].units
    every, nonzero = (np.zeros(values.shape[:2], np.int64) for _ in range(2))
    for step, sample, *place in np.argwhere(values):
        for _, index in layer.targets(place):
            every[step, sample] += values[step, sample, *place]
            nonzero[step, sample] += values[step, sample, *place] * (layer.nonzero is None or layer.nonzero[index])
    np.testing.assert_array_equal(units.all_weights, every)
    np.testing.assert_array_equal(units.nonzero_weights, nonzero)
    np.testing.assert_array_equal(units.events, values.sum(axis=(2, 3, 4)))


def test_chunks_of_any_size_give_the_same_unit_events(tmp_path):
    values, net = draw(CONV.in_shape, samples=9), network(CONV)
    spikes = np.zeros((3, 9, *CONV.out_shape))
    found = []
    for size in (1, 4, None):
        with TraceWriter(tmp_path / f"{size}.zarr", net, 3, chunk_samples=size) as writer:
            writer.append({"input": values, "conv": spikes})
        found.append(count(SpikeTrace.open(tmp_path / f"{size}.zarr")))
    for counts in found:
        np.testing.assert_array_equal(counts.unit_events["input"], values.sum(axis=(2, 3, 4)))
        np.testing.assert_array_equal(
            counts.layers["conv"].units.all_weights, found[0].layers["conv"].units.all_weights
        )


def test_a_network_without_graded_signals_has_none(tmp_path):
    layer = replace(CONV, input_kind="spike")
    net = Workload(name="net", input_shape=layer.in_shape, layers=(layer,))
    signals = {"input": draw(layer.in_shape, 1), "conv": np.zeros((3, 2, *layer.out_shape))}
    counts = count(record(tmp_path / "trace.zarr", net, signals))
    assert (counts.layers["conv"].units, counts.unit_events) == (None, {})


# Event scatter --------------------------------------------------------------------------------------------------------
def one_layer(tmp_path, machine, kind="integer"):
    """Values 1 and 5 through ten weights of 8 bits, or 1 bit, each: weight words of 64 bits."""
    layer = Linear(name="fc", in_shape=(3,), out_features=10, weight_kind=kind, input_kind="graded")
    path = tmp_path / f"{machine.dataflow.graded}.zarr"
    return execute(count(recorded(path, layer, np.array([[[0, 1, 5]]]))), machine)


@pytest.mark.parametrize(("machine", "events"), [(SCATTER, 2), (UNITS, 6)], ids=["value", "events"])
@pytest.mark.parametrize("kind", ["integer", "binary"])
def test_adds_and_weight_fetches_by_hand(tmp_path, machine, events, kind):
    actions = one_layer(tmp_path, machine, kind)
    assert total(actions, "synapse", "add.float32") == 10 * events
    assert total(actions, "weight_sram", "read") == events * (2 if kind == "integer" else 1)


@pytest.mark.parametrize(("machine", "products"), [(SCATTER, 20), (UNITS, 0)], ids=["value", "events"])
def test_unit_events_need_no_multiplier(tmp_path, machine, products):
    assert multiplies(one_layer(tmp_path, machine)) == products


def test_adders_alone_run_unit_events_and_not_values(tmp_path):
    adders = replace(SCATTER, compute=replace(SCATTER.compute, unit="ac"))
    one_layer(tmp_path, replace(adders, dataflow=UNITS.dataflow))
    with pytest.raises(InvalidInput, match="multiplies graded inputs with integer weights"):
        one_layer(tmp_path, adders)


def test_a_list_holds_an_address_for_each_unit_event(tmp_path):
    layer = Linear(name="fc", in_shape=(3,), out_features=10, input_kind="graded")
    counts = count(recorded(tmp_path / "trace.zarr", layer, np.array([[[0, 0, 200]]])))
    buffer = next(memory for memory in UNITS.memories if "spike" in memory.holds)
    for machine, bits in ((UNITS, 200 * 2), (SCATTER, 2 + 8)):  # an address among three, and the number beside it
        written = execute(counts, machine).counts["input", buffer.name, "write"]
        assert int(written.sum()) == -(-bits // buffer.word_bits)


def unrolled(values, most):
    """Each value n as the first n of ``most`` inputs: (..., inputs) -> (..., inputs x most) spikes."""
    return (values[..., None] > np.arange(most)).reshape(*values.shape[:-1], -1)


@pytest.mark.parametrize("kind", ["integer", "binary", "float"])
def test_unit_events_cost_what_as_many_spikes_do(tmp_path, kind):
    values = draw((6,), largest=5)
    graded = Linear(name="fc", in_shape=(6,), out_features=10, weight_kind=kind, input_kind="graded")
    spiking = replace(graded, in_shape=(30,), input_kind="spike")
    fired = np.zeros((3, 2, 10))
    net = Workload(name="net", input_shape=(30,), layers=(spiking,))
    plain = execute(count(record(tmp_path / "a.zarr", net, {"input": unrolled(values, 5), "fc": fired})), SCATTER)
    own = execute(count(record(tmp_path / "b.zarr", network(graded), {"input": values, "fc": fired})), UNITS)
    buffers = {memory.name for memory in SCATTER.memories if "spike" in memory.holds and memory.kib}  # longer addresses
    for key in plain.counts.keys() | own.counts.keys():
        if key[1] not in buffers:
            np.testing.assert_array_equal(plain.counts[key], own.counts[key])


@pytest.mark.parametrize("code", ["address", "bitmap"])
def test_zeros_and_ones_are_the_same_either_way(tmp_path, code):
    trace = count(recorded(tmp_path / "trace.zarr", LAYERS["binary"], draw(CONV.in_shape, largest=1)))
    value, events = (
        execute(trace, replace(machine, dataflow=replace(machine.dataflow, spike_code=code)))
        for machine in (SCATTER, UNITS)
    )
    assert value.counts.keys() == events.counts.keys()
    for key in value.counts:  # a list of values keeps room for a number beside each address, a list of events does not
        if code == "bitmap" or (key[0] != "input" and key[1:] != ("spike_buffer", "read")):
            np.testing.assert_array_equal(value.counts[key], events.counts[key])


def test_sums_of_spikes_join_lists_and_add_nothing(tmp_path):
    first = Conv2d(name="a", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=1)
    both = Add(name="sum", in_shape=(2, 4, 4), source="a", others=("b",), mode="graded")
    out = Linear(name="out", in_shape=(2, 4, 4), out_features=3, source="sum", input_kind="graded", neuron="readout")
    net = Workload(name="net", input_shape=(1, 4, 4), layers=(first, replace(first, name="b"), both, out))
    a, b = (RNG.random((3, 2, 2, 4, 4)) < 0.5 for _ in "ab")
    signals = {"input": RNG.random((3, 2, 1, 4, 4)) < 0.5, "a": a, "b": b, "sum": a.astype(int) + b}
    counts = count(record(tmp_path / "trace.zarr", net, signals))
    value, events = execute(counts, SCATTER), execute(counts, UNITS)
    assert total(value, "merge", "add.int8") == (a & b).sum()
    assert total(events, "merge", "add.int8") == 0
    assert events.counts["out", "synapse", "add.float32"].sum() == 3 * (a.sum() + b.sum())
    assert value.counts["out", "synapse", "add.float32"].sum() == 3 * (a | b).sum()


# Refusals -------------------------------------------------------------------------------------------------------------
def test_a_dense_array_streams_values():
    grid = load_accelerator("grid-45nm").architecture
    with pytest.raises(InvalidInput, match="graded is events, but a dense array .* streams values"):
        replace(grid, dataflow=replace(grid.dataflow, graded="events"))


def test_a_maximum_needs_whole_values(tmp_path):
    pool = Pool(name="pool", in_shape=(1, 4, 4), kernel_size=2, mode="max", input_kind="graded")
    values = draw(pool.in_shape, 5)
    signals = {"input": values, "pool": values.reshape(3, 2, 1, 2, 2, 2, 2).max(axis=(4, 6))}
    counts = count(record(tmp_path / "trace.zarr", network(pool), signals))
    with pytest.raises(InvalidInput, match="'pool' takes the largest of graded values"):
        execute(counts, UNITS)


def test_random_spikes_have_no_values():
    counts = bernoulli_counts(network(CONV), 0.5, steps=2)
    assert execute(counts, SCATTER).counts
    with pytest.raises(InvalidInput, match="how large they are is not in these counts"):
        execute(counts, UNITS)


# Other counts ---------------------------------------------------------------------------------------------------------
def test_recast_counts_keep_unit_events(tmp_path):
    counts = count(recorded(tmp_path / "trace.zarr", CONV, draw(CONV.in_shape)))
    kept = recast_counts(counts, network(LAYERS["binary"]), 2)
    np.testing.assert_array_equal(kept.layers["conv"].units.all_weights, counts.layers["conv"].units.all_weights[:2])
    np.testing.assert_array_equal(kept.unit_events["input"], counts.unit_events["input"][:2])


def test_scaled_counts_scale_unit_events(tmp_path):
    counts = count(recorded(tmp_path / "trace.zarr", CONV, draw(CONV.in_shape)))
    twice = scaled_counts(counts, {"input": 2})
    np.testing.assert_array_equal(twice.layers["conv"].units.all_weights, 2 * counts.layers["conv"].units.all_weights)
    np.testing.assert_array_equal(twice.unit_events["input"], 2 * counts.unit_events["input"])


def test_planes_count_as_the_trace_does(tmp_path):
    trace = recorded(tmp_path / "trace.zarr", CONV, draw(CONV.in_shape))
    whole = packed_counts(trace.workload, {"input": trace.planes("input"), "conv": trace.packed("conv")}, {})
    np.testing.assert_array_equal(whole.layers["conv"].units.all_weights, count(trace).layers["conv"].units.all_weights)


# Many-core chips ------------------------------------------------------------------------------------------------------
LATENCY = Latency(
    synop=SynapticLatency(dense=1e-9, conv=2e-9, sparse=3e-9),
    neuron_access=1e-9,
    neuron_update=1e-9,
    spike=1e-9,
    packet_out=10e-9,
    packet_in=100e-9,
    hop=HopLatency(E=1e-9, W=2e-9, N=3e-9, S=4e-9),
)
CHIP = Event(
    mesh=Mesh(width=3, height=2, cores_per_tile=2),
    core=Core(max_neurons=64),
    latency_s=LATENCY,
    barrier_s={1: 1e-6},
    schedule="as_recorded",
    graded="events",
)
FC = Linear(name="fc", in_shape=(6,), out_features=8, input_kind="graded")


def runs(inputs):
    return {"input": [Run(0, 0, inputs - 1)], "fc": [Run(3, 0, 4), Run(9, 5, 7)]}


def run_chip(machine, layer, inputs, fired):
    net = Workload(name="net", input_shape=layer.in_shape, input_kind=layer.input_kind, layers=(layer,))
    return lay_out(net, machine, runs(layer.inputs)).run({"input": inputs, "fc": fired})


@pytest.mark.parametrize("timing", ["simple", "detailed"])
@pytest.mark.parametrize("packet_per", ["core", "synapse"])
def test_a_chip_sends_each_unit_event_like_a_spike_of_its_own(timing, packet_per):
    values, fired = draw((6,), largest=5), RNG.random((3, 2, 8)) < 0.3
    machine = replace(CHIP, timing=timing, packet_per=packet_per)
    own = run_chip(machine, FC, values, fired)
    spikes = run_chip(machine, replace(FC, in_shape=(30,), input_kind="spike"), unrolled(values, 5), fired)
    assert own.counts.keys() == spikes.counts.keys()
    for key in own.counts:
        np.testing.assert_array_equal(own.counts[key], spikes.counts[key])
    np.testing.assert_allclose(own.seconds["machine"], spikes.seconds["machine"], rtol=1e-12, atol=0)


def test_a_packet_that_carries_the_number_is_one():
    values = np.array([[[0, 0, 300, 0, 1, 0]]])
    value, events = (
        run_chip(replace(CHIP, graded=graded), FC, values, np.zeros((1, 1, 8))) for graded in ("value", "events")
    )
    for actions, number in ((value, 2), (events, 301)):
        assert actions.counts["fc", "synapse", "synop.dense"].item() == 8 * number
        assert actions.counts["input", "network", "packet_out"].item() == 2 * number


@pytest.mark.parametrize("timing", ["simple", "detailed"])
def test_zeros_and_ones_are_the_same_on_a_chip(timing):
    values, fired = draw((6,), largest=1), RNG.random((3, 2, 8)) < 0.3
    value, events = (
        run_chip(replace(CHIP, timing=timing, graded=graded), FC, values, fired) for graded in ("value", "events")
    )
    for key in value.counts:
        np.testing.assert_array_equal(value.counts[key], events.counts[key])
    np.testing.assert_array_equal(value.seconds["machine"], events.seconds["machine"])


@pytest.mark.parametrize("wrong", [-1, 0.5, 70_000])
def test_unit_events_are_whole_numbers(wrong):
    with pytest.raises(InvalidInput, match="integers from 0 to 65535"):
        run_chip(CHIP, FC, np.full((1, 1, 6), wrong), np.zeros((1, 1, 8)))


# Files ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("part", ["dataflow", "chip"])
def test_another_choice_is_refused_in_a_file(part):
    description = {"mesh": {"width": 1, "height": 1, "cores_per_tile": 1}, "core": {"max_neurons": 1}, "step_s": 1e-3}
    if part == "chip":
        assert validate(Event, description | {"graded": "events"}, "file").graded == "events"
        with pytest.raises(InvalidInput, match=r"graded: .*'value' or 'events'"):
            validate(Event, description | {"graded": "rate"}, "file")
    else:
        with pytest.raises(InvalidInput, match=r"dataflow.graded: .*'value' or 'events'"):
            validate(Grid, {"dataflow": {"stationary": "scatter", "graded": "rate"}}, "file")


def test_energy_is_that_of_the_actions(tmp_path):
    machine = load_accelerator("event-driven-45nm")
    counts = count(recorded(tmp_path / "trace.zarr", LAYERS["integer"], draw(CONV.in_shape)))
    result = estimate(counts, replace(machine, architecture=UNITS))
    adds = result.table.query("component == 'synapse'")
    assert list(adds["action"]) == ["add.float32"]
    assert adds["count"].sum() == counts.layers["conv"].units.all_weights.sum() / counts.samples
