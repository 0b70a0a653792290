"""Price tables: picojoules per action, each with low, value and high, node, scope, basis and source."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal

from ...sim.display import brief, lines
from ...sim.errors import InvalidInput
from ...sim.readable_numbers import listed, number
from .yaml_files import parse_yaml, validate

FORBID_UNKNOWN = {"extra": "forbid"}
Group = Literal["logic", "sram", "dram", "network", "static"]


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one action costs.

    Attributes
    ----------
    low, value, high : float
        Energy in pJ; ``low <= value <= high``. A price of 0 needs a ``reason``.
    scope : {'op', 'core', 'chip'}
        What the figure contains: the bare operation, a core with its share of control, or a whole chip.
    basis : {'measured', 'simulated', 'derived', 'unverified'}
        How it was found. ``derived`` figures are our own arithmetic; the source says on what.
    source : str
        Where it was read.
    node_nm, voltage_v : float, optional
        Technology node and supply; a file's own defaults apply when left out.
    reason : str, optional
        Why a price is 0, or a remark on the spread.
    """

    value: float
    low: float
    high: float
    source: str
    basis: Literal["measured", "simulated", "derived", "unverified"]
    scope: Literal["op", "core", "chip"] = "op"
    node_nm: float | None = None
    voltage_v: float | None = None
    reason: str | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    def __repr__(self) -> str:
        return brief(self)

    def __post_init__(self) -> None:
        figures = (self.low, self.value, self.high)
        if not all(math.isfinite(figure) and figure >= 0 for figure in figures):
            raise ValueError(f"low, value and high are {figures}; each must be finite and not negative")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"low <= value <= high does not hold for {figures}")
        if self.value == 0 and not self.reason:
            raise ValueError("a price of 0 needs a reason: say why it costs nothing, or give the price")

    def scaled(self, factor: float, note: str) -> Price:
        """The same figure times a factor, marked as derived."""
        if factor == 1:
            return self
        figures = {name: getattr(self, name) * factor for name in ("low", "value", "high")}
        return replace(self, **figures, basis="derived", source=f"{self.source}; {note}")


@dataclass(frozen=True, kw_only=True)
class SramPoint:
    """Energy of one access to an SRAM of a published capacity, in pJ per word of the table's ``word_bits``."""

    kib: float
    price: Price

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Technology:
    """Prices of operations and memories in one silicon technology.

    Attributes
    ----------
    operations : mapping of ``operation.type`` to Price
    sram : tuple of SramPoint
        Sorted by capacity, per access of ``sram_word_bits``; read and write alike.
    dram : Price or None
        Per access of ``dram_word_bits``.
    """

    name: str
    title: str
    operations: Mapping[str, Price]
    sram: tuple[SramPoint, ...] = ()
    dram: Price | None = None
    sram_word_bits: int = 64
    dram_word_bits: int = 64

    def __repr__(self) -> str:
        return lines(
            f"Technology {self.name}: {self.title}",
            f"{len(self.operations)} operations: {', '.join(self.operations)}",
            f"SRAM per {self.sram_word_bits} bits: {listed([f'{x.kib:g} KiB' for x in self.sram]) or 'none'}",
            f"DRAM: {'none' if self.dram is None else f'{number(self.dram.value)} pJ per {self.dram_word_bits} bits'}",
        )

    def sram_access(self, kib: float, word_bits: int) -> Price:
        """Energy of one access to an SRAM of ``kib``, by capacity.

        At or below the smallest published capacity its price holds; between two points the energy follows a power of
        the capacity through both; above the largest it grows with the square root. The low bound between two points is
        their straight line. Interpolation and extrapolation are ours (derived); the points are published.
        """
        if not self.sram:
            raise InvalidInput(f"technology {self.name!r} has no SRAM points, so an SRAM of {kib} KiB has no price")
        width = word_bits / self.sram_word_bits
        note = f"scaled from {self.sram_word_bits} to {word_bits} bits"
        points = sorted(self.sram, key=lambda point: point.kib)
        if kib <= points[0].kib:
            return points[0].price.scaled(width, note)
        for left, right in itertools.pairwise(points):
            if kib == right.kib:
                return right.price.scaled(width, note)
            if kib < right.kib:
                return _between(left, right, kib).scaled(width, note)
        note = f"square root of the capacity above {points[-1].kib:g} KiB; {note}"
        return points[-1].price.scaled(math.sqrt(kib / points[-1].kib) * width, note)

    def dram_access(self, word_bits: int) -> Price:
        if self.dram is None:
            raise InvalidInput(f"technology {self.name!r} has no DRAM price")
        return self.dram.scaled(
            word_bits / self.dram_word_bits, f"scaled from {self.dram_word_bits} to {word_bits} bits"
        )


