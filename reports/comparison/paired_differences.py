"""Differences between variants, paired by seed: one row per quantity, pair and layer, with intervals and verdict."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput
from .matching import names
from .significance import bootstrap_interval, distinguishable

if TYPE_CHECKING:
    import pandas as pd

    from .compared_variants import Compared
# what reports show; static power x time is in total_pj, and what is not known has no row
SHOWN = ("sign_flips", "synaptic_operations", "accuracy", "energy_pj", "total_pj")


def paired_differences(
    comparison: Compared, quantities: Sequence[str] = SHOWN, pairs: Sequence[tuple[str, str]] | None = None
) -> pd.DataFrame:
    """See `Comparison.paired`."""
    import pandas as pd

    _check_quantities(quantities)
    for name in (name for pair in pairs or () for name in pair):
        if name not in comparison.estimates:
            raise InvalidInput(
                f"paired: variant {name!r} is not in the comparison; it has {names(comparison.estimates)}"
            )
    chosen = default_pairs(comparison) if pairs is None else list(pairs)
    rows = []
    for quantity in quantities:
        for variant, reference in chosen:
            for layer in ("", *_layers(comparison, quantity, variant, reference)):
                ours = QUANTITIES[quantity](comparison, variant, layer)
                theirs = QUANTITIES[quantity](comparison, reference, layer)
                if ours is None or theirs is None:
                    continue
                row = {"variant": variant, "reference": reference, "quantity": quantity, "layer": layer}
                rows.append(row | _difference(comparison.seeds, ours, theirs))
    return pd.DataFrame(rows, columns=COLUMNS)


def default_pairs(comparison: Compared) -> list[tuple[str, str]]:
    """Every two variants with binary weights, later against earlier; with fewer than two, each against the baseline."""
    binary = [
        name
        for name, estimates in comparison.estimates.items()
        if any(layer.weight_kind == "binary" for layer in estimates[0].operations.workload.layers)
    ]
    if len(binary) >= 2:
        return [(later, earlier) for earlier, later in itertools.combinations(binary, 2)]
    return [(name, comparison.baseline) for name in comparison.estimates if name != comparison.baseline]


COLUMNS = [
    *("variant", "reference", "quantity", "layer", "seeds", "value", "reference_value"),
    *("difference", "difference_low", "difference_high", "percent", "percent_low", "percent_high"),
    *("distinguishable", "by_seed"),
]


def _difference(seeds: Sequence[object], ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> dict[str, object]:
    """One row: mean difference and mean percent change, each with its interval."""
    difference = ours - theirs
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = 100 * difference / theirs
    low, high = bootstrap_interval(difference)
    known = bool(np.isfinite(percent).all())
    percent_low, percent_high = bootstrap_interval(percent) if known else (np.nan, np.nan)
    return {
        "seeds": len(seeds),
        "value": ours.mean(),
        "reference_value": theirs.mean(),
        "difference": difference.mean(),
        "difference_low": low,
        "difference_high": high,
        "percent": percent.mean() if known else np.nan,
        "percent_low": percent_low,
        "percent_high": percent_high,
        "distinguishable": distinguishable(difference),
        "by_seed": "; ".join(f"{seed}: {value!r}" for seed, value in zip(seeds, difference.tolist(), strict=True)),
    }


def _per_estimate(attribute: str) -> Callable[[Compared, str, str], NDArray[np.float64] | None]:
    def values(comparison: Compared, variant: str, layer: str) -> NDArray[np.float64] | None:
        found = [getattr(estimate, attribute) for estimate in comparison.estimates[variant]]
        return None if None in found else np.array(found, np.float64)

    return values


def _synaptic_operations(comparison: Compared, variant: str, layer: str) -> NDArray[np.float64]:
    return np.array([e.operations.synaptic_operations for e in comparison.estimates[variant]], np.float64)


def _sign_flips(comparison: Compared, variant: str, layer: str) -> NDArray[np.float64] | None:
    """Flips per epoch of one binary layer, or ("") of all, mean over training; None without logs."""
    logs = comparison.logs.get(variant)
    if logs is None:
        return None
    layers = [layer] if layer else binary_layers(comparison)
    totals = []
    for log in logs:
        rows = log[(log["quantity"] == "sign_flips") & log["layer"].isin(layers)]
        if rows.empty:
            return None
        totals.append(rows.groupby("epoch")["value"].sum().mean())
    return np.array(totals, np.float64)


def binary_layers(comparison: Compared) -> list[str]:
    """Layers that are binary in some variant, in their order: only there can a sign flip change a weight."""
    workloads = [estimates[0].operations.workload for estimates in comparison.estimates.values()]
    names = [layer.name for workload in workloads for layer in workload.layers if layer.weight_kind == "binary"]
    return list(dict.fromkeys(names))


def _layers(comparison: Compared, quantity: str, *variants: str) -> list[str]:
    """Layers that get a row of their own beside the network's."""
    logged = quantity == "sign_flips" and all(variant in comparison.logs for variant in variants)
    return binary_layers(comparison) if logged else []


def _check_quantities(quantities: Sequence[str]) -> None:
    for quantity in quantities:
        if quantity not in QUANTITIES:
            raise InvalidInput(f"paired: quantity {quantity!r} is not known; use one of {', '.join(QUANTITIES)}")


# name -> (comparison, variant, layer or "") -> one value per seed, or None where it was not recorded
QUANTITIES: dict[str, Callable[[Compared, str, str], NDArray[np.float64] | None]] = {
    "sign_flips": _sign_flips,
    "synaptic_operations": _synaptic_operations,
    "accuracy": _per_estimate("accuracy"),
    "energy_pj": _per_estimate("energy_pj"),
    "total_pj": _per_estimate("total_pj"),
    "compute_pj": _per_estimate("compute_pj"),
    "latency_s": _per_estimate("latency_s"),
}
