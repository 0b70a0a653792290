"""Whole figures of the report: axes from `figures`, laid out with legends and panel titles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from ..comparison import full_tables
from ..comparison.matching import Estimates
from ..comparison.paired_differences import binary_layers
from ..page import plotting
from ..page.blocks import NARROW, WIDE, Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

    from ..comparison.compared_variants import Compared

PANELS = 4  # per row
TOP_HEIGHT = 3.1  # inches, of the two figures on the first page


def of_events(estimates: Estimates) -> str:
    """`` of events`` on a chip, whose static power x time no figure shows; nothing elsewhere."""
    return "" if next(iter(estimates.values()))[0].static_pj is None else " of events"


def accuracy_energy(comparison: Compared) -> Figure | None:
    """Accuracy against energy; None where no accuracy is known."""
    rows = [
        {"variant": variant, "accuracy": result.accuracy, "energy_pj": result.energy_pj}
        for variant, _, result in full_tables.every_estimate(comparison)
        if result.accuracy is not None
    ]
    styles = plotting.looks(list(comparison.estimates))
    known = {row["variant"] for row in rows}
    styles = {name: look for name, look in styles.items() if name in known}
    if not rows:
        return None

    def draw(canvas: Canvas) -> None:
        plotting.accuracy_energy(canvas.subplots(), pd.DataFrame(rows), styles)
        plotting.variant_legend(canvas, styles, columns=2)

    of = of_events(comparison.estimates)
    caption = f"Accuracy against energy{of}. Small: seeds; large: their mean. Up and to the left is better."
    caption += " Static power \N{MULTIPLICATION SIGN} time comes on top." * bool(of)
    return Figure("accuracy-energy", caption, draw, NARROW, TOP_HEIGHT)


def stacked_energy(comparison: Compared, estimates: Estimates) -> Figure:
    """Energy by part of one machine, mean over seeds; a part has the same colour on every machine."""
    machine = estimates[comparison.baseline][0].accelerator.name
    data = full_tables.energy_by_part(estimates)
    colours = plotting.part_colours(full_tables.parts(*full_tables.machines(comparison)))

    def draw(canvas: Canvas) -> None:
        axes = plotting.stacked_energy(canvas.subplots(), data, colours)
        handles, labels = axes.get_legend_handles_labels()
        spacing = {"handlelength": 1.0, "handletextpad": 0.5, "columnspacing": 1.2}
        canvas.legend(handles, labels, loc="outside lower center", ncols=3, **spacing)

    caption = f"Energy{of_events(estimates)} by part of the machine, mean over seeds: {machine}."
    return Figure(f"energy-by-part-{machine}", caption, draw, NARROW, max(TOP_HEIGHT, 0.9 + 0.34 * len(data)))


def energy_by_layer(comparison: Compared) -> Figure:
    data = full_tables.energy_by_layer(comparison.estimates)
    styles = plotting.looks(list(comparison.estimates))

    def draw(canvas: Canvas) -> None:
        plotting.energy_by_layer(canvas.subplots(), data, styles)
        plotting.variant_legend(canvas, styles, columns=3, kind="bars")

    of = of_events(comparison.estimates)
    told = "packets of the input's spikes" if of else "writing the input events into their buffer"
    caption = f"Energy{of} by layer, mean over seeds; input: {told}."
    return Figure("energy-by-layer", caption, draw, WIDE, 2.9)


def firing(comparison: Compared, data: pd.DataFrame) -> Figure:
    caption = "Spikes per neuron and step, by layer. Lines: mean over seeds; bands: smallest to largest seed."
    return _by_layer(
        comparison, data.rename(columns={"rate": "value"}), "firing-rate", caption, "step", "spikes, %", 100
    )


def sign_flips(comparison: Compared, data: pd.DataFrame) -> Figure | None:
    rows = data[(data["quantity"] == "sign_flips") & data["layer"].isin(binary_layers(comparison))]
    caption = "Sign flips of the weights per epoch, layers that are binary in some variant."
    return None if rows.empty else _by_layer(comparison, rows, "sign-flips", caption, "epoch", "flips per epoch")


def gradients(comparison: Compared, data: pd.DataFrame, quantity: str, title: str) -> Figure | None:
    rows = data[(data["quantity"] == quantity) & (data["layer"] != "")]
    caption = f"{title}, by layer and epoch."
    name = quantity.replace("_", "-")
    return None if rows.empty else _by_layer(comparison, rows, name, caption, "epoch", title.lower(), free=True)


def sample_energy(comparison: Compared, data: pd.DataFrame) -> Figure:
    styles = plotting.looks(list(comparison.estimates))

    def draw(canvas: Canvas) -> None:
        plotting.sample_energy(canvas.subplots(), data, styles)

    caption = (
        f"Energy{of_events(comparison.estimates)} of single inferences, samples of all seeds. Line: 5 to 95 %; box: 25 "
        "to 75 %; dark mark: median; coloured end mark: 95 %."
    )
    return Figure("sample-energy", caption, draw, WIDE, 0.7 + 0.3 * len(styles))


def _by_layer(
    comparison: Compared,
    data: pd.DataFrame,
    name: str,
    caption: str,
    x: str,
    y: str,
    scale: float = 1.0,
    *,
    free: bool = False,
) -> Figure:
    """One panel per layer, all with the variants' lines; ``free`` gives each panel a vertical axis of its own."""
    layers = list(dict.fromkeys(data["layer"]))
    shown = set(data["variant"])
    styles = {key: look for key, look in plotting.looks(list(comparison.estimates)).items() if key in shown}

    def draw(canvas: Canvas) -> None:
        panels = dict(zip(layers, _panels(canvas, len(layers), free), strict=True))
        for index, (layer, axes) in enumerate(panels.items()):
            rows = data[data["layer"] == layer]
            values = (rows if free else data)["value"] * scale
            power = _power(values)
            plotting.curves(axes, rows, x, styles, scale=scale / 10**power)
            _vertical_axis(axes, values / 10**power)
            axes.set_title(plotting.label(str(layer), 18) + _times_power(power))
            axes.set_xlabel(x)
            axes.set_ylabel(y if index % PANELS == 0 else "")
        plotting.variant_legend(canvas, styles, columns=3 if len(styles) != 4 else 4, kind="lines")

    rows = math.ceil(len(layers) / PANELS)
    return Figure(name, caption, draw, WIDE, 0.75 + 1.75 * rows)


