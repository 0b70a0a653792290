"""What the command line prints: tables, estimates, progress bars. Plain text where the output is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from .energy.estimate import EnergyEstimate
    from .sim.operations import OperationCounts

WIDTH = 200  # of tables in a file or a pipe


def new_table(*columns: str) -> Table:
    """An empty table with these columns; `show` prints it."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def show(table: Table) -> None:
    from rich.console import Console

    console = Console(soft_wrap=False, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table)


def show_counts(counts: OperationCounts) -> None:
    """One line per layer: operations per inference, dense pairs, firing rate."""
    table = new_table("layer", "operation", "per inference", "with non-zero weights", "dense per step", "firing rate")
    for layer in counts.workload.layers:
        operations = counts.layers[layer.name]
        synaptic = operations.synaptic
        rate = "-" if operations.spikes is None else f"{counts.firing_rate(layer.name):.4f}"
        figures = [f"{array.sum() / counts.samples:,.1f}" for array in (synaptic.all_weights, synaptic.nonzero_weights)]
        table.add_row(layer.name, layer.operation, *figures, f"{synaptic.dense:,}", rate)
    show(table)


def show_scores(scores: Any) -> None:
    """The table of `energy.published.score_table`, its warnings below it."""
    table = new_table("model", "nJ per inference", "ratios within", "node", "scope", "figures")
    for row in scores.itertuples():
        energy = "-" if row.energy_pj is None or row.energy_pj != row.energy_pj else f"{row.energy_pj / 1e3:,.4g}"
        figures = [f"{k} {v:.4g}" if isinstance(v, float | int) else f"{k} {v}" for k, v in row.figures.items()]
        table.add_row(row.model, energy, row.group or "-", str(row.node), row.scope, "; ".join(figures))
    show(table)
    for row in scores[scores["warnings"] != ""].itertuples():
        print(f"{row.model}: {row.warnings}")
    print("Only rows with the same letter under 'ratios within' share node, precision and scope; see")
    print("docs/energy-models.md.")


def show_estimate(result: EnergyEstimate) -> None:
    """Energy and time, how it compares with silicon, a line per component and action, and what was left out."""
    from .energy.validation import validation

    energy, low, high = (f"{figure / 1e3:,.4g}" for figure in (result.energy_pj, *result.bounds_pj))
    print(f"{result.accelerator.title}: {energy} nJ per inference ({low} to {high} over the price ranges)")
    if result.static_pj is not None and result.total_pj is not None:
        static, total = (f"{figure / 1e3:,.4g}" for figure in (result.static_pj, result.total_pj))
        print(f"That is the events alone; static power x time adds {static} nJ: {total} nJ in all")
    known = validation(result.accelerator)
    print(f"set against silicon, predicted over measured: {known.verdict}")
    for band in known.bands:
        if band.measured.startswith("dynamic"):
            ratio = " to ".join(dict.fromkeys(f"{bound:.3g}" for bound in (band.low, band.high)))
            print(f"  {band.predicted}: {ratio} of {band.measured}")
    if result.latency_s is not None:
        print(f"{result.latency_s * 1e6:,.4g} us per inference")
    if result.power_w is not None and result.energy_delay_js is not None:
        delay = f"energy-delay product {result.energy_delay_js * 1e15:,.4g} nJ us"
        busy = "" if result.utilisation is None else f", {result.utilisation:.1%} of the lane-cycles busy"
        print(f"{result.power_w * 1e3:,.4g} mW while it runs, no static power; {delay}{busy}")
    show_energies(result.table)
    show_omitted(result.actions.omitted)


def show_energies(priced: pd.DataFrame) -> None:
    """A table of `energy.pricing.price_actions`, a line per component and action, and its sum."""
    table = new_table("component", "action", "count", "pJ each", "nJ", "share")
    keys, total = ["component", "action", "price_pj"], float(priced["energy_pj"].sum())
    sums: Any = priced.groupby(keys, sort=False)[["count", "energy_pj"]].sum().reset_index()
    for component, action, price_pj, count, energy_pj in sums.itertuples(index=False):
        share = f"{energy_pj / total:.1%}" if total else "-"
        table.add_row(component, action, f"{count:,.1f}", f"{price_pj:.4g}", f"{energy_pj / 1e3:,.4g}", share)
    table.add_row("in all", "", "", "", f"{total / 1e3:,.4g}", "")
    show(table)


def show_omitted(omitted: Mapping[str, str]) -> None:
    for part, reason in omitted.items():
        print(f"left out: {part}: {reason}")


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None] | None]:
    """Give ``progress(label, done, total)``, which draws bars with the time left; None where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def progress(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield progress
