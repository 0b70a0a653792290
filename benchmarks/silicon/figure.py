"""The figure of docs/validation.md."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from .rows import STATIC, Row


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def draw(rows: list[Row], text: str, path: Path) -> None:
    """Predicted over measured on a logarithmic axis; the page's digest goes into the file."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    labels = list(dict.fromkeys(_label(row) for row in rows))
    colours = {name: f"C{i}" for i, name in enumerate(("loihi1-davies2018", "loihi1-sanafe", "truenorth", "sop-45nm"))}
    colours |= {"fitted form": "C4", "static x time": "0.3", "step time": "0.3"}
    marks = {"events": "o", "events + static": "s", "static alone": "^", "step time": "D", "fitted form": "x"}
    with mpl.rc_context({"svg.hashsalt": "validation", "svg.fonttype": "none", "font.size": 8}):
        figure, axes = plt.subplots(figsize=(10.4, 0.24 * len(labels) + 1.6), layout="constrained")
        for row in rows:
            colour = next(value for name, value in colours.items() if row.model.startswith(name))
            face = "none" if row.outside and _kind(row) != "fitted form" else colour
            style = {"color": colour, "markerfacecolor": face, "markersize": 5, "linestyle": "none"}
            axes.plot(row.ratio, labels.index(_label(row)), marks[_kind(row)], **style)
        axes.axvline(1, color="0.5", linewidth=0.8)
        axes.grid(axis="both", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set(xscale="log", xlabel="predicted over measured", yticks=range(len(labels)), yticklabels=labels)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        figure.set_layout_engine("constrained", w_pad=0.15)  # other fonts are wider
        _legend(figure, colours, marks)
        figure.savefig(path, metadata={"Date": None, "Description": digest(text)})
        plt.close(figure)


def _legend(figure: Any, colours: dict[str, str], marks: dict[str, str]) -> None:
    """Marks say which number it is, colours whose; hollow marks are in no band."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color="k", marker=mark, linestyle="none", label=name) for name, mark in marks.items()]
    hollow = {"color": "k", "markerfacecolor": "none", "marker": "o", "linestyle": "none"}
    handles.append(Line2D([], [], label="hollow, x: in no band", **hollow))
    chips = [name for name in colours if "-" in name or name == "truenorth"] + ["both loihi1 files"]
    handles += [Line2D([], [], color=colours.get(name, "0.3"), linewidth=4, label=name) for name in chips]
    figure.legend(handles=handles, loc="outside upper center", ncols=5, frameon=False)


def _kind(row: Row) -> str:
    if row.model.startswith("fitted"):
        return "fitted form"
    if row.unit == "us":
        return "step time"
    if row.part.startswith(STATIC):
        return "static alone"
    return "events + static" if STATIC in row.part else "events"


def _label(row: Row) -> str:
    return f"{row.network}: {row.measured_is}"
