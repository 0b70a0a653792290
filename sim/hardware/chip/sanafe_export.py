"""A network and where it lies on a many-core chip, written as SANA-FE reads it: a second opinion on energy and time.

Two YAML files: the chip (``architecture.yaml``) and the network with its mapping (``network.yaml``), neuron by neuron
and edge by edge. The format is the one its documentation describes (https://sana-fe.readthedocs.io, and the README of
``arch/`` and ``snn/`` in its repository); the simulator itself is no part of this package.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInput
from ...files import replacing
from ...network.layers import INPUT, Layer
from ...network.workload import Workload
from ...replay.parameters import LayerParameters, Prepared, Real
from ...replay.populations import populations
from ...replay.replay import ReplayResult
from ..mesh import Event, Latency
from .core_mapping import CoreMap, Run, map_to_cores, unit
from .sanafe_run import replayed, run_steps, spread_biases

MOST_EDGES = 20_000_000  # about a gigabyte of YAML
WAYS = {"N": "north", "E": "east", "S": "south", "W": "west"}
LARGEST = 2.0**25  # SANA-FE 2.2.9 holds leaking potentials at +-this, as measured: 2^31 of its 1/64
UNITS = ("dense", "sparse", "conv")
NEVER = 1e300  # the threshold of neurons that only sum
PRICED = ("neuron_access", "neuron_update", "spike", "packet_in", "packet_out", *(f"synop.{name}" for name in UNITS))


def export_sanafe(
    workload: Workload,
    parameters: Mapping[str, LayerParameters],
    inputs: NDArray,
    machine: Event,
    prices_pj: Mapping[str, float],
    folder: str | Path,
    *,
    mapping: str | Mapping[str, Sequence[Run]] | None = None,
    scale: float = 1.0,
) -> tuple[Path, Path]:
    """Write a network, one sample of its input and its mapping for SANA-FE.

    Parameters
    ----------
    workload : Workload
        Layers with neurons, and layers that join their current; its input are spikes.
    parameters : mapping of layer name to LayerParameters
        Leak, threshold and bias the same at every step; of a readout's bias only the sum over steps matters.
    inputs : array (steps, *input_shape)
        The spikes of one sample.
    machine : Event
        One chip that sends one packet per core, with latencies per event.
    prices_pj : mapping of action to float
        Energy per event: ``synop.dense``, ``neuron_access``, ``hop.E`` ..., as an accelerator's prices name them.
    folder : str or Path
        Where ``architecture.yaml`` and ``network.yaml`` go; older ones are replaced.
    mapping : see `map_to_cores`
    scale : float
        Factor on weights, thresholds, biases and resets. It changes no spike in exact arithmetic; SANA-FE's model of
        Loihi cuts leaking potentials to multiples of 1/64, which a large power of two makes negligible, and holds them
        at +-2^25, which scaled potentials must not reach.

    Returns
    -------
    (Path, Path)
        The chip and the network: ``sim architecture.yaml network.yaml STEPS``, with one step more for each layer of
        depth than there are input steps.

    Raises
    ------
    InvalidInput
        What SANA-FE's format cannot say: several chips, packets other than one per core, a fixed step, parameters that
        change from step to step, live gates and gains by step, other inputs than spikes; missing parameters or prices;
        potentials that reach 2^25 once scaled; or more than ``MOST_EDGES`` edges.

    Notes
    -----
    Every neuron runs from the first machine step on, as ``replay(..., delay=1)`` does: with a bias, deeper layers
    charge before the first spike can reach them, and all go on charging to the last. That is not the run that an
    estimate of the skewed schedule prices, where a layer runs for the steps of the input; see `sanafe_run`.

    A readout becomes a neuron whose threshold no potential meets. It only sums, so its bias over the steps of the input
    is spread evenly over the steps of the run: after the last of them its potential holds that bias once, as trained,
    at every earlier one a part of it. Letters of a layer's name that SANA-FE takes for its own syntax become
    underscores.

    References
    ----------
    J. A. Boyle et al., SANA-FE, IEEE TCAD 44 (8), 2025, doi:10.1109/TCAD.2025.3537971.
    """
    _check(workload, machine, inputs, prices_pj)
    if not 0 < scale < float("inf"):
        raise InvalidInput(f"SANA-FE export: scale is {scale}; give a positive finite number")
    cores = map_to_cores(workload, machine, mapping)
    if cores.chips > 1:
        raise InvalidInput(
            f"SANA-FE export: the network takes {cores.chips} chips, but SANA-FE knows one; use a smaller network, or "
            f"a machine with a larger mesh"
        )
    inputs = np.asarray(inputs)
    network = _Network(workload, spread_biases(workload, parameters, len(inputs)), inputs, machine, cores, scale)
    network.check_size()
    _check_potentials(replayed(workload, parameters, inputs)[1], scale)
    paths = Path(folder) / "architecture.yaml", Path(folder) / "network.yaml"
    with replacing(paths[1]) as temporary, temporary.open("w", encoding="utf-8") as file:
        network.write(file)
    with replacing(paths[0]) as temporary:
        temporary.write_text(_dump(_architecture(machine, prices_pj, network.most_inputs)), "utf-8")
    return paths


def _check_potentials(again: ReplayResult, scale: float) -> None:
    name, largest = max(((name, np.abs(x).max()) for name, x in again.potentials.items()), key=lambda entry: entry[1])
    if largest * scale >= LARGEST:
        raise InvalidInput(
            f"SANA-FE export: a potential of {name!r} reaches {largest:g}, times scale {scale:g} more than the 2^25 at "
            f"which SANA-FE holds it; give a scale below {LARGEST / largest:g}"
        )


def _architecture(machine: Event, prices_pj: Mapping[str, float], input_units: int) -> dict[str, object]:
    """The chip as SANA-FE nests it: tiles, cores, and the five units of each core, in joule and seconds."""
    latency, mesh = machine.latency_s, machine.mesh
    assert latency is not None  # checked before
    hops: dict[str, float] = {}
    for letter, name in WAYS.items():
        hops |= _event(f"{name}_hop", prices_pj[f"hop.{letter}"], getattr(latency.hop, letter))
    core = {
        "name": f"core[0..{mesh.cores_per_tile - 1}]",
        "attributes": {
            "buffer_position": "soma",
            "buffer_inside_unit": False,
            "max_neurons_supported": machine.core.max_neurons,
        },
        **_units(latency, prices_pj, input_units),
    }
    chip = {
        "topology": "mesh",
        "width": mesh.width,
        "height": mesh.height,
        "link_buffer_size": mesh.link_buffer,
        "sync_model": "table",
        "latency_sync": dict(machine.barrier_s or {}),
    }
    tile = {"name": f"tile[0..{mesh.tiles - 1}]", "attributes": hops, "core": [core]}
    return {"architecture": {"name": "chip", "attributes": chip, "tile": [tile]}}


def _units(latency: Latency, prices_pj: Mapping[str, float], input_units: int) -> dict[str, object]:
    """What one core holds: where packets come in, synapses, dendrite, soma, and where packets go out."""
    soma = _event("access_neuron", prices_pj["neuron_access"], latency.neuron_access)
    soma |= _event("update_neuron", prices_pj["neuron_update"], latency.neuron_update)
    soma |= _event("spike_out", prices_pj["spike"], latency.spike)
    synapses = {
        name: _event("process_spike", prices_pj[f"synop.{name}"], getattr(latency.synop, name)) for name in UNITS
    }
    return {
        "axon_in": [_unit("axon_in", _event("message_in", prices_pj["packet_in"], latency.packet_in))],
        "synapse": [_unit(name, figures, "current_based") for name, figures in synapses.items()],
        "dendrite": [_unit("dendrite", {"energy_update": 0.0, "latency_update": 0.0}, "accumulator")],
        "soma": [
            _unit("lif", soma, "leaky_integrate_fire"),
            _unit(f"source[0..{input_units - 1}]", dict.fromkeys(soma, 0.0), "input"),
        ],
        "axon_out": [_unit("axon_out", _event("message_out", prices_pj["packet_out"], latency.packet_out))],
    }


def _event(name: str, price_pj: float, seconds: float) -> dict[str, float]:
    return {f"energy_{name}": _joule(price_pj), f"latency_{name}": seconds}


def _unit(name: str, figures: dict[str, float], model: str | None = None) -> dict[str, object]:
    return {"name": name, "attributes": ({"model": model} if model else {}) | figures}


class _Network:
    """The network and its mapping, written section by section; edges are never all in memory."""

    def __init__(
        self,
        workload: Workload,
        parameters: Mapping[str, LayerParameters],
        inputs: NDArray,
        machine: Event,
        cores: CoreMap,
        scale: float,
    ) -> None:
        self.workload, self.machine, self.cores, self.scale = workload, machine, cores, scale
        self.inputs = inputs.reshape(len(inputs), -1)
        self.run_steps = run_steps(workload, len(inputs))
        self.items = [Prepared.prepare(item, parameters, Real(), len(inputs)) for item in populations(workload)]
        self.names = _plain_names([INPUT, *(own.item.name for own in self.items)])
        for own in self.items:
            self._check_parameters(own)

    def _check_parameters(self, own: Prepared) -> None:
        name, wanted = own.item.name, unit(own.item.layer, self.machine)
        for what in ("leak", "threshold", "bias"):
            values = getattr(own, what)
            if (values != values[:1]).any():
                raise InvalidInput(
                    f"SANA-FE export: layer {name!r}: {what} changes from step to step; SANA-FE's neurons have one for "
                    f"all steps; give {what} as one number, or one per channel"
                )
        for layer in own.item.synapses:
            if unit(layer, self.machine) != wanted:
                raise InvalidInput(
                    f"SANA-FE export: layer {layer.name!r} is held in {unit(layer, self.machine)} synapses and "
                    f"{name!r}, which it joins, in {wanted} ones; SANA-FE gives a neuron synapses of one unit"
                )

    @property
    def most_inputs(self) -> int:
        """Input neurons on the core that holds most of them: each needs a unit of its own."""
        return int(np.bincount(self.cores.places[INPUT]).max())

    def check_size(self) -> None:
        edges = sum(
            len(layer.neuron_connections.outs) * layer.run_length * layer.channel_groups[1]
            for layer in self.workload.layers
        )
        if edges > MOST_EDGES:
            raise InvalidInput(
                f"SANA-FE export: the network has {edges:,} edges, and each is a line; up to {MOST_EDGES:,} are "
                f"written. Use a narrower network or a smaller input"
            )

    def write(self, file: IO[str]) -> None:
        groups = [self._input_group(), *(self._group(own) for own in self.items)]
        head = _dump({"network": {"name": _plain_names([self.workload.name])[self.workload.name], "groups": groups}})
        file.write(f"# {len(self.inputs)} steps of input; run for {self.run_steps}: one more for each layer of depth\n")
        readouts = [self.names[own.item.name] for own in self.items if not own.spiking and own.bias.any()]
        if readouts:
            file.write(f"# {', '.join(readouts)}: bias is its sum over the input's steps / {self.run_steps}\n")
        file.write(f"{head}  edges:\n")
        for own in self.items:
            for layer, weights in zip(own.item.synapses, own.weights, strict=True):
                file.writelines(self._edges(layer, weights * self.scale, self.names[own.item.name]))
        file.write("mappings:\n")
        for name in self.names:
            file.writelines(self._mapping(name))

    def _input_group(self) -> dict[str, object]:
        trains = (self.inputs != 0).astype(int).T.tolist()
        neurons = [{index: [{"spikes": train}]} for index, train in enumerate(trains)]
        return {"name": self.names[INPUT], "attributes": [], "neurons": neurons}

    def _group(self, own: Prepared) -> dict[str, object]:
        """Neurons that share their channel's parameters are one range."""
        layer, model = own.item.layer, str(own.item.layer.neuron)
        positions = layer.neurons // layer.neuron_shape[0]
        common = {
            "soma_hw_name": "lif",
            "synapse_hw_name": unit(layer, self.machine),
            "dendrite_hw_name": "dendrite",
            "reset_mode": "soft" if model.endswith("soft") else "hard",
            "reset": float(own.reset) * self.scale,
        }
        neurons = []
        by_channel = zip(own.threshold[0].tolist(), own.leak[0].tolist(), own.bias[0].tolist(), strict=True)
        for channel, (threshold, leak, bias) in enumerate(by_channel):
            attributes = {"threshold": threshold * self.scale if own.spiking else NEVER, "leak_decay": leak}
            if bias:
                attributes["bias"] = bias * self.scale
            neurons.append({_range(channel * positions, (channel + 1) * positions - 1): [attributes]})
        return {"name": self.names[own.item.name], "attributes": [common], "neurons": neurons}

    def _edges(self, layer: Layer, weights: NDArray, target: str) -> Iterator[str]:
        """One line per synapse, in the order of the source neurons; ``weights`` in the order of `tap_major`."""
        edges, run, source = layer.neuron_connections, layer.run_length, self.names[layer.source]
        left_out = edges.nonzero if unit(layer, self.machine) == "sparse" else None
        group_size = edges.in_channels // edges.groups
        for channel, position in itertools.product(range(edges.in_channels), range(edges.in_positions)):
            first, neuron = channel // group_size * run, channel * edges.in_positions + position
            for edge in range(edges.starts[position], edges.starts[position + 1]):
                tap, out = int(edges.taps[edge]), int(edges.outs[edge])
                for index, weight in enumerate(weights[channel, tap].tolist()):
                    if left_out is None or left_out[channel, tap, index]:
                        reached = (first + index) * edges.out_positions + out
                        yield f"  - {source}.{neuron} -> {target}.{reached}: [weight: {_real(weight)}]\n"

    def _mapping(self, name: str) -> Iterator[str]:
        """Runs of neurons on one core; input neurons one by one, each with its unit of that core."""
        group, places, per_tile = self.names[name], self.cores.places[name], self.machine.mesh.cores_per_tile
        numbers = self.cores.cores[places]
        if name == INPUT:
            used = np.zeros(len(self.cores.cores), np.int64)
            for neuron, (place, number) in enumerate(zip(places.tolist(), numbers.tolist(), strict=True)):
                core = f"{number // per_tile}.{number % per_tile}"
                yield f'- {group}.{neuron}: [core: {core}, soma: "source[{used[place]}]"]\n'
                used[place] += 1
            return
        edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for first, stop in itertools.pairwise(edges):
            core = f"{numbers[first] // per_tile}.{numbers[first] % per_tile}"
            yield f"- {group}.{_range(first, stop - 1)}: [core: {core}]\n"


