"""Cores on a mesh: geometry, layout, packets and schedules against what can be worked out by hand or edge by edge."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from spikejoule.energy.machines.yaml_files import validate
from spikejoule.sim.counting.layer_counts import count_layer
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.chip.core_mapping import Run, map_to_cores, reached
from spikejoule.sim.hardware.chip.many_core import lay_out, run_trace
from spikejoule.sim.hardware.chip.relays import with_relays
from spikejoule.sim.hardware.mesh import Core, Event, HopLatency, Latency, Mesh, SynapticLatency
from spikejoule.sim.network.pooling_layers import Pool
from spikejoule.sim.network.workload import Add, AveragePool, Conv2d, Linear, RecurrentLinear, Workload
from spikejoule.sim.replay.parameters import LayerParameters
from spikejoule.sim.replay.replay import replay
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

LATENCY = Latency(
    synop=SynapticLatency(dense=1e-9, conv=2e-9, sparse=3e-9),
    neuron_access=1e-9,
    neuron_update=1e-9,
    spike=1e-9,
    packet_out=10e-9,
    packet_in=100e-9,
    hop=HopLatency(E=1e-9, W=2e-9, N=3e-9, S=4e-9),
)
MESH = Mesh(width=3, height=2, cores_per_tile=2)
MACHINE = Event(mesh=MESH, core=Core(max_neurons=16), latency_s=LATENCY, barrier_s={1: 1e-6, 2: 2e-6, 4: 3e-6})
CONV = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=3, kernel_size=3, padding=1)
NET = Workload(
    name="net",
    input_shape=(1, 4, 4),
    layers=(CONV, Linear(name="fc", in_shape=(3, 4, 4), out_features=5, source="conv", neuron="readout")),
)


@pytest.fixture
def signals():
    rng = np.random.default_rng(3)
    shapes = {"input": (1, 4, 4), "conv": (3, 4, 4)}
    return {name: (rng.random((4, 2, *shape)) < 0.4).astype(np.uint8) for name, shape in shapes.items()}


def total(actions, action: str, layer: str | None = None) -> int:
    return sum(int(n.sum()) for (name, _, act), n in actions.counts.items() if act == action and layer in (None, name))


def two_layers(first: int = 4, second: int = 4, **kinds) -> Workload:
    """first -> second, fully connected."""
    return Workload(
        name="pair", input_shape=(first,), layers=(Linear(name="out", in_shape=(first,), out_features=second, **kinds),)
    )


# Geometry -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("order", "place"), [("column", (2, 1)), ("row", (2, 1))])
def test_the_last_tile_is_the_far_corner(order, place):
    x, y, chip = replace(MESH, id_order=order).places(np.array([5]))
    assert (int(x[0]), int(y[0]), int(chip[0])) == (*place, 0)


def test_tiles_are_numbered_by_column_or_by_row():
    column = MESH.places(np.arange(6))
    row = replace(MESH, id_order="row").places(np.arange(6))
    assert column[0].tolist() == [0, 0, 1, 1, 2, 2]
    assert row[0].tolist() == [0, 1, 2, 0, 1, 2]


def test_hops_go_east_and_north_and_back():
    there, back = MESH.hops(np.array([0]), np.array([11])), MESH.hops(np.array([11]), np.array([0]))
    assert {way: int(n[0]) for way, n in there.items()} == {"E": 2, "W": 0, "N": 1, "S": 0, "chip": 0}
    assert {way: int(n[0]) for way, n in back.items()} == {"E": 0, "W": 2, "N": 0, "S": 1, "chip": 0}


def test_the_next_chip_lies_east():
    hops = MESH.hops(np.array([0]), np.array([MESH.cores]))
    assert (int(hops["E"][0]), int(hops["chip"][0])) == (3, 1)


@pytest.mark.parametrize(("tiles", "seconds"), [(1, 1e-6), (2, 2e-6), (3, 2e-6), (4, 3e-6), (99, 3e-6)])
def test_barrier_of_the_largest_key_that_fits(tiles, seconds):
    assert MACHINE.barrier(tiles) == seconds


def test_cores_have_names():
    assert MESH.core_number("3.1") == 7


@pytest.mark.parametrize("name", ["3.2", "x", "3", -1, "1.5.2"])
def test_cores_that_do_not_exist_are_refused(name):
    with pytest.raises(InvalidInput, match="give a number from 0, or 'tile.core'"):
        MESH.core_number(name)


# Layout ---------------------------------------------------------------------------------------------------------------
LAYERS = [
    Conv2d(name="x", in_shape=(2, 5, 6), out_channels=4, kernel_size=3, stride=2, padding=(0, 1, 2, 1), groups=2),
    Conv2d(name="x", in_shape=(2, 5, 6), out_channels=4, kernel_size=2, pool=AveragePool(kernel_size=(2, 2))),
    Linear(name="x", in_shape=(2, 5, 6), out_features=7),
    Linear(name="x", in_shape=(2, 5, 6), out_features=7, pooled=True),
]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("layer", LAYERS, ids=["conv", "pool", "linear", "pooled"])
def test_synapses_per_core_meet_the_slow_definition(layer, sparse):
    rng = np.random.default_rng(5)
    if sparse:
        layer = replace(layer, nonzero=rng.random(layer.weight_shape) < 0.5)
    machine = replace(MACHINE, fully_connected="sparse" if sparse else "dense")
    places, copies = rng.integers(2, 6, layer.neurons), rng.integers(1, 3, layer.neurons)
    expected: dict[tuple[int, int], int] = defaultdict(int)
    for source in range(layer.inputs):
        for out, weight in layer.targets(np.unravel_index(source, layer.in_shape)):
            if layer.pool is not None:
                out = (out[0], *(place // size for place, size in zip(out[1:], layer.pool.kernel_size, strict=True)))
                if any(place >= size for place, size in zip(out, layer.neuron_shape, strict=True)):
                    continue
            if sparse and isinstance(layer, Linear) and not layer.nonzero[weight]:
                continue
            neuron = int(np.ravel_multi_index(out, layer.neuron_shape))
            expected[source, int(places[neuron])] += int(copies[neuron])
    found = {(int(s), int(p)): int(n) for s, p, n in zip(*reached(layer, machine, places, copies), strict=True)}
    assert found == dict(expected)


def test_cores_fill_in_the_order_of_the_layers():
    laid = map_to_cores(NET, MACHINE)  # 16 inputs, 48 and 5 neurons, 16 a core; the first row of tiles is 0, 2, 4
    assert laid.cores.tolist() == [0, 1, 4, 5, 8]
    assert np.bincount(laid.places["conv"]).tolist() == [0, 16, 16, 16]
    assert np.unique(laid.places["fc"]).tolist() == [4]


def test_a_full_chip_spills_to_the_next():
    laid = map_to_cores(two_layers(100, 150), MACHINE)
    assert (laid.chips, len(laid.cores)) == (2, 16)


def test_near_takes_no_more_hops_than_row_by_row():
    net, wide = two_layers(64, 100), replace(MACHINE, mesh=Mesh(width=8, height=4, cores_per_tile=1))
    hops = []
    for mapping in ("row_major", "near"):
        actions = lay_out(net, wide, mapping).run({"input": np.ones((1, 1, 64)), "out": np.zeros((1, 1, 100))})
        hops.append(sum(total(actions, f"hop.{way}") for way in "EWNS"))
    assert hops[1] < hops[0]


def test_no_core_is_overfull_in_any_automatic_mapping():
    for mapping, per in itertools.product(("row_major", "near"), ("core", "axon")):
        machine = replace(MACHINE, packet_per=per, core=Core(max_neurons=24))
        laid = map_to_cores(NET, machine, mapping)
        load = sum(np.bincount(laid.places[name], laid.copies[name], len(laid.cores)) for name in laid.places)
        assert load.max() <= 24


GIVEN = {"input": [Run("0.0", 0, 3)], "out": [Run("2.1", 0, 1), Run(0, 2, 3)]}


def test_a_given_mapping_is_taken_as_it_is():
    laid = map_to_cores(two_layers(), MACHINE, GIVEN)
    assert laid.cores[laid.places["out"]].tolist() == [5, 5, 0, 0]
    assert (laid.tiles, laid.chips, laid.neuron_cores()) == (2, 1, 2)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({"input": [Run(0, 0, 3)]}, "mapping of 'out': neuron 0 is on no core"),
        (GIVEN | {"out": [Run(0, 0, 2), Run(1, 2, 3)]}, "run 2 to 3 overlaps another"),
        (GIVEN | {"out": [Run(0, 0, 4)]}, "run 0 to 4 overlaps another or leaves 0 to 3"),
        (GIVEN | {"other": []}, "'other' is no population; known: input, out"),
    ],
)
def test_mappings_that_do_not_fit_are_refused(runs, message):
    with pytest.raises(InvalidInput, match=message):
        map_to_cores(two_layers(), MACHINE, runs)


def test_an_overfull_core_is_refused():
    with pytest.raises(InvalidInput, match="core 0 is given 8 neurons; it holds 7"):
        map_to_cores(two_layers(), replace(MACHINE, core=Core(max_neurons=7)), {n: [Run(0, 0, 3)] for n in GIVEN})


# Packets --------------------------------------------------------------------------------------------------------------
def one_spike(machine: Event, mapping: dict = GIVEN, net: Workload | None = None):
    signals = {"input": np.zeros((1, 1, 4)), "out": np.zeros((1, 1, 4))}
    signals["input"][0, 0, 1] = 1
    return lay_out(net or two_layers(), machine, mapping).run(signals)


@pytest.mark.parametrize(("per", "packets", "hops"), [("core", 2, 1), ("synapse", 4, 2), ("axon", 2, 1)])
def test_one_packet_per_core_or_per_synapse(per, packets, hops):
    actions = one_spike(replace(MACHINE, packet_per=per))  # two targets on the own core, two on a tile one to the east
    assert (total(actions, "packet_out"), total(actions, "packet_in"), total(actions, "hop.E")) == (
        packets,
        packets,
        hops,
    )


def test_a_neuron_that_can_reach_one_core_only_is_held_once_per_core():
    hidden = Linear(name="hidden", in_shape=(2,), out_features=3)
    last = Linear(name="out", in_shape=(3,), out_features=4, source="hidden")
    net = Workload(name="net", input_shape=(2,), layers=(hidden, last))
    runs = {"input": [Run(0, 0, 1)], "hidden": [Run(0, 0, 2)], "out": [Run(1, 0, 1), Run(2, 2, 3)]}
    signals = {"input": np.ones((1, 1, 2)), "hidden": np.ones((1, 1, 3)), "out": np.zeros((1, 1, 4))}
    machine = replace(MACHINE, packet_per="axon", schedule="as_recorded")
    actions = lay_out(net, machine, runs).run(signals)
    work = [total(actions, action, "hidden") for action in ("neuron_access", "spike", "synop.dense", "packet_out")]
    assert work == [6, 6, 12, 6]
    assert total(actions, "synop.dense", "out") == 12


def test_sparse_units_store_no_zero_weights():
    mask = np.array([[1, 1, 0, 1], [1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 1, 1]], bool)
    net = two_layers(nonzero=mask)
    assert total(one_spike(MACHINE, net=net), "synop.dense") == 4
    assert total(one_spike(replace(MACHINE, fully_connected="sparse"), net=net), "synop.sparse") == 3


def test_a_signal_that_two_layers_read_sends_one_packet_per_core():
    other = Linear(name="more", in_shape=(4,), out_features=4, neuron=None, joins="out")
    net = two_layers()
    actions = one_spike(MACHINE, net=replace(net, layers=(*net.layers, other)))
    assert (total(actions, "packet_out"), total(actions, "synop.dense")) == (2, 8)


def test_actions_follow_the_counter_on_a_convolution(signals):
    actions = lay_out(NET, MACHINE).run(signals)
    for layer in NET.layers:
        counted = count_layer(layer, signals[layer.source]).all_weights.sum()
        assert total(actions, f"synop.{'conv' if layer is CONV else 'dense'}", layer.name) == counted


# Schedule and time ----------------------------------------------------------------------------------------------------
def test_a_trace_without_delays_is_skewed_by_depth(signals):
    actions = lay_out(NET, MACHINE).run(signals)
    spikes = signals["conv"].reshape(4, 2, -1).sum(axis=-1)
    assert (actions.steps, actions.samples) == (6, 2)
    assert (actions.counts["conv", "neuron", "spike"][1:5] == spikes).all()
    assert (actions.counts["fc", "synapse", "synop.dense"][1:5] == 5 * spikes).all()


def test_two_steps_through_two_layers_take_four_machine_steps():
    # One synapse each, so every input spike runs through: the input fires in steps 1 and 2, each layer one step later.
    layers = tuple(
        Linear(name=name, in_shape=(1,), out_features=1, source=source, neuron="if_hard")
        for source, name in (("input", "l1"), ("l1", "l2"))
    )
    net = Workload(name="chain", input_shape=(1,), layers=layers)
    values = {name: LayerParameters(weights=np.ones((1, 1)), threshold=0.5) for name in ("l1", "l2")}
    trace = replay(net, values, np.ones((2, 1, 1)))  # as frameworks record it: no delay between layers
    skewed = lay_out(net, MACHINE).run({"input": np.ones((2, 1, 1)), **trace.spikes})
    fired = {name: skewed.counts[name, "neuron", "spike"][:, 0].tolist() for name in values}
    assert (skewed.steps, fired) == (4, {"l1": [0, 1, 1, 0], "l2": [0, 0, 1, 1]})
    padded = np.array([1, 1, 0, 0])[:, None, None]  # and as a chip runs it, one step of delay per hop
    chip = replay(net, values, padded, delay=1)
    recorded = lay_out(net, replace(MACHINE, schedule="as_recorded")).run({"input": padded, **chip.spikes})
    for key in (key for key in skewed.counts if key[2] != "neuron_update"):  # idle ones are not known in this run
        np.testing.assert_array_equal(skewed.counts[key], recorded.counts[key])


def test_every_mapped_neuron_is_accessed_at_every_machine_step(signals):
    actions = lay_out(NET, MACHINE).run(signals)
    assert (actions.counts["conv", "neuron", "neuron_access"] == 48).all()


def test_without_potentials_every_neuron_counts_as_updated(signals):
    actions = lay_out(NET, MACHINE).run(signals)
    assert actions.counts["conv", "neuron", "neuron_update"][:, 0].tolist() == [0, 48, 48, 48, 48, 0]
    assert "idle neurons" in actions.omitted


def test_simple_time_by_hand():
    # core 0 generates: two neurons accessed 2 ns (updates: none), two packets of 10 ns; core 0 processes 100 + 2 ns
    updated = {"out": np.zeros((1, 1, 4))}
    signals = {"input": np.eye(4)[None, 1:2], "out": np.zeros((1, 1, 4))}
    machine = replace(MACHINE, schedule="as_recorded")
    actions = lay_out(two_layers(), machine, GIVEN).run(signals, updated)
    assert actions.seconds["machine"][0, 0] == pytest.approx(102e-9 + 2e-6, rel=1e-12)


def test_detailed_time_by_hand():
    # One spike, two cores one hop east. The first packet leaves at 10 ns and arrives at 22. The second leaves at 20 and
    # shares both its links with the first: 2/3 of a packet along them, which takes 101 ns to process. So it arrives
    # 2/3 x 101 / 2 ns later (more than one hop of 12 ns), and is processed 101 ns after that.
    slow = replace(LATENCY, hop=replace(LATENCY.hop, E=12e-9))
    machine = replace(MACHINE, schedule="as_recorded", timing="detailed", latency_s=slow)
    runs = {"input": [Run("0.0", 0, 3)], "out": [Run("2.0", 0, 0), Run("2.1", 1, 1)]}
    signals = {"input": np.eye(4)[None, 1:2], "out": np.zeros((1, 1, 2))}
    actions = lay_out(two_layers(4, 2), machine, runs).run(signals)
    assert actions.seconds["machine"][0, 0] == pytest.approx((20 + 101 / 3 + 101) * 1e-9 + 2e-6, rel=1e-12)


def test_detailed_time_is_the_same_on_a_mirrored_mesh(signals):
    even = replace(LATENCY, hop=HopLatency(E=1e-9, W=1e-9, N=3e-9, S=3e-9))
    machine = replace(MACHINE, latency_s=even, timing="detailed", core=Core(max_neurons=64))
    times = []
    for here, there in (("0.0", "5.1"), ("1.0", "4.1")):  # north and south change places; the order of cores stays
        runs = {"input": [Run(here, 0, 15)], "conv": [Run(there, 0, 23), Run(here, 24, 47)], "fc": [Run(there, 0, 4)]}
        times.append(lay_out(NET, machine, runs).run(signals).seconds["machine"])
    np.testing.assert_allclose(times[0], times[1], rtol=1e-12)


def test_steps_of_fixed_length(signals):
    machine = Event(mesh=MESH, core=Core(max_neurons=16), step_s=1e-3)
    assert (lay_out(NET, machine).run(signals).seconds["machine"] == 1e-3).all()


def test_samples_do_not_see_each_other(signals):
    many = lay_out(NET, replace(MACHINE, timing="detailed"))
    both = many.run(signals)
    alone = many.run({name: values[:, 1:] for name, values in signals.items()})
    assert (both.seconds["machine"][:, 1:] == alone.seconds["machine"]).all()
    assert all((both.counts[key][:, 1:] == alone.counts[key]).all() for key in alone.counts)


def test_self_connections_send_packets_too():
    first = Linear(name="a", in_shape=(4,), out_features=4)
    back = RecurrentLinear(name="back", in_shape=(4,), out_features=4, source="a", joins="a")
    net = Workload(name="net", input_shape=(4,), layers=(first, back))
    spikes = np.ones((2, 1, 4))
    actions = lay_out(net, MACHINE).run({"input": spikes, "a": spikes})
    assert (total(actions, "synop.dense", "back"), total(actions, "packet_out", "a")) == (32, 8)


def test_a_recorded_trace_runs_chunk_by_chunk(tmp_path, signals):
    own = {name: LayerParameters(weights=np.ones(NET.layer(name).weight_shape)) for name in ("conv", "fc")}
    spikes = replay(NET, own, signals["input"], keep_updated=True)
    recorded = {"input": signals["input"], **{name: n.astype(np.uint8) for name, n in spikes.spikes.items()}}
    with TraceWriter(tmp_path / "trace.zarr", NET, 4, chunk_samples=1) as writer:
        writer.append(recorded)
    got = run_trace(SpikeTrace.open(tmp_path / "trace.zarr"), MACHINE, parameters=own)
    expected = lay_out(NET, MACHINE).run(recorded, spikes.updated)
    assert got.samples == 2
    assert all((got.counts[key] == expected.counts[key]).all() for key in expected.counts)
    assert (got.seconds["machine"] == expected.seconds["machine"]).all()


@pytest.mark.parametrize("mode", ["and", "or", "graded"])
def test_relays_and_branches_of_sums_are_updated_as_their_replay_says(mode, tmp_path):
    """Relays have a potential where an event came at the step, or (`and`) was left from the one before."""
    rng = np.random.default_rng(3)
    first, second = CONV, replace(CONV, name="other")
    both = Add(name="x", in_shape=(3, 4, 4), source="conv", others=("other",), mode=mode)
    last = Linear(name="fc", in_shape=(3, 4, 4), out_features=5, source="x", input_kind=both.output_kind)
    back = RecurrentLinear(name="back", in_shape=(5,), out_features=5, source="fc", joins="fc")
    net = Workload(name="net", input_shape=(1, 4, 4), layers=(first, second, both, last, back))
    own = {x.name: LayerParameters(weights=rng.normal(size=x.weight_shape)) for x in (first, second, last, back)}
    x = (rng.random((6, 2, 1, 4, 4)) < 0.2).astype(np.uint8)
    result = replay(net, own, x, keep_updated=True)
    recorded = {"input": x, **result.spikes, **result.passed}
    with TraceWriter(tmp_path / "trace.zarr", net, 6) as writer:
        writer.append(recorded)
    got = run_trace(SpikeTrace.open(tmp_path / "trace.zarr"), MACHINE, parameters=own)
    updated = dict(result.updated)
    if mode != "graded":
        conv, other = result.spikes["conv"], result.spikes["other"]
        left = (conv ^ other) if mode == "and" else np.zeros_like(conv)
        updated["x"] = conv | other
        updated["x"][1:] |= left[:-1]
    expected = lay_out(net, MACHINE).run(recorded, updated)
    assert all((got.counts[key] == expected.counts[key]).all() for key in expected.counts)


def test_in_machine_time_a_relay_is_updated_one_step_after_what_it_reads(tmp_path):
    """An event at step 0: its readers are updated at step 1, the `or` of both at 2, who reads that at 3."""
    one = Linear(name="a", in_shape=(1,), out_features=1, neuron="if_hard")
    either = Add(name="x", in_shape=(1,), source="a", others=("b",), mode="or")
    last = replace(one, name="c", source="x")
    net = Workload(name="net", input_shape=(1,), layers=(one, replace(one, name="b"), either, last))
    own = {name: LayerParameters(weights=[[1.0]], threshold=0.5) for name in ("a", "b", "c")}
    when = {"input": 0, "a": 1, "b": 1, "x": 2, "c": 3}
    with TraceWriter(tmp_path / "trace.zarr", net, 5) as writer:
        writer.append({name: np.eye(5)[step].reshape(5, 1, 1) for name, step in when.items()})
    machine = replace(MACHINE, schedule="as_recorded")
    got = run_trace(SpikeTrace.open(tmp_path / "trace.zarr"), machine, parameters=own)
    for name in ("a", "b", "x", "c"):
        updates = got.counts[name, "neuron", "neuron_update"][:, 0]
        assert updates.tolist() == np.eye(5)[when[name]].tolist(), name


# Merges and maxima ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("mode", "threshold"), [("and", 1.5), ("or", 0.5), ("max", 0.5)])
def test_relays_fire_as_the_layers_that_they_stand_for(mode, threshold):
    layers: list = [CONV, replace(CONV, name="other")]
    if mode == "max":
        layers.append(Pool(name="x", in_shape=(3, 4, 4), source="conv", mode="max", kernel_size=3, stride=1))
    else:
        layers.append(Add(name="x", in_shape=(3, 4, 4), source="conv", others=("other",), mode=mode))
    net = with_relays(Workload(name="net", input_shape=(1, 4, 4), layers=tuple(layers)))
    own = {layer.name: LayerParameters(weights=1.0, leak=0.0, threshold=threshold) for layer in net.layers[2:]}
    rng = np.random.default_rng(0)
    own |= {name: LayerParameters(weights=rng.normal(size=(3, 1, 3, 3)), leak=0.5) for name in ("conv", "other")}
    spikes = replay(net, own, rng.random((6, 2, 1, 4, 4)) < 0.5).spikes
    if mode == "max":
        windows = np.lib.stride_tricks.sliding_window_view(spikes["conv"], (3, 3), axis=(3, 4))
        expected = windows.any(axis=(5, 6))
    else:
        expected = spikes["conv"] & spikes["other"] if mode == "and" else spikes["conv"] | spikes["other"]
    assert 0 < expected.mean() < 1
    assert (spikes["x"] == expected).all()


def test_a_merge_of_spikes_is_a_population_of_its_own(signals):
    merged = Add(name="both", in_shape=(3, 4, 4), source="conv", others=("other",), mode="or")
    layers = (CONV, replace(CONV, name="other"), merged, replace(NET.layers[1], source="both"))
    net = replace(NET, layers=layers)
    first, second = signals["conv"], np.flip(signals["conv"], axis=0)
    actions = lay_out(net, MACHINE).run(
        {"input": signals["input"], "conv": first, "other": second, "both": first | second}
    )
    assert total(actions, "synop.conv", "both") + total(actions, "synop.conv", "both.2") == first.sum() + second.sum()
    assert total(actions, "synop.dense", "fc") == 5 * (first | second).sum()
    assert total(actions, "spike", "both") == (first | second).sum()
    assert actions.counts["both", "neuron", "neuron_access"][0, 0] == 48
    assert actions.steps == 4 + 3  # conv, merge, classifier


def test_readers_of_a_sum_get_synapses_from_each_of_its_terms(signals):
    inner = Add(name="sum", in_shape=(3, 4, 4), source="conv", others=("other",), mode="graded")
    fields = {"source": "sum", "input_kind": "graded", "others": ("conv",), "other_kinds": ("spike",)}
    outer = replace(inner, name="more", **fields)
    reader = Conv2d(
        name="reader", in_shape=(3, 4, 4), out_channels=2, kernel_size=3, source="more", input_kind="graded"
    )
    net = replace(NET, layers=(CONV, replace(CONV, name="other"), inner, outer, reader))
    first, second = signals["conv"], np.flip(signals["conv"], axis=0)
    actions = lay_out(net, MACHINE).run(
        {"input": signals["input"], "conv": first, "other": second, "reader": np.zeros((4, 2, 2, 2, 2))}
    )
    expected = count_layer(reader, 2 * first.astype(int) + second, graded="events").all_weights.sum()
    assert sum(total(actions, "synop.conv", name) for name in ("reader", "reader.2", "reader.3")) == expected
    assert not any(name in ("sum", "more") for name, _, _ in actions.counts)


# Refusals -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("net", "message"),
    [
        (replace(NET, layers=(replace(CONV, gate="live"), NET.layers[1])), "has a live gate, which many-core chips"),
        (
            replace(NET, input_kind="graded", layers=(replace(CONV, input_kind="graded"), NET.layers[1])),
            "input is graded",
        ),
        (
            Workload(
                name="n",
                input_shape=(1, 4, 4),
                layers=(Pool(name="p", in_shape=(1, 4, 4), kernel_size=2, mode="average"),),
            ),
            "passes values on",
        ),
    ],
)
def test_networks_that_the_machine_cannot_run_are_refused(net, message):
    with pytest.raises(InvalidInput, match=message):
        lay_out(net, MACHINE)


def test_unknown_time_between_chips_is_refused():
    with pytest.raises(InvalidInput, match="the time between chips is not known"):
        lay_out(two_layers(100, 150), replace(MACHINE, timing="detailed"))


def test_missing_signals_are_refused(signals):
    with pytest.raises(InvalidInput, match="signal 'conv' is not given"):
        lay_out(NET, MACHINE).run({"input": signals["input"]})


DESCRIPTION = {
    "kind": "event",
    "mesh": {"width": 8, "height": 4, "cores_per_tile": 4, "id_order": "column", "routing": "xy", "link_buffer": 16},
    "core": {"max_neurons": 1024},
    "packet_per": "core",
    "latency_s": {
        "synop": {"dense": 3.8e-9, "conv": 3.1e-9, "sparse": 4.7e-9},
        "neuron_access": 6.0e-9,
        "neuron_update": 3.7e-9,
        "spike": 3.0e-8,
        "packet_out": 5.1e-9,
        "packet_in": 1.6e-8,
        "hop": {"E": 4.1e-9, "W": 4.1e-9, "N": 6.5e-9, "S": 6.5e-9},
    },
    "barrier_s": {1: 6.0e-7, 2: 1.0e-6, 4: 1.4e-6, 29: 1.8e-6},
    "timing": "simple",
}


def test_a_machine_reads_from_a_file():
    machine = validate(Event, DESCRIPTION, "file")
    assert (machine.mesh.cores, machine.barrier(3), machine.schedule) == (128, 1.0e-6, "skewed")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "colour: unknown key"),
        ({"packet_per": "chip"}, "packet_per: .*'core', 'synapse' or 'axon'"),
        ({"step_s": 1e-3}, "give either step_s, or both latency_s and barrier_s"),
        ({"barrier_s": {2: 1e-6}}, "barrier_s is .* from 1"),
        ({"core": {"max_neurons": 0}}, "max_neurons is 0; it must be a positive integer"),
        ({"latency_s": DESCRIPTION["latency_s"] | {"spike": -1.0}}, "latency_s.spike is -1.0"),
    ],
)
def test_descriptions_that_make_no_machine_are_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        validate(Event, DESCRIPTION | change, "file")
