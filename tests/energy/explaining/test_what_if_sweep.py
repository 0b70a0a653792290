"""Sweeps over rate, steps, weight width and memory against hand arithmetic, binomial bounds and single estimates."""

from dataclasses import replace

import numpy as np
import pytest
from spikejoule.energy.explaining.what_if_sweep import resized, sweep, with_weight_bits
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.synthetic import bernoulli_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import AveragePool, Conv2d, Linear, Workload

CHIP, SOP = load_accelerator("event-driven-45nm"), load_accelerator("sop-45nm")
POOL = AveragePool(kernel_size=(2, 2))


def mlp(gate=None):
    """16 -> 64 -> 4 without biases: 1,024 and 256 weights."""
    scale = "none" if gate is None else "folded"
    first = Linear(name="fc", in_shape=(16,), out_features=64, gate=gate, scale=scale)
    last = Linear(name="out", in_shape=(64,), out_features=4, source="fc", neuron="readout")
    return Workload(name="mlp", input_shape=(16,), layers=(first, last))


def csnn():
    """The shapes of the csnn at the repository's digits: 16C3-AP2-32C3-AP2-32C3-GAP-FC on 2 x 16 x 16."""
    kinds = {"kernel_size": 3, "padding": 1, "bias": True, "scale": "folded", "channel_vectors": 2}
    first = Conv2d(name="conv1", in_shape=(2, 16, 16), out_channels=16, pool=POOL, **kinds)
    middle = Conv2d(name="conv2", in_shape=(16, 8, 8), out_channels=32, pool=POOL, source="conv1", **kinds)
    last = Conv2d(name="conv3", in_shape=(32, 4, 4), out_channels=32, source="conv2", **kinds)
    classes = {"out_features": 10, "pooled": True, "neuron": "readout", "bias": True, "channel_vectors": 1}
    fc = Linear(name="classifier", in_shape=(32, 4, 4), source="conv3", **classes)
    return Workload(name="csnn", input_shape=(2, 16, 16), layers=(first, middle, last, fc))


def test_operations_are_rate_times_dense_pairs():
    net, rates, steps, samples = csnn(), [0.02, 0.1, 0.5], 4, 25
    table = sweep(net, SOP, rates=rates, steps=[steps], samples=samples)
    for rate, found in zip(rates, table["synaptic_operations"], strict=True):
        expected = rate * steps * sum(layer.dense for layer in net.layers)
        # every input element fires on its own and then meets all of its weights
        weights = sum((layer.fan_out().astype(float) ** 2).sum() for layer in net.layers)
        deviation = np.sqrt(rate * (1 - rate) * weights * steps / samples)
        assert abs(found - expected) < 5 * deviation
        assert table.set_index("rate").loc[rate, "energy_pj"] == pytest.approx(0.9 * found, rel=1e-12)


@pytest.mark.parametrize("accelerator", ["event-driven-45nm", "grid-45nm", "sop-45nm"])
def test_every_row_is_the_estimate_of_its_own_drawing(accelerator):
    machine = load_accelerator(accelerator)
    sizes = None if accelerator == "sop-45nm" else [3000, 70_000]
    table = sweep(mlp(), machine, rates=[0.1, 0.3], steps=[2, 5], weight_bits=[1, 8], memory_bytes=sizes, seed=7)
    assert len(table) == 2 * 2 * 2 * len(sizes or [0])
    for row in table.itertuples():
        net = with_weight_bits(mlp(), row.weight_bits)
        chip = machine if sizes is None else resized(machine, row.memory_bytes)
        alone = estimate(bernoulli_counts(net, row.rate, steps=row.steps, samples=4, seed=7), chip)
        assert row.energy_pj == alone.energy_pj
        assert (row.low_pj, row.high_pj) == alone.bounds_pj
        assert row.latency_s == alone.latency_s or alone.latency_s is None
        assert row.logic_pj == pytest.approx(alone.compute_pj)
        assert row.logic_pj + row.sram_pj + row.dram_pj == pytest.approx(row.energy_pj)
        assert row.synaptic_operations == alone.operations.synaptic_operations


def test_energy_grows_with_the_width_of_weights():
    table = sweep(csnn(), CHIP, rates=[0.05], steps=[3], weight_bits=[1, 2, 4, 8, 32], memory_bytes=[2**14, 2**20])
    for _, rows in table.groupby("memory_bytes"):
        assert rows["energy_pj"].is_monotonic_increasing
        assert rows["energy_pj"].nunique() == 4  # a run of up to 32 weights of 1 or 2 bits is one word of 64
        assert rows["synaptic_operations"].nunique() == 1


def test_a_higher_rate_and_more_steps_cost_more():
    table = sweep(csnn(), CHIP, rates=[0.01, 0.011, 0.1], steps=[1, 2, 3], samples=1)
    assert (table.pivot(index="rate", columns="steps", values="energy_pj").diff().dropna() > 0).all(axis=None)
    assert (table.pivot(index="steps", columns="rate", values="energy_pj").diff().dropna() > 0).all(axis=None)


