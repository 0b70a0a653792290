"""Cautions on ratios: widths that differ, widths that machines do not see, and what was priced but never run."""

import dataclasses

import pytest
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.reports.comparison.cautions import ratio_cautions
from spikejoule.sim.counting.synthetic import bernoulli_counts, hybrid_counts
from spikejoule.sim.network.workload import Linear, Workload

GRID, SOP = load_accelerator("event-driven-45nm"), load_accelerator("sop-45nm")


def counted(weight_kind="float", state=(32, "float"), recorded=True):
    first = Linear(name="fc", in_shape=(16,), out_features=16, weight_kind=weight_kind)
    net = Workload(name="net", input_shape=(16,), layers=(first,), state_bits=state[0], state_type=state[1])
    counts = bernoulli_counts(net, 0.2, steps=2, samples=2)
    return dataclasses.replace(counts, trace_hash="abc") if recorded else counts


def told(variant, machine=GRID, base=None):
    sides = [[estimate(counts, machine)] for counts in (variant, base or counted())]
    return ratio_cautions(*sides)


def test_twins_of_one_width_need_no_caution():
    assert told(counted()) == []


def test_weights_that_a_machine_prices_by_their_width_need_none():
    assert told(counted("binary")) == []


def test_weights_whose_width_a_convention_does_not_see_do():
    (caution,) = told(counted("binary"), SOP)
    assert caution.startswith("weights are 1-bit binary, those of the baseline 32-bit float")


def test_states_of_other_widths_do():
    (caution,) = told(counted(state=(8, "fixed")))
    assert caution.startswith("potentials are 8-bit fixed, those of the baseline 32-bit float")


def test_counts_without_a_trace_are_priced_and_not_run():
    assert told(counted(recorded=False)) == ["priced, not run: these counts come from no recorded trace"]


def test_a_hybrid_at_another_width_is_priced_and_not_run():
    hybrid = hybrid_counts(counted(), counted(state=(8, "fixed")), {"state bits"})
    assert told(hybrid)[0].startswith("priced, not run")


@pytest.mark.parametrize(("field", "value", "text"), [("node_nm", 7.0, "node"), ("scope", "chip", "scope")])
def test_prices_of_other_nodes_or_scopes_in_one_sum_do(field, value, text):
    prices = dict(GRID.prices)
    prices["weight_sram.read"] = dataclasses.replace(prices["weight_sram.read"], **{field: value})
    (caution,) = told(counted(), dataclasses.replace(GRID, prices=prices))
    assert caution.startswith(f"prices of different {text} are added up here: ")
