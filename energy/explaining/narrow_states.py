"""Networks replayed at another state width, counted from their own spikes and priced at the width they ran at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...sim.counting.operations import OperationCounts
from ...sim.counting.synthetic import packed_counts
from ...sim.display import lines
from ...sim.errors import InvalidInput
from ...sim.hardware.execution import ActionCounts, execute
from ...sim.network.layers import INPUT
from ...sim.network.workload import Workload
from ...sim.readable_numbers import ENERGY, percent, with_unit
from ...sim.replay.parameters import LayerParameters
from ...sim.replay.replay import ReplayResult, SpikeMismatch, compare_spikes, replay
from ...sim.replay.state_width import READOUT_BITS, in_state_units
from ...sim.trace.packing import pack, pack_planes
from ...sim.trace.spike_trace import SpikeTrace
from ..machines.accelerator import Accelerator
from ..pricing.estimate import EnergyEstimate, estimate_actions

STATE_BITS = (None, 16, 8)  # what the main job replays every run at; None: float64


@dataclass(frozen=True)
class Replayed:
    """One run replayed at one state width.

    Attributes
    ----------
    state_bits : int or None
        Of the fixed-point state; None: float64, which is a check of the replay and has no price.
    operations : OperationCounts
        Of the replay's own spikes and predictions, its workload at that width.
    mismatch : SpikeMismatch
        Against the recorded spikes, all spiking layers together.
    saturated : float
        Share of potentials (and of currents before a live gate) that were cut to the range, 0..1.
    estimate : EnergyEstimate or None
    unpriced : str
        Why there is no estimate: the machine's message, such as a price that its technology lacks.
    """

    state_bits: int | None
    operations: OperationCounts
    mismatch: SpikeMismatch
    saturated: float
    estimate: EnergyEstimate | None = None
    unpriced: str = ""

    def __repr__(self) -> str:
        state = "float64" if self.state_bits is None else f"{self.state_bits}-bit fixed point"
        priced = None if self.estimate is None else self.estimate.compared_pj
        return lines(
            f"Replayed {self.operations.workload.name} in {state}: {self.operations.samples:,} samples",
            f"accuracy      {percent(self.operations.accuracy)}",
            f"spikes differ {percent(self.mismatch.per_place)} of places; cut: {percent(self.saturated)} of potentials",
            f"energy        {with_unit(priced, ENERGY)} per inference",
            f"not priced: {self.unpriced}" if self.unpriced else "",
        )


def replay_trace(
    trace: SpikeTrace,
    parameters: Mapping[str, LayerParameters],
    state_bits: int | None,
    accelerator: Accelerator,
    inputs: NDArray | None = None,
) -> Replayed:
    """Run a recorded network again at a state width; count what it does then, and price it at that width.

    Parameters
    ----------
    trace : SpikeTrace
    parameters : mapping of layer name to LayerParameters
        In their own units: see `load_parameters`.
    state_bits : int or None
        8, 16, ...: fixed point by the rule of `in_state_units`. None: float64.
    accelerator : Accelerator
        Machines of kind ``operations`` or ``grid``.
    inputs : array (steps, samples, *input_shape), optional
        Needed for analog input, whose values a trace does not keep.

    Returns
    -------
    Replayed

    Raises
    ------
    InvalidInput
        Parameters that do not fit, or analog input that is not given.

    Notes
    -----
    Adds are priced at the width of the state they add into. Only a readout is kept wider, in 16 bits at least, and
    priced so. Stored weights keep their declared width. Analog input is not quantised, yet its products are priced at
    the width of the state. The live gate's sigmoid is computed in float64 and priced at the
    width of the state.
    """
    inputs = _inputs(trace, inputs)
    if state_bits is None:
        workload, result = trace.workload, replay(trace.workload, parameters, inputs)
    else:
        workload = replace(trace.workload, state_bits=state_bits, state_type="fixed")
        scaled, numbers = in_state_units(workload, parameters, state_bits, trace.steps)
        result = replay(workload, scaled, inputs, number=numbers)
    recorded = {name: trace.read(name) for name in result.spikes}
    against = compare_spikes(result, recorded, trace.labels)
    operations = replace(_counted(trace, workload, result, inputs, state_bits), accuracy=against.accuracy)
    potentials = trace.steps * trace.samples * sum(workload.layer(name).neurons for name in result.saturated)
    saturated = sum(int(counts.sum()) for counts in result.saturated.values()) / potentials
    mismatch = _together(against.mismatch)
    if state_bits is None:
        return Replayed(None, operations, mismatch, saturated)
    try:
        priced = estimate_with_readout(operations, accelerator)
    except InvalidInput as error:  # such as a technology without prices at this width
        return Replayed(state_bits, operations, mismatch, saturated, None, str(error))
    return Replayed(state_bits, operations, mismatch, saturated, priced)


def _counted(
    trace: SpikeTrace, workload: Workload, result: ReplayResult, inputs: NDArray, state_bits: int | None
) -> OperationCounts:
    """Operation counts of what the replay emitted and passed on."""
    words = {name: pack(values, "spike") for name, values in result.spikes.items()}
    words |= {
        name: pack_planes(values, "graded") if workload.signals[name][1] == "graded" else pack(values != 0, "spike")
        for name, values in {INPUT: inputs, **result.passed}.items()
    }
    origin = {**trace.provenance, "replayed": {"state_bits": state_bits or 64, "trace": trace.hash}}
    return packed_counts(workload, words, origin)


def estimate_with_readout(operations: OperationCounts, accelerator: Accelerator) -> EnergyEstimate:
    """`estimate` of counts whose readout is kept in `READOUT_BITS`, if that is wider.

    The readout's own actions are those on a machine that keeps every state so; all other layers keep their width.
    """
    accelerator.require_complete()
    actions = execute(operations, accelerator.architecture)
    workload = operations.workload
    if workload.state_bits < READOUT_BITS:
        wide = replace(operations, workload=replace(workload, state_bits=READOUT_BITS))
        readouts = {layer.name for layer in workload.layers if layer.neuron == "readout"}
        readouts |= {layer.name for layer in workload.layers if layer.joins in readouts}
        actions = _exchanged(actions, execute(wide, accelerator.architecture), readouts)
    return estimate_actions(operations, actions, accelerator)


def _exchanged(actions: ActionCounts, others: ActionCounts, layers: set[str]) -> ActionCounts:
    """``actions`` with everything of some layers taken from ``others``."""
    counts = {key: value for key, value in actions.counts.items() if key[0] not in layers}
    counts |= {key: value for key, value in others.counts.items() if key[0] in layers}
    seconds, utilisation = (
        {name: getattr(others if name in layers else actions, what)[name] for name in getattr(actions, what)}
        for what in ("seconds", "utilisation")
    )
    return replace(actions, counts=counts, seconds=seconds, utilisation=utilisation)


def _inputs(trace: SpikeTrace, given: NDArray | None) -> NDArray:
    if given is not None:
        return np.asarray(given)
    if trace.workload.input_kind == "analog":
        raise InvalidInput(
            f"trace {trace.path}: its input is analog, and a trace keeps only where such values are not zero; give the "
            f"inputs themselves"
        )
    return trace.read(INPUT)


def _together(mismatch: Mapping[str, SpikeMismatch]) -> SpikeMismatch:
    parts = mismatch.values()
    return SpikeMismatch(*(sum(getattr(x, name) for x in parts) for name in ("differing", "recorded", "places")))
