"""What prices do to a ratio: one at a time, in groups at random, and which price alone would flip it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...sim.errors import InvalidInput
from .ratio import SharedCounts


def tornado(shared: SharedCounts) -> pd.DataFrame:
    """The ratio with each price at its low and at its high value, all others at their central one.

    Returns
    -------
    DataFrame
        One row per price, the one that moves the ratio most first: ``price, group, low_pj, value_pj, high_pj``;
        ``ratio_at_low``, ``ratio_at_high``; ``swing``, their distance; ``threshold_pj``, the price at which the ratio
        would be one, NaN where no price of 0 or more does that; ``holds_while``, the side of the threshold on which
        the cheaper of the two stays the cheaper: ``above``, ``below``, or empty without a threshold.
    """
    total_base, total_variant = shared.base * shared.value, shared.variant * shared.value
    rows = []
    for index, key in enumerate(shared.keys):
        # sums without this price, so that a price of its own that is large leaves no rounding behind
        rest_base = math.fsum(np.delete(total_base, index))
        rest_variant = math.fsum(np.delete(total_variant, index))
        a, b = float(shared.base[index]), float(shared.variant[index])
        prices = [float(values[index]) for values in (shared.low, shared.value, shared.high)]
        low, _, high = (_quotient(rest_base + a * price, rest_variant + b * price) for price in prices)
        threshold = _threshold(a - b, rest_base - rest_variant)
        row: dict[str, str | float] = {"price": key, "group": shared.groups[index]}
        row |= dict(zip(("low_pj", "value_pj", "high_pj"), prices, strict=True))
        row |= {"ratio_at_low": low, "ratio_at_high": high, "swing": abs(high - low), "threshold_pj": threshold}
        side = "" if math.isnan(threshold) else "above" if prices[1] > threshold else "below"
        rows.append({**row, "holds_while": side})
    frame = pd.DataFrame(rows)
    return frame.sort_values("swing", ascending=False, kind="stable", ignore_index=True)


def _quotient(dividend: float, divisor: float) -> float:
    return dividend / divisor if divisor else math.inf


def _threshold(slope: float, rest: float) -> float:
    """Where ``rest + slope x price`` crosses nought at a price of 0 or more."""
    if slope == 0 or rest == 0:
        return math.nan
    found = -rest / slope
    return found if found >= 0 else math.nan


@dataclass(frozen=True)
class Draws:
    """Ratios at random prices; made by `monte_carlo`.

    Attributes
    ----------
    ratios : float64 array (draws,)
    seed : int
    """

    ratios: NDArray[np.float64]
    seed: int

    def interval(self, share: float = 0.95) -> tuple[float, float]:
        """The middle ``share`` of the draws."""
        low, high = np.quantile(self.ratios, [(1 - share) / 2, (1 + share) / 2]).tolist()
        return low, high

    @property
    def above_one(self) -> float:
        """Share of draws in which the variant costs less than the base."""
        return float((self.ratios > 1).mean())


def monte_carlo(shared: SharedCounts, draws: int = 10_000, seed: int = 0) -> Draws:
    """The ratio at prices drawn at random, in common for both sides, with one factor per group of prices.

    Parameters
    ----------
    shared : SharedCounts
    draws : int
    seed : int
        The same seed gives the same draws; the groups draw in the order logic, sram, dram, network, static, each from
        a stream of its own, so that a machine without one of them draws the others alike.

    Raises
    ------
    InvalidInput
        No draws.

    Notes
    -----
    A group's factor is uniform from 0 to 1 and takes all prices of the group from low (0) over value (1/2) to high (1),
    linearly on either side: what makes one SRAM cheap makes all cheap. Prices from literature come without a
    distribution, so this one is ours; the exact bounds do not depend on it.
    """
    if draws < 1:
        raise InvalidInput(f"monte carlo: draws is {draws}; use one or more")
    names = ("logic", "sram", "dram", "network", "static")
    streams = dict(zip(names, np.random.SeedSequence(seed).spawn(len(names)), strict=True))
    factors = {name: np.random.default_rng(stream).random(draws) for name, stream in streams.items()}
    base, variant = np.zeros(draws), np.zeros(draws)
    for index, group in enumerate(shared.groups):
        points = [values[index] for values in (shared.low, shared.value, shared.high)]
        prices = np.interp(factors[group], [0, 0.5, 1], points)
        base += shared.base[index] * prices
        variant += shared.variant[index] * prices
    with np.errstate(divide="ignore", invalid="ignore"):
        return Draws(base / variant, seed)
