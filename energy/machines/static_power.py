"""What a machine draws whether or not spikes cross it: figures with their sources, and the prices they make.

A price of static power is energy per unit of time: per step of a chip (or core in use), per second of a grid. The time
is the amount, so that static power x time is one product among the others of a sum of count x price.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ...sim.errors import InvalidInput
from ...sim.hardware.architecture import Memory
from .prices import FORBID_UNKNOWN, Price, parse_price

if TYPE_CHECKING:
    import pandas as pd

PJ_PER_J = 1e12


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A published figure: ``low <= value <= high`` (both default to ``value``), how it was found, and where.

    ``basis`` is as in `Price`; the unit is in the name of the key. A figure of 0 needs a ``reason``.
    """

    value: float
    basis: Literal["measured", "simulated", "derived", "unverified"]
    source: str
    low: float = math.nan
    high: float = math.nan
    reason: str | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if math.isnan(getattr(self, name)):
                object.__setattr__(self, name, self.value)
        if not 0 <= self.low <= self.value <= self.high < math.inf:
            raise ValueError(f"0 <= low <= value <= high does not hold for {(self.low, self.value, self.high)}")
        if self.value == 0 and not self.reason:
            raise ValueError("a figure of 0 needs a reason: say why it is nothing, or give the figure")


@dataclass(frozen=True, kw_only=True)
class Static:
    """The ``static`` section of an accelerator file.

    Attributes
    ----------
    static_power_w : Figure
        Watts, per chip or per core in use, see ``per``. Of a grid: all but the memories whose leakage is given apart.
    per : {'chip', 'core'}
        This and what follows is for chips: a grid has no cores, and its time is modelled.
    step_floor_pj : Figure, optional
        Energy per step that stays when all events are taken away; shown, never added: it is measured above an idle
        power which the static part contains already.
    seconds_per_step : Figure, optional
        Measured time per step. Without it only machines with a fixed ``step_s`` have a static energy.
    """

    static_power_w: Figure
    per: Literal["chip", "core"] = "chip"
    step_floor_pj: Figure | None = None
    seconds_per_step: Figure | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    def step_s(self, fixed_s: float | None) -> tuple[float, float, float] | None:
        """Low, central and high time of one step: as measured, or else the machine's fixed one; None: neither known."""
        step = self.seconds_per_step
        if step is None:
            return None if fixed_s is None else (fixed_s,) * 3
        return step.low, step.value, step.high

    def step_price_pj(self, fixed_s: float | None) -> tuple[float, float, float] | None:
        """Low, central and high static energy of one unit (chip, or core in use) in one step; None without a time.

        Modelled event times are no time of a step: input, output and the host set it on real boards.
        """
        times, power = self.step_s(fixed_s), self.static_power_w
        if times is None:
            return None
        low, value, high = (x * y * PJ_PER_J for x, y in zip((power.low, power.value, power.high), times, strict=True))
        return low, value, high

    def power_w(self, cores: int | None, chips: int, bound: Literal["low", "value", "high"] = "value") -> float:
        """Static power of all that is in use, in W."""
        units = cores if self.per == "core" else chips
        if units is None:
            raise InvalidInput("static power is given per core here: say how many cores are in use")
        return float(getattr(self.static_power_w, bound)) * units

    def check_on_grid(self, where: str) -> None:
        """Refuse what has no meaning on a machine of kind ``grid``."""
        given = {
            "per: core": self.per == "core",
            "seconds_per_step": self.seconds_per_step is not None,
            "step_floor_pj": self.step_floor_pj is not None,
        }
        for key in (key for key, is_given in given.items() if is_given):
            raise InvalidInput(
                f"{where}: static.{key}: is for chips; a machine of kind grid has no cores and no measured steps: it "
                f"draws static_power_w and the leakage of its memories for the modelled time of an inference; remove it"
            )


