"""Counts that no trace recorded agree with those of a recorded trace wherever one says the same."""

import dataclasses

import numpy as np
import pytest
from spikejoule.sim.counting.layer_counts import count_layer
from spikejoule.sim.counting.operations import count
from spikejoule.sim.counting.synthetic import SWITCHES, bernoulli_counts, hybrid_counts, recast_counts, scaled_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Conv2d, Linear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter


def network(weight_kind="float", gate=None, scale="folded", state_bits=32, channels=4):
    kinds = {"weight_kind": weight_kind, "gate": gate, "scale": scale, "bias": True, "channel_vectors": 2}
    first = Conv2d(name="conv1", in_shape=(2, 6, 6), out_channels=channels, kernel_size=3, padding=1, bias=True)
    middle = Conv2d(
        name="conv2", in_shape=(channels, 6, 6), out_channels=8, kernel_size=3, stride=2, source="conv1", **kinds
    )
    last = Linear(name="out", in_shape=(8, 2, 2), out_features=3, source="conv2", neuron="readout")
    return Workload(name="net", input_shape=(2, 6, 6), layers=(first, middle, last), state_bits=state_bits)


def same(a, b):
    """Whether two counts hold the same figures."""
    for name, layer in a.layers.items():
        other = b.layers[name]
        for field in ("nonzero_weights", "all_weights", "events"):
            np.testing.assert_array_equal(getattr(layer.synaptic, field), getattr(other.synaptic, field))
        assert layer.rows.keys() == other.rows.keys()
        for key in layer.rows:
            np.testing.assert_array_equal(layer.rows[key], other.rows[key])
        assert (layer.spikes is None) == (other.spikes is None)
        if layer.spikes is not None:
            np.testing.assert_array_equal(layer.spikes, other.spikes)
    np.testing.assert_array_equal(a.input_events, b.input_events)
    return True


def test_every_element_fires_at_rate_one_and_none_at_rate_nought():
    full = bernoulli_counts(network(), 1.0, steps=2, samples=3)
    assert full.firing_rate() == 1
    assert all((x.synaptic.all_weights == x.synaptic.dense).all() for x in full.layers.values())
    assert bernoulli_counts(network(), 0.0, steps=2).synaptic_operations == 0


def test_counts_are_those_of_a_recorded_trace_of_the_same_spikes(tmp_path):
    net, full = network(), bernoulli_counts(network(), 1.0, steps=2, samples=3)
    with TraceWriter(tmp_path / "full.zarr", net, 2) as writer:
        writer.append({name: np.ones((2, 3, *shape), bool) for name, (shape, _) in net.signals.items()})
    assert same(full, count(SpikeTrace.open(tmp_path / "full.zarr")))


def test_the_rate_is_met_within_five_standard_errors():
    rates = {"input": 0.3, "conv1": 0.1, "conv2": 0.02}
    counts = bernoulli_counts(network(), rates, steps=20, samples=50, seed=3)
    for name, (shape, _) in network().signals.items():
        events = counts.input_events if name == "input" else counts.layers[name].spikes
        draws = 1000 * np.prod(shape)
        assert abs(events.sum() / draws - rates[name]) < 5 * np.sqrt(rates[name] * (1 - rates[name]) / draws)


def test_draws_are_seeded():
    def draw(seed):
        return bernoulli_counts(network(), 0.2, steps=3, samples=4, seed=seed)

    assert same(draw(1), draw(1))
    assert (draw(1).input_events != draw(2).input_events).any()


@pytest.mark.parametrize("rates", [1.5, -0.1, float("nan"), {"input": 0.1, "conv1": 0.1}])
def test_impossible_or_missing_rates_are_refused(rates):
    with pytest.raises(InvalidInput, match="give one from 0 to 1"):
        bernoulli_counts(network(), rates, steps=2)


def test_no_steps_are_refused():
    with pytest.raises(InvalidInput, match="one or more"):
        bernoulli_counts(network(), 0.1, steps=0)


# Scaled --------------------------------------------------------------------------------------------------------------
def test_scaling_by_one_changes_nothing():
    counts = bernoulli_counts(network(), 0.2, steps=3, samples=4)
    assert same(scaled_counts(counts, dict.fromkeys(network().signals, 1.0)), counts)


def test_twice_the_events_are_twice_the_pairs_and_resets():
    counts = bernoulli_counts(network(), 0.2, steps=3, samples=4)
    twice = scaled_counts(counts, {"conv1": 2.0})
    np.testing.assert_array_equal(
        twice.layers["conv2"].synaptic.all_weights, 2 * counts.layers["conv2"].synaptic.all_weights
    )
    np.testing.assert_array_equal(twice.layers["conv1"].rows["reset", "add"], 2 * counts.layers["conv1"].spikes)
    np.testing.assert_array_equal(
        twice.layers["conv1"].synaptic.all_weights, counts.layers["conv1"].synaptic.all_weights
    )
    np.testing.assert_array_equal(twice.layers["out"].synaptic.all_weights, counts.layers["out"].synaptic.all_weights)


