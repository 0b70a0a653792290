"""What layers between signals pass on, against the obvious: who reaches whom one by one, and arithmetic by hand."""

import math

import numpy as np
import pytest
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.layers import Layer
from spikejoule.sim.network.passing_layers import Identity, Upsample
from spikejoule.sim.network.workload import AdaptivePool, Add, Concatenate, Conv2d, Linear, Pool, Workload
from spikejoule.sim.replay.forwarding import largest_values, passed_on, plain
from spikejoule.sim.replay.parameters import LayerParameters
from spikejoule.sim.replay.replay import replay

STEPS, SAMPLES = 2, 3
SHAPE = (2, 5, 6)
KINDS = {
    "spike": lambda rng: rng.integers(0, 2, (STEPS, SAMPLES, *SHAPE)),
    "signed_spike": lambda rng: rng.integers(-1, 2, (STEPS, SAMPLES, *SHAPE)),
    "graded": lambda rng: rng.integers(0, 400, (STEPS, SAMPLES, *SHAPE)),
    "analog": lambda rng: rng.integers(-64, 65, (STEPS, SAMPLES, *SHAPE)) / 16,
}
LAYERS = [
    (Pool, {"mode": "max", "kernel_size": 2}),
    (Pool, {"mode": "max", "kernel_size": 3, "stride": 2, "padding": 1}),
    (Pool, {"mode": "max", "kernel_size": (1, 2), "stride": 1, "dilation": 2}),
    (AdaptivePool, {"mode": "max", "output_size": (2, 4)}),
    (Pool, {"mode": "average", "kernel_size": 2, "scale": "folded"}),
    (Pool, {"mode": "average", "kernel_size": 3, "stride": 2, "padding": 1, "scale": "folded"}),
    (Pool, {"mode": "average", "kernel_size": (2, 3), "stride": 1}),
    (AdaptivePool, {"mode": "average", "output_size": (2, 4)}),
    (Upsample, {"factor": (2, 3)}),
    (Identity, {}),
]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def windows(layer: Layer) -> list[list[int]]:
    """The inputs that reach each output, one edge after the other."""
    found: list[list[int]] = [[] for _ in range(math.prod(layer.out_shape))]
    for source in range(layer.inputs):
        for out, _ in layer.targets(np.unravel_index(source, layer.in_shape)):
            place = np.ravel_multi_index(out, layer.out_shape) if len(out) > 1 else out[0]
            found[int(place)].append(source)
    return found


