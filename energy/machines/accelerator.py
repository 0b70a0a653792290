"""An accelerator: an architecture (what it does with operations) and a price table (what its actions cost)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from ...sim.display import html_table, lines, one_line
from ...sim.errors import InvalidInput
from ...sim.hardware.architecture import Architecture, Event, Grid, Memory, Operations
from ...sim.readable_numbers import POWER, listed, number, with_unit
from .prices import FORBID_UNKNOWN, Group, Price, Technology, load_technology, parse_prices
from .static_power import Static, StaticPrice, chip_price, power_price, take_leakage
from .yaml_files import parse_yaml, validate

MEMORY_ACTIONS = ("read", "write")
TYPED_OPERATIONS = ("add", "multiply", "compare", "sigmoid")  # priced by the type they work on, as in add.float32
NUMBER_TYPE = re.compile(r"(int|float)([1-9]|[1-5][0-9]|6[0-4])")  # states have 1 to 64 bits
SYNAPTIC_OPERATIONS = ("accumulate", "add_subtract", "multiply_accumulate")
CHIP_EVENTS = (
    *("synop.dense", "synop.conv", "synop.sparse", "neuron_access", "neuron_update", "spike"),
    *("packet_out", "packet_in", "hop.E", "hop.W", "hop.N", "hop.S", "hop.chip"),
)


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """A simulated machine with its prices; made by `load_accelerator`.

    Attributes
    ----------
    name, title, notes : str
    architecture : Operations, Grid or Event
    technology : str
    prices : mapping of action to Price
        Logic by ``operation.type`` (``add.float32``), memories by ``name.read`` and ``name.write`` (one word).
    static : Static, optional
        Static power, with time per step where it was measured; of machines of kind ``event`` and ``grid`` and of
        incomplete ones. On a grid that of all but the memories in ``leakage``.
    leakage : mapping of memory name to Price
        Leakage of a grid's memories; these figures are watts. Of all of them or of none.
    missing : tuple of str
        Parts of the chip that no source gives; with any of them the machine shows its prices but refuses a total.
    """

    name: str
    title: str
    notes: str
    architecture: Architecture
    technology: str
    prices: Mapping[str, Price]
    static: Static | None = None
    leakage: Mapping[str, Price] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return lines(
            f"Accelerator {self.name}: {self.title}",
            f"{self.architecture.kind}: {_made_of(self.architecture)}",
            f"{len(self.prices)} prices with sources, technology {self.technology}",
            f"static power: {_static_words(self)}",
            f"incomplete, no total: no source gives {listed(self.missing)}" if self.missing else "",
        )

    def _repr_html_(self) -> str:
        rows = [
            {
                "action": action,
                "low, pJ": number(price.low),
                "value, pJ": number(price.value),
                "high, pJ": number(price.high),
                "basis": price.basis,
                "source": price.source,
            }
            for action, price in self.prices.items()
        ]
        return html_table(one_line(self), rows)

    @property
    def static_prices(self) -> tuple[StaticPrice, ...]:
        """Static power as prices of time, all with the same amount; none where power or time is not known."""
        machine = self.architecture
        if isinstance(machine, Event):
            return () if self.static is None else chip_price(self.static, machine.step_s)
        if not isinstance(machine, Grid):
            return ()
        rest = () if self.static is None else (power_price("static_power.machine", self.static.static_power_w),)
        return (*rest, *(power_price(f"{name}.leakage", power) for name, power in self.leakage.items()))

    @property
    def complete(self) -> bool:
        return not self.missing

    def unlike(self, other: Accelerator) -> str:
        """What tells two machines apart besides title and notes, such as ``architecture``; empty: they are one machine.

        Machines of one name may differ, as a copy with another ``hardware_batch`` does.
        """
        parts = ("name", "architecture", "prices", "static", "leakage")
        return next((part for part in parts if getattr(self, part) != getattr(other, part)), "")

    def require_complete(self) -> None:
        """Refuse a total of a machine that has unknown parts.

        Raises
        ------
        InvalidInput
            Naming the missing parts.
        """
        if self.missing:
            raise InvalidInput(
                f"accelerator {self.name!r} is incomplete, so it gives no total. Missing: {'; '.join(self.missing)}. "
                f"Copy its file, add them with their sources and remove complete: false, or use another accelerator"
            )

    def memory(self, component: str) -> Memory | None:
        """The memory of that name; None where the component is logic."""
        memories = self.architecture.memories if isinstance(self.architecture, Grid) else ()
        return next((memory for memory in memories if memory.name == component), None)

    def price_key(self, component: str, action: str) -> str:
        return f"{component}.{action}" if self.memory(component) is not None else action

    def price(self, component: str, action: str) -> Price:
        """The price of one action.

        Raises
        ------
        InvalidInput
            When the table has no price for it: unknown is an error, never zero.
        """
        key = self.price_key(component, action)
        if key not in self.prices:
            kind = self.architecture.kind
            if not _has_action(key, self.architecture, complete=self.complete):
                raise InvalidInput(
                    f"accelerator {self.name!r} of kind {kind} has no action {key!r} (needed by component "
                    f"{component!r}), so the counts are of another machine; run the trace on this accelerator, or "
                    f"price its counts with an accelerator like the one that they were made on"
                )
            raise InvalidInput(
                f"accelerator {self.name!r} has no price for {key!r} (needed by component {component!r}); "
                f"add prices.{key}_pj to its file. Priced: {', '.join(sorted(self.prices))}"
            )
        return self.prices[key]

    def group(self, component: str) -> Group:
        """Which shared price group a component's actions belong to: logic, sram, dram or network."""
        return price_group(component, self.memory(component))


