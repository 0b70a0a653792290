"""Break-even rates: the closed form on compute against bisection, and the machine's against its own energies."""

import dataclasses
import math

import pytest
from spikejoule.energy.explaining.break_even import break_even, network_break_even
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.synthetic import bernoulli_counts, scaled_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Add, Conv2d, Linear, Workload

CHIP, SOP = load_accelerator("event-driven-45nm"), load_accelerator("sop-45nm")
SIGNALS = {"conv2": "conv1", "out": "conv2", "": ("conv1", "conv2")}


def network(weight_kind="float", gate=None, scale="folded"):
    first = Conv2d(name="conv1", in_shape=(2, 8, 8), out_channels=8, kernel_size=3, padding=1)
    kinds = {"weight_kind": weight_kind, "gate": gate, "scale": scale}
    middle = Conv2d(
        name="conv2", in_shape=(8, 8, 8), out_channels=16, kernel_size=3, padding=1, source="conv1", **kinds
    )
    last = Linear(name="out", in_shape=(16, 8, 8), out_features=4, source="conv2", neuron="readout")
    return Workload(name="net", input_shape=(2, 8, 8), layers=(first, middle, last))


def priced(rate, chip, **kinds):
    return estimate(bernoulli_counts(network(**kinds), rate, steps=4, samples=8), chip)


def pair(chip):
    return priced(0.1, chip, weight_kind="binary", gate="live", scale="explicit"), priced(0.3, chip)


def energy(result, layer, group):
    rows = result.table
    rows = rows if not layer else rows[rows["layer"] == layer]
    return rows["energy_pj"].sum() if group is None else rows.loc[rows["group"] == group, "energy_pj"].sum()


def bisected(variant, reference, layer, group):
    """The factor on a variant's events at which its energy reaches the reference's, on the simulated machine."""
    signals = [SIGNALS[layer]] if layer else SIGNALS[layer]
    low, high = 0.0, 20.0
    for _ in range(30):
        middle = (low + high) / 2
        scaled = estimate(scaled_counts(variant.operations, dict.fromkeys(signals, middle)), variant.accelerator)
        low, high = (middle, high) if energy(scaled, layer, group) <= energy(reference, layer, group) else (low, middle)
    return low


@pytest.mark.parametrize("layer", SIGNALS)
def test_the_closed_form_on_compute_is_where_bisection_ends(layer):
    variant, reference = pair(CHIP)
    row = break_even(variant, reference).set_index("layer").loc[layer]
    assert row["compute_rate"] == pytest.approx(row["rate"] * bisected(variant, reference, layer, "logic"), rel=2e-3)


@pytest.mark.parametrize("layer", SIGNALS)
def test_on_a_machine_of_compute_alone_both_rates_are_one(layer):
    row = break_even(*pair(SOP)).set_index("layer").loc[layer]
    assert row["machine_rate"] == pytest.approx(row["compute_rate"], rel=2e-3)


def test_at_its_break_even_rate_the_machine_takes_as_much_energy():
    variant, reference = pair(CHIP)
    row = break_even(variant, reference).set_index("layer").loc[""]
    factor = row["machine_rate"] / row["rate"]
    there = estimate(scaled_counts(variant.operations, {"conv1": factor, "conv2": factor}), CHIP)
    assert there.energy_pj == pytest.approx(reference.energy_pj, rel=1e-3)


def test_by_hand_on_compute_alone():
    # one add at 0.9 pJ per pair on both sides: as many pairs cost as much, so the break-even is the reference's rate
    row = break_even(*pair(SOP)).set_index("layer").loc["out"]
    assert row["compute_rate"] == pytest.approx(row["reference_rate"], rel=1e-9)


def test_a_network_breaks_even_with_itself_at_its_own_rate():
    same = priced(0.2, CHIP)
    row = break_even(same, same).set_index("layer").loc[""]
    assert (row["compute_rate"], row["machine_rate"]) == pytest.approx((row["rate"],) * 2, rel=2e-3)


def test_every_layer_and_the_network_have_a_row():
    assert list(break_even(*pair(CHIP))["layer"]) == ["conv1", "conv2", "out", ""]


def test_a_cheaper_network_at_any_rate_is_unbounded():
    row = break_even(priced(0.1, CHIP, weight_kind="binary"), priced(1.0, CHIP)).set_index("layer").loc["conv2"]
    assert row["machine_rate"] == math.inf


def test_what_costs_more_without_any_event_has_no_rate():
    gated = priced(0.1, CHIP, weight_kind="binary", gate="live", scale="explicit")
    row = break_even(gated, priced(0.0, CHIP)).set_index("layer").loc["conv2"]
    assert math.isnan(row["compute_rate"])
    assert math.isnan(row["machine_rate"])


def test_a_silent_variant_has_no_rate_to_scale():
    table = break_even(priced(0.0, CHIP), priced(0.1, CHIP))
    assert table[["compute_rate", "machine_rate"]].isna().all(axis=None)


def test_accelerators_are_not_mixed():
    with pytest.raises(InvalidInput, match="different accelerators"):
        break_even(priced(0.1, CHIP), priced(0.1, SOP))


@pytest.mark.parametrize("rule", ["graded", "and", "or"])
def test_signals_that_a_merge_reads_together_are_scaled_together(rule):
    """Every layer has a row, at its own rate: the network is set against itself."""
    plain = network("binary")
    merge = Add(name="sum", in_shape=(16, 8, 8), source="conv3", others=("conv2",), mode=rule)
    third = Conv2d(name="conv3", in_shape=(16, 8, 8), out_channels=16, kernel_size=3, padding=1, source="conv2")
    kind = {"input_kind": "graded"} if rule == "graded" else {}
    last = dataclasses.replace(plain.layers[-1], source="sum", **kind)
    merged = dataclasses.replace(plain, layers=(*plain.layers[:2], third, merge, last))
    ours = estimate(bernoulli_counts(merged, 0.1, steps=4, samples=8), SOP)
    rows = break_even(ours, ours).set_index("layer")
    assert list(rows.index) == ["conv1", "conv2", "conv3", "out", ""]
    assert rows["machine_rate"].tolist() == pytest.approx(rows["rate"].tolist(), rel=2e-2)


def test_the_networks_row_needs_no_equal_layers():
    small = dataclasses.replace(network("binary"), layers=network("binary").layers[:2])
    other = estimate(bernoulli_counts(small, 0.3, steps=4, samples=8), SOP)
    variant = pair(SOP)[0]
    row = network_break_even(variant, other)
    assert (row["rate"], row["reference_rate"]) == pytest.approx((0.1, 0.3), rel=0.05)
    scaled = scaled_counts(variant.operations, dict.fromkeys(("conv1", "conv2"), row["machine_rate"] / row["rate"]))
    assert estimate(scaled, SOP).energy_pj == pytest.approx(other.energy_pj, rel=1e-4)
    with pytest.raises(InvalidInput, match="different layers"):
        break_even(variant, other)


def test_a_many_core_chip_says_why_it_has_no_break_even():
    chip = load_accelerator("truenorth")
    sides = [dataclasses.replace(each, accelerator=chip) for each in pair(CHIP)]
    with pytest.raises(InvalidInput, match="truenorth is a many-core chip, on which each single spike is routed"):
        break_even(*sides)
