"""Reports of many-core chips: three numbers everywhere, the band against silicon, and what a chip cannot run."""

import html
import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.energy.pricing.estimate_variants import estimate_variants
from spikejoule.reports.compare import compare
from spikejoule.reports.comparison import full_tables
from spikejoule.reports.page import render
from spikejoule.reports.page.blocks import Paragraph, Table
from spikejoule.reports.sections.contents import build_report, sentences
from spikejoule.reports.sections.headline import headline
from spikejoule.reports.sections.ratio_parts import made_of
from spikejoule.sim.network.workload import Linear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
LOIHI, TRUENORTH, SOP = (load_accelerator(name) for name in ("loihi1-sanafe", "truenorth", "sop-45nm"))


def recorded(path, rate, seed, weight_kind, gate=None):
    first = Linear(name="fc1", in_shape=(40,), out_features=300, weight_kind=weight_kind, gate=gate)
    last = Linear(name="out", in_shape=(300,), out_features=4, source="fc1", neuron="readout")
    net = Workload(name="mlp", input_shape=(40,), layers=(first, last))
    rng = np.random.default_rng(seed)
    with TraceWriter(path, net, 3, provenance={"seed": seed, "dataset": "digits-events"}) as writer:
        spikes = {name: rng.random((3, 8, *shape)) < rate for name, (shape, _) in net.signals.items()}
        writer.append(spikes, labels=np.arange(8) % 4, predictions=np.arange(8) % 4)
    return SpikeTrace.open(path)


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    made = {"SNN fp32": (0.3, "float", None), "BSNN + AGMM": (0.2, "binary", "live"), "BSNN": (0.1, "binary", None)}
    return {
        name: [recorded(folder / f"{name}{seed}.zarr", rate, seed, kind, gate) for seed in range(2)]
        for name, (rate, kind, gate) in made.items()
    }


@pytest.fixture(scope="module")
def comparison(traces):
    priced = [estimate_variants(traces, machine, "SNN fp32") for machine in (LOIHI, TRUENORTH)]
    kept = {name: traces[name] for name in priced[0].estimates}
    simple = {name: [estimate(each, SOP) for each in group] for name, group in kept.items()}
    refused = {machine.name: one.refused for machine, one in zip((LOIHI, TRUENORTH), priced, strict=True)}
    return compare(priced[0].estimates, "SNN fp32", [priced[1].estimates, simple], refused=refused)


@pytest.fixture(scope="module")
def page(comparison):
    return html.unescape(re.sub("<[^>]+>", " ", render.html(build_report(comparison), NOON)))


def row(comparison, variant="BSNN"):
    return comparison.summary().set_index("variant").loc[variant]


def test_the_ratio_of_a_chip_is_that_of_totals_and_the_events_stand_beside_it(comparison):
    sides = [comparison.estimates[name] for name in ("SNN fp32", "BSNN")]
    events = np.array([[each.table["energy_pj"].sum() for each in side] for side in sides])
    static = 104e-3 * 337.3e-6 * 5 * 1e12  # one chip, five machine steps: three and one per hop
    total = events + static
    assert row(comparison)["ratio"] == pytest.approx((total[0] / total[1]).mean())
    assert row(comparison)["events_ratio"] == pytest.approx((events[0] / events[1]).mean())
    assert row(comparison)["total_nj"] == pytest.approx(total[1].mean() / 1e3)
    assert row(comparison)["static_nj"] == pytest.approx(static / 1e3)


def test_energy_times_delay_is_the_total_times_the_time_of_the_static_part(comparison):
    assert row(comparison)["energy_delay_pj_s"] == pytest.approx(row(comparison)["total_nj"] * 1e3 * 337.3e-6 * 5)


def test_the_bounds_hold_the_ratio_of_mean_totals(comparison):
    summary = comparison.summary().set_index("variant")
    ratio = summary.loc["SNN fp32", "total_nj"] / summary.loc["BSNN", "total_nj"]
    assert summary.loc["BSNN", "ratio_low"] - 1e-12 <= ratio <= summary.loc["BSNN", "ratio_high"] + 1e-12


def test_the_headline_gives_three_numbers_and_both_ratios(comparison):
    sentence = headline(comparison)
    assert re.search(r"BSNN uses .* per inference on loihi1-sanafe, .* of it in events and 175 µJ static", sentence)
    assert re.search(r"in total 0\.1\d\d % less than SNN fp32, which is distinguishable", sentence)
    assert re.search(r"in events alone [\d.]+ times less than SNN fp32, which is distinguishable", sentence)


