"""The report of an ablation: how far energy falls at equal accuracy, and at which firing rate the advantage ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from ...sim.readable_numbers import listed, number
from ..page import plotting
from ..page.blocks import NARROW, Block, Bullets, Figure, Heading, Paragraph, Report, Section, SideBySide
from . import pareto_figures
from .pareto import best_twin, equal_points, equal_twin
from .pareto_figures import Against
from .pareto_pairs import pair_words, paired_settings
from .pareto_tables import AXIS_WORDS, axis_value, break_even_table, every_setting, failures, savings_table
from .results import AblationResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

HEIGHT = 3.3  # inches


def build_front(data: AblationResults) -> Report:
    """The whole report; `front` alone is the section that another report may hold."""
    seeds = data.table["seed"].nunique()
    samples = data.table.get("test_samples", pd.Series(dtype=float)).max()
    runs = f"{len(data.table)} runs, {seeds} seed{'s' * (seeds != 1)}"
    subtitle = (
        f"{runs}; {number(samples, decimals=0)} test samples; {listed(data.accelerators)}. "
        f"Simulated energy, not validated against silicon."
    )
    sections = [Section("The front", tuple(front(data)))]
    if len(data.accelerators) > 1:
        sections.append(Section("Other accelerators", tuple(_elsewhere(data))))
    sections.append(Section("Every setting", (every_setting(data),)))
    if len(data.failed):
        sections.append(Section("Failed runs", (failures(data),)))
    sections.append(Section("How to read this", (_notes(data),)))
    return Report(data.title, subtitle, tuple(sections), {"ablation": data.table, "break-even": data.break_even})


def front(data: AblationResults) -> list[Block]:
    """Lead sentence, what each variant reaches, the two figures of the first accelerator, and the savings."""
    machine = data.accelerators[0]
    found, saved = data.settings(), data.savings()
    blocks: list[Block] = [Paragraph(data.headline(), "lead")]
    if saved.empty:
        return blocks
    verdicts = _verdicts(data, found, machine)
    blocks += [Bullets(tuple(verdicts))] if verdicts else []
    blocks += [_figures(data, machine), savings_table(saved, data)]
    blocks += [break_even_table(data, machine)] if data.rates(machine) else []
    return [*blocks, *_without_break_even(data, machine)]


def _without_break_even(data: AblationResults, machine: str) -> list[Block]:
    reasons = data.no_rates(machine)
    whose = {reason: listed([name for name in reasons if reasons[name] == reason]) for reason in reasons.values()}
    return [Paragraph(f"No break-even firing rate of {names}: {reason}.", "note") for reason, names in whose.items()]


def _against(data: AblationResults, found: pd.DataFrame) -> Against | None:
    best, twin = best_twin(found), equal_twin(found, data.tolerance)
    if best is None or twin is None:
        return None
    line = float(best["test_accuracy"]) - data.tolerance
    return Against(_twin_name(data, found, twin), line, float(twin["energy_pj"]), float(twin["test_accuracy"]))


def _twin_name(data: AblationResults, found: pd.DataFrame, twin: pd.Series) -> str:
    """Its variant, width, and whatever else differs among the twins."""
    twins = found[found["twin"]]
    varied = [axis for axis in data.axes if axis != "width" and twins[axis].nunique(dropna=False) > 1]
    words = [f"{AXIS_WORDS.get(axis, axis)} {axis_value(twin[axis])}" for axis in varied]
    return ", ".join([str(twin["variant"]), f"width {twin['width']:g}", *words])


def _verdicts(data: AblationResults, found: pd.DataFrame, machine: str) -> list[str]:
    """Per variant: its cheapest setting of equal accuracy against the cheapest twin of equal accuracy."""
    best, twin, against = best_twin(found), equal_twin(found, data.tolerance), _against(data, found)
    if best is None or twin is None or against is None:
        return ["No twin was trained, so there is no line of equal accuracy and no break-even."]
    rates = data.rates_of(machine, found)
    told, equal = [], equal_points(found, data.tolerance).set_index("variant")
    for name in found.loc[found["point"], "variant"].unique():
        if name not in equal.index:
            told.append(f"No setting of {name} reaches the line: {data.points} below the best {best['variant']}.")
            continue
        chosen = equal.loc[name]
        ratio = against.energy_pj / chosen["energy_pj"]
        change = f"{number(ratio)} times less" if ratio >= 1 else f"{number(1 / ratio)} times more"
        reached = number(100 * chosen["test_accuracy"], decimals=1), number(100 * chosen["firing_rate"])
        theirs = number(100 * against.reached, decimals=1)
        sentence = f"{name} uses {change} energy than {against.name} ({theirs} % test accuracy)"
        sentence += f", at {reached[0]} % test accuracy and {reached[1]} % firing"
        known = name in rates
        sentence += f"; break-even firing rate {pareto_figures.rate_words(rates[name])}" if known else ""
        pair = paired_settings(data.table, machine, chosen["setting"], twin["setting"])
        told.append(f"{sentence}. Against that twin, {pair_words(pair)}.")
    return told


def _figures(data: AblationResults, machine: str) -> SideBySide:
    found = data.settings(machine)
    rates = data.rates_of(machine, found)
    against = _against(data, found)
    styles = plotting.looks([str(name) for name in found.loc[found["point"], "variant"].unique()])

    def left(canvas: Canvas) -> None:
        pareto_figures.accuracy_front(canvas.subplots(), found, styles, against, rates)
        plotting.variant_legend(canvas, styles, columns=2)

    def right(canvas: Canvas) -> None:
        pareto_figures.energy_rate(canvas.subplots(), found, styles, against, rates)
        plotting.variant_legend(canvas, styles, columns=2)

    hidden = int((found["test_accuracy"] < pareto_figures.lowest_shown(found, against)).sum())
    first = f"Accuracy against energy on {machine}. Large and joined: a variant's front, chosen on validation data."
    second = "Energy against the firing rate, every setting."
    if against is not None:
        first += (
            f" Stars: {data.reference} by width. Dashed: {data.points} below the best of them; dotted: the energy of "
            f"the cheapest that is equal ({against.name})."
        )
        second += f" Dotted: {against.name}; open marks: where a variant's energy reaches it, its events scaled."
    if hidden:
        first += f" Below the axis: {hidden} setting{'s' * (hidden != 1)}."
    return SideBySide(
        Figure(f"front-{machine}", first, left, NARROW, HEIGHT),
        Figure(f"rate-{machine}", second, right, NARROW, HEIGHT),
    )


def _elsewhere(data: AblationResults) -> list[Block]:
    blocks: list[Block] = []
    for machine in data.accelerators[1:]:
        blocks.append(Heading(machine))
        refused = data.table.get(f"{machine}.refused", pd.Series(dtype=object)).dropna()
        for reason, runs in refused.groupby(refused, sort=True).size().items():
            blocks.append(Paragraph(f"{runs} runs have no energy here: {reason}", "note"))
        found = data.settings(machine)
        if found["point"].any():
            verdicts = _verdicts(data, found, machine)
            blocks += [Bullets(tuple(verdicts)), _figures(data, machine), *_without_break_even(data, machine)]
        else:
            blocks.append(Paragraph("It can price none of the settings."))
    return blocks


def _notes(data: AblationResults) -> Bullets:
    samples = data.table.get("test_samples", pd.Series(dtype=float)).max()
    error = 100 * math.sqrt(0.95 * 0.05 / samples) if samples == samples and samples else math.nan
    chosen = (
        "Which settings form a front, which is best and which are equal is decided on validation data, by accuracy and "
        "by the energy of those inferences. The accuracies and energies shown were measured on test data, which had no "
        "part in any choice; so a front may dip in the figure."
    )
    paired = (
        "Differences in brackets are 95 % bootstraps of the differences by seed, on test data; distinguishable means "
        "that the interval leaves out zero and that a paired t-test at 5 % does too. Two seeds can hardly show "
        "anything, one nothing at all."
    )
    sure = (
        f"A single test accuracy near 95 % has a binomial standard error of {number(error, digits=2)} points, and "
        f"seeds share their test samples: differences of about that size show nothing."
    )
    energies = (
        "Energies are per inference, mean over test samples and seeds; a break-even scales a variant's events and says "
        "nothing of its accuracy at that rate."
    )
    rates = (
        "Every variant has the learning rate that was tuned for it at full width without penalty, unless the file of "
        "the ablation says otherwise; axes are not tuned one by one."
    )
    return Bullets((chosen, paired, sure, energies, rates))
