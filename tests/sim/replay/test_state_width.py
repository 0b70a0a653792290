"""Units of narrow states against arithmetic by hand, and that units alone change no spike."""

from dataclasses import replace

import numpy as np
import pytest
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.passing_layers import Identity
from spikejoule.sim.network.workload import Add, AveragePool, Conv2d, Linear, RecurrentLinear, Workload
from spikejoule.sim.replay.parameters import LayerParameters
from spikejoule.sim.replay.replay import compare_spikes, replay
from spikejoule.sim.replay.state_width import READOUT_BITS, in_state_units

STEPS, SAMPLES = 6, 4


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def stack(weight_kind="float", gate=None, gate_axes="channel"):
    pool = AveragePool(kernel_size=(2, 2))
    first = Conv2d(name="conv", in_shape=(2, 6, 6), out_channels=4, kernel_size=3, padding=1, pool=pool, bias=True)
    kinds = {"weight_kind": weight_kind, "gate": gate, "gate_axes": gate_axes, "bias": True}
    second = Conv2d(name="next", in_shape=(4, 3, 3), out_channels=8, kernel_size=3, padding=1, source="conv", **kinds)
    last = Linear(name="out", in_shape=(8, 3, 3), out_features=3, source="next", pooled=True, neuron="readout")
    return Workload(name="net", input_shape=(2, 6, 6), layers=(first, second, last))


def parameters_for(net, rng):
    result = {}
    for layer in net.layers:
        weights = rng.normal(size=layer.weight_shape)
        binary = layer.weight_kind == "binary"
        size = layer.neuron_shape[0]
        result[layer.name] = LayerParameters(
            weights=np.where(weights < 0, -1.0, 1.0) if binary else weights,
            scale=rng.uniform(0.2, 0.8, size) * np.where(rng.random(size) < 0.3, -1, 1),
            bias=rng.normal(size=size) * 0.2,
            leak=0.5 if layer.neuron == "lif_soft" else 1.0,
            gain=rng.uniform(0.5, 2, STEPS) if layer.gate else None,
        )
    return result


def spikes(rng):
    return (rng.random((STEPS, SAMPLES, 2, 6, 6)) < 0.4).astype(np.uint8)


def one_layer(weight_kind, weight, scale, threshold):
    layer = Linear(name="a", in_shape=(1,), out_features=1, weight_kind=weight_kind)
    net = Workload(name="net", input_shape=(1,), layers=(layer,))
    return net, {"a": LayerParameters(weights=[[weight]], scale=scale, threshold=threshold)}


def test_real_weights_by_hand():
    """8 bits: highest 127, a third 42.3, so threshold 1 becomes 2**5 = 32 places; weight 0.4 becomes 12.8, hence 13."""
    net, own = one_layer("float", 0.4, 1.0, 1.0)
    scaled, numbers = in_state_units(net, own, 8, 1)
    result = replay(net, scaled, np.ones((1, 1, 1), np.uint8), number=numbers, keep_potentials=True)
    assert float(scaled["a"].threshold[0]) == 32.0
    assert result.potentials["a"].item() == 13


def test_binary_weights_by_hand():
    """Scale 0.3, threshold 1: 42.3 x 0.3 = 12.7, so a weight is 2**3 = 8 places, the threshold 8 / 0.3 = 26.7: 27.

    Potentials 8, 4 + 8 = 12, 6 + 8 = 14, ... never pass 27, with 32 places of 1/32 (9.6 each) neither.
    """
    net, own = one_layer("binary", -1.0, -0.3, 1.0)
    scaled, numbers = in_state_units(net, {"a": replace(own["a"], leak=0.5)}, 8, 5)
    result = replay(net, scaled, np.ones((5, 1, 1), np.uint8), number=numbers, keep_potentials=True)
    assert float(scaled["a"].threshold[0]) == pytest.approx(8 / 0.3)
    assert result.potentials["a"].ravel().tolist() == [8, 12, 14, 15, 15]
    assert not result.spikes["a"].any()


