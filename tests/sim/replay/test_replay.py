"""The replay against a dense loop in plain numpy, in float64 and in saturating integers."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from spikejoule.sim.counting.layer_counts import count_layer
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.layers import Layer
from spikejoule.sim.network.passing_layers import Identity
from spikejoule.sim.network.workload import AveragePool, Conv2d, Linear, Workload
from spikejoule.sim.replay.parameters import FixedPoint, LayerParameters, Number, Real, binary_weights
from spikejoule.sim.replay.replay import compare_spikes, replay

STEPS, SAMPLES = 5, 3


def dense(layer: Layer, weights: NDArray) -> NDArray:
    """(inputs, neurons), edge by edge, summed over each pooling window."""
    result = np.zeros((layer.inputs, layer.neurons))
    for source in range(layer.inputs):
        for out, weight in layer.targets(np.unravel_index(source, layer.in_shape)):
            if layer.pool is not None:
                out = (out[0], *(place // size for place, size in zip(out[1:], layer.pool.kernel_size, strict=True)))
                if any(place >= size for place, size in zip(out, layer.neuron_shape, strict=True)):
                    continue
            shape = layer.neuron_shape if len(out) > 1 else (layer.neurons,)  # some kinds see neurons as one long axis
            result[source, np.ravel_multi_index(out, shape)] += weights[weight] if weight else weights
    return result


def by_neuron(value: object, layer: Layer, steps: int) -> NDArray:
    channels = layer.neuron_shape[0]
    return np.repeat(np.broadcast_to(value, (steps, channels)), layer.neurons // channels, axis=1)


def rounded(value: float, rounding: str) -> int:
    return {"floor": math.floor, "nearest": lambda v: math.floor(v + 0.5), "toward_zero": math.trunc}[rounding](value)


def oracle(workload: Workload, parameters: dict, inputs: NDArray, number: Number, delay: int = 0) -> dict:
    """Potentials, spikes and cuts of every layer, one neuron after the other; layers in the order they are listed."""
    unit = 1 if isinstance(number, Real) else 2**number.frac_bits
    steps, samples = inputs.shape[:2]
    signals = {"input": inputs.reshape(steps, samples, -1).astype(float)}
    found = {}
    for layer in (layer for layer in workload.layers if layer.neuron):
        own = parameters[layer.name]
        feeding = [other for other in workload.layers if layer.name in (other.name, other.joins)]
        current = np.zeros((steps, samples, layer.neurons))
        touched = np.zeros(current.shape, bool)
        for other in feeding:
            weights = np.asarray(parameters[other.name].weights, float)
            weights = weights if isinstance(number, Real) else np.rint(weights * unit)
            events = np.roll(signals[other.source], delay, axis=0)
            events[:delay] = 0
            made = events @ dense(other, weights)
            current += made if isinstance(number, Real) else np.rint(made)
            touched |= (events != 0).astype(float) @ dense(other, np.ones_like(weights)) > 0
        leak, threshold, bias = (by_neuron(value, layer, steps) for value in (own.leak, own.threshold, own.bias))
        v = np.zeros((steps, samples, layer.neurons))
        spikes, updated, cuts = np.zeros(v.shape, bool), np.zeros(v.shape, bool), np.zeros((steps, samples), int)
        for step, sample, n in np.ndindex(v.shape):
            before = v[step - 1, sample, n] if step else 0.0
            if isinstance(number, Real):
                u, level, constant, reset = before * leak[step, n], threshold[step, n], bias[step, n], own.reset
                if number.leak_frac_bits is not None:
                    u = math.trunc(u * 2**number.leak_frac_bits) / 2**number.leak_frac_bits
            else:
                factor = round(leak[step, n] * 2**number.leak_bits)
                u = rounded(before * factor / 2**number.leak_bits, number.leak_rounding)
                level, constant, reset = (
                    round(value * unit) for value in (threshold[step, n], bias[step, n], own.reset)
                )
            u += current[step, sample, n] + constant
            if not isinstance(number, Real):
                low, high = -(2 ** (number.state_bits - 1)), 2 ** (number.state_bits - 1) - 1
                cuts[step, sample] += not low <= u <= high
                u = min(max(u, low), high)
            fires = layer.neuron != "readout" and u > level
            v[step, sample, n] = (u - level if layer.neuron.endswith("soft") else reset) if fires else u
            spikes[step, sample, n] = fires
            updated[step, sample, n] = before != 0 or touched[step, sample, n] or fires or constant != 0
        signals[layer.name] = spikes.astype(float)
        found[layer.name] = {"potentials": v / unit, "spikes": spikes, "updated": updated, "saturated": cuts}
    return found


def eighths(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    return rng.integers(-8, 9, shape) / 8  # exact in binary, so that any order of sums gives the same


def network(neuron: str = "lif_soft", **conv) -> Workload:
    geometry = {"out_channels": 4, "kernel_size": 3, "padding": 1} | conv
    first = Conv2d(name="conv", in_shape=(2, 5, 6), neuron=neuron, **geometry)
    hidden = Linear(name="fc", in_shape=first.neuron_shape, out_features=6, source="conv", neuron=neuron)
    last = Linear(name="out", in_shape=(6,), out_features=3, source="fc", neuron="readout")
    return Workload(name="net", input_shape=(2, 5, 6), layers=(first, hidden, last))


def parameters_for(workload: Workload, rng: np.random.Generator, **own) -> dict[str, LayerParameters]:
    values = {"leak": 0.5, "threshold": 1.0, "bias": 0.125} | own
    result = {}
    for layer in workload.layers:
        leaking = str(layer.neuron).startswith("lif")
        kept = values if leaking else {k: v for k, v in values.items() if k != "leak"}
        shape = layer.weight_shape
        result[layer.name] = LayerParameters(weights=1.0 if shape == (0,) else eighths(rng, shape), **kept)
    return result


def agree(workload: Workload, parameters: dict, inputs: NDArray, number=None, delay: int = 0) -> None:
    got = replay(workload, parameters, inputs, number=number, delay=delay, keep_potentials=True, keep_updated=True)
    for name, expected in oracle(workload, parameters, inputs, number or Real(), delay).items():
        for quantity, values in expected.items():
            if quantity != "spikes" or name in got.spikes:
                np.testing.assert_array_equal(
                    getattr(got, quantity)[name].reshape(values.shape), values, f"{name} {quantity}"
                )


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def spikes(rng):
    return (rng.random((STEPS, SAMPLES, 2, 5, 6)) < 0.3).astype(np.uint8)


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("neuron", ["lif_soft", "lif_hard", "if_soft", "if_hard"])
def test_every_neuron_model_meets_a_dense_loop(neuron, delay, rng, spikes):
    net = network(neuron)
    agree(net, parameters_for(net, rng, reset=0.25), spikes, delay=delay)


@pytest.mark.parametrize(
    "conv",
    [
        {"stride": 2},
        {"groups": 2},
        {"dilation": 2, "padding": (0, 1, 2, 1)},
        {"pool": AveragePool(kernel_size=(2, 2))},
        {"kernel_size": (1, 2), "padding": 0},
    ],
    ids=lambda conv: next(iter(conv)),
)
def test_every_geometry_meets_a_dense_loop(conv, rng, spikes):
    net = network(**conv)
    agree(net, parameters_for(net, rng), spikes)


@pytest.mark.parametrize("leak_rounding", ["floor", "nearest", "toward_zero"])
@pytest.mark.parametrize("state_bits", [5, 8, 16])
def test_fixed_point_meets_a_loop_of_integers(state_bits, leak_rounding, rng, spikes):
    net = network("lif_soft")
    own = parameters_for(net, rng, leak=0.8)
    agree(net, own, spikes, FixedPoint(state_bits=state_bits, frac_bits=3, leak_rounding=leak_rounding))


def test_narrow_states_are_cut_and_counted(rng, spikes):
    net = network("lif_soft")
    result = replay(net, parameters_for(net, rng), spikes, number=FixedPoint(state_bits=5, frac_bits=3))
    assert result.saturated["conv"].sum() > 0


def test_wide_fixed_point_equals_float64_where_the_leak_is_exact(rng, spikes):
    net = network("if_soft")
    own = parameters_for(net, rng)
    real, fixed = (
        replay(net, own, spikes, number=number, keep_potentials=True)
        for number in (Real(), FixedPoint(state_bits=32, frac_bits=8))
    )
    assert all((real.potentials[name] == fixed.potentials[name]).all() for name in real.potentials)


def test_rounding_after_the_leak(rng, spikes):
    net = network("lif_hard")
    agree(net, parameters_for(net, rng, leak=0.9), spikes, Real(leak_frac_bits=4))


@pytest.mark.parametrize("number", [Real(), FixedPoint(state_bits=16, frac_bits=4)], ids=["float64", "fixed"])
def test_real_inputs(number, rng):
    net = network()
    first = replace(net.layers[0], input_kind="analog")
    net = replace(net, input_kind="analog", held_input=True, layers=(first, *net.layers[1:]))
    held = np.repeat(eighths(rng, (1, SAMPLES, 2, 5, 6)), STEPS, axis=0)
    agree(net, parameters_for(net, rng), held, number)


def test_parameters_by_channel_and_by_step(rng, spikes):
    net = network()
    own = parameters_for(net, rng)
    own["conv"] = replace(
        own["conv"],
        threshold=np.array([0.5, 1, 2, 4]),
        leak=rng.integers(0, 8, (STEPS, 4)) / 8,
        bias=np.full((STEPS, 1), 0.25),
    )
    agree(net, own, spikes)


def test_gain_that_varies_with_the_step_folds_into_leak_and_threshold(rng, spikes):
    """u = leak u + g[t] x with threshold V equals v = u / g: leak g[t-1]/g[t], threshold V/g[t] (definitions, 10)."""
    gain = np.array([1, 0.5, 2, 0.25, 1.0])
    leak = 0.5 * np.concatenate([[1.0], gain[:-1] / gain[1:]])
    folded = network(out_channels=1)
    own = parameters_for(folded, rng, bias=0.0)
    own["conv"] = replace(own["conv"], leak=leak[:, None], threshold=(1 / gain)[:, None])
    got = replay(folded, own, spikes).spikes["conv"].reshape(STEPS, SAMPLES, -1)
    current = spikes.reshape(STEPS, SAMPLES, -1).astype(float) @ dense(
        folded.layers[0], np.asarray(own["conv"].weights)
    )
    u = np.zeros(current.shape[1:])
    for step in range(STEPS):
        u = 0.5 * u + gain[step] * current[step]
        np.testing.assert_array_equal(got[step], u > 1)
        u = u - (u > 1)


def test_joined_currents_are_summed_before_the_neuron(rng, spikes):
    first = Conv2d(name="a", in_shape=(2, 5, 6), out_channels=2, kernel_size=3, padding=1)
    second = Conv2d(
        name="b", in_shape=(2, 5, 6), out_channels=2, kernel_size=3, padding=1, source="a", neuron="if_soft"
    )
    across = Conv2d(name="skip", in_shape=(2, 5, 6), out_channels=2, kernel_size=1, neuron=None, joins="b")
    straight = Identity(name="same", in_shape=(2, 5, 6), source="a", joins="b")
    net = Workload(name="net", input_shape=(2, 5, 6), layers=(first, second, across, straight))
    agree(net, parameters_for(net, rng), spikes)


def test_pooled_readout(rng, spikes):
    last = Linear(name="out", in_shape=(2, 5, 6), out_features=3, pooled=True, neuron="readout")
    net = Workload(name="net", input_shape=(2, 5, 6), layers=(last,))
    agree(net, parameters_for(net, rng), spikes)


def test_scores_are_the_sums_of_the_readout(rng, spikes):
    net = network()
    own = parameters_for(net, rng)
    result = replay(net, own, spikes)
    assert (result.scores == oracle(net, own, spikes, Real())["out"]["potentials"][-1]).all()
    assert (result.predictions == result.scores.argmax(axis=1)).all()


def test_synaptic_operations_are_those_of_the_counter(rng, spikes):
    net = network()
    result = replay(net, parameters_for(net, rng), spikes)
    signals = {"input": spikes, **result.spikes}
    counted = sum(int(count_layer(layer, signals[layer.source]).all_weights.sum()) for layer in net.layers)
    assert result.synaptic_operations == counted


def test_comparison_counts_disagreements(rng, spikes):
    net = network()
    result = replay(net, parameters_for(net, rng), spikes)
    recorded = {"conv": result.spikes["conv"].copy()}
    recorded["conv"][0, 0, 0, 0, :2] ^= True
    held = compare_spikes(result, recorded, labels=result.predictions)
    total = int(recorded["conv"].sum())
    mismatch = held.mismatch["conv"]
    assert (mismatch.differing, mismatch.per_spike, held.accuracy) == (2, 2 / total, 1.0)
    assert mismatch.per_place == 2 / result.spikes["conv"].size


def test_packed_binary_weights():
    layer = Linear(name="fc", in_shape=(3,), out_features=2, weight_kind="binary")
    got = binary_weights(np.array([0b010110], np.uint64), layer, scale=[1.0, 2.0])
    np.testing.assert_array_equal(got, [[-1, 1, 1], [-2, 2, -2]])


BAD = {
    "no parameters given": {"fc": None},
    "weights are (1,)": {"fc": {"weights": np.ones(1)}},
    "it must be one number, (6,) by channel": {"fc": {"threshold": np.ones(5)}},
    "a parameter is not finite": {"fc": {"bias": np.nan}},
}


@pytest.mark.parametrize("message", BAD)
def test_unusable_parameters_are_refused(message, rng, spikes):
    net = network()
    own = parameters_for(net, rng)
    for name, change in BAD[message].items():
        if change is None:
            own.pop(name)
        else:
            own[name] = replace(own[name], **change)
    with pytest.raises(InvalidInput, match=re.escape(message)):
        replay(net, own, spikes)


def gated(gate: str | None, **fields) -> Workload:
    net = network()
    return replace(net, layers=(replace(net.layers[0], gate=gate, **fields), *net.layers[1:]))


BAD_GATES = {
    "has a live gate; give its alpha as gain": ("live", {}),
    "gain is (3,); it must be one number or (5,)": ("live", {"gain": np.ones(3)}),
    "has no live gate, so it takes no gain": (None, {"gain": 1.0}),
    "has a per_step gate; give its folded parameters": ("per_step", {}),
    "a parameter is not finite": ("live", {"gain": np.inf}),
}


@pytest.mark.parametrize("message", BAD_GATES)
def test_gates_without_their_parameters_are_refused(message, rng, spikes):
    gate, change = BAD_GATES[message]
    net = gated(gate)
    own = parameters_for(net, rng)
    own["conv"] = replace(own["conv"], **change)
    with pytest.raises(InvalidInput, match=re.escape(message)):
        replay(net, own, spikes)


def test_a_gate_of_a_joining_layer_is_refused(rng, spikes):
    first = Conv2d(name="a", in_shape=(2, 5, 6), out_channels=2, kernel_size=3, padding=1)
    across = Conv2d(name="skip", in_shape=(2, 5, 6), out_channels=2, kernel_size=1, neuron=None, joins="a", gate="live")
    net = Workload(name="net", input_shape=(2, 5, 6), layers=(first, across))
    with pytest.raises(InvalidInput, match="joins the current of 'a' and has a gate of its own"):
        replay(net, parameters_for(net, rng), spikes)


def test_a_per_step_gate_takes_its_folded_parameters(rng, spikes):
    net, steps = gated("per_step"), np.ones((STEPS, 1))
    own = parameters_for(net, rng)
    own["conv"] = replace(own["conv"], threshold=steps, leak=0.5 * steps)
    assert (replay(net, own, spikes).spikes["conv"] == replay(network(), own, spikes).spikes["conv"]).all()


@pytest.mark.parametrize("axes", ["channel", "sample"])
def test_a_live_gate_meets_a_loop(axes, rng, spikes):
    """alpha[t] sigmoid(mean) times the current, bias included, of one sample and step; then the neuron."""
    net = gated("live", gate_axes=axes)
    own = parameters_for(net, rng)
    alpha, unit = rng.uniform(0.5, 3, STEPS), np.array([1.0, 2.0, 0.5, 4.0])
    own["conv"] = replace(own["conv"], gain=alpha, unit=unit, threshold=0.3)
    result = replay(net, own, spikes, keep_updated=True)
    matrix, shape = dense(net.layers[0], np.asarray(own["conv"].weights)), net.layers[0].neuron_shape
    for sample in range(SAMPLES):
        u = np.zeros(shape)
        for step in range(STEPS):
            x = (spikes[step, sample].reshape(-1).astype(float) @ matrix).reshape(shape) + 0.125
            true = x * unit[:, None, None]
            for channel in range(shape[0]):
                mean = true[channel].mean() if axes == "channel" else true.mean()
                u[channel] = 0.5 * u[channel] + alpha[step] / (1 + math.exp(-mean)) * x[channel]
            np.testing.assert_array_equal(result.spikes["conv"][step, sample], u > 0.3)
            u -= 0.3 * (u > 0.3)
    assert result.updated["conv"].all()


def test_a_live_gate_in_fixed_point_by_hand():
    """Two neurons of one channel with unit 1/8 and alpha 2, inputs 1 at step 0 and 2 at step 1.

    Currents 12 and -4: mean 4 / 8 = 0.5, gain 2 sigmoid(0.5) = 1.2449: 14.94 -> 15 and -4.98 -> -5.
    Currents 24 and -8: mean 8 / 8 = 1, gain 1.4621: 35.09 -> 35 and -11.70 -> -12. At 6 bits (-32 to 31) with the
    leaked 15 / 2 -> 7 and -5 / 2 -> -2: 42 is cut to 31, and -14.
    The second step alone at 5 bits (-16 to 15): 24 is cut to 15; mean 7 / 16, gain 1.2153: 18.23 -> 18 is cut to 15,
    which fires over 14 and leaves 1, and -9.72 -> -10. Two were cut: a current and a potential.
    """
    layer = Conv2d(
        name="a", in_shape=(1, 1, 2), out_channels=1, kernel_size=1, gate="live", input_kind="graded", neuron="lif_soft"
    )
    net = Workload(name="net", input_shape=(1, 1, 2), layers=(layer,), input_kind="graded")
    pair = Linear(name="p", in_shape=(1, 1, 2), out_features=2, joins="a", neuron=None, input_kind="graded")
    net = replace(net, layers=(layer, pair))
    own = {
        "a": LayerParameters(weights=np.zeros((1, 1, 1, 1)), leak=0.5, threshold=30.0, gain=2.0, unit=1 / 8),
        "p": LayerParameters(weights=[[12.0, 0.0], [0.0, -4.0]]),
    }
    inputs = np.array([1, 2]).reshape(2, 1, 1, 1, 1).repeat(2, axis=-1)
    wide = replay(net, own, inputs, number=FixedPoint(state_bits=6, frac_bits=0), keep_potentials=True)
    assert wide.potentials["a"].reshape(2, 2).tolist() == [[15, -5], [1, -14]]
    own["a"] = replace(own["a"], threshold=14.0)
    narrow = replay(net, own, inputs[1:], number=FixedPoint(state_bits=5, frac_bits=0), keep_potentials=True)
    assert narrow.spikes["a"].reshape(2).tolist() == [True, False]
    assert narrow.potentials["a"].reshape(2).tolist() == [1, -10]
    assert narrow.saturated["a"].item() == 2


def test_scales_multiply_the_weights_of_their_channel(rng, spikes):
    net = network(groups=2)
    own = parameters_for(net, rng)
    scale = np.array([0.5, -1.0, 2.0, 4.0])
    scaled = own | {"conv": replace(own["conv"], scale=scale)}
    weights = np.asarray(own["conv"].weights) * scale[:, None, None, None]
    folded = own | {"conv": replace(own["conv"], weights=weights)}
    assert (replay(net, scaled, spikes).spikes["conv"] == replay(net, folded, spikes).spikes["conv"]).all()


def test_a_scale_of_the_wrong_size_is_refused(rng, spikes):
    net = network()
    own = parameters_for(net, rng)
    own["conv"] = replace(own["conv"], scale=np.ones(3))
    with pytest.raises(InvalidInput, match=re.escape("scale is (3,); it must be one number or (4,)")):
        replay(net, own, spikes)


def test_populations_may_be_kept_in_numbers_of_their_own(rng, spikes):
    net = network()
    own = parameters_for(net, rng)
    narrow = FixedPoint(state_bits=5, frac_bits=3)
    mixed = replay(net, own, spikes, number={"conv": narrow}, keep_potentials=True)
    assert (mixed.spikes["conv"] == replay(net, own, spikes, number=narrow).spikes["conv"]).all()
    assert (mixed.potentials["out"] * 8 % 1 == 0).all()
    assert mixed.saturated["out"].sum() == 0


def test_threshold_out_of_reach_of_the_state_is_refused(rng, spikes):
    net = network()
    with pytest.raises(InvalidInput, match="out of reach of a state of 4 bits"):
        replay(net, parameters_for(net, rng), spikes, number=FixedPoint(state_bits=4, frac_bits=3))


def test_leak_of_a_neuron_that_does_not_leak_is_refused(rng, spikes):
    net = network("if_soft")
    own = parameters_for(net, rng)
    own["conv"] = replace(own["conv"], leak=0.5)
    with pytest.raises(InvalidInput, match="if_soft neurons do not leak"):
        replay(net, own, spikes)


@pytest.mark.parametrize("inputs", [np.zeros((2, 3, 5)), np.zeros((0, 1, 2, 5, 6)), np.full((1, 1, 2, 5, 6), np.nan)])
def test_unusable_inputs_are_refused(inputs, rng):
    net = network()
    with pytest.raises(InvalidInput, match="inputs are"):
        replay(net, parameters_for(net, rng), inputs)


@pytest.mark.parametrize(
    ("field", "value"), [("state_bits", 1), ("frac_bits", 31), ("leak_bits", 21), ("leak_rounding", "up")]
)
def test_numbers_that_do_not_exist_are_refused(field, value):
    with pytest.raises(InvalidInput, match=field):
        FixedPoint(**({"state_bits": 8, "frac_bits": 2} | {field: value}))
