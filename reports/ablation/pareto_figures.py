"""The figures of an ablation: accuracy against energy with the front, and energy against the firing rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from ...sim.readable_numbers import ENERGY, Unit, number, unit_for
from ..page import plotting
from .pareto import non_dominated

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TWIN_COLOUR = plotting.MUTED
LOWEST_POINTS = 8.0  # below the line: settings of still lower accuracy are left off the figure


@dataclass(frozen=True)
class Against:
    """What the settings are set against: the reference of equal accuracy and the line drawn from the best one.

    Attributes
    ----------
    name : str
        Of the reference, in words.
    accuracy : float
        The iso-accuracy line: the best reference's test accuracy less the tolerance, 0..1.
    energy_pj : float
        Per inference, of the cheapest reference of equal accuracy.
    reached : float
        That reference's own test accuracy, 0..1.
    """

    name: str
    accuracy: float
    energy_pj: float
    reached: float


def lowest_shown(found: pd.DataFrame, against: Against | None) -> float:
    """The accuracy (0..1) at which the axis starts."""
    top = found["test_accuracy"].max() if against is None else against.accuracy
    return max(float(found["test_accuracy"].min()), float(top) - LOWEST_POINTS / 100) - 0.01


def accuracy_front(
    axes: Axes,
    found: pd.DataFrame,
    styles: Mapping[str, plotting.Look],
    against: Against | None = None,
    break_even: Mapping[str, float] | None = None,
) -> Axes:
    """Test accuracy against energy: a variant's front as large joined marks, its other settings small.

    Parameters
    ----------
    axes : Axes
    found : DataFrame
        From `settings`.
    styles : mapping of variant to Look
    against : Against, optional
        Draws the iso-accuracy line and the energy that the variants must stay below.
    break_even : mapping of variant to float, optional
        Firing rate (0..1) at which a variant costs that energy; written beside the line.
    """
    unit = unit_for(found["energy_pj"], ENERGY)
    for name, look in styles.items():
        rows = found[found["point"] & (found["variant"] == name)]
        x, y = rows["energy_pj"] / unit.size, 100 * rows["test_accuracy"]
        axes.scatter(x, y, s=11, marker=look.marker, color=look.colour, alpha=0.45, linewidths=0)
        front = rows[rows["variant_front"]].sort_values("energy_pj")
        x, y = front["energy_pj"] / unit.size, 100 * front["test_accuracy"]
        axes.plot(x, y, color=look.colour, linestyle=look.dashes, linewidth=1.0, alpha=0.8)
        axes.scatter(
            x, y, s=34, marker=look.marker, color=look.colour, edgecolors=plotting.INK, linewidths=0.6, zorder=3
        )
    _twins(axes, found, unit)
    _energy_axis(axes, found, unit)
    if len(found):
        axes.set_ylim(100 * lowest_shown(found, against), 100 * float(found["test_accuracy"].max()) + 0.8)
    axes.set_ylabel("test accuracy, %")
    if against is not None:
        _lines(axes, against, break_even or {}, unit)
    axes.grid(True)
    return axes


def _twins(axes: Axes, found: pd.DataFrame, unit: Unit) -> None:
    twins = found[found["twin"]].sort_values("width")
    x, y = twins["energy_pj"] / unit.size, 100 * twins["test_accuracy"]
    axes.scatter(x, y, s=45, marker="*", color=TWIN_COLOUR, linewidths=0, zorder=2)
    if not twins["width"].is_unique:  # of several per width, those that no other beats are joined
        energy, accuracy = (twins[name].to_numpy(float) for name in ("validation_pj", "validation_accuracy"))
        twins = twins[non_dominated(energy, accuracy)].sort_values("energy_pj")
        x, y = twins["energy_pj"] / unit.size, 100 * twins["test_accuracy"]
    axes.plot(x, y, color=TWIN_COLOUR, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    for place, height, width in zip(x, y, twins["width"], strict=True):
        text = "\N{MULTIPLICATION SIGN}" + f"{width:g}"
        axes.annotate(text, (place, height), (4, -8), textcoords="offset points", fontsize=6.5, clip_on=True)


def _energy_axis(axes: Axes, found: pd.DataFrame, unit: Unit) -> None:
    lowest, highest = found["energy_pj"].min() / unit.size, found["energy_pj"].max() / unit.size
    if highest > 4 * lowest > 0:
        axes.set_xscale("log")
        plotting.plain_log_ticks(axes.xaxis)
        axes.set_xlim(lowest / 1.25, highest * 1.25)
    elif highest > lowest:
        room = 0.1 * (highest - lowest)
        axes.set_xlim(lowest - room, highest + room)
    axes.set_xlabel(f"energy per inference, {unit.name}")


def _lines(axes: Axes, against: Against, break_even: Mapping[str, float], unit: Unit) -> None:
    level, energy = 100 * against.accuracy, against.energy_pj / unit.size
    dashed, dotted = (0, (5, 3)), (0, (1, 1.5))
    axes.axhline(level, color=plotting.INK, linewidth=0.8, linestyle=dashed, zorder=1)
    axes.axvline(energy, color=plotting.INK, linewidth=0.8, linestyle=dotted, zorder=1)
    axes.annotate(
        f"{number(level)} %", (0.01, level), (0, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
        fontsize=6.5,
    )  # fmt: skip
    told = [f"{name}: {rate_words(rate)}" for name, rate in break_even.items()]
    text = (
        "\n".join(plotting.label(line, 44) for line in ["dotted: break-even, at a firing rate of", *told])
        if told
        else "dotted: break-even"
    )
    # the lower right, much energy for little accuracy, is where settings seldom lie
    box = {"facecolor": plotting.PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
    place = axes.annotate(text, (0.99, 0.02), xycoords="axes fraction", ha="right", va="bottom", fontsize=6.5)
    place.set(bbox=box, zorder=4)


def rate_words(rate: float) -> str:
    """A break-even rate as people read it."""
    if rate != rate:
        return "none, dearer even if silent"
    return "none, cheaper at any" if rate == float("inf") else f"{number(100 * rate)} %"


def energy_rate(
    axes: Axes,
    found: pd.DataFrame,
    styles: Mapping[str, plotting.Look],
    against: Against | None = None,
    break_even: Mapping[str, float] | None = None,
) -> Axes:
    """Energy against the firing rate: every setting, the reference's energy, and where a variant reaches it.

    Parameters as of `accuracy_front`; rates are spikes per neuron and step.
    """
    points = found[found["point"]]
    unit = unit_for(found["energy_pj"], ENERGY)
    for name, look in styles.items():
        rows = points[points["variant"] == name]
        x, y = 100 * rows["firing_rate"], rows["energy_pj"] / unit.size
        axes.scatter(x, y, s=16, marker=look.marker, color=look.colour, alpha=0.75, linewidths=0)
        rate = (break_even or {}).get(name, float("nan"))
        if against is not None and 0 < rate < float("inf"):
            at = 100 * rate, against.energy_pj / unit.size
            axes.plot(*at, marker=look.marker, color="none", markeredgecolor=look.colour, markersize=8, mew=1.3)
            axes.vlines(at[0], 0, at[1], color=look.colour, linewidth=0.8, linestyle=(0, (1, 1.5)))
    if against is not None:
        level = against.energy_pj / unit.size
        axes.axhline(level, color=plotting.INK, linewidth=0.8, linestyle=(0, (1, 1.5)))
        axes.annotate(
            plotting.label(against.name, 30), (0.01, level), (0, 2), xycoords=("axes fraction", "data"),
            textcoords="offset points", fontsize=6.5,
        )  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("firing rate: neurons that fire in a step, %")
    axes.set_ylabel(f"energy per inference, {unit.name}")
    axes.grid(True)
    return axes