@pytest.mark.parametrize("threshold", [0.01, 0.7, 1.0, 3.0, 900.0])
@pytest.mark.parametrize(("state_bits", "share"), [(8, 3), (16, 6)])
def test_thresholds_lie_between_half_of_the_level_and_the_level(state_bits, share, threshold):
    net, own = one_layer("integer", 100.0, 0.013, threshold)
    scaled, _ = in_state_units(net, own, state_bits, 1)
    level = (2 ** (state_bits - 1) - 1) / share
    assert level / 2 < float(scaled["a"].threshold[0]) <= level


def test_a_threshold_by_step_is_placed_by_its_largest():
    net, own = one_layer("float", 1.0, 1.0, [[1.0], [4.0], [2.0]])
    scaled, _ = in_state_units(net, own, 8, 3)
    np.testing.assert_array_equal(scaled["a"].threshold, [[8.0], [32.0], [16.0]])


@pytest.mark.parametrize("axes", ["channel", "sample"])
@pytest.mark.parametrize("gate", [None, "live"])
@pytest.mark.parametrize("weight_kind", ["float", "binary"])
def test_units_alone_change_no_spike(weight_kind, gate, axes, rng):
    net = stack(weight_kind, gate, axes)
    own, x = parameters_for(net, rng), spikes(rng)
    scaled, _ = in_state_units(net, own, 8, STEPS)
    before, after = replay(net, own, x), replay(net, scaled, x)
    assert before.spikes["next"].any()
    assert all((after.spikes[name] == before.spikes[name]).all() for name in before.spikes)


@pytest.mark.parametrize("gate", [None, "live"])
def test_a_wide_state_gives_the_spikes_of_float64(gate, rng):
    net = stack("binary", gate)
    own, x = parameters_for(net, rng), spikes(rng)
    scaled, numbers = in_state_units(net, own, 36, STEPS)
    held = compare_spikes(replay(net, scaled, x, number=numbers), replay(net, own, x).spikes)
    assert [each.differing for each in held.mismatch.values()] == [0, 0]


def test_narrow_states_differ_and_say_so(rng):
    net = stack()
    own, x = parameters_for(net, rng), spikes(rng)
    scaled, numbers = in_state_units(net, own, 4, STEPS)
    result = replay(net, scaled, x, number=numbers)
    assert compare_spikes(result, replay(net, own, x).spikes).mismatch["next"].differing > 0


def test_a_readout_is_wider_and_cannot_overflow(rng):
    """All inputs firing at every step, all weights of one sign: the worst there is."""
    layer = Linear(name="out", in_shape=(5, 2, 2), out_features=3, pooled=True, neuron="readout")
    net = Workload(name="net", input_shape=(5, 2, 2), layers=(layer,))
    own = {"out": LayerParameters(weights=np.abs(rng.normal(size=(3, 5))), scale=0.25, bias=0.1)}
    scaled, numbers = in_state_units(net, own, 8, STEPS)
    result = replay(net, scaled, np.ones((STEPS, 1, 5, 2, 2), np.uint8), number=numbers)
    assert numbers["out"].state_bits == READOUT_BITS == 16
    assert result.saturated["out"].sum() == 0
    assert 0.4 * 2**15 < result.scores.max() < 2**15


def test_joined_currents_share_the_unit_of_the_neurons_they_reach(rng):
    first = Conv2d(name="a", in_shape=(2, 5, 6), out_channels=2, kernel_size=3, padding=1)
    second = Conv2d(name="b", in_shape=(2, 5, 6), out_channels=2, kernel_size=3, padding=1, source="a")
    straight = Identity(name="same", in_shape=(2, 5, 6), source="a", joins="b")
    net = Workload(name="net", input_shape=(2, 5, 6), layers=(first, second, straight))
    own = {name: LayerParameters(weights=rng.normal(size=net.layer(name).weight_shape), leak=0.5) for name in "ab"}
    own["same"] = LayerParameters(weights=1.0)
    own["b"] = replace(own["b"], threshold=[1.0, 3.0])
    x = (rng.random((STEPS, 2, 2, 5, 6)) < 0.4).astype(np.uint8)
    scaled, _ = in_state_units(net, own, 8, STEPS)
    assert (replay(net, scaled, x).spikes["b"] == replay(net, own, x).spikes["b"]).all()


