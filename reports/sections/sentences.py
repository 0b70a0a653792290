"""Sentences of a report: plain verdicts, whichever way the figures fall, and what so few seeds and samples can say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...sim.readable_numbers import ENERGY, TIME, interval, listed, number, unit_for
from ..comparison.full_tables import folded, records
from ..comparison.paired_differences import paired_differences
from ..comparison.summary import summarise

if TYPE_CHECKING:
    import pandas as pd

    from ..comparison.compared_variants import Compared

DATASETS = {
    "digits-events": "simulated events of real digits",
    "digits": "static images of real digits, direct encoding",
    "nmnist": "N-MNIST",
    "dvs-gesture": "DVS128 Gesture",
    "cifar10-dvs": "CIFAR10-DVS",
    "shd": "Spiking Heidelberg Digits",
    "cifar10": "CIFAR-10, direct encoding",
    "cifar100": "CIFAR-100, direct encoding",
    "image-folder": "a folder of images, direct encoding",
}


def dataset_title(comparison: Compared) -> str:
    """The data set in words; simulated events are always called so."""
    name = str(comparison.estimates[comparison.focus][0].provenance.get("dataset", "data of unknown origin"))
    return DATASETS.get(name, name)


def references(comparison: Compared) -> list[str]:
    """What the focus is set against: the baseline, then every other variant that is not made from the focus itself."""
    rest = [name for name in comparison.estimates if name not in (comparison.focus, comparison.baseline)]
    own = comparison.baseline if comparison.baseline != comparison.focus else None
    return [*([own] if own else []), *(name for name in rest if not name.startswith(f"{comparison.focus},"))]


def settings(comparison: Compared) -> dict[str, dict[str, Any]]:
    """Training settings by variant, as the traces say; empty where a trace does not say."""
    return {name: dict(group[0].provenance.get("config") or {}) for name, group in comparison.estimates.items()}


def rates_sentence(comparison: Compared) -> str:
    """Says when variants were trained at different learning rates, which move sign flips by themselves."""
    rates = {name: values.get("learning_rate") for name, values in settings(comparison).items()}
    known = {name: float(rate) for name, rate in rates.items() if rate is not None}
    if len(set(known.values())) < 2:
        return ""
    told = listed([f"{name} {rate:g}" for name, rate in known.items()])
    return (
        f"Each variant was trained at the learning rate that validation data chose for it ({told}). Larger rates flip "
        f"more signs, so flips of variants with different rates compare trainings as tuned, not methods at equal rates."
    )


def verdicts(comparison: Compared) -> list[str]:
    """What the figures do and do not show of the focus against each reference, one sentence each."""
    energies, accuracies = (differences(comparison, quantity) for quantity in (comparison.quantity, "accuracy"))
    events = {} if comparison.quantity == "energy_pj" else differences(comparison, "energy_pj")
    sentences = [
        _verdict(comparison, name, energies[name], accuracies.get(name), events.get(name))
        for name in references(comparison)
    ]
    derived = [name for name in comparison.estimates if name.startswith(f"{comparison.focus},")]
    return sentences + [_derived(comparison, name) for name in derived]


def _verdict(
    comparison: Compared,
    reference: str,
    energy: dict[str, Any],
    accuracy: dict[str, object] | None,
    events: dict[str, object] | None,
) -> str:
    focus, seeds = comparison.focus, len(comparison.seeds)
    told = _told(energy, seeds)
    change = _change(energy, seeds)
    what = "energy" if events is None else "total energy"
    if seeds < 2:  # neither beaten nor not
        sentence = f"{focus} against {reference} on {what}: {change}, {told}"
    elif energy["difference"] < 0 and energy["distinguishable"]:
        sentence = f"{focus} beats {reference} on {what}: {change}, {told}"
    else:
        joint = ", but" if energy["difference"] < 0 else ","
        sentence = f"{focus} does not beat {reference} on {what}: {change}{joint} {told}"
    return f"{sentence}{_events_clause(events, seeds)}{_accuracy_clause(accuracy, seeds)}."


def _events_clause(row: dict[str, object] | None, seeds: int) -> str:
    return "" if row is None else f"; events alone {_change(row, seeds)}, {_told(row, seeds)}"


def _change(energy: dict[str, Any], seeds: int) -> str:
    within = f" ({interval(energy['percent_low'], energy['percent_high'], decimals=1)} %)" if seeds > 1 else ""
    amount = number(abs(energy["percent"]), decimals=1)
    if amount == "0.0":
        return f"the same to 0.1 %{within}"
    return f"{amount} % {'less' if energy['percent'] < 0 else 'more'}{within}"


def _accuracy_clause(row: dict[str, Any] | None, seeds: int) -> str:
    if row is None:
        return ""
    points = 100 * row["difference"]
    within = interval(100 * row["difference_low"], 100 * row["difference_high"], decimals=1)
    extra = f" ({within}), {_told(row, seeds)}" if seeds > 1 else ""
    amount = number(abs(points), decimals=1)
    if amount == "0.0":
        return f"; accuracy the same to 0.1 points{extra}"
    return f"; accuracy {amount} points {'higher' if points > 0 else 'lower'}{extra}"


def _told(row: dict[str, Any], seeds: int) -> str:
    if seeds < 2:
        return "from one seed"
    return "distinguishable" if row["distinguishable"] else "not distinguishable"


def _derived(comparison: Compared, name: str) -> str:
    quantities = (comparison.quantity, "accuracy", "energy_pj")
    rows = {
        row["quantity"]: row for row in records(paired_differences(comparison, quantities, [(name, comparison.focus)]))
    }
    energy, seeds = rows[comparison.quantity], len(comparison.seeds)
    events = None if comparison.quantity == "energy_pj" else rows["energy_pj"]
    what = "energy" if events is None else "total energy"
    sentence = f"{name} against {comparison.focus} on {what}: {_change(energy, seeds)}, {_told(energy, seeds)}"
    return f"{sentence}{_events_clause(events, seeds)}{_accuracy_clause(rows.get('accuracy'), seeds)}."


def differences(comparison: Compared, quantity: str) -> dict[str, dict[str, object]]:
    pairs = [(comparison.focus, reference) for reference in references(comparison)]
    return {row["reference"]: row for row in records(paired_differences(comparison, (quantity,), pairs))}


def summary_rows(comparison: Compared) -> list[dict[str, Any]]:
    return records(summarise(comparison.estimates, comparison.baseline))


def focus_row(comparison: Compared) -> dict[str, Any]:
    """The focus's row of the summary."""
    return next(row for row in summary_rows(comparison) if row["variant"] == comparison.focus)


