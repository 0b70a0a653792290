"""Weights in kernel-major order: words by a walk over addresses, on scatter machines and on dense arrays."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.energy.pricing.estimate_variants import estimate_variants
from spikejoule.reports.compare import compare
from spikejoule.reports.sections.contents import build_report
from spikejoule.sim.counting.operations import count
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.architecture import Compute, Dataflow, Grid, Memory, NeuronUnit
from spikejoule.sim.hardware.execution import execute, execute_trace
from spikejoule.sim.hardware.grid.kernel_fetches import fetch_maps, needs_spikes, with_kernel_words
from spikejoule.sim.network.workload import Conv1d, Conv2d, Conv3d, ConvTranspose2d, Linear, RecurrentLinear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

KERNEL_MAJOR = Dataflow(stationary="scatter", weight_layout="kernel_major", state_run="element")
SCATTER = Grid(
    clock_hz=1e6,
    compute=Compute(lanes=2),
    neuron=NeuronUnit(lanes=4, supports=("layer_mean_gate",)),
    dataflow=KERNEL_MAJOR,
    memories=(
        Memory(name="weights", holds=("weight",), kib=64, word_bits=64),
        Memory(name="states", holds=("potential",), kib=64, word_bits=64),
        Memory(name="spikes", holds=("spike",), kib=64, word_bits=64),
        Memory(name="dram", holds=("weight", "potential", "spike"), word_bits=64, bandwidth_bytes_per_s=8e6),
    ),
)
TAP_MAJOR = replace(SCATTER, dataflow=replace(KERNEL_MAJOR, weight_layout="tap_major"))
WIDTHS = {1: "binary", 2: "ternary", 5: "integer", 8: "integer", 32: "float"}


def with_bits(layer, bits: int):
    return replace(layer, weight_kind=WIDTHS[bits], weight_bits=bits)


def walked(layer, index, word_bits: int) -> int:
    """Distinct words behind the weights of one input element: each kernel from the start of a word, then tap by tap."""
    read, kernel = set(), layer.weight_shape[2:]
    for _, weight in layer.targets(index):
        tap = int(np.ravel_multi_index(weight[2:], kernel)) if kernel else 0
        for bit in range(tap * layer.weight_bits, (tap + 1) * layer.weight_bits):
            read.add((weight[:2], bit // word_bits))
    return len(read)


LAYERS = {
    "padded": Conv2d(name="c", in_shape=(2, 5, 4), out_channels=3, kernel_size=3, padding=1),
    "strided": Conv2d(name="c", in_shape=(2, 6, 5), out_channels=3, kernel_size=3, stride=2, padding=1),
    "skipping": Conv2d(name="c", in_shape=(1, 5, 5), out_channels=2, kernel_size=1, stride=2),
    "dilated": Conv2d(name="c", in_shape=(1, 7, 7), out_channels=2, kernel_size=3, dilation=2),
    "grouped": Conv2d(name="c", in_shape=(4, 4, 4), out_channels=6, kernel_size=(2, 3), groups=2),
    "large": Conv2d(name="c", in_shape=(1, 9, 9), out_channels=1, kernel_size=7, padding=3, stride=2),
    "line": Conv1d(name="c", in_shape=(2, 9), out_channels=2, kernel_size=5),
    "volume": Conv3d(name="c", in_shape=(1, 4, 4, 4), out_channels=2, kernel_size=3, padding=1),
    "transposed": ConvTranspose2d(name="c", in_shape=(2, 3, 3), out_channels=2, kernel_size=3, stride=2),
    "connected": Linear(name="c", in_shape=(7,), out_features=5),
    "averaging": Linear(name="c", in_shape=(2, 3, 3), out_features=5, pooled=True),
}


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("name", LAYERS)
def test_words_of_every_input_element_are_those_of_its_addresses(name, bits):
    layer = with_bits(LAYERS[name], bits)
    for word_bits in (16, 64):
        words, _ = fetch_maps(layer, word_bits, 4)
        places = itertools.product(*map(range, layer.in_shape))
        assert words.tolist() == [walked(layer, index, word_bits) for index in places]


def test_cycles_take_the_output_channels_in_turn():
    layer = LAYERS["padded"]  # 3 channels; a corner has 4 taps, an edge 6, the middle 9; four lanes
    assert fetch_maps(layer, 64, 4)[1].reshape(2, 5, 4)[0].tolist() == [
        [3, 6, 6, 3],
        *[[6, 9, 9, 6]] * 3,
        [3, 6, 6, 3],
    ]


def recorded(path, layers, steps=2, samples=3, rate=0.4, seed=0, **workload):
    net = Workload(name="net", input_shape=layers[0].in_shape, layers=tuple(layers), **workload)
    rng = np.random.default_rng(seed)
    values = {
        name: (rng.random((steps, samples, *shape)) < rate).astype(np.float32 if kind == "analog" else np.uint8)
        for name, (shape, kind) in net.signals.items()
    }
    with TraceWriter(path, net, steps) as writer:
        labels = np.zeros(samples, np.int64)
        writer.append(values, labels=labels, predictions=labels)
    return SpikeTrace.open(path), values


CONV = with_bits(Conv2d(name="conv", in_shape=(2, 6, 6), out_channels=4, kernel_size=3, padding=1, stride=2), 8)
FC = Linear(name="fc", in_shape=(4, 3, 3), out_features=10, source="conv", neuron="readout")


def test_weight_reads_of_a_trace_are_those_of_its_events(tmp_path):
    trace, values = recorded(tmp_path / "t.zarr", [CONV, FC])
    counts = execute_trace(trace, count(trace), SCATTER).counts
    for layer, source in ((CONV, "input"), (FC, "conv")):
        expected = np.zeros((2, 3), np.int64)
        for step, sample, *index in np.argwhere(values[source]):
            expected[step, sample] += walked(layer, tuple(index), 64)
        assert counts[layer.name, "weights", "read"].tolist() == expected.tolist()


def test_everything_but_weights_and_time_is_as_in_tap_major(tmp_path):
    trace, _ = recorded(tmp_path / "t.zarr", [CONV, FC])
    ours, theirs = (execute_trace(trace, count(trace), grid).counts for grid in (SCATTER, TAP_MAJOR))
    assert ours.keys() == theirs.keys()
    assert {key for key in ours if not np.array_equal(ours[key], theirs[key])} == {
        ("conv", "weights", "read"),
        ("fc", "weights", "read"),
    }


def test_one_spike_of_a_small_network_by_hand(tmp_path):
    net = [with_bits(Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3), 1), FC_SMALL]
    trace, _ = recorded(tmp_path / "t.zarr", net, steps=1, samples=1, rate=1.0)
    counts = execute_trace(trace, count(trace), SCATTER).counts
    # each of 16 events has one word for each of 2 channels, as 9 bits are one; 8 events x 3 classes, a word each
    assert counts["conv", "weights", "read"].item() == 16 * 2
    assert counts["fc", "weights", "read"].item() == 8 * 3
    # taps in range: 1 at corners, 2 at edges, 4 inside, in runs of all weights of a tap, here a word
    tap_major = execute(count(trace), TAP_MAJOR).counts
    assert tap_major["conv", "weights", "read"].item() == 4 * 1 + 8 * 2 + 4 * 4


FC_SMALL = Linear(name="fc", in_shape=(2, 2, 2), out_features=3, source="conv", neuron="readout")


@pytest.mark.parametrize(("channels", "gain"), [(32, 16), (16, 8), (10, 5)])
def test_gain_of_one_bit_weights_in_tap_major_is_capped_by_the_run(tmp_path, channels, gain):
    reads = {}
    for bits in (32, 1):
        net = [with_bits(Linear(name="fc", in_shape=(9,), out_features=channels), bits)]
        trace, _ = recorded(tmp_path / f"{bits}.zarr", net)
        reads[bits] = execute(count(trace), TAP_MAJOR).counts["fc", "weights", "read"].sum()
    assert reads[32] == gain * reads[1]


def test_connected_layers_gain_nothing_from_one_bit_weights_in_kernel_major(tmp_path):
    reads = []
    for bits in (32, 1):
        net = [with_bits(Linear(name="fc", in_shape=(9,), out_features=10), bits)]
        trace, _ = recorded(tmp_path / f"{bits}.zarr", net)
        reads.append(execute_trace(trace, count(trace), SCATTER).counts["fc", "weights", "read"].tolist())
    assert reads[0] == reads[1]


def test_zeros_of_an_analog_input_fetch_like_other_values(tmp_path):
    conv = replace(CONV, input_kind="analog")
    trace, _ = recorded(tmp_path / "t.zarr", [conv, FC], input_kind="analog")
    every = sum(walked(conv, index, 64) for index in itertools.product(*map(range, conv.in_shape)))
    found = execute_trace(trace, count(trace), SCATTER).counts["conv", "weights", "read"]
    assert found.tolist() == [[every] * 3] * 2
    once = replace(SCATTER, dataflow=replace(KERNEL_MAJOR, first_layer="once"))
    held, _ = recorded(tmp_path / "h.zarr", [conv, FC], input_kind="analog", held_input=True)
    assert execute_trace(held, count(held), once).counts["conv", "weights", "read"].tolist() == [[every] * 3, [0] * 3]


def test_self_connections_come_word_by_word_one_step_later(tmp_path):
    hidden = Linear(name="hidden", in_shape=(4,), out_features=4)
    back = RecurrentLinear(name="back", in_shape=(4,), out_features=4, source="hidden", joins="hidden")
    trace, values = recorded(tmp_path / "t.zarr", [hidden, back], rate=0.3)
    fired = values["hidden"].sum(axis=-1, dtype=int)
    small = replace(SCATTER, memories=(replace(SCATTER.memories[0], kib=0.1), *SCATTER.memories[1:]))
    counts = execute_trace(trace, count(trace), small).counts
    assert counts["back", "weights", "read"].tolist() == [[0] * 3, (4 * fired[0]).tolist()]
    # from DRAM one word per event and target, at most the 16 weights, which are 8 words
    assert counts["back", "dram", "read"].tolist() == [[0] * 3, np.minimum(4 * fired[0], 8).tolist()]


def test_counts_alone_are_refused(tmp_path):
    trace, _ = recorded(tmp_path / "t.zarr", [CONV, FC])
    operations = count(trace)
    with pytest.raises(InvalidInput, match="'conv': .* give this machine the trace itself"):
        execute(operations, SCATTER)
    other = replace(SCATTER, compute=Compute(lanes=4))
    with pytest.raises(InvalidInput, match="counts are not enough"):
        execute(with_kernel_words(trace, operations, other), SCATTER)
    assert (needs_spikes(SCATTER), needs_spikes(TAP_MAJOR)) == (True, False)


def test_unit_events_are_refused_before_anything_is_asked_for(tmp_path):
    net = [replace(CONV, input_kind="graded"), FC]
    trace, _ = recorded(tmp_path / "t.zarr", net, input_kind="graded")
    grid = replace(SCATTER, dataflow=replace(KERNEL_MAJOR, graded="events"))
    for run in (lambda: execute(count(trace), grid), lambda: execute_trace(trace, count(trace), grid)):
        with pytest.raises(InvalidInput, match="'conv': graded values as unit events are not counted"):
            run()


def test_a_hardware_batch_shares_no_words_and_takes_the_cycles_of_all(tmp_path):
    """All 9 places fire; corners need 6 words of the 2 kernels, edges 6 or 8 to 10, the middle 10: as walked."""
    layer = Conv2d(name="conv", in_shape=(1, 3, 3), out_channels=2, kernel_size=3, padding=1)
    trace, values = recorded(tmp_path / "t.zarr", [layer], steps=1, samples=2, rate=1.1)
    expected = sum(walked(layer, tuple(index), 64) for index in np.argwhere(values["input"][0, 0]))
    one, three = (execute_trace(trace, count(trace), replace(SCATTER, hardware_batch=batch)) for batch in (1, 3))
    assert one.counts["conv", "weights", "read"].tolist() == [[expected] * 2]
    assert three.counts["conv", "weights", "read"].tolist() == [[expected] * 2]
    assert three.seconds["conv"].tolist() == (3 * one.seconds["conv"]).tolist()
    assert three.seconds_per_inference.tolist() == one.seconds_per_inference.tolist()


def test_shared_words_of_potentials_are_refused():
    with pytest.raises(InvalidInput, match="kernel_major .* set state_run: element"):
        replace(SCATTER, dataflow=replace(KERNEL_MAJOR, state_run="cout"))


def test_a_report_can_be_made_of_such_a_machine(tmp_path):
    shipped = load_accelerator("event-driven-45nm")
    flow = replace(shipped.architecture.dataflow, weight_layout="kernel_major", state_run="element")
    machine = replace(shipped, architecture=replace(shipped.architecture, dataflow=flow))
    traces = {}
    for name, gate in (("plain", None), ("live", "live")):
        traces[name] = [recorded(tmp_path / f"{name}.zarr", [replace(CONV, gate=gate), FC], seed=7)[0]]
    priced = estimate_variants(traces, machine, "plain")
    report = build_report(compare(priced.estimates, "plain"))
    assert "What the gate costs" in [section.title for section in report.sections]
    assert estimate(traces["plain"][0], machine).energy_pj > 0


# Dense arrays: 3 rows, 2 columns --------------------------------------------------------------------------------------
def array(stationary: str, layout: str, zero: str = "gate") -> Grid:
    flow = Dataflow(stationary=stationary, spike_code="bitmap", weight_layout=layout)
    return replace(SCATTER, compute=Compute(rows=3, cols=2, zero=zero), dataflow=flow)


def loaded(layer, stationary: str, layout: str) -> int:
    """Words of one step, by walking over folds, cycles and array, with every run from the start of a word."""
    rows, cols, bits = 3, 2, layer.weight_bits
    taps, channels = range(layer.weights // layer.out_shape[0]), range(layer.out_shape[0])
    positions = range(int(np.prod(layer.out_shape[1:])))
    runs: list[int] = []  # weights each

    def split(items, size):
        return [items[first : first + size] for first in range(0, len(items), size)]

    if stationary == "weight":
        for row, column in itertools.product(split(taps, rows), split(channels, cols)):
            runs += [len(column)] * len(row) if layout == "tap_major" else [len(row)] * len(column)
    elif stationary == "output":  # in each cycle one tap of the columns' channels
        for _, column, _ in itertools.product(split(positions, rows), split(channels, cols), taps):
            runs += [len(column)] if layout == "tap_major" else [1] * len(column)
    else:  # a row takes all channels of its tap, one after the other
        for row, _ in itertools.product(split(taps, rows), split(positions, cols)):
            runs += [len(channels)] * len(row) if layout == "tap_major" else [len(row)] * len(channels)
    return sum(len({bit // 64 for bit in range(length * bits)}) for length in runs)


@pytest.mark.parametrize("bits", [1, 8, 32])
@pytest.mark.parametrize("layout", ["tap_major", "kernel_major"])
@pytest.mark.parametrize("stationary", ["weight", "output", "input"])
def test_weight_words_of_an_array_are_those_of_a_walk(tmp_path, stationary, layout, bits):
    layer = with_bits(Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=5, kernel_size=3), bits)
    trace, _ = recorded(tmp_path / "t.zarr", [layer], steps=1, samples=1)
    found = execute(count(trace), array(stationary, layout)).counts["conv", "weights", "read"]
    assert found.item() == loaded(layer, stationary, layout)


def test_an_array_that_skips_fetches_a_word_per_weight_and_never_more_than_one_that_gates(tmp_path):
    layer = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=5, kernel_size=3)
    trace, values = recorded(tmp_path / "t.zarr", [layer], steps=1, samples=1, rate=0.1)
    pairs = sum(len(list(layer.targets(tuple(place[2:])))) for place in np.argwhere(values["input"]))
    found = execute(count(trace), array("output", "kernel_major", "skip")).counts["conv", "weights", "read"]
    assert found.item() == pairs
    full, _ = recorded(tmp_path / "f.zarr", [layer], steps=1, samples=1, rate=1.0)
    skipped, gated = (
        execute(count(full), array("output", "kernel_major", zero)).counts["conv", "weights", "read"].item()
        for zero in ("skip", "gate")
    )
    assert skipped <= gated == loaded(layer, "output", "kernel_major")
