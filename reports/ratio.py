"""How far shared prices can move the ratio of two energies: exact bounds over a box of prices."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..sim.errors import InvalidInput

Vector = NDArray[np.float64]


def ratio_bounds(counts_a: ArrayLike, counts_b: ArrayLike, low: ArrayLike, high: ArrayLike) -> tuple[float, float]:
    """Smallest and largest ``sum(counts_a * price) / sum(counts_b * price)`` over ``low <= price <= high``.

    Both energies are made with the same prices, so the bounds are those of one linear-fractional function, and never
    the quotient of two intervals. Each price moves on its own within its range.

    Parameters
    ----------
    counts_a, counts_b : array (actions,)
        Mean action counts per inference of either side, in the same order of actions.
    low, high : array (actions,)
        Bounds of each price in pJ.

    Returns
    -------
    (float, float)
        ``inf`` where the divisor can vanish within the box while the dividend does not.

    Raises
    ------
    InvalidInput
        Shapes that differ, negative or not finite numbers, ``low > high``, or a divisor that never costs anything.

    References
    ----------
    W. Dinkelbach, On nonlinear fractional programming, Management Science 13 (1967), doi:10.1287/mnsc.13.7.492.

    Examples
    --------
    >>> ratio_bounds([4, 1], [1, 1], low=[1, 1], high=[1, 3])
    (1.75, 2.5)
    """
    a, b, least, most = (np.asarray(values, np.float64) for values in (counts_a, counts_b, low, high))
    if not a.shape == b.shape == least.shape == most.shape or a.ndim != 1:
        raise InvalidInput(
            f"ratio bounds: shapes {a.shape}, {b.shape}, {least.shape}, {most.shape}; all must be (actions,)"
        )
    if not all(np.isfinite(values).all() and (values >= 0).all() for values in (a, b, least, most)):
        raise InvalidInput("ratio bounds: counts and prices must be finite and not negative")
    if (least > most).any():
        raise InvalidInput("ratio bounds: a low price is above its high price; swap them")
    if b @ most == 0:
        raise InvalidInput(
            "ratio bounds: the divisor costs nothing at any price, so there is no ratio; price its actions"
        )
    largest = _largest(a, b, least, most)
    # the smallest a / b is one over the largest b / a
    smallest = 0.0 if a @ most == 0 else 1 / _largest(b, a, least, most)
    return float(smallest), float(largest)


def dominated(counts_a: ArrayLike, counts_b: ArrayLike) -> bool:
    """Whether one side needs no more of *every* action, so that no prices at all can change which costs less."""
    a, b = np.asarray(counts_a, np.float64), np.asarray(counts_b, np.float64)
    return bool((a <= b).all() or (b <= a).all())


def _largest(a: Vector, b: Vector, low: Vector, high: Vector) -> float:
    """Dinkelbach's iteration; it climbs from corner to corner of the box, so it ends after finitely many steps."""
    ratio = float((a @ high) / (b @ high))
    while True:
        prices = np.where(a - ratio * b > 0, high, low)
        if b @ prices == 0:
            return np.inf if a @ prices > 0 else ratio
        better = float((a @ prices) / (b @ prices))
        if better <= ratio:
            return ratio
        ratio = better