def mean_percent(mean: float, deviation: float) -> str:
    if math.isnan(mean):
        return ""
    return f"{100 * mean:.1f}{'' if math.isnan(deviation) else f' ± {100 * deviation:.1f}'} %"


def bounds_sentence(comparison: Compared) -> str:
    """How far the prices themselves could move the focus's ratio to the baseline."""
    row = focus_row(comparison)
    if comparison.focus == comparison.baseline:
        return ""
    total = comparison.quantity == "total_pj"
    sentence = (
        f"With every price anywhere between its low and high value, {comparison.baseline} / {comparison.focus}"
        f"{' in total' * total} stays {_within(row['ratio_low'], row['ratio_high'])} (both sides share the prices)"
    )
    if total and not math.isnan(row["events_ratio_low"]):
        sentence += f", of the events alone {_within(row['events_ratio_low'], row['events_ratio_high'])}"
    if row["dominated"]:
        return (
            f"{sentence}; one side needs no more of every action, so the comparison is dominated: no price flips this."
        )
    if row["ratio_low"] < 1 < row["ratio_high"]:
        return f"{sentence}: within these ranges the prices decide which of the two costs less."
    return f"{sentence}: within these ranges no price changes which of the two costs less."


def _within(low: float, high: float) -> str:
    return f"at {number(low)}" if number(low) == number(high) else f"between {number(low)} and {number(high)}"


def samples_sentence(comparison: Compared) -> str:
    """What so few samples can say of an accuracy."""
    samples = comparison.estimates[comparison.focus][0].operations.samples
    accuracy = focus_row(comparison)["accuracy"]
    if math.isnan(accuracy):
        return ""
    error = 100 * math.sqrt(accuracy * (1 - accuracy) / samples)
    return (
        f"On {samples:,} test samples the binomial standard error of one run at {100 * accuracy:.1f} % accuracy is "
        f"{error:.2f} points; accuracies less than about twice that apart may well be equal."
    )


def seeds_sentence(comparison: Compared) -> str:
    """What so few seeds can and cannot say."""
    seeds = len(comparison.seeds)
    if seeds < 2:
        return "There is one seed, so no spread and no interval can be given."
    told = (
        f"Intervals in brackets are 95 % bootstraps of the paired differences over {seeds} seeds; distinguishable "
        "means that the interval leaves out zero and that a paired t-test at 5 % does too."
    )
    if seeds <= 5:
        only = ", and with three they are just that range" if seeds == 3 else ""
        told += f" With so few seeds they are coarse: they cannot leave the range of the {seeds} differences{only}."
    return f"{told} By chance alone, {seeds} differences have one sign in 1 of {2 ** (seeds - 1):,} cases."


def gate_sentence(comparison: Compared, variant: str, parts: pd.DataFrame) -> str:
    """What the live gate of one variant costs; ``parts`` are its rows of `gate_cost`."""
    live, extra = float(parts["live_pj"].sum()), float(parts["difference_pj"].sum())
    unit = unit_for([live], ENERGY)
    share = number(100 * extra / live)
    amount = f"{number(extra / unit.size)} of {number(live / unit.size)} {unit.name} ({share} %)"
    time = ""
    group = comparison.estimates[variant]
    slow = [result.seconds_per_inference for result in group]
    fast = [folded(result).seconds_per_inference for result in group]
    pairs = [(x, y) for x, y in zip(slow, fast, strict=True) if x is not None and y is not None]
    if pairs:
        with_gate, without = np.mean(pairs, axis=0).tolist()
        scale = unit_for([with_gate], TIME)
        time = f" and {number((with_gate - without) / scale.size)} of {number(with_gate / scale.size)} {scale.name}"
    still = ", and static power \N{MULTIPLICATION SIGN} the longer time" * (group[0].static_pj is not None)
    if extra == 0:
        return f"{variant}: this machine's model does not price the live gate, so it seems to cost nothing here."
    return (
        f"{variant}: the live gate costs {amount}{time} per inference. The same spikes are priced twice: with the "
        "gate, which needs the mean of every map before any neuron may update, and as if its gain were constant and "
        "folded away. The difference holds the gate's own adds, multiplies and sigmoids, the scale that no longer "
        f"folds, the update from a separate current, and the second array that holds this current{still}. A frozen "
        "gate is a network of its own, with spikes of its own."
    )
