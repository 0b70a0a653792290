"""The sections behind the figures: coverage, prices with their sources, configuration, versions, hashes."""

from __future__ import annotations

import dataclasses
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...sim.readable_numbers import number
from ..comparison import full_tables
from ..page.blocks import Block, Bullets, Column, Paragraph, Table
from . import machine_sentences, sentences

if TYPE_CHECKING:
    from ..comparison.compared_variants import Compared
    from ..comparison.matching import Estimates

OURS = ("spikejoule", "numpy", "pandas", "matplotlib", "typst")  # what turned traces into this report
_SHORT = 30  # characters of a cell that need not wrap


def coverage(comparison: Compared) -> list[Block]:
    """What was priced, and what was left out on purpose."""
    priced, left_out = full_tables.priced(comparison), full_tables.omitted(comparison)
    blocks: list[Block] = [
        Paragraph(
            "Every action that occurs has a price, or the estimate would have been refused: nothing silently counts as "
            "zero. What the machines' models leave out on purpose is listed below what is priced."
        ),
        *machine_sentences.silicon(full_tables.machines(comparison)),
        _text_table("priced", "Priced.", ("Component", "Actions", "Accelerators"), _merged(priced), priced),
        _text_table("not-priced", "Not priced.", ("Part", "Why", "Accelerators"), _merged(left_out), left_out),
    ]
    scope = (
        "Training energy is out of scope: every figure is about inference.",
        "Energies are counts of actions times prices; none of these networks was measured on a chip.",
    )
    return [*blocks, Bullets(scope)]


def _merged(data: pd.DataFrame) -> pd.DataFrame:
    """Rows that differ in nothing but the accelerator become one."""
    rest = [name for name in data.columns if name != "accelerator"]
    merged = data.groupby(rest, sort=False)["accelerator"].agg(", ".join).reset_index()
    return merged.loc[:, [*rest, "accelerator"]]


def prices(comparison: Compared) -> list[Block]:
    """Every price that was used; further machines list only what differs from the first."""
    data = full_tables.prices(comparison)
    columns = (
        *(Column("Action", text=True), Column("Low", "pJ"), Column("Value", "pJ"), Column("High", "pJ")),
        *(Column("Node", "nm"), Column("Scope", text=True), Column("Basis", text=True)),
        Column("Source", text=True, wide=True),
    )
    blocks: list[Block] = [
        Paragraph(
            "Prices are literature figures; the section before says how far each machine was set against silicon. "
            "Basis derived marks our own arithmetic on published figures. Memory prices (read, write) are per access "
            "of one word, logic prices per operation; static power per step of a chip or core in "
            "use, and per second of a grid (1 mW is 10\u2079 pJ)."
        )
    ]
    known: set[tuple[str, ...]] = set()
    for index, (machine, group) in enumerate(data.groupby("accelerator", sort=False)):
        rows = [_price_row(row) for row in full_tables.records(group)]
        new = tuple(row for row in rows if row not in known)
        known |= set(rows)
        again = "" if len(new) == len(rows) else "; its other prices are as above"
        blocks.append(Table("prices", f"Prices used on {machine}{again}.", columns, new, None if index else data))
    return blocks


def _price_row(row: dict[str, Any]) -> tuple[str, ...]:
    figures = (number(row[name]) for name in ("low", "value", "high"))
    node = f"{row['node_nm']:g}" if pd.notna(row["node_nm"]) else ""
    reason = f"; {row['reason']}" if pd.notna(row["reason"]) else ""
    return (row["action"], *figures, node, row["scope"], row["basis"], f"{row['source']}{reason}")


def configuration(comparison: Compared) -> list[Block]:
    """Data, machines, seeds, versions and hashes: what is needed to make the same report again."""
    first = comparison.estimates[comparison.focus][0]
    workload = first.operations.workload
    state = f"{workload.state_bits}-bit {workload.state_type}"
    rows = [
        ("Data", sentences.dataset_title(comparison)),
        ("Split", str(first.provenance.get("split", "unknown"))),
        ("Network", f"{workload.name}, {len(workload.layers)} layers, potentials and accumulators {state}"),
        ("Steps; samples", f"{first.operations.steps}; {first.operations.samples:,}"),
        ("Seeds", ", ".join(map(str, comparison.seeds))),
        ("Baseline; subject", f"{comparison.baseline}; {comparison.focus}"),
        ("Report made with", ", ".join(f"{name} {metadata.version(name)}" for name in OURS)),
    ]
    recorded = full_tables.versions(comparison)
    if recorded:
        rows.append(("Traces made with", ", ".join(f"{name} {version}" for name, version in recorded.items())))
    facts = pd.DataFrame(rows, columns=["what", "value"])
    machines = pd.DataFrame([_machine_row(group) for group in full_tables.machines(comparison)])
    traces = full_tables.runs(comparison)
    shown = [(r["variant"], str(r["seed"]), r["run"][:12], r["trace_hash"][:16]) for r in full_tables.records(traces)]
    chosen = pd.DataFrame(
        [(name, _settings(values)) for name, values in sentences.settings(comparison).items() if values],
        columns=["variant", "settings"],
    )
    settings = [] if chosen.empty else [_text_table("settings", "Training settings.", ("Variant", "Settings"), chosen)]
    columns = (Column("Variant", text=True), Column("Seed"), Column("Run", text=True), Column("Trace", text=True))
    caption = "Runs and traces, by the first digits of their hashes (in full in the tables beside this report)."
    return [
        _text_table("configuration", "Configuration.", ("What", "Value"), facts),
        *settings,
        _text_table("accelerators", "Accelerators.", ("Name", "Technology", "Architecture"), machines),
        Table("traces", caption, columns, tuple(shown), traces),
    ]


def _settings(values: dict[str, Any]) -> str:
    own = {key: value for key, value in values.items() if value is not None and key != "seed"}
    return "; ".join(f"{key}: {value}" for key, value in _flat(own))


def _machine_row(estimates: Estimates) -> dict[str, str]:
    accelerator = next(iter(estimates.values()))[0].accelerator
    fields = dataclasses.asdict(accelerator.architecture)
    memories = [_memory(memory) for memory in fields.pop("memories", ())]
    parts = [f"kind: {fields.pop('kind')}", *(f"{key}: {value}" for key, value in _flat(fields)), *memories]
    return {"name": accelerator.name, "technology": accelerator.technology, "architecture": "; ".join(parts)}


def _memory(memory: dict[str, Any]) -> str:
    size = "unbounded" if memory["kib"] is None else f"{memory['kib']:g} KiB"
    return f"{memory['name']}: {size}, {memory['word_bits']}-bit words, holds {', '.join(memory['holds'])}"


def _flat(fields: dict[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in fields.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        elif value is not None:  # left out in the file
            rows.append((f"{prefix}{key}", _value(value)))
    return rows


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _text_table(
    name: str, caption: str, titles: tuple[str, ...], shown: pd.DataFrame, data: pd.DataFrame | None = None
) -> Table:
    """A table of words; ``data`` is what the files hold, if not what is shown.

    All columns wrap but the first and those of short cells, so that no table is wider than a page.
    """
    rows = tuple(tuple(str(value) for value in row) for row in shown.itertuples(index=False))
    longest = [max((len(row[index]) for row in rows), default=0) for index in range(len(titles))]
    wide = [index > 0 and (length > _SHORT or index == len(titles) - 1) for index, length in enumerate(longest)]
    columns = tuple(Column(title, text=True, wide=wraps) for title, wraps in zip(titles, wide, strict=True))
    return Table(name, caption, columns, rows, shown if data is None else data)
