"""Energy is the sum of action count x price, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.action_costs import price_actions
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.operations import count
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.execution import execute
from spikejoule.sim.network.workload import Conv2d, Linear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

CONV = Conv2d(name="conv", in_shape=(2, 6, 6), out_channels=3, kernel_size=3, padding=1, bias=True, channel_vectors=2)
FC = Linear(name="fc", in_shape=(3, 6, 6), out_features=4, source="conv", neuron="readout", bias=True)
NET = Workload(name="net", input_shape=(2, 6, 6), layers=(CONV, FC))
CHIP = load_accelerator("event-driven-45nm")


def record(path, samples: int = 5, rate: float = 0.3, net: Workload = NET):
    rng = np.random.default_rng(0)
    spikes = {name: rng.random((4, samples, *shape)) < rate for name, (shape, _) in net.signals.items()}
    with TraceWriter(path, net, 4) as writer:
        writer.append(spikes, labels=np.arange(samples) % 4, predictions=np.zeros(samples, int))
    return SpikeTrace.open(path)


@pytest.fixture
def trace(tmp_path):
    return record(tmp_path / "trace.zarr")


def test_the_sop_convention_by_hand(trace):
    result = estimate(trace, load_accelerator("sop-45nm"))
    pairs = 0  # every spike times the weights it meets, counted place by place
    for layer in NET.layers:
        fan_out = layer.fan_out()
        pairs += int((trace.read(layer.source) * fan_out).sum())
    assert result.energy_pj == pytest.approx(pairs / 5 * 0.9)
    assert result.operations.synaptic_operations == pairs / 5


def test_energies_of_the_samples_average_to_the_total(trace):
    result = estimate(trace, CHIP)
    assert result.sample_pj.mean() == pytest.approx(result.energy_pj)
    assert len(result.sample_pj) == 5


def test_energy_is_additive_over_layers_and_components(trace):
    result = estimate(trace, CHIP)
    for columns in (("layer",), ("component",), ("layer", "component"), ("group",)):
        assert result.by(*columns).sum() == pytest.approx(result.energy_pj)


def test_energy_is_linear_in_each_price(trace):
    actions = execute(count(trace), CHIP.architecture)
    before = price_actions(actions, CHIP)
    for key in {CHIP.price_key(component, action) for _, component, action in actions.counts}:
        dearer = replace(CHIP, prices={**CHIP.prices, key: CHIP.prices[key].scaled(3.0, "test")})
        rows = before[[CHIP.price_key(r.component, r.action) == key for r in before.itertuples()]]
        after = price_actions(actions, dearer)
        assert after["energy_pj"].sum() - before["energy_pj"].sum() == pytest.approx(2 * rows["energy_pj"].sum())


def test_bounds_enclose_the_value(trace):
    low, high = estimate(trace, CHIP).bounds_pj
    assert low <= estimate(trace, CHIP).energy_pj <= high


def test_no_spikes_leave_only_updates_and_stored_parameters(tmp_path):
    result = estimate(record(tmp_path / "silent.zarr", rate=0.0), CHIP)
    assert set(result.table["component"]) == {"neuron", "bias", "readout", "weight_sram", "state_sram"}


def test_no_spikes_leave_a_chip_its_updates_and_static_power(tmp_path):
    result = estimate(record(tmp_path / "silent.zarr", rate=0.0), load_accelerator("loihi1-davies2018"))
    assert set(result.table.loc[result.table["count"] > 0, "action"]) == {"neuron_access", "neuron_update"}
    assert result.static_pj > 0


def test_samples_are_priced_one_by_one_whatever_the_batch(tmp_path, trace):
    other = tmp_path / "one-by-one.zarr"
    with TraceWriter(other, NET, 4) as writer:
        for sample in range(5):
            one = slice(sample, sample + 1)
            writer.append({name: trace.read(name, one) for name in NET.signals}, labels=[sample % 4], predictions=[0])
    assert estimate(SpikeTrace.open(other), CHIP).sample_pj.tolist() == estimate(trace, CHIP).sample_pj.tolist()


def test_accuracy_and_firing_rate_come_from_the_trace(trace):
    result = estimate(trace, CHIP)
    assert result.accuracy == 2 / 5  # labels 0 1 2 3 0, predictions 0
    assert result.operations.firing_rate() == pytest.approx(trace.read("conv").mean())


def test_the_json_form_is_complete_and_strict(trace):
    data = json.loads(json.dumps(estimate(trace, CHIP).to_dict(), allow_nan=False))
    assert sum(row["energy_pj"] for row in data["table"]) == pytest.approx(data["energy_pj"])
    assert data["omitted"]["static power"]


def test_an_action_without_a_price_refuses_the_total(trace):
    poor = replace(CHIP, prices={key: price for key, price in CHIP.prices.items() if key != "compare.float32"})
    with pytest.raises(InvalidInput, match="no price for 'compare.float32'"):
        estimate(trace, poor)


def test_a_trace_without_samples_has_no_inference(tmp_path):
    with pytest.raises(InvalidInput, match="no sample"):
        estimate(record(tmp_path / "empty.zarr", samples=0), CHIP)


def test_the_tiny_machine_spills_full_precision_and_holds_binary(tmp_path):
    wide = replace(CONV, out_channels=32, kernel_size=7, padding=3)  # 3,136 weights, 12.25 KiB in fp32
    fc = replace(FC, in_shape=(32, 6, 6), pooled=True)
    net = replace(NET, layers=(wide, fc))
    tiny = load_accelerator("event-driven-45nm-tiny")
    full = estimate(record(tmp_path / "fp32.zarr", net=net), tiny)
    binary = replace(net, layers=(replace(wide, weight_kind="binary", weight_bits=None), fc))
    small = estimate(record(tmp_path / "binary.zarr", net=binary), tiny)
    assert "dram" in set(full.table["component"])
    assert "dram" not in set(small.table["component"])


CONSTANTS = yaml.safe_load((Path(__file__).parents[2] / "cases" / "sanafe" / "loihi_constants.yaml").read_text())


def test_a_many_core_chip_by_hand(tmp_path):
    chip = load_accelerator("loihi1-sanafe")
    trace = record(tmp_path / "trace.zarr", rate=0.3)
    spikes, fired = int(trace.read("input").sum()) / 5, int(trace.read("conv").sum()) / 5
    joule = CONSTANTS["synapse"]["conv"]["energy"] * (trace.read("input") * CONV.fan_out()).sum() / 5
    joule += CONSTANTS["synapse"]["dense"]["energy"] * fired * 4
    neurons = CONV.neurons + FC.neurons  # accessed in 4 + 2 machine steps (two hops), updated in their own 4
    joule += CONSTANTS["soma_lif"]["access"]["energy"] * neurons * 6
    joule += CONSTANTS["soma_lif"]["update"]["energy"] * neurons * 4 + CONSTANTS["soma_lif"]["spike"]["energy"] * fired
    joule += CONSTANTS["axon_out"]["energy_per_message"] * (spikes + fired)  # everything fits one core
    assert estimate(trace, chip).energy_pj == pytest.approx(joule * 1e12)


def test_a_many_core_chip_needs_the_trace(trace):
    with pytest.raises(InvalidInput, match="give it the trace"):
        estimate(count(trace), load_accelerator("loihi1-sanafe"))


@pytest.mark.parametrize(
    ("gate", "message"),
    [("live", "'conv' has a live gate"), ("per_step", "'conv' has a gain that varies with the step")],
)
def test_gates_are_refused_by_chips_that_cannot_run_them(tmp_path, gate, message):
    gated = replace(NET, layers=(replace(CONV, gate=gate), FC))
    with pytest.raises(InvalidInput, match=message):
        estimate(record(tmp_path / "gated.zarr", net=gated), load_accelerator("loihi1-davies2018"))


def test_power_and_energy_delay_by_hand(trace):
    result = estimate(trace, CHIP)
    joules, seconds = result.sample_pj * 1e-12, result.actions.latency_s
    assert result.power_w == pytest.approx(joules.sum() / seconds.sum())
    assert result.energy_delay_js == pytest.approx(sum(joules * seconds) / 5)


def test_without_a_clock_there_is_no_power(trace):
    result = estimate(trace, load_accelerator("sop-45nm"))
    assert (result.latency_s, result.power_w, result.energy_delay_js, result.utilisation) == (None,) * 4


def test_the_json_form_has_time_and_utilisation_of_every_layer_and_step(trace):
    result = estimate(trace, CHIP)
    layers = json.loads(json.dumps(result.to_dict(), allow_nan=False))["layers"]
    assert sum(sum(layers[name]["seconds"]) for name in ("conv", "fc")) == pytest.approx(result.latency_s)
    assert all(0 < share < 1 for share in layers["conv"]["utilisation"])
    assert len(layers["fc"]["utilisation"]) == 4
