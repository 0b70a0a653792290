"""Figures: each takes data and an Axes, draws, and returns the Axes. Energies come in pJ and are scaled here."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...sim.readable_numbers import ENERGY, number, unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, PAPER = "#1c1e21", "#5f6570", "#d5d8dd", "#fefefe"  # replaced by theme colours in HTML
# P. Tol's "bright" scheme for variants and "light" scheme for parts of the machine: both safe for colour-blind readers
VARIANT_COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), "-", (0, (1, 1)), (0, (3, 1, 1, 1)))
PART_COLOURS = ("#77aadd", "#ffaabb", "#44bb99", "#ee8866", "#eedd88", "#bbcc33", "#aaaa00", "#99ddff", "#dddddd")
STYLE: dict[str, object] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Look:
    """How one variant is drawn everywhere."""

    colour: str
    marker: str
    dashes: Any


def looks(variants: Sequence[str]) -> dict[str, Look]:
    """One look per variant, by its place in the comparison; after seven they repeat in other pairings."""
    size = len(VARIANT_COLOURS)
    return {
        name: Look(VARIANT_COLOURS[i % size], MARKERS[(i + i // size) % size], DASHES[(i + i // size) % size])
        for i, name in enumerate(variants)
    }


def label(text: str, width: int = 22) -> str:
    """Given text as matplotlib shall show it: wrapped, cut if very long, and never read as mathematics."""
    lines = textwrap.wrap(text, width) or [text]
    if len(lines) > 2:
        lines = [lines[0], lines[1][: width - 1] + "\N{HORIZONTAL ELLIPSIS}"]
    shown = "\n".join(lines).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown  # a leading underscore hides an entry of a legend


def accuracy_energy(axes: Axes, data: pd.DataFrame, styles: Mapping[str, Look]) -> Axes:
    """Scatter of accuracy against energy: seeds as small points, means as large ones.

    ``data`` has the columns ``variant, accuracy`` (0..1) and ``energy_pj``, one row per seed. The energy axis is
    logarithmic where the largest energy is over eight times the smallest.
    """
    unit = unit_for(data["energy_pj"], ENERGY)
    for name, look in styles.items():
        rows = data[data["variant"] == name]
        x, y = rows["energy_pj"] / unit.size, 100 * rows["accuracy"]
        axes.scatter(x, y, s=15, marker=look.marker, color=look.colour, alpha=0.6, linewidths=0)
        axes.scatter(
            x.mean(), y.mean(), s=52, marker=look.marker, color=look.colour, edgecolors=INK, linewidths=0.7, zorder=3
        )
    lowest, highest = data["energy_pj"].min(), data["energy_pj"].max()
    if highest > 8 * lowest > 0:
        axes.set_xscale("log")
        plain_log_ticks(axes.xaxis)
        axes.set_xlim(lowest / unit.size / 1.3, highest / unit.size * 1.3)
    else:
        axes.set_xlim(0, 1.08 * highest / unit.size)
    axes.set_xlabel(f"energy per inference, {unit.name}")
    axes.set_ylabel("test accuracy, %")
    axes.margins(y=0.12)
    axes.grid(True)
    return axes


def part_colours(parts: Sequence[str]) -> dict[str, str]:
    """One colour per part of a machine, by its place among all parts of a report."""
    return {part: PART_COLOURS[index % len(PART_COLOURS)] for index, part in enumerate(parts)}


def stacked_energy(axes: Axes, data: pd.DataFrame, colours: Mapping[str, str]) -> Axes:
    """Horizontal stacked bars: one per variant (index), one colour per part of the machine (columns), in pJ."""
    totals = data.sum(axis=1)
    unit = unit_for(totals, ENERGY)
    left = np.zeros(len(data))
    places = np.arange(len(data))
    for part in map(str, data.columns):
        values = data[part].to_numpy() / unit.size
        axes.barh(places, values, left=left, height=0.66, color=colours[part], label=label(part), ec=PAPER, lw=0.4)
        left += values
    for place, total in zip(places, totals / unit.size, strict=True):
        axes.annotate(number(total), (total, place), (3, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_yticks(places, [label(str(name), 16) for name in data.index])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.16 * float(totals.max()) / unit.size)
    axes.set_xlabel(f"energy per inference, {unit.name}")
    axes.grid(True, axis="x")
    return axes


def energy_by_layer(axes: Axes, data: pd.DataFrame, styles: Mapping[str, Look]) -> Axes:
    """Grouped bars: layers (index, in network order) by variant (columns), in pJ."""
    unit = unit_for(data.to_numpy().ravel().tolist(), ENERGY)
    names = [str(name) for name in data.columns]
    width = 0.82 / max(1, len(names))
    for index, name in enumerate(names):
        places = np.arange(len(data)) + (index - (len(names) - 1) / 2) * width
        axes.bar(places, data[name].to_numpy() / unit.size, width, color=styles[name].colour, edgecolor=PAPER, lw=0.3)
    axes.set_xticks(np.arange(len(data)), [label(str(layer), 12) for layer in data.index])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel(f"energy per inference, {unit.name}")
    axes.grid(True, axis="y")
    return axes


def curves(axes: Axes, data: pd.DataFrame, x: str, styles: Mapping[str, Look], *, scale: float = 1.0) -> Axes:
    """Lines of the mean over seeds, with a band from the smallest to the largest seed.

    ``data`` has the columns ``variant``, ``x`` and ``value``, one row per seed; values are multiplied by ``scale``.
    """
    from matplotlib.ticker import MaxNLocator

    for name, look in styles.items():
        rows = data[data["variant"] == name]
        if rows.empty:
            continue
        grouped = (rows["value"] * scale).groupby(rows[x])
        mean, low, high = grouped.mean(), grouped.min(), grouped.max()
        axes.fill_between(mean.index, low, high, color=look.colour, alpha=0.16, linewidth=0)
        axes.plot(mean.index, mean, color=look.colour, linestyle=look.dashes)
        if len(mean) == 1:
            axes.plot(mean.index, mean, color=look.colour, marker=look.marker, linestyle="none")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(True, axis="y")
    return axes


def sample_energy(axes: Axes, data: pd.DataFrame, styles: Mapping[str, Look]) -> Axes:
    """Energy of single inferences: line from 5 to 95 %, box from 25 to 75 %, a mark at the median and one at 95 %.

    ``data`` is `quantiles`: one row per variant, in pJ.
    """
    unit = unit_for(data["p95_pj"], ENERGY)
    for place, (name, look) in enumerate(styles.items()):
        row = data.set_index("variant").loc[name] / unit.size
        axes.hlines(place, row["p05_pj"], row["p95_pj"], color=look.colour, linewidth=1.4)
        axes.barh(place, row["p75_pj"] - row["p25_pj"], left=row["p25_pj"], height=0.5, color=look.colour)
        axes.vlines(row["median_pj"], place - 0.3, place + 0.3, color=INK, linewidth=1.4)
        axes.vlines(row["p95_pj"], place - 0.2, place + 0.2, color=look.colour, linewidth=1.6)
    axes.set_yticks(range(len(styles)), [label(name, 20) for name in styles])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.06 * float(data["p95_pj"].max()) / unit.size)
    axes.set_xlabel(f"energy of one inference, {unit.name}")
    axes.grid(True, axis="x")
    return axes


def plain_log_ticks(axis: Any) -> None:
    """Logarithmic ticks at 1, 2 and 5 as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def variant_legend(figure: Figure, styles: Mapping[str, Look], *, columns: int, kind: str = "points") -> None:
    """One legend for the whole figure, below it; ``kind`` is points, lines or bars, as the variants are drawn."""
    from matplotlib.lines import Line2D

    def handle(look: Look) -> Line2D:
        if kind == "lines":
            return Line2D([], [], color=look.colour, linestyle=look.dashes, linewidth=1.6)
        marker, size = ("s", 6.5) if kind == "bars" else (look.marker, 5.5)
        return Line2D([], [], color=look.colour, marker=marker, linestyle="none", markersize=size)

    handles, names = [handle(look) for look in styles.values()], [label(name, 30) for name in styles]
    figure.legend(handles, names, loc="outside lower center", ncols=columns, handletextpad=0.5, columnspacing=1.2)
