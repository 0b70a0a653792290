"""Ratio bounds are exact over the box of prices, and the bootstrap is the one defined."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spikejoule.energy.explaining.ratio import dominated, ratio_bounds, shared_counts
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate_actions
from spikejoule.reports.comparison.significance import bootstrap_interval
from spikejoule.sim.counting.synthetic import bernoulli_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.execution import ActionCounts
from spikejoule.sim.network.workload import Linear, Workload

counts = st.integers(0, 1_000_000)
prices = st.tuples(st.floats(0.001, 100), st.floats(0, 100)).map(lambda pair: (pair[0], pair[0] + pair[1]))
problems = st.lists(st.tuples(counts, counts, prices), min_size=1, max_size=12).filter(
    lambda rows: sum(row[0] for row in rows) and sum(row[1] for row in rows)
)


def corners(a, b, low, high):
    ratios = [np.dot(a, p) / np.dot(b, p) for p in itertools.product(*zip(low, high, strict=True)) if np.dot(b, p) > 0]
    return min(ratios), max(ratios)


@settings(deadline=None)
@given(problems)
def test_bounds_equal_the_best_and_worst_corner(rows):
    a, b, box = zip(*rows, strict=True)
    low, high = zip(*box, strict=True)
    assert ratio_bounds(a, b, low, high) == pytest.approx(corners(a, b, low, high), rel=1e-9)


@settings(deadline=None)
@given(problems)
def test_bounds_of_the_reciprocal_are_swapped(rows):
    a, b, box = zip(*rows, strict=True)
    low, high = zip(*box, strict=True)
    smallest, largest = ratio_bounds(a, b, low, high)
    assert ratio_bounds(b, a, low, high) == pytest.approx((1 / largest, 1 / smallest), rel=1e-9)


def test_equal_work_has_ratio_one_at_any_price():
    assert ratio_bounds([3, 5], [3, 5], [0.1, 1], [10, 20]) == (1.0, 1.0)


def test_bounds_are_narrower_than_the_quotient_of_two_intervals():
    smallest, largest = ratio_bounds([10, 10], [5, 4], [1, 1], [2, 2])
    assert smallest > 20 / 18
    assert largest < 40 / 9


def test_a_divisor_that_may_vanish_has_no_upper_bound():
    assert ratio_bounds([1, 1], [1, 0], [0, 1], [1, 1]) == (2.0, np.inf)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1], [0], [1], [1]), "divisor costs nothing"),
        (([1], [1], [2], [1]), "low price is above"),
        (([-1], [1], [1], [1]), "not negative"),
        (([1], [1], [1], [np.nan]), "finite"),
        (([1, 2], [1], [1], [1]), "shapes"),
    ],
)
def test_impossible_boxes_are_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        ratio_bounds(*arguments)


def test_dominated_means_no_more_of_every_action():
    assert dominated([1, 2], [1, 3])
    assert dominated([1, 3], [1, 2])
    assert not dominated([1, 3], [2, 2])


@settings(deadline=None)
@given(problems)
def test_no_price_moves_a_dominated_ratio_past_one(rows):
    a, b, box = zip(*rows, strict=True)
    low, high = zip(*box, strict=True)
    _, largest = ratio_bounds(np.minimum(a, b), b, low, high)
    assert largest <= 1 + 1e-12


def test_the_bootstrap_of_two_values_by_hand():
    # resamples (0 0), (0 1), (1 0), (1 1) have means 0, .5, .5, 1: the quantiles at 2.5 and 97.5 % are 0 and 1
    assert bootstrap_interval([0.0, 1.0]) == (0.0, 1.0)


def test_the_bootstrap_of_four_values_by_hand():
    # 256 resamples: all four zero once in (3/4)^4 = 31.6 %; all four one in 1/256 = 0.4 % < 2.5 %, three in 4.7 % more
    assert bootstrap_interval([0.0, 0.0, 0.0, 1.0]) == (0.0, 0.75)


def test_the_bootstrap_of_three_values_is_their_range():
    assert bootstrap_interval([0.1, 0.3, 0.2]) == (0.1, 0.3)


def test_the_bootstrap_of_one_value_is_unknown():
    assert np.isnan(bootstrap_interval([1.0])).all()


def test_the_bootstrap_of_many_values_is_seeded_and_close_to_the_normal_one():
    values = np.random.default_rng(1).normal(2, 1, 400)
    low, high = bootstrap_interval(values)
    assert (low, high) == bootstrap_interval(values)
    error = values.std(ddof=1) / 20
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.2 * error)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=5))
def test_the_bootstrap_never_leaves_the_range_of_the_values(values):
    low, high = bootstrap_interval(values)
    assert min(values) <= low <= high <= max(values)


# Static power as one price -------------------------------------------------------------------------------------------
def on_truenorth(hidden, events):
    """A chip's estimate of so many synaptic events on the cores that so many neurons take, over two ticks."""
    layer = Linear(name="fc", in_shape=(1,), out_features=hidden)
    net = Workload(name="net", input_shape=(1,), layers=(layer,))
    actions = {("fc", "synapse", "synop.dense"): np.full((2, 1), events // 2)}
    operations = bernoulli_counts(net, 0.0, steps=2)
    return estimate_actions(operations, ActionCounts(2, 1, actions, {}, {}), load_accelerator("truenorth"))


def test_static_power_is_one_price_shared_by_both_sides():
    """600 neurons are three cores, 300 are two: 15.73 uW x 1 ms each and tick; 2.297 pJ per event."""
    base, variant = on_truenorth(600, 4000), on_truenorth(300, 2000)
    shared = shared_counts([base], [variant])
    assert shared.keys == ("static_power.core", "synop.dense")
    assert shared.groups == ("static", "logic")
    assert (shared.base.tolist(), shared.variant.tolist()) == ([6, 4000], [4, 2000])
    expected = (6 * 15730 + 4000 * 2.297) / (4 * 15730 + 2000 * 2.297)
    assert shared.ratio == pytest.approx(expected) == base.total_pj / variant.total_pj


def test_without_the_static_part_the_ratio_is_that_of_events():
    shared = shared_counts([on_truenorth(600, 4000)], [on_truenorth(300, 2000)], static=False)
    assert shared.keys == ("synop.dense",)
    assert shared.ratio == 2.0


def test_a_chip_that_needs_more_cores_is_not_dominated_by_fewer_events():
    assert not shared_counts([on_truenorth(600, 2000)], [on_truenorth(300, 4000)]).dominated