@dataclass(frozen=True)
class StaticPrice:
    """Static power as a price: what one unit of time costs; made by `Accelerator.static_prices`.

    Attributes
    ----------
    key : str
        ``static_power.chip``, ``static_power.core``, ``static_power.machine`` (of a grid) or ``MEMORY.leakage``.
    per : {'step', 'second'}
        step: one chip, or one core in use, for one step. second: a part of a grid for one second of modelled time.
    low, value, high : float
        In pJ.
    scope : str
        What the figure contains.
    figures : tuple of Figure or Price
        What it was made of, with sources; Price figures are in W here.
    """

    key: str
    per: Literal["step", "second"]
    low: float
    value: float
    high: float
    scope: str
    figures: tuple[Figure | Price, ...]


def chip_price(static: Static, fixed_s: float | None) -> tuple[StaticPrice, ...]:
    """The one price of a chip's static power; none where no time of a step is known."""
    bounds = static.step_price_pj(fixed_s)
    if bounds is None:
        return ()
    figures = tuple(figure for figure in (static.static_power_w, static.seconds_per_step) if figure is not None)
    return (StaticPrice(f"static_power.{static.per}", "step", *bounds, static.per, figures),)


def power_price(key: str, power: Figure | Price) -> StaticPrice:
    """A power in W as the energy of one second."""
    bounds = (power.low * PJ_PER_J, power.value * PJ_PER_J, power.high * PJ_PER_J)
    return StaticPrice(key, "second", *bounds, power.scope if isinstance(power, Price) else "chip", (power,))


def static_rows(prices: Sequence[StaticPrice], amount: float) -> pd.DataFrame:
    """Static power x time, a row per price: ``price, per, amount, price_pj, energy_pj, low_pj, high_pj``.

    All of a machine's static prices have the same amount: seconds of a grid, units in use x steps of chips, each the
    mean per inference.
    """
    import pandas as pd

    columns = ("price", "per", "amount", "price_pj", "energy_pj", "low_pj", "high_pj")
    rows = [
        (each.key, each.per, amount, each.value, *(amount * pj for pj in (each.value, each.low, each.high)))
        for each in prices
    ]
    return pd.DataFrame(rows, columns=list(columns))


def take_leakage(
    entries: dict[str, object], memories: Sequence[Memory], where: str, defaults: Mapping[str, object]
) -> dict[str, Price]:
    """Leakage power of each memory in W, taken out of the entries of an accelerator file's ``prices``.

    Parameters
    ----------
    entries : dict of key to figures
        ``<memory>.leakage_w`` are removed from it.
    memories : sequence of Memory
        Of the machine; none where it has no memories of its own.
    where : str
        For messages.
    defaults : mapping
        What figures leave out, such as their node.

    Returns
    -------
    dict of memory name to Price
        In the order of the memories; their figures are watts. Empty if none is given.

    Raises
    ------
    InvalidInput
        A power that is no memory's leakage, an impossible figure, or leakage of some memories and not of others.
    """
    names = [memory.name for memory in memories]
    found = {}
    for key in [key for key in entries if key.endswith("_w") or ".leakage" in key]:
        name, _, tail = key.partition(".")
        if tail != "leakage_w" or name not in names:
            allowed = ", ".join(f"{name}.leakage_w" for name in names) or "none, for this machine has no memories"
            raise InvalidInput(
                f"{where}.{key}: is no leakage of a memory in W; allowed are {allowed}. What the rest of a machine "
                f"draws is static.static_power_w"
            )
        found[name] = parse_price(entries.pop(key), f"{where}.{key}", defaults)
    found = {name: found[name] for name in names if name in found}
    missing = [name for name in names if name not in found]
    if found and missing:
        raise InvalidInput(
            f"{where}: leakage is given for {', '.join(found)} and not for {', '.join(missing)}, and unknown is not "
            f"zero; add {', '.join(f'{name}.leakage_w' for name in missing)}, as 0 with a reason where it is "
            f"nothing or outside the machine, or give none at all"
        )
    return found
