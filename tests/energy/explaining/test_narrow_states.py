"""Replays that are counted and priced at the width they ran at."""

import re
from dataclasses import replace

import numpy as np
import pytest
from spikejoule.energy.explaining.narrow_states import estimate_with_readout, replay_trace
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.operations import count
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Add, Conv2d, Identity, Linear, RecurrentLinear, Workload
from spikejoule.sim.replay.parameters import LayerParameters
from spikejoule.sim.replay.replay import replay
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

CHIP = load_accelerator("event-driven-45nm")
STEPS, SAMPLES = 6, 10


def network(input_kind="spike"):
    conv = Conv2d(
        name="conv", in_shape=(1, 6, 6), out_channels=8, kernel_size=3, padding=1, gate="live", input_kind=input_kind
    )
    last = Linear(name="out", in_shape=(8, 6, 6), out_features=3, pooled=True, source="conv", neuron="readout")
    return Workload(name="net", input_shape=(1, 6, 6), input_kind=input_kind, layers=(conv, last))


@pytest.fixture(scope="module")
def parameters():
    rng = np.random.default_rng(2)
    return {
        "conv": LayerParameters(weights=rng.normal(size=(8, 1, 3, 3)), leak=0.5, gain=1.5, bias=0.1),
        "out": LayerParameters(weights=rng.normal(size=(3, 8)), scale=1 / 36),
    }


@pytest.fixture(scope="module")
def trace(parameters, tmp_path_factory):
    """What the network does in float64, recorded."""
    rng = np.random.default_rng(4)
    x = (rng.random((STEPS, SAMPLES, 1, 6, 6)) < 0.4).astype(np.uint8)
    result = replay(network(), parameters, x)
    path = tmp_path_factory.mktemp("trace") / "t.zarr"
    with TraceWriter(path, network(), STEPS, provenance={"seed": 5}) as writer:
        writer.append({"input": x, "conv": result.spikes["conv"]}, rng.integers(3, size=SAMPLES), result.predictions)
    return SpikeTrace.open(path)


def test_a_replay_in_float64_is_the_recording(trace, parameters):
    found, recorded = replay_trace(trace, parameters, None, CHIP), count(trace)
    assert (found.mismatch.differing, found.saturated, found.estimate) == (0, 0, None)
    assert found.mismatch.recorded == trace.read("conv").sum()
    assert found.operations.accuracy == recorded.accuracy
    for name, layer in recorded.layers.items():
        np.testing.assert_array_equal(found.operations.layers[name].synaptic.all_weights, layer.synaptic.all_weights)
        np.testing.assert_array_equal(found.operations.layers[name].rows.keys(), layer.rows.keys())


def test_a_wide_state_has_the_recorded_spikes_and_costs_less_than_float32(trace, parameters):
    found = replay_trace(trace, parameters, 32, replace(CHIP, prices=CHIP.prices | int32()))
    assert found.mismatch.differing == 0
    assert found.estimate.energy_pj < estimate(trace, CHIP).energy_pj


def int32():
    return {"sigmoid.int32": CHIP.prices["sigmoid.float32"]}


@pytest.mark.parametrize("state_bits", [8, 16])
def test_everything_is_priced_at_the_width_it_ran_at(state_bits, trace, parameters):
    found = replay_trace(trace, parameters, state_bits, CHIP)
    table = found.estimate.table
    logic = table[table["group"] == "logic"]
    assert set(logic.loc[logic["layer"] == "conv", "action"].str.partition(".")[2]) == {f"int{state_bits}"}
    assert set(logic.loc[logic["layer"] == "out", "action"].str.partition(".")[2]) == {"int16"}
    assert found.operations.workload.state_bits == state_bits
    assert found.operations.workload.state_type == "fixed"


def test_only_the_readout_is_wider(trace, parameters):
    """Every other row is that of the plain estimate, and the readout's are those of a 16-bit machine."""
    operations = replay_trace(trace, parameters, 8, CHIP).operations
    wide = replace(operations, workload=replace(operations.workload, state_bits=16))
    mixed, narrow, broad = estimate_with_readout(operations, CHIP), estimate(operations, CHIP), estimate(wide, CHIP)

    def of(result, layer):
        return result.by("layer")[layer]

    assert of(mixed, "conv") == of(narrow, "conv")
    assert of(mixed, "out") == of(broad, "out") > of(narrow, "out")


