"""Whom each spike reaches: the packets it makes, their hops, and the work of the cores that receive them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInput
from ...network.connections import Ints
from ...network.layers import INPUT
from ...network.workload import Workload
from ..mesh import Event
from .core_mapping import CoreMap, reached, readers, unit
from .network_on_chip import Traffic


@dataclass(frozen=True, eq=False)
class Ways:
    """Destinations of one signal's neurons, sorted by neuron and core: the kind of packet each spike sends there."""

    source: Ints
    place: Ints  # destination core
    packets: Ints  # per spike
    processing: NDArray[np.float64]  # seconds per packet


def destinations(
    workload: Workload, machine: Event, cores: CoreMap, name: str, synapses: dict[str, tuple[str, Ints]]
) -> Ways:
    """Merge what all readers of a signal hold on each core, and note each reader's synaptic events per spike."""
    size, used = len(cores.places[name]), len(cores.cores)
    keys, events, seconds = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for target, layer in readers(workload, name):
        source, place, number = reached(layer, machine, cores.places[target], cores.copies[target])
        kind = unit(layer, machine)
        totals = np.zeros(size, np.int64)
        np.add.at(totals, source, number)
        synapses[layer.name] = f"synop.{kind}", totals
        keys.append(source * used + place)
        events.append(number)
        seconds.append(number * (0.0 if machine.latency_s is None else getattr(machine.latency_s.synop, kind)))
    ways, where = np.unique(np.concatenate(keys), return_inverse=True)
    number = np.bincount(where, np.concatenate(events), len(ways)).astype(np.int64)
    work = np.bincount(where, np.concatenate(seconds), len(ways))
    packets = number if machine.packet_per == "synapse" else np.ones_like(number)
    fixed = 0.0 if machine.latency_s is None else machine.latency_s.packet_in
    return Ways(ways // used, ways % used, packets, fixed + work / packets)


def network_actions(ways: Ways, machine: Event, cores: CoreMap, name: str) -> dict[str, Ints]:
    own = cores.cores[cores.places[name]]
    hops = machine.mesh.hops(own[ways.source], cores.cores[ways.place])
    per_way = {"packet_out": ways.packets, "packet_in": ways.packets}
    per_way |= {f"hop.{way}": number * ways.packets for way, number in hops.items()}
    result = {}
    for action, number in per_way.items():
        result[action] = np.bincount(ways.source, number, len(own)).astype(np.int64)
    return result


def link_up(parts: Sequence[Ways], machine: Event, cores: CoreMap) -> Traffic:
    place = np.concatenate(list(cores.places.values()))
    copies = np.concatenate([own * (name != INPUT) for name, own in cores.copies.items()])
    source = np.concatenate([part.source for part in parts])
    target = np.concatenate([part.place for part in parts])
    starts = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=len(place)))]).astype(np.int64)
    packets = np.concatenate([part.packets for part in parts])
    processing = np.concatenate([part.processing for part in parts])
    seconds = np.zeros(len(target))
    if machine.latency_s is not None and machine.timing == "detailed":
        hops = machine.mesh.hops(cores.cores[place[source]], cores.cores[target])
        latency = machine.latency_s.hop
        if latency.chip is None and hops["chip"].any():
            raise InvalidInput(
                f"the network takes {cores.chips} chips, but the time between chips is not known: give "
                f"latency_s.hop.chip, take timing simple, or a larger mesh"
            )
        seconds = sum((hops[way] * (getattr(latency, way) or 0.0) for way in hops), seconds)
    return Traffic(place, copies, starts, target, packets, processing, seconds)
