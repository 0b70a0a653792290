"""The front of an ablation: what dominates what, what counts as equal, how far spikes fall, and the report of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from spikejoule.reports.ablation.pareto import (
    ALL,
    best_twin,
    equal_points,
    equal_twin,
    non_dominated,
    savings,
    settings,
)
from spikejoule.reports.ablation.pareto_figures import Against, accuracy_front, energy_rate, rate_words
from spikejoule.reports.ablation.pareto_pairs import pair_words, paired_settings
from spikejoule.reports.ablation.pareto_report import build_front
from spikejoule.reports.ablation.pareto_tables import axis_value
from spikejoule.reports.ablation.results import AblationResults
from spikejoule.reports.page import plotting
from spikejoule.reports.page.blocks import Bullets, Paragraph, SideBySide, Table
from spikejoule.reports.page.write import write_report
from spikejoule.sim.errors import InvalidInput

CHIP, OTHER = "event-driven-45nm", "sop-45nm"

# variant, penalty, width, validation and test accuracy, SOPs, rate, nJ; two seeds are made of each
POINTS = [
    ("BSNN", 0.0, 1.0, 0.970, 0.968, 400e3, 0.20, 500),
    ("BSNN", 1.0, 1.0, 0.965, 0.972, 100e3, 0.05, 200),
    ("BSNN", 3.0, 1.0, 0.940, 0.941, 50e3, 0.02, 150),
    ("BSNN + AGMM", 0.0, 1.0, 0.975, 0.970, 300e3, 0.15, 450),
    ("BSNN + AGMM", 1.0, 1.0, 0.950, 0.955, 90e3, 0.04, 210),
]
TWINS = [
    ("SNN int8", 0.0, 1.0, 0.980, 0.976, 410e3, 0.21, 900),
    ("SNN int8", 0.0, 0.5, 0.972, 0.969, 120e3, 0.20, 320),
    ("SNN int8", 0.0, 0.25, 0.900, 0.910, 40e3, 0.20, 120),
]


def rows(known, twin):
    for variant, penalty, width, validation, test, sops, rate, energy_nj in known:
        for seed, off in ((0, -0.002), (1, 0.002)):
            yield {
                "run": f"{variant}-{penalty}-{width}-{seed}", "setting": f"{variant}-{penalty}-{width}",
                "variant": variant, "seed": seed, "point": not twin, "twin": twin, "width": width,
                "rate_penalty": penalty, "state_bits": 32, "status": "finished", "error": "",
                "validation_accuracy": validation + off, "test_accuracy": test - off, "test_samples": 360,
                "synaptic_operations": sops, "firing_rate": rate, "sign_flips": None if twin else 10.0,
                "model_bytes": 4000, f"{CHIP}.energy_pj": energy_nj * 1e3, f"{CHIP}.validation_pj": energy_nj * 1e3,
            }  # fmt: skip


@pytest.fixture
def table():
    return pd.DataFrame([*rows(POINTS, twin=False), *rows(TWINS, twin=True)])


@pytest.fixture
def found(table):
    return settings(table, CHIP, ("rate_penalty",))


@pytest.fixture
def data(table):
    rates = {"rate": 0.2, "reference_rate": 0.2, "compute_rate": np.inf, "machine_rate": 0.12}
    rates |= {"accelerator": CHIP, "twin_setting": "SNN int8-0.0-0.5", "refused": ""}
    break_even = [{**rates, "variant": "BSNN", "setting": "BSNN-0.0-1.0", "seed": seed} for seed in (0, 1)]
    other = {"variant": "BSNN + AGMM", "setting": "BSNN + AGMM-0.0-1.0", "machine_rate": np.nan}
    break_even.append({**break_even[0], **other})
    failed = {**table.iloc[0].to_dict(), "run": "dead", "seed": 9, "status": "failed", "error": "module:1 in f\nOops"}
    whole = pd.concat([table, pd.DataFrame([failed])], ignore_index=True)
    whole[f"{OTHER}.refused"] = "it cannot"
    title = "<b>Front</b> #panic() $x$"
    return AblationResults(title, whole, ("rate_penalty",), (CHIP, OTHER), "SNN int8", 0.01, pd.DataFrame(break_even))


def test_the_front_is_what_no_other_point_beats_in_a_random_cloud():
    rng = np.random.default_rng(5)
    energy, accuracy = rng.integers(8, size=60).astype(float), rng.integers(8, size=60).astype(float)
    expected = [
        not any(
            (e <= energy[i] and a >= accuracy[i]) and (e < energy[i] or a > accuracy[i])
            for e, a in zip(energy, accuracy, strict=True)
        )
        for i in range(60)
    ]
    assert non_dominated(energy, accuracy).tolist() == expected


def test_a_setting_is_the_mean_over_its_seeds(found):
    row = found.iloc[0]
    assert (row["seeds"], row["energy_pj"], row["synaptic_operations"]) == (2, 500e3, 400e3)
    assert row["test_accuracy"] == pytest.approx(0.968)
    assert row["test_accuracy_spread"] == pytest.approx(0.002 * 2**0.5)


def test_fronts_are_chosen_on_validation_data_among_points_only(found):
    on = found[found["front"]]["setting"].tolist()
    assert on == ["BSNN-1.0-1.0", "BSNN-3.0-1.0", "BSNN + AGMM-0.0-1.0"]
    assert found[found["variant_front"]]["setting"].tolist() == [
        "BSNN-0.0-1.0", "BSNN-1.0-1.0", "BSNN-3.0-1.0", "BSNN + AGMM-0.0-1.0", "BSNN + AGMM-1.0-1.0",
    ]  # fmt: skip


def test_a_failed_run_is_in_no_mean(data, found):
    assert data.settings()["seeds"].tolist() == found["seeds"].tolist()


def test_the_twin_to_beat_is_the_cheapest_within_the_tolerance_of_the_best(found):
    assert best_twin(found)["width"] == 1.0
    assert equal_twin(found, 0.01)["width"] == 0.5
    assert equal_twin(found, 0.005)["width"] == 1.0
    assert equal_twin(found, 0.1)["width"] == 0.25


def test_the_point_that_is_set_against_the_twin_is_the_cheapest_above_the_line(found):
    # the best twin reaches 98.0 %
    assert equal_points(found, 0.01)["setting"].tolist() == ["BSNN-0.0-1.0", "BSNN + AGMM-0.0-1.0"]
    assert equal_points(found, 0.016)["setting"].tolist() == ["BSNN-1.0-1.0", "BSNN + AGMM-0.0-1.0"]
    assert equal_points(found, 0.004).empty


def test_savings_are_ranges_of_synaptic_operations_within_the_tolerance(found):
    saved = savings(found, 0.01).set_index("group")
    assert saved["range"].to_dict() == pytest.approx({"BSNN": 4.0, "BSNN + AGMM": 1.0, ALL: 4.0})
    assert saved.loc[ALL, "least_setting"] == "BSNN-1.0-1.0"
    assert saved.loc["BSNN", "least_drop"] == pytest.approx(0.968 - 0.972)


def test_a_machine_that_priced_nothing_has_no_settings(table):
    assert settings(table, OTHER).empty
    assert savings(settings(table, OTHER), 0.01).empty


def test_a_swept_twin_is_named_by_what_differs_among_twins(data):
    """A penalised twin that is as accurate as the best and cheaper than any other is the one to beat."""
    cheap = pd.DataFrame([*rows([("SNN int8", 2.0, 1.0, 0.979, 0.975, 90e3, 0.04, 250)], twin=True)])
    swept = replace(data, table=pd.concat([data.table, cheap], ignore_index=True))
    bullets = next(b for s in build_front(swept).sections for b in s.blocks if isinstance(b, Bullets))
    assert "2.00 times more energy than SNN int8, width 1, rate penalty 2 (97.5 % test accuracy)" in bullets.items[0]
    axes = accuracy_front(Figure().subplots(), swept.settings(), {})
    assert axes.lines[0].get_xdata().tolist() == [120, 250, 900]  # nJ: 320 is beaten in energy and accuracy


def test_the_report_says_what_was_found(data):
    report = build_front(data)
    blocks = [block for section in report.sections for block in section.blocks]
    lead = next(block for block in blocks if isinstance(block, Paragraph))
    assert "spans 4.00 times in synaptic operations, 400 down to 100 thousand" in lead.text
    bullets = next(block for block in blocks if isinstance(block, Bullets))
    # the line is 98.0 - 1 = 97.0 % on validation data: only the 500 nJ setting reaches it, 500 / 320 = 1.56
    assert (
        "BSNN uses 1.56 times more energy than SNN int8, width 0.5 (96.9 % test accuracy), at 96.8 % test accuracy"
        in bullets.items[0]
    )
    assert "break-even firing rate 12.0 %. Against that twin, paired over 2 seeds: " in bullets.items[0]
    assert "break-even firing rate none, dearer even if silent." in bullets.items[1]
    assert [section.title for section in report.sections][-2:] == ["Failed runs", "How to read this"]
    failed = next(block for block in blocks if isinstance(block, Table) and block.name == "failed")
    assert failed.rows == (("dead", "BSNN", "9", "Oops"),)


def test_narrow_states_show_how_many_spikes_differ_beside_their_accuracy_and_energy(data):
    data.table["spike_mismatch"] = np.nan
    data.table.loc[data.table["setting"] == "BSNN-0.0-1.0", ["state_bits", "spike_mismatch"]] = 8, 0.123
    table = build_front(replace(data, axes=("state_bits",))).sections[2].blocks[0]
    column = [shown.label for shown in table.columns].index("Spikes that differ")
    shown = {(row[0], row[1]): row[column] for row in table.rows}
    assert shown["BSNN", "8"] == "12.3"
    assert shown["SNN int8", "32"] == "\N{EN DASH}"


def test_a_break_even_that_was_refused_is_left_out_with_its_reason(data):
    refused = data.break_even.assign(refused=["", "", "it cannot be scaled"])
    blocks = build_front(replace(data, break_even=refused)).sections[0].blocks
    bullets = next(block for block in blocks if isinstance(block, Bullets))
    assert ["break-even" in item for item in bullets.items] == [True, False]
    assert blocks[-1] == Paragraph("No break-even firing rate of BSNN + AGMM: it cannot be scaled.", "note")
    rates = next(block for block in blocks if isinstance(block, Table) and block.name == "break-even-rates")
    assert [row[0] for row in rates.rows] == ["BSNN"]


def test_a_break_even_of_other_settings_than_those_compared_stands_in_its_table_alone(data):
    """As where a narrow state, which has no break-even, is cheaper than the float one that has."""
    elsewhere = data.break_even.assign(setting=["BSNN-1.0-1.0", "BSNN-1.0-1.0", "BSNN + AGMM-0.0-1.0"])
    told = replace(data, break_even=elsewhere)
    assert told.rates(CHIP)["BSNN"] == pytest.approx(0.12)
    assert list(told.rates_of(CHIP, told.settings())) == ["BSNN + AGMM"]
    bullets = next(b for b in build_front(told).sections[0].blocks if isinstance(b, Bullets))
    assert ["break-even" in item for item in bullets.items] == [False, True]


def test_a_variant_below_the_line_is_told_so(data):
    data.table.loc[data.table["variant"] == "BSNN", "validation_accuracy"] -= 0.2
    bullets = build_front(data).sections[0].blocks[1]
    assert bullets.items[0].startswith("No setting of BSNN reaches the line")


def test_without_any_finished_run_the_report_says_so(data):
    data.table[["status", "error"]] = "failed", "Oops"
    assert data.headline().startswith("No setting finished")
    assert build_front(data).sections[0].blocks == (Paragraph(data.headline(), "lead"),)


def test_without_twins_there_is_no_line(data):
    data.table["twin"] = False
    blocks = build_front(data).sections[0].blocks
    assert "No twin was trained" in blocks[1].items[0]
    assert isinstance(blocks[2], SideBySide)


def seeded(setting, accuracies, energies, seeds=(0, 1, 2), **fields):
    for seed, accuracy, energy in zip(seeds, accuracies, energies, strict=True):
        yield {
            "setting": setting, "seed": seed, "status": "finished", "test_accuracy": accuracy,
            f"{CHIP}.energy_pj": energy, **fields,
        }  # fmt: skip


def test_two_settings_are_compared_by_seed():
    """By hand: differences of -1, -1 and -4 points and of -50, -40 and -60 %; Student's t at 5 % and 2 degrees is 4.30.

    t of the points is 2 / (sqrt 3 / sqrt 3) = 2, of the percents 50 / (10 / sqrt 3) = 8.66.
    """
    ours = seeded("sparse", (0.95, 0.94, 0.92), (50, 60, 40))
    theirs = seeded("best", (0.95, 0.96, 0.96), (100, 100, 100), seeds=(1, 0, 2))
    pair = paired_settings(pd.DataFrame([*ours, *theirs]), CHIP, "sparse", "best")
    assert pair["pairs"] == 3
    assert [pair[f"accuracy_{part}"] for part in ("difference", "low", "high")] == pytest.approx([-2, -4, -1])
    assert [pair[f"energy_{part}"] for part in ("difference", "low", "high")] == pytest.approx([-50, -60, -40])
    assert (pair["accuracy_distinguishable"], pair["energy_distinguishable"]) == (False, True)
    assert pair_words(pair).replace("\N{MINUS SIGN}", "-") == (
        "paired over 3 seeds: accuracy -2.00 points (-4.00 to -1.00), not distinguishable; "
        "energy -50.0 % (-60.0 to -40.0), distinguishable"
    )


def test_seeds_that_failed_on_one_side_are_in_no_pair():
    ours = [*seeded("a", (0.9, 0.9, 0.9), (1, 1, 1))]
    theirs = [*seeded("b", (0.9, 0.8, 0.7), (2, 2, 2))]
    theirs[0]["status"], ours[2][f"{CHIP}.energy_pj"] = "failed", None
    pair = paired_settings(pd.DataFrame(ours + theirs), CHIP, "a", "b")
    assert (pair["pairs"], pair["accuracy_difference"]) == (1, pytest.approx(10))


def test_one_seed_has_no_interval_and_the_report_says_so(data):
    one = replace(data, table=data.table[data.table["seed"] == 0])
    pair = one.savings().iloc[-1]
    assert (pair["pairs"], pair["accuracy_difference"]) == (1, pytest.approx(100 * (0.972 - 0.970)))
    assert pd.isna(pair["accuracy_low"])
    assert pd.isna(pair["accuracy_distinguishable"])
    assert "The sparsest against the best, one seed in common, so no interval exists." in one.headline()
    bullets = next(b for s in build_front(one).sections for b in s.blocks if isinstance(b, Bullets))
    assert bullets.items[0].endswith("Against that twin, one seed in common, so no interval exists.")


def test_every_setting_is_paired_with_the_twin_to_beat(data):
    table = next(
        b for s in build_front(data).sections for b in s.blocks if isinstance(b, Table) and b.name == "settings"
    )
    found = table.data.set_index("setting")
    assert set(found["twin_setting"].dropna()) == {"SNN int8-0.0-0.5"}
    assert found.loc["BSNN-1.0-1.0", ["accuracy_difference", "energy_difference"]].tolist() == pytest.approx(
        [100 * (0.972 - 0.969), -100 * (1 - 200 / 320)]
    )
    assert found.loc[found["twin"], "pairs"].isna().all()


def test_html_and_pdf_are_written_with_the_table_beside_them(data, tmp_path):
    html, pdf = write_report(build_front(data), tmp_path / "front")
    assert "&lt;b&gt;Front" in html.read_text()
    assert pdf.read_bytes().startswith(b"%PDF")
    assert len(pd.read_parquet(tmp_path / "front-tables" / "ablation.parquet")) == len(data.table)


def test_the_front_figure_has_the_line_of_equal_accuracy_and_the_break_even(found):
    axes = Figure().subplots()
    against = Against("SNN int8, width 0.5", 0.966, 320e3, 0.969)
    styles = plotting.looks(["BSNN", "BSNN + AGMM"])
    assert accuracy_front(axes, found, styles, against, {"BSNN": 0.12}) is axes
    lines = {(tuple(line.get_xdata()), tuple(line.get_ydata())) for line in axes.lines}
    assert ((0, 1), (96.6, 96.6)) in lines
    assert ((320.0, 320.0), (0, 1)) in lines
    assert any("BSNN: 12.0 %" in text.get_text() for text in axes.texts)


def test_settings_of_collapsed_accuracy_do_not_squash_the_axis(found):
    found.loc[2, "test_accuracy"] = 0.1
    axes = Figure().subplots()
    accuracy_front(axes, found, plotting.looks(["BSNN"]), Against("twin", 0.966, 320e3, 0.97))
    assert axes.get_ylim()[0] > 80


def test_the_rate_figure_marks_where_a_variant_breaks_even(found):
    axes = Figure().subplots()
    styles = plotting.looks(["BSNN", "BSNN + AGMM"])
    assert (
        energy_rate(axes, found, styles, Against("twin", 0.966, 320e3, 0.97), {"BSNN": 0.12, "BSNN + AGMM": np.inf})
        is axes
    )
    marks = [
        tuple(map(float, (*line.get_xdata(), *line.get_ydata()))) for line in axes.lines if line.get_marker() == "o"
    ]
    assert marks == [(12.0, 320.0)]


@pytest.mark.parametrize(
    ("rate", "words"), [(0.123, "12.3 %"), (np.inf, "none, cheaper at any"), (np.nan, "none, dearer even if silent")]
)
def test_break_even_in_words(rate, words):
    assert rate_words(rate) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.5, "0.5"),
        (8, "8"),
        ("hinge", "hinge"),
        ("0.0", "0"),
        ("null", "none"),
        ('[["conv1", 0.02], ["conv2", 0.05]]', "conv1 0.02, conv2 0.05"),
        ('{"kind": "agmm", "detach": true}', "kind agmm, detach True"),
    ],
)
def test_values_of_axes_in_words(value, words):
    assert axis_value(value) == words


def test_a_report_in_the_way_of_another_file_is_refused(data, tmp_path):
    with pytest.raises(InvalidInput, match="is a folder"):
        write_report(build_front(data), tmp_path)
