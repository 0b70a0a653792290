"""Operation counts that no trace recorded: random spikes, other weights, scaled spikes, and hybrids of two networks.

They answer what if: what a network would cost at another firing rate, or one network with the weights, spikes, gate or
state of another. Such counts carry no accuracy and no trace hash.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping

import numpy as np

from ..errors import InvalidInput
from ..network.fan_out import Words
from ..network.workload import INPUT, Layer, Workload
from ..trace.packing import pack
from .graded import count_units, reads_graded, unit_events
from .layer_counts import Counts, SynapticCounts, count_packed
from .neuron_operations import other_rows
from .operations import LayerOperations, OperationCounts

SWITCHES = ("state bits", "weight bits", "firing rate", "gate")
STATE = ("state_bits", "state_type")
WEIGHTS = ("weight_kind", "weight_bits", "nonzero", "channel_vectors")
GATE = ("gate", "gate_axes")


def bernoulli_counts(
    workload: Workload, rates: float | Mapping[str, float], *, steps: int, samples: int = 1, seed: int = 0
) -> OperationCounts:
    """Operation counts of spikes drawn at random, each element of a signal on its own.

    Parameters
    ----------
    workload : Workload
    rates : float or mapping of signal to float
        Probability of a non-zero element per step, 0..1; one for all signals, or one for each of `Workload.signals`.
    steps, samples : int
    seed : int
        Every signal has a generator of its own, drawn from step by step: equal arguments give equal counts, fewer steps
        the first ones of the same spikes, and a higher rate the same spikes and more.

    Returns
    -------
    OperationCounts

    Raises
    ------
    InvalidInput
        A rate outside 0..1 or missing, or no steps or samples.

    Notes
    -----
    Spikes of different layers are independent of each other and of time: correlations and borders that fire less, as
    in recorded networks, are not modelled. What a layer without neurons passes on is drawn at its own rate too.
    """
    if steps < 1 or samples < 1:
        raise InvalidInput(f"synthetic counts: steps {steps} and samples {samples}; use one or more of each")
    wanted = rates if isinstance(rates, Mapping) else dict.fromkeys(workload.signals, rates)
    words, seeds = {}, np.random.SeedSequence(seed).spawn(len(workload.signals))
    for own, (signal, (shape, _)) in zip(seeds, workload.signals.items(), strict=True):
        rate = wanted.get(signal, math.nan)
        if not 0 <= rate <= 1:
            raise InvalidInput(f"synthetic counts: the rate of {signal!r} is {rate}; give one from 0 to 1")
        words[signal] = _draw(np.random.default_rng(own), rate, (steps, samples, *shape))
    return packed_counts(workload, words, {"synthetic": "independent random spikes"})


def packed_counts(workload: Workload, words: Mapping[str, Words], origin: Mapping[str, object]) -> OperationCounts:
    """Operation counts of signals that are packed already.

    uint64 ``(steps, samples, words)`` each, or of graded ones their planes ``(planes, steps, samples, words)``: unit
    events are known only of layers whose graded signals all come as planes.
    """
    planes = {signal: bits for signal, bits in words.items() if bits.ndim == 4}
    words = {signal: np.bitwise_or.reduce(bits) if signal in planes else bits for signal, bits in words.items()}
    emitted = {signal: np.bitwise_count(bits).sum(axis=-1, dtype=np.int64) for signal, bits in words.items()}
    synaptic = {x.name: count_packed(x, *(words[signal] for signal in x.sources)) for x in workload.layers}
    units = {
        x.name: count_units(x, *(planes.get(signal, words[signal][None]) for signal in x.sources))
        for x in workload.layers
        if reads_graded(x) and all(name in planes for name, _, kind in x.reads if kind == "graded")
    }
    sums = {signal: unit_events(bits) for signal, bits in planes.items()}
    steps, samples = emitted[INPUT].shape
    return _counts(workload, (synaptic, units), (emitted, sums), (steps, samples), origin)


def _draw(rng: np.random.Generator, rate: float, shape: tuple[int, ...]) -> Words:
    """One step at a time, so that a large map never lies in memory as floats for all steps."""
    return np.concatenate([pack(rng.random((1, *shape[1:]), np.float32) < rate, "spike") for _ in range(shape[0])])


def recast_counts(operations: OperationCounts, workload: Workload, steps: int | None = None) -> OperationCounts:
    """The same spikes in a network of the same connections with other weights, for all or only the first steps.

    Parameters
    ----------
    operations : OperationCounts
    workload : Workload
        As ``operations.workload``, but for kind and width of weights, what is stored beside them, scale and gate. A
        layer has the zero weights that were counted, or none.
    steps : int, optional
        Keep so many; all unless given.

    Returns
    -------
    OperationCounts
        Without accuracy and trace hash.

    Raises
    ------
    InvalidInput
        Other connections, zero weights that were not counted, or more steps than there are.
    """
    kept = operations.steps if steps is None else steps
    if not 1 <= kept <= operations.steps:
        raise InvalidInput(f"recast counts: {kept} steps; the counts hold {operations.steps}")
    _check_rest(operations.workload, workload)
    for layer in workload.layers:
        if layer.nonzero is not None and layer.nonzero is not operations.workload.layer(layer.name).nonzero:
            raise InvalidInput(
                f"recast counts: layer {layer.name!r} has zero weights that were not counted; count again"
            )

    def recast(name: str, pairs: SynapticCounts) -> SynapticCounts:
        nonzero = pairs.all_weights if workload.layer(name).nonzero is None else pairs.nonzero_weights
        return SynapticCounts(nonzero[:kept], pairs.all_weights[:kept], pairs.events[:kept], pairs.dense)

    synaptic, units = ({name: recast(name, pairs) for name, pairs in part.items()} for part in _pairs(operations))
    emitted, sums = ({name: counts[:kept] for name, counts in part.items()} for part in _emitted(operations))
    origin = {"synthetic": "other weights", **operations.provenance}
    return _counts(workload, (synaptic, units), (emitted, sums), (kept, operations.samples), origin)


def scaled_counts(operations: OperationCounts, factors: Mapping[str, float]) -> OperationCounts:
    """The same trace with the events of some signals multiplied: what it would cost at another firing rate.

    Parameters
    ----------
    operations : OperationCounts
    factors : mapping of signal to float
        What to multiply its events with at every step and sample; signals that are not named stay as they are.

    Returns
    -------
    OperationCounts
        Whole fetch runs and whole events: each (step, sample) is rounded to the nearest.

    Raises
    ------
    InvalidInput
        An unknown signal, a factor that is negative or not finite, or a layer whose signals get different factors.
    """
    workload = operations.workload
    for signal, factor in factors.items():
        if signal not in workload.signals or not 0 <= factor < math.inf:
            raise InvalidInput(
                f"scaled counts: factor {factor} of signal {signal!r}; give a finite number from 0, for one of "
                f"{', '.join(workload.signals)}"
            )
    for layer in workload.layers:
        if len({factors.get(name, 1.0) for name in layer.sources}) > 1:
            raise InvalidInput(f"scaled counts: layer {layer.name!r} reads several signals; give them one factor")

    def scaled(name: str, pairs: SynapticCounts) -> SynapticCounts:
        layer = workload.layer(name)
        factor = factors.get(layer.sources[0], 1.0)
        return SynapticCounts(
            _times(pairs.nonzero_weights, factor),
            _times(pairs.all_weights, factor, layer.run_length if layer.weights else 1),
            _times(pairs.events, factor),
            pairs.dense,
        )

    synaptic, units = ({name: scaled(name, pairs) for name, pairs in part.items()} for part in _pairs(operations))
    emitted, sums = (
        {name: _times(counts, factors.get(name, 1)) for name, counts in part.items()} for part in _emitted(operations)
    )
    shape = (operations.steps, operations.samples)
    origin = {**operations.provenance, "synthetic": "scaled events"}
    return _counts(workload, (synaptic, units), (emitted, sums), shape, origin)


def _times(counts: Counts, factor: float, unit: int = 1) -> Counts:
    return counts if factor == 1 else np.rint(counts / unit * factor).astype(np.int64) * unit


def hybrid_counts(base: OperationCounts, variant: OperationCounts, switches: Collection[str]) -> OperationCounts:
    """The base network with some properties of a variant: its weights, its spikes, its gate, its state.

    Parameters
    ----------
    base, variant : OperationCounts
        Of networks that differ in nothing but what the switches cover, on the same data.
    switches : collection of str
        Of `SWITCHES`, those taken from the variant. ``weight bits``: kind, width and stored channel vectors of the
        weights; ``firing rate``: all spikes, and with them the pairs they make with (non-zero) weights; ``gate``: the
        gate and its axes; ``state bits``: width and type of potentials and accumulators.

    Returns
    -------
    OperationCounts
        With every switch the variant's own figures, with none the base's.

    Raises
    ------
    InvalidInput
        An unknown switch, or networks that differ in something else.

    Notes
    -----
    A per-channel scale goes with the weights and the gate together: a live gate keeps the scale of weights that are
    not float from folding, and without it the scale folds into threshold and bias (docs/definitions.md, 6 and 10).
    """
    unknown = set(switches) - set(SWITCHES)
    if unknown:
        raise InvalidInput(f"hybrid: switches {sorted(unknown)} are not known; use some of {', '.join(SWITCHES)}")
    _check_rest(base.workload, variant.workload)
    workload = _hybrid(base.workload, variant.workload, switches)
    spikes = variant if "firing rate" in switches else base
    told = f"{' and '.join(sorted(switches)) or 'nothing'} from another trace"
    shape = (spikes.steps, spikes.samples)
    return _counts(workload, _pairs(spikes), _emitted(spikes), shape, {"synthetic": told})


def _hybrid(base: Workload, variant: Workload, switches: Collection[str]) -> Workload:
    pairs = zip(base.layers, variant.layers, strict=True)
    layers = tuple(_mixed(ours, theirs, "weight bits" in switches, "gate" in switches) for ours, theirs in pairs)
    state = variant if "state bits" in switches else base
    return dataclasses.replace(base, layers=layers, **{name: getattr(state, name) for name in STATE})


def _mixed(base: Layer, variant: Layer, weights: bool, gate: bool) -> Layer:
    stored, gated = variant if weights else base, variant if gate else base
    fields = {name: getattr(stored, name) for name in WEIGHTS} | {name: getattr(gated, name) for name in GATE}
    scale = stored.scale
    if weights != gate and base.gate != variant.gate:
        if gated.gate == "live" and scale == "folded" and stored.weight_kind != "float":
            scale = "explicit"
        elif stored.gate == "live" and scale == "explicit":
            scale = "folded"
    return dataclasses.replace(base, **fields, scale=scale)


def _check_rest(base: Workload, variant: Workload) -> None:
    """Refuse networks that differ in what no switch covers."""
    if [layer.name for layer in base.layers] != [layer.name for layer in variant.layers]:
        raise InvalidInput(f"networks: workloads {base.name!r} and {variant.name!r} have different layers")
    reached = _hybrid(base, variant, SWITCHES)
    for made, wanted in zip(reached.layers, variant.layers, strict=True):
        if type(made) is not type(wanted):
            raise InvalidInput(f"networks: layer {made.name!r} is {type(made).__name__} and {type(wanted).__name__}")
        fields = (f.name for f in dataclasses.fields(wanted) if f.compare)
        other = [name for name in fields if getattr(made, name) != getattr(wanted, name)]
        if other:
            raise InvalidInput(
                f"networks: layer {made.name!r} differs in {', '.join(other)}, which none of {', '.join(SWITCHES)} "
                f"covers"
            )
    if reached.input_shape != variant.input_shape or reached.held_input != variant.held_input:
        raise InvalidInput(f"networks: workloads {base.name!r} and {variant.name!r} read different inputs")


def _pairs(operations: OperationCounts) -> tuple[dict[str, SynapticCounts], dict[str, SynapticCounts]]:
    """Pairs of every layer; and of those that read graded values, the same with each value as so many unit events."""
    units = {name: layer.units for name, layer in operations.layers.items() if layer.units is not None}
    return {name: layer.synaptic for name, layer in operations.layers.items()}, units


def _emitted(operations: OperationCounts) -> tuple[dict[str, Counts], dict[str, Counts]]:
    """Events of every signal, and unit events of graded ones."""
    spikes = {name: layer.spikes for name, layer in operations.layers.items() if layer.spikes is not None}
    return {INPUT: operations.input_events, **spikes}, dict(operations.unit_events)


def _counts(
    workload: Workload,
    pairs: tuple[Mapping[str, SynapticCounts], Mapping[str, SynapticCounts]],
    events: tuple[Mapping[str, Counts], Mapping[str, Counts]],
    shape: tuple[int, int],
    origin: Mapping[str, object],
) -> OperationCounts:
    """Counts of ``pairs`` and ``events`` as `_pairs` and `_emitted` hold them."""
    (synaptic, units), (emitted, sums) = pairs, events
    layers = {}
    for layer in workload.layers:
        name, spikes = layer.name, emitted.get(layer.name)
        layers[name] = LayerOperations(synaptic[name], spikes, other_rows(layer, spikes, shape), units.get(name))
    return OperationCounts(workload, "", *shape, layers, emitted[INPUT], None, origin, sums)