def price_group(component: str, memory: Memory | None) -> Group:
    """The price group of a component, given the memory that it is, if it is one."""
    if component == "network":
        return "network"
    if memory is None:
        return "logic"
    return "dram" if memory.kib is None else "sram"


@dataclass(frozen=True, kw_only=True)
class _AcceleratorFile:
    schema: Literal["spikejoule.accelerator/1"]
    name: str
    title: str
    architecture: dict[str, object]
    prices: dict[str, object]
    notes: str = ""
    static: Static | None = None
    complete: bool = True
    missing: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


def _made_of(architecture: Architecture) -> str:
    """What a machine consists of, in a line."""
    if isinstance(architecture, Event):
        mesh = architecture.mesh
        return f"{mesh.cores} cores on {mesh.width} x {mesh.height} tiles of a chip"
    if isinstance(architecture, Operations):
        return "operations alone, no memory and no time"
    memories = architecture.memories
    sizes = [f"{x.name} {'unbounded' if x.kib is None else f'{x.kib:g} KiB'}" for x in memories]
    return f"{architecture.dataflow.stationary}, {listed(sizes)}"


def _static_words(machine: Accelerator) -> str:
    parts = [] if machine.static is None else [with_unit(machine.static.static_power_w.value, POWER)]
    parts += [f"{with_unit(power.value, POWER)} leakage of {name}" for name, power in machine.leakage.items()]
    return listed(parts) or "not known"


def accelerator_names() -> list[str]:
    """Names of the accelerators that come with the package."""
    return sorted(path.name.removesuffix(".yaml") for path in _shipped().iterdir() if path.name.endswith(".yaml"))


