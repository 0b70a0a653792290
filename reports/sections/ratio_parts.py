"""What the ratio is made of and what would flip it: Shapley shares, sensitivity to prices, break-even firing rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...energy.explaining.break_even import break_even
from ...energy.explaining.price_sensitivity import monte_carlo, tornado
from ...energy.explaining.ratio import SharedCounts, shared_counts
from ...energy.explaining.shapley_shares import Shares, energy_shares
from ...energy.pricing.not_run import NOT_RUN
from ...sim.errors import InvalidInput
from ...sim.readable_numbers import ENERGY, POWER, listed, number, unit_for
from ..comparison.full_tables import records
from ..page.blocks import Block, Column, Paragraph, SideBySide, Table
from .ratio_part_figures import MEMORIES, price_words, tornado_figure, waterfall_figure

if TYPE_CHECKING:
    from ..comparison.compared_variants import Compared

NEGLIGIBLE = 1e-3  # a gap smaller than this share of the base has no shares, a price that moves a ratio less no bar


def made_of(comparison: Compared) -> list[Block]:
    """The section: shares of the gap and prices' influence in words and figures, then the break-even rates."""
    base, focus = comparison.baseline, comparison.focus
    if base == focus:
        return [Paragraph("There is one variant, so no ratio to take apart.")]
    sides = comparison.estimates[base], comparison.estimates[focus]
    shared = shared_counts(*sides)
    prices = tornado(shared)
    swings = prices[prices["swing"] > max(NEGLIGIBLE * shared.ratio, 0.01 * prices["swing"].max())]
    leaning = None if swings.empty else tornado_figure(swings, shared.ratio, base, focus)
    told = [flip_sentence(shared, prices, base, focus), draws_sentence(shared)]
    if comparison.quantity == "total_pj":
        told = [_events_sentence(shared_counts(*sides, static=False), base, focus), *told]
    sensitivity = _prices_table(prices, base, focus)
    try:
        shares = energy_shares(*sides)
        rates = pd.concat([break_even(v, b).assign(seed=s) for b, v, s in zip(*sides, comparison.seeds, strict=True)])
    except InvalidInput as error:  # such as machines that route recorded spikes, or networks of other layers
        shown = Paragraph(f"There are no Shapley shares and no break-even rates here: {error}.")
        return [Paragraph(" ".join(told)), *([leaning] if leaning else []), sensitivity, shown]
    waterfall = waterfall_figure(shares, comparison)
    return [
        Paragraph(" ".join([shares_sentence(shares, base, focus), *told])),
        SideBySide(waterfall, leaning) if leaning else waterfall,
        _shares_table(shares, base, focus),
        sensitivity,
        _rates_table(rates, base, focus),
        Paragraph(_notes(base), "note"),
    ]


def _events_sentence(events: SharedCounts, base: str, focus: str) -> str:
    """The events' own ratio on a chip, before all that is said of the totals."""
    sentence = (
        f"In what follows {base} / {focus} is the ratio of totals, in which static power \N{MULTIPLICATION SIGN} time "
        f"is one price among the others"
    )
    if not (events.base @ events.value and events.variant @ events.value):
        return f"{sentence}; the events alone have no ratio, for one of the two has none."
    low, high = (number(bound) for bound in events.bounds)
    bounds = "whatever the prices within their ranges" if low == high else f"{low} to {high} over the price ranges"
    return f"{sentence}; of the events alone it is {number(events.ratio)} ({bounds})."


def shares_sentence(shares: Shares, base: str, focus: str) -> str:
    """How much of the gap each switch makes."""
    gap, parts = shares.variant_pj - shares.base_pj, shares.energy_pj
    unit = unit_for([shares.base_pj, shares.variant_pj], ENERGY)
    ours, theirs = number(shares.variant_pj / unit.size), number(shares.base_pj / unit.size)
    sentence = f"{focus} takes {ours} {unit.name} per inference, {base} {theirs} {unit.name}"
    if abs(gap) < NEGLIGIBLE * shares.base_pj:
        return f"{sentence}: the gap is too small to be split into shares."
    percent = {name: 100 * part / gap for name, part in parts.items()}
    order = sorted(percent, key=lambda name: -percent[name])
    made = [f"{number(percent[name], decimals=1)} % {name}" for name in order if percent[name] >= 0.05]
    made[0] = made[0].replace(" % ", " % of the gap is ", 1)
    taken = [f"{name} takes {number(-percent[name], decimals=1)} % back" for name in order if percent[name] <= -0.05]
    small = [name for name in order if abs(percent[name]) < 0.05]
    clauses = [", ".join(made), *taken, *([f"no share: {listed(small)}"] if small else [])]
    return f"{sentence}: {'; '.join(clauses)}."


def flip_sentence(shared: SharedCounts, prices: pd.DataFrame, base: str, focus: str) -> str:
    """Whether any price, or all of them together, could turn the ratio past one."""
    low, high = shared.bounds
    if shared.dominated:
        return (
            f"One side needs no more of every action, so {base} / {focus} is dominated: no price flips this, "
            f"whatever it is."
        )
    if shared.ratio == 1:
        return "Both cost the same at these prices."
    known = prices.dropna(subset=["threshold_pj"])
    distance = (known["threshold_pj"].clip(lower=1e-300) / known["value_pj"].clip(lower=1e-300)).map(math.log).abs()
    nearest = records(known.loc[distance.sort_values(kind="stable").index[:2]])
    clauses = [_holds_while(row) for row in nearest]
    cheaper = focus if shared.ratio > 1 else base
    within = low < 1 < high
    box = "can flip it" if within else "cannot flip it"
    ranges = f"all prices together, each between its low and high value, {box} ({number(low)} to {number(high)})"
    if not clauses:
        return f"No single price flips this while the others keep their values; {ranges}."
    return (
        f"That {cheaper} takes less holds while {' and while '.join(clauses)}, each with the other prices as they "
        f"are; {ranges}."
    )


