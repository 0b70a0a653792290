"""The counter against published cases and against counts by plain loops over the definitions of the layers."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from spikejoule.sim.counting.layer_counts import count_layer, count_packed, pack_input
from spikejoule.sim.counting.spike_statistics import layer_statistics, merge_statistics, touched_neurons
from spikejoule.sim.counting.totals import count_totals, turn_spikes
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import (
    LAYER_TYPES,
    AdaptivePool,
    Add,
    AveragePool,
    Concatenate,
    Conv2d,
    Identity,
    Layer,
    Linear,
    Pool,
    RecurrentLinear,
    Upsample,
)

CASES = Path(__file__).parents[2] / "cases" / "counts"


def bits(data: NDArray, shape: list[int] | tuple[int, ...]) -> NDArray[np.bool_]:
    count = int(np.prod(shape))
    return np.unpackbits(data, bitorder="little")[:count].reshape(shape).astype(bool)


def described_layer(name: str, case: dict, weights: NDArray[np.bool_], kind: str) -> Layer:
    common = {"name": name, "in_shape": tuple(case["x_shape"][1:]), "input_kind": kind, "nonzero": weights}
    if case["type"] == "Linear":
        return Linear(out_features=weights.shape[0], **common)
    geometry = {key: tuple(case[key]) for key in ("stride", "padding", "dilation")}
    return Conv2d(
        out_channels=weights.shape[0], kernel_size=tuple(case["kernel"]), groups=case["groups"], **geometry, **common
    )


def weight_shape(case: dict) -> tuple[int, ...]:
    if case["type"] == "Linear":
        return case["weights"] // case["in_features"], case["in_features"]
    inputs = case["in_channels"] // case["groups"]
    outputs = case["weights"] // (inputs * case["kernel"][0] * case["kernel"][1])
    return outputs, inputs, *case["kernel"]


def declared_kind(case: dict) -> str:
    return "spike" if case["binary_input"] else "signed_spike" if case["ternary_input"] else "analog"


def published_layers():
    for name, case in json.loads((CASES / "layers.json").read_text()).items():
        yield pytest.param("layers.npz", name, case, id=name)
    for network, contents in json.loads((CASES / "networks.json").read_text()).items():
        for name, case in contents["layers"].items():
            yield pytest.param(f"{network}.npz", name, case, id=f"{network}-{name}")


def stored_input(file, name: str, case: dict) -> NDArray:
    key = next(
        k for k in (f"{name}.x", f"{name}.x_bits", f"{name}.x_quarters_u8", f"{name}.x_nonzero_bits") if k in file
    )
    values = file[key]
    if key.endswith("bits"):
        values = bits(values, case["x_shape"])
    return values.astype(np.float32) / 4 if key.endswith("quarters_u8") else values


@pytest.mark.parametrize(("source", "name", "case"), list(published_layers()))
def test_published_counts_are_met_bit_for_bit(source, name, case):
    with np.load(CASES / source) as file:
        x = stored_input(file, name, case)
        if f"{name}.w" in file:
            weights = file[f"{name}.w"] != 0
        else:
            weights = bits(file[f"{name}.wmask_bits"], weight_shape(case))
    counts = count_layer(described_layer("layer", case, weights, declared_kind(case)), x[:, None])
    exact = case["exact"]
    assert (int(counts.nonzero_weights.sum()), int(counts.all_weights.sum()), counts.dense * len(x)) == (
        exact["effective_nonzero_weights"],
        exact["effective_all_weights"],
        exact["dense"],
    )
    assert int(counts.events.sum()) == case["nnz_input"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("spike", 2),
        ("spike", 0.5),
        ("spike", -1),
        ("signed_spike", 2),
        ("graded", -1),
        ("graded", 1.5),
        ("analog", np.nan),
    ],
)
def test_a_value_that_contradicts_its_kind_is_named(kind, value):
    x = np.zeros((2, 3, 70))
    x[1, 2, 67] = value
    layer = Linear(name="fc", in_shape=(70,), out_features=2, input_kind=kind)
    with pytest.raises(InvalidInput, match=rf"'fc': step 1, sample 2, neuron \(67,\) is {value}.*'{kind}'"):
        count_layer(layer, x)


# Random layers of every kind
def per_axis(draw, dims: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(draw(st.integers(low, high)) for _ in range(dims))


def spatial(draw, dims: int) -> tuple[int, ...]:
    return per_axis(draw, dims, 1, {1: 9, 2: 5, 3: 3}[dims])


def zero_weights(draw, layer: Layer, rng: np.random.Generator) -> Layer:
    """The layer with a zero-weight map, or without."""
    share = draw(st.sampled_from([None, 0.0, 0.5, 1.0]))
    return layer if share is None else dataclasses.replace(layer, nonzero=rng.random(layer.weight_shape) < share)


def random_convolution(draw, rng, dims: int, transposed: bool) -> Layer:
    groups = draw(st.integers(1, 3))
    fields = {
        "in_shape": (groups * draw(st.integers(1, 2)), *spatial(draw, dims)),
        "out_channels": groups * draw(st.integers(1, 3)),
        "kernel_size": per_axis(draw, dims, 1, 3),
        "stride": per_axis(draw, dims, 1, 3),
        "padding": per_axis(draw, 2 * dims, 0, 2),
        "dilation": per_axis(draw, dims, 1, 2),
        "groups": groups,
    }
    if transposed:
        fields["output_padding"] = tuple(draw(st.integers(0, step - 1)) for step in fields["stride"])
    name = f"Conv{'Transpose' if transposed else ''}{dims}d"
    try:
        layer = LAYER_TYPES[name](name="x", input_kind=draw(kinds), **fields)
    except InvalidInput:  # the kernel does not fit: widen the input until it does
        fields["in_shape"] = (fields["in_shape"][0], *(size + 6 for size in fields["in_shape"][1:]))
        layer = LAYER_TYPES[name](name="x", input_kind=draw(kinds), **fields)
    if draw(st.booleans()):
        window = tuple(draw(st.integers(1, min(2, size))) for size in layer.out_shape[1:])
        layer = dataclasses.replace(layer, pool=AveragePool(kernel_size=window))
    return zero_weights(draw, layer, rng)


def random_linear(draw, rng) -> Layer:
    shape = per_axis(draw, draw(st.integers(1, 3)), 1, 6)
    pooled = len(shape) > 1 and draw(st.booleans())
    features = draw(st.integers(1, 9))
    layer = Linear(name="x", in_shape=shape, out_features=features, pooled=pooled, input_kind=draw(kinds))
    return zero_weights(draw, layer, rng)


def random_recurrent(draw, rng) -> Layer:
    size = draw(st.integers(1, 70))
    layer = RecurrentLinear(name="x", in_shape=(size,), out_features=size, source="y", joins="y")
    return zero_weights(draw, layer, rng)


def random_pool(draw, rng) -> Layer:
    dims = draw(st.integers(1, 3))
    return Pool(
        name="x",
        in_shape=(draw(st.integers(1, 3)), *(size + 2 for size in spatial(draw, dims))),
        mode=draw(st.sampled_from(["average", "max"])),
        kernel_size=per_axis(draw, dims, 1, 3),
        stride=draw(st.one_of(st.none(), st.just(per_axis(draw, dims, 1, 3)))),
        padding=per_axis(draw, 2 * dims, 0, 1),
        input_kind=draw(kinds),
    )


def random_adaptive_pool(draw, rng) -> Layer:
    dims = draw(st.integers(1, 3))
    return AdaptivePool(
        name="x",
        in_shape=(draw(st.integers(1, 3)), *spatial(draw, dims)),
        mode=draw(st.sampled_from(["average", "max"])),
        output_size=per_axis(draw, dims, 1, 5),
        input_kind=draw(kinds),
    )


def random_upsample(draw, rng) -> Layer:
    dims = draw(st.integers(1, 3))
    shape = (draw(st.integers(1, 3)), *spatial(draw, dims))
    return Upsample(name="x", in_shape=shape, factor=per_axis(draw, dims, 1, 3), input_kind=draw(kinds))


def random_identity(draw, rng) -> Layer:
    return Identity(name="x", in_shape=per_axis(draw, draw(st.integers(1, 3)), 1, 5), input_kind=draw(kinds))


def random_add(draw, rng) -> Layer:
    mode = draw(st.sampled_from(["graded", "and", "or"]))
    others = tuple("abc"[: draw(st.integers(1, 3))])
    kind = draw(kinds) if mode == "graded" else "spike"
    shape = per_axis(draw, draw(st.integers(1, 3)), 1, 5)
    return Add(name="x", in_shape=shape, mode=mode, others=others, input_kind=kind)


def random_concatenation(draw, rng) -> Layer:
    others = tuple("abc"[: draw(st.integers(1, 3))])
    channels = per_axis(draw, len(others), 1, 4)
    shape = per_axis(draw, draw(st.integers(1, 3)), 1, 5)
    return Concatenate(name="x", in_shape=shape, others=others, other_channels=channels, input_kind=draw(kinds))


kinds = st.sampled_from(["spike", "signed_spike", "graded", "analog"])
RANDOM_LAYERS = {
    "Conv1d": lambda draw, rng: random_convolution(draw, rng, 1, False),
    "Conv2d": lambda draw, rng: random_convolution(draw, rng, 2, False),
    "Conv3d": lambda draw, rng: random_convolution(draw, rng, 3, False),
    "ConvTranspose1d": lambda draw, rng: random_convolution(draw, rng, 1, True),
    "ConvTranspose2d": lambda draw, rng: random_convolution(draw, rng, 2, True),
    "Linear": random_linear,
    "RecurrentLinear": random_recurrent,
    "Pool": random_pool,
    "AdaptivePool": random_adaptive_pool,
    "Upsample": random_upsample,
    "Identity": random_identity,
    "Add": random_add,
    "Concatenate": random_concatenation,
}
ONE_SIGNAL = tuple(name for name in RANDOM_LAYERS if name not in ("Add", "Concatenate"))


@st.composite
def layers_and_inputs(draw, names=tuple(RANDOM_LAYERS)):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = RANDOM_LAYERS[draw(st.sampled_from(names))](draw, rng)
    steps, samples, rate = draw(st.integers(1, 3)), draw(st.integers(0, 2)), draw(st.sampled_from([0.0, 0.3, 1.0]))
    inputs = []
    for _, shape, kind in layer.reads:
        drawn = {
            "spike": lambda size: np.ones(size),
            "signed_spike": lambda size: rng.choice([-1, 1], size),
            "graded": lambda size: rng.integers(1, 6, size),
            "analog": lambda size: rng.normal(size=size),
        }[kind]((steps, samples, *shape))
        inputs.append(drawn * (rng.random(drawn.shape) < rate))
    return layer, inputs


def test_every_layer_kind_is_among_the_random_ones():
    assert set(RANDOM_LAYERS) == set(LAYER_TYPES)


# The definitions, from the output's side: which inputs does each output read?
def axis_reads(layer: Layer, axis: int) -> list[list[tuple[int, int]]]:
    """For each output position along one axis, the (input position, tap) it reads."""
    size, reads = layer.in_shape[1 + axis], []
    if isinstance(layer, AdaptivePool):
        windows = layer.output_size[axis]
        for window in range(windows):
            first, last = math.floor(window * size / windows), math.ceil((window + 1) * size / windows)
            reads.append([(place, 0) for place in range(first, last)])
        return reads
    if isinstance(layer, Upsample):
        return [[(place // layer.factor[axis], 0)] for place in range(size * layer.factor[axis])]
    kernel, stride, dilation = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
    before, after = layer.padding[2 * axis : 2 * axis + 2]
    if hasattr(layer, "output_padding"):
        whole = (size - 1) * stride + dilation * (kernel - 1) + 1 + layer.output_padding[axis]
        for out in range(before, whole - after):
            taps = [(out - tap * dilation, tap) for tap in range(kernel)]
            reads.append(
                [(place // stride, tap) for place, tap in taps if place % stride == 0 and 0 <= place < size * stride]
            )
        return reads
    first = -before
    while first + dilation * (kernel - 1) < size + after:
        places = [(first + tap * dilation, tap) for tap in range(kernel)]
        reads.append([(place, tap) for place, tap in places if 0 <= place < size])
        first += stride
    return reads


def pairs(layer: Layer):
    """(input index, tap, output index, weight index or None) of every in-range pair, and the output shape."""
    if isinstance(layer, Linear):
        for out in range(layer.out_features):
            for column, index in enumerate(itertools.product(*map(range, layer.in_shape))):
                yield index, 0, (out,), (out, index[0] if layer.pooled else column)
        return
    if isinstance(layer, Identity):
        for index in itertools.product(*map(range, layer.in_shape)):
            yield index, 0, index, None
        return
    reads = [axis_reads(layer, axis) for axis in range(len(layer.in_shape) - 1)]
    assert tuple(map(len, reads)) == layer.out_shape[1:]
    convolution = hasattr(layer, "groups")
    groups = layer.groups if convolution else layer.in_shape[0]
    per_in, per_out = layer.in_shape[0] // groups, layer.out_shape[0] // groups
    for out in itertools.product(*map(range, layer.out_shape)):
        group, local_out = divmod(out[0], per_out)
        for hits in itertools.product(*(axis[place] for axis, place in zip(reads, out[1:], strict=True))):
            places, taps = tuple(place for place, _ in hits), tuple(tap for _, tap in hits)
            for local_in in range(per_in):
                channel = group * per_in + local_in
                weight = (channel, local_out, *taps) if hasattr(layer, "output_padding") else (out[0], local_in, *taps)
                yield (channel, *places), taps, out, weight if convolution else None


def brute_force(layer: Layer, inputs: list[NDArray], source_cores, target_cores):
    """Counts of one (step, sample) by plain loops; `inputs` are its values."""
    if isinstance(layer, Concatenate):
        total = sum(int(value != 0) for values in inputs for value in values.ravel())
        return {"all": total, "nonzero": total}
    if isinstance(layer, Add):
        places = itertools.product(*map(range, layer.in_shape))
        total = sum(max(0, sum(int(values[place] != 0) for values in inputs) - 1) for place in places)
        return {"all": total, "nonzero": total}
    values, reached, windows = inputs[0], set(), defaultdict(list)
    result = defaultdict(int, all=0, nonzero=0, dense=0)
    tap_runs, kernel_runs, packets, events = set(), set(), set(), defaultdict(int)
    for index, tap, out, weight in pairs(layer):
        result["dense"] += 1
        windows[out].append(values[index])
        if values[index] == 0:
            continue
        result["all"] += 1
        result["nonzero"] += weight is None or layer.nonzero is None or bool(layer.nonzero[weight])
        tap_runs.add((index, tap))
        kernel_runs.add((index, out[0]))
        if layer.pool is not None:
            pooled = tuple(place // size for place, size in zip(out[1:], layer.pool.kernel_size, strict=True))
            out = (out[0], *pooled)
            if any(place >= size for place, size in zip(pooled, layer.neuron_shape[1:], strict=True)):
                continue
        reached.add(out)
        source = source_cores[np.ravel_multi_index(index, layer.in_shape)]
        target = target_cores[np.ravel_multi_index(out, layer.neuron_shape)]
        events[target] += 1
        packets.add((index, source, target))
    if getattr(layer, "mode", None) == "max":
        result["all"] = result["nonzero"] = sum(comparisons(window, layer.input_kind) for window in windows.values())
        result["dense"] = sum(len(window) - 1 for window in windows.values())
    has_weights = layer.weights > 0
    return result | {
        "touched": len(reached),
        "tap_major": len(tap_runs) * has_weights,
        "kernel_major": len(kernel_runs) * has_weights,
        "packets": len(packets),
        "core events": dict(events),
    }


def comparisons(window: list[float], kind: str) -> int:
    """Comparisons of a running maximum over the non-zero values, and one zero where values may be negative."""
    candidates = [value for value in window if value != 0]
    if candidates and kind in ("signed_spike", "analog") and len(candidates) < len(window):
        candidates.append(0.0)
    return max(0, len(candidates) - 1)


def check_against_brute_force(layer: Layer, inputs: list[NDArray]) -> None:
    steps, samples = inputs[0].shape[:2]
    counts = count_layer(layer, *inputs)
    assert counts.all_weights.shape == counts.nonzero_weights.shape == counts.events.shape == (steps, samples)
    cores = np.arange(layer.inputs) % 3, np.arange(layer.neurons) % 5
    several = len(layer.reads) > 1
    statistics = None if several else layer_statistics(layer, *pack_input(layer, *inputs), cores)
    for step, sample in itertools.product(range(layer.delay, steps), range(samples)):
        expected = brute_force(layer, [values[step - layer.delay, sample] for values in inputs], *cores)
        assert counts.all_weights[step, sample] == expected["all"]
        assert counts.nonzero_weights[step, sample] == expected["nonzero"]
        assert counts.events[step, sample] == sum((values[step - layer.delay, sample] != 0).sum() for values in inputs)
        if statistics is not None:
            assert counts.dense == expected["dense"]
            assert statistics.touched[step, sample] == expected["touched"]
            assert statistics.fetches.tap_major[step, sample] == expected["tap_major"]
            assert statistics.fetches.kernel_major[step, sample] == expected["kernel_major"]
            assert statistics.traffic.packets[step, sample].sum() == expected["packets"]
            by_core = statistics.traffic.events[step, sample]
            assert {core: n for core, n in enumerate(by_core.tolist()) if n} == expected["core events"]
    for arrived in range(min(layer.delay, steps)):
        assert not counts.all_weights[arrived].any()
    if not layer.counts_itself and not layer.delay:
        totals = count_totals(turn_spikes(layer, *pack_input(layer, *inputs)))
        assert totals.all_weights == counts.all_weights.sum()
        assert totals.nonzero_weights == counts.nonzero_weights.sum()


quietly = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}


@settings(max_examples=2000, derandomize=True, **quietly)
@given(layers_and_inputs())
def test_two_thousand_random_layers_of_every_kind_equal_brute_force(case):
    check_against_brute_force(*case)


@pytest.mark.slow
@settings(max_examples=10_000, **quietly)
@given(layers_and_inputs())
def test_ten_thousand_more_equal_brute_force(case):
    check_against_brute_force(*case)


@settings(max_examples=100, derandomize=True, **quietly)
@given(layers_and_inputs(names=ONE_SIGNAL))
def test_targets_are_those_of_the_definition(case):
    layer, _ = case
    defined = sorted((index, out, weight or ()) for index, _, out, weight in pairs(layer))
    listed = [(i, *target) for i in itertools.product(*map(range, layer.in_shape)) for target in layer.targets(i)]
    assert sorted(listed) == defined


@pytest.mark.parametrize("zeros", [False, True])
def test_rows_longer_than_a_tile_of_the_kernel_are_summed_whole(zeros):
    rng = np.random.default_rng(0)
    mask = rng.random((7, 3, 5, 5)) < 0.5 if zeros else None
    layer = Conv2d(name="x", in_shape=(3, 161, 161), out_channels=7, kernel_size=5, padding=1, stride=2, nonzero=mask)
    x = rng.random((2, 2, *layer.in_shape)) < 0.2
    counts = count_layer(layer, x)
    assert np.array_equal(counts.all_weights, (x * layer.fan_out()).sum(axis=(2, 3, 4)))
    assert np.array_equal(counts.nonzero_weights, (x * layer.fan_out(skip_zero_weights=True)).sum(axis=(2, 3, 4)))


# What never changes a figure
def same(first: object, second: object) -> bool:
    """Whether two results hold equal figures, field by field."""
    if dataclasses.is_dataclass(first):
        return all(same(getattr(first, f.name), getattr(second, f.name)) for f in dataclasses.fields(first))
    return bool(np.array_equal(first, second)) if isinstance(first, np.ndarray) else first == second


@settings(max_examples=60, derandomize=True, **quietly)
@given(layers_and_inputs(names=ONE_SIGNAL), st.integers(1, 5))
def test_thread_count_changes_no_figure(case, threads):
    layer, inputs = case
    words = pack_input(layer, *inputs)
    assert same(count_packed(layer, *words), count_packed(layer, *words, threads=threads))


@settings(max_examples=60, derandomize=True, **quietly)
@given(layers_and_inputs(names=ONE_SIGNAL))
def test_batch_and_chunk_size_change_no_figure(case):
    layer, inputs = case
    (words,) = pack_input(layer, *inputs)
    cores = np.arange(layer.inputs) % 3, np.arange(layer.neurons) % 5
    one_by_one = [layer_statistics(layer, words[:, [sample]], cores) for sample in range(words.shape[1])]
    if one_by_one:
        assert same(merge_statistics(one_by_one), layer_statistics(layer, words, cores))


@settings(max_examples=60, derandomize=True, **quietly)
@given(layers_and_inputs(names=ONE_SIGNAL), st.integers(1, 3))
def test_idle_steps_appended_add_nothing(case, idle):
    layer, inputs = case
    longer = [np.concatenate([x, np.zeros((idle, *x.shape[1:]))]) for x in inputs]
    counts, with_idle = count_layer(layer, *inputs), count_layer(layer, *longer)
    steps = len(inputs[0])
    assert np.array_equal(counts.all_weights, with_idle.all_weights[:steps])
    assert not with_idle.all_weights[steps + layer.delay :].any()


@settings(max_examples=60, derandomize=True, **quietly)
@given(layers_and_inputs(names=("Conv1d", "Conv2d", "Conv3d")))
def test_splitting_the_output_channels_splits_the_counts(case):
    layer, inputs = case
    whole, parts = count_layer(layer, *inputs), []
    for half in (slice(0, layer.run_length // 2), slice(layer.run_length // 2, None)):
        kept = np.arange(layer.out_channels).reshape(layer.groups, -1)[:, half].ravel()
        if len(kept):
            mask = None if layer.nonzero is None else layer.nonzero[kept]
            part = dataclasses.replace(layer, out_channels=len(kept), nonzero=mask)
            parts.append(count_layer(part, *inputs))
    assert np.array_equal(whole.all_weights, sum(part.all_weights for part in parts))
    assert np.array_equal(whole.nonzero_weights, sum(part.nonzero_weights for part in parts))
    assert whole.dense == sum(part.dense for part in parts)


@settings(max_examples=60, derandomize=True, **quietly)
@given(layers_and_inputs(names=("Linear",)), st.randoms(use_true_random=False))
def test_permuting_neurons_with_their_weights_changes_no_count(case, random):
    layer, (x,) = case
    flat = Linear(name="x", in_shape=(layer.inputs,), out_features=layer.out_features, input_kind=layer.input_kind)
    mask = np.random.default_rng(random.randint(0, 999)).random(flat.weight_shape) < 0.5
    order = list(range(layer.inputs))
    random.shuffle(order)
    x = x.reshape(*x.shape[:2], layer.inputs)
    straight = count_layer(dataclasses.replace(flat, nonzero=mask), x)
    assert same(straight, count_layer(dataclasses.replace(flat, nonzero=mask[:, order]), x[..., order]))


@settings(max_examples=60, derandomize=True, **quietly)
@given(layers_and_inputs(names=("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "Linear")))
def test_neurons_touched_through_nonzero_weights_are_those_of_the_definition(case):
    layer, (x,) = case
    (words,) = pack_input(layer, x)
    layer = dataclasses.replace(layer, pool=None)
    bits_set = np.unpackbits(
        touched_neurons(layer, words, skip_zero_weights=True).view(np.uint8), axis=-1, bitorder="little"
    )
    for step, sample in itertools.product(*map(range, x.shape[:2])):
        reached = {
            int(np.ravel_multi_index(out, layer.out_shape))
            for index, _, out, weight in pairs(layer)
            if x[step, sample][index] != 0 and (layer.nonzero is None or layer.nonzero[weight])
        }
        assert set(np.flatnonzero(bits_set[step, sample]).tolist()) == reached


# Large figures, without large arrays
@pytest.mark.parametrize("limit", [2**24, 2**31, 2**53])
def test_counts_are_exact_above(limit):
    layer = Linear(name="wide", in_shape=(3,), out_features=limit + 1)
    assert count_layer(layer, np.ones((1, 1, 3))).all_weights.item() == 3 * (limit + 1)
    assert count_layer(layer, np.array([[[0, 1, 0]]])).all_weights.item() == limit + 1


def test_a_convolution_is_exact_above_2_to_the_53():
    layer = Conv2d(name="wide", in_shape=(1, 3, 3), out_channels=2**50 + 1, kernel_size=3, padding=1)
    counts = count_layer(layer, np.ones((1, 1, 1, 3, 3)))
    assert counts.all_weights.item() == counts.dense == 49 * (2**50 + 1)


def test_totals_are_exact_beyond_64_bits():
    layer = Linear(name="wide", in_shape=(1,), out_features=2**62 + 1)
    words = np.ones((4, 4, 1), np.uint64)
    assert count_totals(turn_spikes(layer, words)).all_weights == 16 * (2**62 + 1)


def test_many_steps_of_few_stored_words_are_exact():
    layer = Linear(name="wide", in_shape=(64,), out_features=2**47 + 1)
    full = np.broadcast_to(np.uint64(2**64 - 1), (5, 7, 1))
    assert int(count_packed(layer, full).all_weights.sum()) == 5 * 7 * 64 * (2**47 + 1)


def test_a_layer_that_could_leave_the_counters_is_refused():
    with pytest.raises(InvalidInput, match="'wide'.*64-bit"):
        count_layer(Linear(name="wide", in_shape=(4,), out_features=2**61), np.zeros((1, 1, 4)))


# Graded input
def test_graded_values_count_once_or_as_unit_events():
    layer = Linear(name="fc", in_shape=(3,), out_features=10, input_kind="graded")
    x = np.array([[[0, 1, 5]]])
    assert count_layer(layer, x).all_weights.item() == 20
    assert count_layer(layer, x, graded="events").all_weights.item() == 60
    assert (layer.operation_with("value"), layer.operation_with("events")) == ("multiply_accumulate", "accumulate")


def test_an_unknown_choice_for_graded_input_is_refused():
    with pytest.raises(InvalidInput, match="'rate'.*'value'.*'events'"):
        count_layer(Linear(name="fc", in_shape=(3,), out_features=1), np.zeros((1, 1, 3)), graded="rate")


# Refusals
def test_a_wrong_shape_is_named():
    with pytest.raises(InvalidInput, match=r"'fc'.*\(2, 3, 5\).*\(steps, samples, 4\)"):
        count_layer(Linear(name="fc", in_shape=(4,), out_features=1), np.zeros((2, 3, 5)))


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(InvalidInput, match="complex128"):
        count_layer(Linear(name="fc", in_shape=(4,), out_features=1), np.zeros((2, 3, 4), complex))


def test_bits_beyond_the_neurons_are_refused():
    with pytest.raises(InvalidInput, match="beyond its 4 values"):
        count_packed(Linear(name="fc", in_shape=(4,), out_features=1), np.full((1, 1, 1), 16, np.uint64))


def test_a_missing_second_signal_is_named():
    layer = Add(name="sum", in_shape=(4,), source="a", others=("b",), mode="or")
    with pytest.raises(InvalidInput, match="1 inputs given; it reads 2: a, b"):
        count_layer(layer, np.zeros((1, 1, 4)))


def test_an_object_without_a_rule_is_refused_by_name():
    with pytest.raises(InvalidInput, match="ndarray has no counting rule"):
        count_layer(np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float16, np.float32, ">f4", np.longdouble])
def test_every_real_dtype_counts_alike(dtype):
    layer = Linear(name="fc", in_shape=(70,), out_features=3)
    x = (np.arange(140).reshape(1, 2, 70) % 3 == 0).astype(dtype)
    assert count_layer(layer, x).all_weights.tolist() == [[72, 69]]