def _panels(canvas: Canvas, count: int, free: bool) -> Sequence[Axes]:
    columns = min(count, PANELS)
    grid = canvas.subplots(math.ceil(count / columns), columns, sharey=not free, squeeze=False)
    cells = [axes for row in grid for axes in row]
    for axes in cells[count:]:
        axes.set_visible(False)
    return cells[:count]


def _power(values: pd.Series) -> int:
    """The power of ten to take out of a panel's numbers, 0 where they read well as they are."""
    largest = float(values.abs().max())
    if not math.isfinite(largest) or largest == 0 or 0.01 <= largest < 1e5 or _logarithmic(values):
        return 0
    return math.floor(math.log10(largest))


def _times_power(power: int) -> str:
    raised = str(power).translate(
        str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
    )
    return f", in 10{raised}" if power else ""


def _logarithmic(values: pd.Series) -> bool:
    return 0 < 30 * float(values.min()) < float(values.max())


def _vertical_axis(axes: Axes, values: pd.Series) -> None:
    """Logarithmic where positive values span over thirty times, else from zero where none is negative."""
    from matplotlib.ticker import NullFormatter

    if _logarithmic(values):
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(float(values.min()) / 1.3, float(values.max()) * 1.3)
    elif float(values.min()) >= 0:
        axes.set_ylim(0, 1.06 * float(values.max()) or 1.0)
