"""The section What if: ratios of two networks under the same spikes, the recorded one marked, cheap and in words."""

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest
from matplotlib.figure import Figure as Canvas
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import EnergyEstimate, estimate
from spikejoule.reports.compare import compare
from spikejoule.reports.page import render
from spikejoule.reports.page.blocks import Figure, Paragraph, Report, Section, SideBySide, Table
from spikejoule.reports.sections.what_if import RATES, ratio_curves, what_if
from spikejoule.sim.counting.synthetic import bernoulli_counts
from spikejoule.sim.network.workload import Linear, Workload

CHIP, SOP = load_accelerator("event-driven-45nm"), load_accelerator("sop-45nm")


def mlp(kind):
    first = Linear(name="fc", in_shape=(256,), out_features=64, weight_kind=kind)
    last = Linear(name="out", in_shape=(64,), out_features=4, source="fc", weight_kind=kind, neuron="readout")
    return Workload(name="mlp", input_shape=(256,), layers=(first, last))


def comparison(machine=CHIP, rates=(0.3, 0.1), **how):
    nets = {"fp32": mlp("float"), "binary": mlp("binary")}
    signals = [{"input": 0.2, "fc": rate} for rate in rates]
    estimates = {
        name: [estimate(bernoulli_counts(net, own, steps=4, samples=8, **how), machine)]
        for (name, net), own in zip(nets.items(), signals, strict=True)
    }
    return compare(estimates, "fp32")


@pytest.fixture(scope="module")
def blocks():
    return what_if(comparison())


def data(blocks):
    return next(block.data for block in blocks if isinstance(block, Table))


def test_it_has_words_two_figures_a_table_and_what_it_is_not(blocks):
    said, pair, _, note = blocks
    assert "If every neuron of both networks fired at the same rate" in said.text
    assert (pair.left.name, pair.right.name) == ("what-if-steps", "what-if-memory")
    assert "independent random spikes, not trained networks" in note.text


def test_every_rate_has_three_step_counts_and_three_memories(blocks):
    found = data(blocks)
    assert sorted(found["steps"].dropna().unique()) == [1, 4, 16]
    assert sorted(found["memory_bytes"].dropna().unique()) == [8 * 1024, 64 * 1024, 512 * 1024]
    assert len(found) == 6 * len(RATES)


def test_ratios_are_those_of_the_energies_shown(blocks):
    found = data(blocks)
    pd.testing.assert_series_equal(found["ratio"], found["base_pj"] / found["focus_pj"], check_names=False)


def test_the_machines_own_memory_and_steps_meet_in_one_value(blocks):
    found = data(blocks)
    by_steps = found[found["steps"] == 4]["ratio"].to_numpy()
    assert (by_steps == found[found["memory_bytes"] == 64 * 1024]["ratio"].to_numpy()).all()


def test_weights_that_do_not_fit_widen_the_gap(blocks):
    # 16,640 weights: 65 KiB in float, over 8 KiB and 64 KiB; 2 KiB binary, within all three
    ratio = data(blocks).groupby("memory_bytes")["ratio"].mean()
    assert ratio[8 * 1024] > ratio[512 * 1024]


def test_under_the_usual_convention_equal_rates_cost_the_same():
    said, figure, table, _ = what_if(comparison(SOP))
    assert isinstance(figure, Figure)
    assert (table.data["ratio"] == 1).all()
    assert "would be 1.00 at rates" in said.text


def test_the_recorded_point_stands_at_the_focus_rate():
    frame = pd.DataFrame({"rate": [0.01, 0.1] * 2, "steps": [1, 1, 4, 4], "ratio": [2.0, 3.0, 4.0, 5.0]})
    axes = ratio_curves(Canvas().subplots(), frame, "steps", (0.05, 2.5))
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines["recorded"] == [[5.0, 2.5]]
    assert lines["T = 4"] == [[1.0, 4.0], [10.0, 5.0]]


def test_a_silent_network_has_no_recorded_point():
    frame = pd.DataFrame({"rate": [0.01, 0.1], "steps": [1, 1], "ratio": [2.0, 300.0]})
    axes = ratio_curves(Canvas().subplots(), frame, "steps", (0.0, 2.5))
    assert "recorded" not in [line.get_label() for line in axes.get_lines()]
    assert axes.get_yscale() == "log"


def test_one_variant_has_no_ratio():
    (only,) = what_if(compare({"a": comparison().estimates["fp32"]}, "a"))
    assert "no ratio to vary" in only.text


def test_event_machines_are_skipped_in_words():
    one = comparison()
    chip = load_accelerator("loihi1-sanafe")
    moved = {name: (replace(results[0], accelerator=chip),) for name, results in one.estimates.items()}
    assert all(isinstance(group[0], EnergyEstimate) for group in moved.values())
    (only,) = what_if(replace(one, estimates=moved))
    assert "routes single spikes" in only.text


def test_memories_priced_by_hand_leave_a_sentence_and_the_steps():
    price = replace(CHIP.prices["weight_sram.read"], value=7.0, low=7.0)
    by_hand = replace(CHIP, prices={**CHIP.prices, "weight_sram.read": price})
    found = what_if(comparison(by_hand))
    assert any("not known at another capacity" in block.text for block in found if isinstance(block, Paragraph))
    assert list(data(found)) == ["rate", "steps", "base_pj", "focus_pj", "ratio"]


def test_it_appears_in_html_and_pdf(blocks):
    report = Report("title", "subtitle", (Section("What if", tuple(blocks)),))
    noon = datetime(2030, 1, 2, 12, tzinfo=UTC)
    page = render.html(report, noon)
    assert page.count("<svg") >= 2
    assert "recorded" in page
    assert render.pdf(report, noon).startswith(b"%PDF")
    assert any(isinstance(block, SideBySide) for block in blocks)
