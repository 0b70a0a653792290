"""LIF and IF networks run again from a trace's input and parameters: event by event, without torch.

Why: machines charge a neuron update only where there was something to update, so potentials are needed; and an energy
at a narrow state is worth nothing without the accuracy and the spikes at that width (docs/definitions.md, 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..network.layers import INPUT
from ..network.workload import Workload
from .forwarding import passed_on, plain
from .parameters import LayerParameters, Number, Prepared, Real
from .population_run import Runs, run_sample
from .populations import Population, stages


@dataclass(frozen=True, eq=False)
class ReplayResult:
    """What a network did when it was run again.

    Attributes
    ----------
    spikes : mapping of layer to bool array (steps, samples, *neuron_shape)
        Of every population that spikes.
    potentials : mapping of layer to float64 array of that shape
        After each step, resets done; empty unless kept. Readouts included.
    updated : mapping of layer to bool array of that shape
        Where the potential was not 0 before the step, an event arrived (even if the weights cancel), a bias was
        added or the neuron fired; behind a live gate, which touches every current, everywhere. Empty unless kept.
        Readouts included.
    saturated : mapping of layer to int64 array (steps, samples)
        Potentials, and currents before a live gate, that were cut to the range; zero in float64.
    scores : float64 array (samples, classes)
        Sums of the last population: its potential after the last step if it is a readout, else its spikes.
    synaptic_operations : int
        Events times the weights in range that they met; sums and pooling between signals are none.
    passed : mapping of layer to array (steps, samples, *out_shape)
        What layers between signals passed on: integers, or float64 where values are real.
    """

    spikes: Mapping[str, NDArray[np.bool_]]
    potentials: Mapping[str, NDArray[np.float64]]
    updated: Mapping[str, NDArray[np.bool_]]
    saturated: Mapping[str, NDArray[np.int64]]
    scores: NDArray[np.float64]
    synaptic_operations: int
    passed: Mapping[str, NDArray]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Class of the largest score of every sample, the first of equals."""
        return self.scores.argmax(axis=1)


@dataclass(frozen=True)
class SpikeMismatch:
    """How far the spikes of one population differ from recorded ones: counts of (neuron, step, sample)."""

    differing: int
    recorded: int
    places: int

    @property
    def per_place(self) -> float:
        """Share of all neurons and steps at which the two disagree."""
        return self.differing / self.places if self.places else 0.0

    @property
    def per_spike(self) -> float:
        """Disagreements per recorded spike; infinite if there was none to agree with."""
        if self.recorded == 0:
            return float("inf") if self.differing else 0.0
        return self.differing / self.recorded


@dataclass(frozen=True)
class ReplayCheck:
    """A replay against a recording: spike mismatch by layer, and accuracy (None where there are no labels)."""

    mismatch: Mapping[str, SpikeMismatch]
    accuracy: float | None


