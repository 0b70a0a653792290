"""The section on state widths: the same runs replayed in narrow fixed point, with what that does to the spikes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from ...sim.readable_numbers import COUNT, ENERGY, listed, number, spread, unit_for
from ..comparison.full_tables import records
from ..page import plotting
from ..page.blocks import WIDE, Block, Column, Figure, Paragraph, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from ...energy.explaining.narrow_states import Replayed
    from ..comparison.compared_variants import Compared

RECORDED = "as trained"


def state_width(comparison: Compared) -> list[Block]:
    """Accuracy, differing spikes and energy at every state width, and how the ratio moves with it."""
    if not comparison.replayed:
        return [
            Paragraph(
                "Nothing was replayed: that takes the parameters that are written beside the traces of this package's "
                "own networks. All figures are for the state that the traces were recorded with."
            )
        ]
    data = widths(comparison)
    means = _means(comparison, data)
    blocks: list[Block] = [Paragraph(ratio_sentence(comparison, means)), _figure(comparison, means)]
    blocks += [_table(comparison, data, means), Paragraph(check_sentence(comparison))]
    unpriced = sorted({one.unpriced for group in comparison.replayed.values() for x in group for one in x} - {""})
    return [*blocks, *(Paragraph(f"Not priced: {why}.", "note") for why in unpriced), Paragraph(_notes(), "note")]


def widths(comparison: Compared) -> pd.DataFrame:
    """One row per variant, width and seed: the recorded state first, then the fixed-point replays.

    Returns
    -------
    DataFrame
        ``variant, state, seed``; ``accuracy`` (0..1); ``differing, recorded, places`` (spikes that differ from the
        recorded ones, recorded spikes, neurons x steps x samples); ``saturated`` (0..1); ``synaptic_operations`` per
        inference; ``energy_pj, low_pj, high_pj`` per inference on the first accelerator, static power x time included
        where its file has a static part; ``ratio``, the baseline's energy at the same width and seed over this. NaN
        where unknown.
    """
    rows = []
    for variant, group in comparison.estimates.items():
        replays = comparison.replayed.get(variant, ((),) * len(group))
        for seed, recorded, runs in zip(comparison.seeds, group, replays, strict=True):
            origin: dict[str, object] = {"variant": variant, "seed": seed}
            low, high = recorded.compared_bounds_pj
            workload = recorded.operations.workload
            rows.append(
                origin
                | {"state": f"{workload.state_type}{workload.state_bits}, {RECORDED}", "accuracy": recorded.accuracy}
                | {"synaptic_operations": recorded.operations.synaptic_operations}
                | {"energy_pj": recorded.compared_pj, "low_pj": low, "high_pj": high}
            )
            rows += [origin | _replayed_row(one) for one in runs if one.state_bits is not None]
    data = pd.DataFrame(rows)
    base = data[data["variant"] == comparison.baseline].set_index(["state", "seed"])["energy_pj"]
    keys = pd.MultiIndex.from_frame(data[["state", "seed"]])
    data["ratio"] = base.reindex(keys).to_numpy() / data["energy_pj"].to_numpy()
    order = ["variant", "state", "seed", "accuracy", "differing", "recorded", "places", "saturated"]
    return data[[*order, "synaptic_operations", "energy_pj", "low_pj", "high_pj", "ratio"]]


def _replayed_row(one: Replayed) -> dict[str, object]:
    low, high = (math.nan, math.nan) if one.estimate is None else one.estimate.compared_bounds_pj
    return {
        "state": f"fixed{one.state_bits}",
        "accuracy": one.operations.accuracy,
        "differing": one.mismatch.differing,
        "recorded": one.mismatch.recorded,
        "places": one.mismatch.places,
        "saturated": one.saturated,
        "synaptic_operations": one.operations.synaptic_operations,
        "energy_pj": math.nan if one.estimate is None else one.estimate.compared_pj,
        "low_pj": low,
        "high_pj": high,
    }


def _means(comparison: Compared, data: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds by variant and state, in the order of the comparison, with the spread of some."""
    numeric = data.drop(columns="seed").astype({"accuracy": float})
    grouped = numeric.groupby(["variant", "state"], sort=False)
    means = grouped.mean()
    for name in ("accuracy", "energy_pj", "ratio"):
        means[f"{name}_spread"] = grouped[name].std()
    means["per_place"] = means["differing"] / means["places"]
    means["per_spike"] = means["differing"] / means["recorded"]
    return means.reset_index()


def ratio_sentence(comparison: Compared, means: pd.DataFrame) -> str:
    """How the baseline's ratio to the focus moves with the width of both, in words."""
    base, focus = comparison.baseline, comparison.focus
    own = means[(means["variant"] == focus) & means["ratio"].notna()]
    if base == focus or len(own) < 2:
        return "Every variant was replayed with its state in fixed point, all by the same rule."
    told = [f"{number(row['ratio'])} at {state_words(row['state'])}" for row in records(own)]
    first, last = own.iloc[0], own.iloc[-1]
    change = float(last["ratio"] / first["ratio"])
    moved = "does not move" if number(change) == "1.00" else f"{'grows' if change > 1 else 'shrinks'}"
    by = "" if moved == "does not move" else f" {number(change if change > 1 else 1 / change)} times"
    points = 100 * float(last["accuracy"] - first["accuracy"])
    accuracy = ""
    if not math.isnan(points):
        way = "gains" if points > 0 else "loses"
        accuracy = f" {focus} {way} {number(abs(points), decimals=1)} points of accuracy on that way."
    others = " ".join(_against(comparison, means, name) for name in _unbinarised(comparison) if name != base)
    return (
        f"{base} / {focus}, both at the same width, is {listed(told)}: from the widest to the narrowest state the "
        f"ratio {moved}{by}.{accuracy} {others}".rstrip()
    )


