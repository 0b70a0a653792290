"""Variants on a machine that cannot run all of them: the reason is kept, and damage is never taken for one."""

from dataclasses import replace

import numpy as np
import pytest
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate_variants import estimate_variants
from spikejoule.sim.counting.operations import count
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Linear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

LOIHI, GRID = load_accelerator("loihi1-sanafe"), load_accelerator("event-driven-45nm")


def recorded(path, gate=None):
    hidden = Linear(name="fc", in_shape=(20,), out_features=30, gate=gate)
    out = Linear(name="out", in_shape=(30,), out_features=4, source="fc", neuron="readout")
    net = Workload(name="net", input_shape=(20,), layers=(hidden, out))
    rng = np.random.default_rng(0)
    with TraceWriter(path, net, 3, provenance={"seed": 0}) as writer:
        writer.append({name: rng.random((3, 2, *shape)) < 0.3 for name, (shape, _) in net.signals.items()})
    return SpikeTrace.open(path)


@pytest.fixture
def traces(tmp_path):
    return {"plain": [recorded(tmp_path / "a.zarr")], "gated": [recorded(tmp_path / "b.zarr", "live")]}


def test_a_variant_that_a_chip_cannot_run_has_a_reason_and_no_energy(traces):
    priced = estimate_variants(traces, LOIHI, "plain")
    assert list(priced.estimates) == ["plain"]
    assert "'fc' has a live gate" in priced.refused["gated"]


def test_a_machine_that_runs_all_refuses_none(traces):
    priced = estimate_variants({name: [count(each) for each in group] for name, group in traces.items()}, GRID, "plain")
    assert (list(priced.estimates), priced.refused) == (["plain", "gated"], {})


@pytest.mark.parametrize("layout", ["tap_major", "kernel_major"])
def test_traces_that_a_grid_cannot_run_have_a_reason_too(traces, layout):
    grid = GRID.architecture
    flow = replace(grid.dataflow, weight_layout=layout, state_run="element")
    machine = replace(GRID, architecture=replace(grid, dataflow=flow, neuron=replace(grid.neuron, supports=())))
    priced = estimate_variants(traces, machine, "plain")
    assert list(priced.estimates) == ["plain"]
    assert "'fc' has a live gate" in priced.refused["gated"]


def test_a_refused_baseline_is_an_error(traces):
    with pytest.raises(InvalidInput, match="loihi1-sanafe cannot run the baseline 'gated': layer 'fc'"):
        estimate_variants(traces, LOIHI, "gated")


@pytest.mark.parametrize("machine", [LOIHI, GRID], ids=["chip", "grid"])
def test_a_damaged_trace_is_an_error_and_no_refusal(traces, tmp_path, machine):
    traces["damaged"] = [recorded(tmp_path / "c.zarr")]
    for path in (tmp_path / "c.zarr").rglob("*"):
        if path.is_file() and path.suffix != ".json":
            path.write_bytes(b"damaged")
    with pytest.raises(InvalidInput, match=r"c\.zarr"):
        estimate_variants(traces, machine, "plain")
