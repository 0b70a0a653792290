"""Paired differences between variants over seeds, with bootstrap intervals."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...sim.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

    from ..compare import Comparison

RESAMPLES = 10_000
LISTED = 5  # up to so many values all resamples are listed (5**5 = 3125), so nothing is left to chance


def bootstrap_interval(values: ArrayLike, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean.

    Parameters
    ----------
    values : array (n,)
        One paired difference per seed.
    level : float
        Coverage aimed at.
    seed : int
        Of the resampling; not used for up to five values, whose resamples are all listed.

    Returns
    -------
    (float, float)
        Never outside the smallest and largest value. With three different values it is just these two, because a
        resample of one value alone has probability 1/27, more than 2.5 %. NaN for fewer than two values.

    References
    ----------
    B. Efron, Bootstrap methods, Annals of Statistics 7 (1979), doi:10.1214/aos/1176344552.

    Examples
    --------
    >>> bootstrap_interval([-3.0, -1.0, -2.0])
    (-3.0, -1.0)
    """
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or not np.isfinite(data).all():
        raise InvalidInput(f"bootstrap: values {data.shape} must be finite and one per seed")
    if len(data) < 2:
        return float("nan"), float("nan")
    if len(data) <= LISTED:
        picks = np.array(list(itertools.product(range(len(data)), repeat=len(data))))
    else:
        picks = np.random.default_rng(seed).integers(len(data), size=(RESAMPLES, len(data)))
    # sorted, and from the smallest up: resamples of the same values then have the same mean to the last bit
    samples = np.sort(data[picks], axis=1)
    means = samples[:, 0] + (samples - samples[:, :1]).mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], method="inverted_cdf")
    return float(max(low, data.min())), float(min(high, data.max()))


def distinguishable(values: ArrayLike, *, level: float = 0.95) -> bool:
    """Whether the mean of paired differences differs from zero by two tests: bootstrap interval and paired t.

    Few values make the percentile bootstrap too sure: of three draws of pure noise its 95 % interval leaves out zero in
    a quarter of all cases, of five in one of seven. Student's t (Biometrika 6, 1908, doi:10.2307/2331554) does so in
    5 % if the differences are normal. Both must agree.

    Examples
    --------
    >>> distinguishable([-3.0, -1.0, -2.0]), distinguishable([-2.1, -2.0, -1.9])
    (False, True)
    """
    from scipy.stats import t

    data = np.asarray(values, np.float64)
    low, high = bootstrap_interval(data, level=level)
    if not (low > 0 or high < 0):
        return False
    margin = t.ppf((1 + level) / 2, len(data) - 1) * data.std(ddof=1) / np.sqrt(len(data))
    return bool(abs(data.mean()) > margin)


def paired_differences(
    comparison: Comparison, quantities: Sequence[str], pairs: Sequence[tuple[str, str]] | None = None
) -> pd.DataFrame:
    """See `Comparison.paired`."""
    import pandas as pd

    _check_quantities(quantities)
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


def default_pairs(comparison: Comparison) -> list[tuple[str, str]]:
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


def _per_estimate(attribute: str) -> Callable[[Comparison, str, str], NDArray[np.float64] | None]:
    def values(comparison: Comparison, variant: str, layer: str) -> NDArray[np.float64] | None:
        found = [getattr(estimate, attribute) for estimate in comparison.estimates[variant]]
        return None if None in found else np.array(found, np.float64)

    return values


def _synaptic_operations(comparison: Comparison, variant: str, layer: str) -> NDArray[np.float64]:
    return np.array([e.operations.synaptic_operations for e in comparison.estimates[variant]], np.float64)


def _sign_flips(comparison: Comparison, variant: str, layer: str) -> NDArray[np.float64] | None:
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


def binary_layers(comparison: Comparison) -> list[str]:
    """Layers that are binary in some variant, in their order: only there can a sign flip change a weight."""
    workloads = [estimates[0].operations.workload for estimates in comparison.estimates.values()]
    names = [layer.name for workload in workloads for layer in workload.layers if layer.weight_kind == "binary"]
    return list(dict.fromkeys(names))


def _layers(comparison: Comparison, quantity: str, *variants: str) -> list[str]:
    """Layers that get a row of their own beside the network's."""
    logged = quantity == "sign_flips" and all(variant in comparison.logs for variant in variants)
    return binary_layers(comparison) if logged else []


def _check_quantities(quantities: Sequence[str]) -> None:
    for quantity in quantities:
        if quantity not in QUANTITIES:
            raise InvalidInput(f"paired: quantity {quantity!r} is not known; use one of {', '.join(QUANTITIES)}")


# name -> (comparison, variant, layer or "") -> one value per seed, or None where it was not recorded
QUANTITIES: dict[str, Callable[[Comparison, str, str], NDArray[np.float64] | None]] = {
    "sign_flips": _sign_flips,
    "synaptic_operations": _synaptic_operations,
    "accuracy": _per_estimate("accuracy"),
    "energy_pj": _per_estimate("energy_pj"),
    "total_pj": _per_estimate("total_pj"),
    "compute_pj": _per_estimate("compute_pj"),
    "latency_s": _per_estimate("latency_s"),
}
