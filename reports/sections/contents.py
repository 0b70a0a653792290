"""The report's sections: one function each, from a comparison to blocks; HTML and PDF show the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import TYPE_CHECKING

import pandas as pd

from ...sim.readable_numbers import ENERGY, column, number, unit_for
from ..comparison import full_tables
from ..comparison.paired_differences import default_pairs
from ..page.blocks import Block, Bullets, Column, Heading, Paragraph, Report, Section, SideBySide, Table
from . import comparison_figures, coverage_and_prices, sentences
from .fitted_memories import fitted_memories
from .headline import headline
from .machine_sentences import refused_sentence, static_of_samples, three_numbers, validation_sentence
from .ratio_parts import made_of
from .reader_tables import gate_table, machine_table, paired_tables, summary_table
from .state_width import state_width
from .what_if import what_if

if TYPE_CHECKING:
    from ..comparison.compared_variants import Compared


def result(comparison: Compared) -> list[Block]:
    """The first page: the answer in words, the summary, accuracy against energy, energy by part."""
    scatter = comparison_figures.accuracy_energy(comparison)
    stacked = comparison_figures.stacked_energy(comparison, comparison.estimates)
    about = (
        three_numbers(comparison.estimates),
        refused_sentence(comparison, comparison.estimates[comparison.baseline][0].accelerator.name),
    )
    return [
        Paragraph(headline(comparison), "lead"),
        Bullets(tuple(sentences.verdicts(comparison))),
        summary_table(comparison),
        SideBySide(scatter, stacked) if scatter is not None else stacked,
        *(Paragraph(text) for text in about if text),
        Paragraph(sentences.bounds_sentence(comparison)),
        Paragraph(f"{sentences.samples_sentence(comparison)} {sentences.seeds_sentence(comparison)}".strip(), "note"),
    ]


def paired(comparison: Compared) -> list[Block]:
    """Paired differences of flips, synaptic operations, accuracy and energy."""
    if not default_pairs(comparison):
        return [Paragraph("There is one variant, so nothing to compare in pairs.")]
    taken = (
        "Every difference is taken between runs of the same seed, then averaged over seeds, and shown whichever way it "
        "falls."
    )
    blocks: list[Block] = [Paragraph(f"{taken} {sentences.seeds_sentence(comparison)}")]
    rates = sentences.rates_sentence(comparison)
    if rates:
        blocks.append(Paragraph(rates))
    if not comparison.logs:
        blocks.append(Paragraph("No training logs were given, so there are no sign flips here.", "note"))
    return [*blocks, *paired_tables(comparison)]


def by_layer(comparison: Compared) -> list[Block]:
    """Where in the network the energy goes."""
    data = full_tables.energy_by_layer(comparison.estimates)
    unit = unit_for(data.to_numpy().ravel().tolist(), ENERGY)
    columns = (Column("Layer", text=True), *(Column(str(name), unit.name) for name in data.columns))
    cells = zip(*(column(data[name], unit.size) for name in data.columns), strict=True)
    rows = tuple((str(layer), *row) for layer, row in zip(data.index, cells, strict=True))
    full = data.rename_axis("layer").reset_index().melt("layer", var_name="variant", value_name="energy_pj")
    caption = f"Energy{comparison_figures.of_events(comparison.estimates)} per inference by layer, mean over seeds."
    return [comparison_figures.energy_by_layer(comparison), Table("energy-by-layer", caption, columns, rows, full)]


def other_accelerators(comparison: Compared) -> list[Block]:
    """The same traces on further accelerators."""
    if not comparison.others:
        return [Paragraph("The traces were priced on one accelerator only.")]
    blocks: list[Block] = [
        Paragraph(
            "The same traces on other machines. Ratios stay within one machine: energies of different machines are "
            "never divided by each other."
        )
    ]
    for estimates in comparison.others:
        machine = estimates[comparison.baseline][0].accelerator
        blocks += [Heading(machine.name), Paragraph(f"{machine.title}. {machine.notes}")]
        about = (
            three_numbers(estimates),
            refused_sentence(comparison, machine.name),
        )
        blocks += [Paragraph(text) for text in about if text]
        blocks.append(machine_table(estimates, comparison.baseline))
    drawn = [comparison_figures.stacked_energy(comparison, estimates) for estimates in comparison.others]
    for left, right in zip_longest(drawn[::2], drawn[1::2]):
        blocks.append(left if right is None else SideBySide(left, right))
    return blocks


def firing(comparison: Compared) -> list[Block]:
    """Firing rate by layer and step."""
    data = full_tables.firing(comparison)
    if data.empty:
        return [Paragraph("No layer of these networks emits spikes.")]
    means = data.groupby(["variant", "layer"], sort=False)["rate"].mean().unstack(sort=False)
    means = means.reindex(index=list(comparison.estimates))
    columns = (Column("Variant", text=True), *(Column(str(layer), "%") for layer in means.columns))
    rows = tuple((str(name), *(number(100 * rate) for rate in row)) for name, *row in means.itertuples())
    caption = "Firing rate: share of neurons that fire in a step, mean over steps and seeds."
    return [comparison_figures.firing(comparison, data), Table("firing-rate", caption, columns, rows, data)]


def training(comparison: Compared) -> list[Block]:
    """Sign flips and gradient statistics over training."""
    data = full_tables.training(comparison)
    if data.empty:
        return [Paragraph("No training logs were given with these estimates.")]
    found = (
        comparison_figures.sign_flips(comparison, data),
        comparison_figures.gradients(comparison, data, "gradient_mean", "Gradient mean"),
        comparison_figures.gradients(comparison, data, "gradient_variance", "Gradient variance"),
    )
    shown: list[Block] = [figure for figure in found if figure is not None]
    note = (
        "Gradient mean and variance are taken over the weights of a layer and averaged over the optimiser's steps. "
        "Variants that are made from a trained one (8-bit, frozen) have no training of their own."
    )
    return [*shown, Paragraph(note, "note")]


def single_inferences(comparison: Compared) -> list[Block]:
    """Energy of single inferences."""
    data = full_tables.quantiles(comparison)
    unit = unit_for(data["p95_pj"], ENERGY)
    shown = {"mean_pj": "Mean", "median_pj": "Median", "p95_pj": "95 %", "min_pj": "Smallest", "max_pj": "Largest"}
    columns = (Column("Variant", text=True), *(Column(title, unit.name) for title in shown.values()))
    of_events = comparison_figures.of_events(comparison.estimates)
    caption = f"Energy{of_events} of single inferences, samples of all seeds together."
    if data["static_pj"].notna().all():
        shown |= {"static_pj": "Static \N{MULTIPLICATION SIGN} time", "total_pj": "Total, mean"}
        unit = unit_for(data["total_pj"], ENERGY)
        columns = (Column("Variant", text=True), *(Column(title, unit.name) for title in shown.values()))
        caption += f" Static power \N{MULTIPLICATION SIGN} time {static_of_samples(comparison)}."
    values = data[list(shown)].to_numpy() / unit.size
    rows = [(name, *map(number, row)) for name, row in zip(data["variant"], values.tolist(), strict=True)]
    return [
        comparison_figures.sample_energy(comparison, data),
        Table("energy-of-inferences", caption, columns, tuple(rows), data),
    ]


def gate_cost(comparison: Compared) -> list[Block]:
    """What a live gate costs beside the same spikes without it."""
    data = full_tables.gate_cost(comparison)
    if data.empty:
        machine = comparison.estimates[comparison.baseline][0].accelerator.name
        return [Paragraph(f"No variant has a live gate. {refused_sentence(comparison, machine)}".strip())]
    blocks: list[Block] = []
    for variant, part in data.groupby("variant", sort=False):
        blocks.append(Paragraph(sentences.gate_sentence(comparison, str(variant), part)))
        blocks.append(gate_table(str(variant), part, data if len(blocks) == 1 else None))
    return blocks


def build_report(comparison: Compared) -> Report:
    """Every section of `SECTIONS` for one comparison."""
    first = comparison.estimates[comparison.focus][0]
    seeds = f"{len(comparison.seeds)} seed{'s' * (len(comparison.seeds) != 1)}"
    subtitle = (
        f"{sentences.dataset_title(comparison)[:1].upper()}{sentences.dataset_title(comparison)[1:]}; "
        f"{first.operations.workload.name}, {first.operations.steps} steps, {first.operations.samples:,} test samples, "
        f"{seeds}; {first.accelerator.name}. {validation_sentence(first)}"
    )
    sections = tuple(Section(title, tuple(make(comparison))) for title, make in SECTIONS.items())
    extra: dict[str, pd.DataFrame] = {
        "energy": full_tables.energy(comparison),
        "samples": full_tables.per_sample(comparison),
    }
    if comparison.logs:
        extra["training"] = full_tables.training(comparison)
    title = "What one inference costs"
    if comparison.focus != comparison.baseline:
        title += f": {comparison.focus} against {comparison.baseline}"
    return Report(title, subtitle, sections, extra)


SECTIONS: dict[str, Callable[[Compared], list[Block]]] = {
    "Result": result,
    "Paired differences": paired,
    "What the ratio is made of": made_of,
    "What if": what_if,
    "State width": state_width,
    "Memories fitted to each variant": fitted_memories,
    "Energy by layer": by_layer,
    "Other accelerators": other_accelerators,
    "Firing rate": firing,
    "Training": training,
    "Energy of single inferences": single_inferences,
    "What the gate costs": gate_cost,
    "What was priced, and what was not": coverage_and_prices.coverage,
    "Prices": coverage_and_prices.prices,
    "Configuration, versions and hashes": coverage_and_prices.configuration,
}
