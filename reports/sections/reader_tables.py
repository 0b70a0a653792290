"""The summary and the paired differences as tables for readers: units chosen, numbers rounded, spreads beside means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...energy.pricing.not_run import NOT_RUN
from ...sim.readable_numbers import (
    BYTES,
    COUNT,
    ENERGY,
    ENERGY_DELAY,
    TIME,
    Unit,
    column,
    decimals_for,
    interval,
    number,
    spread,
    unit_for,
)
from ..comparison.full_tables import records
from ..comparison.paired_differences import paired_differences
from ..comparison.summary import summarise
from ..page.blocks import Block, Column, Heading, Table

if TYPE_CHECKING:
    from ..comparison.compared_variants import Compared
    from ..comparison.matching import Estimates

Cell = Callable[[object], str]


def summary_table(comparison: Compared) -> Table:
    """One row per variant with everything the main job asks for."""
    data = summarise(comparison.estimates, comparison.baseline)
    accuracy = (Column("Accuracy", "%"), _accuracy)
    spikes = (Column("Firing rate", "%"), lambda row: _mean(row, "firing_rate", 0.01))
    columns = [
        *(_variant(), accuracy, spikes),
        _scaled(data, "synaptic_operations", "SOPs", COUNT, 1),
        _plain(data, "model_bytes", "Model", BYTES),
        *_energy_columns(data, "Energy with memory"),
    ]
    if data["latency_us"].notna().any():
        columns.append(_scaled(data, "latency_us", "Latency", TIME, 1e-6))
    if data["energy_delay_pj_s"].notna().any():
        name = "Energy \N{MULTIPLICATION SIGN} delay"
        columns.append(_scaled(data, "energy_delay_pj_s", name, ENERGY_DELAY, 1e-12))
    columns += _ratio_columns(data, comparison.baseline)
    seeds, first = len(comparison.seeds), comparison.estimates[comparison.baseline][0]
    caption = (
        f"Per inference on {first.accelerator.name}, mean and standard deviation (\N{PLUS-MINUS SIGN}) over {seeds} "
        f"seed{'s' * (seeds != 1)}. SE: binomial standard error of the accuracy on {first.operations.samples:,} "
        f"samples; SOPs: synaptic operations; {_ratio_words(data, comparison.baseline)}, above one is less energy; "
        f"ratio over prices{' (of totals)' * _has_total(data)}: exact bounds, for the mean energies over seeds, over "
        "all prices between low and high, shared by both sides; dominated: one side needs no more of every action, so "
        "no price flips this."
    )
    return _with_notes(_table("summary", caption, data, columns))


def machine_table(estimates: Estimates, baseline: str) -> Table:
    """The shorter summary for a further accelerator; columns that say nothing there are left out."""
    data = summarise(estimates, baseline)
    machine = estimates[baseline][0].accelerator.name
    columns = [_variant(), *_energy_columns(data, "Energy")]
    if data["latency_us"].notna().any():
        columns.append(_scaled(data, "latency_us", "Latency", TIME, 1e-6))
    columns += _ratio_columns(data, baseline)
    caption = f"Per inference on {machine}; {_ratio_words(data, baseline)}, on this machine."
    return _with_notes(_table(f"summary-{machine}", caption, data, columns))


def _variant() -> tuple[Column, Cell]:
    return Column("Variant", text=True), lambda row: str(row["variant"])


def _has_total(data: pd.DataFrame) -> bool:
    return bool(data["total_nj"].notna().all())


def _energy_columns(data: pd.DataFrame, title: str) -> list[tuple[Column, Cell]]:
    """Events, static part and total of a chip in one unit; elsewhere compute energy and all that is priced."""
    if _has_total(data):
        unit = unit_for(data["total_nj"] * 1e3, ENERGY)
        parts = {"energy_nj": "Events", "static_nj": "Static \N{MULTIPLICATION SIGN} time", "total_nj": "Total"}
        return [
            (Column(name, unit.name), partial(_mean, column=key, size=unit.size / 1e3)) for key, name in parts.items()
        ]
    columns = [_scaled(data, "energy_nj", title, ENERGY, 1e3)]
    if data["compute_nj"].equals(data["energy_nj"]):
        return columns
    return [_scaled(data, "compute_nj", "Compute energy", ENERGY, 1e3), *columns]


def _ratio_words(data: pd.DataFrame, baseline: str) -> str:
    of = " of the totals, and of the events alone" if _has_total(data) else ""
    return f"ratio: {baseline} / variant{of}"


def _with_notes(table: Table) -> Table:
    """Mark each row that has warnings with numbers, and spell them out below the same table."""
    assert table.data is not None
    texts = [row.split("; ") if row else [] for row in table.data["warnings"]]
    distinct = dict.fromkeys(text for row in texts for text in row)
    marks = {text: str(index) for index, text in enumerate(distinct, start=1)}
    if not marks:
        return table
    rows = []
    for (first, *rest), own in zip(table.rows, texts, strict=True):
        mark = f"\n{NOT_RUN}" * any(text.startswith(NOT_RUN) for text in own)
        rows.append((first + mark, *rest, ", ".join(marks[text] for text in own)))
    told = "; ".join(f"({mark}) {text}" for text, mark in marks.items())
    columns = (*table.columns, Column("Notes", text=True))
    return replace(table, columns=columns, rows=tuple(rows), caption=f"{table.caption} Notes: {told}.")


def paired_tables(comparison: Compared) -> list[Block]:
    """Paired differences, one table per quantity: both values, the difference and the change, with their intervals."""
    data = paired_differences(comparison)
    chip = comparison.quantity == "total_pj"
    energy = unit_for(data.loc[data["quantity"] == comparison.quantity, "value"], ENERGY)
    titles = {
        "sign_flips": ("Sign flips per epoch, mean over training", Unit("", 1)),
        "synaptic_operations": ("Synaptic operations per inference, thousand", Unit("thousand", 1e3)),
        "accuracy": ("Accuracy, %", Unit("%", 0.01)),
        "energy_pj": (f"Energy{' of events' * chip} per inference, {energy.name}", energy),
        "total_pj": (
            f"Total energy per inference, static power \N{MULTIPLICATION SIGN} time included, {energy.name}",
            energy,
        ),
    }
    blocks: list[Block] = []
    for quantity, (title, unit) in titles.items():
        rows = records(data[data["quantity"] == quantity])
        if rows:
            full = data if not blocks else None
            blocks += [Heading(title), _paired_table(quantity, unit, rows, full)]
    return blocks


def _paired_table(quantity: str, unit: Unit, rows: list[dict[str, object]], data: pd.DataFrame | None) -> Table:
    flips, points = quantity == "sign_flips", quantity == "accuracy"
    columns = [Column("Variant", text=True), Column("Against", text=True)]
    columns += [Column("Layers", text=True)] * flips
    columns += [Column("Value"), Column("Reference"), Column("Difference", "points" if points else "")]
    columns += [Column("95 % interval", "points" if points else "")]
    columns += [] if points else [Column("Change", "%"), Column("95 % interval", "%")]
    columns += [Column("Distinguishable", text=True)]
    cells = tuple(tuple(_paired_cells(row, unit, layers=flips, percent=not points)) for row in rows)
    caption = "Variant minus reference, paired by seed; mean over seeds and 95 % bootstrap interval."
    return Table("paired-differences", caption, tuple(columns), cells, data)


def _paired_cells(row: dict[str, Any], unit: Unit, *, layers: bool, percent: bool) -> Iterator[str]:
    ours, theirs, difference, low, high = (
        row[name] / unit.size
        for name in ("value", "reference_value", "difference", "difference_low", "difference_high")
    )
    places = max(decimals_for(ours), decimals_for(theirs)) if percent else 1
    yield row["variant"]
    yield row["reference"]
    if layers:
        yield row["layer"] or "all"
    yield number(ours, decimals=places)
    yield number(theirs, decimals=places)
    yield number(difference, decimals=places, signed=True)
    yield interval(low, high, decimals=places)
    if percent:
        yield number(row["percent"], decimals=1, signed=True)
        yield interval(row["percent_low"], row["percent_high"], decimals=1)
    yield "one seed" if math.isnan(low) else "yes" if row["distinguishable"] else "no"


def gate_table(variant: str, part: pd.DataFrame, data: pd.DataFrame | None) -> Table:
    """The live gate's energy by part, beside the same spikes without it and beside the frozen variant."""
    names = {"live_pj": "Live gate", "folded_pj": "Same spikes, gain folded", "difference_pj": "Difference"}
    if part["frozen_pj"].notna().any():
        names["frozen_pj"] = f"{variant}, frozen"
    unit = unit_for(part["live_pj"], ENERGY)
    values = [column([*part[name], part[name].sum()], unit.size) for name in names]
    rows = tuple(zip([*part["part"], "total"], *values, strict=True))
    columns = (Column("Part", text=True), *(Column(title, unit.name) for title in names.values()))
    return Table("gate-cost", f"Energy per inference by part: {variant}, mean over seeds.", columns, rows, data)


