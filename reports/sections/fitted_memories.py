"""The section on memories sized to each variant: other silicon in every row, and so apart from all other figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...energy.explaining.fitted_memories import fitted
from ...energy.machines.accelerator import Accelerator
from ...energy.pricing.estimate import EnergyEstimate, estimate
from ...sim.errors import InvalidInput
from ...sim.hardware.architecture import Grid
from ...sim.readable_numbers import ENERGY, number, spread, unit_for
from ..page.blocks import Block, Column, Paragraph, Table

if TYPE_CHECKING:
    from ..comparison.compared_variants import Compared

NOTE = (
    "Each row is another chip: its on-chip memories hold that variant, over all its seeds, and no more (parameters, "
    "states and spikes by the rules that fill the fixed machine, in whole KiB), and each access is priced by that "
    "capacity. So this table is never mixed with the others: a ratio is of two fitted chips. It says what a designer "
    "who builds for one network could save, and not what the same silicon spends; area, static power and the loss of "
    "running nothing larger are not in it. Memories of 8 KiB and less cost the same per access in Horowitz's table. "
    "There are no bounds over shared prices, as the two sides share none of their memories."
)


def fitted_memories(comparison: Compared) -> list[Block]:
    """The section: sizes, energy and ratio of every variant on a machine with memories for it alone."""
    try:
        data = fitted_rows(comparison)
    except InvalidInput as error:  # such as chips, or memories whose prices are given by hand
        return [Paragraph(f"No memories are fitted here: {error}.", "note")]
    return [_table(comparison, data), Paragraph(NOTE, "note")]


def fitted_rows(comparison: Compared) -> pd.DataFrame:
    """One row per variant and seed on the machine fitted to the variant.

    Returns
    -------
    DataFrame
        ``variant, seed``; ``<memory>_kib`` of every on-chip memory; ``energy_pj`` per inference, as in all
        ratios with static power x time where both are known; ``ratio``, the baseline's energy of that seed on *its*
        fitted machine over this. No bounds: prices are not shared.
    """
    sized: dict[str, tuple[Accelerator, list[EnergyEstimate]]] = {}
    for variant, group in comparison.estimates.items():
        counts = [each.operations for each in group]
        machine = fitted(group[0].accelerator, *counts)
        sized[variant] = machine, [estimate(each, machine) for each in counts]
    base = [each.compared_pj for each in sized[comparison.baseline][1]]
    rows = [
        {
            "variant": variant,
            "seed": seed,
            **_sizes(machine),
            "energy_pj": each.compared_pj,
            "ratio": own / each.compared_pj,
        }
        for variant, (machine, group) in sized.items()
        for seed, each, own in zip(comparison.seeds, group, base, strict=True)
    ]
    return pd.DataFrame(rows)


def _sizes(machine: Accelerator) -> dict[str, float]:
    grid = machine.architecture
    memories = grid.memories if isinstance(grid, Grid) else ()
    return {f"{memory.name}_kib": memory.kib for memory in memories if memory.kib is not None}


def _table(comparison: Compared, data: pd.DataFrame) -> Table:
    machine = comparison.estimates[comparison.baseline][0].accelerator.name
    memories = [name for name in data.columns if name.endswith("_kib")]
    unit = unit_for(data["energy_pj"], ENERGY)
    columns = (
        Column("Variant", text=True),
        *(Column(_title(name), "KiB") for name in memories),
        Column("Energy, fitted", unit.name),
        Column("Ratio, fitted"),
    )
    rows = []
    for variant, part in data.groupby("variant", sort=False):
        sizes = (number(part[name].iloc[0], decimals=0) for name in memories)
        rows.append((str(variant), *sizes, _mean(part["energy_pj"] / unit.size), _mean(part["ratio"])))
    caption = (
        f"{machine} with its on-chip memories fitted to each variant, per inference, mean and standard deviation over "
        f"seeds. Ratio: {comparison.baseline} / variant, each on its own fitted machine."
    )
    return Table("fitted-memories", caption, columns, tuple(rows), data)


def _title(column: str) -> str:
    words = column.removesuffix("_kib").replace("_", " ").replace("sram", "SRAM")
    return words[:1].upper() + words[1:]


def _mean(values: Sequence[float] | pd.Series) -> str:
    known = np.asarray(values, np.float64)
    mean, deviation = float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return "\n".join(filter(None, (number(mean), spread(mean, deviation))))
