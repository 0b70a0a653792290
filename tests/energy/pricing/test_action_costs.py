"""Any price table on a stored action table: the same figures as an estimate made at once."""

from dataclasses import replace

import pandas as pd
import pytest
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.machines.prices import load_technology
from spikejoule.energy.pricing.action_costs import price_actions
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.synthetic import bernoulli_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.action_table import action_table, read_actions, write_actions
from spikejoule.sim.network.workload import Conv2d, Linear, Workload

CONV = Conv2d(name="conv", in_shape=(2, 6, 6), out_channels=3, kernel_size=3, padding=1, bias=True, channel_vectors=2)
FC = Linear(name="fc", in_shape=(3, 6, 6), out_features=4, source="conv", neuron="readout", bias=True)
NET = Workload(name="net", input_shape=(2, 6, 6), layers=(CONV, FC))
COUNTS = bernoulli_counts(NET, 0.3, steps=4, samples=5)
CHIPS = ("sop-45nm", "event-driven-45nm", "event-driven-45nm-tiny", "grid-45nm")


@pytest.mark.parametrize("name", CHIPS)
def test_a_stored_table_gives_exactly_the_estimate(tmp_path, name):
    chip = load_accelerator(name)
    result = estimate(COUNTS, chip)
    stored = read_actions(write_actions(result.actions, tmp_path / "actions.parquet"))
    pd.testing.assert_frame_equal(price_actions(stored, chip), result.table, check_exact=True)


def test_a_technology_prices_the_memories_of_the_table():
    chip = load_accelerator("event-driven-45nm")  # has no price that its technology does not give
    table = action_table(estimate(COUNTS, chip).actions)
    assert price_actions(table, load_technology("horowitz-45nm")).equals(price_actions(table, chip))


def test_a_mapping_of_prices_by_hand():
    chip = load_accelerator("sop-45nm")
    actions = estimate(COUNTS, chip).actions
    pairs = sum(int(COUNTS.layers[name].synaptic.all_weights.sum()) for name in ("conv", "fc")) / 5
    price = replace(chip.price("synapse", "accumulate"), low=1.0, value=2.0, high=4.0)
    table = price_actions(actions, {"accumulate": price})
    assert table[["low_pj", "energy_pj", "high_pj"]].sum().tolist() == pytest.approx([pairs, 2 * pairs, 4 * pairs])


def test_energy_is_additive_over_steps_layers_and_components():
    table = action_table(estimate(COUNTS, load_accelerator("grid-45nm")).actions)
    chip = load_accelerator("grid-45nm")
    whole = price_actions(table, chip)["energy_pj"].sum()
    rows = price_actions(table, chip, by_step=True)
    for columns in (["step"], ["layer"], ["component"], ["step", "layer", "component"]):
        assert rows.groupby(columns)["energy_pj"].sum().sum() == pytest.approx(whole)
    alone = [
        price_actions(replace(table, rows=table.rows[table.rows["step"] == step]), chip)["energy_pj"].sum()
        for step in range(4)
    ]
    assert alone == pytest.approx(rows.groupby("step")["energy_pj"].sum().tolist())
    assert sum(alone) == pytest.approx(whole)


@pytest.mark.parametrize("name", CHIPS)
def test_energy_is_linear_in_all_prices(name):
    chip = load_accelerator(name)
    dearer = replace(chip, prices={key: price.scaled(3.0, "test") for key, price in chip.prices.items()})
    actions = estimate(COUNTS, chip).actions
    once, thrice = (price_actions(actions, prices) for prices in (chip, dearer))
    for column in ("energy_pj", "low_pj", "high_pj"):
        assert thrice[column].tolist() == pytest.approx((3 * once[column]).tolist())


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (load_technology("yan-22nm"), "'yan-22nm' has no SRAM points, so an SRAM of 64.0 KiB has no price"),
        ({}, r"the price table has no price for '\S+' \(needed by component '\S+'\)"),
    ],
)
def test_an_action_without_a_price_is_named(prices, message):
    table = action_table(estimate(COUNTS, load_accelerator("event-driven-45nm")).actions)
    with pytest.raises(InvalidInput, match=message):
        price_actions(table, prices)


def test_memories_of_another_size_are_refused():
    table = action_table(estimate(COUNTS, load_accelerator("event-driven-45nm")).actions)
    with pytest.raises(InvalidInput, match="'weight_sram' has 8.0 KiB.*the table's has 64.0"):
        price_actions(table, load_accelerator("event-driven-45nm-tiny"))
