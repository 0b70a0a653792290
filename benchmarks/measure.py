"""Timing by ratios: candidates take turns, so that a busy machine slows them all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure with its quartiles, and the bound it should meet if there is one.

    Attributes
    ----------
    bound : float or None
        Smallest (``at_least``) or largest allowed median.
    """

    what: str
    median: float
    low: float
    high: float
    unit: str
    bound: float | None = None
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        if self.bound is None:
            return None
        return self.median >= self.bound if self.at_least else self.median <= self.bound


def take_turns(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int = 25,
    clock: Clock = time.process_time,
    warm_up: int = 5,
) -> dict[str, list[float]]:
    """Seconds per call of every candidate in every round; each runs at least 3 ms at a time.

    The ``warm_up`` calls after the first, which may compile, only measure how many fit.
    """
    repeats = {}
    for name, call in candidates.items():
        call()
        start = clock()
        for _ in range(warm_up):
            call()
        repeats[name] = max(1, int(0.003 / max((clock() - start) / warm_up, 1e-7)))
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            start = clock()
            for _ in range(repeats[name]):
                call()
            seconds[name].append((clock() - start) / repeats[name])
    return seconds


def summary(what: str, values: list[float], unit: str, bound: float | None = None, *, at_least: bool = True) -> Row:
    """Median and quartiles of some values as a row."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Row(what, median, low, high, unit, bound, at_least)


def ratio(
    what: str, over: list[float], under: list[float], bound: float | None = None, *, at_least: bool = True
) -> Row:
    """Median and quartiles of the ratio of two candidates, round by round."""
    values = [first / second for first, second in zip(over, under, strict=True)]
    return summary(what, values, "x", bound, at_least=at_least)