def replay(
    workload: Workload,
    parameters: Mapping[str, LayerParameters],
    inputs: NDArray,
    *,
    number: Number | Mapping[str, Number] | None = None,
    delay: int = 0,
    keep_potentials: bool = False,
    keep_updated: bool = False,
) -> ReplayResult:
    """Run a network of LIF and IF neurons again.

    Parameters
    ----------
    workload : Workload
        Layers with neurons; layers that join their current: fully connected, convolutions of any kind, skip paths,
        self-connections; and layers without weights between signals: sums, ``and``, ``or``, pooling, copies.
    parameters : mapping of layer name to LayerParameters
        Of every layer but those between signals, which have none.
    inputs : array (steps, samples, *input_shape)
        The values of the network's input: spikes, or numbers under direct encoding.
    number : Real or FixedPoint, or mapping of layer name to one of them, optional
        What potentials are kept in, of every population or of those named; float64 unless given.
    delay : {0, 1}
        Steps from a spike to the current it makes: 0 in deep-learning frameworks, 1 per layer on chips.
        Self-connections read the step before in both.
    keep_potentials, keep_updated : bool
        Whether to return these; float64 potentials take 64 times the memory of packed spikes.

    Returns
    -------
    ReplayResult

    Notes
    -----
    Per step ``u = leak u (+ rounding) + current + bias``; fires at ``u > threshold``; soft reset subtracts the
    threshold, hard reset overwrites. Potentials start at 0, so the leak of the first step has no effect. A readout
    only sums. A live gate multiplies ``current + bias`` by ``alpha[t] sigmoid(mean)``, mean over one sample and step,
    before the neuron (see `LayerParameters.gain`), so the batch never matters.

    Where several layers feed one population, ``current`` is the sum of all of them: the population's own layer, those
    that join it in the workload's order, self-connections last, each in the order of its events. In fixed point that
    sum is exact, so no order matters (see `FixedPoint`); float64 may differ from a framework's float32 in the last
    bits. What layers between signals pass on holds no state and is exact (see `passed_on`).

    Raises
    ------
    InvalidInput
        Missing or misshapen parameters, gates without their alpha or not folded, values that do not fit the state,
        averages between signals whose divisor is not known; with ``delay`` 1 any layer between signals, which on chips
        is neurons: take the network of `with_relays`.
    """
    numbers = number if isinstance(number, Mapping) else {x.name: number or Real() for x in workload.layers}
    inputs = np.asarray(inputs)
    _check_inputs(workload, inputs, delay)
    order, signals, passed = stages(workload), {INPUT: plain(inputs)}, dict[str, NDArray]()
    if not any(isinstance(stage, Population) for stage in order):
        raise InvalidInput(f"workload {workload.name!r}: has no neurons to replay")
    kept: dict[str, dict[str, NDArray]] = {"potentials": {}, "updated": {}, "saturated": {}}
    operations = 0
    for stage in order:
        if not isinstance(stage, Population):
            if delay:
                raise InvalidInput(
                    f"layer {stage.name!r}: stands between signals, and chips know neurons alone; with delay 1 replay "
                    f"the network of with_relays"
                )
            signals[stage.name] = passed_on(stage, [signals[source] for source in stage.sources])
            passed[stage.name] = signals[stage.name].reshape(*inputs.shape[:2], *stage.out_shape)
            continue
        own = Prepared.prepare(stage, parameters, numbers.get(stage.name, Real()), len(inputs))
        runs = Runs.empty(stage, inputs.shape[:2], keep_potentials, keep_updated)
        for sample in range(inputs.shape[1]):
            operations += run_sample(own, signals, delay, runs, sample)
        runs.keep(stage, kept)
        if own.spiking:
            signals[stage.name] = runs.spikes
    scores = runs.spikes.sum(axis=0).astype(np.float64) if own.spiking else runs.last
    emitted = {
        name: spikes.reshape(*inputs.shape[:2], *workload.layer(name).neuron_shape).view(np.bool_)
        for name, spikes in signals.items()
        if name != INPUT and name not in passed
    }
    return ReplayResult(emitted, **kept, scores=scores, synaptic_operations=operations, passed=passed)


def _check_inputs(workload: Workload, inputs: NDArray, delay: int) -> None:
    if delay not in (0, 1):
        raise InvalidInput(f"delay is {delay!r}; it must be 0 (framework) or 1 (chip)")
    if inputs.ndim < 3 or inputs.shape[2:] != workload.input_shape or 0 in inputs.shape[:2]:
        raise InvalidInput(f"inputs are {inputs.shape}; they must be (steps, samples, *{workload.input_shape})")
    if inputs.dtype.kind not in "biuf" or not np.isfinite(inputs).all():
        raise InvalidInput(f"inputs are {inputs.dtype}; they must be finite numbers")


def compare_spikes(
    result: ReplayResult, recorded: Mapping[str, NDArray], labels: NDArray[np.int64] | None = None
) -> ReplayCheck:
    """Hold a replay against recorded spikes.

    Parameters
    ----------
    result : ReplayResult
    recorded : mapping of layer to array (steps, samples, *neuron_shape)
        Non-zero where the neuron fired; layers that are not in it are left out.
    labels : int64 array (samples,), optional
    """
    mismatch = {}
    for name, spikes in result.spikes.items():
        if name in recorded:
            other = np.asarray(recorded[name]) != 0
            if other.shape != spikes.shape:
                raise InvalidInput(f"recorded spikes of {name!r} are {other.shape}; the replay made {spikes.shape}")
            mismatch[name] = SpikeMismatch(int((other != spikes).sum()), int(other.sum()), spikes.size)
    accuracy = None if labels is None else float((result.predictions == np.asarray(labels)).mean())
    return ReplayCheck(mismatch, accuracy)