def expected(layer: Layer, values: np.ndarray) -> np.ndarray:
    flat, inside = values.reshape(STEPS, SAMPLES, -1), windows(layer)
    rules = {"max": np.max, "average": np.mean if getattr(layer, "scale", "") == "explicit" else np.sum}
    rule = rules[getattr(layer, "mode", "average")]
    return np.stack([rule(flat[..., window], axis=-1) for window in inside], axis=-1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layer_type", "fields"), LAYERS)
def test_windows_and_copies_meet_their_edges_one_by_one(layer_type, fields, kind, rng):
    layer, values = layer_type(name="x", in_shape=SHAPE, input_kind=kind, **fields), KINDS[kind](rng)
    got = passed_on(layer, [plain(values)])
    np.testing.assert_allclose(got, expected(layer, values), rtol=1e-15)
    assert (got.dtype == np.float64) == (
        "analog" in (kind, layer.value_kind) and (kind == "analog" or layer.scale == "explicit")
    )


@pytest.mark.parametrize(
    ("mode", "wanted"), [("graded", [0, 1, 1, 2, 3]), ("and", [0, 0, 0, 0, 1]), ("or", [0, 1, 1, 1, 1])]
)
def test_merges_by_hand(mode, wanted):
    layer = Add(name="x", in_shape=(5,), source="a", others=("b", "c"), mode=mode)
    signals = [[0, 1, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 1, 0, 1]]
    got = passed_on(layer, [np.array(each, np.uint8).reshape(1, 1, 5) for each in signals])
    assert got.dtype == np.uint8
    assert got.ravel().tolist() == wanted


def test_sums_do_not_wrap():
    layer = Add(name="x", in_shape=(1,), source="a", others=("b",), mode="graded", input_kind="graded")
    assert passed_on(layer, [np.full((1, 1, 1), 200, np.uint8)] * 2).item() == 400


def test_concatenation_is_along_the_channels(rng):
    layer = Concatenate(name="x", in_shape=SHAPE, source="a", others=("b",), other_channels=(1,))
    first, second = KINDS["spike"](rng), KINDS["spike"](rng)[:, :, :1]
    got = passed_on(layer, [plain(first), plain(second)]).reshape(STEPS, SAMPLES, *layer.out_shape)
    np.testing.assert_array_equal(got, np.concatenate([first, second], axis=2))


def test_a_padded_average_with_an_unknown_divisor_is_refused(rng):
    layer = Pool(name="x", in_shape=SHAPE, mode="average", kernel_size=3, stride=2, padding=1)
    with pytest.raises(InvalidInput, match="layer 'x': an average over windows that reach into the padding"):
        passed_on(layer, [plain(KINDS["spike"](rng))])


def between(*layers: Layer, kind: str = "spike") -> Workload:
    first = Conv2d(name="a", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=1, input_kind=kind)
    second = Conv2d(name="b", in_shape=(2, 4, 4), out_channels=2, kernel_size=3, padding=1, source="a")
    return Workload(name="net", input_shape=(1, 4, 4), layers=(first, second, *layers), input_kind=kind)


def test_bounds_of_what_is_passed_on_by_hand():
    maps = {"in_shape": (2, 4, 4)}
    net = between(
        Add(name="sum", source="a", others=("b",), mode="graded", **maps),
        Add(
            name="more", source="sum", others=("b",), mode="graded", input_kind="graded", other_kinds=("spike",), **maps
        ),
        Add(name="any", source="a", others=("b",), mode="or", **maps),
        Pool(name="mean", source="more", input_kind="graded", mode="average", kernel_size=2, scale="folded", **maps),
        Pool(name="max", source="more", input_kind="graded", mode="max", kernel_size=2, **maps),
        kind="analog",
    )
    wanted = {"input": math.inf, "a": 1, "b": 1, "sum": 2, "more": 3, "any": 1, "mean": 12, "max": 3}
    assert largest_values(net) == wanted


def test_signals_of_a_replay_are_what_the_layers_between_pass_on(rng):
    maps = {"in_shape": (2, 4, 4)}
    pool = Pool(name="pool", source="a", mode="max", kernel_size=2, **maps)
    cat = Concatenate(name="cat", in_shape=(2, 2, 2), source="pool", others=("pool",))
    out = Linear(name="out", in_shape=(4, 2, 2), out_features=1, source="cat", neuron="readout")
    net = between(pool, cat, out)
    own = {x.name: LayerParameters(weights=rng.integers(-4, 5, x.weight_shape) / 4) for x in (*net.layers[:2], out)}
    result = replay(net, own, KINDS["spike"](rng)[:, :, :1, :4, :4])
    spikes = result.spikes["a"]
    pooled = spikes.reshape(STEPS, SAMPLES, 2, 2, 2, 2, 2).any(axis=(4, 6))
    assert 0 < pooled.mean() < 1
    assert list(result.passed) == ["pool", "cat"]
    np.testing.assert_array_equal(result.passed["cat"], np.concatenate([pooled, pooled], axis=2))
    scores = result.passed["cat"].reshape(STEPS, SAMPLES, -1).sum(axis=0) @ np.asarray(own["out"].weights).T
    np.testing.assert_array_equal(result.scores, scores)
    assert set(result.spikes) == {"a", "b"}


def test_a_delay_of_chips_needs_neurons_alone(rng):
    net = between(Pool(name="pool", in_shape=(2, 4, 4), source="a", mode="max", kernel_size=2))
    own = {x.name: LayerParameters(weights=np.ones(x.weight_shape)) for x in net.layers[:2]}
    with pytest.raises(InvalidInput, match="layer 'pool': stands between signals, and chips know neurons alone"):
        replay(net, own, KINDS["spike"](rng)[:, :, :1, :4, :4], delay=1)


def test_a_network_without_neurons_is_refused(rng):
    net = Workload(name="net", input_shape=SHAPE, layers=(Pool(name="x", in_shape=SHAPE, mode="max", kernel_size=2),))
    with pytest.raises(InvalidInput, match="workload 'net': has no neurons to replay"):
        replay(net, {}, KINDS["spike"](rng))