def test_weights_are_loaded_exactly_where_they_stop_fitting():
    # 1,280 weights of 8 bits are 1,280 bytes; one byte less, and every inference reads them from DRAM in 64-bit words
    table = sweep(mlp(), CHIP, rates=[0.2], steps=[3], weight_bits=[8], memory_bytes=[1279, 1280])
    outside, inside = table.to_dict("records")
    assert (outside["resident"], inside["resident"]) == (False, True)
    assert (outside["weight_bytes"], inside["weight_bytes"]) == (1280, 1280)
    assert inside["dram_pj"] == 0
    assert outside["dram_pj"] == pytest.approx((1024 + 256) * 8 / 64 * 1300)
    # and writes them into the memory once; both capacities have the price of 8 KiB, 10 pJ a word
    assert outside["sram_pj"] - inside["sram_pj"] == pytest.approx(160 * 10)


def test_a_resized_memory_is_priced_by_capacity():
    # 32 KiB: 20 pJ as published; 4 MiB: 100 pJ at 1 MiB times the square root of four
    prices = {size: resized(CHIP, size).prices for size in (2**15, 2**22)}
    assert [prices[size]["weight_sram.read"].value for size in prices] == [20, 200]
    assert prices[2**22]["state_sram.read"] == CHIP.prices["state_sram.read"]
    assert resized(CHIP, 2**20, "state_sram").prices["state_sram.write"].value == 100


def test_the_same_capacity_is_the_same_machine():
    assert resized(CHIP, 64 * 1024) == CHIP


def test_memory_prices_given_by_hand_are_not_known_at_another_size():
    price = replace(CHIP.prices["weight_sram.read"], value=7.0, low=7.0)
    by_hand = replace(CHIP, prices={**CHIP.prices, "weight_sram.read": price})
    with pytest.raises(InvalidInput, match="not known at another capacity"):
        resized(by_hand, 1024)


def test_a_width_brings_its_kind_and_keeps_what_is_there():
    net = with_weight_bits(csnn(), 1, ["conv2", "conv3"])
    assert [layer.weight_kind for layer in net.layers] == ["float", "binary", "binary", "float"]
    kinds = {bits: with_weight_bits(mlp(), bits).layers[0].weight_kind for bits in (1, 2, 3, 8, 16, 32)}
    assert list(kinds.values()) == ["binary", "ternary", "integer", "integer", "integer", "float"]
    assert with_weight_bits(mlp(), 32) == mlp()


def test_a_live_gate_keeps_the_scale_of_narrow_weights_from_folding():
    assert [with_weight_bits(mlp("live"), bits).layers[0].scale for bits in (1, 8, 32)] == [
        "explicit",
        "explicit",
        "folded",
    ]


def test_ternary_zeros_are_skipped_by_a_machine_that_skips_them():
    skipping = replace(SOP, architecture=replace(SOP.architecture, weights="nonzero"))
    how = {"rates": [0.5], "steps": [4], "weight_bits": [2], "samples": 50}
    full, half = (sweep(mlp(), skipping, ternary_zeros=z, **how)["energy_pj"].item() for z in (0.0, 0.5))
    kept = np.mean([layer.nonzero.mean() for layer in with_weight_bits(mlp(), 2, zeros=0.5).layers])
    assert 0.4 < kept < 0.6
    assert half / full == pytest.approx(kept, rel=0.05)


def test_the_input_may_keep_its_rate():
    table = sweep(mlp(), SOP, rates=[0.0, 1.0], input_rate=1.0, steps=[2])
    assert table["synaptic_operations"].tolist() == [2 * 16 * 64, 2 * (16 * 64 + 64 * 4)]


def test_a_machine_without_memories_says_nothing_of_them():
    row = sweep(mlp(), SOP, rates=[0.1], steps=[2]).loc[0]
    assert row[["weight_bits", "memory_bytes", "resident", "latency_s"]].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": []}, "rates is \\[\\]"),
        ({"rates": [0.1, 0.1]}, "each once"),
        ({"rates": [1.5]}, "from 0 to 1"),
        ({"steps": [0]}, "integers from 1"),
        ({"steps": [2.5]}, "integers from 1"),
        ({"weight_bits": [64]}, "use 1 to 32 bits"),
        ({"layers": ["fc9"], "weight_bits": [1]}, "no layer 'fc9'"),
        ({"memory_bytes": [0]}, "one or more"),
        ({"memory_bytes": [64], "memory": "dram"}, "no on-chip memory 'dram'"),
        ({"accelerator": "sop-45nm", "memory_bytes": [64]}, "no memories to resize"),
        ({"accelerator": "loihi1-sanafe"}, "kind event"),
    ],
)
def test_bad_input_is_refused(change, message):
    machine = load_accelerator(change.pop("accelerator", "event-driven-45nm"))
    with pytest.raises(InvalidInput, match=message):
        sweep(mlp(), machine, **({"rates": [0.1], "steps": [2]} | change))