def _unbinarised(comparison: Compared) -> list[str]:
    """Replayed variants without binary weights, the focus left out."""
    return [
        name
        for name in comparison.replayed
        if name != comparison.focus
        and all(x.weight_kind != "binary" for x in comparison.estimates[name][0].operations.workload.layers)
    ]


def _against(comparison: Compared, means: pd.DataFrame, reference: str) -> str:
    """The ratio of mean energies of another variant and the focus, at every width."""
    energies = means.pivot(index="state", columns="variant", values="energy_pj")
    ratios = (energies[reference] / energies[comparison.focus]).dropna().reindex(means["state"].unique()).dropna()
    told = listed([f"{number(ratio)} at {state_words(str(state))}" for state, ratio in ratios.items()])
    return f"{reference} / {comparison.focus} is {told}."


def check_sentence(comparison: Compared) -> str:
    """What the replay in float64 says of the recording: whether the two are the same network."""
    found = [one for group in comparison.replayed.values() for runs in group for one in runs if one.state_bits is None]
    if not found:
        return ""
    differing, places = (sum(getattr(one.mismatch, name) for one in found) for name in ("differing", "places"))
    runs = f"{len(found)} run{'s' * (len(found) != 1)}"
    return (
        f"Check: replayed in float64 without the training framework, {differing:,} of {places:,} places (neurons x "
        f"steps x samples, {runs}) differ from the recorded float32 spikes. Such differences are potentials within "
        "rounding of the threshold, and what follows from them."
    )


def state_words(state: str) -> str:
    """A state as tables and sentences call it."""
    kind, _, told = state.partition(", ")
    if kind.startswith("fixed"):
        return f"{kind.removeprefix('fixed')} bits"
    return f"{kind} {told}".strip()


def _table(comparison: Compared, data: pd.DataFrame, means: pd.DataFrame) -> Table:
    energy = unit_for(means["energy_pj"], ENERGY)
    count = unit_for(means["synaptic_operations"], COUNT)
    columns = (
        *(Column("Variant", text=True), Column("State", text=True), Column("Accuracy", "%")),
        *(Column("Spikes differ", "% of places"), Column("Spikes differ", "% of spikes"), Column("Cut", "%")),
        *(Column("SOPs", count.name), Column("Energy", energy.name), Column("Ratio at this width")),
    )
    rows, shown = [], ""
    for row in records(means):
        name = "" if row["variant"] == shown else row["variant"]
        shown = row["variant"]
        rows.append(
            (
                *(name, state_words(row["state"])),
                _with_spread(100 * row["accuracy"], 100 * row["accuracy_spread"], 1),
                *(number(100 * row[key]) for key in ("per_place", "per_spike", "saturated")),
                number(row["synaptic_operations"] / count.size),
                _with_spread(row["energy_pj"] / energy.size, row["energy_pj_spread"] / energy.size),
                _with_spread(row["ratio"], row["ratio_spread"]),
            )
        )
    machine = comparison.estimates[comparison.baseline][0].accelerator.name
    caption = (
        f"The same runs at other state widths on {machine}, mean and standard deviation over seeds. Spikes differ: "
        "from the recorded ones, as a share of all neurons and steps, and per recorded spike. Cut: potentials that met "
        f"the end of the range. Ratio: {comparison.baseline} / variant, both at this width."
    )
    return Table("state-width", caption, columns, tuple(rows), data)


def _with_spread(mean: float, deviation: float, decimals: int | None = None) -> str:
    told = (number(mean, decimals=decimals), spread(mean, deviation, decimals=decimals))
    return "\n".join(filter(None, told))


def _figure(comparison: Compared, means: pd.DataFrame) -> Figure:
    names = list(comparison.estimates)
    priced = means.pivot(index="state", columns="variant", values="energy_pj").reindex(
        index=list(dict.fromkeys(means["state"])), columns=names
    )
    priced.index = pd.Index([state_words(state) for state in priced.index])
    styles = plotting.looks(names)

    def draw(canvas: Canvas) -> None:
        plotting.energy_by_layer(canvas.subplots(), priced, styles)
        plotting.variant_legend(canvas, styles, columns=3, kind="bars")

    return Figure("energy-by-width", "Energy per inference by state width, mean over seeds.", draw, WIDE, 2.6)


def _notes() -> str:
    return (
        "Narrow rows were replayed, not retrained: trained weights, with every channel in a unit of its own (a power "
        "of two, times the scale of +-1 or int8 weights) chosen by one rule from its threshold. Weights, biases and "
        "thresholds are rounded to the state's last place, leaks are cut toward zero, and potentials saturate once per "
        "step; saturation within a step is not modelled. Adds are priced at the width of the state, which is the "
        "accumulator. The readout alone is kept and priced at 16 bits or more, because it sums over all steps. A live "
        "gate's sigmoid is computed in float64 and priced at the width of the state. Stored weights keep their "
        "declared width, also 32-bit ones that a narrow state rounds: the rows of 8-bit weights show what narrower "
        "storage saves. Analog input, where there is any, keeps its values, and its products are priced at the width "
        "of the state. Memories are the same silicon at every width."
    )