def test_verdicts_speak_of_the_total_and_of_the_events(comparison):
    (verdict,) = sentences.verdicts(comparison)
    assert "on total energy: " in verdict
    assert "; events alone " in verdict


def test_paired_differences_have_the_total_beside_the_events(comparison):
    data = comparison.paired().set_index("quantity")
    assert data.loc["total_pj", "difference"] == pytest.approx(data.loc["energy_pj", "difference"])
    assert data.loc["total_pj", "value"] > data.loc["energy_pj", "value"]


def test_single_inferences_carry_the_static_part(comparison):
    data = full_tables.per_sample(comparison)
    assert data["total_pj"].to_numpy() == pytest.approx((data["energy_pj"] + data["static_pj"]).to_numpy())
    assert data["static_pj"].nunique() == 1


def test_the_page_names_the_numbers_the_idle_and_the_band(page):
    assert "has three numbers: the energy of events" in page
    assert "idle is not one number" in page
    assert "rates assumed where not published, 0.0107 to 1.13 of dynamic above a known idle" in page
    assert "dynamic, above the idle after a first run" in page
    assert "this machine was set against" in page
    assert "not validated against silicon" not in page


def test_machines_that_are_no_chips_have_no_band(page):
    assert "sop-45nm, predicted over measured: none: not a chip" in page


def test_static_power_stands_among_the_prices(comparison):
    data = full_tables.prices(comparison).set_index(["accelerator", "action"])
    assert data.loc[("truenorth", "static_power.core"), "value"] == pytest.approx(15730)
    assert "Frady" in data.loc[("loihi1-sanafe", "static_power.chip"), "source"]


def test_a_variant_that_was_not_run_is_named_with_its_reason(page):
    assert "Not run on loihi1-sanafe: BSNN + AGMM; layer 'fc1' has a live gate" in page


def test_the_section_on_the_ratio_says_what_a_chip_cannot_tell(comparison):
    found = made_of(comparison)
    assert [block.name for block in found if isinstance(block, Table)] == ["sensitivity"]
    text = " ".join(block.text for block in found if isinstance(block, Paragraph))
    assert "no Shapley shares and no break-even rates here" in text
    assert "of the events alone it is" in text


def test_the_warnings_stand_in_the_table_itself(comparison):
    report = build_report(comparison)
    shown = next(b for section in report.sections for b in section.blocks if getattr(b, "name", "") == "summary")
    assert [line[0].split("\n") for line in shown.rows] == [[name, "priced, not run"] for name in comparison.estimates]
    assert shown.columns[-1].label == "Notes"
    assert "(1) priced, not run: recorded with 32-bit float potentials" in shown.caption
    assert shown.data["warnings"].str.contains("priced, not run").all()


def test_everything_is_written_as_pdf_too(comparison):
    assert render.pdf(build_report(comparison), NOON).startswith(b"%PDF")


def test_without_static_power_nothing_changes(traces):
    plain = {name: [estimate(each, SOP) for each in traces[name]] for name in ("SNN fp32", "BSNN")}
    summary = compare(plain, "SNN fp32").summary()
    assert summary[["static_nj", "total_nj"]].isna().all(axis=None)
    pd.testing.assert_series_equal(summary["ratio"], summary["events_ratio"], check_names=False)


@pytest.mark.parametrize("quiet", ["SNN fp32", "BSNN"])
def test_a_silent_network_has_a_ratio_of_totals_and_none_of_events(tmp_path, quiet):
    made = {
        name: [
            estimate(recorded(tmp_path / f"{name}{seed}.zarr", 0.3 * (name != quiet), seed, "binary"), TRUENORTH)
            for seed in range(2)
        ]
        for name in ("SNN fp32", "BSNN")
    }
    found = compare(made, "SNN fp32")
    assert row(found, quiet)["energy_nj"] == 0
    assert row(found)[["events_ratio", "events_ratio_low", "events_ratio_high"]].isna().all()
    sides = zip(*made.values(), strict=True)
    assert row(found)["ratio"] == pytest.approx(np.mean([base.total_pj / each.total_pj for base, each in sides]))
    text = html.unescape(re.sub("<[^>]+>", " ", render.html(build_report(found), NOON)))
    assert "in events alone in no ratio to SNN fp32, for one of the two has none" in text
    assert "the events alone have no ratio" in text
    assert " nan" not in text.lower()