def test_the_replays_own_spikes_are_counted(trace, parameters):
    found = replay_trace(trace, parameters, 4, CHIP)
    assert found.mismatch.differing > 0
    assert found.operations.layers["conv"].spikes.sum() != trace.read("conv").sum()


def test_it_says_where_it_comes_from(trace, parameters):
    about = replay_trace(trace, parameters, 8, CHIP).operations.provenance
    assert about["replayed"] == {"state_bits": 8, "trace": trace.hash}
    assert about["seed"] == 5


def test_a_technology_without_prices_at_a_width_leaves_it_unpriced(trace, parameters):
    found = replay_trace(trace, parameters, 12, CHIP)
    assert found.estimate is None
    assert "no price for 'add.int12'" in found.unpriced


@pytest.fixture(params=["graded", "and", "or"])
def merging(request, tmp_path):
    """The trace and the parameters of a network with a skip path, a merge and self-connections, run in float64."""
    rng = np.random.default_rng(6)
    first = Conv2d(name="a", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=1)
    second = replace(first, name="b", in_shape=(2, 4, 4), source="a")
    skip = Identity(name="skip", in_shape=(2, 4, 4), source="a", joins="b")
    both = Add(name="sum", in_shape=(2, 4, 4), source="b", others=("a",), mode=request.param)
    hidden = Linear(name="h", in_shape=(2, 4, 4), out_features=6, source="sum", input_kind=both.output_kind)
    back = RecurrentLinear(name="back", in_shape=(6,), out_features=6, source="h", joins="h")
    last = Linear(name="out", in_shape=(6,), out_features=3, source="h", neuron="readout")
    net = Workload(name="net", input_shape=(1, 4, 4), layers=(first, second, skip, both, hidden, back, last))
    own = {
        x.name: LayerParameters(weights=rng.normal(size=x.weight_shape) if x.weights else 0.7, leak=0.5)
        for x in net.layers
        if x.name not in ("sum", "out")
    }
    own["out"] = LayerParameters(weights=rng.normal(size=(3, 6)))
    x = (rng.random((STEPS, SAMPLES, 1, 4, 4)) < 0.4).astype(np.uint8)
    result = replay(net, own, x)
    with TraceWriter(tmp_path / "t.zarr", net, STEPS) as writer:
        writer.append({"input": x, **result.spikes, **result.passed}, rng.integers(3, size=SAMPLES), result.predictions)
    return SpikeTrace.open(tmp_path / "t.zarr"), own


def test_what_merges_pass_on_is_counted_as_recorded(merging):
    trace, own = merging
    found, recorded = replay_trace(trace, own, None, CHIP), count(trace)
    assert found.mismatch.differing == 0
    for name, layer in recorded.layers.items():
        pairs = found.operations.layers[name].synaptic
        np.testing.assert_array_equal(pairs.all_weights, layer.synaptic.all_weights, name)
        np.testing.assert_array_equal(found.operations.layers[name].spikes, layer.spikes, name)
    assert recorded.layers["sum"].spikes.sum() > 0


def test_branches_and_merges_are_priced_at_the_width_they_ran_at(merging):
    trace, own = merging
    table = replay_trace(trace, own, 8, CHIP).estimate.table
    logic = table[(table["group"] == "logic") & (table["layer"] != "out")]
    assert {"a", "skip", "sum", "back"} <= set(logic["layer"])
    assert set(logic["action"].str.partition(".")[2]) == {"int8"}


def test_analog_input_must_be_given(parameters, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.random((STEPS, SAMPLES, 1, 6, 6))
    net = network("analog")
    spikes = replay(net, parameters, x).spikes["conv"]
    with TraceWriter(tmp_path / "t.zarr", net, STEPS) as writer:
        writer.append({"input": x, "conv": spikes})
    trace = SpikeTrace.open(tmp_path / "t.zarr")
    assert replay_trace(trace, parameters, None, CHIP, x).mismatch.differing == 0
    with pytest.raises(InvalidInput, match=re.escape("its input is analog, and a trace keeps only where")):
        replay_trace(trace, parameters, None, CHIP)
