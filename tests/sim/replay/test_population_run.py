"""Branches, self-connections and gates of random networks against plain Python, written step by step from the rules."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from spikejoule.sim.network.layers import Layer
from spikejoule.sim.network.passing_layers import Identity
from spikejoule.sim.network.workload import Add, AveragePool, Conv2d, Linear, RecurrentLinear, Workload
from spikejoule.sim.replay.parameters import FixedPoint, LayerParameters, Real
from spikejoule.sim.replay.replay import replay

STEPS, SAMPLES = 4, 2
RESIDUALS = ("current", "graded", "and", "or")


def random_network(seed: int, residual: str, gate: str | None = None, **gated) -> tuple[Workload, dict, np.ndarray]:
    """Two branches with scales of their own, or a merge; then self-connections; then a readout."""
    rng = np.random.default_rng(seed)
    pool = AveragePool(kernel_size=(2, 2)) if seed % 2 else None
    size = 4 if pool is None else 2
    first = Conv2d(name="a", in_shape=(2, 4, 4), out_channels=3, kernel_size=3, padding=1, pool=pool)
    shape = (3, size, size)
    second = Conv2d(name="b", in_shape=shape, out_channels=3, kernel_size=3, padding=1, source="a", neuron="lif_hard")
    layers: list[Layer] = [first]
    if residual == "current":
        stride = 4 // size
        layers += [
            replace(second, gate=gate, **gated),
            Identity(name="same", in_shape=shape, source="a", joins="b"),
            Conv2d(
                name="skip", in_shape=(2, 4, 4), out_channels=3, kernel_size=1, stride=stride, neuron=None, joins="b"
            ),
        ]
        last, kind = "b", "spike"
    else:
        layers += [second, Add(name="sum", in_shape=shape, source="b", others=("a",), mode=residual)]
        again = Add(
            name="more",
            in_shape=shape,
            source="sum",
            others=("b",),
            mode=residual,
            input_kind=layers[-1].output_kind,
            other_kinds=("spike",),
        )
        layers.append(again)
        last, kind = "more", again.output_kind
    hidden = Linear(name="h", in_shape=shape, out_features=5, source=last, input_kind=kind, neuron="if_soft")
    back = RecurrentLinear(name="back", in_shape=(5,), out_features=5, source="h", joins="h")
    out = Linear(name="out", in_shape=(5,), out_features=2, source="h", neuron="readout")
    net = Workload(name="net", input_shape=(2, 4, 4), layers=(*layers, hidden, back, out))
    own = {}
    for layer in net.layers:
        if layer.neuron or layer.joins:
            own[layer.name] = LayerParameters(
                weights=rng.integers(-8, 9, layer.weight_shape) / 8 if layer.weights else 1.0,
                scale=rng.choice([-0.5, 0.25, 1.0, 1.5], layer.channel_groups[2]),
                leak=rng.choice([0.5, 0.75], (STEPS, 1)) if str(layer.neuron).startswith("lif") else 1.0,
                threshold=rng.choice([0.25, 0.5, 0.75], layer.neuron_shape[0]),
                bias=rng.integers(-2, 3, (STEPS, layer.neuron_shape[0])) / 8,
                reset=0.25 if layer.name == "b" else 0.0,
                gain=rng.uniform(0.5, 2.0, STEPS) if layer.gate else None,
            )
    return net, own, (rng.random((STEPS, SAMPLES, 2, 4, 4)) < 0.4).astype(np.uint8)


def edges(layer: Layer, own: LayerParameters) -> list[tuple[int, int, Fraction]]:
    """(input, neuron, weight x scale), over the pooling windows of the current."""
    found, scale, weights = [], np.broadcast_to(own.scale, layer.channel_groups[2]), np.asarray(own.weights)
    for source in range(layer.inputs):
        for out, weight in layer.targets(np.unravel_index(source, layer.in_shape)):
            factor = scale[out[0] if layer.weights else source]
            place = (
                (out[0], *(x // k for x, k in zip(out[1:], layer.pool.kernel_size, strict=True))) if layer.pool else out
            )
            neuron = int(np.ravel_multi_index(place, layer.neuron_shape)) if len(place) > 1 else place[0]
            stored = weights[weight] if layer.weights else weights
            found.append((source, neuron, Fraction(float(stored)) * Fraction(float(factor))))
    return found


def by(value: object, step: int, channel: int, channels: int) -> Fraction:
    return Fraction(float(np.broadcast_to(np.asarray(value, float), (STEPS, channels))[step, channel]))


def reference(net: Workload, own: dict, inputs: np.ndarray, number: Real | FixedPoint) -> dict[str, list]:
    """(spikes, potentials, cuts) of every population; exact fractions, all of one step before the next."""
    fixed = isinstance(number, FixedPoint)
    unit = 2**number.frac_bits if fixed else 1
    whole = (lambda value: Fraction(round(value * unit))) if fixed else (lambda value: value)
    low, high = (number.lowest, number.highest) if fixed else (-math.inf, math.inf)
    wires = {x.name: [(i, o, whole(w)) for i, o, w in edges(x, own[x.name])] for x in net.layers if x.name in own}
    found: dict[str, list] = {x.name: [] for x in net.layers if x.neuron}
    for sample in range(SAMPLES):
        state = {name: [Fraction(0)] * net.layer(name).neurons for name in found}
        before = {name: [0] * net.layer(name).neurons for name in found}
        for step in range(STEPS):
            signals = {"input": inputs[step, sample].ravel().tolist()}
            for layer in net.layers:
                if isinstance(layer, Add):
                    terms = zip(*(signals[name] for name in layer.sources), strict=True)
                    rule = {"graded": sum, "and": lambda t: int(all(t)), "or": lambda t: int(any(t))}[layer.mode]
                    signals[layer.name] = [rule(term) for term in terms]
                if not layer.neuron:
                    continue
                current = [Fraction(0)] * layer.neurons
                for branch in (x for x in net.layers if layer.name in (x.name, x.joins)):
                    values = before[layer.name] if branch.delay else signals[branch.source]
                    for source, neuron, weight in wires[branch.name]:
                        if values[source]:
                            current[neuron] += values[source] * weight
                given, channels, cuts = own[layer.name], layer.neuron_shape[0], 0
                size = layer.neurons // channels
                constant = [whole(by(given.bias, step, n // size, channels)) for n in range(layer.neurons)]
                if layer.gate:
                    x = [a + b for a, b in zip(current, constant, strict=True)]
                    cuts += sum(not low <= each <= high for each in x)
                    x = [min(max(each, low), high) for each in x]
                    groups = (
                        [range(layer.neurons)]
                        if layer.gate_axes == "sample"
                        else [range(c * size, (c + 1) * size) for c in range(channels)]
                    )
                    for group in groups:
                        mean = float(sum(x[n] for n in group)) / unit / len(group)
                        gain = float(np.asarray(given.gain)[step]) / (1 + math.exp(-mean))
                        for n in group:
                            current[n] = (
                                Fraction(round(Fraction(gain * float(x[n])))) if fixed else Fraction(gain * float(x[n]))
                            )
                    constant = [Fraction(0)] * layer.neurons
                fired, potentials = [], []
                for n in range(layer.neurons):
                    factor = by(given.leak, step, n // size, channels)
                    if fixed:
                        factor = Fraction(round(factor * 2**number.leak_bits), 2**number.leak_bits)
                    u = state[layer.name][n] * factor
                    u = Fraction(math.trunc(u)) if fixed else u
                    u += current[n] + constant[n]
                    cuts += not low <= u <= high
                    u = min(max(u, low), high)
                    level = whole(by(given.threshold, 0, n // size, channels))
                    fires = layer.neuron != "readout" and u > level
                    if fires:
                        u = (
                            min(max(u - level, low), high)
                            if layer.neuron.endswith("soft")
                            else whole(Fraction(given.reset))
                        )
                    fired.append(int(fires))
                    potentials.append(u)
                state[layer.name], before[layer.name] = potentials, fired
                signals[layer.name] = fired
                found[layer.name].append((fired, [float(u / unit) for u in potentials], cuts))
    return found


def agree(net: Workload, own: dict, inputs: np.ndarray, number: Real | FixedPoint, exact: bool = True) -> None:
    got, cut = replay(net, own, inputs, number=number, keep_potentials=True), 0
    for name, told in reference(net, own, inputs, number).items():
        for index, (fired, potentials, cuts) in enumerate(told):
            sample, step = divmod(index, STEPS)
            where = f"{name}, sample {sample}, step {step}"
            if name in got.spikes:
                assert got.spikes[name][step, sample].ravel().tolist() == fired, where
            held = got.potentials[name][step, sample].ravel()
            assert (held == potentials).all() if exact else held == pytest.approx(potentials, abs=1e-12), where
            assert got.saturated[name][step, sample] == cuts, where
            cut += cuts
    assert got.spikes["h"].any()
    assert not got.spikes["h"].all()
    if isinstance(number, FixedPoint) and number.state_bits < 8:
        assert cut > 0


NUMBERS = [
    Real(),
    FixedPoint(state_bits=16, frac_bits=4),
    FixedPoint(state_bits=5, frac_bits=2),
]
IDS = ["float64", "16 bits", "5 bits"]


@pytest.mark.parametrize("number", NUMBERS, ids=IDS)
@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 14))])
def test_random_residual_and_recurrent_networks_meet_plain_python(seed, residual, number):
    agree(*random_network(seed, residual), number)


@pytest.mark.parametrize("number", NUMBERS, ids=IDS)
@pytest.mark.parametrize("axes", ["channel", "sample"])
def test_a_live_gate_is_on_the_sum_of_all_branches(axes, number):
    agree(*random_network(4, "current", "live", gate_axes=axes), number, exact=isinstance(number, FixedPoint))


def self_connected(weight: float, own: float = 1.0) -> tuple[Workload, dict]:
    first = Linear(name="a", in_shape=(1,), out_features=1, neuron="if_soft")
    back = RecurrentLinear(name="back", in_shape=(1,), out_features=1, source="a", joins="a")
    net = Workload(name="net", input_shape=(1,), layers=(first, back))
    return net, {"a": LayerParameters(weights=[[own]]), "back": LayerParameters(weights=[[weight]])}


@pytest.mark.parametrize("delay", [0, 1])
def test_self_connections_read_the_step_before_by_hand(delay):
    """One input of 1.5 at step 0: fires over 1, leaves 0.5; then 0.75 comes back, 1.25 fires; 0.25 + 0.75 does not."""
    net, own = self_connected(0.75, 1.5)
    inputs = np.zeros((5, 1, 1), np.uint8)
    inputs[0] = 1
    got = replay(net, own, inputs, delay=delay, keep_potentials=True)
    wanted = [0.5, 0.25, 1.0, 1.0, 1.0] if delay == 0 else [0.0, 0.5, 0.25, 1.0, 1.0]
    assert got.potentials["a"].ravel().tolist() == wanted
    assert got.synaptic_operations == 1 + 2


def test_branches_meet_before_the_potential_is_cut():
    """At 4 bits (-8 to 7): 6 + 6 - 8 = 4 is within, though 6 + 6 alone would have been cut to 7."""
    first = Linear(name="a", in_shape=(1,), out_features=1, neuron="if_soft")
    branch = {"in_shape": (1,), "out_features": 1, "neuron": None, "joins": "a"}
    more = [Linear(name=name, **branch) for name in ("b", "c")]
    net = Workload(name="net", input_shape=(1,), layers=(first, *more))
    own = {
        name: LayerParameters(weights=[[value]], threshold=6.0) for name, value in (("a", 6.0), ("b", 6.0), ("c", -8.0))
    }
    got = replay(
        net, own, np.ones((1, 1, 1), np.uint8), number=FixedPoint(state_bits=4, frac_bits=0), keep_potentials=True
    )
    assert (got.potentials["a"].item(), got.saturated["a"].item()) == (4.0, 0)


def test_each_branch_is_rounded_on_its_own():
    """0.4 and 0.4 are 0 and 0 of the last place, not 0.8 rounded to 1."""
    first = Linear(name="a", in_shape=(1,), out_features=1, neuron="if_soft")
    skip = Identity(name="skip", in_shape=(1,), joins="a")
    net = Workload(name="net", input_shape=(1,), layers=(first, skip))
    own = {"a": LayerParameters(weights=[[1.0]], scale=0.4), "skip": LayerParameters(weights=1.0, scale=0.4)}
    got = replay(
        net, own, np.ones((1, 1, 1), np.uint8), number=FixedPoint(state_bits=4, frac_bits=0), keep_potentials=True
    )
    assert got.potentials["a"].item() == 0.0


def test_a_neuron_that_only_hears_itself_is_updated():
    net, own = self_connected(1.0, 2.0)  # fires at 2, is left with 1, hears 1, fires at 2 again
    inputs = np.zeros((3, 1, 1), np.uint8)
    inputs[0] = 1
    silent = {**own, "a": LayerParameters(weights=[[1.0]], threshold=0.5, reset=0.0)}
    assert replay(net, own, inputs, keep_updated=True).updated["a"].all()
    hard = Workload(
        name="net",
        input_shape=(1,),
        layers=(Linear(name="a", in_shape=(1,), out_features=1, neuron="if_hard"), net.layers[1]),
    )
    cancelled = silent | {"back": LayerParameters(weights=[[0.0]])}
    assert replay(hard, cancelled, inputs, keep_updated=True).updated["a"].ravel().tolist() == [True, True, False]
