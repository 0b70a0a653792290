"""Layers -> cores: which neurons each core of a many-core chip holds, and who sends packets where.

Neurons are cut into runs that fill one core after the other; a run never leaves its order. Three ways to lay the cores
out: given by hand, row by row of the mesh, or `near`, which puts cores that talk to each other close together. The
input's neurons take places like any others, as SANA-FE has it: spikes must enter the mesh somewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InvalidInput
from ...network.connections import Ints
from ...network.layers import INPUT, Layer
from ...network.weighted_layers import Linear
from ...network.workload import Workload
from ...replay.populations import populations
from ..mesh import Event, Mesh
from .relays import with_relays


@dataclass(frozen=True)
class Run:
    """Neurons ``first`` to ``last`` (inclusive) of a population, in index order, on one core."""

    core: int | str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class CoreMap:
    """Where every neuron is.

    Attributes
    ----------
    cores : int64 array (used cores,)
        Number of each core in use, ascending.
    places : mapping of population (and ``"input"``) to int64 array (neurons,)
        Index into ``cores`` of each neuron.
    copies : mapping of population to int64 array (neurons,)
        How often each neuron is held: more than once only where a packet goes to a single core (``packet_per: axon``).
    mesh : Mesh
    """

    cores: Ints
    places: Mapping[str, Ints]
    copies: Mapping[str, Ints]
    mesh: Mesh

    @property
    def tiles(self) -> int:
        """Tiles in use, over all chips."""
        return len(np.unique(self.cores // self.mesh.cores_per_tile))

    @property
    def chips(self) -> int:
        """Chips from the first to the last in use."""
        return int(self.cores[-1]) // self.mesh.cores + 1

    def neuron_cores(self) -> int:
        """Cores that hold neurons, not input sources only."""
        held = [places for name, places in self.places.items() if name != INPUT]
        return len(np.unique(np.concatenate(held)))


def map_to_cores(
    workload: Workload, machine: Event, mapping: str | Mapping[str, Sequence[Run]] | None = None
) -> CoreMap:
    """Lay a network out on the cores of a machine.

    Parameters
    ----------
    workload : Workload
    machine : Event
    mapping : {'row_major', 'near'} or mapping of population (and ``"input"``) to runs, optional
        row_major: cores fill in the order of the layers, tiles row by row (x fastest), chip after chip. near: the same
        cut, each core then goes where its hops to the cores placed before it are fewest, if every neuron fired equally
        often; row_major if that comes out shorter. Unless given, as the machine says.

    Raises
    ------
    InvalidInput
        A run that is missing, doubled or out of range, or more neurons on a core than it holds.

    Notes
    -----
    Merges and maxima of spikes take neurons too: see `relays`.
    """
    workload = with_relays(workload)
    mapping = machine.mapping if mapping is None else mapping
    if not isinstance(mapping, str):
        return _given(workload, machine, mapping)
    if mapping not in ("row_major", "near"):
        raise InvalidInput(f"mapping is {mapping!r}; it must be row_major, near, or runs by population")
    slots, copies = _cut(workload, machine)
    used = 1 + max(int(places.max()) for places in slots.values())
    mesh = machine.mesh
    order = _row_major(mesh, -(-used // mesh.cores))
    chosen = order[:used]
    if mapping == "near":
        chosen = _near(_traffic(workload, machine, slots, copies, used), order, mesh)
    return _relabelled(chosen, slots, copies, mesh)


def readers(workload: Workload, signal: str) -> Iterator[tuple[str, Layer]]:
    """Every layer that reads a signal, with the population that it feeds."""
    for layer in workload.layers:
        if layer.source == signal:
            yield layer.joins or layer.name, layer


def unit(layer: Layer, machine: Event) -> str:
    """The synapse unit that holds a layer: dense, sparse or conv."""
    return machine.fully_connected if isinstance(layer, Linear) else "conv"


def reached(layer: Layer, machine: Event, places: Ints, copies: Ints) -> tuple[Ints, Ints, Ints]:
    """Synapses by source neuron and core: arrays (source neuron, place, synapses), sorted, where there are any.

    Synapses past average pooling are those of the current before it, each with its own weight; those into outputs that
    no whole pooling window holds do not exist.
    """
    edges = layer.neuron_connections
    lowest = int(places.min())
    counts = np.zeros((layer.inputs, int(places.max()) - lowest + 1), np.int32)
    skip = unit(layer, machine) == "sparse" and edges.nonzero is not None
    mask = edges.nonzero if skip and edges.nonzero is not None else np.zeros((0, 0, 0), np.uint8)
    shape = edges.in_channels // edges.groups, edges.out_channels // edges.groups, edges.out_positions
    _count_targets(edges.starts, edges.outs, edges.taps, shape, mask, places - lowest, copies, counts)
    source, place = np.nonzero(counts)
    return source.astype(np.int64), place.astype(np.int64) + lowest, counts[source, place].astype(np.int64)


@njit(cache=True, nogil=True)
def _count_targets(
    starts: Ints,
    outs: Ints,
    taps: Ints,
    shape: tuple[int, int, int],
    mask: NDArray[np.uint8],
    places: Ints,
    copies: Ints,
    counts: NDArray[np.int32],
) -> None:
    """Add the copies of every target to ``counts`` (source neuron, place); ``mask``: which weights exist, or empty."""
    group_size, run, out_positions = shape
    positions = starts.size - 1
    for source in range(counts.shape[0]):
        channel, position = divmod(source, positions)
        first = channel // group_size * run
        for edge in range(starts[position], starts[position + 1]):
            for index in range(run):
                if mask.size > 0 and mask[channel, taps[edge], index] == 0:
                    continue
                neuron = (first + index) * out_positions + outs[edge]
                counts[source, places[neuron]] += copies[neuron]


def _sizes(workload: Workload) -> dict[str, int]:
    """Neurons of the input and of each population, in the order in which cores hold and run them."""
    own = {item.name: item.layer.neurons for item in populations(workload)}
    neurons = {layer.name: own[layer.name] for layer in workload.layers if layer.name in own}
    return {INPUT: int(np.prod(workload.input_shape, dtype=np.int64))} | neurons


def _cut(workload: Workload, machine: Event) -> tuple[dict[str, Ints], dict[str, Ints]]:
    """Fill places 0, 1, ... with neurons; with copies from the last layer on, for they follow from whom it feeds."""
    sizes = _sizes(workload)
    slots: dict[str, Ints] = {}
    copies: dict[str, Ints] = {}
    names = [*(item.name for item in populations(workload)), INPUT]
    place, free = 0, machine.core.max_neurons
    for name in reversed(names[:-1]) if machine.packet_per == "axon" else sizes:
        copies[name] = _copies(workload, machine, name, sizes[name], slots, copies)
        slots[name], place, free = _fill(copies[name], place, free, machine.core.max_neurons, name)
    if INPUT not in slots:
        copies[INPUT] = np.ones(sizes[INPUT], np.int64)
        slots[INPUT], *_ = _fill(copies[INPUT], place, free, machine.core.max_neurons, INPUT)
    return {name: slots[name] for name in sizes}, {name: copies[name] for name in sizes}


def _fill(copies: Ints, place: int, free: int, capacity: int, name: str) -> tuple[Ints, int, int]:
    """Places of one population from ``place`` on, which has ``free`` room left; and the place and room after it."""
    if copies.max() > capacity:
        raise InvalidInput(
            f"layer {name!r}: a neuron has targets on {copies.max()} cores and would be held as often, but a core "
            f"holds {capacity} neurons; this machine cannot run such a layer"
        )
    total = np.concatenate([[0], np.cumsum(copies)])
    result = np.empty(len(copies), np.int64)
    start = 0
    while start < len(copies):
        stop = int(np.searchsorted(total, total[start] + free, side="right")) - 1
        if stop == start:
            place, free = place + 1, capacity
            continue
        result[start:stop] = place
        free -= int(total[stop] - total[start])
        start = stop
    return result, place, free


def _copies(
    workload: Workload, machine: Event, name: str, size: int, places: Mapping[str, Ints], copies: Mapping[str, Ints]
) -> Ints:
    """How often each neuron of a population is held, from where its targets are."""
    if machine.packet_per != "axon" or name == INPUT:
        return np.ones(size, np.int64)
    pairs = [np.zeros((2, 0), np.int64)]
    for target, layer in readers(workload, name):
        if layer.delay:
            raise InvalidInput(f"layer {layer.name!r}: self-connections cannot be mapped with packet_per 'axon'")
        pairs.append(np.array(reached(layer, machine, places[target], copies[target])[:2]))
    source = np.unique(np.concatenate(pairs, axis=1), axis=1)[0]
    return np.maximum(np.bincount(source, minlength=size), 1).astype(np.int64)


def _row_major(mesh: Mesh, chips: int) -> Ints:
    """All cores of so many chips: chip after chip, tiles row by row."""
    tiles = np.arange(chips * mesh.tiles)
    x, y, chip = mesh.places(tiles)
    tiles = tiles[np.lexsort((x, y, chip))]
    return (tiles[:, None] * mesh.cores_per_tile + np.arange(mesh.cores_per_tile)).ravel()


def _traffic(
    workload: Workload, machine: Event, slots: Mapping[str, Ints], copies: Mapping[str, Ints], used: int
) -> NDArray[np.float64]:
    """Packets between places if every neuron fired once; symmetric, for hops are as many either way."""
    result = np.zeros((used, used))
    for name, own in slots.items():
        pairs = [reached(layer, machine, slots[to], copies[to]) for to, layer in readers(workload, name)]
        for source, place, synapses in pairs:
            weight = synapses if machine.packet_per == "synapse" else np.ones_like(synapses)
            np.add.at(result, (own[source], place), weight)
    return result + result.T


def _near(traffic: NDArray[np.float64], order: Ints, mesh: Mesh) -> Ints:
    """A core for each place: the first in the middle, then each where its hops to those before it are fewest."""
    tiles = order[:: mesh.cores_per_tile] // mesh.cores_per_tile
    x, y, _ = mesh.places(tiles)
    distance = np.abs(x[:, None] - x) + np.abs(y[:, None] - y)
    room = np.full(len(tiles), mesh.cores_per_tile)
    at = np.empty(len(traffic), np.int64)
    for place in range(len(traffic)):
        cost = distance[:, at[:place]] @ traffic[place, :place]
        if place == 0:
            cost = distance.max(axis=1).astype(np.float64)
        cost = np.where(room > 0, cost, np.inf)
        at[place] = int(cost.argmin())
        room[at[place]] -= 1
    plain = np.arange(len(traffic)) // mesh.cores_per_tile
    length, row_length = (float((traffic * distance[np.ix_(way, way)]).sum()) for way in (at, plain))
    if row_length <= length:
        return order[: len(traffic)]
    seen = np.zeros(len(tiles), np.int64)
    chosen = np.empty(len(traffic), np.int64)
    for place, tile in enumerate(at):
        chosen[place] = tiles[tile] * mesh.cores_per_tile + seen[tile]
        seen[tile] += 1
    return chosen


def _given(workload: Workload, machine: Event, runs: Mapping[str, Sequence[Run]]) -> CoreMap:
    sizes = _sizes(workload)
    cores = {name: np.full(size, -1, np.int64) for name, size in sizes.items()}
    for name, entries in runs.items():
        if name not in cores:
            raise InvalidInput(f"mapping: {name!r} is no population; known: {', '.join(cores)}")
        for run in entries:
            if not 0 <= run.first <= run.last < sizes[name] or (cores[name][run.first : run.last + 1] >= 0).any():
                raise InvalidInput(
                    f"mapping of {name!r}: run {run.first} to {run.last} overlaps another or leaves "
                    f"0 to {sizes[name] - 1}"
                )
            cores[name][run.first : run.last + 1] = machine.mesh.core_number(run.core)
    for name, numbers in cores.items():
        if (numbers < 0).any():
            raise InvalidInput(f"mapping of {name!r}: neuron {int((numbers < 0).argmax())} is on no core")
    copies: dict[str, Ints] = {INPUT: np.ones(sizes[INPUT], np.int64)}
    for item in reversed(populations(workload)):
        copies[item.name] = _copies(workload, machine, item.name, sizes[item.name], cores, copies)
    load = np.bincount(np.concatenate([cores[n] for n in sizes]), np.concatenate([copies[n] for n in sizes]))
    if load.max() > machine.core.max_neurons:
        raise InvalidInput(
            f"mapping: core {int(load.argmax())} is given {int(load.max())} neurons; "
            f"it holds {machine.core.max_neurons}"
        )
    used = np.unique(np.concatenate(list(cores.values())))
    places = {name: np.searchsorted(used, numbers) for name, numbers in cores.items()}
    return CoreMap(used, places, copies, machine.mesh)


def _relabelled(chosen: Ints, slots: Mapping[str, Ints], copies: Mapping[str, Ints], mesh: Mesh) -> CoreMap:
    """Places in the order of the cores' numbers, as packets to several cores are sent."""
    rank = np.argsort(np.argsort(chosen))
    return CoreMap(np.sort(chosen), {name: rank[slot] for name, slot in slots.items()}, copies, mesh)
