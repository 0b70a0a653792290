"""What the command line prints: tables, estimates, progress bars. Plain text where the output is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ..sim.readable_numbers import MISSING, number

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from ..energy.machines.accelerator import Accelerator
    from ..energy.machines.prices import Price, Technology
    from ..energy.machines.static_power import Figure
    from ..energy.pricing.estimate import EnergyEstimate
    from ..models.settings.recipes import Published
    from ..models.training.dry_run import DryRun
    from ..sim.counting.operations import OperationCounts
    from ..sim.hardware.action_table import ActionTable
    from ..sim.hardware.architecture import Grid

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


def nanojoule(energy_pj: float | None) -> str:
    """Picojoules as nanojoules with four significant digits, never as a power of ten; a dash where not known."""
    return number(None if energy_pj is None else energy_pj / 1e3, digits=4)


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


def show_dry_run(result: DryRun, published: Published | None) -> None:
    """What two optimiser steps took, and what others report of the same training."""
    table = new_table("", "")
    table.show_header = False
    table.add_row("device", result.device)
    table.add_row("parameters", f"{result.parameters:,} ({result.parameter_bytes / 1e6:,.2f} MB in training)")
    table.add_row("peak memory", f"{result.peak_memory_bytes / 2**20:,.0f} MiB")
    table.add_row("optimiser step", f"{number(result.seconds_per_step, digits=3)} s")
    hours = result.seconds_per_epoch / 3600
    table.add_row(
        "epoch", f"{result.steps_per_epoch:,} steps, {number(hours, digits=3)} h without loading and evaluation"
    )
    if published is not None:
        known = published.accuracy_percent is not None
        table.add_row("published", f"{published.accuracy_percent} %" if known else "accuracy not known here")
        table.add_row("source", published.source)
        if published.differs:
            table.add_row("differs", published.differs)
    show(table)


def show_scores(scores: Any) -> None:
    """The table of `energy.published.score_table`, its warnings below it."""
    table = new_table("model", "nJ per inference", "ratios within", "node", "scope", "figures")
    for row in scores.itertuples():
        energy = nanojoule(row.energy_pj)
        figures = [f"{name} {_figure(value)}" for name, value in row.figures.items()]
        table.add_row(row.model, energy, row.group or MISSING, str(row.node), row.scope, "; ".join(figures))
    show(table)
    for row in scores[scores["warnings"] != ""].itertuples():
        print(f"{row.model}: {row.warnings}")
    print("Only rows with the same letter under 'ratios within' share node, precision and scope; see")
    print("docs/energy-models.md.")


def _figure(value: object) -> str:
    if not isinstance(value, float | int):
        return str(value)
    return number(value, digits=4, decimals=0 if float(value).is_integer() else None)


def show_estimate(result: EnergyEstimate) -> None:
    """Energy and time, how it compares with silicon, a line per component and action, and what was left out."""
    from ..energy.pricing.not_run import NOT_RUN
    from ..energy.silicon.validation_bands import validation

    energy, low, high = map(nanojoule, (result.energy_pj, *result.bounds_pj))
    print(f"{result.accelerator.title}: {energy} nJ per inference ({low} to {high} over the price ranges)")
    if result.static_pj is not None and result.total_pj is not None:
        static, total = map(nanojoule, (result.static_pj, result.total_pj))
        print(f"That is the events alone; static power x time adds {static} nJ: {total} nJ in all")
    if result.not_run:
        print(f"{NOT_RUN}: {'; '.join(result.not_run)}")
    known = validation(result.accelerator)
    told = ", predicted over measured" if known.bands else ""
    print(f"set against silicon{told}: {known.verdict}")
    for band in known.bands:
        if band.measured.startswith("dynamic"):
            ratio = " to ".join(dict.fromkeys(f"{bound:.3g}" for bound in (band.low, band.high)))
            print(f"  {band.predicted}: {ratio} of {band.measured}")
    if result.latency_s is not None and result.seconds_per_inference is not None:
        of_chip = result.total_pj is not None and result.accelerator.architecture.kind == "event"
        of_events = ", the modelled time of the events alone" if of_chip else ""
        each, all_of_them = (number(time * 1e6, digits=4) for time in (result.seconds_per_inference, result.latency_s))
        batch = result.actions.hardware_batch
        together = f", {batch} of a hardware batch together after {all_of_them} us" if batch > 1 else ""
        print(f"{each} us per inference{together}{of_events}")
    if result.power_w is not None and result.energy_delay_js is not None:
        delay = f"energy-delay product {number(result.energy_delay_js * 1e15, digits=4)} nJ us"
        busy = "" if result.utilisation is None else f", {result.utilisation:.1%} of the lane-cycles busy"
        static = "no static power" if result.total_pj is None else "static power included"
        print(f"{number(result.power_w * 1e3, digits=4)} mW while it runs, {static}; {delay}{busy}")
    show_energies(result.table)
    if len(result.static_table) > 1:
        show_static_parts(result.static_table)
    show_omitted(result.omitted)


def show_energies(priced: pd.DataFrame) -> None:
    """A table of `price_actions`, a line per component and action, and its sum."""
    table = new_table("component", "action", "count", "pJ each", "nJ", "share")
    keys, total = ["component", "action", "price_pj"], float(priced["energy_pj"].sum())
    sums: Any = priced.groupby(keys, sort=False)[["count", "energy_pj"]].sum().reset_index()
    for component, action, price_pj, count, energy_pj in sums.itertuples(index=False):
        share = f"{energy_pj / total:.1%}" if total else "-"
        table.add_row(component, action, f"{count:,.1f}", f"{price_pj:.4g}", nanojoule(energy_pj), share)
    table.add_row("in all", "", "", "", nanojoule(total), "")
    show(table)


def show_loading(grid: Grid) -> None:
    """Whether weights stay on a machine, what a load serves, and how many inferences run at once."""
    kept = {"resident": "must fit and stay", "reload": "are loaded though they may fit"}
    weights = kept.get(grid.weights or "", "stay if all of them fit, or else are loaded layer by layer")
    serves = grid.inferences_per_load or (grid.hardware_batch if grid.weights == "reload" else None)
    load = "not charged" if serves is None else f"shared by {serves} inferences"
    print(f"weights {weights}; a load of a network that fits is {load}; hardware batch {grid.hardware_batch}\n")


def show_priced(stored: ActionTable, prices: Accelerator | Technology) -> None:
    """A stored action table under other prices: actions, static power x time where it is known, what is left out."""
    from ..energy.machines.accelerator import Accelerator
    from ..energy.pricing.action_costs import left_out, price_actions, price_static

    show_energies(price_actions(stored, prices))
    static = price_static(stored, prices) if isinstance(prices, Accelerator) else None
    if static is not None and not static.empty:
        show_static_parts(static)
    show_omitted(left_out(stored.omitted, prices))


def show_static_parts(parts: Any) -> None:
    """A table of `static_rows`: what draws static power on a grid, and its sum."""
    table = new_table("static power x time", "W", "us", "nJ")
    for row in parts.itertuples():
        table.add_row(
            row.price, f"{row.price_pj * 1e-12:.4g}", number(row.amount * 1e6, digits=4), nanojoule(row.energy_pj)
        )
    table.add_row("in all", "", "", nanojoule(float(parts["energy_pj"].sum())))
    show(table)


def show_static(machine: Accelerator) -> None:
    """The static figures of an accelerator, one line each; energy per step that stays without events is never added."""
    rows: list[tuple[str, str, Figure | Price | None]] = []
    if (static := machine.static) is not None:
        whole = "machine" if machine.architecture.kind == "grid" else static.per
        rows += [
            (f"static power per {whole}", "W", static.static_power_w),
            ("time per step", "s", static.seconds_per_step),
            ("floor per step (shown, never added)", "pJ", static.step_floor_pj),
        ]
    rows += [(f"{name}.leakage", "W", power) for name, power in machine.leakage.items()]
    if not rows:
        return
    table = new_table("static part", "unit", "low", "value", "high", "basis", "source")
    for name, unit, figure in rows:
        if figure is not None:
            figures = [f"{value:.4g}" for value in (figure.low, figure.value, figure.high)]
            table.add_row(name, unit, *figures, figure.basis, figure.source)
    show(table)


def show_omitted(omitted: Mapping[str, str]) -> None:
    for part, reason in omitted.items():
        print(f"left out: {part}: {reason}")


def show_sweep(rows: Any) -> None:
    """One line per row of `sweep`, with the ratio to the widest weights where several were swept."""
    keys, widest = ["rate", "steps", "memory_bytes"], rows["weight_bits"].max()
    at_widest = rows.loc[rows["weight_bits"] == widest, [*keys, "compared_pj"]]
    rows = rows.merge(at_widest, on=keys, how="left", suffixes=("", "_widest"))
    columns = {
        "rate": rows["rate"].map("{:g}".format),
        "steps": rows["steps"].map(str),
        "weight bits": rows["weight_bits"].map(str, na_action="ignore"),
        "memory KiB": (rows["memory_bytes"] / 1024).map("{:g}".format, na_action="ignore"),
        **{
            title: rows[f"{name}_pj"].map(nanojoule)
            for title, name in (("nJ", "energy"), ("low", "low"), ("high", "high"))
        },
        "static nJ": rows["static_pj"].map(nanojoule, na_action="ignore"),
        "us": (rows["latency_s"] * 1e6).map(partial(number, digits=4), na_action="ignore"),
        f"{widest} bits / this": (rows["compared_pj_widest"] / rows["compared_pj"]).map(
            "{:.3g}".format, na_action="ignore"
        ),
        "weights": rows["resident"].map({True: "resident", False: "reloaded"}),
    }
    shown = {title: cells.fillna("-") for title, cells in columns.items() if cells.notna().any()}
    table = new_table(*shown)
    for column in table.columns:
        column.justify = "right"
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*cells)
    show(table)
    print("Independent random spikes, not a trained network: no accuracy belongs to these figures.")


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
