"""Two energies with shared prices: their ratio, how far prices can move it exactly, and whether any could flip it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...sim.errors import InvalidInput

if TYPE_CHECKING:
    from ..pricing.estimate import EnergyEstimate

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class SharedCounts:
    """Mean action counts per inference of two sides, by the prices they share; made by `shared_counts`.

    Attributes
    ----------
    keys, groups : tuple of str
        Each price (``add.float32``, ``weight_sram.read``) and its group: logic, sram, dram, network or static. Static
        power x time is one price per unit and step of a chip, ``static_power.chip`` or ``static_power.core``; of a grid
        one per second for each part that draws it, ``static_power.machine`` and ``MEMORY.leakage``.
    base, variant : float64 array (prices,)
        Actions of either side; static prices have time as their amount, in steps or seconds.
    low, value, high : float64 array (prices,)
        In pJ, of static power per step or per second.
    """

    keys: tuple[str, ...]
    groups: tuple[str, ...]
    base: Vector
    variant: Vector
    low: Vector
    value: Vector
    high: Vector

    @property
    def ratio(self) -> float:
        """Energy of the base / energy of the variant, every price at its central value."""
        return float(self.base @ self.value / (self.variant @ self.value))

    @property
    def bounds(self) -> tuple[float, float]:
        """`ratio_bounds` over all prices between low and high."""
        return ratio_bounds(self.base, self.variant, self.low, self.high)

    @property
    def dominated(self) -> bool:
        """Whether one side needs no more of every action; false where both need the same."""
        return dominated(self.base, self.variant) and not np.array_equal(self.base, self.variant)


def shared_counts(
    base: Sequence[EnergyEstimate], variant: Sequence[EnergyEstimate], *, static: bool = True
) -> SharedCounts:
    """Mean action counts of two groups of estimates on one accelerator, by price.

    Parameters
    ----------
    base, variant : sequence of EnergyEstimate
        One per seed.
    static : bool
        Whether static power x time is among the actions, on machines that know both; without it the events alone.

    Raises
    ------
    InvalidInput
        When a side is empty, or the estimates are not all from one accelerator.
    """
    if not base or not variant:
        raise InvalidInput("shared counts: each side needs at least one estimate")
    machine = base[0].accelerator
    for estimate in (*base, *variant):
        if part := machine.unlike(estimate.accelerator):
            raise InvalidInput(
                f"shared counts: estimates on {machine.name!r} and {estimate.accelerator.name!r}, which differ in "
                f"{part}, share no prices; compare on one accelerator"
            )
    totals: list[dict[str, float]] = [{}, {}]
    found: dict[str, tuple[str, float, float, float]] = {}  # group, low, value, high
    for total, side in zip(totals, (base, variant), strict=True):
        for estimate in side:
            for key, count, price in _actions(estimate, static=static):
                found[key] = price
                total[key] = total.get(key, 0.0) + count / len(side)
    keys = sorted(found)
    counts = (np.array([total.get(key, 0.0) for key in keys], np.float64) for total in totals)
    figures = (np.array([found[key][place] for key in keys], np.float64) for place in (1, 2, 3))
    return SharedCounts(tuple(keys), tuple(found[key][0] for key in keys), *counts, *figures)


def _actions(estimate: EnergyEstimate, *, static: bool) -> Iterator[tuple[str, float, tuple[str, float, float, float]]]:
    """Every action of an estimate: key, mean count, and (group, low, value, high) of its price."""
    machine = estimate.accelerator
    columns = estimate.table[["component", "action", "group", "count"]]
    for component, action, group, count in columns.itertuples(index=False):
        price = machine.price(component, action)
        yield machine.price_key(component, action), count, (group, price.low, price.value, price.high)
    if not static or estimate.static_units is None:
        return
    amount = float(estimate.static_units.mean())
    for part in machine.static_prices:
        if part.high:  # what draws nothing at any price is no action that a side could need more of
            yield part.key, amount, ("static", part.low, part.value, part.high)


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
