"""Static energy = static power x time per finished inference: leakage of grids, drain and pipelining of chips."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator
from spikejoule import cli
from spikejoule.energy.explaining.break_even import break_even
from spikejoule.energy.explaining.price_sensitivity import monte_carlo, tornado
from spikejoule.energy.explaining.ratio import shared_counts
from spikejoule.energy.explaining.shapley_shares import energy_shares
from spikejoule.energy.explaining.what_if_sweep import resized, sweep
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.action_costs import price_actions, price_static
from spikejoule.energy.pricing.estimate import estimate, estimate_actions
from spikejoule.reports.compare import compare
from spikejoule.reports.comparison import full_tables
from spikejoule.reports.page.blocks import Paragraph
from spikejoule.reports.sections.contents import build_report
from spikejoule.reports.sections.machine_sentences import three_numbers
from spikejoule.reports.sections.ratio_parts import made_of
from spikejoule.reports.sections.sentences import gate_sentence
from spikejoule.sim.counting.synthetic import bernoulli_counts, scaled_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.action_table import action_table, read_actions, write_actions
from spikejoule.sim.hardware.execution import ActionCounts
from spikejoule.sim.network.workload import Conv2d, Linear, Workload
from spikejoule.sim.readable_numbers import number
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
FILE = Path(__file__).parents[2] / "cases" / "leaking-grid.yaml"
LEAKY = load_accelerator(FILE)  # 1.0 + 0.2 + 0 mW of memories and 0.8 mW of the rest: 2 mW
PLAIN = replace(LEAKY, static=None, leakage={})

CONV = Conv2d(name="conv", in_shape=(2, 6, 6), out_channels=3, kernel_size=3, padding=1)
FC = Linear(name="fc", in_shape=(3, 6, 6), out_features=4, source="conv", neuron="readout")
NET = Workload(name="net", input_shape=(2, 6, 6), layers=(CONV, FC))


def net(weight_kind="float", gate=None):
    bits = 1 if weight_kind == "binary" else 32
    layers = (replace(CONV, weight_kind=weight_kind, weight_bits=bits, gate=gate), FC)
    return replace(NET, layers=layers)


def by_hand(seconds, adds=1000, machine=LEAKY):
    """So many adds in each inference, which take so many seconds in two layers and one step."""
    times = np.array([seconds])
    counts = {("fc", "synapse", "add.float32"): np.full(times.shape, adds)}
    actions = ActionCounts(1, len(seconds), counts, {"conv": times / 4, "fc": 3 * times / 4}, {})
    return estimate_actions(bernoulli_counts(NET, 0.1, steps=1, samples=len(seconds)), actions, machine)


def changed(tmp_path, change):
    """The example with its plain data changed by a function."""
    data = yaml.safe_load(FILE.read_text())
    change(data)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


# Grids: power of the machine x modelled time -------------------------------------------------------------------------
def test_two_milliwatts_for_three_microseconds():
    """2 mW x 3.2 us = 6.4 nJ; 1000 adds of 0.9 pJ."""
    result = by_hand([3.2e-6])
    assert result.static_pj == pytest.approx(6400)
    assert result.events_pj == pytest.approx(900)
    assert result.total_pj == result.compared_pj == pytest.approx(7300)


def test_every_inference_has_its_own_time():
    result = by_hand([3.2e-6, 1.6e-6, 0.0])
    assert result.static_sample_pj.tolist() == pytest.approx([6400, 3200, 0])
    assert result.static_pj == pytest.approx(3200)
    assert result.static_time_s == result.latency_s == pytest.approx(1.6e-6)


def test_the_bounds_take_all_static_figures_low_and_high():
    """0.5 + 0.1 + 0.4 = 1 mW and 4 + 0.8 + 1.2 = 6 mW; an fp32 add has one figure."""
    result = by_hand([1e-6])
    assert result.static_bounds_pj == pytest.approx((1000, 2000, 6000))
    low, high = result.compared_bounds_pj
    assert (low - result.bounds_pj[0], high - result.bounds_pj[1]) == pytest.approx((1000, 6000))


def test_power_is_the_events_power_and_that_of_the_file():
    assert by_hand([3.2e-6, 1.6e-6]).power_w == pytest.approx(2e-3 + 900e-12 / 2.4e-6)


def test_energy_times_delay_is_the_mean_of_each_inferences_own():
    """7300 pJ x 3.2 us and 4100 pJ x 1.6 us."""
    assert by_hand([3.2e-6, 1.6e-6]).energy_delay_js == pytest.approx((7300 * 3.2 + 4100 * 1.6) / 2 * 1e-18)


def test_the_parts_are_those_of_the_file():
    parts = by_hand([1e-6]).static_table.set_index("price")["energy_pj"]
    assert parts.to_dict() == pytest.approx(
        {"static_power.machine": 800, "weight_sram.leakage": 1000, "state_sram.leakage": 200, "dram.leakage": 0}
    )


def test_the_layers_own_times_make_the_whole():
    result = by_hand([3.2e-6, 1.6e-6])
    assert [result.layer_static_pj(name) for name in ("conv", "fc")] == pytest.approx([1200, 3600])


@pytest.mark.parametrize("kind", ["float", "binary"])
def test_events_and_time_do_not_know_of_static_power(kind):
    counts = bernoulli_counts(net(kind), 0.2, steps=4, samples=3)
    leaky, plain = estimate(counts, LEAKY), estimate(counts, PLAIN)
    assert leaky.table.equals(plain.table)
    assert leaky.latency_s == plain.latency_s
    assert leaky.total_pj == pytest.approx(plain.energy_pj + 2e-3 * plain.latency_s * 1e12)


def test_without_figures_there_is_no_total_and_the_omission_is_named():
    result = estimate(bernoulli_counts(NET, 0.2, steps=2), PLAIN)
    assert (result.static_pj, result.total_pj, result.static_time_s) == (None, None, None)
    assert result.compared_pj == result.energy_pj
    assert "static power" in result.omitted


def test_what_the_file_brings_in_is_no_longer_left_out():
    counts = bernoulli_counts(NET, 0.2, steps=2)
    assert not [part for part in estimate(counts, LEAKY).omitted if "static" in part or "leakage" in part]
    assert "static power of logic, clock and control" in estimate(counts, replace(LEAKY, static=None)).omitted
    assert "leakage of memories" in estimate(counts, replace(LEAKY, leakage={})).omitted


# Ratios: power is the price, time the amount -------------------------------------------------------------------------
@pytest.fixture(scope="module")
def sides():
    pairs = ((net(), 0.3), (net("binary", "live"), 0.1))
    return [[estimate(bernoulli_counts(workload, rate, steps=3, seed=1), LEAKY)] for workload, rate in pairs]


def test_static_power_is_shared_by_both_sides(sides):
    shared = shared_counts(*sides)
    assert shared.ratio == pytest.approx(sides[0][0].total_pj / sides[1][0].total_pj)
    still = [key for key, group in zip(shared.keys, shared.groups, strict=True) if group == "static"]
    assert still == ["state_sram.leakage", "static_power.machine", "weight_sram.leakage"]  # not dram's 0
    places = [shared.keys.index(key) for key in still]
    assert shared.base[places].tolist() == [sides[0][0].latency_s] * 3
    assert shared.variant[places].tolist() == [sides[1][0].latency_s] * 3


def test_the_bounds_are_those_of_every_corner_of_the_box(sides):
    shared = shared_counts(*sides)
    moving = np.flatnonzero(shared.low < shared.high)
    prices, found = shared.value.copy(), []
    for corner in itertools.product((False, True), repeat=len(moving)):
        prices[moving] = np.where(corner, shared.high[moving], shared.low[moving])
        found.append(shared.base @ prices / (shared.variant @ prices))
    assert len(found) >= 2**5
    assert shared.bounds == pytest.approx((min(found), max(found)))


def test_without_the_static_part_the_ratio_is_that_of_events(sides):
    shared = shared_counts(*sides, static=False)
    assert "static" not in shared.groups
    assert shared.ratio == pytest.approx(sides[0][0].energy_pj / sides[1][0].energy_pj)


def test_fewer_actions_in_more_time_dominate_nothing():
    slow, fast = by_hand([2e-6], adds=500), by_hand([1e-6], adds=1000)
    assert not shared_counts([fast], [slow]).dominated
    assert shared_counts([fast], [slow], static=False).dominated


def test_the_power_that_would_flip_the_ratio():
    """1000 adds in 1 us against 500 in 2 us: 900 + 1000 mW x P = 450 + 2000 mW x P at P = 0.45 mW in all."""
    shared = shared_counts([by_hand([1e-6], adds=1000)], [by_hand([2e-6], adds=500)])
    row = tornado(shared).set_index("price").loc["weight_sram.leakage"]
    assert np.isnan(row["threshold_pj"])  # the other two alone draw 1 mW
    alone = replace(LEAKY, static=None, leakage={"weight_sram": LEAKY.leakage["weight_sram"]})
    fast, slow = by_hand([1e-6], 1000, alone), by_hand([2e-6], 500, alone)
    row = tornado(shared_counts([fast], [slow])).set_index("price").loc["weight_sram.leakage"]
    assert row["threshold_pj"] * 1e-12 == pytest.approx(0.45e-3)


def test_static_prices_share_one_factor_in_monte_carlo():
    """Only they move here, all alike: from 1 over 2 to 6 mW, so the middle draw is the central ratio."""
    base, variant = by_hand([1e-6], adds=1000), by_hand([2e-6], adds=500)
    draws = monte_carlo(shared_counts([base], [variant]), draws=2001)
    assert np.median(draws.ratios) == pytest.approx(2900 / 4450, rel=0.01)
    assert (draws.ratios.min(), draws.ratios.max()) == pytest.approx((6900 / 12450, 1900 / 2450), rel=0.01)


def test_shapley_shares_sum_to_the_gap_of_totals(sides):
    shares = energy_shares(*sides)
    assert (shares.base_pj, shares.variant_pj) == pytest.approx([side[0].total_pj for side in sides])
    assert sum(shares.energy_pj.values()) == pytest.approx(sides[1][0].total_pj - sides[0][0].total_pj)
    assert np.prod(list(shares.factors.values())) == pytest.approx(sides[0][0].total_pj / sides[1][0].total_pj)


@pytest.mark.parametrize(("layer", "signal"), [("conv", "input"), ("", "conv")])
def test_at_the_break_even_rate_both_totals_are_equal(layer, signal):
    base = estimate(bernoulli_counts(net(), 0.3, steps=3, seed=1), LEAKY)
    variant = estimate(bernoulli_counts(net("binary"), 0.2, steps=3, seed=1), LEAKY)
    row = break_even(variant, base).set_index("layer").loc[layer]
    limit = own_energy(base, layer)
    below, above = (
        estimate(scaled_counts(variant.operations, {signal: factor * row["machine_rate"] / row["rate"]}), LEAKY)
        for factor in (0.97, 1.03)  # words are fetched whole, so the energy has steps
    )
    assert own_energy(below, layer) < limit < own_energy(above, layer)


def own_energy(result, layer):
    """All that a layer, or ("") the network, takes: its own rows, and 2 mW for as long as it runs."""
    rows, seconds = result.table, result.actions.seconds
    if layer:
        rows, seconds = rows[rows["layer"] == layer], {layer: seconds[layer]}
    times = sum(each.sum(axis=0).mean() for each in seconds.values()) / result.actions.hardware_batch
    return rows["energy_pj"].sum() + 2e9 * times


def test_a_sweep_compares_totals():
    rows = sweep(NET, LEAKY, rates=[0.1], steps=[2, 4], samples=2)
    assert rows["static_pj"].to_numpy() == pytest.approx(2e9 * rows["latency_s"].to_numpy())
    assert rows["compared_pj"].to_numpy() == pytest.approx((rows["energy_pj"] + rows["static_pj"]).to_numpy())


@pytest.mark.parametrize("leakage", [{}, LEAKY.leakage])
def test_what_leaks_has_no_known_figure_at_another_capacity(leakage):
    with pytest.raises(InvalidInput, match=r"gives (prices\.weight_sram\.leakage_w|static\.static_power_w).*not known"):
        resized(replace(LEAKY, leakage=leakage), 1024)


# Files ---------------------------------------------------------------------------------------------------------------
def test_the_example_of_the_docs_is_the_tested_file():
    text = (ROOT / "docs" / "energy-models.md").read_text()
    assert FILE.read_text() in text


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("dram.leakage_w", "leakage is given for weight_sram, state_sram and not for dram.*add dram.leakage_w, as 0"),
        ("weight_sram.leakage_w", "leakage is given for state_sram, dram and not for weight_sram"),
    ],
)
def test_leakage_of_some_memories_alone_is_refused(tmp_path, key, message):
    with pytest.raises(InvalidInput, match=f"mine.yaml: prices: {message}"):
        load_accelerator(changed(tmp_path, lambda data: data["prices"].pop(key)))


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        ("dran.leakage_w", {"value": 1, "basis": "measured", "source": "me"}, "no leakage of a memory in W; allowed"),
        ("dram.leakage_mw", {"value": 1, "basis": "measured", "source": "me"}, "no leakage of a memory in W; allowed"),
        ("dram.leakage_pj", {"value": 1, "basis": "measured", "source": "me"}, "no leakage of a memory in W; allowed"),
        ("static_power_w", {"value": 1, "basis": "measured", "source": "me"}, "is static.static_power_w"),
        ("dram.leakage_w", {"value": 0, "basis": "measured", "source": "me"}, "a price of 0 needs a reason"),
        ("dram.leakage_w", {"value": -1, "basis": "measured", "source": "me"}, "not negative"),
        ("dram.leakage_w", {"value": 1, "high": 0.5, "basis": "measured", "source": "me"}, "low <= value <= high"),
        ("dram.leakage_w", {"value": 1, "basis": "measured"}, "source: is missing"),
        ("dram.leakage_w", 3, "is 3; it must be a mapping"),
    ],
)
def test_bad_leakage_is_refused_with_the_path_of_the_key(tmp_path, key, entry, message):
    path = changed(tmp_path, lambda data: data["prices"].update({key: entry}))
    with pytest.raises(InvalidInput, match=rf"mine.yaml: prices.{key}: .*{message}"):
        load_accelerator(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("per", "core", "static.per: core: is for chips"),
        (
            "seconds_per_step",
            {"value": 1e-3, "basis": "measured", "source": "me"},
            "static.seconds_per_step: is for chips",
        ),
        ("step_floor_pj", {"value": 1, "basis": "measured", "source": "me"}, "static.step_floor_pj: is for chips"),
    ],
)
def test_figures_of_chips_are_refused_on_a_grid(tmp_path, key, value, message):
    with pytest.raises(InvalidInput, match=f"mine.yaml: {message}; a machine of kind grid has no cores"):
        load_accelerator(changed(tmp_path, lambda data: data["static"].update({key: value})))


@pytest.mark.parametrize("name", ["truenorth", "sop-45nm"])
def test_machines_without_memories_have_no_leakage(tmp_path, name):
    data = yaml.safe_load((ROOT / f"energy/accelerators/{name}.yaml").read_text())
    data["prices"]["dram.leakage_w"] = {"value": 1, "basis": "measured", "source": "me"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(InvalidInput, match="allowed are none, for this machine has no memories"):
        load_accelerator(tmp_path / "mine.yaml")


def test_a_grid_has_no_mode(tmp_path):
    with pytest.raises(InvalidInput, match="architecture: mode: unknown key"):
        load_accelerator(changed(tmp_path, lambda data: data["architecture"].update(mode="pipelined")))


def test_figures_fall_back_to_the_silicon_of_the_technology():
    assert LEAKY.leakage["weight_sram"].node_nm == 45


# What is printed and stored ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """Three steps, two hops: five machine steps on a chip."""
    path, rng = tmp_path_factory.mktemp("static") / "trace.zarr", np.random.default_rng(0)
    with TraceWriter(path, NET, 3) as writer:
        writer.append({name: rng.random((3, 4, *shape)) < 0.3 for name, (shape, _) in NET.signals.items()})
    return SpikeTrace.open(path)


def printed(*words):
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    return [" ".join(line.split()) for line in result.output.splitlines()]


def test_the_json_form_satisfies_the_schema_and_adds_up(trace):
    data = json.loads(json.dumps(estimate(trace, LEAKY).to_dict(), allow_nan=False))
    schema = json.loads((ROOT / "docs" / "estimate.schema.json").read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(data)] == []
    assert data["total_pj"] == pytest.approx(data["events_pj"] + data["static_pj"])
    assert sum(row["energy_pj"] for row in data["static_parts"]) == pytest.approx(data["static_pj"])
    assert data["leakage_w"]["state_sram"]["value"] == 0.2e-3
    assert data["static_time_s"] == data["latency_s"]


def test_the_command_line_shows_three_numbers_and_the_parts(trace):
    lines = printed("estimate", trace.path, "-a", FILE)
    assert any(line.startswith("That is the events alone; static power x time adds") for line in lines)
    assert any(line.startswith("weight_sram.leakage 0.001 ") for line in lines)
    assert not any("the modelled time of the events alone" in line for line in lines)


def test_an_accelerators_leakage_is_shown_with_its_range():
    assert any(
        line.startswith("weight_sram.leakage W 0.0005 0.001 0.004 unverified")
        for line in printed("accelerators", "show", FILE)
    )


def test_a_stored_table_has_the_static_part_of_the_estimate(tmp_path, trace):
    result = estimate(trace, LEAKY)
    stored = read_actions(write_actions(result.actions, tmp_path / "actions.parquet"))
    assert price_static(stored, LEAKY)["energy_pj"].sum() == pytest.approx(result.static_pj)
    assert price_actions(stored, LEAKY)["energy_pj"].sum() == pytest.approx(result.energy_pj)
    lines = printed("price", tmp_path / "actions.parquet", "-a", FILE)
    assert any(line.startswith("static_power.machine 0.0008 ") for line in lines)
    assert not any(line.startswith("left out: static power") for line in lines)


@pytest.mark.parametrize("name", ["loihi1-sanafe", "sop-45nm", "event-driven-45nm"])
def test_a_stored_table_has_no_static_part_where_it_cannot_be_known(trace, name):
    chip = load_accelerator(name)
    assert price_static(estimate(trace, chip).actions, chip).empty


# Chips: one inference after the other, or pipelined ------------------------------------------------------------------
def on_chip(trace, name, **change):
    chip = load_accelerator(name)
    return estimate(trace, replace(chip, architecture=replace(chip.architecture, **change)))


def test_pipelined_inferences_do_not_pay_for_the_drain(trace):
    """One core of 15.73 uW, 1 ms steps: five for one inference, three from one to the next."""
    single, pipelined = (on_chip(trace, "truenorth", mode=mode) for mode in ("single", "pipelined"))
    assert single.static_pj == pytest.approx(5 * 15730)
    assert pipelined.static_pj == pytest.approx(3 * 15730)
    assert (single.static_time_s, pipelined.static_time_s) == pytest.approx((5e-3, 3e-3))


def test_pipelining_leaves_events_and_latency(trace):
    single, pipelined = (on_chip(trace, "loihi1-sanafe", mode=mode) for mode in ("single", "pipelined"))
    assert pipelined.table.equals(single.table)
    assert pipelined.latency_s == single.latency_s
    assert pipelined.static_pj == pytest.approx(0.104 * 337.3e6 * 3)


def test_power_goes_with_the_time_between_inferences_and_delay_with_that_of_one(trace):
    result = on_chip(trace, "truenorth", mode="pipelined")
    assert result.power_w == pytest.approx(result.total_pj * 1e-12 / 3e-3)
    assert result.energy_delay_js == pytest.approx(result.total_pj * 1e-12 * 5e-3)


def test_a_trace_in_machine_time_has_no_drain_of_its_own(trace):
    modes = ("single", "pipelined")
    both = [on_chip(trace, "truenorth", mode=mode, schedule="as_recorded").static_pj for mode in modes]
    assert both == pytest.approx([3 * 15730] * 2)


def test_the_amount_of_a_pipelined_chip_is_its_own_steps(trace):
    for mode, steps in (("single", 5), ("pipelined", 3)):
        result = on_chip(trace, "truenorth", mode=mode)
        shared = shared_counts([result], [result])
        assert shared.base[shared.keys.index("static_power.core")] == steps


def test_two_modes_of_one_chip_enter_no_ratio(trace):
    single, pipelined = (on_chip(trace, "truenorth", mode=mode) for mode in ("single", "pipelined"))
    with pytest.raises(InvalidInput, match="which differ in architecture"):
        shared_counts([single], [pipelined])


# Hardware batches of a grid that leaks ------------------------------------------------------------------------------
def batched(batch, rate=0.3):
    machine = replace(LEAKY, architecture=replace(LEAKY.architecture, hardware_batch=batch))
    return estimate(bernoulli_counts(NET, rate, steps=3, seed=1), machine)


def test_static_power_of_a_batch_is_paid_once_by_all_of_it():
    """2 mW for the time of four inferences, which finish together."""
    result = batched(4)
    own = 2e9 * result.latency_s / 4
    layers = sum(result.layer_static_pj(layer.name) for layer in NET.layers)
    both = (result.actions, action_table(result.actions))
    stored = [float(price_static(each, result.accelerator)["energy_pj"].sum()) for each in both]
    assert [result.static_pj, layers, *stored] == pytest.approx([own] * 4)


def test_ratios_shares_and_sweeps_of_a_batch_take_the_time_of_one_inference():
    base, variant = batched(4), batched(4, rate=0.1)
    shared = shared_counts([base], [variant])
    amounts = [float(n[shared.keys.index("static_power.machine")]) for n in (shared.base, shared.variant)]
    assert amounts == pytest.approx([base.latency_s / 4, variant.latency_s / 4])
    assert shared.ratio == pytest.approx(base.compared_pj / variant.compared_pj)
    gap = energy_shares([base], [variant])
    assert sum(gap.energy_pj.values()) == pytest.approx(variant.compared_pj - base.compared_pj)
    row = sweep(NET, base.accelerator, rates=[0.3], steps=[2]).iloc[0]
    assert row["static_pj"] == pytest.approx(2e9 * row["latency_s"] / 4)
    assert row["compared_pj"] == pytest.approx(row["energy_pj"] + row["static_pj"])


@pytest.mark.parametrize(("layer", "signal"), [("conv", "input"), ("", "conv")])
def test_break_even_rates_of_a_batch_take_the_time_of_one_inference(layer, signal):
    reference, variant = batched(4), batched(4, rate=0.2)
    row, limit = break_even(variant, reference).set_index("layer").loc[layer], own_energy(reference, layer)
    factors = (factor * row["machine_rate"] / row["rate"] for factor in (0.97, 1.03))
    counts = (scaled_counts(variant.operations, {signal: factor}) for factor in factors)
    below, above = (own_energy(estimate(each, variant.accelerator), layer) for each in counts)
    assert below < limit < above


def test_machines_of_one_name_with_other_batches_enter_no_ratio():
    sides = [batched(1)], [batched(4)]
    with pytest.raises(InvalidInput, match="which differ in architecture"):
        shared_counts(*sides)
    with pytest.raises(InvalidInput, match="different accelerators"):
        energy_shares(*sides)
    with pytest.raises(InvalidInput, match="different accelerators"):
        break_even(sides[0][0], sides[1][0])


# Reports of a grid that leaks -----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def comparison():
    """Two seeds each; a live gate on binary weights against full precision."""
    pairs = {"SNN fp32": (net(), 0.3), "BSNN + AGMM": (net("binary", "live"), 0.1)}

    def counted(workload, rate, seed):
        found = bernoulli_counts(workload, rate, steps=3, samples=4, seed=seed)
        return replace(found, provenance={**found.provenance, "seed": seed, "dataset": "digits-events"})

    made = {name: [estimate(counted(*pair, seed), LEAKY) for seed in range(2)] for name, pair in pairs.items()}
    return compare(made, "SNN fp32")


def test_the_ratio_of_a_report_is_that_of_totals(comparison):
    row = comparison.summary().set_index("variant").loc["BSNN + AGMM"]
    pairs = list(zip(*comparison.estimates.values(), strict=True))
    totals = [[each.energy_pj + 2e9 * each.latency_s for each in pair] for pair in pairs]
    assert row["ratio"] == pytest.approx(np.mean([base / ours for base, ours in totals]))
    assert row["static_nj"] == pytest.approx(np.mean([2e6 * ours.latency_s for _, ours in pairs]))
    assert row["static_time_us"] == pytest.approx(row["latency_us"])


def test_single_inferences_of_a_report_have_their_own_static_part(comparison):
    data = full_tables.per_sample(comparison)
    assert data["static_pj"].to_numpy() == pytest.approx(2e9 * data["latency_s"].to_numpy())
    assert data["static_pj"].nunique() > 2


def test_the_prices_of_a_report_have_every_power_with_its_source(comparison):
    data = full_tables.prices(comparison).set_index("action")
    assert data.loc["weight_sram.leakage", ["low", "value", "high"]].tolist() == pytest.approx([5e8, 1e9, 4e9])
    assert data.loc["static_power.machine", "source"] == "an example for logic and clock"
    assert "outside" not in str(data.loc["dram.leakage", "reason"])
    assert data.loc["dram.leakage", "reason"] == "another chip, which other users share"


def test_what_the_gate_costs_has_the_static_part_of_its_time(comparison):
    rows = full_tables.gate_cost(comparison).set_index("part")
    live = comparison.estimates["BSNN + AGMM"]
    times = [[each.latency_s, full_tables.folded(each).latency_s] for each in live]
    with_gate, without = np.mean(times, axis=0)
    still = rows.loc["static power \N{MULTIPLICATION SIGN} time"]
    assert still["difference_pj"] == pytest.approx(2e9 * (with_gate - without))
    assert rows["live_pj"].sum() == pytest.approx(np.mean([each.total_pj for each in live]))


def test_the_time_of_a_gate_is_that_of_one_inference_of_a_batch():
    grid = LEAKY.architecture
    machine = replace(LEAKY, architecture=replace(grid, hardware_batch=4, clock_hz=1e4))
    live = estimate(bernoulli_counts(net("binary", "live"), 0.1, steps=3), machine)
    made = compare({"AGMM": [live]}, "AGMM")
    with_gate, without = (each.latency_s / 4 for each in (live, full_tables.folded(live)))
    times = f"and {number(1e3 * (with_gate - without))} of {number(1e3 * with_gate)} ms per inference"
    assert times in gate_sentence(made, "AGMM", full_tables.gate_cost(made))


def test_the_section_on_the_ratio_speaks_of_powers(comparison):
    text = " ".join(block.text for block in made_of(comparison) if isinstance(block, Paragraph))
    assert "is the ratio of totals, in which static power" in text
    assert "logic, SRAM and static" in text.replace("DRAM, ", "")


def test_the_page_has_three_numbers_and_no_omission_of_static_power(comparison):
    blocks = [block for section in build_report(comparison).sections for block in section.blocks]
    page = " ".join(map(str, blocks))  # nothing drawn
    assert "leaking-grid has three numbers: the energy of events" in page
    assert "1.00 mW leakage of weight_sram, 200 µW leakage of state_sram and 800 µW of the rest of the machine" in page
    assert "goes with the time of each inference" in page
    assert "modelled time of an inference" in page
    assert "no leakage figure with a source" not in page
    assert "If every neuron of both networks fired at the same rate" in page
    assert "Not varied here: accelerator 'leaking-grid' gives prices.weight_sram.leakage_w" in page.replace("\\'", "'")


def test_a_pipelined_chip_says_so(trace):
    told = three_numbers({"x": (on_chip(trace, "truenorth", mode="pipelined"),)})
    assert "3 machine steps from one inference to the next, pipelined" in told
    assert told.endswith("delay is the total times the time of 5 machine steps, those of one inference.")
