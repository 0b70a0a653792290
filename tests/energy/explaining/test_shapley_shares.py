"""Shapley shares add up exactly, and are those of the definition: the mean over all orders of joining."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spikejoule.energy.explaining.shapley_shares import Shares, energy_shares, shapley
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.synthetic import SWITCHES, bernoulli_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Conv2d, Linear, Workload

CHIP = load_accelerator("event-driven-45nm")


def network(weight_kind="float", gate=None, scale="folded", out_channels=8):
    kinds = {"weight_kind": weight_kind, "gate": gate, "scale": scale, "channel_vectors": 2, "bias": True}
    first = Conv2d(name="conv", in_shape=(2, 8, 8), out_channels=out_channels, kernel_size=3, padding=1, **kinds)
    last = Linear(
        name="out", in_shape=(out_channels, 8, 8), out_features=3, source="conv", neuron="readout", weight_kind="float"
    )
    return Workload(name="net", input_shape=(2, 8, 8), layers=(first, last))


def estimates(rate, seeds=2, chip=CHIP, state=(32, "float"), **kinds):
    net = dataclasses.replace(network(**kinds), state_bits=state[0], state_type=state[1])
    return [estimate(bernoulli_counts(net, rate, steps=3, samples=4, seed=seed), chip) for seed in range(seeds)]


@pytest.fixture(scope="module")
def sides():
    return estimates(0.3), estimates(0.15, weight_kind="binary", gate="live", scale="explicit")


@pytest.fixture(scope="module")
def shares(sides):
    return energy_shares(*sides)


def by_orders(players, values):
    """The definition in plain Python: what each adds when it joins, over all orders."""
    totals = dict.fromkeys(players, 0.0)
    orders = list(itertools.permutations(players))
    for order in orders:
        present = set()
        for player in order:
            before = values[frozenset(present)]
            present.add(player)
            totals[player] += values[frozenset(present)] - before
    return {player: total / len(orders) for player, total in totals.items()}


def coalitions(players):
    return [frozenset(c) for size in range(len(players) + 1) for c in itertools.combinations(players, size)]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=16, max_size=16))
def test_shares_equal_the_mean_over_all_orders_and_add_up(worth):
    values = dict(zip(coalitions(SWITCHES), worth, strict=True))
    found = shapley(SWITCHES, values)
    assert found == pytest.approx(by_orders(SWITCHES, values), rel=1e-9, abs=1e-6)
    assert math.fsum(found.values()) == pytest.approx(values[frozenset(SWITCHES)] - values[frozenset()], abs=1e-6)


def test_shares_of_independent_players_are_their_own_worth():
    values = {c: float(sum(map(int, c))) for c in coalitions("135")}
    assert shapley("135", values) == pytest.approx({"1": 1, "3": 3, "5": 5})


def test_a_missing_coalition_is_refused():
    with pytest.raises(InvalidInput, match="no value for"):
        shapley("ab", {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("ab"): 2.0})


def test_the_ends_are_the_two_variants(sides, shares):
    base, variant = (sum(e.energy_pj for e in side) / len(side) for side in sides)
    assert (shares.base_pj, shares.variant_pj) == pytest.approx((base, variant), rel=1e-12)


def test_shares_of_the_energy_sum_to_the_gap(shares):
    gap = shares.variant_pj - shares.base_pj
    assert math.fsum(shares.energy_pj.values()) == pytest.approx(gap, rel=1e-12)


def test_factors_multiply_to_the_ratio(shares):
    assert math.prod(shares.factors.values()) == pytest.approx(shares.base_pj / shares.variant_pj, rel=1e-12)


def test_shares_of_real_hybrids_equal_the_mean_over_all_orders(shares):
    assert shares.energy_pj == pytest.approx(by_orders(SWITCHES, shares.energies), rel=1e-9, abs=1e-6)


def test_bits_and_silence_save_and_a_gate_costs(shares):
    parts = shares.energy_pj
    assert parts["weight bits"] < 0
    assert parts["firing rate"] < 0
    assert parts["gate"] > 0


def test_what_does_not_differ_has_no_share(shares):
    assert shares.energy_pj["state bits"] == 0
    assert shares.factors["state bits"] == 1


def test_state_bits_have_a_share_where_they_differ():
    found = energy_shares(estimates(0.2), estimates(0.2, state=(8, "fixed"))).energy_pj
    assert found["state bits"] < 0
    assert [found[name] for name in SWITCHES if name != "state bits"] == [0, 0, 0]


def test_shares_back_are_the_same_with_the_other_sign(sides, shares):
    back = energy_shares(*reversed(sides)).energy_pj
    assert back == pytest.approx({name: -part for name, part in shares.energy_pj.items()}, rel=1e-9)


def test_binary_weights_alone_cost_what_the_ungated_binary_network_does(shares):
    alone = estimates(0.3, weight_kind="binary")
    expected = sum(e.energy_pj for e in alone) / len(alone)
    assert shares.energies[frozenset({"weight bits"})] == pytest.approx(expected, rel=1e-12)


def test_seeds_must_be_as_many(sides):
    with pytest.raises(InvalidInput, match="one per seed"):
        energy_shares(sides[0], sides[1][:1])


def test_accelerators_are_not_mixed(sides):
    other = estimates(0.1, chip=load_accelerator("sop-45nm"))
    with pytest.raises(InvalidInput, match="different accelerators"):
        energy_shares(sides[0], other)


def test_networks_of_other_sizes_are_refused(sides):
    with pytest.raises(InvalidInput, match="differs in out_channels"):
        energy_shares(sides[0], estimates(0.1, out_channels=4))


def test_shares_are_plain_data():
    values = dict.fromkeys(coalitions(SWITCHES), 5.0)
    assert Shares(values).energy_pj == dict.fromkeys(SWITCHES, 0.0)


def test_a_many_core_chip_says_why_it_has_no_shares(sides):
    chip = load_accelerator("loihi1-sanafe")
    moved = [[dataclasses.replace(each, accelerator=chip) for each in side] for side in sides]
    with pytest.raises(InvalidInput, match="many-core chip, on which each single spike is routed"):
        energy_shares(*moved)
