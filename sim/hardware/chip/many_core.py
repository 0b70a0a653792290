"""What a many-core chip does with a network's spikes: actions per layer, and time, per step and sample.

A spike makes one packet per destination, the packet is delivered in the same machine step, and its synaptic events are
counted there; the currents that they make act one step later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InvalidInput
from ...network.connections import Ints
from ...network.layers import INPUT
from ...network.neuron_models import NEURON_MODELS
from ...network.workload import Workload
from ...replay.parameters import LayerParameters, Number, Real
from ...replay.populations import depths
from ...replay.replay import replay
from ..mesh import Event
from .core_mapping import CoreMap, Run, map_to_cores
from .network_on_chip import Flags, Traffic, detailed_times, simple_times
from .packets import destinations, link_up, network_actions
from .relays import relay_parameters, with_relays

if TYPE_CHECKING:
    from ...trace.spike_trace import SpikeTrace

Key = tuple[str, str, str]  # layer, component, action
MACHINE = "machine"  # in place of a layer, for times that belong to all


@dataclass(frozen=True, eq=False)
class ManyCoreActions:
    """What the machine did.

    Attributes
    ----------
    steps, samples : int
        Machine steps: those of the trace, plus the depth of the network under the skewed schedule.
    counts : mapping of (layer, component, action) to int64 array (steps, samples)
        Components: ``synapse`` (``synop.dense``, ``.conv``, ``.sparse``, by the layer whose weights they are),
        ``neuron`` (``neuron_access``, ``neuron_update``, ``spike``; none for the input) and ``network``
        (``packet_out``, ``packet_in``, ``hop.E``, ``.W``, ``.N``, ``.S``, ``hop.chip``; by the layer that sent them).
    seconds : mapping to float64 array (steps, samples)
        One entry, for all layers work at once.
    omitted : mapping of part to reason
        What the model leaves out on purpose.
    cores : CoreMap
    """

    steps: int
    samples: int
    counts: Mapping[Key, Ints]
    seconds: Mapping[str, NDArray[np.float64]]
    omitted: Mapping[str, str]
    cores: CoreMap


@dataclass(frozen=True, eq=False)
class ManyCore:
    """A network laid out on a machine: run spikes through it as often as you like. Made by `lay_out`."""

    workload: Workload
    machine: Event
    cores: CoreMap
    offsets: Mapping[str, int]  # of each population among all neurons, in the order in which cores run them
    synapses: Mapping[str, tuple[str, Ints]]  # per layer: action, synaptic events per spike of each source neuron
    network: Mapping[str, Mapping[str, Ints]]  # per signal: action -> count per spike of each neuron
    traffic: Traffic | None

    def run(self, signals: Mapping[str, NDArray], updated: Mapping[str, NDArray] | None = None) -> ManyCoreActions:
        """Actions and times for recorded spikes.

        Parameters
        ----------
        signals : mapping of ``"input"`` and each spiking layer to array (steps, samples, *shape)
            Non-zero where it fired; the value of a graded input counts where the machine takes it as unit events.
        updated : mapping of each population to bool array (steps, samples, *shape), optional
            Where a neuron had a potential or an input (see `replay`). Without it every neuron counts as updated at
            every step of its trace, which is the most there can be.
        """
        units = self.machine.graded == "events" and self.workload.input_kind == "graded"
        spikes = {name: _flat(values, name, units and name == INPUT) for name, values in signals.items()}
        missing = [name for name in self.workload.signals if name not in spikes]
        if missing:
            raise InvalidInput(
                f"signal {missing[0]!r} is not given; the machine needs {', '.join(self.workload.signals)}"
            )
        steps, samples = spikes[INPUT].shape[:2]
        shift = depths(self.workload) if self.machine.schedule == "skewed" else {}
        length = steps + max(shift.values(), default=0)
        flags = {} if updated is None else {name: _flat(values, name) for name, values in updated.items()}
        neurons = sum(len(places) for places in self.cores.places.values())
        fired = np.zeros((samples, length, neurons), spikes[INPUT].dtype)
        active = np.zeros((samples, length, neurons), np.uint8)
        for name, offset in self.offsets.items():
            window = slice(shift.get(name, 0), shift.get(name, 0) + steps)
            own = slice(offset, offset + len(self.cores.places[name]))
            if name in spikes:
                fired[:, window, own] = self._checked(spikes[name], name, steps, samples)
            if name != INPUT:
                active[:, window, own] = self._checked(flags[name], name, steps, samples) if name in flags else 1
        counts = self._counts(fired, active)
        omitted = {
            "static power": "not part of the event model; static power x time is given apart",
            "input and output links": "the sensor and the host are outside the machine",
            "bias, pooling and readout": "no constant has a price of its own: part of a neuron's update",
        }
        if updated is None:
            omitted["idle neurons"] = "potentials are not known: every neuron counts as updated at every step"
        seconds = {MACHINE: self._seconds(fired, active)}
        return ManyCoreActions(length, samples, counts, seconds, omitted, self.cores)

    def _checked(self, values: Flags, name: str, steps: int, samples: int) -> Flags:
        expected = (steps, samples, len(self.cores.places[name]))
        if values.shape != expected:
            raise InvalidInput(f"signal {name!r} is {values.shape} flat; it must be {expected}")
        return values.transpose(1, 0, 2)

    def _counts(self, fired: Flags, active: Flags) -> dict[Key, Ints]:
        counts: dict[Key, Ints] = {}

        def add(name: str, component: str, signal: str, flags: Flags, actions: Mapping[str, Ints]) -> None:
            offset, table = self.offsets[signal], np.stack(list(actions.values()), axis=1)
            sums = np.zeros((*flags.shape[:2], table.shape[1]), np.int64)
            _weighted_sums(flags, offset, table, sums)
            for column, action in enumerate(actions):
                if table[:, column].any():
                    counts[name, component, action] = np.ascontiguousarray(sums[..., column].T)

        for layer in self.workload.layers:
            action, events = self.synapses[layer.name]
            add(layer.name, "synapse", layer.source, fired, {action: events})
        for name in self.offsets:
            copies = self.cores.copies[name]
            if name != INPUT:
                counts[name, "neuron", "neuron_access"] = np.full(active.shape[1::-1], copies.sum(), np.int64)
                add(name, "neuron", name, active, {"neuron_update": copies})
                if NEURON_MODELS[str(self.workload.layer(name).neuron)].spikes:
                    add(name, "neuron", name, fired, {"spike": copies})
            add(name, "network", name, fired, self.network[name])
        return counts

    def _seconds(self, fired: Flags, active: Flags) -> NDArray[np.float64]:
        machine, cores = self.machine, self.cores
        samples, steps = fired.shape[:2]
        if machine.latency_s is None or self.traffic is None:
            return np.full((steps, samples), machine.step_s)
        latency, way = machine.latency_s, self.traffic
        own = latency.neuron_access, latency.neuron_update, latency.spike, latency.packet_out
        common = way.place, way.copies, way.starts, way.target, way.packets, way.processing
        tiles = cores.cores // machine.mesh.cores_per_tile
        x, y, _ = machine.mesh.places(tiles)
        result = np.empty((steps, samples))
        for sample in range(samples):
            if machine.timing == "simple":
                times = simple_times(fired[sample], active[sample], *common, len(cores.cores), own)
            else:
                port = cores.cores % machine.mesh.cores_per_tile
                mesh = x, y, port, machine.mesh.link_buffer
                times = detailed_times(fired[sample], active[sample], *common, way.hop_seconds, *mesh, own)
            result[:, sample] = times
        return result + machine.barrier(cores.tiles)


def lay_out(workload: Workload, machine: Event, mapping: str | Mapping[str, Sequence[Run]] | None = None) -> ManyCore:
    """Map a network to a machine's cores and work out whom each neuron reaches.

    Parameters
    ----------
    workload : Workload
    machine : Event
    mapping : see `map_to_cores`

    Raises
    ------
    InvalidInput
        When the machine cannot run the network: gates, input that is no spikes, values other than spikes between
        layers (`relays`), no room.
    """
    workload = with_relays(workload)
    _check_runs(workload, machine)
    cores = map_to_cores(workload, machine, mapping)
    offsets, total = {}, 0
    for name, places in cores.places.items():
        offsets[name], total = total, total + len(places)
    synapses: dict[str, tuple[str, Ints]] = {}
    network: dict[str, dict[str, Ints]] = {}
    parts = []
    for name in offsets:
        ways = destinations(workload, machine, cores, name, synapses)
        network[name] = network_actions(ways, machine, cores, name)
        parts.append(replace(ways, source=ways.source + offsets[name]))
    traffic = None if machine.latency_s is None else link_up(parts, machine, cores)
    return ManyCore(workload, machine, cores, offsets, synapses, network, traffic)


def run_trace(
    trace: SpikeTrace,
    machine: Event,
    mapping: str | Mapping[str, Sequence[Run]] | None = None,
    *,
    parameters: Mapping[str, LayerParameters] | None = None,
    number: Number | None = None,
) -> ManyCoreActions:
    """Run a recorded trace on a machine, chunk by chunk.

    Parameters
    ----------
    trace : SpikeTrace
    machine : Event
    mapping : see `map_to_cores`
    parameters : mapping of layer to LayerParameters, optional
        With them the network is replayed from the trace's input, to know which neurons were updated, relays included.
    number : Real or FixedPoint, optional
        For that replay; relays, which count, are exact in any case.
    """
    many = lay_out(trace.workload, machine, mapping)
    numbers = {layer.name: number or Real() for layer in trace.workload.layers if layer.neuron is not None}
    own = None if parameters is None else relay_parameters(trace.workload, parameters)
    results = []
    for samples in trace.chunks():
        signals = {name: trace.read(name, samples) for name in many.workload.signals}
        updated = None
        if own is not None:
            delay = 1 if machine.schedule == "as_recorded" else 0
            again = replay(many.workload, own, signals[INPUT], number=numbers, delay=delay, keep_updated=True)
            updated = again.updated
        results.append(many.run(signals, updated))
    if not results:
        raise InvalidInput(f"trace {trace.path}: holds no sample; record some data")
    first = results[0]
    counts = {key: np.concatenate([part.counts[key] for part in results], axis=1) for key in first.counts}
    seconds = {key: np.concatenate([part.seconds[key] for part in results], axis=1) for key in first.seconds}
    return replace(first, samples=sum(part.samples for part in results), counts=counts, seconds=seconds)


def _check_runs(workload: Workload, machine: Event) -> None:
    for layer in workload.layers:
        if layer.gate == "per_step":
            raise InvalidInput(
                f"layer {layer.name!r} has a gain that varies with the step, so its leak and threshold change at every "
                f"step, which many-core chips cannot do; use a constant gain, or a machine of kind grid"
            )
        if layer.gate is not None:
            raise InvalidInput(
                f"layer {layer.name!r} has a {layer.gate} gate, which many-core chips cannot run; use the frozen gate, "
                f"or a machine that supports layer_mean_gate"
            )
    carried = ("spike", *machine.supports, *(("graded",) if machine.graded else ()))
    if workload.input_kind not in carried:
        raise InvalidInput(
            f"workload {workload.name!r}: its input is {workload.input_kind}, but this machine carries only "
            f"{', '.join(carried)}; encode the input as spikes, or take a machine that reads it"
        )


def _flat(values: NDArray, name: str, units: bool = False) -> Flags:
    """Spikes (steps, samples, neurons): whether a neuron fired or, of ``units``, the number that it stands for."""
    values = np.asarray(values)
    if values.ndim < 3:
        raise InvalidInput(f"signal {name!r} is {values.shape}; it must be (steps, samples, ...)")
    flat = values.reshape(*values.shape[:2], -1)
    if not units:
        return (flat != 0).astype(np.uint8)
    if not ((flat >= 0) & (flat < 2**16) & (flat == np.floor(flat))).all():
        raise InvalidInput(f"signal {name!r} stands for so many unit events each; give integers from 0 to 65535")
    return flat.astype(np.uint16)


@njit(cache=True, nogil=True)
def _weighted_sums(flags: Flags, offset: int, table: Ints, sums: Ints) -> None:
    """Rows of ``table`` (neurons, columns) times the spikes of their neurons, from ``offset`` on, summed per step."""
    for sample in range(flags.shape[0]):
        for step in range(flags.shape[1]):
            for neuron in range(table.shape[0]):
                number = flags[sample, step, offset + neuron]
                if number:
                    for column in range(table.shape[1]):
                        sums[sample, step, column] += number * table[neuron, column]
