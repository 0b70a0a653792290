"""Time per step of a many-core chip, compiled: `simple_times` (busiest core) and `detailed_times` (packets on links).

Both follow the formulas published for SANA-FE. Two things that it leaves to memory addresses are fixed here: the
packets of one neuron go to its cores in ascending order, and of two packets sent at the same time the one from the core
with the lower number goes first.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...network.connections import Ints

Reals = NDArray[np.float64]
Flags = NDArray[np.uint8] | NDArray[np.uint16]  # neurons of each step: one, or n unit events of the input
Seconds = tuple[float, float, float, float]  # access, update, spike, packet out
LINKS = 4  # east, west, north, south; then one port per core of the tile


@dataclass(frozen=True, eq=False)
class Traffic:
    """Whom each neuron of the machine reaches; neurons are numbered in the order in which cores run them.

    Attributes
    ----------
    place : int64 array (neurons,)
        Index of each neuron's core among the cores in use.
    copies : int64 array (neurons,)
        How often a neuron is held and updated; 0 for the input, which is not updated at all.
    starts : int64 array (neurons + 1,)
        Destinations of neuron n are ``starts[n]`` to ``starts[n + 1] - 1``.
    target : int64 array (destinations,)
        Index of the destination core, ascending within a neuron.
    packets : int64 array (destinations,)
    processing : float64 array (destinations,)
        Seconds that one such packet takes its destination core.
    hop_seconds : float64 array (destinations,)
        Seconds of the hops of one such packet on an empty mesh.
    """

    place: Ints
    copies: Ints
    starts: Ints
    target: Ints
    packets: Ints
    processing: Reals
    hop_seconds: Reals


@njit(cache=True, nogil=True)
def simple_times(
    fired: Flags,
    updated: Flags,
    place: Ints,
    copies: Ints,
    starts: Ints,
    target: Ints,
    packets: Ints,
    processing: Reals,
    cores: int,
    seconds: Seconds,
) -> Reals:
    """Longest of all cores' generating and processing times, per step of ``fired`` (steps, neurons) uint8.

    An input that stands for n unit events has n in ``fired``.
    """
    access, update, spike, packet_out = seconds
    steps, neurons = fired.shape
    times = np.zeros(steps)
    for step in range(steps):
        generating, busy = np.zeros(cores), np.zeros(cores)
        for neuron in range(neurons):
            own = copies[neuron] * (access + update * updated[step, neuron] + spike * fired[step, neuron])
            number = fired[step, neuron]
            if number:
                for way in range(starts[neuron], starts[neuron + 1]):
                    own += number * packets[way] * packet_out
                    busy[target[way]] += number * packets[way] * processing[way]
            generating[place[neuron]] += own
        times[step] = max(generating.max(), busy.max())
    return times


@njit(cache=True, nogil=True)
def detailed_times(
    fired: Flags,
    updated: Flags,
    place: Ints,
    copies: Ints,
    starts: Ints,
    target: Ints,
    packets: Ints,
    processing: Reals,
    hop_seconds: Reals,
    x: Ints,
    y: Ints,
    port: Ints,
    buffer: int,
    seconds: Seconds,
) -> Reals:
    """Time until the last packet is processed, per step; ``x``, ``y``, ``port`` (cores,) place each core."""
    steps, neurons = fired.shape
    times = np.zeros(steps)
    for step in range(steps):
        total = 0
        for neuron in range(neurons):
            if fired[step, neuron]:
                for way in range(starts[neuron], starts[neuron + 1]):
                    total += fired[step, neuron] * packets[way]
        queues, ways, generation, idle = _generate(
            fired[step], updated[step], place, copies, starts, packets, len(x), total, seconds
        )
        times[step] = _deliver(queues, ways, generation, idle, target, processing, hop_seconds, x, y, port, buffer)
    return times


@njit(cache=True, nogil=True)
def _generate(
    fired: Flags,
    updated: Flags,
    place: Ints,
    copies: Ints,
    starts: Ints,
    packets: Ints,
    cores: int,
    total: int,
    seconds: Seconds,
) -> tuple[Ints, Ints, Reals, Reals]:
    """Each core's packets of one step in the order it sends them, and what is left for it to do after the last.

    Returns the bounds of each core's queue, and per packet its destination entry and the time to generate it.
    """
    access, update, spike, packet_out = seconds
    neurons = len(fired)
    bounds = np.zeros(cores + 1, np.int64)
    for neuron in range(neurons):
        if fired[neuron]:
            for way in range(starts[neuron], starts[neuron + 1]):
                bounds[place[neuron] + 1] += fired[neuron] * packets[way]
    for core in range(cores):
        bounds[core + 1] += bounds[core]
    free = bounds[:-1].copy()
    ways, generation, pending = np.zeros(total, np.int64), np.zeros(total), np.zeros(cores)
    for neuron in range(neurons):
        core = place[neuron]
        pending[core] += copies[neuron] * (access + update * updated[neuron] + spike * fired[neuron])
        for _event in range(fired[neuron]):  # unit events one after the other, each to all its destinations
            for way in range(starts[neuron], starts[neuron + 1]):
                for _ in range(packets[way]):
                    ways[free[core]] = way
                    generation[free[core]] = pending[core] + packet_out
                    pending[core] = 0.0
                    free[core] += 1
    return bounds, ways, generation, pending


@njit(cache=True, nogil=True)
def _deliver(
    bounds: Ints,
    ways: Ints,
    generation: Reals,
    idle: Reals,
    target: Ints,
    processing: Reals,
    hop_seconds: Reals,
    x: Ints,
    y: Ints,
    port: Ints,
    buffer: int,
) -> float:
    """Send all packets of one step in the order of their times, and return when the last is processed."""
    cores, total = len(x), len(ways)
    width, height = x.max() + 1, y.max() + 1
    density = np.zeros((width, height, LINKS + port.max() + 1))
    source, following, received = np.zeros(total, np.int64), np.full(total, -1), np.zeros(total)
    head, tail, free = np.full(cores, -1), np.full(cores, -1), np.zeros(cores)
    flying, mean, earliest, latest = 0, 0.0, np.inf, 0.0
    position = bounds[:-1].copy()
    queue = [(0.0, -1)]
    for core in range(cores):
        if position[core] < bounds[core + 1]:
            heapq.heappush(queue, (generation[position[core]], core))
        elif idle[core] > latest:
            latest = idle[core]
    heapq.heappop(queue)  # the entry that only gave the list its type
    while len(queue) > 0:
        now, core = heapq.heappop(queue)
        latest = max(latest, now)
        if now >= earliest:
            earliest = np.inf
            for to in range(cores):
                while head[to] >= 0 and received[head[to]] <= now:
                    packet = head[to]
                    head[to] = following[packet]
                    _occupy(density, x, y, port, source[packet], to, -1.0)
                    mean = mean + (mean - processing[ways[packet]]) / (flying - 1) if flying > 1 else 0.0
                    flying -= 1
                if head[to] >= 0:
                    earliest = min(earliest, received[head[to]])
        packet = position[core]
        way = ways[packet]
        to = target[way]
        hops = abs(x[to] - x[core]) + abs(y[to] - y[core])
        along = _occupy(density, x, y, port, core, to, 0.0)
        sent = now + max(0.0, along - buffer * (hops + 1)) * mean
        delay = max(hop_seconds[way], along * mean / (hops + 1))
        received[packet] = max(free[to], sent + delay)
        free[to] = max(free[to] + processing[way], sent + delay + processing[way])
        latest = max(latest, free[to])
        earliest = min(earliest, received[packet])
        source[packet] = core
        if head[to] < 0:
            head[to] = packet
        else:
            following[tail[to]] = packet
        tail[to] = packet
        _occupy(density, x, y, port, core, to, 1.0)
        mean += (processing[way] - mean) / (flying + 1)
        flying += 1
        position[core] += 1
        if position[core] < bounds[core + 1]:
            heapq.heappush(queue, (sent + generation[position[core]], core))
        else:
            latest = max(latest, sent + idle[core] if idle[core] > 0 else 0.0)
    return latest


@njit(cache=True, nogil=True)
def _occupy(density: Reals, x: Ints, y: Ints, port: Ints, core: int, to: int, sign: float) -> float:
    """Density along the route from a core to another, x first; its links then gain ``sign`` shares of a packet.

    The first link is the core's own port at its router; every further router is entered by the link travelled last.
    """
    dx, dy = x[to] - x[core], y[to] - y[core]
    share = sign / (abs(dx) + abs(dy) + 2)
    at_x, at_y, link = x[core], y[core], LINKS + port[core]
    along = density[at_x, at_y, link]
    density[at_x, at_y, link] += share
    link = 0 if dx > 0 else 1
    for _ in range(abs(dx)):
        at_x += 1 if dx > 0 else -1
        along += density[at_x, at_y, link]
        density[at_x, at_y, link] += share
    link = 2 if dy > 0 else 3
    for _ in range(abs(dy)):
        at_y += 1 if dy > 0 else -1
        along += density[at_x, at_y, link]
        density[at_x, at_y, link] += share
    return along