def _holds_while(row: dict[str, Any]) -> str:
    """Up to, or from, which price the cheaper side stays the cheaper; what leaks in a second is a power."""
    side = "more" if row["holds_while"] == "above" else "less"
    name = price_words(row["price"])
    if row["price"] == "static_power.machine" or row["price"].endswith(".leakage"):
        unit = unit_for([row["threshold_pj"] * 1e-12, row["value_pj"] * 1e-12], POWER)
        threshold, value = (number(row[key] * 1e-12 / unit.size) for key in ("threshold_pj", "value_pj"))
        return f"{name} is {side} than {threshold} {unit.name} (here {value})"
    return f"one {name} costs {side} than {number(row['threshold_pj'])} pJ (here {number(row['value_pj'])})"


def draws_sentence(shared: SharedCounts) -> str:
    """What prices drawn at random, in groups, do to the ratio."""
    draws = monte_carlo(shared)
    low, high = draws.interval()
    groups = listed([MEMORIES.get(name, name) for name in dict.fromkeys(sorted(shared.groups))])
    if number(low) == number(high):
        return f"Random prices within their ranges leave the ratio at {number(low)}."
    return (
        f"With one random factor for each group of prices ({groups}; {len(draws.ratios):,} draws, seed {draws.seed}) "
        f"the ratio lies between {number(low)} and {number(high)} in 95 % of the draws and above one in "
        f"{number(100 * draws.above_one, decimals=1)} %."
    )


def _shares_table(shares: Shares, base: str, focus: str) -> Table:
    gap, parts, factors = shares.variant_pj - shares.base_pj, shares.energy_pj, shares.factors
    rows = [{"switch": name, "energy_pj": parts[name], "factor": factors[name]} for name in parts]
    rows.append({"switch": "together", "energy_pj": gap, "factor": shares.base_pj / shares.variant_pj})
    data = pd.DataFrame(rows)
    data["percent"] = 100 * data["energy_pj"] / gap if gap else math.nan
    unit = unit_for(data["energy_pj"], ENERGY)
    columns = (Column("Taken from the variant", text=True), Column("Energy", unit.name), Column("Of the gap", "%"))
    cells = tuple(
        (
            *(row["switch"], number(row["energy_pj"] / unit.size, signed=True)),
            *(number(row["percent"], decimals=1), number(row["factor"])),
        )
        for row in records(data)
    )
    caption = (
        f"Shapley shares of {focus} \N{MINUS SIGN} {base}; they add up to the gap. {NOT_RUN.capitalize()}: every "
        f"hybrid between the two. Factor: shares of the logarithm of {base} / {focus}, for the mean energies over "
        "seeds; they multiply to it."
    )
    return Table("shares", caption, (*columns, Column("Factor of the ratio")), cells, data)


def _prices_table(prices: pd.DataFrame, base: str, focus: str) -> Table:
    def cells(row: dict[str, Any]) -> tuple[str, ...]:
        threshold = f"{row['holds_while']} {number(row['threshold_pj'])}" if row["holds_while"] else number(math.nan)
        figures_pj = (number(row[name]) for name in ("low_pj", "value_pj", "high_pj"))
        return (row["price"], *figures_pj, number(row["ratio_at_low"]), number(row["ratio_at_high"]), threshold)

    columns = (
        *(Column("Price", text=True), Column("Low", "pJ"), Column("Value", "pJ"), Column("High", "pJ")),
        *(Column("Ratio at low"), Column("Ratio at high"), Column("Holds while", "pJ")),
    )
    caption = (
        f"{base} / {focus} with one price moved at a time. Holds while: the price at which the two would cost the "
        "same, and the side of it on which the cheaper one stays the cheaper; a dash: no price does that. Static power "
        "is priced per step of a chip, and per second of a grid (1 mW is 10\u2079 pJ)."
    )
    return Table("sensitivity", caption, columns, tuple(map(cells, records(prices))), prices)


def _rates_table(rates: pd.DataFrame, base: str, focus: str) -> Table:
    names = ["rate", "reference_rate", "compute_rate", "machine_rate"]
    middle = rates.fillna(-math.inf).groupby("layer", sort=False)[names].median()
    columns = (
        *(Column("Layer", text=True), Column(focus, "%"), Column(base, "%")),
        *(Column("Break-even, compute", "%"), Column("Break-even, machine", "%")),
    )
    cells = tuple((str(layer) or "network", *map(_rate_cell, row)) for layer, *row in middle.itertuples())
    caption = (
        f"Events per element and step, median over seeds: what each layer reads (network: spikes per neuron), and the "
        f"rate at which {focus} would cost as much as {base} does. Any: it costs no more at any rate; none: it costs "
        "more even without events."
    )
    return Table("break-even", caption, columns, cells, rates)


def _rate_cell(value: float) -> str:
    if math.isinf(value):
        return "any" if value > 0 else "none"
    return number(100 * value)


def _notes(base: str) -> str:
    return (
        f"Shares come from pricing every hybrid of the two: the network of {base} with the other's weights, spikes, "
        "gate or state, in all combinations, averaged over all orders of exchanging them. Hybrids are arithmetic: no "
        "such network was trained. A scale that only a live gate keeps from folding counts with weights and gate "
        "together. Break-even rates scale recorded events: compute in closed form, the machine by simulating it again."
    )
