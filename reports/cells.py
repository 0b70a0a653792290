"""The summary and the paired differences as tables for readers: units chosen, numbers rounded, spreads beside means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from .blocks import Column, Table
from .numbers import BYTES, COUNT, ENERGY, ENERGY_DELAY, TIME, Unit, decimals_for, interval, number, spread, unit_for

if TYPE_CHECKING:
    from .compare import Comparison

Cell = Callable[[Any], str]


def summary_table(comparison: Comparison) -> Table:
    """One row per variant with everything the main job asks for."""
    data = comparison.summary()
    accuracy = (Column("Accuracy", "%"), _accuracy)
    spikes = (Column("Firing rate", "%"), lambda row: _mean(row, "firing_rate", 0.01))
    columns = [
        *((Column("Variant", text=True), lambda row: row["variant"]), accuracy, spikes),
        _scaled(data, "synaptic_operations", "SOPs", COUNT, 1),
        _plain(data, "model_bytes", "Model", BYTES),
        _scaled(data, "compute_nj", "Compute energy", ENERGY, 1e3),
        _scaled(data, "energy_nj", "Energy with memory", ENERGY, 1e3),
        _scaled(data, "latency_us", "Latency", TIME, 1e-6),
        _scaled(data, "energy_delay_pj_s", "Energy x delay", ENERGY_DELAY, 1e-12),
        *_ratio_columns(comparison.baseline),
    ]
    seeds, first = len(comparison.seeds), comparison.estimates[comparison.baseline][0]
    caption = (
        f"Per inference on {first.accelerator.name}, mean and standard deviation over {seeds} "
        f"seed{'s' * (seeds != 1)}; SE: binomial standard error of the accuracy on "
        f"{first.operations.samples:,} samples. SOPs: synaptic operations. Ratio: {comparison.baseline} / variant, above "
        f"one is less energy. Ratio over prices: its exact bounds over all prices between low and high, shared by both "
        f"sides."
    )
    return _table("summary", caption, data, columns)


def energy_column(data: pd.DataFrame, baseline: str, name: str, machine: str) -> Table:
    """The shorter summary for a further accelerator."""
    columns = [
        (Column("Variant", text=True), lambda row: str(row["variant"])),
        _scaled(data, "compute_nj", "Compute energy", ENERGY, 1e3),
        _scaled(data, "energy_nj", "Energy", ENERGY, 1e3),
        _scaled(data, "latency_us", "Latency", TIME, 1e-6),
        *_ratio_columns(baseline),
    ]
    caption = f"Per inference on {machine}; ratio: {baseline} / variant on this machine."
    return _table(name, caption, data, columns)


def paired_table(comparison: Comparison) -> Table:
    """Paired differences: both values, the difference with its interval, the same in percent."""
    data = comparison.paired()
    units = {
        "sign_flips": ("Sign flips per epoch", Unit("", 1)),
        "synaptic_operations": ("Synaptic operations, thousand", Unit("thousand", 1e3)),
        "accuracy": ("Accuracy, %", Unit("%", 0.01)),
    }
    energy = unit_for(data.loc[data["quantity"] == "energy_pj", "value"], ENERGY)
    units["energy_pj"] = (f"Energy, {energy.name}", energy)
    columns = (
        *(Column("Quantity", text=True), Column("Variant", text=True), Column("against", text=True)),
        *(Column("Variant's"), Column("Reference's"), Column("Difference"), Column("Change", "%")),
        Column("Told apart?", text=True),
    )
    rows = tuple(_paired_row(row, *units[row["quantity"]]) for row in data.to_dict("records"))
    caption = (
        "Variant minus reference, paired by seed: mean over seeds, and below it the 95 % bootstrap interval. Accuracy "
        "differences are in points. Told apart: the interval leaves out zero."
    )
    return Table("paired-differences", caption, columns, rows, data)


def _paired_row(row: dict[Any, Any], title: str, unit: Unit) -> tuple[str, ...]:
    values = [row[name] / unit.size for name in ("value", "reference_value", "difference")]
    places = 1 if row["quantity"] == "accuracy" else max(map(decimals_for, values[:2]))
    low, high = row["difference_low"] / unit.size, row["difference_high"] / unit.size
    single = math.isnan(low)
    change = "" if row["quantity"] == "accuracy" else number(row["percent"], decimals=1, signed=True)
    if change and not single:
        change += f"\n{interval(row['percent_low'], row['percent_high'], decimals=1)}"
    difference = number(values[2], decimals=places, signed=True)
    told = "one seed" if single else "yes" if row["distinguishable"] else "no"
    return (
        title + (f"\n{row['layer']}" if row["layer"] else "\nall binary layers" * (row["quantity"] == "sign_flips")),
        str(row["variant"]),
        str(row["reference"]),
        *(number(value, decimals=places) for value in values[:2]),
        difference if single else f"{difference}\n{interval(low, high, decimals=places)}",
        change,
        told,
    )


def _table(name: str, caption: str, data: pd.DataFrame, columns: list[tuple[Column, Cell]]) -> Table:
    rows = tuple(tuple(cell(row) for _, cell in columns) for row in data.to_dict("records"))
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


def _ratio_columns(baseline: str) -> tuple[tuple[Column, Cell], ...]:
    def bounds(row: Any) -> str:
        if row["variant"] == baseline:
            return number(math.nan)
        span = f"{number(row['ratio_low'])} to {number(row['ratio_high'])}"
        return f"{span}\ndominated: no price flips this" if row["dominated"] else span

    return (Column("Ratio"), lambda row: _mean(row, "ratio", 1.0)), (Column("Ratio over prices"), bounds)
