"""Layers and networks as data: geometry, refusals, round trips."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import (
    INPUT_KINDS,
    LAYER_TYPES,
    AdaptivePool,
    Add,
    AveragePool,
    Concatenate,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Identity,
    Linear,
    Pool,
    RecurrentLinear,
    Upsample,
    Workload,
    workload_from_dict,
    workload_to_dict,
)

EXAMPLES = {
    "Conv1d": {"in_shape": (2, 9), "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": (0, 2), "groups": 2},
    "Conv2d": {"in_shape": (3, 7, 6), "out_channels": 6, "kernel_size": (3, 2), "dilation": 2, "groups": 3},
    "Conv3d": {"in_shape": (1, 4, 5, 6), "out_channels": 2, "kernel_size": (1, 2, 3), "padding": 1},
    "ConvTranspose1d": {"in_shape": (2, 5), "out_channels": 2, "kernel_size": 3, "stride": 3, "output_padding": 2},
    "ConvTranspose2d": {
        **{"in_shape": (4, 5, 3), "out_channels": 6, "kernel_size": (3, 2), "stride": 2, "padding": 1, "dilation": 2},
        **{"groups": 2, "output_padding": (1, 0)},
    },
    "Linear": {"in_shape": (3, 4, 2), "out_features": 5, "pooled": True},
    "RecurrentLinear": {"in_shape": (6,), "out_features": 6, "source": "first", "joins": "first"},
    "Pool": {"in_shape": (2, 6, 5), "mode": "max", "kernel_size": 3, "stride": (2, 1), "padding": 1},
    "AdaptivePool": {"in_shape": (2, 7, 5), "mode": "average", "output_size": (3, 4)},
    "Upsample": {"in_shape": (2, 3, 2), "factor": (2, 3)},
    "Identity": {"in_shape": (2, 3)},
    "Add": {"in_shape": (6,), "mode": "or", "source": "first", "others": ("second",)},
    "Concatenate": {"in_shape": (6,), "source": "first", "others": ("second",), "other_channels": (4,)},
}


def example(kind, **changes):
    return LAYER_TYPES[kind](name="x", **(EXAMPLES[kind] | changes))


def two_populations():
    first = Linear(name="first", in_shape=(3,), out_features=6)
    return first, Linear(name="second", in_shape=(6,), out_features=6, source="first")


def network(*layers, shape=(3,), **fields):
    return Workload(name="net", input_shape=shape, layers=layers, **fields)


def test_every_layer_kind_has_an_example():
    assert set(EXAMPLES) == set(LAYER_TYPES)


@pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if kind.startswith("Conv")])
def test_geometry_is_that_of_pytorch(kind):
    layer = example(kind)
    dims = len(layer.in_shape) - 1
    if layer.padding[::2] != layer.padding[1::2]:
        layer = dataclasses.replace(layer, padding=layer.padding[::2])
    x = torch.ones(1, *layer.in_shape, dtype=torch.float64)
    extra = {"output_padding": layer.output_padding} if kind.startswith("ConvT") else {}
    function = getattr(torch.nn.functional, f"conv_transpose{dims}d" if extra else f"conv{dims}d")
    options = {
        "stride": layer.stride,
        "padding": layer.padding[::2],
        "dilation": layer.dilation,
        "groups": layer.groups,
    }
    y = function(x, torch.ones(layer.weight_shape, dtype=torch.float64), **options, **extra)
    assert (tuple(y.shape[1:]), int(y.sum())) == (layer.out_shape, layer.dense)


@pytest.mark.parametrize("size", [(3, 4), (7, 5), (9, 11), (1, 1)])
def test_adaptive_windows_are_those_of_pytorch(size):
    layer = AdaptivePool(name="x", in_shape=(1, 7, 5), mode="average", output_size=size)
    for index in np.ndindex(7, 5):
        x = torch.zeros(1, 1, 7, 5)
        x[(0, 0, *index)] = 1
        reached = torch.nn.functional.adaptive_avg_pool2d(x, size)[0].nonzero().tolist()
        assert sorted(out for out, _ in layer.targets((0, *index))) == [tuple(place) for place in reached]


def test_depthwise_convolution_has_one_run_per_channel():
    layer = Conv2d(name="x", in_shape=(4, 5, 5), out_channels=8, kernel_size=3, groups=4)
    assert (layer.weight_shape, layer.run_length, layer.weights) == ((8, 1, 3, 3), 2, 72)


@pytest.mark.parametrize("kind", list(LAYER_TYPES))
def test_dense_is_the_sum_of_fan_out_or_the_own_count_of_ones(kind):
    layer = example(kind)
    if layer.counts_itself:
        words = [np.full((1, 1, 1), 2 ** int(np.prod(shape)) - 1, np.uint64) for _, shape, _ in layer.reads]
        assert layer.count(*words).item() == layer.dense
    else:
        assert int(layer.fan_out().sum()) == layer.dense


@pytest.mark.parametrize("kind", list(LAYER_TYPES))
def test_a_workload_survives_json(kind):
    layer = example(kind)
    inputs = () if "first" in layer.sources else (("other", layer.in_shape),)
    if inputs:
        layers, shape = (layer,), layer.in_shape
    else:
        first, second = two_populations()
        second = dataclasses.replace(second, out_features=4) if kind == "Concatenate" else second
        layers, shape = (first, second, layer), (3,)
    workload = network(*layers, shape=shape)
    assert workload_from_dict(json.loads(json.dumps(workload_to_dict(workload)))) == workload


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_random_layers_survive_json_with_every_field(data):
    kind = data.draw(st.sampled_from([kind for kind in LAYER_TYPES if "source" not in EXAMPLES[kind]]))
    fields = {
        "input_kind": data.draw(st.sampled_from(INPUT_KINDS)),
        "weight_kind": data.draw(st.sampled_from(["binary", "ternary", "integer", "float"])),
        "weight_bits": data.draw(st.integers(1, 64)),
        "neuron": data.draw(st.sampled_from(["lif_soft", "if_hard", "readout"])),
        "bias": data.draw(st.booleans()),
        "scale": data.draw(st.sampled_from(["folded", "explicit"])),
        "gate": data.draw(st.sampled_from([None, "live", "per_step"])),
        "channel_vectors": data.draw(st.integers(0, 3)),
    }
    layer = example(kind, **fields)
    if len(layer.out_shape) == 3 and data.draw(st.booleans()):
        layer = dataclasses.replace(layer, pool=AveragePool(kernel_size=(1, 1)))
    workload = network(layer, shape=layer.in_shape, input_kind=layer.input_kind, held_input=data.draw(st.booleans()))
    assert workload_from_dict(json.loads(json.dumps(workload_to_dict(workload)))) == workload


def test_zero_weight_maps_are_given_back_by_name():
    mask = np.array([[True, False, True]])
    workload = network(Linear(name="fc", in_shape=(3,), out_features=1, nonzero=mask))
    again = workload_from_dict(workload_to_dict(workload), {"fc": mask})
    assert np.array_equal(again.layers[0].nonzero, mask)


@pytest.mark.parametrize("kind", ["MultiheadAttention", "Multiply", "MatMul", "LSTM"])
def test_a_kind_without_a_rule_is_refused_by_name(kind):
    data = workload_to_dict(network(two_populations()[0]))
    data["layers"][0]["type"] = kind
    with pytest.raises(InvalidInput, match=f"'first': type '{kind}' has no rule; known: Conv1d, "):
        workload_from_dict(data)


# Signals
def test_a_layer_between_signals_is_a_signal_of_its_own_kind():
    first = Conv2d(name="first", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=1)
    average = Pool(name="average", in_shape=(2, 4, 4), mode="average", kernel_size=2, source="first")
    maximum = Pool(name="max", in_shape=(2, 4, 4), mode="max", kernel_size=2, source="first")
    signals = network(first, average, maximum, shape=(1, 4, 4)).signals
    assert signals["average"] == ((2, 2, 2), "analog")
    assert signals["max"] == ((2, 2, 2), "spike")


@pytest.mark.parametrize(("scale", "kind"), [("folded", "graded"), ("explicit", "analog")])
def test_average_pooling_of_spikes_is_graded_when_its_factor_is_folded(scale, kind):
    assert Pool(name="x", in_shape=(1, 4), mode="average", kernel_size=2, scale=scale).output_kind == kind


@pytest.mark.parametrize(("mode", "kind"), [("graded", "graded"), ("and", "spike"), ("or", "spike")])
def test_residual_sums_of_spikes_have_the_kind_of_their_mode(mode, kind):
    first, second = two_populations()
    both = Add(name="sum", in_shape=(6,), source="first", others=("second",), mode=mode)
    assert network(first, second, both).signals["sum"] == ((6,), kind)


def test_graded_sums_chain_with_spikes():
    first, second = two_populations()
    one = Add(name="one", in_shape=(6,), source="first", others=("second",), mode="graded")
    kinds = {"input_kind": "graded", "other_kinds": ("spike",)}
    two = Add(name="two", in_shape=(6,), source="one", others=("second",), mode="graded", **kinds)
    assert network(first, second, one, two).signals["two"] == ((6,), "graded")


def test_a_current_sum_joins_through_an_identity():
    first, second = two_populations()
    skip = Identity(name="skip", in_shape=(6,), source="first", joins="second")
    workload = network(first, second, skip)
    assert "skip" not in workload.signals
    assert (skip.operation, skip.weights) == ("add", 0)


def test_concatenated_channels_add_up():
    first, second = two_populations()
    both = Concatenate(name="cat", in_shape=(6,), source="first", others=("second",))
    assert network(first, second, both).signals["cat"] == ((12,), "spike")


def test_layers_without_weights_store_none():
    assert {kind: example(kind).weights for kind in ("Pool", "AdaptivePool", "Upsample", "Identity", "Add")} == {
        **{"Pool": 0, "AdaptivePool": 0, "Upsample": 0, "Identity": 0, "Add": 0}
    }


def test_a_recurrent_layer_reads_its_own_population():
    first, _ = two_populations()
    back = example("RecurrentLinear")
    assert network(first, back).layer("x").delay == 1


# Refusals
def test_a_recurrent_layer_of_another_population_is_refused():
    with pytest.raises(InvalidInput, match="joins is 'second'; it must be its own source 'first'"):
        example("RecurrentLinear", joins="second")


def test_self_connections_within_one_step_are_refused():
    first, _ = two_populations()
    same_step = Linear(name="loop", in_shape=(6,), out_features=6, source="first", joins="first", neuron=None)
    with pytest.raises(InvalidInput, match="first -> first feed each other within one step.*RecurrentLinear"):
        network(first, same_step)


def test_a_loop_over_two_populations_is_refused():
    first, second = two_populations()
    back = Linear(name="back", in_shape=(6,), out_features=6, source="second", joins="first", neuron=None)
    with pytest.raises(InvalidInput, match="feed each other within one step"):
        network(first, second, back)


def test_a_second_signal_of_another_kind_is_refused():
    first, second = two_populations()
    both = Add(name="sum", in_shape=(6,), source="first", others=("second",), mode="graded", other_kinds=("graded",))
    with pytest.raises(InvalidInput, match=r"'sum' expects graded \(6,\), but its source 'second' is spike \(6,\)"):
        network(first, second, both)


def test_a_signal_that_nobody_emits_is_refused():
    with pytest.raises(InvalidInput, match="reads 'nobody', which no earlier layer emits"):
        network(Linear(name="fc", in_shape=(3,), out_features=1, source="nobody"))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("Conv2d", {"kernel_size": 9}, "kernel_size"),
        ("Conv2d", {"stride": 0}, "stride is 0; it must be one integer from 1, or 2 of them"),
        ("Conv2d", {"groups": 2}, "groups is 2; it must be a divisor of 3 in and 6 out channels"),
        ("Conv2d", {"padding": (1, 2, 3)}, "padding"),
        ("Conv1d", {"in_shape": (2, 9, 9)}, "channels and 1 sizes"),
        ("ConvTranspose2d", {"output_padding": 2}, "smaller than the stride or the dilation"),
        ("ConvTranspose2d", {"padding": 9}, "less than the output it is cut from"),
        ("Pool", {"mode": "median"}, "mode is 'median'; it must be one of average, max"),
        ("Pool", {"scale": "none"}, "scale is 'none'; it must be one of folded, explicit"),
        ("Pool", {"kernel_size": 10}, "kernel_size"),
        ("Upsample", {"factor": 1.5}, "factor is 1.5; it must be one integer from 1, or 2 of them"),
        ("AdaptivePool", {"output_size": 0}, "output_size"),
        ("Add", {"mode": "xor"}, "mode is 'xor'"),
        ("Add", {"input_kind": "analog"}, "'and' and 'or' need spikes"),
        ("Add", {"others": ()}, "the names of one or more further signals"),
        ("Add", {"joins": "a", "neuron": "lif_soft"}, "not both"),
        ("Concatenate", {"other_channels": (1, 2)}, "other_channels"),
        ("Concatenate", {"other_kinds": ("sound",)}, "other_kinds"),
        ("Linear", {"neuron": None}, "give either a neuron or the layer it joins"),
        ("Linear", {"name": "../up"}, "layer name"),
        ("Linear", {"nonzero": np.ones((5, 24), bool)}, r"must be bool \(5, 3\)"),
    ],
)
def test_a_field_that_does_not_fit_is_named(kind, changes, message):
    fields = {"name": "x"} | EXAMPLES[kind] | changes
    with pytest.raises(InvalidInput, match=message):
        LAYER_TYPES[kind](**fields)


def test_a_sum_has_no_single_fan_out():
    with pytest.raises(InvalidInput, match="'x': Add reads several signals"):
        example("Add").fan_out()


def test_public_kinds_are_importable():
    assert {Conv1d, ConvTranspose2d, Upsample, RecurrentLinear} <= set(LAYER_TYPES.values())