def _table(name: str, caption: str, data: pd.DataFrame, columns: list[tuple[Column, Cell]]) -> Table:
    rows = tuple(tuple(cell(row) for _, cell in columns) for row in records(data))
    return Table(name, caption, tuple(column for column, _ in columns), rows, data)


def _scaled(data: pd.DataFrame, column: str, title: str, units: tuple[Unit, ...], factor: float) -> tuple[Column, Cell]:
    """A column of means and spreads; ``factor`` takes the table's unit to the one that ``units`` start from."""
    unit = unit_for(data[column] * factor, units)
    return Column(title, unit.name), lambda row: _mean(row, column, unit.size / factor)


def _plain(data: pd.DataFrame, column: str, title: str, units: tuple[Unit, ...]) -> tuple[Column, Cell]:
    unit = unit_for(data[column], units)
    return Column(title, unit.name), lambda row: number(row[column] / unit.size)


def _mean(row: Any, column: str, size: float, decimals: int | None = None) -> str:
    mean, deviation = row[column] / size, row[f"{column}_spread"] / size
    return "\n".join(filter(None, [number(mean, decimals=decimals), spread(mean, deviation, decimals=decimals)]))


def _accuracy(row: Any) -> str:
    text = _mean(row, "accuracy", 0.01, decimals=1)
    return text if math.isnan(row["accuracy_se"]) else f"{text}\nSE {100 * row['accuracy_se']:.1f}"


def _ratio_columns(data: pd.DataFrame, baseline: str) -> list[tuple[Column, Cell]]:
    def bounds(row: Any) -> str:
        low, high = number(row["ratio_low"]), number(row["ratio_high"])
        if row["variant"] == baseline:
            return number(math.nan)
        if low == high:
            return low
        return f"{low} to {high}" + ("\ndominated" if row["dominated"] else "")

    over = (Column("Ratio over prices"), bounds)
    if not _has_total(data):
        return [(Column("Ratio"), partial(_mean, column="ratio", size=1.0)), over]
    ratios = {"ratio": "Ratio of totals", "events_ratio": "Ratio of events"}
    return [*((Column(name), partial(_mean, column=key, size=1.0)) for key, name in ratios.items()), over]
