"""The first sentence of a report: accuracy, energy, and how many times less or more than every reference."""

from __future__ import annotations

import math

import numpy as np

from ...sim.readable_numbers import ENERGY, listed, number, with_unit
from ..comparison.compared_variants import Compared
from .sentences import differences, focus_row, mean_percent, references, summary_rows

ONE_SEED = ", from one seed only, which cannot tell a difference from chance"


def headline(comparison: Compared) -> str:
    """One sentence: accuracy, energy per inference, and how many times less or more than every reference.

    A reference of another accuracy stands with its own, so that no ratio is read as one at equal accuracy. Of a chip
    whose static power is known it gives the total and what it is made of, and the events' ratios too.
    """
    focus, row = comparison.focus, focus_row(comparison)
    accuracy = mean_percent(row["accuracy"], row["accuracy_spread"])
    machine = comparison.estimates[focus][0].accelerator.name
    sentence = f"At {accuracy} accuracy, {focus} uses" if accuracy else f"{focus} uses"
    sentence += f" {with_unit(1e3 * row[comparison.quantity.replace('_pj', '_nj')], ENERGY)} per inference on {machine}"
    clauses = _clauses(comparison, comparison.quantity)
    if comparison.quantity == "energy_pj":
        return f"{sentence}: {clauses}." if clauses else f"{sentence}."
    events, static = (with_unit(1e3 * row[name], ENERGY) for name in ("energy_nj", "static_nj"))
    sentence += f", {events} of it in events and {static} static power \N{MULTIPLICATION SIGN} time"
    if not clauses:
        return f"{sentence}."
    if len(comparison.seeds) < 2:
        clauses = clauses.removesuffix(ONE_SEED)  # said once, at the end
    return f"{sentence}: in total {clauses}; in events alone {_clauses(comparison, 'energy_pj')}."


def _clauses(comparison: Compared, quantity: str) -> str:
    """How many times less or more of an energy the focus uses than each reference."""
    rows, clauses, reached = differences(comparison, quantity), [], _other_accuracies(comparison)
    for index, reference in enumerate(names := references(comparison)):
        ours, theirs = (
            np.array([getattr(e, quantity) for e in comparison.estimates[name]])
            for name in (comparison.focus, reference)
        )
        if not (ours.all() and theirs.all()):  # a silent network's events on a chip
            clauses.append(f"in no ratio to {reference}, for one of the two has none")
            continue
        told = bool(rows[reference]["distinguishable"])
        clause = (
            f"{_times(float((theirs / ours).mean()), distinguishable=told)} {reference}{reached.get(reference, '')}"
        )
        clauses.append(clause + _whether(comparison, rows[reference], last=index == len(names) - 1))
    return listed(clauses)


def _other_accuracies(comparison: Compared) -> dict[str, str]:
    """`` at 92.2 %`` by variant, of those whose mean accuracy is known and not the focus's in the digits shown."""
    shown = {row["variant"]: mean_percent(row["accuracy"], math.nan) for row in summary_rows(comparison)}
    return {name: f" at {text}" for name, text in shown.items() if text and text != shown[comparison.focus]}


def _times(ratio: float, *, distinguishable: bool) -> str:
    """``ratio`` is reference / focus: above one the focus uses less."""
    if number(ratio) == number(1.0):
        percent = 100 * (1 - 1 / ratio)
        return f"{number(abs(percent))} % {'less' if percent > 0 else 'more'} than" if distinguishable else "as much as"
    return f"{number(ratio)} times less than" if ratio > 1 else f"{number(1 / ratio)} times more than"


def _whether(comparison: Compared, row: dict[str, object], *, last: bool) -> str:
    seeds = len(comparison.seeds)
    if seeds < 2:
        return ONE_SEED if last else ""
    told = "is distinguishable" if row["distinguishable"] else "is not distinguishable"
    if last:
        return f", which {told} over {seeds} seeds"
    return "" if row["distinguishable"] else f" (not distinguishable over {seeds} seeds)"
