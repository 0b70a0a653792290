"""The tables of an ablation's report: savings, break-even rates, every setting, and what failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...sim.readable_numbers import COUNT, ENERGY, number, spread, unit_for
from ..comparison.full_tables import records
from ..page.blocks import Column, Table
from .pareto_figures import rate_words
from .pareto_pairs import QUANTITIES, difference_words, interval_words

if TYPE_CHECKING:
    from .results import AblationResults

AXIS_WORDS = {
    "rate_penalty": "rate penalty",
    "rate_target": "rate target",
    "state_bits": "state bits",
    "train_samples": "training samples",
    "weight_bits": "weight bits",
}


def savings_table(saved: pd.DataFrame, data: AblationResults) -> Table:
    unit = unit_for(saved["most_sops"], COUNT)
    columns = [Column("Variant", text=True), Column("Settings within"), Column("Most SOPs", unit.name)]
    columns += [Column("Least SOPs", unit.name), Column("Range"), Column("Firing rate there", "%")]
    columns += [Column("Best", "validation, %"), Column("Sparsest", "validation, %")]
    columns += [Column("Best", "test, %"), Column("Sparsest", "test, %")]
    columns += [Column("Accuracy, sparsest less best", "test, points"), Column("Energy", "%")]
    cells = []
    for row in records(saved):
        sops = (number(row[name] / unit.size) for name in ("most_sops", "least_sops"))
        names = ("best_validation", "least_validation", "best_test", "least_test")
        shares = (number(100 * row[name], decimals=1) for name in names)
        rate = number(100 * row["least_rate"])
        pairs = (_pair_cell(row, name) for name in QUANTITIES)
        cells.append((str(row["group"]), str(row["settings"]), *sops, number(row["range"]), rate, *shares, *pairs))
    caption = (
        f"How far synaptic operations (SOPs per inference) fall among the settings whose validation accuracy is within "
        f"{data.points} of the best in the same row. Accuracy and energy on {data.accelerators[0]} of the sparsest are "
        f"set against the best's by seed, with 95 % bootstrap intervals; those marked * are distinguishable."
    )
    return Table("savings", caption, tuple(columns), tuple(cells), saved)


def _pair_cell(pair: Mapping[str, Any], name: str) -> str:
    """A paired difference over its interval; one that is distinguishable bears a mark."""
    if pair["least_setting"] == pair["best_setting"]:
        return "the same setting"
    if pair["pairs"] < 2:
        return f"{difference_words(pair, name)}\n{'one seed' if pair['pairs'] else 'no seed'}"
    mark = " *" if pair[f"{name}_distinguishable"] else ""
    return f"{difference_words(pair, name)}{mark}\n{interval_words(pair, name)}"


def break_even_table(data: AblationResults, machine: str) -> Table:
    rates = {column: data.rates(machine, column) for column in ("rate", "compute_rate", "machine_rate")}
    rows = [(name, *(rate_words(of[name]) for of in rates.values())) for name in rates["rate"]]
    titles = ("Firing rate now", "Break-even, compute", "Break-even, machine")
    columns = (Column("Variant", text=True), *(Column(title) for title in titles))
    caption = (
        f"The firing rate at which a variant's cheapest setting above the line costs as much as the cheapest twin of "
        f"equal accuracy on {machine}, all events scaled alike and the input as recorded; mean over seeds. Compute: "
        f"logic alone, in closed form; machine: with memory, by bisection."
    )
    if "state_bits" in data.axes:
        caption += " Settings and twin are the cheapest at float state, whichever the cheapest of all is."
    return Table("break-even-rates", caption, columns, tuple(rows))


def every_setting(data: AblationResults) -> Table:
    found = data.twin_pairs()
    sops, energy = unit_for(found["synaptic_operations"], COUNT), unit_for(found["energy_pj"], ENERGY)
    varied = [axis for axis in data.axes if axis != "width"]
    columns = [Column("Variant", text=True), *(Column(AXIS_WORDS.get(axis, axis).capitalize()) for axis in varied)]
    columns += [Column("Width"), Column("Seeds"), Column("Validation", "%"), Column("Test", "%")]
    columns += [Column("Firing rate", "%"), Column("SOPs", sops.name), Column("Energy", energy.name)]
    narrow = "state_bits" in data.axes
    columns += [Column("Spikes that differ", "% of recorded")] * narrow + [Column("On the front", text=True)]
    cells = []
    for row in records(found.sort_values(["twin", "variant", "energy_pj"], ascending=[True, True, False])):
        accuracy = number(100 * row["test_accuracy"], decimals=1)
        test = "\n".join(filter(None, [accuracy, spread(1.0, 100 * row["test_accuracy_spread"], decimals=1)]))
        values = (axis_value(row[axis]) for axis in varied)
        shown = "yes" if row["front"] else "of its variant" if row["variant_front"] else "twin" if row["twin"] else ""
        figures_ = (number(100 * row["firing_rate"]), number(row["synaptic_operations"] / sops.size))
        checked = number(100 * row["validation_accuracy"], decimals=1)
        last = [*figures_, number(row["energy_pj"] / energy.size)]
        last += [number(100 * row["spike_mismatch"]), shown] if narrow else [shown]
        cells.append((str(row["variant"]), *values, f"{row['width']:g}", str(row["seeds"]), checked, test, *last))
    caption = (
        f"Means over seeds (\N{PLUS-MINUS SIGN} standard deviation) per setting; energy on {data.accelerators[0]}."
    )
    return Table("settings", caption, tuple(columns), tuple(cells), found)


def axis_value(value: object) -> str:
    """A value of an axis, which stands as JSON where it is no number."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:  # plain text
            return str(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {axis_value(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(" ".join(map(str, part)) if isinstance(part, list) else str(part) for part in value)
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def failures(data: AblationResults) -> Table:
    columns = (
        Column("Run", text=True),
        Column("Variant", text=True),
        Column("Seed"),
        Column("Error", text=True, wide=True),
    )
    rows = [
        (str(row.run), str(row.variant), str(row.seed), str(row.error).splitlines()[-1])
        for row in data.failed.itertuples()
    ]
    return Table("failed", "The same command tries them again; tracebacks are in the table.", columns, tuple(rows))