def test_scaled_pairs_stay_whole_fetch_runs():
    counts = scaled_counts(bernoulli_counts(network(), 0.2, steps=3, samples=4), {"conv1": 0.37})
    assert (counts.layers["conv2"].synaptic.all_weights % 8 == 0).all()


@pytest.mark.parametrize("factors", [{"conv9": 1.0}, {"conv1": -1.0}, {"conv1": float("inf")}])
def test_impossible_factors_are_refused(factors):
    with pytest.raises(InvalidInput, match="give a finite number from 0"):
        scaled_counts(bernoulli_counts(network(), 0.2, steps=2), factors)


# Hybrids -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def twins():
    base = bernoulli_counts(network(), 0.3, steps=3, samples=4, seed=0)
    variant = bernoulli_counts(network("binary", "live", "explicit", 16), 0.1, steps=3, samples=4, seed=1)
    return base, variant


def test_no_switch_is_the_base_and_all_are_the_variant(twins):
    base, variant = twins
    none, every = hybrid_counts(base, variant, ()), hybrid_counts(base, variant, SWITCHES)
    assert same(none, base)
    assert none.workload == base.workload
    assert same(every, variant)
    assert every.workload == variant.workload


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        (("weight bits",), network("binary")),
        (("gate",), network("float", "live")),
        (("weight bits", "gate"), network("binary", "live", "explicit")),
        (("state bits",), network(state_bits=16)),
        (("firing rate",), network()),
    ],
)
def test_each_switch_moves_its_own_fields_and_the_scale_follows_both(twins, switches, expected):
    assert hybrid_counts(*twins, switches).workload == expected


def test_taking_the_gate_from_a_gated_base_folds_its_scale(twins):
    base, variant = twins
    assert hybrid_counts(variant, base, ("gate",)).workload.layer("conv2").scale == "folded"


def test_spikes_come_with_their_pairs(twins):
    base, variant = twins
    mixed = hybrid_counts(base, variant, ("firing rate",))
    np.testing.assert_array_equal(mixed.layers["conv1"].spikes, variant.layers["conv1"].spikes)
    np.testing.assert_array_equal(
        mixed.layers["conv2"].synaptic.all_weights, variant.layers["conv2"].synaptic.all_weights
    )
    assert ("gate", "sigmoid") not in mixed.layers["conv2"].rows


def test_a_hybrid_claims_no_accuracy_and_no_trace(twins):
    mixed = hybrid_counts(*twins, ("gate",))
    assert mixed.accuracy is None
    assert mixed.trace_hash == ""


def test_what_no_switch_covers_is_refused(twins):
    base, _ = twins
    other = bernoulli_counts(network(channels=5), 0.1, steps=3, samples=4)
    with pytest.raises(InvalidInput, match="layer 'conv1' differs in out_channels"):
        hybrid_counts(base, other, ("gate",))


def test_other_layers_are_refused(twins):
    base, _ = twins
    short = bernoulli_counts(dataclasses.replace(network(), layers=network().layers[:2]), 0.1, steps=3, samples=4)
    with pytest.raises(InvalidInput, match="different layers"):
        hybrid_counts(base, short, ())


def test_an_unknown_switch_is_refused(twins):
    with pytest.raises(InvalidInput, match="'colour'"):
        hybrid_counts(*twins, ("colour",))


def test_synthetic_pairs_equal_the_counter_on_dense_spikes():
    layer = network().layer("conv1")
    expected = count_layer(layer, np.ones((2, 1, 2, 6, 6), bool)).all_weights
    np.testing.assert_array_equal(
        bernoulli_counts(network(), 1.0, steps=2).layers["conv1"].synaptic.all_weights, expected
    )


def test_fewer_steps_are_the_first_ones_of_the_same_spikes():
    many, few = (bernoulli_counts(network(), 0.2, steps=steps, samples=3, seed=5) for steps in (7, 2))
    assert same(recast_counts(many, network(), 2), few)


def test_a_higher_rate_adds_spikes_to_the_same():
    low, high = (bernoulli_counts(network(), rate, steps=4, samples=3) for rate in (0.2, 0.21))
    assert all((high.layers[name].spikes >= low.layers[name].spikes).all() for name in ("conv1", "conv2"))


def test_other_weights_meet_the_same_spikes():
    binary = network("binary", "live", "explicit")
    drawn = bernoulli_counts(network(), 0.2, steps=3, samples=2)
    assert same(recast_counts(drawn, binary), bernoulli_counts(binary, 0.2, steps=3, samples=2))


def test_zero_weights_that_were_not_counted_are_refused():
    drawn, net = bernoulli_counts(network(), 0.2, steps=2), network()
    mask = np.zeros(net.layers[1].weight_shape, bool)
    layers = (net.layers[0], dataclasses.replace(net.layers[1], nonzero=mask), net.layers[2])
    with pytest.raises(InvalidInput, match="zero weights that were not counted"):
        recast_counts(drawn, dataclasses.replace(net, layers=layers))


@pytest.mark.parametrize("steps", [0, 3])
def test_only_steps_that_were_drawn_can_be_kept(steps):
    with pytest.raises(InvalidInput, match="the counts hold 2"):
        recast_counts(bernoulli_counts(network(), 0.2, steps=2), network(), steps)