def _between(left: SramPoint, right: SramPoint, kib: float) -> Price:
    exponent = math.log(right.price.value / left.price.value) / math.log(right.kib / left.kib)
    factor = (kib / left.kib) ** exponent
    share = (kib - left.kib) / (right.kib - left.kib)
    line = left.price.value + share * (right.price.value - left.price.value)
    value = left.price.value * factor
    return replace(
        left.price,
        low=min(line, value),
        value=value,
        high=max(left.price.high * factor, value),
        basis="derived",
        source=f"{left.price.source}; power law between {left.kib:g} and {right.kib:g} KiB (ours), low: straight line",
    )


@dataclass(frozen=True, kw_only=True)
class _SramSection:
    word_bits: int
    points: tuple[dict[str, object], ...]

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class _DramSection:
    word_bits: int
    access_pj: dict[str, object]

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class _TechnologyFile:
    schema: Literal["spikejoule.technology/1"]
    name: str
    title: str
    node_nm: float
    source: str
    voltage_v: float | None = None  # where the source states none
    operations: dict[str, dict[str, object]]
    sram: _SramSection | None = None
    dram: _DramSection | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


def technology_names() -> list[str]:
    """Names of the technologies that come with the package."""
    return sorted(path.name.removesuffix(".yaml") for path in _shipped().iterdir() if path.name.endswith(".yaml"))


def load_technology(name: str) -> Technology:
    """Load a technology by name, or from a YAML file.

    Raises
    ------
    InvalidInput
        Unknown name, or a file that is not valid; the message names the offending key.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        where, data = str(path), parse_yaml(path)
    elif name in technology_names():
        where, data = f"technology {name}", parse_yaml(_shipped() / f"{name}.yaml")
    else:
        raise InvalidInput(
            f"technology {name!r} is not known; use one of {', '.join(technology_names())} or a .yaml file"
        )
    file = validate(_TechnologyFile, data, where)
    defaults = {"node_nm": file.node_nm, "voltage_v": file.voltage_v, "source": file.source}
    points = []
    for index, entry in enumerate(file.sram.points if file.sram else ()):
        price = parse_price({k: v for k, v in entry.items() if k != "kib"}, f"{where}: sram.points[{index}]", defaults)
        points.append(validate(SramPoint, {"kib": entry.get("kib"), "price": price}, f"{where}: sram.points[{index}]"))
    return Technology(
        name=file.name,
        title=file.title,
        operations=parse_prices(file.operations, f"{where}: operations", defaults),
        sram=tuple(points),
        dram=parse_price(file.dram.access_pj, f"{where}: dram.access_pj", defaults) if file.dram else None,
        sram_word_bits=file.sram.word_bits if file.sram else 64,
        dram_word_bits=file.dram.word_bits if file.dram else 64,
    )


def parse_prices(entries: Mapping[str, object], where: str, defaults: Mapping[str, object]) -> dict[str, Price]:
    """Prices from a file's mapping ``<action>_pj -> figures``; the suffix is the unit and is required."""
    prices = {}
    for key, entry in entries.items():
        if not key.endswith("_pj"):
            raise InvalidInput(
                f"{where}.{key}: the key must end in its unit, _pj; rename it to {key}_pj if it is in pJ"
            )
        prices[key.removesuffix("_pj")] = parse_price(entry, f"{where}.{key}", defaults)
    return prices


def parse_price(entry: object, where: str, defaults: Mapping[str, object]) -> Price:
    """One price; ``low`` and ``high`` default to ``value``, other fields to the file's own."""
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"{where}: is {entry!r}; it must be a mapping with value, low, high, basis and source")
    value = entry.get("value")
    figures = {"low": value, "high": value}
    return validate(Price, {**defaults, **figures, **entry}, where)


def _shipped() -> Any:
    return resources.files("spikejoule.energy") / "technologies"