def test_self_connections_share_the_unit_of_their_neurons(rng):
    first = Linear(name="a", in_shape=(6,), out_features=4, weight_kind="binary")
    back = RecurrentLinear(name="back", in_shape=(4,), out_features=4, source="a", joins="a", weight_kind="binary")
    net = Workload(name="net", input_shape=(6,), layers=(first, back))
    own = {
        "a": LayerParameters(
            weights=rng.choice([-1.0, 1.0], (4, 6)), scale=[0.3, 0.5, -0.2, 0.7], leak=0.5, threshold=0.37
        ),
        "back": LayerParameters(weights=rng.choice([-1.0, 1.0], (4, 4)), scale=rng.uniform(0.1, 0.6, 4)),
    }
    x = (rng.random((STEPS, 8, 6)) < 0.6).astype(np.uint8)
    scaled, numbers = in_state_units(net, own, 8, STEPS)
    before = replay(net, own, x).spikes["a"]
    assert 0 < before.mean() < 1
    assert (replay(net, scaled, x).spikes["a"] == before).all()
    assert numbers["a"].state_bits == 8


def test_a_constant_of_another_branch_is_rounded_to_the_last_place():
    """Scale 0.3 puts a weight at 8 places of 0.0375 (see above): a skip path's 1.0 is 26.67 of them, hence 27."""
    net, own = one_layer("binary", 1.0, 0.3, 1.0)
    net = replace(net, layers=(*net.layers, Identity(name="skip", in_shape=(1,), joins="a")))
    scaled, numbers = in_state_units(net, own | {"skip": LayerParameters(weights=1.0)}, 8, 1)
    result = replay(net, scaled, np.ones((1, 1, 1), np.uint8), number=numbers, keep_potentials=True)
    assert result.spikes["a"].item()
    assert result.potentials["a"].item() == 8 + 27 - 27


def test_a_readout_of_summed_spikes_cannot_overflow(rng):
    """Both terms of every sum at every step, all weights of one sign: twice what spikes alone could reach."""
    first = Linear(name="a", in_shape=(3,), out_features=5, neuron="if_hard")
    second = replace(first, name="b")
    both = Add(name="sum", in_shape=(5,), source="a", others=("b",), mode="graded")
    last = Linear(name="out", in_shape=(5,), out_features=2, source="sum", input_kind="graded", neuron="readout")
    net = Workload(name="net", input_shape=(3,), layers=(first, second, both, last))
    own = {name: LayerParameters(weights=np.ones((5, 3)), threshold=0.5) for name in "ab"}
    own["out"] = LayerParameters(weights=np.abs(rng.normal(size=(2, 5))))
    scaled, numbers = in_state_units(net, own, 8, STEPS)
    result = replay(net, scaled, np.ones((STEPS, 1, 3), np.uint8), number=numbers)
    assert (result.passed["sum"] == 2).all()
    assert result.saturated["out"].sum() == 0
    assert 0.4 * 2**15 < result.scores.max() < 2**15


@pytest.mark.parametrize(
    ("change", "message"),
    [({"threshold": 0.0}, "a threshold of 0 fixes no unit"), ({"reset": 0.5}, "resets to 0.5; only 0 is")],
)
def test_parameters_without_a_unit_are_refused(change, message):
    net, own = one_layer("float", 1.0, 1.0, 1.0)
    with pytest.raises(InvalidInput, match=message):
        in_state_units(net, {"a": replace(own["a"], **change)}, 8, 1)


def test_a_headroom_that_no_spike_can_pass_is_refused():
    net, own = one_layer("float", 1.0, 1.0, 1.0)
    with pytest.raises(InvalidInput, match="headroom is 0.5"):
        in_state_units(net, own, 8, 1, headroom=0.5)


def test_a_readout_of_analog_values_is_refused():
    layer = Linear(name="out", in_shape=(2,), out_features=2, neuron="readout", input_kind="analog")
    net = Workload(name="net", input_shape=(2,), layers=(layer,), input_kind="analog")
    with pytest.raises(InvalidInput, match="a readout of analog values has no bound"):
        in_state_units(net, {"out": LayerParameters(weights=np.ones((2, 2)))}, 8, 1)
