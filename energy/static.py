"""What a chip draws whether or not spikes cross it, and how long its steps take: figures with their sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..sim.errors import InvalidInput
from .prices import FORBID_UNKNOWN


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
        Watts, per chip or per core in use, see ``per``.
    per : {'chip', 'core'}
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
        low, value, high = (x * y * 1e12 for x, y in zip((power.low, power.value, power.high), times, strict=True))
        return low, value, high

    def power_w(self, cores: int | None, chips: int, bound: Literal["low", "value", "high"] = "value") -> float:
        """Static power of all that is in use, in W."""
        units = cores if self.per == "core" else chips
        if units is None:
            raise InvalidInput("static power is given per core here: say how many cores are in use")
        return float(getattr(self.static_power_w, bound)) * units
