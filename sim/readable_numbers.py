"""Numbers as people read them: three significant digits, a unit chosen once per column.

Picojoules are scaled where something is shown, and with these functions alone: in reports, on the command line, and
where an object introduces itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Unit:
    """A unit and how many of the internal one it holds."""

    name: str
    size: float


ENERGY = (Unit("pJ", 1), Unit("nJ", 1e3), Unit("µJ", 1e6), Unit("mJ", 1e9))  # from pJ
POWER = (Unit("µW", 1e-6), Unit("mW", 1e-3), Unit("W", 1))  # from W
TIME = (Unit("ns", 1e-9), Unit("µs", 1e-6), Unit("ms", 1e-3), Unit("s", 1))  # from s
ENERGY_DELAY = (Unit("fJ·s", 1e-15), Unit("pJ·s", 1e-12), Unit("nJ·s", 1e-9), Unit("µJ·s", 1e-6))  # from J s
COUNT = (Unit("", 1), Unit("thousand", 1e3), Unit("million", 1e6))
BYTES = (Unit("B", 1), Unit("kB", 1e3), Unit("MB", 1e6))


def unit_for(values: Iterable[float], units: tuple[Unit, ...]) -> Unit:
    """The largest unit in which the largest value is at least one, so that one column has one unit."""
    known = [abs(value) for value in values if math.isfinite(value)]
    top = max(known, default=0.0)
    fitting = [unit for unit in units if top >= unit.size]
    return fitting[-1] if fitting else units[0]


def decimals_for(value: float, digits: int = 3) -> int:
    """Decimal places that show ``digits`` significant digits, and never fewer than all before the point."""
    if value == 0 or not math.isfinite(value):
        return 0
    rounded = abs(float(f"{value:.{digits - 1}e}"))  # 0.9996 is shown as 1.00
    return max(0, digits - 1 - math.floor(math.log10(rounded)))


def number(value: float | None, *, digits: int = 3, decimals: int | None = None, signed: bool = False) -> str:
    """One number; a dash where it is not known.

    Examples
    --------
    >>> number(215.349), number(0.012345), number(12345.6)
    ('215', '0.0123', '12,346')
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "unbounded"
    places = decimals_for(value, digits) if decimals is None else decimals
    text = f"{value:+,.{places}f}" if signed else f"{value:,.{places}f}"
    if not any(char in "123456789" for char in text):  # no sign on what is rounded to nothing
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def with_unit(value: float | None, units: tuple[Unit, ...]) -> str:
    """One number in the unit that fits it; a dash where it is not known.

    Examples
    --------
    >>> with_unit(8429.6, ENERGY), with_unit(2.5e-6, TIME), with_unit(None, ENERGY)
    ('8.43 nJ', '2.50 µs', '–')
    """
    if value is None or math.isnan(value):
        return MISSING
    unit = unit_for([value], units)
    return f"{number(value / unit.size)} {unit.name}".rstrip()


def percent(share: float | None) -> str:
    """A share (0..1) in percent, to a tenth; a dash where it is not known."""
    return MISSING if share is None or math.isnan(share) else f"{number(100 * share, decimals=1)} %"


def column(values: Iterable[float], size: float) -> list[str]:
    """Numbers of one column in a unit of ``size``: three significant digits, small ones at most one place finer."""
    scaled = [value / size for value in values]
    finest = decimals_for(max((abs(value) for value in scaled if math.isfinite(value)), default=0.0)) + 1
    return [number(value, decimals=min(decimals_for(value), finest)) for value in scaled]


def spread(mean: float, deviation: float, *, decimals: int | None = None) -> str:
    """``± deviation`` with the decimals of its mean; empty for a single seed."""
    if math.isnan(mean) or math.isnan(deviation):
        return ""
    places = decimals_for(mean) if decimals is None else decimals
    return f"± {deviation:,.{places}f}"


def interval(low: float, high: float, *, decimals: int, signed: bool = True) -> str:
    """``low to high``; a dash where there is none."""
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return f"{number(low, decimals=decimals, signed=signed)} to {number(high, decimals=decimals, signed=signed)}"


def listed(items: Iterable[str]) -> str:
    """``a, b and c``."""
    words = list(items)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
