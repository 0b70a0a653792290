"""What an ablation file may say: schema ``spikejoule.ablation/1`` and the checks of its keys."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ..energy.machines.prices import FORBID_UNKNOWN
from ..models.settings.config import TrainConfig
from ..models.settings.variants import ALL_VARIANTS
from ..sim.display import lines
from ..sim.readable_numbers import listed

STATE_BITS = "state_bits"
FLOAT_STATE = 32
STATES = (*range(4, 25), FLOAT_STATE)  # bits; all but the last replayed in fixed point
_PLAN = ("seed", "derived", "warm_start")  # given by the plan itself, not by axes or base
_VARIANT = ("weight_bits", "gate")  # given by the variants, or swept
FIELDS = {one.name: one for one in dataclasses.fields(TrainConfig)}
AXES = (*(name for name in FIELDS if name not in _PLAN), STATE_BITS)
TWIN_AXES = tuple(name for name in AXES if name not in (*_VARIANT, "width", STATE_BITS))


@dataclass(frozen=True, kw_only=True)
class Hypercube:
    """A Latin hypercube: ``axes`` maps an axis to ``[low, high]``, or ``[low, high, log]`` for a logarithmic one."""

    samples: int
    axes: dict[str, tuple[float, float] | tuple[float, float, Literal["log", "linear"]]]
    seed: int = 0

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """Penalised runs start from the finished weights of the same config without penalty, with these settings."""

    epochs: int | None = None
    learning_rate: float | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What a file of schema ``spikejoule.ablation/1`` says; made by `load_ablation`.

    Attributes
    ----------
    title : str
    base : mapping
        Fields of `TrainConfig` that all runs share.
    variants : tuple of str
        Keys of `ALL_VARIANTS`; each is swept.
    grid : mapping or list of mappings of axis to list of values
        One full grid, or several of which the union is taken. An axis is one of `AXES`.
    latin_hypercube : Hypercube, optional
        Every point of the grid is combined with every sample.
    seeds : tuple of int
    accelerators : tuple of str
        Names or files; the first is the one drawn large.
    reference : str
        The variant that the front is set against.
    twins : tuple of float
        Widths of the reference.
    twin_grid : mapping or list of mappings of axis to list of values
        Every width of the reference is combined with every point of it, in the form of ``grid``; any of `AXES` but what
        makes the reference (``width``, ``weight_bits``, ``gate``) and ``state_bits``, which follows ``grid``. Without
        it the reference stands at the base's settings.
    warm_start : WarmStart, optional
    tolerance_points : float
        How far below the best accuracy, in percentage points, still counts as equal.
    """

    schema: Literal["spikejoule.ablation/1"]
    title: str
    variants: tuple[str, ...]
    base: dict[str, object] = field(default_factory=dict)
    grid: dict[str, list[object]] | list[dict[str, list[object]]] = field(default_factory=dict)
    latin_hypercube: Hypercube | None = None
    seeds: tuple[int, ...] = (0,)
    accelerators: tuple[str, ...] = ("event-driven-45nm",)
    reference: str = "SNN int8"
    twins: tuple[float, ...] = (1.0,)
    twin_grid: dict[str, list[object]] | list[dict[str, list[object]]] = field(default_factory=dict)
    warm_start: WarmStart | None = None
    tolerance_points: float = 1.0

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    def __repr__(self) -> str:
        return lines(
            f"Ablation: {self.title}",
            f"variants  {listed(self.variants)}; seeds {listed(map(str, self.seeds))}",
            f"grid      {self.grid}",
            f"against   {self.reference} at widths {listed([f'{width:g}' for width in self.twins])}",
            f"machines  {listed(self.accelerators)}",
        )

    def __post_init__(self) -> None:
        for name in ("variants", "seeds", "accelerators", "twins"):
            given = getattr(self, name)
            if not given or len(set(given)) < len(given):
                raise ValueError(f"{name}: {given} is empty or names one twice; give one or more different ones")
        unknown = [name for name in (*self.variants, self.reference) if name not in ALL_VARIANTS]
        if unknown:
            raise ValueError(f"variants, reference: {unknown[0]!r} is not known; use any of {'; '.join(ALL_VARIANTS)}")
        for name in self.base:
            if name not in FIELDS or name in _PLAN + _VARIANT:
                allowed = ", ".join(each for each in FIELDS if each not in _PLAN + _VARIANT)
                raise ValueError(f"base.{name}: no field that all runs can share; use any of {allowed}")
        self._check_axes()

    def _check_axes(self) -> None:
        sampled: Mapping[str, Any] = self.latin_hypercube.axes if self.latin_hypercube else {}
        if self.latin_hypercube and (self.latin_hypercube.samples < 1 or not sampled):
            raise ValueError("latin_hypercube: give one or more samples, and at least one axis")
        given: list[tuple[str, Mapping[str, object]]] = [("latin_hypercube.axes", sampled)]
        for where, axes in [*given, *(("grid", grid) for grid in self.grids)]:
            for name, values in axes.items():
                if name not in AXES:
                    raise ValueError(f"{where}.{name}: no axis of that name; use any of {', '.join(AXES)}")
                if where == "grid" and (name in sampled or not values):
                    raise ValueError(f"grid.{name}: empty, or an axis of latin_hypercube too; give each axis once")
        for axes in self.twin_grids:
            for name, values in axes.items():
                if name not in TWIN_AXES:
                    raise ValueError(f"twin_grid.{name}: no axis of the twins; use any of {', '.join(TWIN_AXES)}")
                if not values:
                    raise ValueError(f"twin_grid.{name}: empty; give one or more values")
        for name, (low, high, *scale) in sampled.items():
            if name not in FIELDS or FIELDS[name].type not in ("int", "float"):
                raise ValueError(f"latin_hypercube.axes.{name}: only numbers can be sampled; put it into grid")
            if not low < high or (scale == ["log"] and low <= 0):
                raise ValueError(f"latin_hypercube.axes.{name}: give low < high, and low above 0 for log")

    @property
    def grids(self) -> list[dict[str, list[object]]]:
        return self.grid if isinstance(self.grid, list) else [self.grid]

    @property
    def twin_grids(self) -> list[dict[str, list[object]]]:
        return self.twin_grid if isinstance(self.twin_grid, list) else [self.twin_grid]

    @property
    def axes(self) -> tuple[str, ...]:
        """Every axis that is swept, by variants or twins, in the order of `AXES`."""
        sampled = self.latin_hypercube.axes if self.latin_hypercube else {}
        swept = {*sampled, *itertools.chain(*self.grids, *self.twin_grids)}
        return tuple(name for name in AXES if name in swept)
