"""What if both networks fired at one rate: the ratio over firing rate, time steps and size of the weight memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...energy.explaining.what_if_sweep import resized, sweep
from ...energy.pricing.estimate import EnergyEstimate
from ...sim.errors import InvalidInput
from ...sim.hardware.architecture import Event, Grid
from ...sim.network.workload import INPUT
from ...sim.readable_numbers import ENERGY, column, number, unit_for
from ..page import plotting
from ..page.blocks import NARROW, Block, Column, Figure, Paragraph, SideBySide, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

    from ..comparison.compared_variants import Compared

RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SAMPLES = 1  # of random spikes: enough for the ratio of two networks under the same ones
COLOURS = ("#ccbb44", "#4477aa", "#aa3377")
LINES = {"steps": "T = {}", "memory_bytes": "{} KiB"}


def what_if(comparison: Compared) -> list[Block]:
    """The section: baseline and focus under the same random spikes, the recorded ratio marked."""
    base, focus = comparison.baseline, comparison.focus
    if base == focus:
        return [Paragraph("There is one variant, so no ratio to vary.")]
    sides = comparison.estimates[base], comparison.estimates[focus]
    if isinstance(sides[0][0].accelerator.architecture, Event):
        return [Paragraph(_about_event(sides[0][0]))]
    found, refused = {}, []
    for axis in LINES:
        try:
            frame = _swept(comparison, axis)
        except InvalidInput as error:  # such as memories whose prices or leakage are given by hand
            refused.append(Paragraph(f"Not varied here: {error}.", "note"))
            continue
        if not frame.empty:
            found[axis] = frame
    if "steps" not in found:
        return [*refused]
    recorded = sides[1][0].operations.firing_rate(), _mean(sides[0]) / _mean(sides[1])
    drawn = [_figure(frame, axis, comparison, recorded) for axis, frame in found.items()]
    return [
        Paragraph(_sentence(found["steps"], comparison, recorded[1])),
        SideBySide(drawn[0], drawn[1]) if len(drawn) > 1 else drawn[0],
        _table(found, comparison),
        *refused,
        Paragraph(_notes(), "note"),
    ]


def _swept(comparison: Compared, axis: str) -> pd.DataFrame:
    """``rate``, the axis, energies ``base_pj`` and ``focus_pj`` and their ``ratio``; empty where there is no memory.

    Energies are totals where the machine's static part is known, as in all ratios.
    """
    first = comparison.estimates[comparison.baseline][0]
    steps, sizes = [first.operations.steps], None
    if axis == "steps":
        steps = sorted({1, *steps, 4 * steps[0]})
    elif (sizes := _sizes(first)) is None:
        return pd.DataFrame()
    sides = {}
    for name, variant in (("base_pj", comparison.baseline), ("focus_pj", comparison.focus)):
        one = comparison.estimates[variant][0]
        rows = sweep(
            one.operations.workload,
            one.accelerator,
            rates=RATES,
            steps=steps,
            memory_bytes=sizes,
            input_rate=_input_rate(first),
            samples=SAMPLES,
        )
        sides[name] = rows["compared_pj"]
    frame = rows[["rate", axis]].assign(**sides)
    return frame.assign(ratio=frame["base_pj"] / frame["focus_pj"].where(frame["focus_pj"] > 0))


def _sizes(result: EnergyEstimate) -> list[int] | None:
    """The machine's weight memory, an eighth of it, and eight times it, in bytes."""
    grid = result.accelerator.architecture
    kib = grid.levels("weight")[0].kib if isinstance(grid, Grid) else None
    if kib is None:
        return None
    resized(result.accelerator, round(kib * 1024))  # refused where another size has no price
    return [max(1, round(kib * 1024 * factor)) for factor in (1 / 8, 1, 8)]


def _input_rate(result: EnergyEstimate) -> float:
    events, workload = result.operations.input_events, result.operations.workload
    return float(events.mean() / math.prod(workload.signals[INPUT][0]))


def _mean(estimates: tuple[EnergyEstimate, ...]) -> float:
    return sum(result.compared_pj for result in estimates) / len(estimates)


def _label(axis: str, value: int) -> str:
    return LINES[axis].format(value if axis == "steps" else f"{value / 1024:g}")


def _figure(frame: pd.DataFrame, axis: str, comparison: Compared, recorded: tuple[float, float]) -> Figure:
    def draw(canvas: Canvas) -> None:
        axes = ratio_curves(canvas.subplots(), frame, axis, recorded)
        axes.set_ylabel(plotting.label(f"{comparison.baseline} / {comparison.focus}", 34))
        handles, labels = axes.get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside lower center", ncols=4, handlelength=1.6, columnspacing=1.0)

    what = "numbers of time steps T" if axis == "steps" else "sizes of the weight memory"
    caption = f"The ratio when every neuron of both fires at one rate, for several {what}. Diamond: as recorded."
    return Figure(f"what-if-{axis.split('_')[0]}", caption, draw, NARROW, 2.6)


