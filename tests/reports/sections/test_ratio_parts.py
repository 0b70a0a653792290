"""The section on what the ratio is made of: right words whichever way it falls, and the same in HTML and PDF."""

from datetime import UTC, datetime

import numpy as np
import pytest
from spikejoule.energy.explaining.price_sensitivity import tornado
from spikejoule.energy.explaining.ratio import SharedCounts
from spikejoule.energy.explaining.shapley_shares import Shares, shapley
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.reports.compare import compare
from spikejoule.reports.page import render
from spikejoule.reports.page.blocks import Paragraph, Report, Section, SideBySide, Table
from spikejoule.reports.sections.ratio_part_figures import price_words
from spikejoule.reports.sections.ratio_parts import flip_sentence, made_of, shares_sentence
from spikejoule.sim.counting.synthetic import SWITCHES, bernoulli_counts
from spikejoule.sim.network.workload import Linear, Workload
from spikejoule.sim.readable_numbers import MINUS

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
CHIP = load_accelerator("event-driven-45nm")


def estimates(rate, weight_kind="float", hidden=64, **kinds):
    first = Linear(name="fc1", in_shape=(16,), out_features=hidden, weight_kind=weight_kind, **kinds)
    last = Linear(name="out", in_shape=(hidden,), out_features=4, source="fc1", neuron="readout")
    net = Workload(name="mlp", input_shape=(16,), layers=(first, last))
    return [estimate(bernoulli_counts(net, rate, steps=3, samples=4), CHIP)]


@pytest.fixture(scope="module")
def blocks():
    focus = estimates(0.1, "binary", gate="live", scale="explicit")
    return made_of(compare({"SNN fp32": estimates(0.3), "BSNN + AGMM": focus}, "SNN fp32"))


def test_it_has_a_waterfall_a_tornado_and_three_tables(blocks):
    (pair,) = [block for block in blocks if isinstance(block, SideBySide)]
    assert (pair.left.name, pair.right.name) == ("waterfall", "tornado")
    assert [block.name for block in blocks if isinstance(block, Table)] == ["shares", "sensitivity", "break-even"]


def test_the_shown_shares_sum_to_the_gap(blocks):
    data = next(block.data for block in blocks if getattr(block, "name", "") == "shares").set_index("switch")
    parts = data.drop("together")
    assert parts["energy_pj"].sum() == pytest.approx(data.loc["together", "energy_pj"], rel=1e-12)
    assert parts["percent"].sum() == pytest.approx(100)
    assert parts["factor"].prod() == pytest.approx(data.loc["together", "factor"], rel=1e-12)


def test_it_appears_in_html_and_pdf(blocks):
    report = Report("title", "subtitle", (Section("What the ratio is made of", tuple(blocks)),))
    page = render.html(report, NOON)
    assert page.count("<svg") >= 2
    assert "of the gap is" in page
    assert render.pdf(report, NOON).startswith(b"%PDF")


def test_one_variant_has_no_ratio():
    (only,) = made_of(compare({"a": estimates(0.1)}, "a"))
    assert "no ratio to take apart" in only.text


def test_networks_of_other_sizes_have_prices_but_no_shares():
    found = made_of(compare({"a": estimates(0.1), "b": estimates(0.1, hidden=32)}, "a"))
    assert any(isinstance(block, Paragraph) and "There are no Shapley shares" in block.text for block in found)
    assert [block.name for block in found if isinstance(block, Table)] == ["sensitivity"]


def additive(**parts):
    worth = {"state bits": 0.0, "weight bits": 0.0, "firing rate": 0.0, "gate": 0.0, **parts}
    subsets = [frozenset(s for i, s in enumerate(SWITCHES) if bits >> i & 1) for bits in range(16)]
    made = Shares({s: 1000.0 + sum(worth[name] for name in s) for s in subsets})
    assert shapley(SWITCHES, made.energies) == pytest.approx(worth)
    return made


def test_shares_in_words():
    shares = additive(**{"weight bits": -400.0, "firing rate": -200.0, "gate": 100.0})
    assert shares_sentence(shares, "A", "B") == (
        "B takes 0.500 nJ per inference, A 1.00 nJ: 80.0 % of the gap is weight bits, 40.0 % firing rate; "
        "gate takes 20.0 % back; no share: state bits."
    )


def test_shares_of_a_gap_that_is_none():
    assert "too small to be split" in shares_sentence(additive(), "A", "B")


def shared(base, variant, low, value, high):
    arrays = (np.array(figures, float) for figures in (base, variant, low, value, high))
    return SharedCounts(("weight_sram.read", "add.int32"), ("sram", "logic"), *arrays)


def told(one):
    return flip_sentence(one, tornado(one), "A", "B").replace(MINUS, "-")


def test_dominated_in_words():
    assert "dominated: no price flips this" in told(shared([3, 3], [2, 3], [1, 1], [1, 1], [2, 2]))


def test_a_price_that_flips_in_words():
    sentence = told(shared([8, 4], [2, 6], [0.5, 1], [1, 1], [2, 1.2]))
    assert "That B takes less holds while " in sentence
    assert "one weight SRAM read costs more than 0.333 pJ (here 1.00)" in sentence
    assert "one int32 add costs less than 3.00 pJ (here 1.00)" in sentence
    assert "cannot flip it" in sentence


def test_prices_that_flip_together_in_words():
    assert "can flip it" in told(shared([8, 4], [2, 6], [0.5, 1], [1, 1], [2, 9]))


def test_prices_in_words():
    assert [price_words(key) for key in ("dram.write", "multiply.float32", "add_subtract")] == [
        "DRAM write",
        "float32 multiply",
        "add/subtract",
    ]