def _check(workload: Workload, machine: Event, inputs: NDArray, prices_pj: Mapping[str, float]) -> None:
    """Refuse what the format cannot say."""
    gated = {kind: [layer.name for layer in workload.layers if layer.gate == kind] for kind in ("live", "per_step")}
    reasons = {
        f"the machine sends one packet per {machine.packet_per}; SANA-FE sends one per core": machine.packet_per
        != "core",
        "the machine numbers its tiles by row; SANA-FE does by column": machine.mesh.id_order != "column",
        "the machine has a fixed step; SANA-FE times events": machine.latency_s is None,
        f"the input is {workload.input_kind}; SANA-FE's input neurons spike; take a network whose input is spikes, "
        f"such as one trained on digits-events": workload.input_kind != "spike",
        f"layer {', '.join(gated['live'])} has a live gate, which depends on the data; freeze it: export the run of "
        f'the frozen variant, such as "BSNN + AGMM, frozen"': bool(gated["live"]),
        f"layer {', '.join(gated['per_step'])} has a gain for each step, so its leak and threshold change from step to "
        f"step, which SANA-FE's neurons cannot; use a constant gain": bool(gated["per_step"]),
    }
    for reason, holds in reasons.items():
        if holds:
            raise InvalidInput(f"SANA-FE export: {reason}")
    if np.ndim(inputs) < 2 or len(inputs) < 1 or np.shape(inputs)[1:] != workload.input_shape:
        raise InvalidInput(
            f"SANA-FE export: inputs are {np.shape(inputs)}; give one sample, (steps, "
            f"{', '.join(map(str, workload.input_shape))})"
        )
    wanted = [*PRICED, *(f"hop.{letter}" for letter in WAYS)]
    missing = [name for name in wanted if name not in prices_pj]
    if missing:
        raise InvalidInput(f"SANA-FE export: no price for {', '.join(missing)}; give picojoules per event")


def _plain_names(names: Sequence[str]) -> dict[str, str]:
    """Names without the letters that mean something in a neuron's address, still all different."""
    result: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        while plain in result.values():
            plain += "_"
        result[name] = plain
    return result


def _range(first: int, last: int) -> str | int:
    return first if first == last else f"{first}..{last}"


def _joule(picojoule: float) -> float:
    """The nearest number to so many picojoules: a product with 1e-12 would be rounded twice."""
    return float(Decimal(repr(float(picojoule))).scaleb(-12))


def _real(value: float) -> str:
    """With a point before any exponent, without which YAML reads a word."""
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _dump(data: Mapping[str, object]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(data), sort_keys=False, default_flow_style=None, width=2**31))
