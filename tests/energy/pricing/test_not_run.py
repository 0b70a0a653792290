"""A network that never ran in the numbers it is priced in says so, alone as in a comparison."""

from dataclasses import replace

import numpy as np
import pytest
from spikejoule import cli
from spikejoule.energy.explaining.narrow_states import replay_trace
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.reports.comparison.cautions import ratio_cautions
from spikejoule.sim.counting.synthetic import bernoulli_counts, scaled_counts
from spikejoule.sim.network.workload import Linear, Workload
from spikejoule.sim.replay.parameters import LayerParameters
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter
from typer.testing import CliRunner

FC = Linear(name="fc", in_shape=(6,), out_features=4)
NET = Workload(name="net", input_shape=(6,), layers=(FC,))
INTEGERS = "while the chip computes in integers"
GRID = "event-driven-45nm"


def recorded(path, net=NET):
    rng = np.random.default_rng(0)
    with TraceWriter(path, net, 2) as writer:
        writer.append({name: rng.random((2, 3, *shape)) < 0.5 for name, (shape, _) in net.signals.items()})
    return SpikeTrace.open(path)


@pytest.mark.parametrize("chip", ["loihi1-sanafe", "loihi1-davies2018", "truenorth"])
def test_float_potentials_and_weights_have_not_run_on_an_integer_chip(chip, tmp_path):
    result = estimate(recorded(tmp_path / "trace.zarr"), load_accelerator(chip))
    assert result.not_run == (f"recorded with 32-bit float potentials and 32-bit float weights, {INTEGERS}",)


@pytest.mark.parametrize("kind", ["binary", "integer"])
def test_weights_that_are_integers_are_not_named(kind, tmp_path):
    net = replace(NET, layers=(replace(FC, weight_kind=kind),))
    result = estimate(recorded(tmp_path / "trace.zarr", net), load_accelerator("loihi1-sanafe"))
    assert result.not_run == (f"recorded with 32-bit float potentials, {INTEGERS}",)


def test_a_trace_of_integer_potentials_has_run(tmp_path):
    net = replace(NET, state_bits=16, state_type="fixed")
    assert estimate(recorded(tmp_path / "trace.zarr", net), load_accelerator("loihi1-sanafe")).not_run == ()


def test_a_machine_that_computes_in_float_runs_float(tmp_path):
    assert estimate(recorded(tmp_path / "trace.zarr"), load_accelerator(GRID)).not_run == ()


def test_counts_without_a_trace_have_not_run():
    result = estimate(bernoulli_counts(NET, 0.5, steps=2), load_accelerator(GRID))
    assert result.not_run == ("these counts come from no recorded trace",)


def test_a_replay_has_run_at_its_own_width_and_its_scaled_spikes_have_not(tmp_path):
    trace = recorded(tmp_path / "trace.zarr")
    parameters = {"fc": LayerParameters(weights=np.eye(4, 6), threshold=np.ones(4), leak=0.5)}
    replayed, machine = replay_trace(trace, parameters, 16, load_accelerator(GRID)), load_accelerator(GRID)
    assert replayed.estimate.not_run == ()
    narrower = replace(replayed.operations, workload=replace(NET, state_bits=8, state_type="fixed"))
    for counts in (narrower, scaled_counts(replayed.operations, {"input": 0.5})):
        assert estimate(counts, machine).not_run == ("these counts come from no recorded trace",)


def test_the_json_form_holds_the_reasons(tmp_path):
    trace = recorded(tmp_path / "trace.zarr")
    alone = {name: estimate(trace, load_accelerator(name)).to_dict() for name in ("truenorth", GRID)}
    assert [len(alone[name]["priced_not_run"]) for name in ("truenorth", GRID)] == [1, 0]


def test_a_comparison_says_the_same(tmp_path):
    result = estimate(recorded(tmp_path / "trace.zarr"), load_accelerator("truenorth"))
    assert ratio_cautions([result], [result]) == [f"priced, not run: {reason}" for reason in result.not_run]


@pytest.mark.parametrize(("chip", "lines"), [("truenorth", 1), (GRID, 0)])
def test_the_command_line_says_it_in_one_line(chip, lines, tmp_path):
    path = recorded(tmp_path / "trace.zarr").path
    shown = CliRunner().invoke(cli.app, ["estimate", str(path), "-a", chip]).output.splitlines()
    assert sum(line.startswith("priced, not run: recorded with 32-bit float") for line in shown) == lines
