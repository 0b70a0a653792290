"""What single prices, groups of prices and all of them together do to a ratio."""

import itertools

import numpy as np
import pytest
from spikejoule.energy.explaining.price_sensitivity import monte_carlo, tornado
from spikejoule.energy.explaining.ratio import SharedCounts, shared_counts
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.sim.counting.synthetic import bernoulli_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Linear, Workload


def shared(base, variant, low, value, high, groups=None):
    keys = tuple(f"p{index}" for index in range(len(base)))
    arrays = (np.array(figures, float) for figures in (base, variant, low, value, high))
    return SharedCounts(keys, groups or ("logic",) * len(base), *arrays)


TWO = shared([8, 4], [2, 6], [0.5, 1], [1, 1], [2, 4], ("sram", "logic"))


def test_one_price_at_a_time_by_hand():
    rows = tornado(TWO).set_index("price")
    assert (rows.loc["p0", "ratio_at_low"], rows.loc["p0", "ratio_at_high"]) == pytest.approx((8 / 7, 20 / 10))
    assert (rows.loc["p1", "ratio_at_low"], rows.loc["p1", "ratio_at_high"]) == pytest.approx((12 / 8, 24 / 26))
    assert list(rows.index) == ["p0", "p1"]  # swings 0.857 and 0.577


def test_the_threshold_is_where_both_cost_the_same():
    rows = tornado(TWO).set_index("price")
    # 8 p + 4 = 2 p + 6 at p = 1/3; 8 + 4 p = 2 + 6 p at p = 3
    assert (rows.loc["p0", "threshold_pj"], rows.loc["p1", "threshold_pj"]) == pytest.approx((1 / 3, 3))
    assert (rows.loc["p0", "holds_while"], rows.loc["p1", "holds_while"]) == ("above", "below")


def test_at_every_threshold_the_ratio_is_one():
    rng = np.random.default_rng(0)
    one = shared(*rng.integers(1, 100, (2, 6)), *np.sort(rng.random((3, 6)), axis=0))
    for row in tornado(one).dropna(subset=["threshold_pj"]).itertuples():
        prices = one.value.copy()
        prices[one.keys.index(row.price)] = row.threshold_pj
        assert one.base @ prices == pytest.approx(one.variant @ prices)


def test_a_dominated_ratio_has_no_threshold():
    rows = tornado(shared([3, 5], [2, 5], [1, 1], [1, 1], [2, 2]))
    assert rows["threshold_pj"].isna().all()
    assert set(rows["holds_while"]) == {""}


def test_draws_are_seeded():
    np.testing.assert_array_equal(monte_carlo(TWO, 100, seed=4).ratios, monte_carlo(TWO, 100, seed=4).ratios)
    assert (monte_carlo(TWO, 100, seed=4).ratios != monte_carlo(TWO, 100, seed=5).ratios).any()


def test_draws_stay_within_the_exact_bounds():
    ratios = monte_carlo(TWO, 5000).ratios
    low, high = TWO.bounds
    assert low <= ratios.min()
    assert ratios.max() <= high


def test_prices_of_one_group_move_together():
    one = shared([8, 4], [4, 2], [0.5, 1], [1, 2], [2, 4], ("sram", "sram"))
    assert monte_carlo(one, 100).ratios == pytest.approx(np.full(100, 2.0))
    # both prices are proportional to one factor, so any counts keep their ratio too
    assert np.ptp(monte_carlo(shared([8, 1], [2, 6], [1, 2], [1.5, 3], [2, 4], ("dram",) * 2), 100).ratios) < 1e-12


def test_both_sides_see_the_same_prices():
    assert (
        monte_carlo(shared([3, 5], [3, 5], [0.1, 1], [1, 5], [10, 20], ("sram", "dram")), 100).ratios.tolist()
        == [1.0] * 100
    )


def test_half_of_the_draws_lie_above_the_central_price():
    one = shared([1, 0], [0, 1], [1, 1], [2, 1], [9, 1], ("sram", "logic"))  # the ratio is the price itself
    assert np.median(monte_carlo(one, 20_000).ratios) == pytest.approx(2, rel=0.03)


def test_the_share_above_one_and_the_interval():
    draws = monte_carlo(TWO, 1000)
    assert draws.above_one == (draws.ratios > 1).mean()
    assert draws.interval() == pytest.approx(np.quantile(draws.ratios, [0.025, 0.975]))


def test_no_draws_are_refused():
    with pytest.raises(InvalidInput, match="one or more"):
        monte_carlo(TWO, 0)


# Counts of estimates ---------------------------------------------------------------------------------------------
def estimates(rate, chip="event-driven-45nm", weight_kind="float"):
    hidden = Linear(name="fc1", in_shape=(16,), out_features=64, weight_kind=weight_kind)
    last = Linear(name="out", in_shape=(64,), out_features=4, source="fc1", neuron="readout")
    net = Workload(name="mlp", input_shape=(16,), layers=(hidden, last))
    machine = load_accelerator(chip)
    return [estimate(bernoulli_counts(net, rate, steps=3, samples=4, seed=seed), machine) for seed in range(2)]


def test_shared_counts_give_back_the_ratio_of_mean_energies():
    base, variant = estimates(0.3), estimates(0.2, weight_kind="binary")
    expected = sum(e.energy_pj for e in base) / sum(e.energy_pj for e in variant)
    assert shared_counts(base, variant).ratio == pytest.approx(expected, rel=1e-12)


def test_bounds_of_estimates_equal_the_best_and_worst_corner():
    one = shared_counts(estimates(0.3), estimates(0.35, weight_kind="binary"))
    corners = np.array(list(itertools.product(*zip(one.low, one.high, strict=True))))
    ratios = (corners @ one.base) / (corners @ one.variant)
    assert one.bounds == pytest.approx((ratios.min(), ratios.max()), rel=1e-12)


def test_accelerators_share_no_prices():
    with pytest.raises(InvalidInput, match="share no prices"):
        shared_counts(estimates(0.3), estimates(0.3, "sop-45nm"))