def load_accelerator(name: str | Path) -> Accelerator:
    """Load an accelerator by name, or from a YAML file.

    Parameters
    ----------
    name : str or Path
        One of `accelerator_names`, or the path of a file that ends in ``.yaml``.

    Raises
    ------
    InvalidInput
        Unknown name, unknown key, missing or impossible figure; the message names file and key.

    Examples
    --------
    >>> chip = load_accelerator("sop-45nm")
    >>> chip.price("synapse", "accumulate").value
    0.9
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return _build(parse_yaml(path), str(path))
    if str(name) not in accelerator_names():
        raise InvalidInput(
            f"accelerator {str(name)!r} is not known; use one of {', '.join(accelerator_names())}, or a .yaml file"
        )
    return _build(parse_yaml(_shipped() / f"{name}.yaml"), f"accelerator {name}")


def _build(data: dict[str, object], where: str) -> Accelerator:
    file = validate(_AcceleratorFile, data, where)
    if file.complete == bool(file.missing):
        raise InvalidInput(
            f"{where}: complete is {file.complete} and missing lists {len(file.missing)} parts; an incomplete file has "
            f"complete: false and names what is missing, a complete one has neither"
        )
    kinds: dict[str, type[Operations] | type[Grid] | type[Event]]
    kinds = {"operations": Operations, "grid": Grid, "event": Event}
    kind = file.architecture.get("kind")
    if kind not in kinds:
        raise InvalidInput(f"{where}: architecture.kind is {kind!r}; it must be one of {', '.join(kinds)}")
    architecture = validate(kinds[kind], file.architecture, f"{where}: architecture")
    if file.static is not None and file.complete and isinstance(architecture, Operations):
        raise InvalidInput(
            f"{where}: static: a machine of kind {kind} has no time, so the section would be ignored; remove it, or "
            f"describe the machine as kind grid or event"
        )
    if file.static is not None and isinstance(architecture, Grid):
        file.static.check_on_grid(where)
    entries = dict(file.prices)
    technology, defaults = _technology(entries, architecture, where, complete=file.complete)
    memories = architecture.memories if isinstance(architecture, Grid) else ()
    leakage = take_leakage(entries, memories, f"{where}: prices", defaults)
    own = parse_prices(entries, f"{where}: prices", defaults)
    prices = {**technology.operations, **memory_prices(memories, technology, own)}
    _refuse_unused(own, prices, architecture, where, complete=file.complete)
    return Accelerator(
        name=file.name,
        title=file.title,
        notes=" ".join(file.notes.split()),
        architecture=architecture,
        technology=technology.name,
        prices=prices | own,
        static=file.static,
        leakage=leakage,
        missing=file.missing,
    )


def _technology(
    entries: dict[str, object], architecture: Architecture, where: str, *, complete: bool
) -> tuple[Technology, dict[str, object]]:
    """The technology that supplies prices, and what its own prices leave out; a chip brings all its prices itself."""
    defaults = entries.pop("defaults", {})
    if not isinstance(defaults, dict):
        raise InvalidInput(
            f"{where}: prices.defaults is {defaults!r}; it must be a mapping such as {{node_nm: 45, basis: measured}}"
        )
    if (isinstance(architecture, Event) or not complete) and "technology" not in entries:
        return Technology(name="its own", title="", operations={}), defaults
    if "technology" not in entries:
        raise InvalidInput(f"{where}: prices.technology is missing; name the technology that the prices belong to")
    try:
        technology = load_technology(str(entries.pop("technology")))
    except InvalidInput as error:
        raise InvalidInput(f"{where}: prices.technology: {error}") from error
    first = next(iter(technology.operations.values()), None)
    silicon = {"node_nm": first.node_nm, "voltage_v": first.voltage_v} if first else {}
    return technology, {**silicon, **defaults}


def memory_prices(
    memories: Sequence[Memory], technology: Technology, own: Mapping[str, Price] = MappingProxyType({})
) -> dict[str, Price]:
    """Prices of ``name.read`` and ``name.write`` from a technology, but for those in ``own``."""
    prices = {}
    for memory in memories:
        for action in MEMORY_ACTIONS:
            key = f"{memory.name}.{action}"
            if key in own:
                continue
            if memory.kib is None:
                prices[key] = technology.dram_access(memory.word_bits)
            else:
                prices[key] = technology.sram_access(memory.kib, memory.word_bits)
    return prices


def _actions(architecture: Architecture, *, complete: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a kind of machine does besides memory accesses: operations that bear a type of numbers, and plain names."""
    if isinstance(architecture, Event):
        return (), CHIP_EVENTS
    if not complete:  # a chip of which too little is known to lay a network out shows the prices there are
        return TYPED_OPERATIONS, SYNAPTIC_OPERATIONS + CHIP_EVENTS
    return (TYPED_OPERATIONS, ()) if isinstance(architecture, Grid) else ((), SYNAPTIC_OPERATIONS)


def _has_action(key: str, architecture: Architecture, *, complete: bool) -> bool:
    """Whether a kind of machine can have the action that a price is named by."""
    typed, bare = _actions(architecture, complete=complete)
    memories = {memory.name for memory in architecture.memories} if isinstance(architecture, Grid) else set()
    head, _, tail = key.partition(".")
    return (
        key in bare
        or (head in typed and NUMBER_TYPE.fullmatch(tail) is not None)
        or (head in memories and tail in MEMORY_ACTIONS)
    )


def _refuse_unused(
    own: Mapping[str, Price], known: Mapping[str, Price], architecture: Architecture, where: str, *, complete: bool
) -> None:
    """A price under a name that no action has would be silently ignored: refuse it."""
    typed, bare = _actions(architecture, complete=complete)
    for key in own:
        if key in known or _has_action(key, architecture, complete=complete):
            continue
        head, _, tail = key.partition(".")
        if head in typed:
            raise InvalidInput(
                f"{where}: prices.{key}_pj: {tail!r} is no type of numbers; use prices.{head}.<type>_pj with int or "
                f"float and 1 to 64 bits, such as int8, int16, int32, float16 or float32"
            )
        memories = architecture.memories if isinstance(architecture, Grid) else ()
        accesses = [f"{memory.name}.{action}" for memory in memories for action in MEMORY_ACTIONS]
        names = ", ".join([*(f"{name}.<type>" for name in typed), *bare, *accesses])
        raise InvalidInput(
            f"{where}: prices.{key}_pj prices no action of this machine; use one of {names}, each followed by _pj"
        )


def _shipped() -> Any:
    return resources.files("spikejoule.energy") / "accelerators"