def ratio_curves(axes: Axes, data: pd.DataFrame, axis: str, recorded: tuple[float, float]) -> Axes:
    """Ratio over firing rate, one line per value of ``axis``; ``recorded`` is the (rate, ratio) of the traces.

    ``data`` has the columns ``rate`` (0..1), ``axis`` and ``ratio``.
    """
    for place, (value, rows) in enumerate(data.groupby(axis)):
        look: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": plotting.DASHES[place % len(plotting.DASHES)],
        }
        axes.plot(100 * rows["rate"], rows["ratio"], label=_label(axis, int(str(value))), **look)
    axes.axhline(1, color=plotting.MUTED, linewidth=0.7)
    rate, ratio = recorded
    if rate > 0:  # a silent network has no place on this axis
        mark: dict[str, Any] = {"marker": "D", "markersize": 5, "linestyle": "none", "zorder": 3}
        axes.plot(100 * rate, ratio, color=plotting.INK, label="recorded", **mark)
    axes.set_xscale("log")
    plotting.plain_log_ticks(axes.xaxis)
    axes.set_xlabel("firing rate, %")
    lowest, highest = (fold([1.0, ratio, *data["ratio"].dropna()]) for fold in (min, max))
    if highest > 8 * lowest > 0:
        axes.set_yscale("log")
        plotting.plain_log_ticks(axes.yaxis)
        axes.set_ylim(lowest / 1.2, highest * 1.2)
    else:
        axes.set_ylim(0, 1.1 * highest)
    axes.grid(True)
    return axes


def _sentence(frame: pd.DataFrame, comparison: Compared, recorded: float) -> str:
    """The range of the ratio at the recorded number of steps, beside the recorded ratio."""
    first = comparison.estimates[comparison.baseline][0]
    rows = frame[frame["steps"] == first.operations.steps]
    low, high = rows["ratio"].min(), rows["ratio"].max()
    spread = number(low) if number(low) == number(high) else f"between {number(low)} and {number(high)}"
    return (
        f"If every neuron of both networks fired at the same rate, {comparison.baseline} / {comparison.focus} would be "
        f"{spread} at rates from {number(100 * RATES[0], decimals=0)} to {number(100 * RATES[-1], decimals=0)} % and "
        f"{first.operations.steps} steps: that is what weights, gate and state make, without any difference in "
        f"spikes. Recorded, with the rates of each network, it is {number(recorded)}."
    )


def _table(found: dict[str, pd.DataFrame], comparison: Compared) -> Table:
    first = comparison.estimates[comparison.baseline][0]
    own = found["steps"][found["steps"]["steps"] == first.operations.steps].reset_index(drop=True)
    unit = unit_for([*own["base_pj"], *own["focus_pj"]], ENERGY)
    columns = [Column("Firing rate", "%"), Column(comparison.baseline, unit.name), Column(comparison.focus, unit.name)]
    cells = [[f"{100 * rate:g}" for rate in own["rate"]]]
    cells += [column(own[name], unit.size) for name in ("base_pj", "focus_pj")]
    for axis, frame in found.items():
        for value, rows in frame.groupby(axis):
            columns.append(Column("Ratio", _label(axis, int(str(value)))))
            cells.append([number(ratio) for ratio in rows["ratio"]])
    kept = f"{first.operations.steps} steps"
    if "memory_bytes" in found:
        kept += " and the machine's own memory unless said"
    caption = (
        f"Energy per inference and {comparison.baseline} / {comparison.focus} under the same random spikes; {kept}."
    )
    data = pd.concat(found.values(), ignore_index=True)
    return Table("what-if", caption, tuple(columns), tuple(zip(*cells, strict=True)), data)


def _notes() -> str:
    return (
        "These are independent random spikes, not trained networks: each element of each signal fires on its own with "
        "the same probability at every step, the input at its recorded rate. No accuracy belongs to them, and trained "
        "networks fire unevenly over layers, places and steps. Both networks meet the same spikes. A memory of another "
        "size is priced by its capacity, and weights that do not fit are loaded at every inference."
    )


def _about_event(result: EnergyEstimate) -> str:
    return (
        f"{result.accelerator.name} routes single spikes, and its prices know neither the width of weights nor the "
        "size of a memory. Random spikes could be routed too, but at equal rates two networks of the same layers would "
        "cost the same; so nothing is varied here."
    )
