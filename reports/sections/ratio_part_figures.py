"""The figures of what the ratio is made of: a waterfall of Shapley shares, and a tornado of prices."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...energy.explaining.shapley_shares import Shares
from ...sim.readable_numbers import ENERGY, number, unit_for
from ..page import plotting
from ..page.blocks import NARROW, Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

    from ..comparison.compared_variants import Compared

MOST_BARS = 8
SAVES, COSTS = "#44bb99", "#ee8866"
LOW, HIGH = "#99ddff", "#4477aa"
MEMORIES = {"sram": "SRAM", "dram": "DRAM"}


def price_words(key: str) -> str:
    """``weight_sram.read`` as ``weight SRAM read``, ``add.float32`` as ``float32 add``."""
    head, _, tail = key.partition(".")
    of_memory = tail in ("read", "write", "leakage")
    words = f"{head} {tail}" if of_memory else f"{tail} {head.replace('add_subtract', 'add/subtract')}"
    return " ".join(MEMORIES.get(word, word) for word in words.replace("_", " ").split())


def waterfall_figure(shares: Shares, comparison: Compared) -> Figure:
    looks = plotting.looks(list(comparison.estimates))
    names = comparison.baseline, comparison.focus
    colours = looks[names[0]].colour, looks[names[1]].colour

    def draw(canvas: Canvas) -> None:
        waterfall(canvas.subplots(), shares, names, colours)

    caption = "From one to the other: Shapley shares of the energy difference, mean over seeds."
    return Figure("waterfall", caption, draw, NARROW, 2.5)


def waterfall(axes: Axes, shares: Shares, names: tuple[str, str], colours: tuple[str, str]) -> Axes:
    """Horizontal bars from the base's energy through each switch's share to the variant's; unchanged switches are out.

    ``names`` and ``colours`` are those of the base and the variant.
    """
    parts = {name: part for name, part in shares.energy_pj.items() if abs(part) > 1e-9 * shares.base_pj}
    order = sorted(parts, key=lambda name: -abs(parts[name]))
    unit = unit_for([shares.base_pj, shares.variant_pj], ENERGY)
    steps = np.cumsum([shares.base_pj, *(parts[name] for name in order)]) / unit.size
    last = len(order) + 1
    axes.barh(0, steps[0], height=0.62, color=colours[0])
    axes.barh(last, shares.variant_pj / unit.size, height=0.62, color=colours[1])
    for place, (before, after) in enumerate(itertools.pairwise(steps.tolist()), start=1):
        axes.barh(place, after - before, left=before, height=0.62, color=SAVES if after < before else COSTS)
    for place in range(last):
        axes.vlines(steps[place], place - 0.31, place + 1.31, color=plotting.MUTED, linewidth=0.7)
    ends = [steps[0], *np.maximum(steps[:-1], steps[1:]), steps[-1]]
    sizes = [shares.base_pj, *(parts[name] for name in order), shares.variant_pj]
    for place, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        text = number(size / unit.size, signed=0 < place < last)
        axes.annotate(text, (end, place), (3, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_yticks(range(last + 1), [plotting.label(name, 16) for name in (names[0], *order, names[1])])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.2 * float(steps.max()))
    axes.set_xlabel(f"energy per inference, {unit.name}")
    axes.grid(True, axis="x")
    return axes


def tornado_figure(data: pd.DataFrame, ratio: float, base: str, focus: str) -> Figure:
    def draw(canvas: Canvas) -> None:
        axes = leaning_bars(canvas.subplots(), data, ratio)
        axes.set_xlabel(plotting.label(f"{base} / {focus}", 46))
        handles, labels = axes.get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside lower center", ncols=2, handlelength=1.0, handletextpad=0.5)

    caption = (
        "The ratio with one price at its low or high value, the others at their own; line: all at their own. Prices "
        "that move it by less than a hundredth of the first are in the table only."
    )
    return Figure("tornado", caption, draw, NARROW, 2.5)


def leaning_bars(axes: Axes, data: pd.DataFrame, ratio: float) -> Axes:
    """A tornado: how far each price moves the ratio; ``data`` is `tornado`."""
    shown = data.head(MOST_BARS)
    places = np.arange(len(shown))
    for name, colour, title in (("ratio_at_low", LOW, "price low"), ("ratio_at_high", HIGH, "price high")):
        axes.barh(places, shown[name] - ratio, left=ratio, height=0.62, color=colour, label=title)
    axes.axvline(ratio, color=plotting.INK, linewidth=0.8)
    ends = [*shown["ratio_at_low"], *shown["ratio_at_high"], ratio]
    room = 0.08 * (max(ends) - min(ends))
    axes.set_xlim(min(ends) - room, max(ends) + room)
    axes.set_yticks(places, [plotting.label(price_words(str(key)), 18) for key in shown["price"]])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
    return axes
