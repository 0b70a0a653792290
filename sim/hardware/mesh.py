"""Many-core chips as data: cores on a mesh of tiles that exchange one packet per event (`Event`).

Plain frozen dataclasses; `energy.machines.accelerator` validates accelerator files against them, unknown keys included.
The model is that of SANA-FE, re-implemented from its published formulas: constant energy and latency per event, one
step of delay per synaptic hop, a barrier after every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..display import brief
from ..errors import InvalidInput

FORBID_UNKNOWN = {"extra": "forbid"}  # read by pydantic when it validates a file against these classes
DIRECTIONS = ("E", "W", "N", "S")


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Tiles with a router each, in a rectangle; a full chip spills to the next, which lies east of it.

    Attributes
    ----------
    width, height : int
        Tiles along x and y, on one chip.
    cores_per_tile : int
    id_order : {'column', 'row'}
        How tiles are numbered. column: ``x = tile // height``, ``y = tile % height``; row: ``x = tile % width``.
    routing : {'xy'}
        A packet first travels along x, then along y. Larger x is east, larger y is north.
    link_buffer : int
        Packets that one link holds before it blocks (`detailed` timing only).
    """

    width: int
    height: int
    cores_per_tile: int
    id_order: Literal["column", "row"] = "column"
    routing: Literal["xy"] = "xy"
    link_buffer: int = 16

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        for name in ("width", "height", "cores_per_tile", "link_buffer"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"mesh.{name} is {getattr(self, name)}; it must be a positive integer")

    @property
    def tiles(self) -> int:
        """Tiles of one chip."""
        return self.width * self.height

    @property
    def cores(self) -> int:
        """Cores of one chip; core c of the whole machine is in tile ``c // cores_per_tile``, on chip ``c // cores``."""
        return self.tiles * self.cores_per_tile

    def places(self, tiles: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """x over all chips, y, and chip of tiles that are numbered through chip after chip."""
        chip, tile = np.divmod(tiles, self.tiles)
        x, y = np.divmod(tile, self.height) if self.id_order == "column" else np.divmod(tile, self.width)[::-1]
        return chip * self.width + x, y, chip

    def hops(self, source: NDArray[np.int64], target: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Hops in each direction, and chip borders crossed (``chip``), between cores; 0 within a tile."""
        x0, y0, chip0 = self.places(source // self.cores_per_tile)
        x1, y1, chip1 = self.places(target // self.cores_per_tile)
        dx, dy = x1 - x0, y1 - y0
        east, north = np.maximum(dx, 0), np.maximum(dy, 0)
        return {"E": east, "W": east - dx, "N": north, "S": north - dy, "chip": np.abs(chip1 - chip0)}

    def core_number(self, name: int | str) -> int:
        """The number of a core given as a number, or as ``"tile.core"``."""
        if isinstance(name, int) and not isinstance(name, bool) and name >= 0:
            return name
        tile, dot, core = str(name).partition(".")
        if not (dot and tile.isdigit() and core.isdigit() and int(core) < self.cores_per_tile):
            raise InvalidInput(
                f"core {name!r}: give a number from 0, or 'tile.core' with a core below {self.cores_per_tile}"
            )
        return int(tile) * self.cores_per_tile + int(core)


@dataclass(frozen=True, kw_only=True)
class Core:
    """What one core holds."""

    max_neurons: int

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        if self.max_neurons < 1:
            raise InvalidInput(f"core.max_neurons is {self.max_neurons}; it must be a positive integer")


@dataclass(frozen=True, kw_only=True)
class SynapticLatency:
    """Seconds per synaptic event, by the kind of synapse unit."""

    dense: float
    conv: float
    sparse: float

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class HopLatency:
    """Seconds per hop by direction, and per chip border on top; ``chip`` None: not known, one chip only."""

    E: float
    W: float
    N: float
    S: float
    chip: float | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds per event: access of every mapped neuron at every step, what an update and a spike add to it, packets."""

    synop: SynapticLatency
    neuron_access: float
    neuron_update: float
    spike: float
    packet_out: float
    packet_in: float
    hop: HopLatency

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        own = {name: getattr(self, name) for name in (f.name for f in fields(self)) if name not in ("synop", "hop")}
        synop = {f"synop.{name}": value for name, value in vars(self.synop).items()}
        hop = {f"hop.{name}": value for name, value in vars(self.hop).items() if value is not None}
        for name, value in (own | synop | hop).items():
            if not 0 <= value < float("inf"):
                raise InvalidInput(f"latency_s.{name} is {value}; it must be a time in seconds from 0")


@dataclass(frozen=True, kw_only=True)
class Event:
    """A many-core chip.

    Attributes
    ----------
    mesh, core : Mesh, Core
    packet_per : {'core', 'synapse', 'axon'}
        What a firing neuron sends: one packet per core that holds targets (its own included); one per synapse; or one
        in all, so that a neuron with targets on k cores is held k times (TrueNorth): each copy takes a place, is fed,
        accessed, updated and fires like the first.
    latency_s : Latency, optional
    barrier_s : mapping of int to float
        Time added to every step, by the tiles in use: the value of the largest key that does not exceed them.
    step_s : float, optional
        A fixed time per step instead of these two.
    timing : {'simple', 'detailed'}
        simple: the busiest core, generating or processing, hops ignored. detailed: packets in the order they are sent,
        with the density of links. See `network_on_chip`.
    schedule : {'skewed', 'as_recorded'}
        skewed: a trace without delays between layers is stretched to one step per synaptic hop, step t of a layer at
        depth d running in machine step t + d; the input has depth 0. as_recorded: the trace was taken in machine time.
    mode : {'single', 'pipelined'}
        How inferences follow each other, which decides the time per finished inference that static power is paid for.
        single: the next one enters when the last layer has ended, after ``T + L - 1`` machine steps of a trace with T
        steps and L populations on the longest path, the input counted. pipelined: it enters as soon as the input has
        ended, so one is finished every T steps; its own latency and its events stay as they are. A trace that is
        as_recorded holds no drain that could be told apart, so both are all its steps. Not modelled: resetting states
        between inferences.
    mapping : {'row_major', 'near'}
        How layers are laid out on cores unless a mapping is given. See `core_mapping`.
    fully_connected : {'dense', 'sparse'}
        Synapse unit of fully connected layers. A sparse one stores no zero weights. Convolutions use ``conv``.
    supports : tuple
        Spikes it carries beside 0/1: ``signed_spike``.
    graded : {'value', 'events'}, optional
        How it carries a graded input n. value: one packet holds the number, and makes the synaptic events of one spike.
        events: n spikes one after the other, each with packets and synaptic events of its own. None: not at all.
    """

    mesh: Mesh
    core: Core
    packet_per: Literal["core", "synapse", "axon"] = "core"
    latency_s: Latency | None = None
    barrier_s: Mapping[int, float] | None = None
    step_s: float | None = None
    timing: Literal["simple", "detailed"] = "simple"
    schedule: Literal["skewed", "as_recorded"] = "skewed"
    mode: Literal["single", "pipelined"] = "single"
    mapping: Literal["row_major", "near"] = "row_major"
    fully_connected: Literal["dense", "sparse"] = "dense"
    supports: tuple[Literal["signed_spike"], ...] = ()
    graded: Literal["value", "events"] | None = None
    kind: Literal["event"] = "event"

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    def __repr__(self) -> str:
        return brief(self)

    def __post_init__(self) -> None:
        by_event = self.latency_s is not None and self.barrier_s is not None
        if by_event == (self.step_s is not None):
            raise InvalidInput("architecture: give either step_s, or both latency_s and barrier_s")
        if self.step_s is not None and not 0 < self.step_s < float("inf"):
            raise InvalidInput(f"architecture.step_s is {self.step_s}; it must be a positive time in seconds")
        if self.barrier_s is not None:
            times = self.barrier_s.values()
            if 1 not in self.barrier_s or min(self.barrier_s) < 1 or not all(0 <= t < float("inf") for t in times):
                raise InvalidInput(
                    f"architecture.barrier_s is {dict(self.barrier_s)}; it must give seconds from 0 by number of tiles "
                    f"in use, from 1"
                )

    def barrier(self, tiles: int) -> float:
        """Seconds per step with that many tiles in use."""
        table = self.barrier_s or {}
        return table[max(key for key in table if key <= max(tiles, 1))]
