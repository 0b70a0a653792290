"""The counter: published cases, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.synops import count_layer
from spikejoule.sim.workload import Conv2d, Layer, Linear

CASES = Path(__file__).parent / "cases" / "counts"


def bits(data: NDArray, shape: list[int] | tuple[int, ...]) -> NDArray[np.bool_]:
    count = int(np.prod(shape))
    return np.unpackbits(data, bitorder="little")[:count].reshape(shape).astype(bool)


def described_layer(name: str, case: dict, weights: NDArray[np.bool_], kind: str) -> Layer:
    common = {"name": name, "in_shape": tuple(case["x_shape"][1:]), "input_kind": kind, "nonzero": weights}
    if case["type"] == "Linear":
        return Linear(out_features=weights.shape[0], **common)
    geometry = {key: tuple(case[key]) for key in ("stride", "padding", "dilation")}
    return Conv2d(out_channels=weights.shape[0], kernel_size=tuple(case["kernel"]), groups=case["groups"], **geometry, **common)


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
    key = next(k for k in (f"{name}.x", f"{name}.x_bits", f"{name}.x_quarters_u8", f"{name}.x_nonzero_bits") if k in file)
    values = file[key]
    if key.endswith("bits"):
        values = bits(values, case["x_shape"])
    return values.astype(np.float32) / 4 if key.endswith("quarters_u8") else values


@pytest.mark.parametrize(("source", "name", "case"), published_layers())
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
    [("spike", 2), ("spike", 0.5), ("spike", -1), ("signed_spike", 2), ("graded", -1), ("graded", 1.5), ("analog", np.nan)],
)
def test_a_value_that_contradicts_its_kind_is_named(kind, value):
    x = np.zeros((2, 3, 70))
    x[1, 2, 67] = value
    layer = Linear(name="fc", in_shape=(70,), out_features=2, input_kind=kind)
    with pytest.raises(InvalidInput, match=rf"'fc'.*{value}.*step 1, sample 2, index \(67,\).*no {kind}"):
        count_layer(layer, x)
