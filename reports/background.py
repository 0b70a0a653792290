"""The sections behind the figures: coverage, prices with their sources, configuration, versions, hashes."""

from __future__ import annotations

import dataclasses
import json
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pandas as pd

from . import tables, words
from .blocks import Block, Bullets, Column, Paragraph, Table
from .numbers import number

if TYPE_CHECKING:
    from .compare import Comparison

OURS = ("spikejoule", "numpy", "pandas", "matplotlib", "typst")  # what turned traces into this report


def coverage(comparison: Comparison) -> list[Block]:
    """What was priced, and what was left out on purpose."""
    rows = []
    for estimates in tables.machines(comparison):
        for part, group in _components(estimates).items():
            rows.append((next(iter(estimates.values()))[0].accelerator.name, part, ", ".join(group)))
    priced = pd.DataFrame(rows, columns=["accelerator", "component", "actions"])
    left_out = tables.omitted(comparison)
    return [
        Paragraph(
            "Every action that occurs has a price, or the estimate would have been refused: nothing silently counts as "
            "zero. The second table is what the machines' models leave out on purpose."
        ),
        _text_table("priced", "Priced.", priced, ("Accelerator", "Component", "Actions")),
        _text_table("not-priced", "Not priced.", left_out, ("Accelerator", "Part", "Why")),
        Bullets(
            (
                "Training energy is out of scope: every figure is about inference.",
                "Only dynamic energy is estimated, from counts of actions; nothing was measured.",
            )
        ),
    ]


def _components(estimates: Any) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for group in estimates.values():
        for result in group:
            for component, action in result.table[["component", "action"]].itertuples(index=False):
                found.setdefault(str(component), {})[str(action)] = None
    return {component: list(actions) for component, actions in found.items()}


def prices(comparison: Comparison) -> list[Block]:
    """Every price that was used."""
    data = tables.prices(comparison)
    columns = (
        *(Column("Action", text=True), Column("Low", "pJ"), Column("Value", "pJ"), Column("High", "pJ")),
        *(Column("Node", "nm"), Column("Scope", text=True), Column("Basis", text=True)),
        Column("Source", text=True, wide=True),
    )
    blocks: list[Block] = [
        Paragraph(
            "Prices are literature figures for one technology, not measurements of a built machine: the energies are "
            "not validated against silicon. Basis derived marks our own arithmetic on published figures. Memory prices "
            "are per access of one word, logic prices per operation."
        )
    ]
    for index, (machine, group) in enumerate(data.groupby("accelerator", sort=False)):
        rows = tuple(_price_row(row) for row in group.to_dict("records"))
        caption = f"Prices used on {machine}."
        blocks.append(Table("prices", caption, columns, rows, data if index == 0 else None))
    return blocks


def _price_row(row: dict[Any, Any]) -> tuple[str, ...]:
    figures = (number(row[name]) for name in ("low", "value", "high"))
    node = "" if row["node_nm"] is None else f"{row['node_nm']:g}"
    reason = f"; {row['reason']}" if row["reason"] else ""
    return (str(row["action"]), *figures, node, str(row["scope"]), str(row["basis"]), f"{row['source']}{reason}")


def configuration(comparison: Comparison) -> list[Block]:
    """Data, machines, seeds, versions and hashes: what is needed to make the same report again."""
    first = comparison.estimates[comparison.focus][0]
    workload = first.operations.workload
    state = f"{workload.state_bits}-bit {workload.state_type}"
    rows = [
        ("Data", words.dataset_title(comparison)),
        ("Split", str(first.provenance.get("split", "unknown"))),
        ("Network", f"{workload.name}, {len(workload.layers)} layers, potentials and accumulators {state}"),
        ("Steps; samples", f"{first.operations.steps}; {first.operations.samples:,}"),
        ("Seeds", ", ".join(map(str, comparison.seeds))),
        ("Baseline; subject", f"{comparison.baseline}; {comparison.focus}"),
        ("Report made with", ", ".join(f"{name} {metadata.version(name)}" for name in OURS)),
    ]
    recorded = tables.versions(comparison)
    if recorded:
        rows.append(("Traces made with", ", ".join(f"{name} {version}" for name, version in recorded.items())))
    facts = pd.DataFrame(rows, columns=["what", "value"])
    machines = pd.DataFrame([_machine_row(group) for group in tables.machines(comparison)])
    traces = tables.runs(comparison)
    shown = [(r["variant"], str(r["seed"]), r["run"][:12], r["trace_hash"][:16]) for r in traces.to_dict("records")]
    columns = (Column("Variant", text=True), Column("Seed"), Column("Run", text=True), Column("Trace", text=True))
    return [
        _text_table("configuration", "Configuration.", facts, ("What", "Value")),
        _text_table("accelerators", "Accelerators.", machines, ("Name", "Technology", "Architecture")),
        Table(
            "traces", "Traces, by the first digits of their hashes (in full in the CSV).", columns, tuple(shown), traces
        ),
    ]


def _machine_row(estimates: Any) -> dict[str, str]:
    accelerator = next(iter(estimates.values()))[0].accelerator
    fields = dataclasses.asdict(accelerator.architecture)
    memories = [_memory(memory) for memory in fields.pop("memories", ())]
    parts = [f"{key}: {value}" for key, value in _flat(fields)] + memories
    return {
        "name": accelerator.name,
        "technology": accelerator.technology,
        "architecture": "; ".join(parts),
    }


def _memory(memory: dict[str, Any]) -> str:
    size = "unbounded" if memory["kib"] is None else f"{memory['kib']:g} KiB"
    return f"{memory['name']}: {size}, {memory['word_bits']}-bit words, holds {', '.join(memory['holds'])}"


def _flat(fields: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in fields.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=list)
            rows.append((f"{prefix}{key}", text))
    return rows


def _text_table(name: str, caption: str, data: pd.DataFrame, titles: tuple[str, ...]) -> Table:
    """A table of words, its last column wrapped."""
    last = len(titles) - 1
    columns = tuple(Column(title, text=True, wide=index == last) for index, title in enumerate(titles))
    rows = tuple(tuple(str(value) for value in row) for row in data.itertuples(index=False))
    return Table(name, caption, columns, rows, data)
